/* resource.k8s.io: classes of devices, claims, and what drivers say they have. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/device_validate.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/resource_names.h"
#include "apiserver/registry/validate_util.h"

#define GROUP "resource.k8s.io"

static void check_class(FieldErrors *errors, const Value *class, const Value *old) {
    const Value *spec = value_get(class, "spec");
    const char *extended = value_get_str(spec, "extendedResourceName");
    bool stored = old && same_value(value_get(spec, "config"), value_path(old, "spec", "config", NULL));
    DeviceCheck config = {.item = device_config_validate, .context = &stored, .max = DEVICE_CONFIG_MAX};
    FieldPath spec_at = FIELD(NULL, "spec"), extended_at = FIELD(&spec_at, "extendedResourceName");
    device_selectors_validate(errors, spec, &spec_at);
    device_list_validate(errors, spec, "config", &config, &spec_at);
    if (extended && !resource_name_is_extended(extended))
        field_invalid_str(errors, &extended_at, extended, "must be a valid extended resource name");
}

static void class_validate(_unused_ StrategyContext *context, const Value *class, FieldErrors *errors) {
    check_class(errors, class, NULL);
}

static void class_validate_update(_unused_ StrategyContext *context, const Value *class, const Value *old,
                                  FieldErrors *errors) {
    check_class(errors, class, old);
}

static void claim_validate(StrategyContext *context, const Value *claim, FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec");
    device_admin_access_validate(context, errors, value_get(claim, "spec"), &spec_at);
    device_claim_spec_validate(errors, value_get(claim, "spec"), &spec_at);
}

static void claim_validate_update(_unused_ StrategyContext *context, const Value *claim, const Value *old,
                                  FieldErrors *errors) {
    member_immutable(errors, claim, old, "spec", "ResourceClaimSpec", NULL);
}

static void claim_prepare_for_status_update(StrategyContext *context, Value *claim, const Value *old) {
    device_claim_drop_statuses(context->arena, claim, old);
}

static void claim_validate_status_update(_unused_ StrategyContext *context, const Value *claim, const Value *old,
                                         FieldErrors *errors) {
    device_claim_status_validate(errors, claim, old);
}

static void check_template(FieldErrors *errors, const Value *template) {
    const Value *spec = value_get(template, "spec"), *meta = value_get(spec, "metadata");
    FieldPath outer_at = FIELD(NULL, "spec"), meta_at = FIELD(&outer_at, "metadata"),
              spec_at = FIELD(&outer_at, "spec"), labels_at = FIELD(&meta_at, "labels"),
              annotations_at = FIELD(&meta_at, "annotations");
    annotations_validate(errors, value_get(meta, "annotations"), &annotations_at);
    field_check_labels(errors, &labels_at, value_get(meta, "labels"));
    device_claim_spec_validate(errors, value_get(spec, "spec"), &spec_at);
}

static void template_validate(StrategyContext *context, const Value *template, FieldErrors *errors) {
    FieldPath outer_at = FIELD(NULL, "spec"), spec_at = FIELD(&outer_at, "spec");
    device_admin_access_validate(context, errors, value_path(template, "spec", "spec", NULL), &spec_at);
    check_template(errors, template);
}

static void template_validate_update(_unused_ StrategyContext *context, const Value *template, const Value *old,
                                     FieldErrors *errors) {
    check_template(errors, template);
    member_immutable(errors, template, old, "spec", "ResourceClaimTemplateSpec", NULL);
}

static void slice_validate(_unused_ StrategyContext *context, const Value *slice, FieldErrors *errors) {
    device_slice_validate(errors, slice, NULL);
}

static void slice_validate_update(_unused_ StrategyContext *context, const Value *slice, const Value *old,
                                  FieldErrors *errors) {
    device_slice_validate(errors, slice, old);
}

static void slice_warn(StrategyContext *context, const Value *slice) {
    const char *driver = str_or(value_get_str(value_get(slice, "spec"), "driver"), "");
    if (!streq(driver, str_lower(context->arena, driver)))
        strategy_warn(context, "spec.driver: driver names should be lowercase; %s contains uppercase characters",
                      go_quoted(context->arena, driver));
}

static void slice_warn_update(StrategyContext *context, const Value *slice, _unused_ const Value *old) {
    slice_warn(context, slice);
}

static const Strategy ROWS[] = {
    {
        .group = GROUP,
        .plural = "deviceclasses",
        .has_generation = true,
        .allow_unconditional_update = true,
        .revalidates_meta = true,
        .validates_update_alone = true,
        .validate = class_validate,
        .validate_update = class_validate_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "resourceclaims",
        .allow_unconditional_update = true,
        .revalidates_meta = true,
        .validates_update_alone = true,
        .prepare_for_create = kinds_reset_status,
        .validate = claim_validate,
        .validate_update = claim_validate_update,
        .prepare_for_status_update = claim_prepare_for_status_update,
        .validate_status_update = claim_validate_status_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "resourceclaimtemplates",
        .allow_unconditional_update = true,
        .revalidates_meta = true,
        .validates_update_alone = true,
        .validate = template_validate,
        .validate_update = template_validate_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "resourceslices",
        .has_generation = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .validate = slice_validate,
        .validate_update = slice_validate_update,
        .warn_create = slice_warn,
        .warn_update = slice_warn_update,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_devices = {ROWS, ELEMENTSOF(ROWS)};
