/* Node health: a node that renews neither its Lease nor its status for the grace period becomes Unknown; conditions
 * become taints; NoExecute taints (which the taint eviction controller acts on) are given one node at a time, and to
 * none while no node at all is ready: then it is this side that is cut off. */
#define LOG_COMPONENT "node-lifecycle"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/meta.h"
#include "controllers/taints.h"

#include <errno.h>
#include <pthread.h>

#define TAINT_EVERY_NS (10 * NS_PER_SEC) /* --node-eviction-rate 0.1 a second, in each zone */

typedef struct Health { /* what was last heard of a node */
    uint64_t probe_ns;  /* monotonic: when it last gave a sign */
    char *heartbeat, *renewed;
} Health;

typedef struct Lifecycle {
    Client *client;
    EventRecorder *events;
    Informer *nodes, *leases, *pods;
    WorkQueue *queue;
    uint64_t grace_ns, startup_grace_ns, period_ns;
    pthread_mutex_t lock;
    StrMap *health;     /* by node */
    StrMap *zone_since; /* zone to the monotonic time of its last NoExecute taint (uint64_t *) */
} Lifecycle;

static void health_free(void *p) {
    Health *health = p;
    free(health->heartbeat);
    free(health->renewed);
    free(health);
}

static void node_added(Object *node, void *userdata) {
    Lifecycle *all = userdata;
    event_record(all->events, node, NULL, "Normal", "RegisteredNode", "Node %s event: Registered Node %s in Controller",
                 object_name(node), object_name(node));
    workqueue_add(all->queue, object_name(node));
}

static void node_updated(_unused_ Object *old, Object *node, void *userdata) {
    workqueue_add(((Lifecycle *)userdata)->queue, object_name(node));
}

static void node_deleted(Object *node, void *userdata) {
    Lifecycle *all = userdata;
    event_record(all->events, node, NULL, "Normal", "RemovingNode", "Node %s event: Removing Node %s from Controller",
                 object_name(node), object_name(node));
    workqueue_add(all->queue, object_name(node));
}

static void lease_changed(Object *lease, void *userdata) {
    if (streq(object_namespace(lease), "kube-node-lease"))
        workqueue_add(((Lifecycle *)userdata)->queue, object_name(lease));
}

static void lease_updated(_unused_ Object *old, Object *lease, void *userdata) {
    lease_changed(lease, userdata);
}

/* ---- health ---- */

static char *renew_time(Lifecycle *all, Arena *arena, const char *node) {
    _cleanup_object_ Object *lease = informer_lookup(all->leases, "kube-node-lease", node);
    return lease ? arena_strdup(arena, value_get_str(value_get(object_value(lease, arena), "spec"), "renewTime"))
                 : NULL;
}

/* How long it has been silent, by this machine's clock: changes count, not the times they carry. */
static uint64_t silence_ns(Lifecycle *all, const char *name, const char *heartbeat, const char *renewed) {
    uint64_t now = now_monotonic_ns();
    pthread_mutex_lock(&all->lock);
    Health *health = strmap_get(all->health, name);
    if (!health) {
        health = NEW0(Health);
        health->probe_ns = now;
        strmap_put(all->health, name, health);
    }
    if (!streq_null(health->heartbeat, heartbeat) || !streq_null(health->renewed, renewed)) {
        health->probe_ns = now;
        free(health->heartbeat);
        free(health->renewed);
        health->heartbeat = xstrdup(heartbeat);
        health->renewed = xstrdup(renewed);
    }
    uint64_t silence = now - health->probe_ns;
    pthread_mutex_unlock(&all->lock);
    return silence;
}

static bool set_unknown(Arena *arena, Value *node) {
    static const char *const types[] = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};
    Value *status = value_ensure_object(arena, node, "status");
    Value *conditions = value_ensure_array(arena, status, "conditions");
    bool changed = false;
    for (size_t i = 0; i < ELEMENTSOF(types); i++) {
        Value *condition = meta_condition(conditions, types[i]);
        if (!condition) {
            condition = condition_new(arena, types[i], "Unknown", "NodeStatusNeverUpdated",
                                      "Kubelet never posted node status.");
            value_set(arena, condition, "lastHeartbeatTime",
                      value_copy(arena, value_path(node, "metadata", "creationTimestamp", NULL)));
            value_append(arena, conditions, condition);
            changed = true;
        } else if (!streq(str_or(value_get_str(condition, "status"), ""), "Unknown")) {
            value_set_str(arena, condition, "status", "Unknown");
            value_set_str(arena, condition, "reason", "NodeStatusUnknown");
            value_set_str(arena, condition, "message", "Kubelet stopped posting node status.");
            value_set(arena, condition, "lastTransitionTime", value_now(arena));
            changed = true;
        }
    }
    return changed;
}

