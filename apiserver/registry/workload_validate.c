#include "apiserver/registry/workload_validate.h"

#include "api/selector.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

static const char *const ALWAYS[] = {"Always", NULL};

bool label_selector_is_sound(const Value *selector) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    field_check_label_selector(&errors, NULL, selector);
    return errors.n == 0;
}

static bool selects_all(const Value *selector) {
    return value_is(selector, VALUE_OBJECT) && !value_len(value_get(selector, "matchLabels")) &&
           !value_len(value_get(selector, "matchExpressions"));
}

void template_selected_validate(FieldErrors *errors, const Value *selector, const Value *template, bool skip_empty,
                                const FieldPath *template_path) {
    _cleanup_(selector_freep) Selector *parsed = NULL;
    const Value *labels = value_path(template, "metadata", "labels", NULL);
    FieldPath meta = FIELD(template_path, "metadata"), at = FIELD(&meta, "labels");
    if ((skip_empty && selects_all(selector)) || label_selector_from_value(selector, &parsed) < 0)
        return;
    if (!label_selector_matches_value(parsed, labels))
        field_invalid(errors, &at, labels, "`selector` does not match template `labels`");
}

/* What templates of pods that never end must be like. */
static void check_lasting(FieldErrors *errors, const Value *template, const char *kind, const FieldPath *path) {
    const Value *spec = value_get(template, "spec");
    FieldPath spec_at = FIELD(path, "spec"), deadline = FIELD(&spec_at, "activeDeadlineSeconds"),
              restart = FIELD(&spec_at, "restartPolicy");
    if (!streq(text_of(spec, "restartPolicy"), "Always"))
        field_not_supported(errors, &restart, value_string(errors->arena, text_of(spec, "restartPolicy")), ALWAYS);
    if (value_get(spec, "activeDeadlineSeconds"))
        field_forbidden(errors, &deadline, "activeDeadlineSeconds in %s is not Supported", kind);
}

/* The selector of a kind that must have one; `kind` as the message about an empty one names it. */
static void check_selector(FieldErrors *errors, const Value *spec, const char *kind, const FieldPath *path) {
    const Value *selector = value_get(spec, "selector");
    FieldPath at = FIELD(path, "selector");
    if (!value_is(selector, VALUE_OBJECT)) {
        field_required(errors, &at, "");
        return;
    }
    field_check_label_selector(errors, &at, selector);
    if (selects_all(selector))
        field_invalid(errors, &at, selector, "empty selector is invalid for %s", kind);
}

/* Deployments and replica sets. */
static void check_template(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const Value *selector = value_get(spec, "selector"), *template = value_get(spec, "template");
    FieldPath at = FIELD(path, "selector"), template_at = FIELD(path, "template");
    if (!label_selector_is_sound(selector)) {
        field_invalid(errors, &at, selector, "invalid label selector");
        return;
    }
    template_selected_validate(errors, selector, template, true, &template_at);
    pod_template_validate(errors, template, &template_at);
    check_lasting(errors, template, "ReplicaSet", &template_at);
}

/* ---- integers or percentages ---- */

static bool percent_of(const Value *v, int64_t *ret) {
    const char *text = value_str(v);
    if (!text || !name_is_valid(text, name_percent))
        return false;
    *ret = strtoll(text, NULL, 10);
    return true;
}

static int64_t amount_of(const Value *v) {
    int64_t n = 0;
    if (value_is(v, VALUE_INT))
        return v->integer;
    if (!percent_of(v, &n) && value_is(v, VALUE_STRING) && str_to_int64(v->string, &n) < 0)
        return 0;
    return n;
}

static void check_int_or_percent(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    const Value *v = value_get(object, name);
    FieldPath at = FIELD(path, name);
    if (value_is(v, VALUE_STRING))
        field_check_name(errors, &at, v->string, name_percent);
    else
        member_nonnegative(errors, object, name, path);
}

static void check_at_most_all(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    int64_t n;
    if (percent_of(value_get(object, name), &n) && n > 100)
        field_invalid(errors, &at, value_get(object, name), "must not be greater than 100%%");
}

