#define LOG_COMPONENT "health"
#include "apiserver/health.h"
#include "apiserver/handlers/http.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "http/pki.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#define REPLY_MAX (64 * 1024)

enum { HEALTHZ = 1 << 0, LIVEZ = 1 << 1, READYZ = 1 << 2, ALL = HEALTHZ | LIVEZ | READYZ };
static const char *const roots[] = {"healthz", "livez", "readyz"};
#define N_ROOTS ELEMENTSOF(roots)

typedef struct Check {
    const char *name;
    unsigned roots;
    /* NULL: all is well. Else what is not. NULL itself: the facts say all. */
    const char *(*ask)(const Health *health, Arena *arena);
    unsigned facts; /* a bit each: those that must hold */
} Check;

/* ---- what is asked now ---- */

/* The question itself is the answer: a loop and a thread of the pool were free for it. */
static const char *ask_ping(_unused_ const Health *health, _unused_ Arena *arena) {
    return NULL;
}

/* A log that nobody reads stops whoever writes to it. */
static const char *ask_log(_unused_ const Health *health, _unused_ Arena *arena) {
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    int r = poll(&fd, 1, 0);
    return r < 0 && errno != EINTR ? "logging failed" : r == 0 ? "logging blocked" : NULL;
}

static uint64_t store_deadline(void) {
    return now_monotonic_ns() + HEALTH_STORE_SECONDS * NS_PER_SEC;
}

static const char *ask_certificate(const Health *health, Arena *arena);
static const char *ask_store(const Health *health, Arena *arena);
static const char *ask_news(const Health *health, Arena *arena);
static const char *ask_shutdown(const Health *health, Arena *arena);