static void mark_pod_not_ready(Lifecycle *all, Object *pod) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *value = object_value(pod, arena);
    Value *ready = meta_condition(value_path(value, "status", "conditions", NULL), "Ready");
    if (!ready || streq(str_or(value_get_str(ready, "status"), ""), "False"))
        return;
    value_set_str(arena, ready, "status", "False");
    value_set(arena, ready, "lastTransitionTime", value_now(arena));
    int r = client_update(all->client, object_resource(pod), object_namespace(pod), object_name(pod), "status", value,
                          NULL, NULL);
    if (r >= 0)
        event_record(all->events, pod, NULL, "Warning", "NodeNotReady", "Node is not ready");
}

static void mark_pods_not_ready(Lifecycle *all, const char *node) {
    _cleanup_client_list_ ClientList pods = {0};
    informer_list_by_field(all->pods, "spec.nodeName", node, &pods);
    for (size_t i = 0; i < pods.n; i++)
        mark_pod_not_ready(all, pods.items[i]);
}

static int become_unknown(Lifecycle *all, Arena *arena, const Object *node, Value *value) {
    bool was_ready = streq(condition_status(value_path(value, "status", "conditions", NULL), "Ready"), "True");
    if (!set_unknown(arena, value))
        return 0;
    _cleanup_object_ Object *updated = NULL;
    int r = client_update(all->client, object_resource(node), NULL, object_name(node), "status", value, &updated, NULL);
    if (r < 0)
        return r;
    log_warn("node %s gives no sign: its status is Unknown", object_name(node));
    if (was_ready)
        event_record(all->events, node, NULL, "Normal", "NodeNotReady", "Node %s status is now: NodeNotReady",
                     object_name(node));
    mark_pods_not_ready(all, object_name(node));
    value_set(arena, value_get(value, "metadata"), "resourceVersion",
              value_printf(arena, "%llu", (unsigned long long)object_revision(updated)));
    return 0;
}

/* ---- taints ---- */

static const struct {
    const char *condition, *status, *taint;
} condition_taints[] = {
    {"Ready", "False", TAINT_NOT_READY},
    {"Ready", "Unknown", TAINT_UNREACHABLE},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure"},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure"},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure"},
};

static bool set_taint(Arena *arena, Value *taints, const char *key, const char *effect, bool wanted) {
    bool there = taint_exists(taints, key, effect);
    if (there == wanted)
        return false;
    if (wanted)
        value_append(arena, taints, taint_new(arena, key, effect));
    for (size_t i = value_len(taints); !wanted && i-- > 0;)
        if (taint_is(value_at(taints, i), key, effect))
            value_remove_at(taints, i);
    return true;
}

static bool any_node_ready(Lifecycle *all) {
    _cleanup_client_list_ ClientList nodes = {0};
    informer_list(all->nodes, NULL, NULL, &nodes);
    for (size_t i = 0; i < nodes.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *conditions = value_path(object_value(nodes.items[i], arena), "status", "conditions", NULL);
        if (streq(condition_status(conditions, "Ready"), "True"))
            return true;
    }
    return false;
}

/* May a node of this zone be given a NoExecute taint now? If not, *ret_wait_ns says when to ask again. */
static bool zone_allows(Lifecycle *all, const char *zone, uint64_t *ret_wait_ns) {
    uint64_t now = now_monotonic_ns();
    pthread_mutex_lock(&all->lock);
    uint64_t *since = strmap_get(all->zone_since, zone);
    bool allowed = !since || now - *since >= TAINT_EVERY_NS;
    if (!allowed)
        *ret_wait_ns = TAINT_EVERY_NS - (now - *since);
    else {
        since = NEW(uint64_t);
        *since = now;
        strmap_put(all->zone_since, zone, since);
    }
    pthread_mutex_unlock(&all->lock);
    return allowed;
}

static bool set_no_execute(Lifecycle *all, Arena *arena, const Object *node, Value *taints, const char *ready,
                           uint64_t *ret_wait_ns) {
    const char *want = streq(ready, "False") ? TAINT_NOT_READY : streq(ready, "Unknown") ? TAINT_UNREACHABLE : NULL;
    bool has =
        taint_exists(taints, TAINT_NOT_READY, "NoExecute") || taint_exists(taints, TAINT_UNREACHABLE, "NoExecute");
    const char *zone = str_or(object_label(node, "topology.kubernetes.io/zone"), "");
    if (want && !any_node_ready(all))
        want = NULL;
    if (want && !has && !zone_allows(all, zone, ret_wait_ns))
        return false;
    bool changed = set_taint(arena, taints, TAINT_NOT_READY, "NoExecute", want && streq(want, TAINT_NOT_READY));
    return set_taint(arena, taints, TAINT_UNREACHABLE, "NoExecute", want && streq(want, TAINT_UNREACHABLE)) || changed;
}

