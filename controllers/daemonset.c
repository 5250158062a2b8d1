/* DaemonSets: one pod on each node that admits it. The pods go through the scheduler, pinned to their node by affinity.
 */
#define LOG_COMPONENT "daemonset"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/claim.h"
#include "controllers/daemonset.h"
#include "controllers/meta.h"
#include "api/node_affinity.h"
#include "controllers/taints.h"

#include <errno.h>

/* Between replacements of a failed pod on a node, as the reference. */
#define FAILURE_FIRST_NS ((int64_t)NS_PER_SEC)
#define FAILURE_MAX_NS ((int64_t)(15 * 60 * NS_PER_SEC))

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

/* ---- reading ---- */

/* podByCreationTimestampAndPhase */
static int compare_age(const void *a, const void *b) {
    const DaemonPod *x = a, *y = b;
    if (!*x->info.node != !*y->info.node)
        return *x->info.node ? -1 : 1;
    if (x->info.created_ns != y->info.created_ns)
        return x->info.created_ns < y->info.created_ns ? -1 : 1;
    return strcmp(object_name(x->info.object), object_name(y->info.object));
}

static int read_pods(DaemonSync *sync) {
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
        pod->hash = str_or(object_label(owned.items[i], DAEMON_HASH_LABEL), "");
    }
    qsort(sync->pods, sync->n_pods, sizeof(*sync->pods), compare_age);
    return 0;
}

static void read_nodes(DaemonSync *sync) {
    Value *spec = value_copy(sync->arena, value_path(sync->spec, "template", "spec", NULL));
    daemon_add_tolerations(sync->arena, spec);
    informer_list(sync->all->nodes, NULL, NULL, &sync->node_list);
    sync->nodes = arena_alloc0(sync->arena, (sync->node_list.n + 1) * sizeof(DaemonNode));
    for (size_t i = 0; i < sync->node_list.n; i++) {
        DaemonNode *node = &sync->nodes[i];
        node->object = sync->node_list.items[i];
        judge_node(spec, node);
        node->pods = arena_alloc(sync->arena, sync->n_pods * sizeof(*node->pods));
        for (size_t k = 0; k < sync->n_pods; k++) {
            DaemonPod *pod = &sync->pods[k];
            if (streq(pod->node, object_name(node->object)) &&
                !(pod->info.deleting && pod_is_finished(pod->info.phase)))
                node->pods[node->n_pods++] = pod;
        }
    }
}

/* ---- status ---- */

static int write_status(DaemonSync *sync) {
    Arena *arena = sync->arena;
    int64_t desired = 0, current = 0, misscheduled = 0, ready = 0, updated = 0, n_available = 0;
    for (size_t i = 0; i < sync->node_list.n; i++) {
        const DaemonNode *node = &sync->nodes[i];
        const DaemonPod *pod = node->n_pods ? node->pods[0] : NULL;
        desired += node->should_run;
        current += node->should_run && pod;
        misscheduled += !node->should_run && pod;
        if (!node->should_run || !pod)
            continue;
        ready += pod->info.ready;
        n_available += daemon_pod_available(sync, pod);
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
    const DaemonSync *sync = userdata;
    for (size_t i = 0; i < sync->n_pods; i++)
        if (streq(sync->pods[i].hash, revision->hash))
            return true;
    return false;
}

static int act(DaemonSync *sync) {
    int r = daemon_act(sync);
    if (r < 0)
        return r;
    return revisions_trim(sync->all->client, &sync->revisions, value_get_int(sync->spec, "revisionHistoryLimit", 10),
                          revision_in_use, sync);
}

static int sync_set(DaemonSync *sync) {
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
        backoff_forget_prefix(all->failures, arena_printf(arena, "%s/", key));
        return 0;
    }
    if (!expectations_satisfied(all->expectations, key)) {
        workqueue_add_after(all->queue, key, EXPECTATIONS_RETRY_NS);
        return 0;
    }
    DaemonSync sync = {.all = all, .key = key, .arena = arena, .set = set};
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
    all->failures = backoff_new(FAILURE_FIRST_NS, FAILURE_MAX_NS);
    all->queue = controller_queue(controller, "daemonset", 2, sync_key, all);
    controller_watch(all->sets, all->queue);
    controller_watch_owned(controller, all->pods, all->sets, all->queue);
    informer_add_handler(all->nodes, &(InformerHandler){node_changed, node_updated, node_changed}, all);
    return all;
}

static void free_all(void *data) {
    expectations_free(((DaemonSets *)data)->expectations);
    backoff_free(((DaemonSets *)data)->failures);
    free(data);
}

const ControllerRow controller_daemonset = {
    .name = "daemonset-controller", .account = "daemon-set-controller", .init = init, .free = free_all};
