#define LOG_COMPONENT "apiserver"
#include "apiserver/custom_definitions.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/crd_approval.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define FINALIZER "customresourcecleanup.apiextensions.k8s.io"

struct CustomDefinitions {
    Registry *registry;
    CustomResources *set;
    Health *health;
    StoreListener *listener;
    uint64_t row_bit;
    pthread_t thread;
    sem_t wake;
    atomic_bool stopping;
};

typedef struct Sync { /* one look at all definitions */
    CustomDefinitions *keeper;
    const Resource *resource;
    Arena *arena;
    Value **crds;
    size_t n;
    bool again; /* something is to be looked at later though nobody wrote */
} Sync;

static const char *text(const Value *v, const char *name) {
    return str_or(value_get_str(v, name), "");
}

/* ---- conditions ---- */

static Value *find_condition(const Value *crd, const char *type) {
    Value *condition;
    VALUE_FOREACH (condition, value_path(crd, "status", "conditions", NULL))
        if (streq(text(condition, "type"), type))
            return condition;
    return NULL;
}

static void set_condition(Sync *sync, Value *crd, const char *type, bool status, const char *reason,
                          const char *message) {
    char now[RFC3339_MAX];
    Value *conditions = value_ensure_array(sync->arena, value_ensure_object(sync->arena, crd, "status"), "conditions");
    Value *condition = find_condition(crd, type);
    const char *word = status ? "True" : "False";
    if (!condition) {
        condition = value_object(sync->arena);
        value_append(sync->arena, conditions, condition);
        value_set_str(sync->arena, condition, "type", type);
    }
    if (!streq(text(condition, "status"), word)) {
        value_set_str(sync->arena, condition, "status", word);
        value_set_str(sync->arena, condition, "lastTransitionTime", rfc3339_format(now_realtime_ns(), now));
    }
    value_set_str(sync->arena, condition, "reason", reason);
    value_set_str(sync->arena, condition, "message", message);
}

/* ---- names ---- */

/* Whether a definition of the same group has this name already. */
static bool is_taken(const Sync *sync, const Value *crd, const char *name, bool kind) {
    const char *group = text(value_get(crd, "spec"), "group");
    for (size_t i = 0; i < sync->n; i++) {
        const Value *accepted = value_path(sync->crds[i], "status", "acceptedNames", NULL);
        if (sync->crds[i] == crd || !streq(text(value_get(sync->crds[i], "spec"), "group"), group))
            continue;
        if (kind ? streq(text(accepted, "kind"), name) || streq(text(accepted, "listKind"), name)
                 : streq(text(accepted, "plural"), name) || streq(text(accepted, "singular"), name) ||
                       list_has(value_get(accepted, "shortNames"), name))
            return true;
    }
    return false;
}

static void accept_names(Sync *sync, Value *crd) {
    static const struct {
        const char *name, *reason;
        bool kind;
    } names[] = {{"plural", "PluralConflict", false},
                 {"singular", "SingularConflict", false},
                 {"kind", "KindConflict", true},
                 {"listKind", "ListKindConflict", true}};
    const Value *wanted = value_path(crd, "spec", "names", NULL), *item;
    Value *accepted =
        value_ensure_object(sync->arena, value_ensure_object(sync->arena, crd, "status"), "acceptedNames");
    const char *reason = NULL, *message = "";
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        const char *name = text(wanted, names[i].name);
        if (!streq(name, text(accepted, names[i].name)) && is_taken(sync, crd, name, names[i].kind)) {
            reason = names[i].reason;
            message = arena_printf(sync->arena, "\"%s\" is already in use", name);
        } else
            value_set_str(sync->arena, accepted, names[i].name, name);
    }
    bool short_ok = true;
    VALUE_FOREACH (item, value_get(wanted, "shortNames"))
        if (value_str(item) && !list_has(value_get(accepted, "shortNames"), value_str(item)) &&
            is_taken(sync, crd, value_str(item), false)) {
            reason = "ShortNamesConflict";
            message = arena_printf(sync->arena, "\"%s\" is already in use", value_str(item));
            short_ok = false;
        }
    if (short_ok)
        value_set(sync->arena, accepted, "shortNames", value_copy(sync->arena, value_get(wanted, "shortNames")));
    value_set(sync->arena, accepted, "categories", value_copy(sync->arena, value_get(wanted, "categories")));
    const Value *established = find_condition(crd, "Established");
    bool was = streq(text(established, "status"), "True");
    set_condition(sync, crd, "NamesAccepted", !reason, reason ? reason : "NoConflicts",
                  reason ? message : "no conflicts found");
    if (!was)
        set_condition(sync, crd, "Established", !reason, reason ? "NotAccepted" : "InitialNamesAccepted",
                      reason ? "not all names are accepted" : "the initial names have been accepted");
}

