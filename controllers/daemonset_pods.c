/* Which pods of a DaemonSet come and go. */
#include "controllers/daemonset.h"

#include "base/str.h"
#include "controllers/meta.h"
#include "controllers/taints.h"

#include <errno.h>

#define BURST 250 /* the reference's BurstReplicas */
#define TEMPLATE_GENERATION_ANNOTATION "deprecated.daemonset.template.generation"
#define TEMPLATE_GENERATION_LABEL "pod-template-generation"

static void add_toleration(Arena *arena, Value *spec, const char *key, const char *effect) {
    Value *toleration = value_object(arena);
    value_set_str(arena, toleration, "key", key);
    value_set_str(arena, toleration, "operator", "Exists");
    value_set_str(arena, toleration, "effect", effect);
    value_append(arena, value_ensure_array(arena, spec, "tolerations"), toleration);
}

void daemon_add_tolerations(Arena *arena, Value *spec) {
    add_toleration(arena, spec, TAINT_NOT_READY, "NoExecute");
    add_toleration(arena, spec, TAINT_UNREACHABLE, "NoExecute");
    add_toleration(arena, spec, "node.kubernetes.io/disk-pressure", "NoSchedule");
    add_toleration(arena, spec, "node.kubernetes.io/memory-pressure", "NoSchedule");
    add_toleration(arena, spec, "node.kubernetes.io/pid-pressure", "NoSchedule");
    add_toleration(arena, spec, "node.kubernetes.io/unschedulable", "NoSchedule");
    if (value_get_bool(spec, "hostNetwork", false))
        add_toleration(arena, spec, "node.kubernetes.io/network-unavailable", "NoSchedule");
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

/* ---- pods up and down ---- */

static int create_on(DaemonSync *sync, const DaemonNode *node) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    Arena *arena = sync->arena;
    Value *pod = pod_from_template(arena, value_get(sync->spec, "template"), sync->set, NULL),
          *spec = value_get(pod, "spec");
    if (sync->created >= BURST)
        return 0;
    Value *labels = value_ensure_object(arena, value_get(pod, "metadata"), "labels");
    const char *generation = value_annotation(sync->value, TEMPLATE_GENERATION_ANNOTATION);
    int64_t number;
    value_set_str(arena, labels, DAEMON_HASH_LABEL, sync->hash);
    if (generation && str_to_int64(generation, &number) >= 0)
        value_set_str(arena, labels, TEMPLATE_GENERATION_LABEL, generation);
    daemon_add_tolerations(arena, spec);
    pin_to_node(arena, spec, object_name(node->object));
    int r = pod_create(sync->all->client, sync->all->events, sync->set, pod, &created, &err);
    if (r < 0)
        return error_is_namespace_terminating(&err) ? 0 : r;
    expectations_wrote(sync->all->expectations, sync->key, created);
    sync->created++;
    return 0;
}

static int delete_one(DaemonSync *sync, const DaemonPod *pod) {
    _cleanup_api_error_ ApiError err = {0};
    if (sync->deleted >= BURST || pod->info.deleting)
        return 0;
    int r = pod_delete(sync->all->client, sync->all->events, sync->set, object_name(pod->info.object), &err);
    if (r >= 0)
        expectations_deleted(sync->all->expectations, sync->key, pod->info.object);
    sync->deleted++;
    return r == -ENOENT ? 0 : r;
}