static const Value *amount_or_zero(Arena *arena, const Value *object, const char *name) {
    const Value *v = value_get(object, name);
    return v ? v : value_int(arena, 0);
}

/* ---- deployments ---- */

static void check_rolling(FieldErrors *errors, const Value *rolling, const FieldPath *path) {
    FieldPath unavailable = FIELD(path, "maxUnavailable");
    check_int_or_percent(errors, rolling, "maxUnavailable", path);
    check_int_or_percent(errors, rolling, "maxSurge", path);
    if (amount_of(value_get(rolling, "maxUnavailable")) == 0 && amount_of(value_get(rolling, "maxSurge")) == 0)
        field_invalid(errors, &unavailable, amount_or_zero(errors->arena, rolling, "maxUnavailable"),
                      "may not be 0 when `maxSurge` is 0");
    check_at_most_all(errors, rolling, "maxUnavailable", path);
}

static void check_deployment_strategy(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const TYPES[] = {"Recreate", "RollingUpdate", NULL};
    const Value *strategy = value_get(spec, "strategy"), *rolling = value_get(strategy, "rollingUpdate");
    const char *type = text_of(strategy, "type");
    FieldPath at = FIELD(path, "strategy"), rolling_at = FIELD(&at, "rollingUpdate");
    if (streq(type, "Recreate")) {
        if (rolling)
            field_forbidden(errors, &rolling_at, "may not be specified when strategy `type` is 'Recreate'");
    } else if (!streq(type, "RollingUpdate"))
        field_not_supported(errors, &at, internal_value(errors->arena, "DeploymentStrategy", strategy, NULL), TYPES);
    else if (!rolling)
        field_required(errors, &rolling_at, "this should be defaulted and never be nil");
    else
        check_rolling(errors, rolling, &rolling_at);
}

void deployment_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec"), *deadline = value_get(spec, "progressDeadlineSeconds");
    FieldPath path = FIELD(NULL, "spec"), deadline_at = FIELD(&path, "progressDeadlineSeconds");
    member_nonnegative(errors, spec, "replicas", &path);
    check_selector(errors, spec, "deployment", &path);
    check_template(errors, spec, &path);
    check_deployment_strategy(errors, spec, &path);
    member_nonnegative(errors, spec, "minReadySeconds", &path);
    member_nonnegative(errors, spec, "revisionHistoryLimit", &path);
    member_nonnegative(errors, spec, "progressDeadlineSeconds", &path);
    if (value_is(deadline, VALUE_INT) && deadline->integer <= value_get_int(spec, "minReadySeconds", 0))
        field_invalid(errors, &deadline_at, deadline, "must be greater than minReadySeconds");
}

void deployment_validate_update(_unused_ StrategyContext *context, const Value *object, const Value *old,
                                FieldErrors *errors) {
    FieldPath path = FIELD(NULL, "spec");
    member_immutable(errors, value_get(object, "spec"), value_get(old, "spec"), "selector", NULL, &path);
}

static void check_all_nonnegative(FieldErrors *errors, const Value *status, const char *const *names,
                                  const FieldPath *path) {
    for (; *names; names++)
        member_nonnegative(errors, status, *names, path);
}

static void check_counts(FieldErrors *errors, const Value *status, const char *const *names, const char *ready,
                         const FieldPath *path) {
    for (; *names; names++)
        member_not_above(errors, status, *names, "replicas", "cannot be greater than status.replicas", path);
    member_not_above(errors, status, "availableReplicas", "readyReplicas",
                     arena_printf(errors->arena, "cannot be greater than %s", ready), path);
}

void status_not_decremented(FieldErrors *errors, const Value *status, const Value *old, const char *name) {
    const Value *was = value_get(old, name);
    int64_t now = value_get_int(status, name, 0);
    FieldPath path = FIELD(NULL, "status"), at = FIELD(&path, name);
    if (value_is(was, VALUE_INT) && (!value_get(status, name) || now < was->integer))
        field_invalid(errors, &at, value_int(errors->arena, now), "cannot be decremented");
}

