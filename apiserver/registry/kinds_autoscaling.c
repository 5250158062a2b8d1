/* autoscaling. Objects have the form of autoscaling/v2. */
#include "api/quantity.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/resource_names.h"
#include "base/str.h"

#define WINDOW_MAX 3600
#define PERIOD_MAX 1800
#define INFORMATION "must populate information for the given metric source"

static void check_segment(FieldErrors *errors, const Value *object, const char *name, const char *missing,
                          const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (!*text_at(object, name))
        field_required(errors, &at, missing);
    else
        field_check_name(errors, &at, text_at(object, name), name_path_segment);
}

/* `core_too`: a version without a group is fine. */
static void check_reference(FieldErrors *errors, const Value *reference, bool core_too, bool any_version,
                            const FieldPath *path) {
    const char *version = text_at(reference, "apiVersion"), *slash = strchr(version, '/');
    FieldPath version_at = FIELD(path, "apiVersion");
    check_segment(errors, reference, "kind", "", path);
    check_segment(errors, reference, "name", "", path);
    if (any_version)
        return;
    if (slash && strchr(slash + 1, '/'))
        field_invalid_str(errors, &version_at, version, "unexpected GroupVersion string: %s", version);
    else if (!core_too && (!slash || slash == version))
        field_invalid_str(errors, &version_at, version, "apiVersion must specify API group");
}

static void check_target(FieldErrors *errors, const Value *target, const FieldPath *path) {
    static const char *const TYPES[] = {"Utilization", "Value", "AverageValue", NULL}, *const AMOUNTS[] = {
                                                                                           "value", "averageValue"};
    const Value *utilization = value_get(target, "averageUtilization");
    FieldPath type_at = FIELD(path, "type"), utilization_at = FIELD(path, "averageUtilization");
    if (!*text_at(target, "type"))
        field_required(errors, &type_at, "must specify a metric target type");
    if (!str_in(text_at(target, "type"), TYPES))
        field_invalid_str(errors, &type_at, text_at(target, "type"),
                          "must be either Utilization, Value, or AverageValue");
    for (size_t i = 0; i < ELEMENTSOF(AMOUNTS); i++) {
        const char *text = value_get_str(target, AMOUNTS[i]);
        FieldPath at = FIELD(path, AMOUNTS[i]);
        Quantity q;
        if (text && quantity_parse(text, &q) == 0 && quantity_sign(&q) <= 0)
            field_invalid_str(errors, &at, text, "must be positive");
    }
    if (value_is(utilization, VALUE_INT) && utilization->integer < 1)
        field_invalid(errors, &utilization_at, utilization, "must be greater than 0");
}

static void check_metric_source(FieldErrors *errors, const Value *source, const char *kind, const FieldPath *path) {
    const Value *target = value_get(source, "target");
    FieldPath metric_at = FIELD(path, "metric"), target_at = FIELD(path, "target"), name_at = FIELD(path, "name"),
              described_at = FIELD(path, "describedObject"), container_at = FIELD(path, "container"),
              value_path_ = FIELD(&target_at, "value"), average_at = FIELD(&target_at, "averageValue"),
              utilization_at = FIELD(&target_at, "averageUtilization");
    bool container = streq(kind, "containerResource"), resource = container || streq(kind, "resource");
    bool has_value = value_get(target, "value"), has_average = value_get(target, "averageValue"),
         has_utilization = value_get(target, "averageUtilization");
    if (streq(kind, "object"))
        check_reference(errors, value_get(source, "describedObject"), true, false, &described_at);
    if (!resource)
        check_segment(errors, value_get(source, "metric"), "name", "must specify a metric name", &metric_at);
    else if (!*text_at(source, "name"))
        field_required(errors, &name_at, "must specify a resource name");
    else if (container)
        resource_name_validate_for_container(errors, &name_at, text_at(source, "name"));
    if (container && !*text_at(source, "container"))
        field_required(errors, &container_at, "must specify a container");
    if (container)
        check_name_member(errors, source, "container", name_dns_label, path);
    check_target(errors, target, &target_at);
    if (streq(kind, "pods") && !has_average)
        field_required(errors, &average_at, "must specify a positive target averageValue");
    if (streq(kind, "object") && !has_value && !has_average)
        field_required(errors, &average_at, "must set either a target value or averageValue");
    if (streq(kind, "external") && !has_value && !has_average)
        field_required(errors, &average_at, "must set either a target value for metric or a per-pod target");
    if (streq(kind, "external") && has_value && has_average)
        field_forbidden(errors, &value_path_, "may not set both a target value for metric and a per-pod target");
    if (resource && !has_utilization && !has_average)
        field_required(errors, &utilization_at, "must set either a target raw value or a target utilization");
    if (resource && has_utilization && has_average)
        field_forbidden(errors, &average_at, "may not set both a target raw value and a target utilization");
}

