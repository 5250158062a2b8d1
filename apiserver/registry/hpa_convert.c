#include "apiserver/registry/hpa_convert.h"
#include "api/codec.h"
#include "api/gen/schemas.h"
#include "api/json.h"
#include "apiserver/registry/defaults_functions.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>

#define ANNOTATION(name) "autoscaling.alpha.kubernetes.io/" name
#define METRICS ANNOTATION("metrics")
#define BEHAVIOR ANNOTATION("behavior")
#define CURRENT_METRICS ANNOTATION("current-metrics")
#define CONDITIONS ANNOTATION("conditions")

/* Those of older releases among them: none outlives a conversion. */
static const char *const annotations[] = {METRICS,
                                          BEHAVIOR,
                                          CURRENT_METRICS,
                                          CONDITIONS,
                                          ANNOTATION("scale-down-tolerance"),
                                          ANNOTATION("scale-up-tolerance")};

static const Schema text = {.type = SCHEMA_STRING, .go_type = "string"};
static const Schema number = {.type = SCHEMA_INT32, .go_type = "int32"};
static const Schema quantity = {.type = SCHEMA_QUANTITY, .go_type = "resource.Quantity"};
static const Schema condition_list = {.type = SCHEMA_LIST,
                                      .go_type = "[]v1.HorizontalPodAutoscalerCondition",
                                      .element = &schema_autoscaling_v2_HorizontalPodAutoscalerCondition};

/* A member of a metric's source, in the order of v1's struct; in v2 it is a member of `group`, when there is one. */
typedef struct Part {
    const char *v1, *group, *v2;
    const Schema *schema;
    bool always; /* v1 has no way to leave it out */
} Part;

#define PARTS_MAX 5

typedef struct Source {
    const char *name;
    Part parts[PARTS_MAX];
} Source;

#define OF_OBJECT                                                                                                      \
    { "target", NULL, "describedObject", &schema_autoscaling_v1_CrossVersionObjectReference, false }
#define METRIC_NAME                                                                                                    \
    { "metricName", "metric", "name", &text, false }
#define SELECTOR(name)                                                                                                 \
    { name, "metric", "selector", &schema_meta_v1_LabelSelector, false }
#define RESOURCE_NAME                                                                                                  \
    { "name", NULL, "name", &text, false }
#define CONTAINER                                                                                                      \
    { "container", NULL, "container", &text, false }

/* In the order of both structs MetricSpec. */
static const Source wanted[] = {
    {"object",
     {OF_OBJECT,
      METRIC_NAME,
      {"targetValue", "target", "value", &quantity, true},
      SELECTOR("selector"),
      {"averageValue", "target", "averageValue", &quantity, false}}},
    {"pods", {METRIC_NAME, {"targetAverageValue", "target", "averageValue", &quantity, true}, SELECTOR("selector")}},
    {"resource",
     {RESOURCE_NAME,
      {"targetAverageUtilization", "target", "averageUtilization", &number, false},
      {"targetAverageValue", "target", "averageValue", &quantity, false}}},
    {"containerResource",
     {RESOURCE_NAME,
      {"targetAverageUtilization", "target", "averageUtilization", &number, false},
      {"targetAverageValue", "target", "averageValue", &quantity, false},
      CONTAINER}},
    {"external",
     {METRIC_NAME,
      SELECTOR("metricSelector"),
      {"targetValue", "target", "value", &quantity, false},
      {"targetAverageValue", "target", "averageValue", &quantity, false}}},
};

/* In the order of both structs MetricStatus. */
static const Source current[] = {
    {"object",
     {OF_OBJECT,
      METRIC_NAME,
      {"currentValue", "current", "value", &quantity, true},
      SELECTOR("selector"),
      {"averageValue", "current", "averageValue", &quantity, false}}},
    {"pods", {METRIC_NAME, {"currentAverageValue", "current", "averageValue", &quantity, true}, SELECTOR("selector")}},
    {"resource",
     {RESOURCE_NAME,
      {"currentAverageUtilization", "current", "averageUtilization", &number, false},
      {"currentAverageValue", "current", "averageValue", &quantity, true}}},
    {"containerResource",
     {RESOURCE_NAME,
      {"currentAverageUtilization", "current", "averageUtilization", &number, false},
      {"currentAverageValue", "current", "averageValue", &quantity, true},
      CONTAINER}},
    {"external",
     {METRIC_NAME,
      SELECTOR("metricSelector"),
      {"currentValue", "current", "value", &quantity, true},
      {"currentAverageValue", "current", "averageValue", &quantity, false}}},
};
_Static_assert(ELEMENTSOF(wanted) == ELEMENTSOF(current), "metrics have the sources of their values");

