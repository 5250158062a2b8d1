#include "client/discovery.h"

#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <pthread.h>

typedef struct Row {
    Arena *arena;
    Resource resource;
} Row;

/* One state of what is served: every version of every resource, in the order of discovery. */
typedef struct Served {
    const Resource **all, **preferred;
    size_t n_all, n_preferred;
} Served;

struct Discovery {
    Client *client;
    pthread_mutex_t lock;
    StrMap *rows; /* "group/version/plural" to Row */
    Served served;
    StrMap *stale; /* "group/version" that failed, to nothing */
};

static void row_free(void *p) {
    arena_free(((Row *)p)->arena);
}

static void add(Served *served, const Resource *resource, bool preferred) {
    served->all = xreallocn(served->all, served->n_all + 1, sizeof(*served->all));
    served->all[served->n_all++] = resource;
    if (!preferred)
        return;
    served->preferred = xreallocn(served->preferred, served->n_preferred + 1, sizeof(*served->preferred));
    served->preferred[served->n_preferred++] = resource->storage;
}

static void served_done(Served *served) {
    free(served->all);
    free(served->preferred);
    *served = (Served){0};
}

static bool is_preferred(const Served *served, const Resource *storage) {
    for (size_t i = 0; i < served->n_preferred; i++)
        if (served->preferred[i] == storage)
            return true;
    return false;
}

Discovery *discovery_new(Client *client) {
    Discovery *discovery = NEW0(Discovery);
    const Resource *resource;
    discovery->client = client;
    discovery->rows = strmap_new(row_free);
    discovery->stale = strmap_new(NULL);
    pthread_mutex_init(&discovery->lock, NULL);
    for (size_t i = 0; (resource = resource_builtin(i)); i++)
        add(&discovery->served, resource, !is_preferred(&discovery->served, resource->storage));
    return discovery;
}

void discovery_free(Discovery *discovery) {
    if (!discovery)
        return;
    served_done(&discovery->served);
    strmap_free(discovery->rows);
    strmap_free(discovery->stale);
    pthread_mutex_destroy(&discovery->lock);
    free(discovery);
}

/* ---- reading ---- */

static uint16_t verbs_of(const Value *names) {
    static const struct {
        const char *name;
        uint16_t bit;
    } verbs[] = {{"get", VERB_GET},       {"list", VERB_LIST},
                 {"watch", VERB_WATCH},   {"create", VERB_CREATE},
                 {"update", VERB_UPDATE}, {"patch", VERB_PATCH},
                 {"delete", VERB_DELETE}, {"deletecollection", VERB_DELETE_COLLECTION}};
    const Value *name;
    uint16_t bits = 0;
    VALUE_FOREACH (name, names)
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
            if (streq_null(value_str(name), verbs[i].name))
                bits |= verbs[i].bit;
    return bits;
}

static bool row_says(const Resource *row, const Value *entry) {
    return streq(row->kind, str_or(value_get_str(value_get(entry, "responseKind"), "kind"), "")) &&
           row->namespaced == streq_null(value_get_str(entry, "scope"), "Namespaced") &&
           row->verbs == verbs_of(value_get(entry, "verbs"));
}

static const Resource *row_new(Discovery *discovery, const char *key, const char *group, const char *version,
                               const Value *entry) {
    Arena *arena = arena_new(0);
    Row *row = ARENA_NEW0(arena, Row);
    const char *plural = value_get_str(entry, "resource");
    row->arena = arena;
    row->resource = (Resource){
        .group = arena_strdup(arena, group),
        .version = arena_strdup(arena, version),
        .plural = arena_strdup(arena, plural),
        .singular = arena_strdup(arena, str_or(value_get_str(entry, "singularResource"), "")),
        .kind = arena_strdup(arena, str_or(value_get_str(value_get(entry, "responseKind"), "kind"), "")),
        .list_kind = "",
        .namespaced = streq_null(value_get_str(entry, "scope"), "Namespaced"),
        .verbs = verbs_of(value_get(entry, "verbs")),
        .storage = &row->resource,
        .storage_prefix = arena_printf(arena, "%s/%s", group, plural),
        .discovered = true,
    };
    strmap_put(discovery->rows, key, row);
    return &row->resource;
}

/* A resource that comes back as something else (another kind or scope by the same name) is another row. Under the lock.
 */
static const Resource *intern(Discovery *discovery, const char *group, const char *version, const Value *entry) {
    const char *plural = value_get_str(entry, "resource");
    const Resource *builtin = resource_find(group, version, plural);
    if (builtin)
        return builtin;
    for (unsigned i = 0;; i++) {
        _cleanup_free_ char *key = xasprintf("%s/%s/%s/%u", group, version, plural, i);
        Row *row = strmap_get(discovery->rows, key);
        if (row && !row_says(&row->resource, entry))
            continue;
        if (row)
            return &row->resource;
        if (strmap_size(discovery->rows) >= DISCOVERY_RESOURCES_MAX)
            return NULL;
        return row_new(discovery, key, group, version, entry);
    }
}

