#include "apiserver/registry/custom_strategy.h"
#include "api/names.h"
#include "api/typed.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/custom_checks.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/registry.h"
#include "base/str.h"

/* The version asked for: its schema holds, whatever version is stored. */
static const CustomVersion *version_of(const StrategyContext *context) {
    const Resource *asked = context->requested;
    return custom_version(asked && asked->custom ? asked : context->resource);
}

static void prepare_for_create(StrategyContext *context, Value *object) {
    if (version_of(context)->has_status)
        value_remove(object, "status");
}

/* Without a status subresource, status is a part of the object like any other. */
static void prepare_for_update(StrategyContext *context, Value *object, const Value *old) {
    const Value *now = value_get(object, "status"), *was = value_get(old, "status");
    if (version_of(context)->has_status || (now ? was && value_equal(now, was) : !was))
        return;
    int64_t generation = value_get_int(value_get(old, "metadata"), "generation", 0);
    value_set_int(context->arena, value_ensure_object(context->arena, object, "metadata"), "generation",
                  generation + 1);
}

/* Nothing of metadata comes through the status but who wrote it. */
static void prepare_for_status_update(StrategyContext *context, Value *object, const Value *old) {
    Value *meta = meta_ensure(context->arena, object), *managed = value_get(meta, "managedFields");
    *meta = *value_copy(context->arena, value_get(old, "metadata"));
    value_set(context->arena, meta, "managedFields", managed);
}

/* CEL rules are looked at only when nothing blocks them in the reference; this server never evaluates them, and says so
 * where the reference does. */
static void note_rules(const CustomVersion *version, FieldErrors *errors, size_t from) {
    static const FieldErrorType blocking[] = {FIELD_NOT_SUPPORTED, FIELD_REQUIRED, FIELD_TOO_LONG, FIELD_TOO_MANY,
                                              FIELD_TYPE_INVALID};
    if (!json_schema_has_rules(version->validator))
        return;
    for (size_t i = from; i < field_errors_kept(errors); i++)
        for (size_t j = 0; j < ELEMENTSOF(blocking); j++)
            if (errors->items[i].type == blocking[j]) {
                field_invalid(errors, NULL, NULL,
                              "some validation rules were not checked because the object was invalid; correct the "
                              "existing errors to complete validation");
                return;
            }
}

/* Lists that were not what they promise before an update may stay so. */
static void check_lists(const CustomVersion *version, const Value *object, const Value *old, FieldErrors *errors) {
    FieldErrors before = FIELD_ERRORS_INIT(errors->arena);
    if (old)
        custom_check_lists(version->schema, old, &before);
    if (!before.n)
        custom_check_lists(version->schema, object, errors);
}

static void check_scale_status(const CustomVersion *version, const Value *object, FieldErrors *errors) {
    custom_check_replicas(object, version->status_replicas, errors);
    custom_check_selector(object, version->label_selector, errors);
}

static void check(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors) {
    const CustomVersion *version = version_of(context);
    size_t from = errors->n;
    json_schema_validate(version->validator, NULL, NULL, object, old, errors);
    custom_check_replicas(object, version->spec_replicas, errors);
    check_scale_status(version, object, errors);
    if (json_schema_has_embedded(version->validator))
        custom_check_embedded(version->schema, object, errors);
    check_lists(version, object, old, errors);
    note_rules(version, errors, from);
}

static void validate(StrategyContext *context, const Value *object, FieldErrors *errors) {
    check(context, object, NULL, errors);
}

static void validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors) {
    check(context, object, old, errors);
}

static void validate_status_update(StrategyContext *context, const Value *object, const Value *old,
                                   FieldErrors *errors) {
    const CustomVersion *version = version_of(context);
    FieldPath status = FIELD(NULL, "status");
    size_t from = errors->n;
    json_schema_validate(version->validator, "status", &status, value_get(object, "status"), value_get(old, "status"),
                         errors);
    check_scale_status(version, object, errors);
    check_lists(version, object, old, errors);
    note_rules(version, errors, from);
}

static void warn_finalizers(StrategyContext *context, const Value *object, const Value *old) {
    static const char *const standard[] = {"orphan", "foregroundDeletion", "kubernetes", NULL};
    const Value *was = value_get(value_get(old, "metadata"), "finalizers"), *item;
    VALUE_FOREACH (item, value_get(value_get(object, "metadata"), "finalizers")) {
        const char *name = str_or(value_str(item), "");
        NameMessages messages = {.arena = context->arena};
        if (list_has(was, name))
            continue;
        name_qualified(name, &messages);
        for (size_t i = 0; i < messages.n; i++)
            strategy_warn(context, "metadata.finalizers: \"%s\": %s", name, messages.items[i]);
        if ( strchr(name, '/') || str_in(name, standard))
            continue;
        strategy_warn(context,
                      "metadata.finalizers: \"%s\": prefer a domain-qualified finalizer name%s to avoid accidental "
                      "conflicts with other finalizer writers",
                      name, strchr(name, '.') ? " including a path (/)" : "");
    }
}

static void warn_create(StrategyContext *context, const Value *object) {
    warn_finalizers(context, object, NULL);
}

const Strategy custom_resource_strategy = {
    .group = "",
    .plural = "",
    .has_generation = true,
    .prepare_for_create = prepare_for_create,
    .prepare_for_update = prepare_for_update,
    .prepare_for_status_update = prepare_for_status_update,
    .validate = validate,
    .validate_update = validate_update,
    .validates_update_alone = true,
    .validate_status_update = validate_status_update,
    .warn_create = warn_create,
    .warn_update = warn_finalizers,
};
