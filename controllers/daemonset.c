/* DaemonSets: one pod on each node that admits it. The pods go through the scheduler, pinned to their node by affinity.
 */
#define LOG_COMPONENT "daemonset"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/claim.h"
#include "controllers/expectations.h"
#include "controllers/meta.h"
#include "api/node_affinity.h"
#include "controllers/pods.h"
#include "controllers/revisions.h"
#include "controllers/taints.h"

#include <errno.h>

#define BURST 250 /* the reference's BurstReplicas */
#define HASH_LABEL "controller-revision-hash"
/* A pod that fails at once is not replaced faster than this (the reference backs off from 1 s to 15 min a node). */
#define FAILED_POD_AGE_NS ((int64_t)(10 * NS_PER_SEC))

typedef struct DaemonSets {
    Client *client;
    EventRecorder *events;
    Informer *sets, *pods, *nodes, *revisions;
    WorkQueue *queue;
    Expectations *expectations;
} DaemonSets;

typedef struct DaemonPod {
    PodInfo info; /* holds a reference */
    const char *node, *hash;
} DaemonPod;

typedef struct DaemonNode {
    Object *object;
    bool should_run, should_continue;
    DaemonPod *new_pod, *old_pod; /* the oldest of each that is not being deleted */
    bool has_pod;                 /* of any state */
} DaemonNode;

typedef struct Sync {
    DaemonSets *all;
    const char *key;
    Arena *arena;
    Object *set;
    Value *value, *spec;
    ClientList node_list;
    DaemonNode *nodes;
    DaemonPod *pods;
    size_t n_pods;
    Revisions revisions;
    const char *hash;
    int64_t min_ready, now_ns;
    size_t created, deleted;
} Sync;

/* ---- events ---- */

static void enqueue_all(DaemonSets *all) {
    _cleanup_client_list_ ClientList sets = {0};
    informer_list(all->sets, NULL, NULL, &sets);
    for (size_t i = 0; i < sets.n; i++)
        controller_enqueue(all->queue, sets.items[i]);
}

static void node_changed(_unused_ Object *node, void *userdata) {
    enqueue_all(userdata);
}

/* Heartbeats come often and change nothing here: labels and spec.taints do. */
static bool placement_differs(const Object *a, const Object *b) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *x = object_value(a, arena), *y = object_value(b, arena);
    return !value_equal(value_get(x, "spec"), value_get(y, "spec")) ||
           !value_equal(value_path(x, "metadata", "labels", NULL), value_path(y, "metadata", "labels", NULL));
}

static void node_updated(Object *old, Object *node, void *userdata) {
    if (placement_differs(old, node))
        enqueue_all(userdata);
}

/* ---- placement ---- */

static void add_toleration(Arena *arena, Value *spec, const char *key, const char *effect) {
    Value *toleration = value_object(arena);
    value_set_str(arena, toleration, "key", key);
    value_set_str(arena, toleration, "operator", "Exists");
    value_set_str(arena, toleration, "effect", effect);
    value_append(arena, value_ensure_array(arena, spec, "tolerations"), toleration);
}

/* AddOrUpdateDaemonPodTolerations */
static void add_tolerations(Arena *arena, Value *spec) {
    add_toleration(arena, spec, TAINT_NOT_READY, "NoExecute");
    add_toleration(arena, spec, TAINT_UNREACHABLE, "NoExecute");
    add_toleration(arena, spec, "node.kubernetes.io/disk-pressure", "NoSchedule");
    add_toleration(arena, spec, "node.kubernetes.io/memory-pressure", "NoSchedule");
    add_toleration(arena, spec, "node.kubernetes.io/pid-pressure", "NoSchedule");
    add_toleration(arena, spec, "node.kubernetes.io/unschedulable", "NoSchedule");
    if (value_get_bool(spec, "hostNetwork", false))
        add_toleration(arena, spec, "node.kubernetes.io/network-unavailable", "NoSchedule");
}

