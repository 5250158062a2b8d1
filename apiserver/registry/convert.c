#include "apiserver/registry/convert.h"
#include "api/json.h"
#include "apiserver/registry/defaults_functions.h"
#include "base/str.h"

typedef struct Rename {
    const char *a, *b;
} Rename;

/* core/v1 Event and events.k8s.io/v1 Event are one thing with other names. */
static const Rename event_names[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"reportingComponent", "reportingController"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
};

static Value *convert_event(Arena *arena, const Resource *from, const Resource *to, const Value *object) {
    bool to_core = !*to->group;
    Value *out = value_object(arena);
    (void)from;
    VALUE_FOREACH_MEMBER (m, object) {
        const char *name = m->name;
        for (size_t i = 0; i < ELEMENTSOF(event_names); i++)
            if (streq(name, to_core ? event_names[i].b : event_names[i].a)) {
                name = to_core ? event_names[i].a : event_names[i].b;
                break;
            }
        value_set(arena, out, name, m->value);
    }
    return out;
}

void convert_field_selector(const Resource *from, Selector *fields) {
    if (from == from->storage || !streq(from->kind, "Event"))
        return;
    for (size_t i = 0; i < ELEMENTSOF(event_names); i++)
        field_selector_rename(fields, event_names[i].b, event_names[i].a);
}

static bool is_cpu_utilization(const Value *metric) {
    const Value *resource = value_get(metric, "resource");
    return streq_null(value_get_str(metric, "type"), "Resource") && streq_null(value_get_str(resource, "name"), "cpu");
}

/* What v1 has no fields for is kept in annotations, and is taken out of them again. */
static const struct {
    const char *annotation, *part, *field;
    ValueType type;
} hpa_kept[] = {
    {"autoscaling.alpha.kubernetes.io/metrics", "spec", "metrics", VALUE_ARRAY},
    {"autoscaling.alpha.kubernetes.io/behavior", "spec", "behavior", VALUE_OBJECT},
    {"autoscaling.alpha.kubernetes.io/current-metrics", "status", "currentMetrics", VALUE_ARRAY},
    {"autoscaling.alpha.kubernetes.io/conditions", "status", "conditions", VALUE_ARRAY},
};

static void take_from_annotations(Arena *arena, Value *object) {
    Value *annotations = value_path(object, "metadata", "annotations", NULL), *v;
    for (size_t i = 0; i < ELEMENTSOF(hpa_kept); i++) {
        const char *text = value_get_str(annotations, hpa_kept[i].annotation);
        if (!text || json_parse(arena, text, strlen(text), &v, NULL, NULL) < 0 || v->type != hpa_kept[i].type)
            continue;
        value_set(arena, value_ensure_object(arena, object, hpa_kept[i].part), hpa_kept[i].field, v);
        value_remove(annotations, hpa_kept[i].annotation);
    }
    if (value_is(annotations, VALUE_OBJECT) && !annotations->len)
        value_remove(value_get(object, "metadata"), "annotations");
}

/* Without any metric: processors, at the share the reference's controller took when nobody named one. */
static void hpa_v1_to_v2(Arena *arena, Value *object) {
    take_from_annotations(arena, object);
    Value *spec = value_ensure_object(arena, object, "spec");
    Value *share = value_get(spec, "targetCPUUtilizationPercentage"),
          *metrics = value_ensure_array(arena, spec, "metrics");
    if (share || !value_len(metrics))
        value_append(arena, metrics,
                     cpu_metric(arena, value_is(share, VALUE_INT) ? share->integer : DEFAULT_CPU_UTILIZATION));
    value_remove(spec, "targetCPUUtilizationPercentage");
}

static void keep_in_annotation(Arena *arena, Value *object, const char *key, const Value *v) {
    if (value_is_empty(v))
        return;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&text, v);
    value_set(arena, value_ensure_object(arena, value_ensure_object(arena, object, "metadata"), "annotations"), key,
              value_string_n(arena, text.data, text.len));
}