static const Part *parts_end(const Source *source) {
    const Part *part = source->parts;
    while (part < source->parts + PARTS_MAX && part->v1)
        part++;
    return part;
}

static bool is_cpu(const Value *metric) {
    const Value *resource = value_get(metric, "resource");
    return streq_null(value_get_str(metric, "type"), "Resource") && streq_null(value_get_str(resource, "name"), "cpu");
}

static void drop_annotations(Value *object) {
    Value *have = value_path(object, "metadata", "annotations", NULL);
    for (size_t i = 0; i < ELEMENTSOF(annotations); i++)
        if (value_is(have, VALUE_OBJECT))
            value_remove(have, annotations[i]);
}

/* ---- to v1 ---- */

static void write_annotation(Arena *arena, Value *object, const char *name, const Value *v) {
    _cleanup_buf_ Buf json = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&json, v);
    value_set(arena, value_ensure_object(arena, value_ensure_object(arena, object, "metadata"), "annotations"), name,
              value_string_n(arena, json.data, json.len));
}

static Value *source_to_v1(Arena *arena, const Source *source, const Value *v2) {
    Value *out = value_object(arena);
    for (const Part *part = source->parts; part < parts_end(source); part++) {
        Value *v = value_get(part->group ? value_get(v2, part->group) : v2, part->v2);
        if (!v && part->always)
            v = value_string(arena, "0");
        value_set(arena, out, part->v1, v);
    }
    return out;
}

static Value *metric_to_v1(Arena *arena, const Source *sources, const Value *metric) {
    Value *out = value_object(arena);
    value_set(arena, out, "type", value_get(metric, "type"));
    for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
        const Value *source = value_get(metric, sources[i].name);
        if (value_is(source, VALUE_OBJECT))
            value_set(arena, out, sources[i].name, source_to_v1(arena, &sources[i], source));
    }
    return out;
}

/* As Go writes a struct whose members have no tags: all of them, by the names they have in Go. */
static Value *without_tags(Arena *arena, const Schema *schema, Value *v) {
    if (schema->type == SCHEMA_LIST && value_is(v, VALUE_ARRAY)) {
        Value *out = value_array(arena), *item;
        VALUE_FOREACH (item, v)
            value_append(arena, out, without_tags(arena, schema->element, item));
        return out;
    }
    if (schema->type != SCHEMA_STRUCT || !value_is(v, VALUE_OBJECT))
        return v ? v : value_null(arena);
    Value *out = value_object(arena);
    for (size_t i = 0; i < schema->n_fields; i++) {
        const SchemaField *field = &schema->fields[i];
        char *name = arena_strdup(arena, field->name);
        *name = (char)toupper((unsigned char)*name);
        value_set(arena, out, name, without_tags(arena, field->schema, value_get(v, field->name)));
    }
    return out;
}

static void spec_to_v1(Arena *arena, Value *object, Value *spec) {
    Value *rest = value_array(arena), *metric, *behavior = value_get(spec, "behavior");
    VALUE_FOREACH (metric, value_get(spec, "metrics")) {
        Value *share = value_path(metric, "resource", "target", "averageUtilization", NULL);
        if (!is_cpu(metric) || !share)
            value_append(arena, rest, metric_to_v1(arena, wanted, metric));
        else if (!value_get(spec, "targetCPUUtilizationPercentage"))
            value_set(arena, spec, "targetCPUUtilizationPercentage", share);
    }
    if (rest->len)
        write_annotation(arena, object, METRICS, rest);
    if (value_is(behavior, VALUE_OBJECT))
        write_annotation(arena, object, BEHAVIOR,
                         without_tags(arena, &schema_autoscaling_v2_HorizontalPodAutoscalerBehavior, behavior));
}

