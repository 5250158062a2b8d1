/* PodDisruptionBudgets: how many healthy pods there are, how many must stay, and so how many may be disrupted. The
 * eviction subresource reads and lowers disruptionsAllowed; this controller raises it again. */
#define LOG_COMPONENT "disruption"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/meta.h"
#include "controllers/pods.h"

#include <errno.h>

#define DELETION_TIMEOUT_NS                                                                                            \
    ((int64_t)(120 * NS_PER_SEC)) /* the reference's DeletionTimeout for evictions on their way */

typedef struct Disruption {
    Client *client;
    EventRecorder *events;
    Informer *budgets, *pods, *sets, *controllers, *deployments, *statefuls;
    WorkQueue *queue;
} Disruption;

typedef struct Sync {
    Disruption *all;
    Arena *arena;
    Object *budget;
    Value *value, *spec;
    ClientList pods;
    int64_t healthy, desired, expected;
} Sync;

static void budget_changed(Object *budget, void *userdata) {
    controller_enqueue(((Disruption *)userdata)->queue, budget);
}

static void budget_updated(_unused_ Object *old, Object *budget, void *userdata) {
    budget_changed(budget, userdata);
}

static void pod_changed(Object *pod, void *userdata) {
    Disruption *all = userdata;
    _cleanup_client_list_ ClientList budgets = {0};
    informer_list(all->budgets, object_namespace(pod), NULL, &budgets);
    for (size_t i = 0; i < budgets.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_(selector_freep) Selector *selector = NULL;
        label_selector_from_value(value_path(object_value(budgets.items[i], arena), "spec", "selector", NULL),
                                  &selector);
        if (label_selector_matches(selector, pod))
            controller_enqueue(all->queue, budgets.items[i]);
    }
}

static void pod_updated(Object *old, Object *pod, void *userdata) {
    pod_changed(old, userdata);
    pod_changed(pod, userdata);
}

/* ---- how many pods there should be ---- */

/* The scale of what controls this pod; -ENOENT when nothing that has a scale does. *ret_uid in the arena. */
static int64_t scale_of(Sync *sync, const Object *pod, const char **ret_uid) {
    Informer *kinds[] = {sync->all->sets, sync->all->statefuls, sync->all->controllers};
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        _cleanup_object_ Object *set = controller_owner(kinds[i], pod), *deployment = NULL;
        if (!set)
            continue;
        if (kinds[i] == sync->all->sets)
            deployment = controller_owner(sync->all->deployments, set);
        Object *scaled = deployment ? deployment : set;
        *ret_uid = arena_strdup(sync->arena, object_uid(scaled));
        return value_get_int(value_get(object_value(scaled, sync->arena), "spec"), "replicas", 1);
    }
    return -ENOENT;
}

static int expected_scale(Sync *sync, const char **ret_message) {
    StrMap *seen = strmap_new(NULL);
    int result = 0;
    for (size_t i = 0; i < sync->pods.n && result == 0; i++) {
        const char *uid = NULL;
        int64_t scale = scale_of(sync, sync->pods.items[i], &uid);
        if (scale < 0) {
            const OwnerRef *owner = object_controller(sync->pods.items[i]);
            *ret_message = owner ? arena_printf(sync->arena, "%s does not implement the scale subresource", owner->kind)
                                 : arena_printf(sync->arena, "found no controllers for pod \"%s\"",
                                                object_name(sync->pods.items[i]));
            result = -ENOENT;
        } else if (strmap_put(seen, uid, sync))
            sync->expected += scale;
    }
    strmap_free(seen);
    return result;
}

static int read_expected(Sync *sync, const char **ret_message) {
    const Value *max = value_get(sync->spec, "maxUnavailable"), *min = value_get(sync->spec, "minAvailable");
    int r;
    if (max) {
        if ((r = expected_scale(sync, ret_message)) < 0)
            return r;
        int64_t unavailable = int_or_percent(max, sync->expected, true, 0);
        sync->desired = MAX(sync->expected - unavailable, (int64_t)0);
        return 0;
    }
    if (value_is(min, VALUE_INT)) {
        sync->desired = min->integer;
        sync->expected = (int64_t)sync->pods.n;
        return 0;
    }
    if (min) {
        if ((r = expected_scale(sync, ret_message)) < 0)
            return r;
        sync->desired = int_or_percent(min, sync->expected, true, 0);
        return 0;
    }
    sync->desired = 1; /* neither is given: policy/v1 defaults to minAvailable 1 */
    sync->expected = (int64_t)sync->pods.n;
    return 0;
}

/* ---- status ---- */

/* Evictions that were granted and whose pods are not gone yet. *ret_next_ns: when the first is given up; 0: none. */
static Value *pods_on_their_way(Sync *sync, int64_t now, int64_t *ret_next_ns) {
    Value *kept = value_object(sync->arena);
    VALUE_FOREACH_MEMBER (evicted, value_path(sync->value, "status", "disruptedPods", NULL)) {
        _cleanup_object_ Object *pod = informer_lookup(sync->all->pods, object_namespace(sync->budget), evicted->name);
        int64_t since = 0;
        if (!pod || object_is_deleting(pod) || !value_str(evicted->value) ||
            rfc3339_parse(value_str(evicted->value), &since) < 0)
            continue;
        int64_t left = since + DELETION_TIMEOUT_NS - now;
        if (left <= 0)
            continue;
        value_set(sync->arena, kept, evicted->name, value_copy(sync->arena, evicted->value));
        if (*ret_next_ns == 0 || left < *ret_next_ns)
            *ret_next_ns = left;
    }
    return kept;
}

