#include "apiserver/registry/convert.h"
#include "apiserver/registry/hpa_convert.h"
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

Value *convert_object(Arena *arena, const Resource *from, const Resource *to, Value *object) {
    if (from == to || (streq(from->group, to->group) && streq(from->version, to->version)))
        return object;
    Value *out = value_copy(arena, object);
    Value *owners = value_path(object, "metadata", "managedFields", NULL);
    if (streq(from->kind, "Event"))
        out = convert_event(arena, from, to, object);
    else if (streq(from->kind, "HorizontalPodAutoscaler") && streq(to->version, "v1"))
        hpa_to_v1(arena, out);
    else if (streq(from->kind, "HorizontalPodAutoscaler"))
        hpa_to_v2(arena, out);
    value_set(arena, out, "apiVersion", value_string(arena, resource_api_version(arena, to)));
    schema_normalize(arena, to->schema, out, NULL, NULL);
    if (value_is(owners, VALUE_ARRAY) && !value_len(owners)) /* an empty list has a meaning here */
        value_set(arena, value_ensure_object(arena, out, "metadata"), "managedFields", owners);
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