static int delete_finished(DaemonSync *sync, const DaemonPod *pod, const char *node) {
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

/* A pod that fails again and again on a node is replaced after 1 s, 2 s, ... up to 15 min. */
static int replace_failed(DaemonSync *sync, const DaemonPod *pod, const char *node) {
    int64_t generation = value_get_int(value_get(sync->value, "status"), "observedGeneration", 0);
    const char *key =
        arena_printf(sync->arena, "%s/%s/%lld/%s", sync->key, object_uid(sync->set), (long long)generation, node);
    if (backoff_remaining_since_update(sync->all->failures, key, sync->now_ns) > 0) {
        workqueue_add_after(sync->all->queue, sync->key, (uint64_t)backoff_get(sync->all->failures, key));
        return 0;
    }
    backoff_next(sync->all->failures, key, sync->now_ns);
    return delete_finished(sync, pod, node);
}

bool daemon_pod_available(const DaemonSync *sync, const DaemonPod *pod) {
    return pod_is_available(&pod->info, sync->min_ready, sync->now_ns, NULL);
}

/* Two pods may share a node only while the old one serves and the new one does not yet. */
static int prune_surge(DaemonSync *sync, DaemonPod *const *running, size_t n) {
    const DaemonPod *new_pod = NULL, *old_pod = NULL;
    int r = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        const DaemonPod **slot = streq(running[i]->hash, sync->hash) ? &new_pod : &old_pod;
        if (*slot)
            r = delete_one(sync, running[i]);
        else
            *slot = running[i];
    }
    if (r < 0 || !new_pod || !old_pod)
        return r;
    return !old_pod->info.ready || daemon_pod_available(sync, new_pod) ? delete_one(sync, old_pod) : 0;
}

static int manage_node(DaemonSync *sync, DaemonNode *node, bool surging) {
    DaemonPod **running = arena_alloc(sync->arena, (node->n_pods + 1) * sizeof(*running));
    size_t n_running = 0;
    int r = 0;
    if (node->should_run && node->n_pods == 0)
        return create_on(sync, node);
    for (size_t i = 0; i < node->n_pods && r >= 0; i++) {
        DaemonPod *pod = node->pods[i];
        if (pod->info.deleting)
            continue;
        if (!node->should_continue)
            r = delete_one(sync, pod);
        else if (streq(pod->info.phase, "Failed"))
            r = replace_failed(sync, pod, object_name(node->object));
        else if (streq(pod->info.phase, "Succeeded"))
            r = delete_finished(sync, pod, object_name(node->object));
        else
            running[n_running++] = pod;
    }
    if (r < 0 || !node->should_continue)
        return r;
    if (surging && n_running == 0 && node->should_run)
        return create_on(sync, node);
    if (surging)
        return n_running > 1 ? prune_surge(sync, running, n_running) : 0;
    for (size_t i = 1; i < n_running && r >= 0; i++)
        r = delete_one(sync, running[i]); /* all but the oldest */
    return r;
}

static bool has_node(const DaemonSync *sync, const char *name) {
    for (size_t i = 0; i < sync->node_list.n; i++)
        if (streq(object_name(sync->node_list.items[i]), name))
            return true;
    return false;
}

/* A pod that waits to be bound to a node that is gone: the collector of pods sees none of its node. */
static int delete_nodeless(DaemonSync *sync) {
    int r = 0;
    for (size_t i = 0; i < sync->n_pods && r >= 0; i++)
        if (!*sync->pods[i].info.node && !has_node(sync, sync->pods[i].node))
            r = delete_one(sync, &sync->pods[i]);
    return r;
}

/* ---- rolling update ---- */

typedef struct Limits {
    int64_t desired, surge, unavailable;
    bool rolling;
} Limits;

static Limits read_limits(const DaemonSync *sync) {
    const Value *strategy = value_get(sync->spec, "updateStrategy"), *rolling = value_get(strategy, "rollingUpdate");
    Limits limits = {.rolling = streq(str_or(value_get_str(strategy, "type"), "RollingUpdate"), "RollingUpdate")};
    for (size_t i = 0; i < sync->node_list.n; i++)
        limits.desired += sync->nodes[i].should_run;
    if (!limits.rolling)
        return limits;
    limits.surge = int_or_percent(value_get(rolling, "maxSurge"), limits.desired, true, 0);
    limits.unavailable = int_or_percent(value_get(rolling, "maxUnavailable"), limits.desired, true, 0);
    if (limits.desired > 0 && limits.surge == 0 && limits.unavailable == 0)
        limits.unavailable = 1;
    return limits;
}

/* False: there are several of a kind, which manage_node is to prune first. */
static bool find_pods(const DaemonSync *sync, const DaemonNode *node, DaemonPod **ret_new, DaemonPod **ret_old) {
    *ret_new = *ret_old = NULL;
    for (size_t i = 0; i < node->n_pods; i++) {
        DaemonPod *pod = node->pods[i], **slot = streq(pod->hash, sync->hash) ? ret_new : ret_old;
        if (pod->info.deleting)
            continue;
        if (*slot)
            return false;
        *slot = pod;
    }
    return true;
}