static void status_to_v1(Arena *arena, Value *object, Value *status) {
    Value *values = value_array(arena), *metric;
    VALUE_FOREACH (metric, value_get(status, "currentMetrics")) {
        Value *share = value_path(metric, "resource", "current", "averageUtilization", NULL);
        value_append(arena, values, metric_to_v1(arena, current, metric));
        if (is_cpu(metric) && share)
            value_set(arena, status, "currentCPUUtilizationPercentage", share);
    }
    if (values->len)
        write_annotation(arena, object, CURRENT_METRICS, values);
    if (value_len(value_get(status, "conditions")))
        write_annotation(arena, object, CONDITIONS, value_get(status, "conditions"));
}

void hpa_to_v1(Arena *arena, Value *object) {
    drop_annotations(object);
    spec_to_v1(arena, object, value_get(object, "spec"));
    status_to_v1(arena, object, value_get(object, "status"));
}

/* ---- to v2 ---- */

/* Go's decoder takes names in any case where there is none in the right one. */
static Value *member_in_any_case(const Value *v, const char *name) {
    Value *exact = value_get(v, name);
    if (exact)
        return exact;
    VALUE_FOREACH_MEMBER (m, v)
        if (strcasecmp(m->name, name) == 0)
            return m->value;
    return NULL;
}

static int source_to_v2(Arena *arena, const Source *source, const Value *v1, Value **ret) {
    Value *out = value_object(arena);
    if (!value_is(v1, VALUE_OBJECT))
        return -EINVAL;
    for (const Part *part = source->parts; part < parts_end(source); part++) {
        Value *v = member_in_any_case(v1, part->v1);
        if (value_is(v, VALUE_NULL))
            v = NULL;
        if (v && schema_normalize(arena, part->schema, v, NULL, NULL) < 0)
            return -EINVAL;
        if (!v && part->always)
            v = value_string(arena, "0");
        if (v)
            value_set(arena, part->group ? value_ensure_object(arena, out, part->group) : out, part->v2, v);
    }
    *ret = out;
    return 0;
}

/* v1 does not say which of its values counts. */
static void set_target_type(Arena *arena, const char *source, Value *metric) {
    Value *target = value_ensure_object(arena, metric, "target");
    const char *value = value_get_str(target, "value");
    bool averaged = streq(source, "object") ? value_get(target, "averageValue") != NULL : !value;
    if (averaged && streq_null(value, "0")) /* it could not be left out */
        value_remove(target, "value");
    value_set_str(arena, target, "type",
                  value_get(target, "averageUtilization") ? "Utilization"
                  : averaged                              ? "AverageValue"
                                                          : "Value");
}

static int metric_to_v2(Arena *arena, const Source *sources, const Value *metric, Value *ret) {
    Value *type = member_in_any_case(metric, "type"), *out;
    if (!value_is(metric, VALUE_OBJECT) && !value_is(metric, VALUE_NULL))
        return -EINVAL;
    if (type && type->type != VALUE_STRING && type->type != VALUE_NULL)
        return -EINVAL;
    value_set_str(arena, ret, "type", str_or(value_str(type), ""));
    for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
        const Value *source = member_in_any_case(metric, sources[i].name);
        if (!source || source->type == VALUE_NULL)
            continue;
        int r = source_to_v2(arena, &sources[i], source, &out);
        if (r < 0)
            return r;
        if (sources == wanted)
            set_target_type(arena, sources[i].name, out);
        value_set(arena, ret, sources[i].name, out);
    }
    return 0;
}

static int metrics_to_v2(Arena *arena, const Source *sources, const Value *list, Value **ret) {
    Value *out = value_array(arena), *item;
    if (!value_is(list, VALUE_ARRAY) && !value_is(list, VALUE_NULL))
        return -EINVAL;
    VALUE_FOREACH (item, list) {
        Value *metric = value_object(arena);
        int r = metric_to_v2(arena, sources, item, metric);
        if (r < 0)
            return r;
        value_append(arena, out, metric);
    }
    *ret = out;
    return 0;
}

