/* APIServices: which server answers a group and version. Those without a service are this server's own
 * (k8s.io/kube-aggregator/pkg/registry/apiservice and pkg/apis/apiregistration/validation). */
#include "api/names.h"
#include "apiserver/registry/strategy.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdio.h>

/* "v1.apps", and "v1." for the core group: a path segment, which the validation below ties to the spec. */
static void check_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    field_check_name(errors, path, name, prefix ? name_path_segment_prefix : name_path_segment);
}

static void check_range(const Value *spec, const char *name, int64_t limit, const char *message, FieldErrors *errors) {
    FieldPath at = FIELD(NULL, "spec"), path = FIELD(&at, name);
    int64_t value = value_get_int(spec, name, 0);
    if (value <= 0 || value > limit)
        field_invalid(errors, &path, value_int(errors->arena, value), "%s", message);
}

/* The bytes of a base64 text. */
static size_t decoded_len(const char *base64) {
    size_t n = strlen(str_or(base64, ""));
    while (n && base64[n - 1] == '=')
        n--;
    return n * 3 / 4;
}

static void validate_local(const Value *spec, const FieldPath *at, FieldErrors *errors) {
    FieldPath bundle = FIELD(at, "caBundle"), skip = FIELD(at, "insecureSkipTLSVerify");
    size_t n = decoded_len(value_get_str(spec, "caBundle"));
    char size[32];
    snprintf(size, sizeof size, "%zu bytes", n);
    if (n)
        field_invalid_str(errors, &bundle, size, "local APIServices may not have a caBundle");
    if (value_get_bool(spec, "insecureSkipTLSVerify", false))
        field_invalid(errors, &skip, value_bool(errors->arena, true),
                      "local APIServices may not have insecureSkipTLSVerify");
}

static void validate_remote(const Value *spec, const FieldPath *at, FieldErrors *errors) {
    FieldPath service_path = FIELD(at, "service"), skip = FIELD(at, "insecureSkipTLSVerify");
    FieldPath ns = FIELD(&service_path, "namespace"), name = FIELD(&service_path, "name"),
              port = FIELD(&service_path, "port");
    const Value *service = value_get(spec, "service");
    int64_t n = value_get_int(service, "port", 0);
    if (str_empty(value_get_str(service, "namespace")))
        field_required(errors, &ns, "");
    if (str_empty(value_get_str(service, "name")))
        field_required(errors, &name, "");
    if (n < 1 || n > 65535)
        field_invalid(errors, &port, value_int(errors->arena, n),
                      "port is not valid: must be between 1 and 65535, inclusive");
    if (value_get_bool(spec, "insecureSkipTLSVerify", false) && !str_empty(value_get_str(spec, "caBundle")))
        field_invalid(errors, &skip, value_bool(errors->arena, true), "may not be true if caBundle is present");
}

static void validate(StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec"), *meta = value_get(object, "metadata");
    const char *group = str_or(value_get_str(spec, "group"), ""), *version = str_or(value_get_str(spec, "version"), "");
    const char *name = str_or(value_get_str(meta, "name"), "");
    char *wanted = arena_printf(context->arena, "%s.%s", version, group);
    FieldPath at = FIELD(NULL, "metadata"), name_path = FIELD(&at, "name"), spec_path = FIELD(NULL, "spec"),
              group_path = FIELD(&spec_path, "group"), version_path = FIELD(&spec_path, "version");
    if (*name && !streq(name, wanted))
        field_invalid_str(errors, &name_path, name, "must be `spec.version+\".\"+spec.group`: \"%s\"", wanted);
    if (!*group && !streq(version, "v1"))
        field_required(errors, &group_path, "only v1 may have an empty group and it better be legacy kube");
    if (*group)
        field_check_name(errors, &group_path, group, name_dns_subdomain);
    field_check_name(errors, &version_path, version, name_dns1035_label);
    check_range(spec, "groupPriorityMinimum", 20000, "must be positive and less than 20000", errors);
    check_range(spec, "versionPriority", 1000, "must be positive and less than 1000", errors);
    if (value_get(spec, "service"))
        validate_remote(spec, &spec_path, errors);
    else
        validate_local(spec, &spec_path, errors);
}

/* Those of this server are available from the first. */
static void prepare_for_create(StrategyContext *context, Value *object) {
    Arena *arena = context->arena;
    Value *status = value_object(arena), *conditions = value_array(arena), *condition = value_object(arena);
    char now[RFC3339_MAX];
    value_set(arena, object, "status", status);
    if (value_path(object, "spec", "service", NULL))
        return;
    value_set_str(arena, condition, "type", "Available");
    value_set_str(arena, condition, "status", "True");
    value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(context->now_ns, now));
    value_set_str(arena, condition, "reason", "Local");
    value_set_str(arena, condition, "message", "Local APIServices are always available");
    value_append(arena, conditions, condition);
    value_set(arena, status, "conditions", conditions);
}

static const Strategy rows[] = {
    {
        .group = "apiregistration.k8s.io",
        .plural = "apiservices",
        .revalidates_meta = true,
        .validate_name = check_name,
        .prepare_for_create = prepare_for_create,
        .validate = validate,
    },
};
const StrategyTable strategies_apiservices = {rows, ELEMENTSOF(rows)};
