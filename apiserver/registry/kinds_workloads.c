/* The kinds that make pods: apps, batch, and the core group's replication controllers. */
#include "apiserver/registry/kinds.h"

#include "base/str.h"

void kinds_reset_status(StrategyContext *context, Value *object) {
    value_set(context->arena, object, "status", value_object(context->arena));
}

/* A job without a selector of its own gets one by its uid, and its pods the labels for it. */
static void job_prepare_for_create(StrategyContext *context, Value *job) {
    Arena *arena = context->arena;
    Value *spec = value_get(job, "spec"), *template = value_get(spec, "template");
    const Value *metadata = value_get(job, "metadata");
    const char *uid = value_get_str(metadata, "uid"), *name = value_get_str(metadata, "name");
    kinds_reset_status(context, job);
    if (!value_is(spec, VALUE_OBJECT) || !value_is(template, VALUE_OBJECT) || value_get_bool(spec, "manualSelector", false))
        return;
    Value *labels = value_ensure_object(arena, value_ensure_object(arena, template, "metadata"), "labels");
    value_set_str(arena, labels, "batch.kubernetes.io/controller-uid", uid);
    value_set_str(arena, labels, "batch.kubernetes.io/job-name", name);
    value_set_str(arena, labels, "controller-uid", uid);
    value_set_str(arena, labels, "job-name", name);
    Value *selector = value_ensure_object(arena, spec, "selector");
    value_set_str(arena, value_ensure_object(arena, selector, "matchLabels"), "batch.kubernetes.io/controller-uid", uid);
}

#define WORKLOAD(g, p, prepare) \
    { .group = (g), .plural = (p), .has_generation = true, .allow_unconditional_update = true, .prepare_for_create = (prepare) }

static const Strategy ROWS[] = {
    WORKLOAD("apps", "deployments", kinds_reset_status),
    WORKLOAD("apps", "replicasets", kinds_reset_status),
    WORKLOAD("apps", "statefulsets", kinds_reset_status),
    WORKLOAD("apps", "daemonsets", kinds_reset_status),
    WORKLOAD("batch", "cronjobs", kinds_reset_status),
    {.group = "batch", .plural = "jobs", .has_generation = true, .allow_unconditional_update = true, .orphan_by_default = true, .prepare_for_create = job_prepare_for_create},
    {.group = "", .plural = "replicationcontrollers", .has_generation = true, .allow_unconditional_update = true, .orphan_by_default = true, .prepare_for_create = kinds_reset_status},
};
const StrategyTable strategies_workloads = {ROWS, ELEMENTSOF(ROWS)};