static void check_metric(FieldErrors *errors, const Value *metric, const FieldPath *path) {
    static const char *const TYPES[] = {"ContainerResource", "External", "Object", "Pods", "Resource", NULL},
                             *const SOURCES[] = {"containerResource", "external", "object", "pods", "resource"},
                             *const ORDER[] = {"object", "external", "pods", "resource", "containerResource"};
    const char *type = text_at(metric, "type"), *expected = NULL;
    FieldPath type_at = FIELD(path, "type");
    size_t n = 0;
    if (!*type)
        field_required(errors, &type_at, "must specify a metric source type");
    check_one_of(errors, &type_at, type, TYPES);
    for (size_t i = 0; i < ELEMENTSOF(ORDER); i++) {
        FieldPath at = FIELD(path, ORDER[i]);
        if (value_is(value_get(metric, ORDER[i]), VALUE_OBJECT) && ++n == 1)
            check_metric_source(errors, value_get(metric, ORDER[i]), ORDER[i], &at);
    }
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++)
        if (streq(type, TYPES[i]))
            expected = SOURCES[i];
    if (!expected)
        check_one_of(errors, &type_at, type, TYPES);
    else if (!value_is(value_get(metric, expected), VALUE_OBJECT)) {
        FieldPath at = FIELD(path, expected);
        field_required(errors, &at, INFORMATION);
    }
    for (size_t i = 0; n != 1 && i < ELEMENTSOF(ORDER); i++) {
        FieldPath at = FIELD(path, ORDER[i]);
        if (value_is(value_get(metric, ORDER[i]), VALUE_OBJECT) && !streq_null(expected, ORDER[i]))
            field_forbidden(errors, &at, "must populate the given metric source only");
    }
}

static void check_policy(FieldErrors *errors, const Value *policy, const FieldPath *path) {
    static const char *const TYPES[] = {"Percent", "Pods", NULL}, *const NUMBERS[] = {"value", "periodSeconds"};
    FieldPath type_at = FIELD(path, "type"), period_at = FIELD(path, "periodSeconds");
    int64_t period = value_get_int(policy, "periodSeconds", 0);
    check_one_of(errors, &type_at, text_at(policy, "type"), TYPES);
    for (size_t i = 0; i < ELEMENTSOF(NUMBERS); i++) {
        int64_t n = value_get_int(policy, NUMBERS[i], 0);
        FieldPath at = FIELD(path, NUMBERS[i]);
        if (n <= 0)
            field_invalid(errors, &at, value_int(errors->arena, n), "must be greater than zero");
    }
    if (period > PERIOD_MAX)
        field_invalid(errors, &period_at, value_int(errors->arena, period), "must be less than or equal to %d",
                      PERIOD_MAX);
}

static void check_scaling(FieldErrors *errors, const Value *rules, const FieldPath *path) {
    static const char *const SELECT[] = {"Disabled", "Max", "Min", NULL};
    const Value *window = value_get(rules, "stabilizationWindowSeconds"), *policies = value_get(rules, "policies");
    FieldPath window_at = FIELD(path, "stabilizationWindowSeconds"), policies_at = FIELD(path, "policies"),
              tolerance_at = FIELD(path, "tolerance");
    if (!value_is(rules, VALUE_OBJECT))
        return;
    if (value_is(window, VALUE_INT) && window->integer < 0)
        field_invalid(errors, &window_at, window, "must be greater than or equal to zero");
    if (value_is(window, VALUE_INT) && window->integer > WINDOW_MAX)
        field_invalid(errors, &window_at, window, "must be less than or equal to %d", WINDOW_MAX);
    check_member_one_of(errors, rules, "selectPolicy", SELECT, path);
    if (!value_len(policies))
        field_required(errors, &policies_at, "must specify at least one Policy");
    for (size_t i = 0; i < value_len(policies); i++) {
        FieldPath at = FIELD_INDEX(&policies_at, i);
        check_policy(errors, value_at(policies, i), &at);
    }
    check_quantity_not_negative(errors, &tolerance_at, value_get(rules, "tolerance"));
}

