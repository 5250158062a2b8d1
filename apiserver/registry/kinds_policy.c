/* What decides how pods run and may be disturbed: disruption budgets, priority and runtime classes; and leases. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/node_label_warnings.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/pod_validate.h"
#include "base/str.h"
#include "base/strmap.h"

#include <stdlib.h>

#define SYSTEM_PREFIX "system-"
#define SYSTEM_CRITICAL 2000000000
#define USER_PRIORITY_MAX 1000000000

static void check_count(FieldErrors *errors, const Value *spec, const char *name, const FieldPath *path) {
    const Value *count = value_get(spec, name);
    FieldPath at = FIELD(path, name);
    if (value_is(count, VALUE_STRING)) {
        field_check_name(errors, &at, count->string, name_percent);
        if (name_is_valid(count->string, name_percent) && strtol(count->string, NULL, 10) > 100)
            field_invalid(errors, &at, count, "must not be greater than 100%%");
    } else
        check_not_negative(errors, spec, name, path);
}

static void budget_validate(_unused_ StrategyContext *context, const Value *budget, FieldErrors *errors) {
    static const char *const POLICIES[] = {"AlwaysAllow", "IfHealthyBudget", NULL};
    const Value *spec = value_get(budget, "spec");
    FieldPath spec_at = FIELD(NULL, "spec"), selector_at = FIELD(&spec_at, "selector");
    bool has_min = !value_is_empty(value_get(spec, "minAvailable")),
         has_max = !value_is_empty(value_get(spec, "maxUnavailable"));
    if (has_min && has_max) {
        static const char *const MEMBERS[][2] = {{"MinAvailable", "minAvailable"},
                                                 {"Selector", "selector"},
                                                 {"MaxUnavailable", "maxUnavailable"},
                                                 {"UnhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy"}};
        Value *shown = value_object(errors->arena); /* as the reference's internal struct */
        for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++) {
            Value *v = value_get(spec, MEMBERS[i][1]);
            value_set(errors->arena, shown, MEMBERS[i][0], v ? v : value_null(errors->arena));
        }
        field_invalid(errors, &spec_at, shown, "minAvailable and maxUnavailable cannot be both set");
    }
    check_count(errors, spec, "minAvailable", &spec_at);
    check_count(errors, spec, "maxUnavailable", &spec_at);
    field_check_label_selector(errors, &selector_at, value_get(spec, "selector"));
    check_member_one_of(errors, spec, "unhealthyPodEvictionPolicy", POLICIES, &spec_at);
}

static void budget_validate_status(_unused_ StrategyContext *context, const Value *budget, _unused_ const Value *old,
                                   FieldErrors *errors) {
    static const char *const COUNTS[] = {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"};
    FieldPath status_at = FIELD(NULL, "status"), conditions_at = FIELD(&status_at, "conditions");
    for (size_t i = 0; i < ELEMENTSOF(COUNTS); i++)
        check_not_negative(errors, value_get(budget, "status"), COUNTS[i], &status_at);
    check_status_conditions(errors, value_path(budget, "status", "conditions", NULL), &conditions_at);
}

/* Why `name` with this value is not one of the classes the system has; NULL: it is. */
static const char *system_class_error(Arena *arena, const Value *class, const char *name) {
    int64_t want = streq(name, "system-node-critical")      ? SYSTEM_CRITICAL + 1000
                   : streq(name, "system-cluster-critical") ? SYSTEM_CRITICAL
                                                            : 0;
    if (!want)
        return arena_printf(arena, "%s is not a known system priority class", name);
    if (value_get_int(class, "value", 0) != want)
        return arena_printf(arena, "value of %s PriorityClass must be %d", name, (int)want);
    if (value_get_bool(class, "globalDefault", false))
        return arena_printf(arena, "globalDefault of %s PriorityClass must be false", name);
    return NULL;
}

static void priority_prepare_for_create(StrategyContext *context, Value *class) {
    value_set_int(context->arena, value_ensure_object(context->arena, class, "metadata"), "generation", 1);
}

static void priority_validate(_unused_ StrategyContext *context, const Value *class, FieldErrors *errors) {
    static const char *const POLICIES[] = {"PreemptLowerPriority", "Never", NULL};
    const char *name = text_at(value_get(class, "metadata"), "name"),
               *policy = value_get_str(class, "preemptionPolicy");
    FieldPath meta_at = FIELD(NULL, "metadata"), name_at = FIELD(&meta_at, "name"), value_path_ = FIELD(NULL, "value"),
              policy_at = FIELD(NULL, "preemptionPolicy");
    if (str_has_prefix(name, SYSTEM_PREFIX)) {
        const char *why = system_class_error(errors->arena, class, name);
        if (why)
            field_forbidden(errors, &name_at,
                            "priority class names with 'system-' prefix are reserved for system use only. error: %s",
                            why);
    } else if (value_get_int(class, "value", 0) > USER_PRIORITY_MAX)
        field_forbidden(errors, &value_path_, "maximum allowed value of a user defined priority is %d",
                        USER_PRIORITY_MAX);
    if (policy && !*policy)
        field_required(errors, &policy_at, "");
    else if (policy)
        check_one_of(errors, &policy_at, policy, POLICIES);
}

static void priority_validate_update(_unused_ StrategyContext *context, const Value *class, const Value *old,
                                     FieldErrors *errors) {
    FieldPath at = FIELD(NULL, "value");
    if (value_get_int(class, "value", 0) != value_get_int(old, "value", 0))
        field_forbidden(errors, &at, "may not be changed in an update.");
    check_immutable(errors, class, old, "preemptionPolicy", NULL);
}

static char *toleration_key(Arena *arena, const Value *toleration) {
    return arena_printf(arena, "%s\n%s\n%s\n%s", text_at(toleration, "key"), text_at(toleration, "operator"),
                        text_at(toleration, "value"), text_at(toleration, "effect"));
}

static void check_runtime_tolerations(FieldErrors *errors, const Value *list, const FieldPath *path) {
    _cleanup_(strmap_freep) StrMap *seen = strmap_new(NULL);
    tolerations_validate(errors, list, path);
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *toleration = value_at(list, i);
        FieldPath at = FIELD_INDEX(path, i);
        if (!strmap_add(seen, toleration_key(errors->arena, toleration)))
            field_duplicate(errors, &at, internal_value(errors->arena, "Toleration", toleration, NULL));
    }
}

