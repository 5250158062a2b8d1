/* Invariants:
 *  - `lock` guards the entries; an entry that is busy belongs to one job on the pool, which alone changes its
 * documents.
 *  - Only the keeper's thread (and start, before it) registers APIServices and publishes lists. */
#define LOG_COMPONENT "aggregation"
#include "apiserver/aggregation.h"
#include "apiserver/aggregation_check.h"
#include "apiserver/bootstrap.h"
#include "apiserver/registry/custom_resources.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "http/pki.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#define MANAGED_LABEL "kube-aggregator.kubernetes.io/automanaged"
#define CONFIG_MAP "extension-apiserver-authentication"

typedef struct Entry { /* of an APIService that another server answers */
    ApiDocuments *documents;
    bool busy, seen;
    uint64_t spec_hash;  /* of what was looked at last: the spec, the service and its endpoints */
    uint64_t due_ns;     /* to look again */
    uint64_t backoff_ns; /* after a failure; 0: the last look was good */
} Entry;

struct Aggregation {
    AggregationConfig config;
    ApiCore *core;
    Store *store;
    ApiServices *services;
    CustomResources *custom;
    const Resource *resource;
    StoreListener *listener;
    uint64_t row_bits;
    Pool *pool;
    pthread_mutex_t lock;
    StrMap *entries;
    uint64_t published;                  /* hash of the list that was published last */
    uint64_t seen_services, seen_custom; /* what the last look was at */
    size_t n_remote;
    bool registered; /* what is built in, once */
    pthread_t thread;
    sem_t wake;
    atomic_bool stopping;
};

static const char *const masters[] = {"system:masters", "system:authenticated", NULL};
static const UserInfo self = {.name = "system:apiserver", .groups = masters};

static void entry_free(void *value) {
    Entry *entry = value;
    api_documents_unref(entry->documents);
    free(entry);
}

/* ---- what is registered by itself ---- */

static int execute(Aggregation *aggregation, Arena *arena, ApiVerb verb, const char *name, const Value *body) {
    _cleanup_api_response_ ApiResponse response = {0};
    _cleanup_api_error_ ApiError err = {0};
    ApiRequest request = {
        .verb = verb,
        .resource = aggregation->resource,
        .name = verb == API_CREATE ? NULL : name,
        .user = &self,
        .user_agent = "kube-apiserver",
        .arena = arena,
        .body = body,
    };
    int r = api_execute(aggregation->core, &request, NULL, &response, &err);
    if (r < 0 && r != -ENOENT && r != -EEXIST && r != -ESTALE)
        log_warn("APIService %s: %s", name, str_or(err.message, strerror(-r)));
    return r;
}

static Value *desired_spec(Arena *arena, const char *group, const char *version, int64_t group_priority,
                           int64_t version_priority) {
    Value *spec = value_object(arena);
    if (*group)
        value_set_str(arena, spec, "group", group);
    value_set_str(arena, spec, "version", version);
    value_set_int(arena, spec, "groupPriorityMinimum", group_priority);
    value_set_int(arena, spec, "versionPriority", version_priority);
    return spec;
}

static const Value *find_named(const Value *const *services, const char *name) {
    for (; *services; services++)
        if (streq_null(value_get_str(value_get(*services, "metadata"), "name"), name))
            return *services;
    return NULL;
}

static const char *managed_of(const Value *service) {
    return str_or(value_get_str(value_path(service, "metadata", "labels", NULL), MANAGED_LABEL), "");
}

/* Makes the APIService, or gives it its spec again where it is ours to manage. True when something was written. */
static bool register_one(Aggregation *aggregation, Arena *arena, const Value *const *services, const char *name,
                         Value *spec, const char *managed) {
    const Value *there = find_named(services, name);
    if (!there) {
        Value *v = api_value_new(arena, "apiregistration.k8s.io/v1", "APIService"), *meta = value_object(arena),
              *labels = value_object(arena);
        value_set_str(arena, labels, MANAGED_LABEL, managed);
        value_set_str(arena, meta, "name", name);
        value_set(arena, meta, "labels", labels);
        value_set(arena, v, "metadata", meta);
        value_set(arena, v, "spec", spec);
        return execute(aggregation, arena, API_CREATE, name, v) == 0;
    }
    if (!*managed_of(there) || value_equal(value_get(there, "spec"), spec))
        return false;
    Value *v = value_copy(arena, there);
    value_set(arena, v, "spec", spec);
    return execute(aggregation, arena, API_UPDATE, name, v) == 0;
}

