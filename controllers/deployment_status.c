/* What a Deployment says of itself: counts, conditions, progress and its deadline. */
#include "controllers/deployment.h"

#include "base/clock.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

static const Resource *deployments(void) {
    return resource_find("apps", "v1", "deployments");
}

Value *deployment_condition(Arena *arena, const char *type, const char *status, const char *reason,
                            const char *message) {
    Value *condition = value_object(arena);
    value_set_str(arena, condition, "type", type);
    value_set_str(arena, condition, "status", status);
    value_set(arena, condition, "lastUpdateTime", value_now(arena));
    value_set(arena, condition, "lastTransitionTime", value_now(arena));
    value_set_str(arena, condition, "reason", reason);
    value_set_str(arena, condition, "message", message);
    return condition;
}

void deployment_set_condition(Arena *arena, Value *status, Value *condition) {
    Value *conditions = value_ensure_array(arena, status, "conditions");
    const char *type = value_get_str(condition, "type");
    const Value *current = meta_condition(conditions, type);
    bool same_status = streq_null(value_get_str(current, "status"), value_get_str(condition, "status"));
    if (current && same_status && streq_null(value_get_str(current, "reason"), value_get_str(condition, "reason")))
        return;
    if (current && same_status)
        value_set(arena, condition, "lastTransitionTime", value_get(current, "lastTransitionTime"));
    condition_remove(conditions, type);
    value_append(arena, conditions, condition);
}

