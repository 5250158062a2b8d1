/* ReplicaSets, and ReplicationControllers, which are the same loop over another kind: as many pods as asked for. */
#define LOG_COMPONENT "replicaset"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/claim.h"
#include "controllers/expectations.h"
#include "controllers/meta.h"
#include "controllers/pods.h"

#include <errno.h>

#define BURST_REPLICAS 500 /* the reference's BurstReplicas: pods made or deleted in one sync */
#define SYNC_WORKERS 4

typedef struct ReplicaSets {
    const Resource *resource;
    bool has_terminating; /* status.terminatingReplicas */
    Client *client;
    EventRecorder *events;
    Informer *sets, *pods;
    WorkQueue *queue;
    Expectations *expectations;
} ReplicaSets;

/* One sync's view. */
typedef struct Sync {
    ReplicaSets *all;
    const char *key;
    Arena *arena;
    Object *set;
    Value *value, *spec;
    Selector *selector;
    PodInfo *active; /* in the arena */
    size_t n_active, n_terminating;
    int64_t replicas, min_ready;
    int manage_result;
    char *manage_message; /* in the arena */
} Sync;

/* ---- pods up and down ---- */

static int create_one(Sync *sync) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    ReplicaSets *all = sync->all;
    Value *pod = pod_from_template(sync->arena, value_get(sync->spec, "template"), sync->set, NULL);
    int r = pod_create(all->client, all->events, sync->set, pod, &created, &err);
    if (r >= 0) {
        expectations_wrote(all->expectations, sync->key, created);
        return 0;
    }
    if (error_is_namespace_terminating(&err))
        return 0;
    sync->manage_message = arena_strdup(sync->arena, err.message);
    return r;
}

/* In batches that double as they succeed: what fails for one pod (a quota) is not tried for hundreds. */
static int create_pods(Sync *sync, int64_t count) {
    int64_t batch = 1;
    while (count > 0) {
        int result = 0;
        batch = MIN(batch, count);
        for (int64_t i = 0; i < batch; i++) {
            int r = create_one(sync);
            if (r < 0)
                result = r;
        }
        if (result < 0)
            return result;
        count -= batch;
        batch *= 2;
    }
    return 0;
}

/* Ranks pods by how many of their group (the same set, or sets of the same owner) run on their node. */
static void rank_pods(Sync *sync) {
    ReplicaSets *all = sync->all;
    ClientList sets = {0};
    const OwnerRef *owner = object_controller(sync->set);
    if (owner)
        informer_list_controlled(all->sets, owner->uid, &sets);
    else {
        sets.items = xreallocn(NULL, 1, sizeof(*sets.items));
        sets.items[sets.n++] = object_ref(sync->set);
    }
    for (size_t i = 0; i < sets.n; i++) {
        ClientList pods = {0};
        informer_list_controlled(all->pods, object_uid(sets.items[i]), &pods);
        for (size_t k = 0; k < pods.n; k++) {
            const char *phase = str_or(object_field(pods.items[k], "status.phase"), "");
            const char *node = str_or(object_field(pods.items[k], "spec.nodeName"), "");
            if (object_is_deleting(pods.items[k]) || pod_is_finished(phase))
                continue;
            for (size_t a = 0; a < sync->n_active; a++)
                if (streq(sync->active[a].node, node))
                    sync->active[a].rank++;
        }
        client_list_done(&pods);
    }
    client_list_done(&sets);
}

static int delete_pods(Sync *sync, int64_t count) {
    int result = 0;
    if (count < (int64_t)sync->n_active) {
        rank_pods(sync);
        pod_deletion_sort(sync->active, sync->n_active, now_realtime_ns());
    }
    for (int64_t i = 0; i < count; i++) {
        _cleanup_api_error_ ApiError err = {0};
        Object *pod = sync->active[i].object;
        int r = pod_delete(sync->all->client, sync->all->events, sync->set, object_name(pod), &err);
        if (r >= 0)
            expectations_deleted(sync->all->expectations, sync->key, pod);
        else if (r != -ENOENT) {
            sync->manage_message =
                arena_printf(sync->arena, "unable to delete pods: %s", err.message ? err.message : strerror(-r));
            result = r;
        }
    }
    return result;
}

