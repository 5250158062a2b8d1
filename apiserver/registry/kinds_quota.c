/* Limit ranges and resource quotas. */
#include "api/quantity.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/resource_names.h"
#include "apiserver/registry/validate_util.h"
#include "base/random.h"
#include "base/str.h"
#include "base/strmap.h"

#define MAX_MILLI (INT64_MAX / 1000) /* the largest whole number that thousandths hold */

/* The quantities of one resource name in one limit; `has` says which are there. */
typedef struct Limit {
    Quantity min, max, defaults, requests, ratio;
    const Value *min_text, *max_text, *default_text, *request_text, *ratio_text;
} Limit;

static const Value *read_quantity(const Value *limit, const char *member, const char *name, Quantity *ret) {
    const Value *text = value_get(value_get(limit, member), name);
    return value_str(text) && quantity_parse(value_str(text), ret) == 0 ? text : NULL;
}

static void check_names(FieldErrors *errors, const Value *limit, const char *member, StrMap *known, Value *names,
                        const FieldPath *path) {
    bool container = text_is(limit, "type", "Pod") || text_is(limit, "type", "Container");
    FieldPath map = FIELD(path, member);
    VALUE_FOREACH_MEMBER (m, value_get(limit, member)) {
        FieldPath at = FIELD_KEY(&map, m->name);
        if (container)
            resource_name_validate_for_container(errors, &at, m->name);
        else
            resource_name_validate(errors, &at, m->name);
        if (strmap_add(known, m->name))
            value_append(errors->arena, names, value_string(errors->arena, m->name));
    }
}

static void above(FieldErrors *errors, const Value *low, const Quantity *a, const char *low_name, const Value *high,
                  const Quantity *b, const char *high_name, const Value *shown, const FieldPath *at) {
    if (low && high && quantity_compare(a, b) > 0)
        field_invalid(errors, at, shown, "%s value %s is greater than %s value %s", low_name, value_str(low), high_name,
                      value_str(high));
}

static void check_ratio(FieldErrors *errors, const Limit *l, const FieldPath *at) {
    Quantity one = quantity_from_int(1, QUANTITY_DECIMAL_SI);
    if (!l->ratio_text)
        return;
    if (quantity_compare(&l->ratio, &one) < 0)
        field_invalid(errors, at, l->ratio_text, "ratio %s is less than 1", value_str(l->ratio_text));
    if (!l->min_text || !l->max_text)
        return;
    double ratio = (double)quantity_value(&l->ratio);
    int64_t min = quantity_value(&l->min), max = quantity_value(&l->max);
    if (quantity_value(&l->ratio) < MAX_MILLI && min < MAX_MILLI && max < MAX_MILLI) {
        ratio = (double)quantity_milli_value(&l->ratio) / 1000;
        min = quantity_milli_value(&l->min);
        max = quantity_milli_value(&l->max);
    }
    double limit = (double)max / (double)min;
    if (ratio > limit)
        field_invalid(errors, at, l->ratio_text, "ratio %s is greater than max/min = %f", value_str(l->ratio_text),
                      limit);
}

static void check_quantities(FieldErrors *errors, const Value *limit, const char *name, const FieldPath *path) {
    bool pod = text_is(limit, "type", "Pod");
    FieldPath min_map = FIELD(path, "min"), min_at = FIELD_KEY(&min_map, name),
              request_map = FIELD(path, "defaultRequest"), request_at = FIELD_KEY(&request_map, name),
              default_map = FIELD(path, "default"), default_at = FIELD_KEY(&default_map, name),
              ratio_map = FIELD(path, "maxLimitRequestRatio"), ratio_at = FIELD_KEY(&ratio_map, name);
    Limit l = {0};
    l.min_text = read_quantity(limit, "min", name, &l.min);
    l.max_text = read_quantity(limit, "max", name, &l.max);
    l.default_text = pod ? NULL : read_quantity(limit, "default", name, &l.defaults);
    l.request_text = pod ? NULL : read_quantity(limit, "defaultRequest", name, &l.requests);
    l.ratio_text = read_quantity(limit, "maxLimitRequestRatio", name, &l.ratio);
    above(errors, l.min_text, &l.min, "min", l.max_text, &l.max, "max", l.min_text, &min_at);
    above(errors, l.min_text, &l.min, "min", l.request_text, &l.requests, "default request", l.request_text,
          &request_at);
    above(errors, l.request_text, &l.requests, "default request", l.max_text, &l.max, "max", l.request_text,
          &request_at);
    above(errors, l.request_text, &l.requests, "default request", l.default_text, &l.defaults, "default limit",
          l.request_text, &request_at);
    above(errors, l.min_text, &l.min, "min", l.default_text, &l.defaults, "default", l.min_text, &default_at);
    above(errors, l.default_text, &l.defaults, "default", l.max_text, &l.max, "max", l.max_text, &default_at);
    check_ratio(errors, &l, &ratio_at);
    bool overcommits = resource_name_is_native(name) && !resource_name_is_huge_page(name);
    if (!overcommits && l.default_text && l.request_text && quantity_compare(&l.defaults, &l.requests))
        field_invalid(errors, &request_at, l.request_text,
                      "default value %s must equal to defaultRequest value %s in %s", value_str(l.default_text),
                      value_str(l.request_text), name);
}

