/* storage.k8s.io. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/node_label_warnings.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/validate_util.h"
#include "base/str.h"

#define GROUP "storage.k8s.io"
#define PARAMETERS_MAX 512
#define PARAMETERS_BYTES (256 * 1024)
#define ERROR_TEXT_MAX 1024
#define NODE_ID_MAX 256
#define TOKEN_MIN_SECONDS 600
#define ALLOCATABLE_PERIOD_MIN 10

static char *lower_case(Arena *arena, const char *text) {
    char *lower = arena_strdup(arena, text);
    for (char *p = lower; *p; p++)
        *p |= *p >= 'A' && *p <= 'Z' ? 0x20 : 0;
    return lower;
}

static void check_provisioner(FieldErrors *errors, const Value *class, const char *name) {
    const char *text = text_at(class, name);
    FieldPath at = FIELD(NULL, name);
    if (!*text)
        field_required(errors, &at, "");
    else
        field_check_name(errors, &at, lower_case(errors->arena, text), name_qualified);
}

static void check_parameters(FieldErrors *errors, const Value *class, bool may_be_empty) {
    const Value *parameters = value_get(class, "parameters");
    FieldPath at = FIELD(NULL, "parameters");
    size_t size = 0;
    if (value_len(parameters) > PARAMETERS_MAX) {
        field_too_long(errors, &at, PARAMETERS_MAX);
        return;
    }
    VALUE_FOREACH_MEMBER (m, parameters) {
        if (!*m->name)
            field_invalid_str(errors, &at, m->name, "field can not be empty.");
        size += strlen(m->name) + m->value->len;
    }
    if (size > PARAMETERS_BYTES)
        field_too_long(errors, &at, PARAMETERS_BYTES);
    if (!may_be_empty && !value_len(parameters))
        field_required(errors, &at, "must contain at least one key/value pair");
}

static void check_topology(FieldErrors *errors, const Value *terms, size_t i, const FieldPath *path) {
    const Value *expressions = value_get(value_at(terms, i), "matchLabelExpressions");
    FieldPath list_at = FIELD(path, "matchLabelExpressions");
    for (size_t k = 0; k < value_len(expressions); k++) {
        const Value *expression = value_at(expressions, k), *values = value_get(expression, "values");
        FieldPath at = FIELD_INDEX(&list_at, k), key_at = FIELD(&at, "key"), values_at = FIELD(&at, "values");
        if (!value_len(values))
            field_required(errors, &values_at, "");
        for (size_t j = 0; j < value_len(values); j++) {
            FieldPath value_path = FIELD_INDEX(&values_at, j);
            if (seen_before(errors, values, j, NULL, str_or(value_str(value_at(values, j)), "")))
                field_duplicate(errors, &value_path, value_at(values, j));
        }
        field_check_name(errors, &key_at, text_at(expression, "key"), name_qualified);
        if (seen_before(errors, expressions, k, "key", text_at(expression, "key")))
            field_duplicate(errors, &key_at, value_get(expression, "key"));
    }
    /* The reference compares with as many empty terms as there are, besides the earlier ones. */
    size_t alike = value_len(expressions) ? 0 : value_len(terms);
    for (size_t j = 0; j < i && errors->n < FIELD_ERRORS_MAX; j++)
        alike += value_equal(value_at(terms, i), value_at(terms, j));
    while (alike-- && errors->n < FIELD_ERRORS_MAX)
        field_duplicate(errors, &list_at, value_string(errors->arena, ""));
}