static void hpa_v2_to_v1(Arena *arena, Value *object) {
    Value *spec = value_get(object, "spec"), *status = value_get(object, "status"), *rest = value_array(arena), *metric;
    VALUE_FOREACH (metric, value_get(spec, "metrics")) {
        Value *utilization = value_path(metric, "resource", "target", "averageUtilization", NULL);
        if (is_cpu_utilization(metric) && utilization && !value_get(spec, "targetCPUUtilizationPercentage"))
            value_set(arena, spec, "targetCPUUtilizationPercentage", utilization);
        else
            value_append(arena, rest, metric);
    }
    keep_in_annotation(arena, object, "autoscaling.alpha.kubernetes.io/metrics", rest);
    keep_in_annotation(arena, object, "autoscaling.alpha.kubernetes.io/behavior", value_get(spec, "behavior"));
    VALUE_FOREACH (metric, value_get(status, "currentMetrics")) {
        Value *utilization = value_path(metric, "resource", "current", "averageUtilization", NULL);
        if (is_cpu_utilization(metric) && utilization)
            value_set(arena, status, "currentCPUUtilizationPercentage", utilization);
    }
    keep_in_annotation(arena, object, "autoscaling.alpha.kubernetes.io/current-metrics",
                       value_get(status, "currentMetrics"));
    keep_in_annotation(arena, object, "autoscaling.alpha.kubernetes.io/conditions", value_get(status, "conditions"));
}

Value *convert_object(Arena *arena, const Resource *from, const Resource *to, Value *object) {
    if (from == to || (streq(from->group, to->group) && streq(from->version, to->version)))
        return object;
    Value *out = value_copy(arena, object);
    if (streq(from->kind, "Event"))
        out = convert_event(arena, from, to, object);
    else if (streq(from->kind, "HorizontalPodAutoscaler") && streq(to->version, "v1"))
        hpa_v2_to_v1(arena, out);
    else if (streq(from->kind, "HorizontalPodAutoscaler"))
        hpa_v1_to_v2(arena, out);
    value_set(arena, out, "apiVersion", value_string(arena, resource_api_version(arena, to)));
    schema_normalize(arena, to->schema, out, NULL, NULL);
    return out;
}

static Value *pod_spec_of(const Resource *resource, Value *object) {
    static const struct {
        const char *kind;
        const char *path[5];
    } places[] = {
        {"Pod", {"spec"}},
        {"PodTemplate", {"template", "spec"}},
        {"CronJob", {"spec", "jobTemplate", "spec", "template", "spec"}},
        {"ReplicationController", {"spec", "template", "spec"}},
        {"Deployment", {"spec", "template", "spec"}},
        {"ReplicaSet", {"spec", "template", "spec"}},
        {"StatefulSet", {"spec", "template", "spec"}},
        {"DaemonSet", {"spec", "template", "spec"}},
        {"Job", {"spec", "template", "spec"}},
    };
    for (size_t i = 0; i < ELEMENTSOF(places); i++)
        if (streq(places[i].kind, resource->kind)) {
            Value *at = object;
            for (size_t j = 0; j < ELEMENTSOF(places[i].path) && places[i].path[j]; j++)
                at = value_get(at, places[i].path[j]);
            return at;
        }
    return NULL;
}

/* podCIDR is the first of podCIDRs, and the one to believe where they differ. */
static void convert_pod_cidrs(Arena *arena, Value *spec) {
    const char *one = value_get_str(spec, "podCIDR"), *first = value_str(value_at(value_get(spec, "podCIDRs"), 0));
    if (!str_empty(one) && !streq_null(one, first)) {
        Value *list = value_array(arena);
        value_append(arena, list, value_string(arena, one));
        value_set(arena, spec, "podCIDRs", list);
    } else if (str_empty(one) && !str_empty(first)) {
        value_set_str(arena, spec, "podCIDR", first);
    }
}

void convert_aliases(Arena *arena, const Resource *resource, Value *object) {
    if (streq(resource->kind, "Node") && value_is(value_get(object, "spec"), VALUE_OBJECT))
        convert_pod_cidrs(arena, value_get(object, "spec"));
    Value *spec = pod_spec_of(resource, object);
    const char *name = value_get_str(spec, "serviceAccountName"), *old = value_get_str(spec, "serviceAccount");
    if (!value_is(spec, VALUE_OBJECT))
        return;
    if (str_empty(name))
        name = old;
    if (str_empty(name))
        return;
    value_set_str(arena, spec, "serviceAccountName", name);
    value_set_str(arena, spec, "serviceAccount", name);
}