typedef struct Registration { /* of our own groups and versions */
    Aggregation *aggregation;
    const Value *const *services;
    atomic_bool wrote, lacks;
} Registration;

static int register_row(size_t index, void *userdata) {
    Registration *all = userdata;
    const Resource *row = resource_builtin(index), *last = index ? resource_builtin(index - 1) : NULL;
    int64_t group_priority, version_priority;
    if ((last && streq(last->group, row->group) && streq(last->version, row->version)) ||
        !api_service_builtin_priority(row->group, row->version, &group_priority, &version_priority))
        return 0;
    _cleanup_arena_ Arena *arena = arena_new(0);
    char *name = arena_printf(arena, "%s.%s", row->version, row->group);
    Value *spec = desired_spec(arena, row->group, row->version, group_priority, version_priority);
    bool wrote = register_one(all->aggregation, arena, all->services, name, spec, "onstart");
    if (wrote)
        all->wrote = true;
    else if (!find_named(all->services, name))
        all->lacks = true;
    return 0;
}

/* *ret_all: there is one for each of our groups and versions. */
static bool register_builtin(Aggregation *aggregation, const Value *const *services, bool *ret_all) {
    Registration all = {.aggregation = aggregation, .services = services};
    size_t n = 0;
    while (resource_builtin(n))
        n++;
    bootstrap_together(n, register_row, &all);
    *ret_all = !all.lacks;
    return all.wrote;
}

static bool is_served(const Resource **rows, const Value *spec) {
    for (; rows && *rows; rows++)
        if (streq((*rows)->group, str_or(value_get_str(spec, "group"), "")) &&
            streq((*rows)->version, str_or(value_get_str(spec, "version"), "")))
            return true;
    return false;
}

static bool register_custom(Aggregation *aggregation, Arena *arena, const Value *const *services) {
    const Resource **rows = custom_resources_all(aggregation->custom, arena);
    bool wrote = false;
    for (size_t i = 0; rows && rows[i]; i++) {
        bool before = false;
        for (size_t j = 0; j < i && !before; j++)
            before = streq(rows[j]->group, rows[i]->group) && streq(rows[j]->version, rows[i]->version);
        if (!before)
            wrote |= register_one(aggregation, arena, services,
                                  arena_printf(arena, "%s.%s", rows[i]->version, rows[i]->group),
                                  desired_spec(arena, rows[i]->group, rows[i]->version,
                                               API_SERVICE_CUSTOM_GROUP_PRIORITY, API_SERVICE_CUSTOM_VERSION_PRIORITY),
                                  "true");
    }
    for (; *services; services++)
        if (streq(managed_of(*services), "true") && !is_served(rows, value_get(*services, "spec")))
            wrote |= execute(aggregation, arena, API_DELETE, value_get_str(value_get(*services, "metadata"), "name"),
                             NULL) == 0;
    return wrote;
}

/* ---- whom other servers may believe ---- */

static void set_file(Arena *arena, Value *data, const char *name, const char *path) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    if (path && fs_read_file(path, PKI_FILE_MAX, &text, &n) == 0)
        value_set_str(arena, data, name, text);
}