/* The same members by the names of the tags. */
static Value *with_tags(Arena *arena, const Schema *schema, Value *v) {
    if (schema->type == SCHEMA_LIST && value_is(v, VALUE_ARRAY)) {
        Value *out = value_array(arena), *item;
        VALUE_FOREACH (item, v)
            value_append(arena, out, with_tags(arena, schema->element, item));
        return out;
    }
    if (schema->type != SCHEMA_STRUCT || !value_is(v, VALUE_OBJECT))
        return v;
    Value *out = value_object(arena);
    for (size_t i = 0; i < schema->n_fields; i++) {
        Value *member = member_in_any_case(v, schema->fields[i].name);
        if (member)
            value_set(arena, out, schema->fields[i].name, with_tags(arena, schema->fields[i].schema, member));
    }
    return out;
}

static Value *read_annotation(Arena *arena, const Value *object, const char *name) {
    const char *json = value_get_str(value_path(object, "metadata", "annotations", NULL), name);
    Value *v;
    return json && json_parse(arena, json, strlen(json), &v, NULL, NULL) == 0 ? v : NULL;
}

static bool says_policies(const Value *behavior, const char *direction) {
    const Value *rules = value_get(behavior, direction);
    return !rules || value_get(rules, "policies");
}

/* Complete, as the reference reads it from its store. What it does not store for want of policies stays without. */
static void read_behavior(Arena *arena, const Value *object, Value *spec) {
    const Schema *schema = &schema_autoscaling_v2_HorizontalPodAutoscalerBehavior;
    Value *behavior = read_annotation(arena, object, BEHAVIOR);
    if (!value_is(behavior, VALUE_OBJECT))
        return;
    behavior = with_tags(arena, schema, behavior);
    if (schema_normalize(arena, schema, behavior, NULL, NULL) < 0 || !behavior->len)
        return;
    if (says_policies(behavior, "scaleUp") && says_policies(behavior, "scaleDown"))
        default_hpa_behavior(arena, behavior);
    value_set(arena, spec, "behavior", behavior);
}

/* Without any metric: processors, at the share the reference's controller took when nobody named one. */
static void spec_to_v2(Arena *arena, const Value *object, Value *spec) {
    const Value *share = value_get(spec, "targetCPUUtilizationPercentage");
    Value *metrics;
    if (metrics_to_v2(arena, wanted, read_annotation(arena, object, METRICS), &metrics) < 0)
        metrics = value_array(arena);
    if (value_is(share, VALUE_INT) || !metrics->len)
        value_append(arena, metrics,
                     cpu_metric(arena, value_is(share, VALUE_INT) ? share->integer : DEFAULT_CPU_UTILIZATION));
    value_set(arena, spec, "metrics", metrics);
    value_remove(spec, "targetCPUUtilizationPercentage");
    read_behavior(arena, object, spec);
}

static void status_to_v2(Arena *arena, const Value *object, Value *status) {
    const Value *share = value_get(status, "currentCPUUtilizationPercentage");
    Value *values, *conditions = read_annotation(arena, object, CONDITIONS);
    if (metrics_to_v2(arena, current, read_annotation(arena, object, CURRENT_METRICS), &values) < 0) {
        values = value_array(arena);
        if (value_is(share, VALUE_INT)) {
            Value *metric = value_object(arena), *resource = value_ensure_object(arena, metric, "resource");
            value_set_str(arena, metric, "type", "Resource");
            value_set_str(arena, resource, "name", "cpu");
            value_set_int(arena, value_ensure_object(arena, resource, "current"), "averageUtilization", share->integer);
            value_append(arena, values, metric);
        }
    }
    if (values->len)
        value_set(arena, status, "currentMetrics", values);
    if (value_len(conditions) && schema_normalize(arena, &condition_list, conditions, NULL, NULL) == 0)
        value_set(arena, status, "conditions", conditions);
}

void hpa_to_v2(Arena *arena, Value *object) {
    spec_to_v2(arena, object, value_ensure_object(arena, object, "spec"));
    status_to_v2(arena, object, value_ensure_object(arena, object, "status"));
    drop_annotations(object);
}
