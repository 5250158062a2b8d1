/* Pods (the reference's registry/core/pod strategy). */
#include "apiserver/registry/kinds.h"

#include "api/pod_qos.h"
#include "apiserver/registry/pod_validate.h"
#include "base/clock.h"
#include "base/str.h"

static void pod_prepare_for_create(StrategyContext *context, Value *pod) {
    Arena *arena = context->arena;
    Value *status = value_object(arena);
    value_set_str(arena, status, "phase", "Pending");
    value_set_str(arena, status, "qosClass", pod_qos(pod));
    if (value_len(value_path(pod, "spec", "schedulingGates", NULL))) {
        Value *condition = value_object(arena);
        value_set_str(arena, condition, "type", "PodScheduled");
        value_set_str(arena, condition, "status", "False");
        value_set_str(arena, condition, "reason", "SchedulingGated");
        value_set_str(arena, condition, "message", "Scheduling is blocked due to non-empty scheduling gates");
        value_append(arena, value_ensure_array(arena, status, "conditions"), condition);
    }
    value_set(arena, pod, "status", status);
}

static void pod_validate(StrategyContext *context, const Value *pod, FieldErrors *errors) {
    FieldPath path = FIELD(NULL, "spec");
    const Value *spec = value_get(pod, "spec");
    PodValidation v = {.errors = errors, .spec = spec ? spec : value_object(context->arena), .metadata = value_get(pod, "metadata")};
    pod_spec_validate(&v, &path);
}

/* As asked, or as the pod says; at once when no node has it or it has ended. */
static int64_t pod_grace_seconds(_unused_ StrategyContext *context, const Value *pod, int64_t requested) {
    const Value *spec = value_get(pod, "spec"), *status = value_get(pod, "status");
    int64_t seconds = requested >= 0 ? requested : value_get_int(spec, "terminationGracePeriodSeconds", 0);
    if (str_empty(value_get_str(spec, "nodeName")) || IS(status, "phase", "Failed") || IS(status, "phase", "Succeeded"))
        return 0;
    return seconds < 0 ? 1 : seconds;
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "pods",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = pod_prepare_for_create,
        .validate = pod_validate,
        .graceful = true,
        .grace_seconds = pod_grace_seconds,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_pods = {ROWS, ELEMENTSOF(ROWS)};