/* A scale to zero is let pass only where there was one before (the HPAScaleToZero feature is off). */
static void check_spec(FieldErrors *errors, const Value *scaler, const Value *old) {
    const Value *spec = value_get(scaler, "spec"), *min = value_get(spec, "minReplicas");
    const Value *metrics = value_get(spec, "metrics"), *behavior = value_get(spec, "behavior");
    const Value *target = value_get(spec, "scaleTargetRef"),
                *old_target = value_path(old, "spec", "scaleTargetRef", NULL);
    int64_t max = value_get_int(spec, "maxReplicas", 0), low = 1;
    FieldPath spec_at = FIELD(NULL, "spec"), min_at = FIELD(&spec_at, "minReplicas"),
              max_at = FIELD(&spec_at, "maxReplicas"), target_at = FIELD(&spec_at, "scaleTargetRef"),
              metrics_at = FIELD(&spec_at, "metrics"), behavior_at = FIELD(&spec_at, "behavior"),
              up_at = FIELD(&behavior_at, "scaleUp"), down_at = FIELD(&behavior_at, "scaleDown");
    const Value *was = value_path(old, "spec", "minReplicas", NULL);
    if (value_is(was, VALUE_INT) && was->integer == 0)
        low = 0;
    if (value_is(min, VALUE_INT) && min->integer < low)
        field_invalid(errors, &min_at, min, "must be greater than or equal to %d", (int)low);
    if (max == 0)
        field_required(errors, &max_at, "must be set and greater than 0");
    else if (max < 0)
        field_invalid(errors, &max_at, value_int(errors->arena, max), "must be greater than or equal to 1");
    if (value_is(min, VALUE_INT) && max < min->integer)
        field_invalid(errors, &max_at, value_int(errors->arena, max), "must be greater than or equal to `minReplicas`");
    bool unchanged = old && text_is(old_target, "apiVersion", text_at(target, "apiVersion")) &&
                     text_is(old_target, "kind", text_at(target, "kind"));
    check_reference(errors, target, text_is(target, "kind", "ReplicationController"), unchanged, &target_at);
    bool others = false;
    for (size_t i = 0; i < value_len(metrics); i++) {
        const char *type = text_at(value_at(metrics, i), "type");
        FieldPath at = FIELD_INDEX(&metrics_at, i);
        check_metric(errors, value_at(metrics, i), &at);
        others |= streq(type, "Object") || streq(type, "External");
    }
    if (value_is(min, VALUE_INT) && min->integer == 0 && !others)
        field_forbidden(errors, &metrics_at,
                        "must specify at least one Object or External metric to support scaling to zero replicas");
    check_scaling(errors, value_get(behavior, "scaleUp"), &up_at);
    check_scaling(errors, value_get(behavior, "scaleDown"), &down_at);
}

static void validate(_unused_ StrategyContext *context, const Value *scaler, FieldErrors *errors) {
    check_spec(errors, scaler, NULL);
}

static void validate_update(_unused_ StrategyContext *context, const Value *scaler, const Value *old,
                            FieldErrors *errors) {
    check_spec(errors, scaler, old);
}

static void validate_status_update(_unused_ StrategyContext *context, const Value *scaler, _unused_ const Value *old,
                                   FieldErrors *errors) {
    FieldPath status_at = FIELD(NULL, "status");
    check_not_negative(errors, value_get(scaler, "status"), "currentReplicas", &status_at);
    check_not_negative(errors, value_get(scaler, "status"), "desiredReplicas", &status_at);
}

static const Strategy ROWS[] = {
    {
        .group = "autoscaling",
        .plural = "horizontalpodautoscalers",
        .allow_unconditional_update = true,
        .prepare_for_create = kinds_reset_status,
        .validates_update_alone = true,
        .validate = validate,
        .validate_update = validate_update,
        .validate_status_update = validate_status_update,
    },
};
const StrategyTable strategies_autoscaling = {ROWS, ELEMENTSOF(ROWS)};