static void publish_trust(Aggregation *aggregation, Arena *arena) {
    static const char *const headers[][2] = {
        {"requestheader-extra-headers-prefix", "[\"X-Remote-Extra-\"]"},
        {"requestheader-group-headers", "[\"X-Remote-Group\"]"},
        {"requestheader-uid-headers", "[\"X-Remote-Uid\"]"},
        {"requestheader-username-headers", "[\"X-Remote-User\"]"},
    };
    Value *map = api_value_new(arena, "v1", "ConfigMap"), *meta = value_object(arena), *data = value_object(arena);
    value_set_str(arena, meta, "name", CONFIG_MAP);
    value_set(arena, map, "metadata", meta);
    set_file(arena, data, "client-ca-file", aggregation->config.client_ca_file);
    value_set(arena, data, "requestheader-allowed-names",
              value_printf(arena, "[\"%s\"]", aggregation->config.front_name));
    set_file(arena, data, "requestheader-client-ca-file", aggregation->config.front_ca_file);
    for (size_t i = 0; i < ELEMENTSOF(headers); i++)
        value_set_str(arena, data, headers[i][0], headers[i][1]);
    value_set(arena, map, "data", data);
    _cleanup_buf_ Buf json = BUF_INIT(4 * PKI_FILE_MAX);
    value_write_json(&json, map);
    int r = bootstrap_ensure(aggregation->core, "", "v1", "configmaps", "kube-system", CONFIG_MAP, json.data, true);
    health_report(aggregation->config.health, HEALTH_TRUST_PUBLISHED, r == 0);
}

/* ---- the servers of others ---- */

typedef struct Job {
    Aggregation *aggregation;
    Entry *entry;
    ApiServiceList *list; /* a reference; service is in it */
    const ApiService *service;
} Job;

static void run_job(void *userdata) {
    Job *job = userdata;
    Aggregation *aggregation = job->aggregation;
    Entry *entry = job->entry;
    AggregationCheck check = {
        .config = api_http_config(aggregation->config.api),
        .store = aggregation->store,
        .service = job->service,
        .documents = entry->documents,
        .stopping = &aggregation->stopping,
    };
    bool good = aggregation_check(&check);
    pthread_mutex_lock(&aggregation->lock);
    entry->documents = check.documents;
    entry->busy = false;
    entry->backoff_ns = good ? 0
                             : MIN(MAX(2 * entry->backoff_ns, (uint64_t)AGGREGATION_BACKOFF_NS),
                                   AGGREGATION_RESYNC_SECONDS * NS_PER_SEC);
    entry->due_ns = now_monotonic_ns() + (good ? AGGREGATION_RESYNC_SECONDS * NS_PER_SEC : entry->backoff_ns);
    pthread_mutex_unlock(&aggregation->lock);
    api_service_list_unref(job->list);
    free(job);
    sem_post(&aggregation->wake);
}

/* Under the lock. */
static void look_at(Aggregation *aggregation, ApiServiceList *list, const ApiService *service, uint64_t *next_ns) {
    Entry *entry = strmap_get(aggregation->entries, service->name);
    uint64_t now = now_monotonic_ns(), hash = aggregation_service_hash(aggregation->store, service);
    if (!entry)
        strmap_put(aggregation->entries, service->name, entry = NEW0(Entry));
    entry->seen = true;
    if (entry->busy)
        return;
    if (entry->spec_hash != hash || now >= entry->due_ns) {
        Job *job = NEW(Job);
        *job = (Job){aggregation, entry, api_service_list_ref(list), service};
        entry->spec_hash = hash;
        entry->busy = true;
        if (pool_submit(aggregation->pool, run_job, job) == 0)
            return;
        entry->busy = false;
        entry->due_ns = now + AGGREGATION_BACKOFF_NS;
        api_service_list_unref(job->list);
        free(job);
    }
    *next_ns = MIN(*next_ns, entry->due_ns);
}

static void look_at_all(Aggregation *aggregation, ApiServiceList *list, uint64_t *next_ns) {
    const char *name, *gone[16];
    size_t n_gone = 0;
    Entry *entry;
    pthread_mutex_lock(&aggregation->lock);
    STRMAP_FOREACH (aggregation->entries, name, entry)
        entry->seen = false;
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].remote)
            look_at(aggregation, list, &list->items[i], next_ns);
    STRMAP_FOREACH (aggregation->entries, name, entry)
        if (!entry->seen && !entry->busy && n_gone < ELEMENTSOF(gone)) /* the rest next time */
            gone[n_gone++] = name;
    while (n_gone)
        strmap_remove(aggregation->entries, gone[--n_gone]);
    pthread_mutex_unlock(&aggregation->lock);
}