static void count_healthy(Sync *sync, const Value *on_their_way) {
    for (size_t i = 0; i < sync->pods.n; i++) {
        PodInfo pod;
        pod_info_read(sync->pods.items[i], &pod);
        if (!pod.deleting && pod.ready && !value_get(on_their_way, object_name(pod.object)))
            sync->healthy++;
    }
}

static void set_condition(Sync *sync, Value *status, const char *state, const char *reason, const char *message) {
    Arena *arena = sync->arena;
    Value *conditions = value_ensure_array(arena, status, "conditions");
    Value *now = meta_condition(conditions, "DisruptionAllowed");
    Value *fresh = condition_new(arena, "DisruptionAllowed", state, reason, NULL);
    value_set_str(arena, fresh, "message", message);
    value_set_int(arena, fresh, "observedGeneration",
                  value_get_int(value_get(sync->value, "metadata"), "generation", 0));
    if (now && streq(str_or(value_get_str(now, "status"), ""), state))
        value_set(arena, fresh, "lastTransitionTime", value_get(now, "lastTransitionTime"));
    condition_remove(conditions, "DisruptionAllowed");
    value_append(arena, conditions, fresh);
}

static int write_status(Sync *sync, Value *status) {
    const Value *old = value_get(sync->value, "status");
    if (old && value_equal(old, status))
        return 0;
    value_set(sync->arena, sync->value, "status", status);
    int r = client_update(sync->all->client, object_resource(sync->budget), object_namespace(sync->budget),
                          object_name(sync->budget), "status", sync->value, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

/* Nothing may be disrupted while it is not known how many pods there should be. */
static int fail_safe(Sync *sync, const char *message) {
    Value *status = value_copy(sync->arena, value_get(sync->value, "status"));
    if (!value_is(status, VALUE_OBJECT))
        status = value_object(sync->arena);
    value_set_int(sync->arena, status, "disruptionsAllowed", 0);
    set_condition(sync, status, "False", "SyncFailed", message);
    event_record(sync->all->events, sync->budget, NULL, "Warning", "CalculateExpectedPodCountFailed",
                 "Failed to calculate the number of expected pods: %s", message);
    return write_status(sync, status);
}

static int sync_budget(Sync *sync, const char *key) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    Arena *arena = sync->arena;
    const char *message = NULL;
    int64_t now = now_realtime_ns(), next = 0;
    sync->value = object_value(sync->budget, arena);
    sync->spec = value_get(sync->value, "spec");
    label_selector_from_value(value_get(sync->spec, "selector"), &selector);
    informer_list(sync->all->pods, object_namespace(sync->budget), selector, &sync->pods);
    if (sync->pods.n == 0)
        event_record(sync->all->events, sync->budget, NULL, "Normal", "NoPods", "No matching pods found");
    if (read_expected(sync, &message) < 0)
        return fail_safe(sync, message);
    Value *on_their_way = pods_on_their_way(sync, now, &next);
    count_healthy(sync, on_their_way);
    int64_t allowed = MAX(sync->healthy - sync->desired, (int64_t)0);
    if (sync->expected <= 0)
        allowed = 0;
    Value *status = value_copy(arena, value_get(sync->value, "status"));
    if (!value_is(status, VALUE_OBJECT))
        status = value_object(arena);
    value_set_int(arena, status, "observedGeneration",
                  value_get_int(value_get(sync->value, "metadata"), "generation", 0));
    value_set(arena, status, "disruptedPods", value_len(on_their_way) ? on_their_way : NULL);
    value_set_int(arena, status, "disruptionsAllowed", allowed);
    value_set_int(arena, status, "currentHealthy", sync->healthy);
    value_set_int(arena, status, "desiredHealthy", sync->desired);
    value_set_int(arena, status, "expectedPods", sync->expected);
    set_condition(sync, status, allowed > 0 ? "True" : "False", allowed > 0 ? "SufficientPods" : "InsufficientPods",
                  "");
    if (next > 0)
        workqueue_add_after(sync->all->queue, key, (uint64_t)next);
    return write_status(sync, status);
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Disruption *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *budget = informer_lookup(all->budgets, parts.ns, parts.name);
    if (!budget)
        return 0;
    Sync sync = {.all = all, .arena = arena, .budget = budget};
    int r = sync_budget(&sync, key);
    client_list_done(&sync.pods);
    return r;
}

static void *init(Controller *controller) {
    Disruption *all = NEW0(Disruption);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "controllermanager");
    all->budgets = controller_informer(controller, "policy", "v1", "poddisruptionbudgets");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->sets = controller_informer(controller, "apps", "v1", "replicasets");
    all->statefuls = controller_informer(controller, "apps", "v1", "statefulsets");
    all->controllers = controller_informer(controller, "", "v1", "replicationcontrollers");
    all->deployments = controller_informer(controller, "apps", "v1", "deployments");
    all->queue = controller_queue(controller, "disruption", 1, sync_key, all);
    informer_add_handler(all->budgets, &(InformerHandler){budget_changed, budget_updated, NULL}, all);
    informer_add_handler(all->pods, &(InformerHandler){pod_changed, pod_updated, pod_changed}, all);
    return all;
}

const ControllerRow controller_disruption = {.name = "disruption-controller", .init = init};