static bool tolerates_all(const Value *taints, const Value *tolerations, bool no_execute_only) {
    Value *taint, *toleration;
    VALUE_FOREACH (taint, taints) {
        const char *effect = str_or(value_get_str(taint, "effect"), "");
        bool tolerated = streq(effect, "PreferNoSchedule") || (no_execute_only && !streq(effect, "NoExecute"));
        VALUE_FOREACH (toleration, tolerations)
            tolerated |= toleration_tolerates(toleration, taint);
        if (!tolerated)
            return false;
    }
    return true;
}

static void judge_node(const Value *pod_spec, DaemonNode *node) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *pinned = value_get_str(pod_spec, "nodeName");
    const Value *taints = value_path(object_value(node->object, arena), "spec", "taints", NULL);
    const Value *tolerations = value_get(pod_spec, "tolerations");
    if ((!str_empty(pinned) && !streq(pinned, object_name(node->object))) ||
        !node_affinity_admits(pod_spec, node->object))
        return;
    node->should_run = tolerates_all(taints, tolerations, false);
    node->should_continue = node->should_run || tolerates_all(taints, tolerations, true);
}

/* ReplaceDaemonSetPodNodeNameNodeAffinity: the required terms become one that names the node. */
static void pin_to_node(Arena *arena, Value *spec, const char *node) {
    Value *field = value_object(arena), *term = value_object(arena), *required = value_object(arena);
    value_set_str(arena, field, "key", "metadata.name");
    value_set_str(arena, field, "operator", "In");
    value_append(arena, value_ensure_array(arena, field, "values"), value_string(arena, node));
    value_append(arena, value_ensure_array(arena, term, "matchFields"), field);
    value_append(arena, value_ensure_array(arena, required, "nodeSelectorTerms"), term);
    Value *affinity = value_ensure_object(arena, spec, "affinity");
    value_set(arena, value_ensure_object(arena, affinity, "nodeAffinity"),
              "requiredDuringSchedulingIgnoredDuringExecution", required);
}

/* The node that a pod is bound to, or is pinned to. */
static const char *target_node(Arena *arena, const Object *pod) {
    const char *bound = object_field(pod, "spec.nodeName");
    if (!str_empty(bound))
        return bound;
    const Value *terms = value_path(object_value(pod, arena), "spec", "affinity", "nodeAffinity",
                                    "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", NULL);
    const Value *field = value_at(value_get(value_at(terms, 0), "matchFields"), 0);
    return str_or(value_str(value_at(value_get(field, "values"), 0)), "");
}

/* ---- pods up and down ---- */

static int create_on(Sync *sync, const DaemonNode *node) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    Arena *arena = sync->arena;
    Value *pod = pod_from_template(arena, value_get(sync->spec, "template"), sync->set, NULL),
          *spec = value_get(pod, "spec");
    if (sync->created >= BURST)
        return 0;
    value_set_str(arena, value_ensure_object(arena, value_get(pod, "metadata"), "labels"), HASH_LABEL, sync->hash);
    add_tolerations(arena, spec);
    pin_to_node(arena, spec, object_name(node->object));
    int r = pod_create(sync->all->client, sync->all->events, sync->set, pod, &created, &err);
    if (r < 0)
        return error_is_namespace_terminating(&err) ? 0 : r;
    expectations_wrote(sync->all->expectations, sync->key, created);
    sync->created++;
    return 0;
}

static int delete_one(Sync *sync, const DaemonPod *pod) {
    _cleanup_api_error_ ApiError err = {0};
    if (sync->deleted >= BURST || pod->info.deleting)
        return 0;
    int r = pod_delete(sync->all->client, sync->all->events, sync->set, object_name(pod->info.object), &err);
    if (r >= 0)
        expectations_deleted(sync->all->expectations, sync->key, pod->info.object);
    sync->deleted++;
    return r == -ENOENT ? 0 : r;
}