/* ---- the list that requests read ---- */

static uint64_t mix(uint64_t hash, uint64_t more) {
    uint64_t both[] = {hash, more};
    return hash_bytes(both, sizeof both);
}

static void publish(Aggregation *aggregation, Arena *arena, const Value *const *services, const ObjectList *objects) {
    ApiDocuments **documents = arena_alloc0(arena, (objects->n + 1) * sizeof *documents);
    uint64_t hash = objects->n;
    pthread_mutex_lock(&aggregation->lock);
    for (size_t i = 0; i < objects->n; i++) {
        Entry *entry = strmap_get(aggregation->entries, object_name(objects->items[i]));
        documents[i] = api_documents_ref(entry ? entry->documents : NULL);
        hash = mix(mix(hash, object_revision(objects->items[i])), (uint64_t)(uintptr_t)documents[i]);
    }
    pthread_mutex_unlock(&aggregation->lock);
    if (hash != aggregation->published) {
        api_services_set(aggregation->services, api_service_list_new(services, documents, objects->n));
        aggregation->published = hash;
    }
    for (size_t i = 0; i < objects->n; i++)
        api_documents_unref(documents[i]);
}

static int read_services(Aggregation *aggregation, Arena *arena, ObjectList *ret, const Value ***ret_trees) {
    _cleanup_api_error_ ApiError err = {0};
    int r = store_list(aggregation->store, &(ListQuery){.resource = aggregation->resource}, ret, &err);
    if (r < 0) {
        log_error("cannot read the APIServices: %s", str_or(err.message, strerror(-r)));
        return r;
    }
    const Value **trees = arena_alloc0(arena, (ret->n + 1) * sizeof *trees);
    for (size_t i = 0; i < ret->n; i++)
        trees[i] = object_value(ret->items[i], arena);
    *ret_trees = trees;
    return 0;
}

/* When to look again, in monotonic ns. */
static uint64_t sync_all(Aggregation *aggregation) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    uint64_t next = now_monotonic_ns() + AGGREGATION_RESYNC_SECONDS * NS_PER_SEC;
    for (bool again = true; again;) { /* once more after a write, to see it */
        _cleanup_object_list_ ObjectList objects = {0};
        const Value **services;
        int r = read_services(aggregation, arena, &objects, &services);
        health_report(aggregation->config.health, HEALTH_SERVICES_READ, r == 0);
        if (r < 0)
            return now_monotonic_ns() + NS_PER_SEC;
        again = !aggregation->registered && register_builtin(aggregation, services, &aggregation->registered);
        health_report(aggregation->config.health, HEALTH_GROUPS_REGISTERED, aggregation->registered);
        again |= register_custom(aggregation, arena, services);
        publish(aggregation, arena, services, &objects);
    }
    _cleanup_(api_service_list_unrefp) ApiServiceList *list = api_services_get(aggregation->services);
    aggregation->n_remote = 0;
    for (size_t i = 0; i < list->n; i++)
        aggregation->n_remote += list->items[i].remote;
    look_at_all(aggregation, list, &next);
    return next;
}

/* Commits wake us often: most of them are of other rows, or of services that no APIService names. */
static bool is_new(Aggregation *aggregation) {
    uint64_t services = store_changed_revision(aggregation->store, aggregation->resource),
             custom = custom_resources_generation(aggregation->custom);
    bool news = services != aggregation->seen_services || custom != aggregation->seen_custom || aggregation->n_remote;
    aggregation->seen_services = services;
    aggregation->seen_custom = custom;
    return news;
}

static void on_change(uint64_t rows, uint64_t revision, void *userdata) {
    Aggregation *aggregation = userdata;
    (void)revision;
    if (rows & aggregation->row_bits)
        sem_post(&aggregation->wake);
}