static void class_validate(_unused_ StrategyContext *context, const Value *class, FieldErrors *errors) {
    static const char *const POLICIES[] = {"Delete", "Retain", NULL}, *const BINDINGS[] = {
                                                                          "Immediate", "WaitForFirstConsumer", NULL};
    const Value *topologies = value_get(class, "allowedTopologies");
    FieldPath policy_at = FIELD(NULL, "reclaimPolicy"), mode_at = FIELD(NULL, "volumeBindingMode"),
              topologies_at = FIELD(NULL, "allowedTopologies");
    check_provisioner(errors, class, "provisioner");
    check_parameters(errors, class, true);
    if (*text_at(class, "reclaimPolicy"))
        check_one_of(errors, &policy_at, text_at(class, "reclaimPolicy"), POLICIES);
    if (!value_get_str(class, "volumeBindingMode"))
        field_required(errors, &mode_at, "");
    check_member_one_of(errors, class, "volumeBindingMode", BINDINGS, NULL);
    for (size_t i = 0; i < value_len(topologies); i++) {
        FieldPath at = FIELD_INDEX(&topologies_at, i);
        check_topology(errors, topologies, i, &at);
    }
}

static void class_validate_update(_unused_ StrategyContext *context, const Value *class, const Value *old,
                                  FieldErrors *errors) {
    static const char *const FIXED[] = {"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"};
    for (size_t i = 0; i < ELEMENTSOF(FIXED); i++)
        check_immutable(errors, class, old, FIXED[i], NULL);
}

static void attributes_validate(_unused_ StrategyContext *context, const Value *class, FieldErrors *errors) {
    check_provisioner(errors, class, "driverName");
    check_parameters(errors, class, false);
}

static void attributes_validate_update(StrategyContext *context, const Value *class, const Value *old,
                                       FieldErrors *errors) {
    static const char *const FIXED[] = {"driverName", "parameters"};
    for (size_t i = 0; i < ELEMENTSOF(FIXED); i++) {
        FieldPath at = FIELD(NULL, FIXED[i]);
        if (!same_value(value_get(class, FIXED[i]), value_get(old, FIXED[i])))
            field_forbidden(errors, &at, "updates to %s are forbidden.", FIXED[i]);
    }
    attributes_validate(context, class, errors);
}

static void check_driver_name(FieldErrors *errors, const Value *object, const char *member, const FieldPath *path) {
    const char *name = text_at(object, member);
    FieldPath at = FIELD(path, member);
    if (*name)
        driver_name_validate(errors, name, &at);
    else
        field_required(errors, &at, "");
}

static void check_volume_error(FieldErrors *errors, const Value *status, const char *member, const FieldPath *path) {
    FieldPath at = FIELD(path, member), message_at = FIELD(&at, "message"), code_at = FIELD(&at, "errorCode");
    if (strlen(text_at(value_get(status, member), "message")) > ERROR_TEXT_MAX)
        field_too_long(errors, &message_at, PARAMETERS_BYTES); /* the number the reference names */
    const Value *code = value_get(value_get(status, member), "errorCode");
    if (value_is(code, VALUE_INT))
        field_check_range(errors, &code_at, code->integer, 0, INT32_MAX);
}