void deployment_validate_status(_unused_ StrategyContext *context, const Value *object, const Value *old,
                                FieldErrors *errors) {
    static const char *const COUNTS[] = {"observedGeneration",  "replicas",          "updatedReplicas",
                                         "readyReplicas",       "availableReplicas", "unavailableReplicas",
                                         "terminatingReplicas", "collisionCount",    NULL};
    static const char *const BOUNDED[] = {"updatedReplicas", "readyReplicas", "availableReplicas", NULL};
    const Value *status = value_get(object, "status");
    FieldPath path = FIELD(NULL, "status");
    check_all_nonnegative(errors, status, COUNTS, &path);
    check_counts(errors, status, BOUNDED, "readyReplicas", &path);
    status_not_decremented(errors, status, value_get(old, "status"), "collisionCount");
}

/* ---- replica sets ---- */

void replicaset_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec");
    FieldPath path = FIELD(NULL, "spec");
    member_nonnegative(errors, spec, "replicas", &path);
    member_nonnegative(errors, spec, "minReadySeconds", &path);
    check_selector(errors, spec, "deployment", &path);
    check_template(errors, spec, &path);
}

void replicaset_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors) {
    deployment_validate_update(context, object, old, errors);
}

void replicaset_validate_status(_unused_ StrategyContext *context, const Value *object, _unused_ const Value *old,
                                FieldErrors *errors) {
    static const char *const COUNTS[] = {"replicas",
                                         "fullyLabeledReplicas",
                                         "readyReplicas",
                                         "availableReplicas",
                                         "observedGeneration",
                                         "terminatingReplicas",
                                         NULL};
    static const char *const BOUNDED[] = {"fullyLabeledReplicas", "readyReplicas", "availableReplicas", NULL};
    const Value *status = value_get(object, "status");
    FieldPath path = FIELD(NULL, "status");
    check_all_nonnegative(errors, status, COUNTS, &path);
    check_counts(errors, status, BOUNDED, "readyReplicas", &path);
}

/* ---- stateful sets ---- */

static void check_stateful_rolling(FieldErrors *errors, const Value *rolling, const FieldPath *path) {
    const Value *unavailable = value_get(rolling, "maxUnavailable");
    FieldPath at = FIELD(path, "maxUnavailable");
    member_nonnegative(errors, rolling, "partition", path);
    if (!unavailable)
        return;
    check_int_or_percent(errors, rolling, "maxUnavailable", path);
    if (amount_of(unavailable) == 0)
        field_invalid(errors, &at, unavailable, "cannot be 0");
    check_at_most_all(errors, rolling, "maxUnavailable", path);
}

static void check_stateful_strategy(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const Value *strategy = value_get(spec, "updateStrategy"), *rolling = value_get(strategy, "rollingUpdate");
    const char *type = text_of(strategy, "type");
    FieldPath at = FIELD(path, "updateStrategy"), rolling_at = FIELD(&at, "rollingUpdate");
    Value *printed = internal_value(errors->arena, "StatefulSetUpdateStrategy", strategy, NULL);
    if (!*type)
        field_required(errors, &at, "");
    else if (streq(type, "OnDelete")) {
        if (rolling)
            field_invalid(errors, &rolling_at, value_get(printed, "RollingUpdate"),
                          "only allowed for updateStrategy 'RollingUpdate'");
    } else if (!streq(type, "RollingUpdate"))
        field_invalid(errors, &at, printed, "must be 'RollingUpdate' or 'OnDelete'");
    else if (rolling)
        check_stateful_rolling(errors, rolling, &rolling_at);
}

static void check_management(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const char *policy = text_of(spec, "podManagementPolicy");
    FieldPath at = FIELD(path, "podManagementPolicy");
    if (!*policy)
        field_required(errors, &at, "");
    else if (!streq(policy, "OrderedReady") && !streq(policy, "Parallel"))
        field_invalid_str(errors, &at, policy, "must be 'OrderedReady' or 'Parallel'");
}

