/* Namespaces, nodes and the other plain kinds of the core group. */
#include "apiserver/registry/kinds.h"

#include "base/str.h"

static void namespace_prepare_for_create(StrategyContext *context, Value *ns) {
    Arena *arena = context->arena;
    Value *status = value_object(arena), *spec = value_ensure_object(arena, ns, "spec"), *finalizer;
    Value *finalizers = value_ensure_array(arena, spec, "finalizers");
    value_set_str(arena, status, "phase", "Active");
    value_set(arena, ns, "status", status);
    VALUE_FOREACH(finalizer, finalizers)
        if (streq(str_or(value_str(finalizer), ""), "kubernetes"))
            return;
    value_append(arena, finalizers, value_string(arena, "kubernetes"));
}

/* spec.finalizers changes by the finalize subresource alone. */
static void namespace_prepare_for_update(StrategyContext *context, Value *ns, const Value *old) {
    const Value *finalizers = value_path(old, "spec", "finalizers", NULL);
    if (context->subresource && streq(context->subresource, "finalize"))
        return;
    value_set(context->arena, value_ensure_object(context->arena, ns, "spec"), "finalizers",
              value_copy(context->arena, finalizers));
}

static bool namespace_holds_deletion(const Value *ns) {
    return value_len(value_path(ns, "spec", "finalizers", NULL)) > 0;
}

static void namespace_mark_deleting(StrategyContext *context, Value *ns) {
    value_set_str(context->arena, value_ensure_object(context->arena, ns, "status"), "phase", "Terminating");
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "namespaces",
        .allow_unconditional_update = true,
        .prepare_for_create = namespace_prepare_for_create,
        .prepare_for_update = namespace_prepare_for_update,
        .return_deleted_object = true,
        .holds_deletion = namespace_holds_deletion,
        .mark_deleting = namespace_mark_deleting,
    },
    {.group = "", .plural = "nodes", .allow_unconditional_update = true},
};
const StrategyTable strategies_core = {ROWS, ELEMENTSOF(ROWS)};