static int delete_finished(Sync *sync, const DaemonPod *pod, const char *node) {
    const Object *object = pod->info.object;
    if (streq(pod->info.phase, "Failed"))
        event_record(sync->all->events, sync->set, NULL, "Warning", "FailedDaemonPod",
                     "Found failed daemon pod %s/%s on node %s, will try to kill it", object_namespace(object),
                     object_name(object), node);
    else
        event_record(sync->all->events, sync->set, NULL, "Normal", "SucceededDaemonPod",
                     "Found succeeded daemon pod %s/%s on node %s, will try to delete it", object_namespace(object),
                     object_name(object), node);
    return delete_one(sync, pod);
}

static int manage_node(Sync *sync, DaemonNode *node, int64_t max_surge) {
    const char *name = object_name(node->object);
    if (node->should_run && !node->has_pod)
        return create_on(sync, node);
    for (size_t i = 0; i < sync->n_pods; i++) {
        DaemonPod *pod = &sync->pods[i];
        int r = 0;
        if (!streq(pod->node, name) || pod->info.deleting)
            continue;
        if (!node->should_continue)
            r = delete_one(sync, pod);
        else if (pod_is_finished(pod->info.phase)) {
            int64_t wait = pod->info.created_ns + FAILED_POD_AGE_NS - sync->now_ns;
            if (streq(pod->info.phase, "Failed") && wait > 0)
                workqueue_add_after(sync->all->queue, sync->key, (uint64_t)wait);
            else
                r = delete_finished(sync, pod, name);
        } else if (pod != node->new_pod && pod != node->old_pod)
            r = delete_one(sync, pod); /* one too many */
        if (r < 0)
            return r;
    }
    if (!node->new_pod || !node->old_pod || !node->should_continue)
        return 0;
    /* Two at once: with surge the old one goes when the new one serves (or it itself does not); without, at once. */
    bool replace = max_surge == 0 || !node->old_pod->info.ready ||
                   pod_is_available(&node->new_pod->info, sync->min_ready, sync->now_ns, NULL);
    return replace ? delete_one(sync, node->old_pod) : 0;
}

static void rolling_limits(const Sync *sync, int64_t desired, int64_t *surge, int64_t *unavailable) {
    const Value *rolling = value_path(sync->spec, "updateStrategy", "rollingUpdate", NULL);
    *surge = int_or_percent(value_get(rolling, "maxSurge"), desired, true, 0);
    *unavailable = int_or_percent(value_get(rolling, "maxUnavailable"), desired, true, 1);
    if (*surge == 0 && *unavailable == 0)
        *unavailable = 1;
}

static bool available(const Sync *sync, const DaemonPod *pod) {
    return pod && pod_is_available(&pod->info, sync->min_ready, sync->now_ns, NULL);
}

static int roll(Sync *sync, int64_t surge, int64_t unavailable) {
    int64_t used = 0;
    int r = 0;
    for (size_t i = 0; i < sync->node_list.n; i++) {
        const DaemonNode *node = &sync->nodes[i];
        if (!node->should_run)
            continue;
        if (surge > 0)
            used += node->new_pod && !available(sync, node->new_pod) && node->old_pod;
        else
            used += !available(sync, node->new_pod ? node->new_pod : node->old_pod);
    }
    for (size_t i = 0; i < sync->node_list.n && r >= 0; i++) {
        DaemonNode *node = &sync->nodes[i];
        if (!node->should_run || !node->old_pod || node->new_pod)
            continue;
        bool free = !available(sync, node->old_pod); /* replacing it costs nothing */
        if (!free && used >= (surge > 0 ? surge : unavailable))
            continue;
        used += !free;
        r = surge > 0 ? create_on(sync, node) : delete_one(sync, node->old_pod);
    }
    return r;
}

/* ---- reading ---- */

static int compare_age(const void *a, const void *b) {
    const DaemonPod *x = a, *y = b;
    if (x->info.created_ns != y->info.created_ns)
        return x->info.created_ns < y->info.created_ns ? -1 : 1;
    return strcmp(object_name(x->info.object), object_name(y->info.object));
}