#define FACT(name) (1u << HEALTH_##name)
#define HOOK "poststarthook/"
/* In the reference's order. */
static const Check checks[] = {
    {"ping", ALL, ask_ping, 0},
    {"log", ALL, ask_log, 0},
    {"loopback-serving-certificate", HEALTHZ | LIVEZ, ask_certificate, 0},
    {"etcd", ALL, ask_store, 0},
    {"etcd-readiness", READYZ, ask_store, 0},
    {"informer-sync", READYZ, NULL, FACT(DEFINITIONS_READ) | FACT(SERVICES_READ)},
    {HOOK "start-apiextensions-informers", ALL, NULL, FACT(DEFINITIONS_READ)},
    {HOOK "start-apiextensions-controllers", ALL, NULL, FACT(DEFINITIONS_FOLLOWED)},
    {HOOK "crd-informer-synced", ALL, NULL, FACT(DEFINITIONS_READ)},
    {HOOK "start-system-namespaces-controller", ALL, NULL, FACT(NAMESPACES)},
    {HOOK "start-cluster-authentication-info-controller", ALL, NULL, FACT(TRUST_PUBLISHED)},
    {HOOK "storage-readiness", ALL, ask_news, 0},
    {HOOK "start-service-ip-repair-controllers", ALL, NULL, FACT(SERVICE_IPS)},
    {HOOK "rbac/bootstrap-roles", ALL, NULL, FACT(ROLES)},
    {HOOK "scheduling/bootstrap-system-priority-classes", ALL, NULL, FACT(PRIORITY_CLASSES)},
    {HOOK "priority-and-fairness-config-producer", ALL, NULL, FACT(FLOW_CONTROL)},
    {HOOK "bootstrap-controller", ALL, NULL, FACT(KUBERNETES_SERVICE)},
    {HOOK "start-kubernetes-service-cidr-controller", ALL, NULL, FACT(SERVICE_RANGE)},
    {HOOK "start-kube-aggregator-informers", ALL, NULL, FACT(SERVICES_READ)},
    {HOOK "apiservice-status-local-available-controller", ALL, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-status-remote-available-controller", ALL, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-registration-controller", ALL, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-discovery-controller", ALL, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "kube-apiserver-autoregistration", ALL, NULL, FACT(GROUPS_REGISTERED)},
    {"autoregister-completion", ALL, NULL, FACT(GROUPS_REGISTERED)},
    {HOOK "apiservice-openapi-controller", ALL, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-openapiv3-controller", ALL, NULL, FACT(SERVICES_FOLLOWED)},
    {"shutdown", READYZ, ask_shutdown, 0},
};
#define N_CHECKS ELEMENTSOF(checks)

typedef struct Tally { /* of one check below one root */
    atomic_ullong good, bad;
    atomic_bool last; /* good */
} Tally;

struct Health {
    Store *store;
    const char *cert_file;
    Pool *pool;
    atomic_uint facts;
    atomic_bool stopping;
    Tally tallies[N_ROOTS][N_CHECKS];
};

static const char *ask_certificate(const Health *health, _unused_ Arena *arena) {
    int64_t end_ns;
    if (pki_cert_not_after(health->cert_file, &end_ns) < 0)
        return "the serving certificate cannot be read";
    return now_realtime_ns() >= end_ns ? "the serving certificate has expired" : NULL;
}

static const char *ask_store(const Health *health, Arena *arena) {
    int r = store_check(health->store, store_deadline());
    return r < 0 ? arena_printf(arena, "the store: %s", strerror(-r)) : NULL;
}

/* Do we hear what other servers write? */
static const char *ask_news(const Health *health, Arena *arena) {
    int r = store_is_shared(health->store) ? store_sync(health->store, store_deadline())
                                           : store_check(health->store, store_deadline());
    return r < 0 ? arena_printf(arena, "the store: %s", strerror(-r)) : NULL;
}

static const char *ask_shutdown(const Health *health, _unused_ Arena *arena) {
    return atomic_load(&health->stopping) ? "process is shutting down" : NULL;
}

/* ---- one check ---- */

static const char *look(Health *health, size_t root, size_t i, Arena *arena) {
    const Check *check = &checks[i];
    Tally *tally = &health->tallies[root][i];
    const char *wrong = check->ask                                                     ? check->ask(health, arena)
                        : (atomic_load(&health->facts) & check->facts) == check->facts ? NULL
                                                                                       : "not finished";
    atomic_fetch_add(wrong ? &tally->bad : &tally->good, 1);
    atomic_store(&tally->last, !wrong);
    return wrong;
}

static const Check *find_check(size_t root, const char *name) {
    for (size_t i = 0; i < N_CHECKS; i++)
        if ((checks[i].roots & (1u << root)) && streq(checks[i].name, name))
            return &checks[i];
    return NULL;
}

/* ---- replies ---- */

typedef struct Job {
    Health *health;
    HttpRequest *http; /* a reference */
    size_t root;
    const Check *one; /* NULL: all of the root */
} Job;

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
static void warn_of_unknown(Arena *arena, const Query *query, size_t root, Buf *out) {
    const char **names = arena_alloc0(arena, (query->n + 1) * sizeof *names), *last = NULL;
    size_t n = 0;
    for (size_t i = 0; i < query->n; i++)
        if (streq(query->items[i].key, "exclude") && !find_check(root, query->items[i].value))
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

static void reply(HttpRequest *http, int status, const Buf *text) {
    http_reply_text(http, status, "text/plain; charset=utf-8", str_or(text->data, ""));
}

static void answer_all(Job *job, Arena *arena) {
    Health *health = job->health;
    _cleanup_buf_ Buf out = BUF_INIT(REPLY_MAX), why = BUF_INIT(REPLY_MAX);
    Query query;
    query_parse(arena, http_query(job->http), &query);
    for (size_t i = 0; i < N_CHECKS; i++) {
        const char *name = checks[i].name, *wrong = NULL;
        if (!(checks[i].roots & (1u << job->root)))
            continue;
        if (is_excluded(&query, name))
            buf_printf(&out, "[+]%s excluded: ok\n", name);
        else if ((wrong = look(health, job->root, i, arena)))
            buf_printf(&out, "[-]%s failed: reason withheld\n", name);
        else
            buf_printf(&out, "[+]%s ok\n", name);
        if (wrong)
            buf_printf(&why, "%s%s: %s", why.len ? ", " : "", name, wrong);
    }
    warn_of_unknown(arena, &query, job->root, &out);
    if (why.len) {
        log_info("%s check failed: %s", roots[job->root], why.data);
        buf_printf(&out, "%s check failed\n", roots[job->root]);
        return reply(job->http, 500, &out);
    }
    if (!query_get(&query, "verbose"))
        buf_clear(&out);
    buf_printf(&out, query_get(&query, "verbose") ? "%s check passed\n" : "ok", roots[job->root]);
    reply(job->http, 200, &out);
}

static void run_job(void *userdata) {
    Job *job = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (!job->one)
        answer_all(job, arena);
    else {
        _cleanup_buf_ Buf out = BUF_INIT(REPLY_MAX);
        const char *wrong = look(job->health, job->root, (size_t)(job->one - checks), arena);
        buf_printf(&out, wrong ? "internal server error: %s\n" : "ok", wrong);
        reply(job->http, wrong ? 500 : 200, &out);
    }
    http_request_unref(job->http);
    free(job);
}

bool health_serve(Health *health, HttpRequest *http, const char *path) {
    for (size_t root = 0; root < N_ROOTS; root++) {
        size_t n = strlen(roots[root]);
        const Check *one = NULL;
        if (*path != '/' || strncmp(path + 1, roots[root], n) != 0 || (path[1 + n] && path[1 + n] != '/'))
            continue;
        if (path[1 + n] && !(one = find_check(root, path + 1 + n + 1))) {
            http_reply_text(http, 404, "text/plain; charset=utf-8", "404 page not found\n");
            return true;
        }
        Job *job = NEW(Job);
        *job = (Job){health, http_request_ref(http), root, one};
        if (pool_submit(health->pool, run_job, job) < 0) {
            http_reply_text(http, 429, "text/plain; charset=utf-8", "Too many requests, please try again later.\n");
            http_request_unref(job->http);
            free(job);
        }
        return true;
    }
    return false;
}

void health_list_paths(Arena *arena, Value *paths) {
    for (size_t root = 0; root < N_ROOTS; root++) {
        value_append(arena, paths, value_printf(arena, "/%s", roots[root]));
        for (size_t i = 0; i < N_CHECKS; i++)
            if (checks[i].roots & (1u << root))
                value_append(arena, paths, value_printf(arena, "/%s/%s", roots[root], checks[i].name));
    }
}

/* ---- figures ---- */

void health_write_slis(Health *health, Buf *out) {
    buf_puts(out, "# HELP kubernetes_healthcheck [STABLE] What the last look of a health check said.\n"
                  "# TYPE kubernetes_healthcheck gauge\n");
    for (size_t i = 0; i < N_CHECKS; i++)
        for (size_t root = 0; root < N_ROOTS; root++) {
            Tally *tally = &health->tallies[root][i];
            if (atomic_load(&tally->good) || atomic_load(&tally->bad))
                buf_printf(out, "kubernetes_healthcheck{name=\"%s\",type=\"%s\"} %d\n", checks[i].name, roots[root],
                           atomic_load(&tally->last));
        }
    buf_puts(out, "# HELP kubernetes_healthchecks_total [STABLE] Looks of all health checks by what they said.\n"
                  "# TYPE kubernetes_healthchecks_total counter\n");
    for (size_t i = 0; i < N_CHECKS; i++)
        for (size_t root = 0; root < N_ROOTS; root++)
            for (int good = 0; good < 2; good++) {
                Tally *tally = &health->tallies[root][i];
                unsigned long long n = atomic_load(good ? &tally->good : &tally->bad);
                if (n)
                    buf_printf(out, "kubernetes_healthchecks_total{name=\"%s\",status=\"%s\",type=\"%s\"} %llu\n",
                               checks[i].name, good ? "success" : "error", roots[root], n);
            }
}

/* ---- its life ---- */

Health *health_new(Store *store, const char *cert_file) {
    Health *health = NEW0(Health);
    health->store = store;
    health->cert_file = cert_file;
    health->pool = pool_new("health", HEALTH_THREADS, HEALTH_QUEUE);
    return health;
}

void health_free(Health *health) {
    if (!health)
        return;
    pool_free(health->pool);
    free(health);
}

void health_report(Health *health, HealthFact fact, bool holds) {
    if (!health)
        return;
    if (holds)
        atomic_fetch_or(&health->facts, 1u << fact);
    else
        atomic_fetch_and(&health->facts, ~(1u << fact));
}

void health_shut_down(Health *health) {
    if (health)
        atomic_store(&health->stopping, true);
}