int deployment_write_status(Rollout *rollout) {
    _cleanup_object_ Object *updated = NULL;
    const Object *object = rollout->object;
    int r = client_update(rollout->client, deployments(), object_namespace(object), object_name(object), "status",
                          rollout->value, &updated, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    /* Later writes of this sync build on what was just written. */
    Value *metadata = value_get(object_value(updated, rollout->arena), "metadata");
    value_set(rollout->arena, value_get(rollout->value, "metadata"), "resourceVersion",
              value_get(metadata, "resourceVersion"));
    return 0;
}

static void set_count(Arena *arena, Value *status, const char *name, int64_t count) {
    if (count != 0)
        value_set_int(arena, status, name, count);
}

static int64_t sum_terminating(const Rollout *rollout) {
    int64_t sum = 0;
    for (size_t i = 0; i < rollout->n_sets; i++) {
        const ReplicaView *set = &rollout->sets[i];
        if (set->terminating >= 0)
            sum += set->terminating;
        else if (set->observed != 0)
            return -1;
    }
    return sum;
}

static Value *calculate(Rollout *rollout) {
    Arena *arena = rollout->arena;
    const Value *old = value_get(rollout->value, "status");
    int64_t actual = 0, ready = 0, available = deployment_sum_available(rollout);
    for (size_t i = 0; i < rollout->n_sets; i++) {
        actual += rollout->sets[i].actual;
        ready += rollout->sets[i].ready;
    }
    Value *status = value_object(arena);
    set_count(arena, status, "observedGeneration",
              value_get_int(value_get(rollout->value, "metadata"), "generation", 0));
    set_count(arena, status, "replicas", actual);
    set_count(arena, status, "updatedReplicas", rollout->new_set ? rollout->new_set->actual : 0);
    set_count(arena, status, "readyReplicas", ready);
    set_count(arena, status, "availableReplicas", available);
    set_count(arena, status, "unavailableReplicas",
              MAX(deployment_sum_replicas(rollout, false) - available, (int64_t)0));
    if (sum_terminating(rollout) >= 0)
        value_set_int(arena, status, "terminatingReplicas", sum_terminating(rollout));
    if (value_get(old, "conditions"))
        value_set(arena, status, "conditions", value_copy(arena, value_get(old, "conditions")));
    if (value_get(old, "collisionCount"))
        value_set(arena, status, "collisionCount", value_copy(arena, value_get(old, "collisionCount")));
    bool enough = available >= rollout->replicas - deployment_max_unavailable(rollout);
    deployment_set_condition(arena, status,
                             enough ? deployment_condition(arena, "Available", "True", "MinimumReplicasAvailable",
                                                           "Deployment has minimum availability.")
                                    : deployment_condition(arena, "Available", "False", "MinimumReplicasUnavailable",
                                                           "Deployment does not have minimum availability."));
    return status;
}

static bool same_status(const Rollout *rollout, const Value *status) {
    const Value *old = value_get(rollout->value, "status");
    return old ? value_equal(old, status) : false;
}

static int put_status(Rollout *rollout, Value *status) {
    value_set(rollout->arena, rollout->value, "status", status);
    return deployment_write_status(rollout);
}

int deployment_sync_status(Rollout *rollout) {
    Value *status = calculate(rollout);
    return same_status(rollout, status) ? 0 : put_status(rollout, status);
}

static bool made_progress(const Value *old, const Value *now) {
    int64_t old_updated = value_get_int(old, "updatedReplicas", 0), updated = value_get_int(now, "updatedReplicas", 0);
    int64_t old_rest = value_get_int(old, "replicas", 0) - old_updated,
            rest = value_get_int(now, "replicas", 0) - updated;
    return updated > old_updated || rest < old_rest ||
           value_get_int(now, "readyReplicas", 0) > value_get_int(old, "readyReplicas", 0) ||
           value_get_int(now, "availableReplicas", 0) > value_get_int(old, "availableReplicas", 0);
}

static bool timed_out(const Rollout *rollout, const Value *condition) {
    const char *reason = str_or(value_get_str(condition, "reason"), "");
    if (!condition || streq(reason, "NewReplicaSetAvailable"))
        return false;
    if (streq(reason, "ProgressDeadlineExceeded"))
        return true;
    int64_t seconds = value_get_int(rollout->spec, "progressDeadlineSeconds", 0);
    return ns_after(value_get_time(condition, "lastUpdateTime"), seconds) < now_realtime_ns();
}

static void estimate_progress(Rollout *rollout, Value *status, const Value *current) {
    Arena *arena = rollout->arena;
    const char *what = rollout->new_set ? "ReplicaSet" : "Deployment";
    const char *name = rollout->new_set ? rollout->new_set->name : object_name(rollout->object);
    if (deployment_is_complete(rollout, status)) {
        char *message = arena_printf(arena, "%s \"%s\" has successfully progressed.", what, name);
        deployment_set_condition(arena, status,
                                 deployment_condition(arena, "Progressing", "True", "NewReplicaSetAvailable", message));
    } else if (made_progress(value_get(rollout->value, "status"), status)) {
        char *message = arena_printf(arena, "%s \"%s\" is progressing.", what, name);
        Value *condition = deployment_condition(arena, "Progressing", "True", "ReplicaSetUpdated", message);
        if (current) {
            if (streq(str_or(value_get_str(current, "status"), ""), "True"))
                value_set(arena, condition, "lastTransitionTime",
                          value_copy(arena, value_get(current, "lastTransitionTime")));
            condition_remove(value_get(status, "conditions"), "Progressing");
        }
        deployment_set_condition(arena, status, condition);
    } else if (timed_out(rollout, meta_condition(value_get(status, "conditions"), "Progressing"))) {
        char *message = arena_printf(arena, "%s \"%s\" has timed out progressing.", what, name);
        deployment_set_condition(
            arena, status, deployment_condition(arena, "Progressing", "False", "ProgressDeadlineExceeded", message));
    }
}

static const Value *replica_failure(const Rollout *rollout) {
    const Value *failure = NULL;
    if (rollout->new_set)
        failure = meta_condition(value_path(rollout->new_set->value, "status", "conditions", NULL), "ReplicaFailure");
    for (size_t i = 0; i < rollout->n_sets && !failure; i++)
        failure = meta_condition(value_path(rollout->sets[i].value, "status", "conditions", NULL), "ReplicaFailure");
    return failure;
}

static void copy_failure(Rollout *rollout, Value *status) {
    Arena *arena = rollout->arena;
    const Value *failure = replica_failure(rollout);
    if (!failure) {
        condition_remove(value_get(status, "conditions"), "ReplicaFailure");
        return;
    }
    Value *condition = value_copy(arena, failure);
    value_set(arena, condition, "lastUpdateTime", value_get(condition, "lastTransitionTime"));
    deployment_set_condition(arena, status, condition);
}

/* A rollout that stands still has to be looked at when its deadline passes. */
static void look_again(Rollout *rollout, const Value *status) {
    const Value *current = meta_condition(value_get(status, "conditions"), "Progressing");
    if (!deployment_has_deadline(rollout) || !current || deployment_is_complete(rollout, status) ||
        streq(str_or(value_get_str(current, "reason"), ""), "ProgressDeadlineExceeded"))
        return;
    int64_t after = value_get_time(current, "lastUpdateTime") +
                    value_get_int(rollout->spec, "progressDeadlineSeconds", 0) * (int64_t)NS_PER_SEC -
                    now_realtime_ns();
    if (after < (int64_t)NS_PER_SEC)
        workqueue_add_rate_limited(rollout->queue, rollout->key);
    else
        workqueue_add_after(rollout->queue, rollout->key, (uint64_t)after + NS_PER_SEC);
}

int deployment_sync_rollout_status(Rollout *rollout) {
    Value *status = calculate(rollout);
    bool deadline = deployment_has_deadline(rollout);
    if (!deadline)
        condition_remove(value_get(status, "conditions"), "Progressing");
    const Value *current = meta_condition(value_path(rollout->value, "status", "conditions", NULL), "Progressing");
    bool complete = value_get_int(status, "replicas", 0) == value_get_int(status, "updatedReplicas", 0) && current &&
                    streq(str_or(value_get_str(current, "reason"), ""), "NewReplicaSetAvailable");
    if (deadline && !complete)
        estimate_progress(rollout, status, current);
    copy_failure(rollout, status);
    if (same_status(rollout, status)) {
        look_again(rollout, status);
        return 0;
    }
    return put_status(rollout, status);
}