static int sync_taints(Lifecycle *all, Arena *arena, const Object *node, Value *value) {
    Value *conditions = value_path(value, "status", "conditions", NULL);
    Value *taints = value_copy(arena, value_path(value, "spec", "taints", NULL));
    uint64_t wait = 0;
    bool changed = false;
    if (!value_is(taints, VALUE_ARRAY))
        taints = value_array(arena);
    for (size_t i = 0; i < ELEMENTSOF(condition_taints); i++)
        changed |=
            set_taint(arena, taints, condition_taints[i].taint, "NoSchedule",
                      streq(condition_status(conditions, condition_taints[i].condition), condition_taints[i].status));
    changed |= set_taint(arena, taints, "node.kubernetes.io/unschedulable", "NoSchedule",
                         value_get_bool(value_get(value, "spec"), "unschedulable", false));
    changed |= set_no_execute(all, arena, node, taints, condition_status(conditions, "Ready"), &wait);
    if (wait)
        workqueue_add_after(all->queue, object_name(node), wait);
    if (!changed)
        return 0;
    Value *metadata, *patch = patch_for_uid(arena, object_uid(node), &metadata);
    value_set(arena, metadata, "resourceVersion", value_path(value, "metadata", "resourceVersion", NULL));
    value_set(arena, value_ensure_object(arena, patch, "spec"), "taints",
              value_len(taints) ? taints : value_null(arena));
    return client_patch(all->client, object_resource(node), NULL, object_name(node), NULL, PATCH_MERGE, patch, NULL,
                        NULL);
}

/* beta.kubernetes.io/os and arch follow the labels without beta. */
static int sync_labels(Lifecycle *all, Arena *arena, const Object *node) {
    static const char *const pairs[][2] = {{"kubernetes.io/os", "beta.kubernetes.io/os"},
                                           {"kubernetes.io/arch", "beta.kubernetes.io/arch"}};
    Value *patch = value_object(arena), *labels = NULL;
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        const char *from = object_label(node, pairs[i][0]), *to = object_label(node, pairs[i][1]);
        if (!from || streq_null(from, to))
            continue;
        labels = value_ensure_object(arena, value_ensure_object(arena, patch, "metadata"), "labels");
        value_set_str(arena, labels, pairs[i][1], from);
    }
    if (!labels)
        return 0;
    return client_patch(all->client, object_resource(node), NULL, object_name(node), NULL, PATCH_MERGE, patch, NULL,
                        NULL);
}

/* ---- the sync ---- */

static void look_again(Lifecycle *all, const char *name, uint64_t silence, uint64_t grace) {
    workqueue_add_after(all->queue, name,
                        silence < grace ? MIN(grace - silence + NS_PER_MS, all->period_ns) : all->period_ns);
}

static int sync_node(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Lifecycle *all = userdata;
    _cleanup_object_ Object *node = informer_lookup(all->nodes, NULL, name);
    if (!node) {
        pthread_mutex_lock(&all->lock);
        strmap_remove(all->health, name);
        pthread_mutex_unlock(&all->lock);
        return 0;
    }
    Value *value = object_value(node, arena);
    const Value *ready = meta_condition(value_path(value, "status", "conditions", NULL), "Ready");
    uint64_t grace = ready ? all->grace_ns : all->startup_grace_ns;
    uint64_t silence = silence_ns(all, name, value_get_str(ready, "lastHeartbeatTime"), renew_time(all, arena, name));
    int r = silence > grace ? become_unknown(all, arena, node, value) : 0;
    if (r >= 0)
        r = sync_taints(all, arena, node, value);
    if (r >= 0)
        r = sync_labels(all, arena, node);
    look_again(all, name, silence, grace);
    return r == -ENOENT ? 0 : r;
}

static void *init(Controller *controller) {
    const ControllersConfig *config = controller_config(controller);
    Lifecycle *all = NEW0(Lifecycle);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "node-controller");
    all->nodes = controller_informer(controller, "", "v1", "nodes");
    all->leases = controller_informer(controller, "coordination.k8s.io", "v1", "leases");
    all->pods = controller_informer(controller, "", "v1", "pods");
    informer_index_field(all->pods, "spec.nodeName");
    all->grace_ns =
        config->node_monitor_grace_ns > 0 ? (uint64_t)config->node_monitor_grace_ns : CONTROLLERS_NODE_MONITOR_GRACE_NS;
    all->startup_grace_ns =
        config->node_startup_grace_ns > 0 ? (uint64_t)config->node_startup_grace_ns : CONTROLLERS_NODE_STARTUP_GRACE_NS;
    all->period_ns = config->node_monitor_period_ns > 0 ? (uint64_t)config->node_monitor_period_ns
                                                        : CONTROLLERS_NODE_MONITOR_PERIOD_NS;
    pthread_mutex_init(&all->lock, NULL);
    all->health = strmap_new(health_free);
    all->zone_since = strmap_new(free);
    all->queue = controller_queue(controller, "node_lifecycle_controller", 2, sync_node, all);
    informer_add_handler(all->nodes, &(InformerHandler){node_added, node_updated, node_deleted}, all);
    informer_add_handler(all->leases, &(InformerHandler){lease_changed, lease_updated, NULL}, all);
    return all;
}

static void free_all(void *data) {
    Lifecycle *all = data;
    strmap_free(all->health);
    strmap_free(all->zone_since);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

const ControllerRow controller_nodelifecycle = {
    .name = "node-lifecycle-controller", .account = "node-controller", .init = init, .free = free_all};
