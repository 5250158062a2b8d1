#define LOG_COMPONENT "health"
#include "daemon/checks.h"

#include "base/log.h"
#include "base/str.h"
#include "http/query.h"

#include <errno.h>
#include <stdatomic.h>

static const char *const roots[CHECK_ROOTS] = {"healthz", "livez", "readyz"};

typedef struct Tally { /* of one check below one root */
    atomic_ullong good, bad;
    atomic_bool last; /* good */
} Tally;

typedef struct CheckEntry {
    Check row;
    Tally tallies[CHECK_ROOTS];
} Entry;

struct Checks {
    const char *component;
    unsigned roots;
    bool whole;
    void *userdata;
    atomic_uint facts;
    atomic_size_t n; /* entries before it do not change any more */
    size_t room;
    Entry ping; /* of a root that has no other */
    Entry entries[];
};

const char *check_ping(_unused_ void *userdata, _unused_ Arena *arena) {
    return NULL;
}

Checks *checks_new(const ChecksConfig *config) {
    size_t room = config->n + config->room;
    Checks *checks = xcalloc(1, sizeof *checks + room * sizeof *checks->entries);
    checks->component = config->component;
    checks->roots = config->roots;
    checks->whole = config->whole;
    checks->userdata = config->userdata;
    checks->room = room;
    checks->ping.row = (Check){"ping", CHECK_EVERYWHERE, check_ping, 0};
    for (size_t i = 0; i < config->n; i++)
        checks_add(checks, &config->rows[i]);
    return checks;
}

void checks_free(Checks *checks) {
    free(checks);
}

void checks_add(Checks *checks, const Check *row) {
    size_t n = atomic_load(&checks->n);
    if (n == checks->room) {
        log_error("%s: no room for the health check %s", checks->component, row->name);
        return;
    }
    checks->entries[n].row = *row;
    atomic_store(&checks->n, n + 1);
}

void checks_report(Checks *checks, unsigned facts, bool hold) {
    if (hold)
        atomic_fetch_or(&checks->facts, facts);
    else
        atomic_fetch_and(&checks->facts, ~facts);
}

/* ---- one check ---- */

static bool is_below(const Entry *entry, size_t root) {
    return entry->row.roots & (1u << root);
}

/* The checks of a root in turn; NULL past the last. */
static Entry *next_of(Checks *checks, size_t root, size_t *at) {
    size_t n = atomic_load(&checks->n);
    bool only_ping = *at == 0;
    for (size_t i = 0; i < n && only_ping; i++)
        only_ping = !is_below(&checks->entries[i], root);
    if (only_ping) {
        *at = n + 1;
        return &checks->ping;
    }
    while (*at < n)
        if (is_below(&checks->entries[(*at)++], root))
            return &checks->entries[*at - 1];
    return NULL;
}

static Entry *find(Checks *checks, size_t root, const char *name) {
    size_t at = 0;
    for (Entry *entry; (entry = next_of(checks, root, &at));)
        if (streq(entry->row.name, name))
            return entry;
    return NULL;
}

static const char *look(Checks *checks, size_t root, Entry *entry, Arena *arena) {
    const Check *row = &entry->row;
    Tally *tally = &entry->tallies[root];
    const char *wrong = row->ask                                                   ? row->ask(checks->userdata, arena)
                        : (atomic_load(&checks->facts) & row->facts) == row->facts ? NULL
                                                                                   : "not finished";
    atomic_fetch_add(wrong ? &tally->bad : &tally->good, 1);
    atomic_store(&tally->last, !wrong);
    return wrong;
}

/* ---- answers ---- */