static int manage_replicas(Sync *sync) {
    int64_t diff = (int64_t)sync->n_active - sync->replicas;
    if (diff < 0)
        return create_pods(sync, MIN(-diff, (int64_t)BURST_REPLICAS));
    if (diff > 0)
        return delete_pods(sync, MIN(diff, (int64_t)BURST_REPLICAS));
    return 0;
}

/* ---- status ---- */

static bool has_template_labels(const Sync *sync, const Object *pod) {
    VALUE_FOREACH_MEMBER (label, value_path(sync->spec, "template", "metadata", "labels", NULL)) {
        const char *value = object_label(pod, label->name);
        if (!value || !streq_null(value, value_str(label->value)))
            return false;
    }
    return true;
}

static void set_failure_condition(Sync *sync, Value *status) {
    Value *conditions = value_get(status, "conditions");
    const Value *failure = meta_condition(conditions, "ReplicaFailure");
    if (sync->manage_result < 0 && !failure) {
        int64_t diff = (int64_t)sync->n_active - sync->replicas;
        const char *reason = diff < 0 ? "FailedCreate" : diff > 0 ? "FailedDelete" : "";
        value_append(sync->arena, value_ensure_array(sync->arena, status, "conditions"),
                     condition_new(sync->arena, "ReplicaFailure", "True", reason, sync->manage_message));
    } else if (sync->manage_result >= 0 && failure)
        condition_remove(conditions, "ReplicaFailure");
}

/* *ret_next_ns: when availability has to be looked at again; 0: not. */
static Value *new_status(Sync *sync, int64_t *ret_next_ns) {
    Arena *arena = sync->arena;
    int64_t ready = 0, available = 0, labelled = 0, now = now_realtime_ns(), next = 0, wait;
    for (size_t i = 0; i < sync->n_active; i++) {
        const PodInfo *pod = &sync->active[i];
        labelled += has_template_labels(sync, pod->object);
        ready += pod->ready;
        available += pod_is_available(pod, sync->min_ready, now, &wait);
        if (wait && (next == 0 || wait < next))
            next = wait;
    }
    Value *status = value_copy(arena, value_get(sync->value, "status"));
    if (!value_is(status, VALUE_OBJECT))
        status = value_object(arena);
    set_failure_condition(sync, status);
    value_set_int(arena, status, "replicas", (int64_t)sync->n_active);
    value_set(arena, status, "fullyLabeledReplicas", labelled ? value_int(arena, labelled) : NULL);
    value_set(arena, status, "readyReplicas", ready ? value_int(arena, ready) : NULL);
    value_set(arena, status, "availableReplicas", available ? value_int(arena, available) : NULL);
    if (sync->all->has_terminating)
        value_set_int(arena, status, "terminatingReplicas", (int64_t)sync->n_terminating);
    value_set_int(arena, status, "observedGeneration",
                  value_get_int(value_get(sync->value, "metadata"), "generation", 0));
    if (value_is_empty(value_get(status, "conditions")))
        value_remove(status, "conditions");
    *ret_next_ns = next;
    return status;
}

static int write_status(Sync *sync, Value *status) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *live = NULL;
    ReplicaSets *all = sync->all;
    if (value_equal(status, value_get(sync->value, "status")))
        return 0;
    const char *ns = object_namespace(sync->set), *name = object_name(sync->set);
    value_set(sync->arena, sync->value, "status", status);
    int r = client_update(all->client, all->resource, ns, name, "status", sync->value, NULL, &err);
    if (r != -ESTALE)
        return r == -ENOENT ? 0 : r;
    /* Once more over what is there now, as the reference. */
    r = client_get(all->client, all->resource, ns, name, &live, NULL);
    if (r < 0 || !streq(object_uid(live), object_uid(sync->set)))
        return r == -ENOENT ? 0 : r;
    Value *fresh = object_value(live, sync->arena);
    value_set(sync->arena, fresh, "status", status);
    return client_update(all->client, all->resource, ns, name, "status", fresh, NULL, NULL);
}