static void attachment_validate(_unused_ StrategyContext *context, const Value *attachment, FieldErrors *errors) {
    const Value *spec = value_get(attachment, "spec"), *source = value_get(spec, "source");
    const Value *status = value_get(attachment, "status"), *inlined = value_get(source, "inlineVolumeSpec");
    const char *volume = value_get_str(source, "persistentVolumeName");
    FieldPath spec_at = FIELD(NULL, "spec"), source_at = FIELD(&spec_at, "source"),
              volume_at = FIELD(&source_at, "persistentVolumeName"), node_at = FIELD(&spec_at, "nodeName"),
              status_at = FIELD(NULL, "status");
    bool has_inline = value_is(inlined, VALUE_OBJECT);
    check_driver_name(errors, spec, "attacher", &spec_at);
    if (!has_inline && !volume)
        field_required(errors, &source_at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    else if (has_inline && volume)
        field_forbidden(errors, &source_at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    else if (volume && !*volume)
        field_required(errors, &volume_at, "must specify non empty persistentVolumeName");
    field_check_name(errors, &node_at, text_at(spec, "nodeName"), name_dns_subdomain);
    check_volume_error(errors, status, "attachError", &status_at);
    check_volume_error(errors, status, "detachError", &status_at);
    if (volume)
        field_check_name(errors, &volume_at, volume, name_dns_subdomain);
}

/* Shown as the reference's internal struct. */
static void attachment_validate_update(_unused_ StrategyContext *context, const Value *attachment, const Value *old,
                                       FieldErrors *errors) {
    const Value *spec = value_get(attachment, "spec"), *source = value_get(spec, "source");
    Value *volume = value_get(source, "persistentVolumeName"), *inlined = value_get(source, "inlineVolumeSpec");
    Value *shown = value_object(errors->arena), *shown_source = value_object(errors->arena);
    FieldPath at = FIELD(NULL, "spec");
    if (same_value(spec, value_get(old, "spec")))
        return;
    value_set(errors->arena, shown_source, "PersistentVolumeName", volume ? volume : value_null(errors->arena));
    value_set(errors->arena, shown_source, "InlineVolumeSpec", inlined ? inlined : value_null(errors->arena));
    value_set_str(errors->arena, shown, "Attacher", text_at(spec, "attacher"));
    value_set(errors->arena, shown, "Source", shown_source);
    value_set_str(errors->arena, shown, "NodeName", text_at(spec, "nodeName"));
    field_invalid(errors, &at, shown, MUST_NOT_CHANGE);
}

static void check_node_driver(FieldErrors *errors, const Value *drivers, size_t i, const FieldPath *path) {
    const Value *driver = value_at(drivers, i), *keys = value_get(driver, "topologyKeys");
    const char *id = text_at(driver, "nodeID");
    FieldPath id_at = FIELD(path, "nodeID"), name_at = FIELD(path, "name"), allocatable_at = FIELD(path, "allocatable");
    check_driver_name(errors, driver, "name", path);
    if (!*id)
        field_required(errors, &id_at, "");
    if (strlen(id) > NODE_ID_MAX)
        field_invalid_str(errors, &id_at, id, "must be %d characters or less", NODE_ID_MAX);
    check_not_negative(errors, value_get(driver, "allocatable"), "count", &allocatable_at);
    if (seen_before(errors, drivers, i, "name", text_at(driver, "name")))
        field_duplicate(errors, &name_at, value_get(driver, "name"));
    for (size_t k = 0; k < value_len(keys); k++) {
        const char *key = str_or(value_str(value_at(keys, k)), "");
        if (!*key)
            field_required(errors, path, "");
        if (seen_before(errors, keys, k, NULL, key))
            field_duplicate(errors, path, value_at(keys, k));
        field_check_name(errors, path, key, name_qualified);
    }
}

static void node_validate(_unused_ StrategyContext *context, const Value *node, FieldErrors *errors) {
    const Value *drivers = value_path(node, "spec", "drivers", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, "drivers");
    for (size_t i = 0; i < value_len(drivers); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_node_driver(errors, drivers, i, &at);
    }
}

/* A driver that is there keeps all but what it can hold. */
static void node_validate_update(_unused_ StrategyContext *context, const Value *node, const Value *old,
                                 FieldErrors *errors) {
    const Value *was, *drivers = value_path(node, "spec", "drivers", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), at = FIELD(&spec_at, "drivers");
    VALUE_FOREACH (was, value_path(old, "spec", "drivers", NULL)) {
        size_t i = list_index_find(&errors->lists, drivers, "name", text_at(was, "name"));
        if (i == LIST_INDEX_NONE)
            continue;
        Value *a = value_copy(errors->arena, value_at(drivers, i)), *b = value_copy(errors->arena, was);
        value_remove(a, "allocatable");
        value_remove(b, "allocatable");
        check_immutable_values(errors, &at, internal_value(errors->arena, "CSINodeDriver", a, NULL),
                               internal_value(errors->arena, "CSINodeDriver", b, NULL));
    }
}

static void check_token_requests(FieldErrors *errors, const Value *requests, const FieldPath *path) {
    for (size_t i = 0; i < value_len(requests); i++) {
        const Value *request = value_at(requests, i), *seconds = value_get(request, "expirationSeconds");
        FieldPath at = FIELD_INDEX(path, i), audience_at = FIELD(&at, "audience"),
                  seconds_at = FIELD(&at, "expirationSeconds");
        if (seen_before(errors, requests, i, "audience", text_at(request, "audience"))) {
            field_duplicate(errors, &audience_at, value_string(errors->arena, text_at(request, "audience")));
            continue;
        }
        if (value_is(seconds, VALUE_INT) && seconds->integer < TOKEN_MIN_SECONDS)
            field_invalid(errors, &seconds_at, seconds, "may not specify a duration less than 10 minutes");
        if (value_is(seconds, VALUE_INT) && seconds->integer > 1ll << 32)
            field_invalid(errors, &seconds_at, seconds, "may not specify a duration larger than 2^32 seconds");
    }
}

static void driver_validate(_unused_ StrategyContext *context, const Value *driver, FieldErrors *errors) {
    static const char *const FLAGS[][2] = {{"attachRequired", "attachedRequired"},
                                           {"podInfoOnMount", "podInfoOnMount"},
                                           {"storageCapacity", "storageCapacity"}},
                             *const GROUPS[] = {"File", "None", "ReadWriteOnceWithFSType", NULL},
                             *const MODES[] = {"Persistent", "Ephemeral", NULL};
    const Value *spec = value_get(driver, "spec"), *mode,
                *period = value_get(spec, "nodeAllocatableUpdatePeriodSeconds");
    const Value *in_secrets = value_get(spec, "serviceAccountTokenInSecrets");
    FieldPath spec_at = FIELD(NULL, "spec"), tokens_at = FIELD(&spec_at, "tokenRequests"),
              modes_at = FIELD(&spec_at, "volumeLifecycleModes"),
              period_at = FIELD(&spec_at, "nodeAllocatableUpdatePeriodSeconds"),
              secrets_at = FIELD(&spec_at, "serviceAccountTokenInSecrets");
    for (size_t i = 0; i < ELEMENTSOF(FLAGS); i++) {
        FieldPath at = FIELD(&spec_at, FLAGS[i][1]);
        if (!value_is(value_get(spec, FLAGS[i][0]), VALUE_BOOL))
            field_required(errors, &at, "");
    }
    check_member_one_of(errors, spec, "fsGroupPolicy", GROUPS, &spec_at);
    check_token_requests(errors, value_get(spec, "tokenRequests"), &tokens_at);
    VALUE_FOREACH (mode, value_get(spec, "volumeLifecycleModes"))
        check_one_of(errors, &modes_at, str_or(value_str(mode), ""), MODES);
    if (value_is(period, VALUE_INT) && period->integer < ALLOCATABLE_PERIOD_MIN)
        field_invalid(errors, &period_at, period, "must be greater than or equal to 10 seconds");
    if (value_is(in_secrets, VALUE_BOOL) && !value_len(value_get(spec, "tokenRequests")))
        field_invalid(errors, &secrets_at, in_secrets,
                      "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
}

/* Drivers get no generation when they are made, only when their spec changes. */
static void driver_prepare_for_update(StrategyContext *context, Value *driver, const Value *old) {
    int64_t generation = value_get_int(value_get(old, "metadata"), "generation", 0);
    if (!same_value(value_get(driver, "spec"), value_get(old, "spec")))
        value_set_int(context->arena, value_ensure_object(context->arena, driver, "metadata"), "generation",
                      generation + 1);
}

static void driver_validate_update(_unused_ StrategyContext *context, const Value *driver, const Value *old,
                                   FieldErrors *errors) {
    const Value *spec = value_get(driver, "spec"), *was = value_get(old, "spec");
    FieldPath spec_at = FIELD(NULL, "spec"), attach_at = FIELD(&spec_at, "attachedRequired");
    check_immutable_values(errors, &attach_at, value_get(spec, "attachRequired"), value_get(was, "attachRequired"));
    check_immutable(errors, spec, was, "volumeLifecycleModes", &spec_at);
}

static void capacity_validate(_unused_ StrategyContext *context, const Value *capacity, FieldErrors *errors) {
    FieldPath topology_at = FIELD(NULL, "nodeTopology"), class_at = FIELD(NULL, "storageClassName"),
              capacity_at = FIELD(NULL, "capacity");
    field_check_label_selector(errors, &topology_at, value_get(capacity, "nodeTopology"));
    field_check_name(errors, &class_at, text_at(capacity, "storageClassName"), name_dns_subdomain);
    check_quantity_not_negative(errors, &capacity_at, value_get(capacity, "capacity"));
}

static void capacity_validate_update(_unused_ StrategyContext *context, const Value *capacity, const Value *old,
                                     FieldErrors *errors) {
    check_immutable(errors, capacity, old, "nodeTopology", NULL);
    check_immutable_text(errors, capacity, old, "storageClassName", NULL);
}

static void driver_warn_update(StrategyContext *context, const Value *driver, const Value *old) {
    const Value *spec = value_get(driver, "spec"), *requests = value_get(spec, "tokenRequests"),
                *was = value_path(old, "spec", "tokenRequests", NULL);
    if (value_len(requests) && !value_get(spec, "serviceAccountTokenInSecrets") && !(was && value_equal(requests, was)))
        strategy_warn(context,
                      "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to "
                      "prevent possible logging of tokens in volume attributes");
}

static void driver_warn_create(StrategyContext *context, const Value *driver) {
    driver_warn_update(context, driver, NULL);
}

static void class_warn(StrategyContext *context, const Value *class) {
    const Value *topologies = value_get(class, "allowedTopologies");
    FieldPath list_at = FIELD(NULL, "allowedTopologies");
    for (size_t i = 0; i < value_len(topologies); i++) {
        const Value *expressions = value_get(value_at(topologies, i), "matchLabelExpressions");
        FieldPath at = FIELD_INDEX(&list_at, i), expressions_at = FIELD(&at, "matchLabelExpressions");
        for (size_t j = 0; j < value_len(expressions); j++) {
            const char *why = node_label_deprecation(text_of(value_at(expressions, j), "key"));
            FieldPath expression_at = FIELD_INDEX(&expressions_at, j), key_at = FIELD(&expression_at, "key");
            if (why)
                strategy_warn(context, "%s: %s", field_path_text(context->arena, &key_at), why);
        }
    }
}

static void class_warn_update(StrategyContext *context, const Value *class, _unused_ const Value *old) {
    class_warn(context, class);
}

static void capacity_warn(StrategyContext *context, const Value *capacity) {
    FieldPath at = FIELD(NULL, "nodeTopology");
    node_selector_warn(context, value_get(capacity, "nodeTopology"), &at);
}

static void capacity_warn_update(StrategyContext *context, const Value *capacity, _unused_ const Value *old) {
    capacity_warn(context, capacity);
}

static const Strategy ROWS[] = {
    {
        .group = GROUP,
        .plural = "storageclasses",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validate = class_validate,
        .validate_update = class_validate_update,
        .warn_create = class_warn,
        .warn_update = class_warn_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "volumeattributesclasses",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .validate = attributes_validate,
        .validate_update = attributes_validate_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "volumeattachments",
        .prepare_for_create = kinds_reset_status,
        .validate = attachment_validate,
        .validate_update = attachment_validate_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "csinodes",
        .validate = node_validate,
        .validate_update = node_validate_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "csidrivers",
        .prepare_for_update = driver_prepare_for_update,
        .validate = driver_validate,
        .validate_update = driver_validate_update,
        .warn_create = driver_warn_create,
        .warn_update = driver_warn_update,
        .return_deleted_object = true,
    },
    {
        .group = GROUP,
        .plural = "csistoragecapacities",
        .revalidates_meta = true,
        .validate = capacity_validate,
        .validate_update = capacity_validate_update,
        .warn_create = capacity_warn,
        .warn_update = capacity_warn_update,
    },
};
const StrategyTable strategies_storage = {ROWS, ELEMENTSOF(ROWS)};