static void runtime_validate(_unused_ StrategyContext *context, const Value *class, FieldErrors *errors) {
    const Value *fixed = value_path(class, "overhead", "podFixed", NULL), *scheduling = value_get(class, "scheduling");
    FieldPath overhead_at = FIELD(NULL, "overhead"), scheduling_at = FIELD(NULL, "scheduling"),
              selector_at = FIELD(&scheduling_at, "nodeSelector"),
              tolerations_at = FIELD(&scheduling_at, "tolerations");
    check_required(errors, class, "handler", NULL);
    check_name_member(errors, class, "handler", name_dns_label, NULL);
    if (value_len(fixed)) {
        Value *resources = value_object(errors->arena);
        value_set(errors->arena, resources, "limits", value_copy(errors->arena, fixed));
        resource_requirements_validate(errors, resources, &overhead_at);
    }
    field_check_labels(errors, &selector_at, value_get(scheduling, "nodeSelector"));
    check_runtime_tolerations(errors, value_get(scheduling, "tolerations"), &tolerations_at);
}

static void runtime_validate_update(_unused_ StrategyContext *context, const Value *class, const Value *old,
                                    FieldErrors *errors) {
    check_immutable(errors, class, old, "handler", NULL);
}

/* Members of coordinated leader election, a feature that is off: kept only where they are already. */
static void lease_drop(Value *lease, const Value *old) {
    static const char *const MEMBERS[] = {"strategy", "preferredHolder"};
    Value *spec = value_get(lease, "spec");
    const Value *was = value_get(old, "spec");
    if (!value_is(spec, VALUE_OBJECT) || value_get(was, MEMBERS[0]) || value_get(was, MEMBERS[1]))
        return;
    for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++)
        value_remove(spec, MEMBERS[i]);
}

static void lease_prepare_for_create(_unused_ StrategyContext *context, Value *lease) {
    lease_drop(lease, NULL);
}

static void lease_prepare_for_update(_unused_ StrategyContext *context, Value *lease, const Value *old) {
    lease_drop(lease, old);
}

static void lease_validate(_unused_ StrategyContext *context, const Value *lease, FieldErrors *errors) {
    static const char *const STRATEGIES[] = {"OldestEmulationVersion", NULL};
    const Value *spec = value_get(lease, "spec"), *seconds = value_get(spec, "leaseDurationSeconds");
    const char *strategy = value_get_str(spec, "strategy");
    FieldPath spec_at = FIELD(NULL, "spec"), seconds_at = FIELD(&spec_at, "leaseDurationSeconds"),
              strategy_at = FIELD(&spec_at, "strategy"), inner_at = FIELD(&strategy_at, "strategy"),
              holder_at = FIELD(&spec_at, "preferredHolder");
    if (value_is(seconds, VALUE_INT) && seconds->integer <= 0)
        field_invalid(errors, &seconds_at, seconds, "must be greater than 0");
    check_not_negative(errors, spec, "leaseTransitions", &spec_at);
    if (strategy && strchr(strategy, '/'))
        field_check_name(errors, &inner_at, strategy, name_qualified);
    else if (strategy)
        check_one_of(errors, &inner_at, strategy, STRATEGIES);
    if (*text_at(spec, "preferredHolder") && str_empty(strategy))
        field_forbidden(errors, &holder_at, "may only be specified if `strategy` is defined");
}

static void runtime_warn(StrategyContext *context, const Value *runtime) {
    VALUE_FOREACH_MEMBER (m, value_path(runtime, "scheduling", "nodeSelector", NULL))
        if (node_label_deprecation(m->name))
            strategy_warn(context, "scheduling.nodeSelector: %s", node_label_deprecation(m->name));
}

static void runtime_warn_update(StrategyContext *context, const Value *runtime, _unused_ const Value *old) {
    runtime_warn(context, runtime);
}

static const Strategy ROWS[] = {
    {
        .group = "policy",
        .plural = "poddisruptionbudgets",
        .validate_name = validate_path_segment_name,
        .no_meta_update = true,
        .has_generation = true,
        .prepare_for_create = kinds_reset_status,
        .validate = budget_validate,
        .validate_status_update = budget_validate_status,
    },
    {
        .group = "scheduling.k8s.io",
        .plural = "priorityclasses",
        .allow_unconditional_update = true,
        .prepare_for_create = priority_prepare_for_create,
        .validates_update_alone = true,
        .validate = priority_validate,
        .validate_update = priority_validate_update,
    },
    {
        .group = "node.k8s.io",
        .plural = "runtimeclasses",
        .revalidates_meta = true,
        .allow_create_on_update = true,
        .validate = runtime_validate,
        .validate_update = runtime_validate_update,
        .warn_create = runtime_warn,
        .warn_update = runtime_warn_update,
    },
    {
        .group = "coordination.k8s.io",
        .plural = "leases",
        .allow_create_on_update = true,
        .prepare_for_create = lease_prepare_for_create,
        .prepare_for_update = lease_prepare_for_update,
        .validate = lease_validate,
    },
};
const StrategyTable strategies_policy = {ROWS, ELEMENTSOF(ROWS)};