static bool is_excluded(const Query *query, const char *name) {
    for (size_t i = 0; i < query->n; i++)
        if (streq(query->items[i].key, "exclude") && streq(query->items[i].value, name))
            return true;
    return false;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names to exclude that no check has: in order, each once. */
static void warn_of_unknown(Checks *checks, Arena *arena, const Query *query, size_t root, Buf *out) {
    const char **names = arena_alloc0(arena, (query->n + 1) * sizeof *names), *last = NULL;
    size_t n = 0;
    for (size_t i = 0; i < query->n; i++)
        if (streq(query->items[i].key, "exclude") && !find(checks, root, query->items[i].value))
            names[n++] = query->items[i].value;
    qsort(names, n, sizeof *names, compare_texts);
    for (size_t i = 0; i < n; last = names[i++])
        if (!last)
            buf_printf(out, "warn: some health checks cannot be excluded: no matches for \"%s\"", names[i]);
        else if (!streq(last, names[i]))
            buf_printf(out, ",\"%s\"", names[i]);
    if (n)
        buf_putc(out, '\n');
}

static int answer_all(Checks *checks, size_t root, const Query *query, Arena *arena, Buf *out) {
    _cleanup_buf_ Buf why = BUF_INIT(CHECKS_REPLY_MAX);
    size_t at = 0;
    for (Entry *entry; (entry = next_of(checks, root, &at));) {
        const char *name = entry->row.name, *wrong = NULL;
        if (is_excluded(query, name))
            buf_printf(out, "[+]%s excluded: ok\n", name);
        else if ((wrong = look(checks, root, entry, arena)))
            buf_printf(out, "[-]%s failed: reason withheld\n", name);
        else
            buf_printf(out, "[+]%s ok\n", name);
        if (wrong)
            buf_printf(&why, "%s%s: %s", why.len ? ", " : "", name, wrong);
    }
    warn_of_unknown(checks, arena, query, root, out);
    if (why.len) {
        log_info("%s: %s check failed: %s", checks->component, roots[root], why.data);
        buf_printf(out, "%s check failed\n", roots[root]);
        return 500;
    }
    if (!query_get(query, "verbose"))
        buf_clear(out);
    buf_printf(out, query_get(query, "verbose") ? "%s check passed\n" : "ok", roots[root]);
    return 200;
}

int checks_find(Checks *checks, const char *path, ChecksPath *ret) {
    for (size_t root = 0; root < CHECK_ROOTS; root++) {
        size_t n = strlen(roots[root]);
        if (!(checks->roots & (1u << root)) || *path != '/' || strncmp(path + 1, roots[root], n) != 0 ||
            (path[1 + n] && path[1 + n] != '/'))
            continue;
        *ret = (ChecksPath){.root = root};
        if (!path[1 + n])
            return 0;
        ret->one = checks->whole ? NULL : find(checks, root, path + 1 + n + 1);
        return ret->one ? 0 : -ENOENT;
    }
    return -ENOTDIR;
}

int checks_answer(Checks *checks, const ChecksPath *path, const char *query_text, Buf *out) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (!path->one) {
        Query query;
        query_parse(arena, query_text, &query);
        return answer_all(checks, path->root, &query, arena, out);
    }
    const char *wrong = look(checks, path->root, path->one, arena);
    buf_printf(out, wrong ? "internal server error: %s\n" : "ok", wrong);
    return wrong ? 500 : 200;
}

void checks_list_paths(Checks *checks, Arena *arena, Value *paths) {
    for (size_t root = 0, at = 0; root < CHECK_ROOTS; root++, at = 0) {
        if (!(checks->roots & (1u << root)))
            continue;
        value_append(arena, paths, value_printf(arena, "/%s", roots[root]));
        for (const Entry *entry; !checks->whole && (entry = next_of(checks, root, &at));)
            value_append(arena, paths, value_printf(arena, "/%s/%s", roots[root], entry->row.name));
    }
}

/* ---- figures ---- */

static void write_last(const Entry *entry, Buf *out) {
    for (size_t root = 0; root < CHECK_ROOTS; root++) {
        const Tally *tally = &entry->tallies[root];
        if (atomic_load(&tally->good) || atomic_load(&tally->bad))
            buf_printf(out, "kubernetes_healthcheck{name=\"%s\",type=\"%s\"} %d\n", entry->row.name, roots[root],
                       atomic_load(&tally->last));
    }
}

static void write_totals(const Entry *entry, Buf *out) {
    for (size_t root = 0; root < CHECK_ROOTS; root++)
        for (int good = 0; good < 2; good++) {
            const Tally *tally = &entry->tallies[root];
            unsigned long long n = atomic_load(good ? &tally->good : &tally->bad);
            if (n)
                buf_printf(out, "kubernetes_healthchecks_total{name=\"%s\",status=\"%s\",type=\"%s\"} %llu\n",
                           entry->row.name, good ? "success" : "error", roots[root], n);
        }
}

void checks_write_slis(Checks *checks, Buf *out) {
    size_t n = atomic_load(&checks->n);
    buf_puts(out, "# HELP kubernetes_healthcheck [STABLE] What the last look of a health check said.\n"
                  "# TYPE kubernetes_healthcheck gauge\n");
    for (size_t i = 0; i < n; i++)
        write_last(&checks->entries[i], out);
    write_last(&checks->ping, out);
    buf_puts(out, "# HELP kubernetes_healthchecks_total [STABLE] Looks of all health checks by what they said.\n"
                  "# TYPE kubernetes_healthchecks_total counter\n");
    for (size_t i = 0; i < n; i++)
        write_totals(&checks->entries[i], out);
    write_totals(&checks->ping, out);
}