static void check_limit_type(FieldErrors *errors, const char *type, const FieldPath *path) {
    static const char *const TYPES[] = {"Pod", "Container", "PersistentVolumeClaim", NULL};
    size_t before = errors->n;
    field_check_name(errors, path, type, name_qualified);
    if (errors->n == before && !strchr(type, '/') && !str_in(type, TYPES))
        field_invalid_str(errors, path, type, "must be a standard limit type or fully qualified");
}

static void check_limit(FieldErrors *errors, const Value *limits, size_t i, const FieldPath *path) {
    const Value *limit = value_at(limits, i), *name;
    const char *type = text_at(limit, "type");
    FieldPath type_at = FIELD(path, "type"), limits_at = FIELD(path, "limits");
    Value *names = value_array(errors->arena);
    _cleanup_(strmap_freep) StrMap *known = strmap_new(NULL);
    check_limit_type(errors, type, &type_at);
    if (seen_before(errors, limits, i, "type", type))
        field_duplicate(errors, &type_at, value_string(errors->arena, type));
    check_names(errors, limit, "max", known, names, path);
    check_names(errors, limit, "min", known, names, path);
    static const char *const DEFAULTS[] = {"default", "defaultRequest"};
    for (size_t k = 0; k < ELEMENTSOF(DEFAULTS); k++) {
        FieldPath at = FIELD(path, DEFAULTS[k]);
        if (!streq(type, "Pod"))
            check_names(errors, limit, DEFAULTS[k], known, names, path);
        else if (value_len(value_get(limit, DEFAULTS[k])))
            field_forbidden(errors, &at, "may not be specified when `type` is 'Pod'");
    }
    if (streq(type, "PersistentVolumeClaim") && !value_path(limit, "min", "storage", NULL) &&
        !value_path(limit, "max", "storage", NULL))
        field_required(errors, &limits_at,
                       "either minimum or maximum storage value is required, but neither was provided");
    check_names(errors, limit, "maxLimitRequestRatio", known, names, path);
    VALUE_FOREACH (name, names)
        check_quantities(errors, limit, value_str(name), path);
}

static void limit_range_validate(_unused_ StrategyContext *context, const Value *range, FieldErrors *errors) {
    const Value *limits = value_path(range, "spec", "limits", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), limits_at = FIELD(&spec_at, "limits");
    for (size_t i = 0; i < value_len(limits); i++) {
        FieldPath at = FIELD_INDEX(&limits_at, i);
        check_limit(errors, limits, i, &at);
    }
}

static void check_quota_amounts(FieldErrors *errors, const Value *amounts, const FieldPath *path) {
    VALUE_FOREACH_MEMBER (m, amounts) {
        FieldPath at = FIELD_KEY(path, m->name);
        resource_name_validate_for_quota(errors, &at, m->name);
        resource_quantity_validate(errors, &at, m->name, m->value);
    }
}

static const char *const POD_SCOPES[] = {
    "BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity", NULL};

static bool scope_is_standard(const char *scope) {
    return str_in(scope, POD_SCOPES) || streq(scope, "PriorityClass") || streq(scope, "VolumeAttributesClass");
}

static bool scope_fits(const char *scope, const char *resource) {
    static const char *const COMPUTE[] = {"cpu",          "memory",          "limits.cpu", "limits.memory",
                                          "requests.cpu", "requests.memory", NULL};
    if (streq(scope, "BestEffort"))
        return streq(resource, "pods");
    if (streq(scope, "VolumeAttributesClass"))
        return streq(resource, "persistentvolumeclaims") || streq(resource, "requests.storage");
    if (str_in(scope, POD_SCOPES) || streq(scope, "PriorityClass"))
        return streq(resource, "pods") || str_in(resource, COMPUTE);
    return true;
}

static void check_fit(FieldErrors *errors, const Value *spec, const char *scope, const Value *shown,
                      const FieldPath *path) {
    VALUE_FOREACH_MEMBER (m, value_get(spec, "hard"))
        if (resource_name_is_quota(m->name) && !scope_fits(scope, m->name))
            field_invalid(errors, path, shown, "unsupported scope applied to resource");
}

static void check_conflicts(FieldErrors *errors, const Value *names, const Value *shown, const FieldPath *path) {
    if (list_has(names, "BestEffort") && list_has(names, "NotBestEffort"))
        field_invalid(errors, path, shown, "conflicting scopes");
    if (list_has(names, "Terminating") && list_has(names, "NotTerminating"))
        field_invalid(errors, path, shown, "conflicting scopes");
}