/* ---- the sync ---- */

static int read_pods(Sync *sync) {
    _cleanup_client_list_ ClientList owned = {0};
    ReplicaSets *all = sync->all;
    Claim claim = {.client = all->client, .informer = all->pods, .owner = sync->set, .selector = sync->selector};
    int r = claim_owned(&claim, &owned);
    if (r < 0)
        return r;
    sync->active = arena_alloc0(sync->arena, (owned.n + 1) * sizeof(PodInfo));
    for (size_t i = 0; i < owned.n; i++) {
        PodInfo *info = &sync->active[sync->n_active];
        pod_info_read(owned.items[i], info);
        if (pod_is_active(info)) {
            object_ref(owned.items[i]);
            sync->n_active++;
        } else if (info->deleting && !pod_is_finished(info->phase))
            sync->n_terminating++;
    }
    return 0;
}

static int sync_set(Sync *sync) {
    ReplicaSets *all = sync->all;
    bool satisfied = expectations_satisfied(all->expectations, sync->key);
    int64_t next;
    sync->value = object_value(sync->set, sync->arena);
    sync->spec = value_get(sync->value, "spec");
    sync->replicas = value_get_int(sync->spec, "replicas", 1);
    sync->min_ready = value_get_int(sync->spec, "minReadySeconds", 0);
    sync->selector = controller_selector(all->resource, sync->spec);
    if (!sync->selector)
        return 0;
    int r = read_pods(sync);
    if (r < 0)
        return r;
    if (!satisfied)
        workqueue_add_after(all->queue, sync->key, EXPECTATIONS_RETRY_NS);
    else if (!object_is_deleting(sync->set))
        sync->manage_result = manage_replicas(sync);
    r = write_status(sync, new_status(sync, &next));
    if (r < 0)
        return r;
    if (sync->manage_result < 0)
        return sync->manage_result;
    if (next > 0)
        workqueue_add_after(all->queue, sync->key, (uint64_t)next);
    return 0;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    ReplicaSets *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    Sync sync = {.all = all, .key = key, .arena = arena, .set = informer_lookup(all->sets, parts.ns, parts.name)};
    if (!sync.set) {
        expectations_forget(all->expectations, key);
        return 0;
    }
    int r = sync_set(&sync);
    if (r < 0)
        log_debug("sync of %s %s: %s", all->resource->kind, key, strerror(-r));
    for (size_t i = 0; i < sync.n_active; i++)
        object_unref(sync.active[i].object);
    selector_free(sync.selector);
    object_unref(sync.set);
    return r;
}

static void *init_for(Controller *controller, const char *group, const char *plural, const char *component,
                      const char *queue) {
    ReplicaSets *all = NEW0(ReplicaSets);
    const char *version = "v1";
    all->resource = resource_find(group, version, plural);
    all->has_terminating = *group != 0;
    all->client = controller_client(controller);
    all->events = controller_events(controller, component);
    all->sets = controller_informer(controller, group, version, plural);
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->queue = controller_queue(controller, queue, SYNC_WORKERS, sync_key, all);
    all->expectations = expectations_new(all->pods);
    controller_watch(all->sets, all->queue);
    controller_watch_owned(controller, all->pods, all->sets, all->queue);
    return all;
}

static void *init_replicasets(Controller *controller) {
    return init_for(controller, "apps", "replicasets", "replicaset-controller", "replicaset");
}

static void *init_replication_controllers(Controller *controller) {
    return init_for(controller, "", "replicationcontrollers", "replication-controller", "replicationmanager");
}

static void free_all(void *data) {
    ReplicaSets *all = data;
    expectations_free(all->expectations);
    free(all);
}

const ControllerRow controller_replicaset = {
    .name = "replicaset-controller", .init = init_replicasets, .free = free_all};
const ControllerRow controller_replicationcontroller = {.name = "replicationcontroller-controller",
                                                        .account = "replication-controller",
                                                        .init = init_replication_controllers,
                                                        .free = free_all};
