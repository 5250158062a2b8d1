/* APIServices: where a group and version is served. All of them are this server's own for now. */
#include "api/names.h"
#include "apiserver/registry/strategy.h"
#include "base/str.h"

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

static void validate(StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec"), *meta = value_get(object, "metadata");
    const char *group = str_or(value_get_str(spec, "group"), ""), *version = str_or(value_get_str(spec, "version"), "");
    const char *name = str_or(value_get_str(meta, "name"), "");
    char *wanted = arena_printf(context->arena, "%s.%s", version, group);
    FieldPath at = FIELD(NULL, "metadata"), name_path = FIELD(&at, "name");
    if (!streq(name, wanted))
        field_invalid_str(errors, &name_path, name, "must be `spec.version+\".\"+spec.group`: \"%s\"", wanted);
    check_range(spec, "groupPriorityMinimum", 20000, "must be positive and less than 20000", errors);
    check_range(spec, "versionPriority", 1000, "must be positive and less than 1000", errors);
}

static const Strategy rows[] = {
    {
        .group = "apiregistration.k8s.io",
        .plural = "apiservices",
        .validate_name = check_name,
        .validate = validate,
        .allow_unconditional_update = true,
    },
};
const StrategyTable strategies_apiservices = {rows, ELEMENTSOF(rows)};