static void check_scopes(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *scopes = value_get(spec, "scopes"), *item;
    FieldPath at = FIELD(spec_at, "scopes");
    VALUE_FOREACH (item, scopes) {
        const char *scope = str_or(value_str(item), "");
        if (!scope_is_standard(scope))
            field_invalid(errors, &at, scopes, "unsupported scope");
        check_fit(errors, spec, scope, scopes, &at);
    }
    check_conflicts(errors, scopes, scopes, &at);
}

static void check_scope_requirement(FieldErrors *errors, const Value *spec, const Value *requirement,
                                    const FieldPath *path) {
    const char *scope = text_at(requirement, "scopeName"), *operator= text_at(requirement, "operator");
    const Value *values = value_get(requirement, "values");
    FieldPath scope_at = FIELD(path, "scopeName"), operator_at = FIELD(path, "operator"),
              values_at = FIELD(path, "values");
    if (!scope_is_standard(scope))
        field_invalid_str(errors, &scope_at, scope, "unsupported scope");
    check_fit(errors, spec, scope, value_get(spec, "scopeSelector"), path);
    if (str_in(scope, POD_SCOPES) && !streq(operator, "Exists"))
        field_invalid_str(errors, &operator_at, operator,
                          "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                          "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                          "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
    if (streq(operator, "In") || streq(operator, "NotIn")) {
        if (!value_len(values))
            field_required(errors, &values_at,
                           "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
    } else if (streq(operator, "Exists") || streq(operator, "DoesNotExist")) {
        if (value_len(values))
            field_invalid(errors, &values_at, values,
                          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
    } else
        field_invalid_str(errors, &operator_at, operator, "not a valid selector operator");
}

static void check_scope_selector(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *requirement;
    Value *names = value_array(errors->arena);
    FieldPath selector_at = FIELD(spec_at, "scopeSelector"), at = FIELD(&selector_at, "matchExpressions");
    VALUE_FOREACH (requirement, value_path(spec, "scopeSelector", "matchExpressions", NULL)) {
        check_scope_requirement(errors, spec, requirement, &at);
        value_append(errors->arena, names, value_string(errors->arena, text_at(requirement, "scopeName")));
    }
    check_conflicts(errors, names, value_get(spec, "scopes"), &at);
}

static void check_quota_status(FieldErrors *errors, const Value *quota) {
    FieldPath status_at = FIELD(NULL, "status"), hard_at = FIELD(&status_at, "hard"),
              used_at = FIELD(&status_at, "used");
    check_quota_amounts(errors, value_path(quota, "status", "hard", NULL), &hard_at);
    check_quota_amounts(errors, value_path(quota, "status", "used", NULL), &used_at);
}

static void check_quota_spec(FieldErrors *errors, const Value *quota) {
    const Value *spec = value_get(quota, "spec");
    FieldPath spec_at = FIELD(NULL, "spec"), hard_at = FIELD(&spec_at, "hard");
    check_quota_amounts(errors, value_get(spec, "hard"), &hard_at);
    check_scopes(errors, spec, &spec_at);
    check_scope_selector(errors, spec, &spec_at);
}

static void quota_validate(_unused_ StrategyContext *context, const Value *quota, FieldErrors *errors) {
    check_quota_spec(errors, quota);
    check_quota_status(errors, quota);
}

static bool same_names(const Value *a, const Value *b) {
    const Value *item;
    VALUE_FOREACH (item, a)
        if (!list_has(b, value_str(item)))
            return false;
    VALUE_FOREACH (item, b)
        if (!list_has(a, value_str(item)))
            return false;
    return true;
}

static void quota_validate_update(_unused_ StrategyContext *context, const Value *quota, const Value *old,
                                  FieldErrors *errors) {
    const Value *scopes = value_path(quota, "spec", "scopes", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), at = FIELD(&spec_at, "scopes");
    check_quota_spec(errors, quota);
    if (!same_names(scopes, value_path(old, "spec", "scopes", NULL)))
        field_invalid(errors, &at, scopes, MUST_NOT_CHANGE);
}

static void quota_validate_status_update(_unused_ StrategyContext *context, const Value *quota,
                                         _unused_ const Value *old, FieldErrors *errors) {
    check_quota_status(errors, quota);
}

/* One without a name gets one. */
static void limit_range_prepare_for_create(StrategyContext *context, Value *range) {
    char uuid[UUID_LEN + 1];
    Value *meta = value_ensure_object(context->arena, range, "metadata");
    if (str_empty(value_get_str(meta, "name")))
        value_set_str(context->arena, meta, "name", random_uuid(uuid));
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "limitranges",
        .allow_create_on_update = true,
        .allow_unconditional_update = true,
        .prepare_for_create = limit_range_prepare_for_create,
        .validate = limit_range_validate,
    },
    {
        .group = "",
        .plural = "resourcequotas",
        .allow_unconditional_update = true,
        .prepare_for_create = kinds_reset_status,
        .validates_update_alone = true,
        .validate = quota_validate,
        .validate_update = quota_validate_update,
        .validate_status_update = quota_validate_status_update,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_quota = {ROWS, ELEMENTSOF(ROWS)};