static void wait_until(Aggregation *aggregation, uint64_t due_ns) {
    uint64_t now = now_monotonic_ns(), wait = due_ns > now ? due_ns - now : 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait / NS_PER_SEC);
    until.tv_nsec += (long)(wait % NS_PER_SEC);
    if (until.tv_nsec >= (long)NS_PER_SEC) {
        until.tv_sec++;
        until.tv_nsec -= (long)NS_PER_SEC;
    }
    while (sem_clockwait(&aggregation->wake, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
        ;
    while (sem_trywait(&aggregation->wake) == 0)
        ;
}

static void *run(void *userdata) {
    Aggregation *aggregation = userdata;
    uint64_t due = now_monotonic_ns(), trust_due = due + AGGREGATION_RESYNC_SECONDS * NS_PER_SEC;
    while (!atomic_load(&aggregation->stopping)) {
        wait_until(aggregation, due);
        if (atomic_load(&aggregation->stopping))
            break;
        nanosleep(&(struct timespec){.tv_nsec = AGGREGATION_GATHER_NS}, NULL);
        bool custom = custom_resources_generation(aggregation->custom) != aggregation->seen_custom;
        if (is_new(aggregation) || now_monotonic_ns() >= due)
            due = sync_all(aggregation);
        if (custom) /* definitions are served and dropped a moment after their commit */
            due = MIN(due, now_monotonic_ns() + NS_PER_SEC);
        if (now_monotonic_ns() >= trust_due) {
            _cleanup_arena_ Arena *arena = arena_new(0);
            publish_trust(aggregation, arena);
            trust_due = now_monotonic_ns() + AGGREGATION_RESYNC_SECONDS * NS_PER_SEC;
        }
    }
    return NULL;
}

Aggregation *aggregation_start(const AggregationConfig *config) {
    static const char *const watched[][3] = {{"apiregistration.k8s.io", "v1", "apiservices"},
                                             {"", "v1", "services"},
                                             {"discovery.k8s.io", "v1", "endpointslices"},
                                             {"apiextensions.k8s.io", "v1", "customresourcedefinitions"}};
    _cleanup_arena_ Arena *arena = arena_new(0);
    Aggregation *aggregation = NEW0(Aggregation);
    aggregation->config = *config;
    aggregation->core = api_http_config(config->api)->core;
    aggregation->services = api_http_config(config->api)->services;
    aggregation->store = registry_store(api_core_registry(aggregation->core));
    aggregation->custom = registry_custom(api_core_registry(aggregation->core));
    aggregation->resource = resource_find("apiregistration.k8s.io", "v1", "apiservices");
    for (size_t i = 0; i < ELEMENTSOF(watched); i++)
        aggregation->row_bits |= store_row_bit(resource_find(watched[i][0], watched[i][1], watched[i][2]));
    aggregation->entries = strmap_new(entry_free);
    aggregation->pool = pool_new("aggregation", AGGREGATION_THREADS, 1024);
    pthread_mutex_init(&aggregation->lock, NULL);
    sem_init(&aggregation->wake, 0, 0);
    sync_all(aggregation);
    publish_trust(aggregation, arena);
    aggregation->listener = store_listen(aggregation->store, on_change, aggregation);
    int r = pthread_create(&aggregation->thread, NULL, run, aggregation);
    health_report(config->health, HEALTH_SERVICES_FOLLOWED, r == 0);
    if (r == 0)
        return aggregation;
    log_error("APIServices will not be followed: no thread: %s", strerror(r));
    aggregation->thread = 0;
    aggregation_stop(aggregation);
    return NULL;
}

void aggregation_stop(Aggregation *aggregation) {
    if (!aggregation)
        return;
    store_unlisten(aggregation->store, aggregation->listener);
    atomic_store(&aggregation->stopping, true);
    sem_post(&aggregation->wake);
    if (aggregation->thread)
        pthread_join(aggregation->thread, NULL);
    pool_free(aggregation->pool);
    strmap_free(aggregation->entries);
    pthread_mutex_destroy(&aggregation->lock);
    sem_destroy(&aggregation->wake);
    free(aggregation);
}