static void tell_approval(Sync *sync, Value *crd) {
    static const char *const reasons[] = {[CRD_APPROVAL_MISSING] = "MissingAnnotation",
                                          [CRD_APPROVAL_BYPASSED] = "UnapprovedAnnotation",
                                          [CRD_APPROVAL_GIVEN] = "ApprovedAnnotation",
                                          [CRD_APPROVAL_INVALID] = "InvalidAnnotation"};
    const char *message;
    CrdApproval approval = crd_approval(sync->arena, crd, &message);
    if (approval != CRD_APPROVAL_NOT_NEEDED)
        set_condition(sync, crd, "KubernetesAPIApprovalPolicyConformant", approval == CRD_APPROVAL_GIVEN,
                      reasons[approval], message);
}

/* ---- writes ---- */

static void track(Sync *sync, const Value *before, Value *crd) {
    ManagedInput input = {
        .schema = sync->resource->schema,
        .api_version = "apiextensions.k8s.io/v1",
        .manager = "kube-apiserver",
        .subresource = "status",
        .now_ns = now_realtime_ns(),
    };
    managed_update(sync->arena, &input, before, crd);
}

static int write_status(Sync *sync, const Object *old, const Value *before, Value *crd) {
    if (value_equal(before, crd))
        return 0;
    track(sync, before, crd);
    schema_normalize(sync->arena, sync->resource->schema, crd, NULL, NULL);
    schema_as_stored(sync->resource->schema, crd);
    _cleanup_object_ Object *made = object_from_value(sync->resource, crd);
    return store_update(registry_store(sync->keeper->registry), made, object_revision(old), NULL);
}

/* ---- the end of a definition ---- */

static int delete_objects(Sync *sync, const Value *crd, size_t *ret_left) {
    static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
    static const UserInfo user = {.name = "system:apiserver", .groups = groups};
    const Value *spec = value_get(crd, "spec");
    char *prefix = arena_printf(sync->arena, "%s/%s", text(spec, "group"), text(value_get(spec, "names"), "plural"));
    const Resource *row = custom_resources_stored(sync->keeper->set, prefix);
    *ret_left = 0;
    if (!row)
        return 0;
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_list_ ObjectList list = {0};
    Store *store = registry_store(sync->keeper->registry);
    int r = store_list(store, &(ListQuery){.resource = row}, &list, &err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        ApiRequest request = {.verb = API_DELETE,
                              .resource = row,
                              .ns = object_namespace(list.items[i]),
                              .name = object_name(list.items[i]),
                              .user = &user,
                              .arena = sync->arena};
        RegistryCall call;
        DeleteOptions options = {0};
        _cleanup_registry_result_ RegistryResult result = {0};
        _cleanup_api_error_ ApiError why = {0};
        registry_call_init(&call, sync->keeper->registry, &request);
        if (!object_is_deleting(list.items[i]))
            registry_delete(&call, request.ns, request.name, &options, &result, &why);
    }
    *ret_left = store_count(store, row);
    return r;
}

static void drop_finalizer(Sync *sync, Value *crd) {
    Value *meta = value_get(crd, "metadata"), *left = value_array(sync->arena), *item;
    VALUE_FOREACH (item, value_get(meta, "finalizers"))
        if (!streq_null(value_str(item), FINALIZER))
            value_append(sync->arena, left, item);
    value_set(sync->arena, meta, "finalizers", left->len ? left : NULL);
}

/* 1: it is gone. */
static int finish(Sync *sync, const Object *old, Value *crd) {
    Store *store = registry_store(sync->keeper->registry);
    Value *before = value_copy(sync->arena, crd);
    size_t left;
    int r = delete_objects(sync, crd, &left);
    if (r < 0 || left) {
        sync->again = true;
        set_condition(sync, crd, "Terminating", true, r < 0 ? "InstanceDeletionFailed" : "InstanceDeletionInProgress",
                      r < 0 ? "could not list instances" : "CustomResource deletion is in progress");
        return write_status(sync, old, before, crd);
    }
    set_condition(sync, crd, "Terminating", false, "InstanceDeletionCompleted", "removed all instances");
    drop_finalizer(sync, crd);
    if (value_len(value_path(crd, "metadata", "finalizers", NULL)))
        return write_status(sync, old, before, crd);
    r = store_delete(store, sync->resource, "", object_name(old), object_revision(old), NULL, NULL);
    return r < 0 ? r : 1;
}