static int read_pods(Sync *sync) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList owned = {0};
    label_selector_from_value(value_get(sync->spec, "selector"), &selector);
    Claim claim = {.client = sync->all->client, .informer = sync->all->pods, .owner = sync->set, .selector = selector};
    int r = claim_owned(&claim, &owned);
    if (r < 0)
        return r;
    sync->pods = arena_alloc0(sync->arena, (owned.n + 1) * sizeof(DaemonPod));
    for (size_t i = 0; i < owned.n; i++) {
        DaemonPod *pod = &sync->pods[sync->n_pods++];
        pod_info_read(owned.items[i], &pod->info);
        object_ref(owned.items[i]);
        pod->node = target_node(sync->arena, owned.items[i]);
        pod->hash = str_or(object_label(owned.items[i], HASH_LABEL), "");
    }
    qsort(sync->pods, sync->n_pods, sizeof(*sync->pods), compare_age);
    return 0;
}

static void read_nodes(Sync *sync) {
    Value *spec = value_copy(sync->arena, value_path(sync->spec, "template", "spec", NULL));
    add_tolerations(sync->arena, spec);
    informer_list(sync->all->nodes, NULL, NULL, &sync->node_list);
    sync->nodes = arena_alloc0(sync->arena, (sync->node_list.n + 1) * sizeof(DaemonNode));
    for (size_t i = 0; i < sync->node_list.n; i++) {
        DaemonNode *node = &sync->nodes[i];
        node->object = sync->node_list.items[i];
        judge_node(spec, node);
        for (size_t k = 0; k < sync->n_pods; k++) {
            DaemonPod *pod = &sync->pods[k];
            if (!streq(pod->node, object_name(node->object)))
                continue;
            node->has_pod = true;
            if (pod->info.deleting || pod_is_finished(pod->info.phase))
                continue;
            DaemonPod **slot = streq(pod->hash, sync->hash) ? &node->new_pod : &node->old_pod;
            if (!*slot)
                *slot = pod;
        }
    }
}

/* ---- status ---- */