static void check_retention(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const POLICIES[] = {"Retain", "Delete", NULL}, *const WHEN[] = {"whenDeleted", "whenScaled"};
    const Value *retention = value_get(spec, "persistentVolumeClaimRetentionPolicy");
    FieldPath at = FIELD(path, "persistentVolumeClaimRetentionPolicy");
    for (size_t i = 0; value_is(retention, VALUE_OBJECT) && i < ELEMENTSOF(WHEN); i++) {
        FieldPath when = FIELD(&at, WHEN[i]);
        if (!str_in(text_of(retention, WHEN[i]), POLICIES))
            field_not_supported(errors, &when, value_string(errors->arena, text_of(retention, WHEN[i])), POLICIES);
    }
}

/* The template with the volumes that the set's claims become, and without what the set gives its pods itself. */
static const Value *stateful_template(Arena *arena, const Value *spec) {
    const Value *claims = value_get(spec, "volumeClaimTemplates"), *claim, *volume;
    Value *template = value_copy(arena, value_get(spec, "template")), *pod = value_get(template, "spec");
    if (!value_is(pod, VALUE_OBJECT))
        return template;
    value_remove(pod, "subdomain");
    value_remove(pod, "hostname");
    if (!value_len(claims))
        return template;
    Value *volumes = value_array(arena);
    _cleanup_(strmap_freep) StrMap *names = strmap_new(NULL);
    VALUE_FOREACH (claim, claims) {
        Value *made = value_object(arena), *source = value_object(arena);
        const char *name = text_of(value_get(claim, "metadata"), "name");
        value_set_str(arena, source, "claimName", name);
        value_set_str(arena, made, "name", name);
        value_set(arena, made, "persistentVolumeClaim", source);
        if (strmap_add(names, name))
            value_append(arena, volumes, made);
    }
    VALUE_FOREACH (volume, value_get(pod, "volumes"))
        if (!strmap_get(names, text_of(volume, "name")))
            value_append(arena, volumes, value_copy(arena, volume));
    value_set(arena, pod, "volumes", volumes);
    return template;
}

typedef struct StatefulOptions {
    bool any_service_name, skip_template, skip_claims;
} StatefulOptions;

static void check_stateful_template(FieldErrors *errors, const Value *spec, const StatefulOptions *options,
                                    const FieldPath *path) {
    const Value *selector = value_get(spec, "selector"), *template = stateful_template(errors->arena, spec);
    FieldPath at = FIELD(path, "selector"), template_at = FIELD(path, "template"),
              labels = FIELD(&template_at, "labels"), annotations = FIELD(&template_at, "annotations");
    if (!label_selector_is_sound(selector)) {
        field_invalid(errors, &at, selector, "%s", "");
        return;
    }
    template_selected_validate(errors, selector, template, true, &template_at);
    if (!options->skip_template)
        pod_template_validate(errors, template, &template_at);
    field_check_labels(errors, &labels, value_path(template, "metadata", "labels", NULL));
    annotations_validate(errors, value_path(template, "metadata", "annotations", NULL), &annotations);
    pod_annotations_validate(errors, value_get(template, "metadata"), value_get(template, "spec"), &annotations);
}

static void stateful_spec(FieldErrors *errors, const Value *spec, const StatefulOptions *options,
                          const FieldPath *path) {
    const Value *claims = value_get(spec, "volumeClaimTemplates");
    FieldPath service = FIELD(path, "serviceName"), template_at = FIELD(path, "template"),
              claims_at = FIELD(path, "volumeClaimTemplates");
    check_management(errors, spec, path);
    check_stateful_strategy(errors, spec, path);
    check_retention(errors, spec, path);
    for (size_t i = 0; !options->skip_claims && i < value_len(claims); i++) {
        FieldPath at = FIELD_INDEX(&claims_at, i), claim_spec = FIELD(&at, "spec");
        claim_spec_validate(errors, value_get(value_at(claims, i), "spec"), &claim_spec);
    }
    member_nonnegative(errors, spec, "replicas", path);
    member_nonnegative(errors, spec, "minReadySeconds", path);
    if (value_get_int(value_get(spec, "ordinals"), "start", 0) < 0) {
        FieldPath start = FIELD(path, "ordinals.start");
        field_invalid(errors, &start, value_get(value_get(spec, "ordinals"), "start"),
                      "must be greater than or equal to 0");
    }
    if (!options->any_service_name && *text_of(spec, "serviceName"))
        field_check_name(errors, &service, text_of(spec, "serviceName"), name_dns_label);
    check_selector(errors, spec, "statefulset", path);
    check_stateful_template(errors, spec, options, path);
    check_lasting(errors, value_get(spec, "template"), "StatefulSet", &template_at);
}