static int look_at(Sync *sync, const Object *old, Value *crd) {
    if (value_path(crd, "metadata", "deletionTimestamp", NULL))
        return list_has(value_path(crd, "metadata", "finalizers", NULL), FINALIZER) ? finish(sync, old, crd) : 0;
    const Value *before = value_copy(sync->arena, crd);
    tell_approval(sync, crd);
    accept_names(sync, crd);
    return write_status(sync, old, before, crd);
}

/* Served before its status says so, so that who waits for Established finds it. */
static void sync_all(CustomDefinitions *keeper, bool *ret_again) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    Sync sync = {.keeper = keeper,
                 .resource = resource_find("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
                 .arena = arena};
    if (store_list(registry_store(keeper->registry), &(ListQuery){.resource = sync.resource}, &list, &err) < 0) {
        log_error("cannot read the custom resource definitions: %s", str_or(err.message, ""));
        *ret_again = true;
        health_report(keeper->health, HEALTH_DEFINITIONS_READ, false);
        return;
    }
    sync.n = list.n;
    sync.crds = arena_alloc0(arena, (list.n + 1) * sizeof *sync.crds);
    const Value **served = arena_alloc0(arena, (list.n + 1) * sizeof *served);
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++)
        sync.crds[i] = object_value(list.items[i], arena);
    for (size_t i = 0; i < list.n; i++) {
        Value *soon = value_copy(arena, sync.crds[i]);
        if (!value_path(soon, "metadata", "deletionTimestamp", NULL))
            accept_names(&(Sync){.keeper = keeper, .arena = arena, .crds = sync.crds, .n = sync.n}, soon);
        served[n++] = soon;
    }
    custom_resources_serve(keeper->set, served, n, now_monotonic_ns());
    health_report(keeper->health, HEALTH_DEFINITIONS_READ, true);
    bool gone = false;
    for (size_t i = 0; i < list.n; i++) {
        int r = look_at(&sync, list.items[i], sync.crds[i]);
        gone = gone || r == 1;
        if (r == 1)
            served[i] = value_object(arena);
        else if (r < 0 && r != -ESTALE && r != -ENOENT) {
            log_warn("custom resource definition %s: %s", object_name(list.items[i]), strerror(-r));
            sync.again = true;
        }
    }
    if (gone)
        custom_resources_serve(keeper->set, served, n, now_monotonic_ns());
    *ret_again = sync.again;
}

static void on_change(uint64_t rows, uint64_t revision, void *userdata) {
    CustomDefinitions *keeper = userdata;
    (void)revision;
    if (rows & keeper->row_bit)
        sem_post(&keeper->wake);
}

static void *run(void *userdata) {
    CustomDefinitions *keeper = userdata;
    const Resource *definitions = resource_find("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    bool again = true;
    uint64_t seen = 0;
    while (!atomic_load(&keeper->stopping)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += CUSTOM_DEFINITIONS_RETRY_SECONDS;
        int r = again ? sem_clockwait(&keeper->wake, CLOCK_MONOTONIC, &until) : sem_wait(&keeper->wake);
        if (r < 0 && errno == EINTR)
            continue;
        while (sem_trywait(&keeper->wake) == 0)
            ;
        uint64_t changed = store_changed_revision(registry_store(keeper->registry), definitions);
        if (atomic_load(&keeper->stopping) || (!again && changed == seen)) /* other rows share the bit */
            continue;
        seen = changed;
        sync_all(keeper, &again);
    }
    return NULL;
}

CustomDefinitions *custom_definitions_start(Registry *registry, CustomResources *set, Health *health) {
    CustomDefinitions *keeper = NEW0(CustomDefinitions);
    bool again;
    keeper->registry = registry;
    keeper->set = set;
    keeper->health = health;
    keeper->row_bit = store_row_bit(resource_find("apiextensions.k8s.io", "v1", "customresourcedefinitions"));
    sem_init(&keeper->wake, 0, 0);
    sync_all(keeper, &again);
    keeper->listener = store_listen(registry_store(registry), on_change, keeper);
    int r = pthread_create(&keeper->thread, NULL, run, keeper);
    health_report(health, HEALTH_DEFINITIONS_FOLLOWED, r == 0);
    if (r == 0)
        return keeper;
    log_error("custom resource definitions will not be followed: no thread: %s", strerror(r));
    store_unlisten(registry_store(registry), keeper->listener);
    sem_destroy(&keeper->wake);
    free(keeper);
    return NULL;
}

void custom_definitions_stop(CustomDefinitions *keeper) {
    if (!keeper)
        return;
    store_unlisten(registry_store(keeper->registry), keeper->listener);
    atomic_store(&keeper->stopping, true);
    sem_post(&keeper->wake);
    pthread_join(keeper->thread, NULL);
    sem_destroy(&keeper->wake);
    free(keeper);
}