/* Old pods that do not serve go at once; of the others as many as may be unavailable. */
static int roll_in_place(DaemonSync *sync, const Limits *limits) {
    DaemonPod **candidates = arena_alloc(sync->arena, (sync->node_list.n + 1) * sizeof(*candidates));
    int64_t unavailable = 0, n = 0;
    int r = 0;
    for (size_t i = 0; i < sync->node_list.n && r >= 0; i++) {
        const DaemonNode *node = &sync->nodes[i];
        DaemonPod *new_pod, *old_pod;
        if (!node->should_run && node->n_pods == 0)
            continue;
        bool sound = find_pods(sync, node, &new_pod, &old_pod);
        if (!sound || !new_pod == !old_pod)
            unavailable++;
        else if (new_pod)
            unavailable += !daemon_pod_available(sync, new_pod);
        else if (daemon_pod_available(sync, old_pod))
            candidates[n++] = old_pod;
        else {
            unavailable++;
            r = delete_one(sync, old_pod);
        }
    }
    for (int64_t i = 0; i < n && i < limits->unavailable - unavailable && r >= 0; i++)
        r = delete_one(sync, candidates[i]);
    return r;
}

typedef struct Surge { /* what one pass over the nodes finds */
    DaemonNode **candidates;
    DaemonPod **misplaced; /* that serve where the set should not run any more */
    int64_t n_candidates, n_misplaced, n_surging, n_available;
} Surge;

static int surge_node(DaemonSync *sync, DaemonNode *node, Surge *surge) {
    DaemonPod *new_pod, *old_pod;
    if (!find_pods(sync, node, &new_pod, &old_pod)) {
        surge->n_surging++;
        return 0;
    }
    const DaemonPod *serving = old_pod ? old_pod : new_pod;
    bool old_available = old_pod && daemon_pod_available(sync, old_pod);
    surge->n_available += serving && daemon_pod_available(sync, serving);
    if (!old_pod)
        return 0;
    if (new_pod) {
        if (daemon_pod_available(sync, new_pod))
            return delete_one(sync, old_pod);
        surge->n_surging++;
    } else if (!old_available)
        return node->should_run ? create_on(sync, node) : delete_one(sync, old_pod);
    else if (node->should_run)
        surge->candidates[surge->n_candidates++] = node;
    else
        surge->misplaced[surge->n_misplaced++] = old_pod;
    return 0;
}

/* New pods come beside old ones, at most so many at a time, and old ones go once the new serve. */
static int roll_with_surge(DaemonSync *sync, const Limits *limits) {
    size_t n = sync->node_list.n + 1;
    Surge surge = {.candidates = arena_alloc(sync->arena, n * sizeof(DaemonNode *)),
                   .misplaced = arena_alloc(sync->arena, n * sizeof(DaemonPod *))};
    int r = 0;
    for (size_t i = 0; i < sync->node_list.n && r >= 0; i++)
        r = surge_node(sync, &sync->nodes[i], &surge);
    /* Those where the set should not run stay until as many serve elsewhere as are wanted. */
    for (int64_t i = 0; i < surge.n_misplaced && i < surge.n_available - limits->desired && r >= 0; i++)
        r = delete_one(sync, surge.misplaced[i]);
    for (int64_t i = 0; i < surge.n_candidates && i < limits->surge - surge.n_surging && r >= 0; i++)
        r = create_on(sync, surge.candidates[i]);
    return r;
}

int daemon_act(DaemonSync *sync) {
    Limits limits = read_limits(sync);
    int r = 0;
    for (size_t i = 0; i < sync->node_list.n && r >= 0; i++)
        r = manage_node(sync, &sync->nodes[i], limits.surge > 0);
    if (r >= 0)
        r = delete_nodeless(sync);
    if (r < 0 || !limits.rolling || sync->created + sync->deleted > 0)
        return r;
    return limits.surge > 0 ? roll_with_surge(sync, &limits) : roll_in_place(sync, &limits);
}
