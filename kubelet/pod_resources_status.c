/* What a pod as a whole was allocated and has, in its status (kubelet_pods.go: convertToAPIPodLevelResourcesStatus). Of
 * a running pod CPU and memory limits are what its cgroup says, in the units of the API. */
#include "kubelet/pod_status.h"

#include "api/pod_resources.h"
#include "base/str.h"

#define MIN_LIMIT_MILLI 10 /* the kernel's least quota: what was asked for may be less */

static int64_t milli_from_shares(int64_t shares) {
    return shares >= CPU_MIN_SHARES ? (shares * 1000 + 1023) / 1024 : 0;
}

static void set_quantity(Arena *arena, Value *resources, const char *list, const char *name, Quantity q) {
    char text[QUANTITY_TEXT_MAX];
    value_set_str(arena, value_ensure_object(arena, resources, list), name, quantity_format(&q, text));
}

/* What the kernel says, unless both that and what was asked for are below what it can express; where it says nothing,
 * what the last status said. */
static void set_cpu(Arena *arena, Value *resources, const Value *old, const char *list, int64_t milli, int64_t least) {
    const Value *before = value_get(value_get(old, list), "cpu");
    if (milli > 0) {
        if (milli > least || resource_milli(resources, list, "cpu") > least)
            set_quantity(arena, resources, list, "cpu", quantity_from_milli(milli, QUANTITY_DECIMAL_SI));
    } else if (before)
        value_set(arena, value_ensure_object(arena, resources, list), "cpu", value_copy(arena, before));
}

static void keep(Arena *arena, Value *resources, const Value *old, const char *list) {
    const Value *before = value_get(value_get(old, list), "memory");
    if (before)
        value_set(arena, value_ensure_object(arena, resources, list), "memory", value_copy(arena, before));
}

static Value *running(Arena *arena, const Value *pod, const Value *old, const ResourceList *requests,
                      const PodCgroup *g) {
    const Value *own = value_path(pod, "spec", "resources", NULL);
    Value *v = own ? value_copy(arena, own) : value_object(arena);
    const Quantity *memory = resource_list_get(requests, "memory");
    set_cpu(arena, v, old, "requests", milli_from_shares(g->cpu_shares), CPU_MIN_SHARES);
    if (memory && !value_get(value_get(v, "requests"), "memory"))
        set_quantity(arena, v, "requests", "memory", *memory);
    set_cpu(arena, v, old, "limits", g->cpu_period ? g->cpu_quota * 1000 / g->cpu_period : 0, MIN_LIMIT_MILLI);
    if (g->memory_limit > 0)
        set_quantity(arena, v, "limits", "memory", quantity_from_int(g->memory_limit, QUANTITY_BINARY_SI));
    else
        keep(arena, v, old, "limits");
    return v;
}

static Value *allocated(Arena *arena, const Value *pod, const ResourceList *requests) {
    const Value *own = value_path(pod, "spec", "resources", NULL);
    Value *v = own ? value_copy(arena, own) : value_object(arena);
    ResourceList limits = pod_limits(arena, pod, (PodResourcesOptions){.overhead = true, .huge_pages = true});
    value_set(arena, v, "requests", requests->n ? resource_list_value(requests) : NULL);
    value_set(arena, v, "limits", limits.n ? resource_list_value(&limits) : NULL);
    return v;
}

void pod_resources_status(Arena *arena, const Value *pod, const Value *old, const PodCgroup *cgroup, Value *status) {
    ResourceList requests = pod_requests(arena, pod, (PodResourcesOptions){.overhead = true, .huge_pages = true});
    bool runs = streq_null(value_get_str(value_get(pod, "status"), "phase"), "Running") && cgroup;
    const Value *before = streq_null(value_get_str(old, "phase"), "Running") ? value_get(old, "resources") : NULL;
    value_set(arena, status, "resources",
              runs ? running(arena, pod, before, &requests, cgroup) : allocated(arena, pod, &requests));
    if (requests.n)
        value_set(arena, status, "allocatedResources", resource_list_value(&requests));
}