void statefulset_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    StatefulOptions options = {0};
    FieldPath path = FIELD(NULL, "spec");
    stateful_spec(errors, value_get(object, "spec"), &options, &path);
}

void statefulset_validate_update(_unused_ StrategyContext *context, const Value *object, const Value *old,
                                 FieldErrors *errors) {
    static const char *const MUTABLE[] = {"replicas",
                                          "template",
                                          "updateStrategy",
                                          "minReadySeconds",
                                          "ordinals",
                                          "revisionHistoryLimit",
                                          "persistentVolumeClaimRetentionPolicy"};
    Arena *arena = errors->arena;
    const Value *spec = value_get(object, "spec"), *old_spec = value_get(old, "spec");
    StatefulOptions options = {.any_service_name = true, .skip_claims = true};
    FieldErrors before = FIELD_ERRORS_INIT(arena);
    FieldPath path = FIELD(NULL, "spec");
    stateful_spec(&before, old_spec, &options, &path);
    options.skip_template = before.n > 0; /* what was stored invalid may stay so */
    stateful_spec(errors, spec, &options, &path);
    Value *clone = value_copy(arena, spec);
    for (size_t i = 0; value_is(clone, VALUE_OBJECT) && i < ELEMENTSOF(MUTABLE); i++) {
        const Value *was = value_get(old_spec, MUTABLE[i]);
        value_set(arena, clone, MUTABLE[i], was ? value_copy(arena, was) : NULL);
    }
    if (!value_equal(clone, old_spec))
        field_forbidden(errors, &path,
                        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                        "'minReadySeconds' are forbidden");
}

void statefulset_validate_status(_unused_ StrategyContext *context, const Value *object, const Value *old,
                                 FieldErrors *errors) {
    static const char *const COUNTS[] = {
        "replicas",          "readyReplicas",      "currentReplicas", "updatedReplicas",
        "availableReplicas", "observedGeneration", "collisionCount",  NULL};
    static const char *const BOUNDED[] = {"readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
                                          NULL};
    const Value *status = value_get(object, "status");
    FieldPath path = FIELD(NULL, "status");
    check_all_nonnegative(errors, status, COUNTS, &path);
    check_counts(errors, status, BOUNDED, "status.readyReplicas", &path);
    status_not_decremented(errors, status, value_get(old, "status"), "collisionCount");
}

/* ---- daemon sets ---- */

static void check_daemon_rolling(FieldErrors *errors, const Value *rolling, const FieldPath *path) {
    FieldPath unavailable_at = FIELD(path, "maxUnavailable"), surge_at = FIELD(path, "maxSurge");
    bool unavailable = amount_of(value_get(rolling, "maxUnavailable")) != 0,
         surge = amount_of(value_get(rolling, "maxSurge")) != 0;
    check_int_or_percent(errors, rolling, "maxUnavailable", path);
    check_int_or_percent(errors, rolling, "maxSurge", path);
    check_at_most_all(errors, rolling, "maxUnavailable", path);
    check_at_most_all(errors, rolling, "maxSurge", path);
    if (unavailable && surge)
        field_invalid(errors, &surge_at, value_get(rolling, "maxSurge"),
                      "may not be set when maxUnavailable is non-zero");
    else if (!unavailable && !surge)
        field_required(errors, &unavailable_at, "cannot be 0 when maxSurge is 0");
}

static void check_daemon_strategy(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const TYPES[] = {"RollingUpdate", "OnDelete", NULL};
    const Value *strategy = value_get(spec, "updateStrategy"), *rolling = value_get(strategy, "rollingUpdate");
    const char *type = text_of(strategy, "type");
    FieldPath at = FIELD(path, "updateStrategy"), rolling_at = FIELD(&at, "rollingUpdate");
    if (streq(type, "OnDelete"))
        return;
    if (!streq(type, "RollingUpdate"))
        field_not_supported(errors, &at, internal_value(errors->arena, "DaemonSetUpdateStrategy", strategy, NULL),
                            TYPES);
    else if (!rolling)
        field_required(errors, &rolling_at, "");
    else
        check_daemon_rolling(errors, rolling, &rolling_at);
}