static int write_status(Sync *sync) {
    Arena *arena = sync->arena;
    int64_t desired = 0, current = 0, misscheduled = 0, ready = 0, updated = 0, n_available = 0;
    for (size_t i = 0; i < sync->node_list.n; i++) {
        const DaemonNode *node = &sync->nodes[i];
        const DaemonPod *pod = node->old_pod ? node->old_pod : node->new_pod;
        desired += node->should_run;
        current += node->should_run && node->has_pod;
        misscheduled += !node->should_run && node->has_pod;
        if (!node->should_run || !pod)
            continue;
        ready += pod->info.ready;
        n_available += available(sync, pod);
        updated += streq(pod->hash, sync->hash);
    }
    const Value *old = value_get(sync->value, "status");
    Value *status = value_object(arena);
    value_set_int(arena, status, "currentNumberScheduled", current);
    value_set_int(arena, status, "numberMisscheduled", misscheduled);
    value_set_int(arena, status, "desiredNumberScheduled", desired);
    value_set_int(arena, status, "numberReady", ready);
    value_set_int(arena, status, "observedGeneration",
                  value_get_int(value_get(sync->value, "metadata"), "generation", 0));
    if (updated)
        value_set_int(arena, status, "updatedNumberScheduled", updated);
    if (n_available)
        value_set_int(arena, status, "numberAvailable", n_available);
    if (desired - n_available)
        value_set_int(arena, status, "numberUnavailable", desired - n_available);
    if (sync->revisions.collisions >= 0)
        value_set_int(arena, status, "collisionCount", sync->revisions.collisions);
    if (value_get(old, "conditions"))
        value_set(arena, status, "conditions", value_copy(arena, value_get(old, "conditions")));
    if (sync->min_ready > 0 && ready != n_available)
        workqueue_add_after(sync->all->queue, sync->key, (uint64_t)sync->min_ready * NS_PER_SEC);
    if (old && value_equal(old, status))
        return 0;
    value_set(arena, sync->value, "status", status);
    int r = client_update(sync->all->client, object_resource(sync->set), object_namespace(sync->set),
                          object_name(sync->set), "status", sync->value, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

/* ---- the sync ---- */

static bool revision_in_use(const Revision *revision, void *userdata) {
    const Sync *sync = userdata;
    for (size_t i = 0; i < sync->n_pods; i++)
        if (streq(sync->pods[i].hash, revision->hash))
            return true;
    return false;
}

static int act(Sync *sync) {
    int64_t desired = 0, surge, unavailable;
    const char *strategy = str_or(value_get_str(value_get(sync->spec, "updateStrategy"), "type"), "RollingUpdate");
    bool rolling = streq(strategy, "RollingUpdate");
    for (size_t i = 0; i < sync->node_list.n; i++)
        desired += sync->nodes[i].should_run;
    rolling_limits(sync, desired, &surge, &unavailable);
    int r = 0;
    for (size_t i = 0; i < sync->node_list.n && r >= 0; i++)
        r = manage_node(sync, &sync->nodes[i], rolling ? surge : 0);
    if (r >= 0 && rolling && sync->created + sync->deleted == 0)
        r = roll(sync, surge, unavailable);
    if (r >= 0)
        r = revisions_trim(sync->all->client, &sync->revisions, value_get_int(sync->spec, "revisionHistoryLimit", 10),
                           revision_in_use, sync);
    return r;
}

static int sync_set(Sync *sync) {
    DaemonSets *all = sync->all;
    sync->value = object_value(sync->set, sync->arena);
    sync->spec = value_get(sync->value, "spec");
    sync->min_ready = value_get_int(sync->spec, "minReadySeconds", 0);
    sync->now_ns = now_realtime_ns();
    if (value_len(value_get(sync->spec, "selector")) == 0) {
        event_record(all->events, sync->set, NULL, "Warning", "SelectingAll",
                     "This daemon set is selecting all pods. A non-empty selector is required.");
        return 0;
    }
    if (object_is_deleting(sync->set))
        return 0;
    int64_t collisions = value_get_int(value_get(sync->value, "status"), "collisionCount", -1);
    int r = revisions_sync(&revisions_of_daemonset, all->client, all->revisions, sync->arena, sync->set, sync->value,
                           collisions, &sync->revisions);
    if (r < 0)
        return r;
    sync->hash = sync->revisions.current->hash;
    r = read_pods(sync);
    if (r < 0)
        return r;
    read_nodes(sync);
    int acted = act(sync);
    r = write_status(sync);
    return acted < 0 ? acted : r;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    DaemonSets *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *set = informer_lookup(all->sets, parts.ns, parts.name);
    if (!set) {
        expectations_forget(all->expectations, key);
        return 0;
    }
    if (!expectations_satisfied(all->expectations, key)) {
        workqueue_add_after(all->queue, key, EXPECTATIONS_RETRY_NS);
        return 0;
    }
    Sync sync = {.all = all, .key = key, .arena = arena, .set = set};
    int r = sync_set(&sync);
    for (size_t i = 0; i < sync.n_pods; i++)
        object_unref(sync.pods[i].info.object);
    client_list_done(&sync.node_list);
    revisions_done(&sync.revisions);
    if (r < 0)
        log_debug("sync of %s: %s", key, strerror(-r));
    return r;
}

static void *init(Controller *controller) {
    DaemonSets *all = NEW0(DaemonSets);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "daemonset-controller");
    all->sets = controller_informer(controller, "apps", "v1", "daemonsets");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->nodes = controller_informer(controller, "", "v1", "nodes");
    all->revisions = controller_informer(controller, "apps", "v1", "controllerrevisions");
    all->expectations = expectations_new(all->pods);
    all->queue = controller_queue(controller, "daemonset", 2, sync_key, all);
    controller_watch(all->sets, all->queue);
    controller_watch_owned(controller, all->pods, all->sets, all->queue);
    informer_add_handler(all->nodes, &(InformerHandler){node_changed, node_updated, node_changed}, all);
    return all;
}

static void free_all(void *data) {
    expectations_free(((DaemonSets *)data)->expectations);
    free(data);
}

const ControllerRow controller_daemonset = {.name = "daemonset-controller", .init = init, .free = free_all};