static bool has_plural(const Served *served, size_t from, const char *plural) {
    for (size_t i = from; i < served->n_all; i++)
        if (streq(served->all[i]->plural, plural))
            return true;
    return false;
}

/* What a group version served before, while its server does not answer. */
static void keep_old(const Discovery *discovery, const char *group, const char *version, size_t from, Served *ret) {
    for (size_t i = 0; i < discovery->served.n_all; i++) {
        const Resource *resource = discovery->served.all[i];
        if (streq(resource->group, group) && streq(resource->version, version))
            add(ret, resource, !has_plural(ret, from, resource->plural) && !is_preferred(ret, resource->storage));
    }
}

static void read_group(Discovery *discovery, const Value *group, StrMap *stale, Served *ret) {
    const char *name = str_or(value_get_str(value_get(group, "metadata"), "name"), "");
    size_t from = ret->n_all;
    const Value *version, *entry;
    VALUE_FOREACH (version, value_get(group, "versions")) {
        const char *number = str_or(value_get_str(version, "version"), "");
        if (streq_null(value_get_str(version, "freshness"), "Stale")) {
            _cleanup_free_ char *key = xasprintf("%s%s%s", name, *name ? "/" : "", number);
            strmap_put(stale, key, discovery);
            keep_old(discovery, name, number, from, ret);
            continue;
        }
        VALUE_FOREACH (entry, value_get(version, "resources")) {
            if (!value_get_str(entry, "resource"))
                continue;
            const Resource *resource = intern(discovery, name, number, entry);
            if (resource)
                add(ret, resource, !has_plural(ret, from, resource->plural) && !is_preferred(ret, resource->storage));
        }
    }
}

int discovery_refresh(Discovery *discovery, ApiError *err) {
    static const char *const paths[] = {"/api", "/apis"};
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *documents[ELEMENTSOF(paths)], *group;
    for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
        int r = client_get_document(discovery->client, paths[i], arena, &documents[i], err);
        if (r < 0)
            return r;
    }
    Served served = {0};
    StrMap *stale = strmap_new(NULL);
    pthread_mutex_lock(&discovery->lock);
    for (size_t i = 0; i < ELEMENTSOF(paths); i++)
        VALUE_FOREACH (group, value_get(documents[i], "items"))
            read_group(discovery, group, stale, &served);
    served_done(&discovery->served);
    strmap_free(discovery->stale);
    discovery->served = served;
    discovery->stale = stale;
    pthread_mutex_unlock(&discovery->lock);
    return 0;
}

/* ---- questions ---- */

const Resource **discovery_preferred(Discovery *discovery, Arena *arena) {
    pthread_mutex_lock(&discovery->lock);
    const Served *served = &discovery->served;
    const Resource **out = arena_alloc0(arena, (served->n_preferred + 1) * sizeof *out);
    for (size_t i = 0; i < served->n_preferred; i++)
        out[i] = served->preferred[i];
    pthread_mutex_unlock(&discovery->lock);
    return out;
}

const Resource *discovery_find_kind(Discovery *discovery, const char *group, const char *version, const char *kind) {
    const Resource *found = resource_find_kind(group, version, kind);
    if (found)
        return found;
    pthread_mutex_lock(&discovery->lock);
    for (size_t i = 0; i < discovery->served.n_all && !found; i++) {
        const Resource *resource = discovery->served.all[i];
        if (streq(resource->kind, kind) && streq(resource->group, group) && streq(resource->version, version))
            found = resource;
    }
    pthread_mutex_unlock(&discovery->lock);
    return found;
}

const Resource *discovery_preferred_of(Discovery *discovery, const Resource *resource) {
    const Resource *found = NULL;
    if (!resource->discovered && !resource->custom)
        return resource->storage;
    pthread_mutex_lock(&discovery->lock);
    for (size_t i = 0; i < discovery->served.n_preferred && !found; i++) {
        const Resource *candidate = discovery->served.preferred[i];
        if (streq(candidate->plural, resource->plural) && streq(candidate->group, resource->group))
            found = candidate;
    }
    pthread_mutex_unlock(&discovery->lock);
    return found;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *discovery_failure(Discovery *discovery, Arena *arena, size_t *ret_groups) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    const char *version, **versions;
    void *ignored;
    buf_puts(&text, "unable to retrieve the complete list of server APIs: ");
    pthread_mutex_lock(&discovery->lock);
    size_t n = strmap_size(discovery->stale), i = 0;
    versions = arena_alloc0(arena, (n + 1) * sizeof *versions);
    STRMAP_FOREACH (discovery->stale, version, ignored)
        versions[i++] = arena_strdup(arena, version);
    pthread_mutex_unlock(&discovery->lock);
    qsort(versions, n, sizeof *versions, compare_texts);
    for (i = 0; i < n; i++)
        buf_printf(&text, "%s%s: stale GroupVersion discovery: %s", i ? ", " : "", versions[i], versions[i]);
    *ret_groups = n;
    return n ? arena_strdup(arena, text.data) : NULL;
}