void daemonset_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec"), *selector = value_get(spec, "selector"),
                *template = value_get(spec, "template");
    FieldPath path = FIELD(NULL, "spec"), selector_at = FIELD(&path, "selector"),
              template_at = FIELD(&path, "template");
    field_check_label_selector(errors, &selector_at, selector);
    if (label_selector_is_sound(selector))
        template_selected_validate(errors, selector, template, false, &template_at);
    if (selects_all(selector))
        field_invalid(errors, &selector_at, selector, "empty selector is invalid for daemonset");
    pod_template_validate(errors, template, &template_at);
    check_lasting(errors, template, "DaemonSet", &template_at);
    member_nonnegative(errors, spec, "minReadySeconds", &path);
    check_daemon_strategy(errors, spec, &path);
    member_nonnegative(errors, spec, "revisionHistoryLimit", &path);
}

void daemonset_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors) {
    FieldPath path = FIELD(NULL, "spec");
    member_immutable(errors, value_get(object, "spec"), value_get(old, "spec"), "selector", NULL, &path);
    daemonset_validate(context, object, errors);
}

void daemonset_validate_status(_unused_ StrategyContext *context, const Value *object, const Value *old,
                               FieldErrors *errors) {
    static const char *const COUNTS[] = {"currentNumberScheduled", "numberMisscheduled",
                                         "desiredNumberScheduled", "numberReady",
                                         "observedGeneration",     "updatedNumberScheduled",
                                         "numberAvailable",        "numberUnavailable",
                                         "collisionCount",         NULL};
    const Value *status = value_get(object, "status");
    FieldPath path = FIELD(NULL, "status");
    check_all_nonnegative(errors, status, COUNTS, &path);
    status_not_decremented(errors, status, value_get(old, "status"), "collisionCount");
}

/* ---- controller revisions, replication controllers, pod templates ---- */

void controller_revision_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *data = value_get(object, "data");
    FieldPath at = FIELD(NULL, "data");
    member_nonnegative(errors, object, "revision", NULL);
    if (!data || data->type == VALUE_NULL)
        field_required(errors, &at, "data is mandatory");
    else if (data->type != VALUE_OBJECT)
        field_required(errors, &at, "data must be a valid JSON object");
}

void controller_revision_validate_update(_unused_ StrategyContext *context, const Value *object, const Value *old,
                                         FieldErrors *errors) {
    member_nonnegative(errors, object, "revision", NULL);
    member_immutable(errors, object, old, "data", NULL, NULL);
}

void replication_controller_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec"), *labels = value_get(spec, "selector"),
                *template = value_get(spec, "template");
    FieldPath path = FIELD(NULL, "spec"), selector_at = FIELD(&path, "selector"), replicas = FIELD(&path, "replicas"),
              template_at = FIELD(&path, "template");
    member_nonnegative(errors, spec, "minReadySeconds", &path);
    if (!value_len(labels))
        field_required(errors, &selector_at, "");
    if (!value_get(spec, "replicas"))
        field_required(errors, &replicas, "");
    member_nonnegative(errors, spec, "replicas", &path);
    if (!value_is(template, VALUE_OBJECT)) {
        field_required(errors, &template_at, "");
        return;
    }
    Value *selector = value_object(errors->arena);
    value_set(errors->arena, selector, "matchLabels", value_copy(errors->arena, labels));
    template_selected_validate(errors, selector, template, true, &template_at);
    pod_template_validate(errors, template, &template_at);
    check_lasting(errors, template, "ReplicationController", &template_at);
}

void replication_controller_validate_status(StrategyContext *context, const Value *object, const Value *old,
                                            FieldErrors *errors) {
    replicaset_validate_status(context, object, old, errors);
}

void pod_template_object_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    FieldPath path = FIELD(NULL, "template");
    pod_template_validate(errors, value_get(object, "template"), &path);
}
