/* Events, of the core group and of events.k8s.io, which is stricter. Objects have the core group's form. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/registry.h"
#include "apiserver/registry/validate_util.h"
#include "base/str.h"

#define INSTANCE_MAX 128
#define ACTION_MAX 128
#define REASON_MAX 128
#define NOTE_MAX 1024

static bool is_strict(const StrategyContext *context) {
    return context->requested && streq(context->requested->group, "events.k8s.io");
}

static void too_long(FieldErrors *errors, const Value *event, const char *name, size_t max) {
    FieldPath at = FIELD(NULL, name);
    if (strlen(text_at(event, name)) > max)
        field_invalid_str(errors, &at, "", "can have at most %zu characters", max);
}

static void check_new_form(FieldErrors *errors, const Value *event, const char *controller_name) {
    FieldPath controller_at = FIELD(NULL, controller_name);
    if (!*text_at(event, "reportingComponent"))
        field_required(errors, &controller_at, "");
    field_check_name(errors, &controller_at, text_at(event, "reportingComponent"), name_qualified);
    check_required(errors, event, "reportingInstance", NULL);
    too_long(errors, event, "reportingInstance", INSTANCE_MAX);
    check_required(errors, event, "action", NULL);
    too_long(errors, event, "action", ACTION_MAX);
    check_required(errors, event, "reason", NULL);
    too_long(errors, event, "reason", REASON_MAX);
    too_long(errors, event, "message", NOTE_MAX);
}

/* What both groups ask for. Events with an eventTime are of the newer form. */
static void check_event(StrategyContext *context, const Value *event, FieldErrors *errors) {
    const char *ns = text_at(value_get(event, "metadata"), "namespace");
    const char *object_ns = text_at(value_get(event, "involvedObject"), "namespace");
    FieldPath object_at = FIELD(NULL, "involvedObject"), ns_at = FIELD(&object_at, "namespace"),
              namespace_at = FIELD(NULL, "namespace");
    bool newer = !value_is_empty(value_get(event, "eventTime")), fits = streq(ns, object_ns);
    if (newer)
        fits = *object_ns || streq(ns, "default") || streq(ns, "kube-system");
    else if (!*object_ns)
        fits = !*ns || streq(ns, "default");
    if (!fits)
        field_invalid_str(errors, &ns_at, object_ns, "does not match event.namespace");
    if (newer)
        check_new_form(errors, event, is_strict(context) ? "reportingController" : "reportingComponent");
    field_check_name(errors, &namespace_at, ns, name_dns_subdomain);
}

static void check_series(FieldErrors *errors, const Value *event) {
    const Value *series = value_get(event, "series");
    FieldPath count_at = FIELD(NULL, "series.count"), time_at = FIELD(NULL, "series.lastObservedTime");
    if (!value_is(series, VALUE_OBJECT))
        return;
    if (value_get_int(series, "count", 0) < 2)
        field_invalid_str(errors, &count_at, "", "should be at least 2");
    if (value_is_empty(value_get(series, "lastObservedTime")))
        field_required(errors, &time_at, "");
}

static const Strategy PLAIN = {0}; /* names are DNS subdomains */

static void validate(StrategyContext *context, const Value *event, FieldErrors *errors) {
    static const char *const TIMES[] = {"firstTimestamp", "lastTimestamp"};
    const char *type = text_at(event, "type");
    const Value *source = value_get(event, "source");
    FieldPath type_at = FIELD(NULL, "type"), count_at = FIELD(NULL, "count"), source_at = FIELD(NULL, "source");
    if (!is_strict(context)) {
        check_event(context, event, errors);
        return;
    }
    /* This group looks at the metadata itself, names among it, before the engine would. */
    errors->n = 0;
    check_event(context, event, errors);
    meta_validate(&PLAIN, context->resource, event, true, errors);
    check_series(errors, event);
    check_required(errors, event, "eventTime", NULL);
    if (!streq(type, "Normal") && !streq(type, "Warning"))
        field_invalid_str(errors, &type_at, "", "has invalid value: %s", type);
    for (size_t i = 0; i < ELEMENTSOF(TIMES); i++) {
        FieldPath at = FIELD(NULL, TIMES[i]);
        if (!value_is_empty(value_get(event, TIMES[i])))
            field_invalid_str(errors, &at, "", "needs to be unset");
    }
    if (value_get_int(event, "count", 0))
        field_invalid_str(errors, &count_at, "", "needs to be unset");
    if (*text_at(source, "component") || *text_at(source, "host"))
        field_invalid_str(errors, &source_at, "", "needs to be unset");
}

static void validate_update(StrategyContext *context, const Value *event, const Value *old, FieldErrors *errors) {
    /* In the reference's order, with the types of structs. */
    static const char *const FIXED[][2] = {{"involvedObject", "ObjectReference"},
                                           {"reason"},
                                           {"message"},
                                           {"source", "EventSource"},
                                           {"firstTimestamp"},
                                           {"lastTimestamp"},
                                           {"count"},
                                           {"reason"},
                                           {"type"},
                                           {"eventTime"},
                                           {"action"},
                                           {"related", "ObjectReference"}};
    check_event(context, event, errors);
    if (!is_strict(context))
        return;
    meta_validate(&PLAIN, context->resource, event, true, errors);
    if (!same_value(value_get(event, "series"), value_get(old, "series")))
        check_series(errors, event);
    for (size_t i = 0; i < ELEMENTSOF(FIXED); i++)
        if (FIXED[i][1] || !value_is(value_get(old, FIXED[i][0]), VALUE_STRING) ||
            (streq(FIXED[i][0], "eventTime") && value_is_empty(value_get(event, FIXED[i][0])))) /* shown as null */
            member_immutable(errors, event, old, FIXED[i][0], FIXED[i][1], NULL);
        else
            check_immutable_text(errors, event, old, FIXED[i][0], NULL);
    FieldPath controller_at = FIELD(NULL, "reportingController");
    check_immutable_values(errors, &controller_at, value_get(event, "reportingComponent"),
                           value_get(old, "reportingComponent"));
    check_immutable(errors, event, old, "reportingInstance", NULL);
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "events",
        .no_meta_update = true,
        .allow_create_on_update = true,
        .allow_unconditional_update = true,
        .validate_name = validate_path_segment_name,
        .validates_update_alone = true,
        .validate = validate,
        .validate_update = validate_update,
    },
};
const StrategyTable strategies_events = {ROWS, ELEMENTSOF(ROWS)};
