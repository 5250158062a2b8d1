#include "scheduler/resource_metrics.h"

#include "base/metric.h"
#include "base/str.h"
#include "scheduler/pod_resources.h"

/* The first row whose prefix the name has; resources of others have no unit. */
static const char *unit_of(const char *resource) {
    static const struct {
        const char *prefix, *unit;
        bool whole; /* the name itself */
    } rows[] = {
        {"cpu", "cores", true},         {"memory", "bytes", true},
        {"storage", "bytes", true},     {"ephemeral-storage", "bytes", true},
        {"hugepages-", "bytes", false}, {"attachable-volumes-", "integer", false},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (rows[i].whole ? streq(resource, rows[i].prefix) : str_has_prefix(resource, rows[i].prefix))
            return rows[i].unit;
    return "";
}

static bool has_ended(const Object *pod) {
    const char *phase = str_or(object_field(pod, "status.phase"), "");
    return !str_empty(object_field(pod, "spec.nodeName")) && (streq(phase, "Succeeded") || streq(phase, "Failed"));
}

typedef struct Family {
    const char *name, *help, *field;
} Family;

static void write_pod(const Family *family, Placement *names, const Object *pod, Buf *out) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *spec = value_get(object_value(pod, arena), "spec"), *priority = value_get(spec, "priority");
    const ResourceAmount *amounts;
    size_t n = pod_resource_totals(names, arena, spec, family->field, &amounts);
    const char *shown = priority ? arena_printf(arena, "%lld", (long long)value_get_int(spec, "priority", 0)) : "";
    for (size_t i = 0; i < n; i++) {
        const char *resource = placement_resource_name(names, amounts[i].resource);
        double amount = (double)amounts[i].amount / (amounts[i].resource == RESOURCE_CPU ? 1000 : 1);
        if (amount != 0)
            buf_printf(out,
                       "%s{namespace=\"%s\",node=\"%s\",pod=\"%s\",priority=\"%s\",resource=\"%s\",scheduler=\"%s\","
                       "unit=\"%s\"} %.15g\n",
                       family->name, object_namespace(pod), str_or(value_get_str(spec, "nodeName"), ""),
                       object_name(pod), shown, resource, str_or(value_get_str(spec, "schedulerName"), ""),
                       unit_of(resource), amount);
    }
}

void resource_metrics_write(const ClientList *pods, Buf *out) {
    static const Family families[] = {
        {"kube_pod_resource_limit", "[STABLE] What containers of a pod may use in all, by resource.", "limits"},
        {"kube_pod_resource_request", "[STABLE] What a pod asks for in all, by resource.", "requests"},
    };
    Placement *names = placement_new(); /* of resources: its columns */
    for (size_t k = 0; k < ELEMENTSOF(families); k++) {
        if (pods->n)
            metric_head(out, families[k].name, families[k].help, "gauge");
        for (size_t i = 0; i < pods->n; i++)
            if (!has_ended(pods->items[i]))
                write_pod(&families[k], names, pods->items[i], out);
    }
    placement_free(names);
}
