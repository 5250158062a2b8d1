#include "api/pod_resources.h"
#include "base/str.h"

#define HUGE_PAGES "hugepages-"

typedef struct Sum {
    Arena *arena;
    const Value *pod;
    const char *kind; /* "requests" or "limits" */
    PodResourcesOptions options;
} Sum;

static bool is_sidecar(const Value *container) {
    return streq_null(value_get_str(container, "restartPolicy"), "Always");
}

static bool is_infeasible(const Value *pod) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(pod, "status", "conditions", NULL))
        if (streq_null(value_get_str(condition, "type"), "PodResizePending"))
            return streq_null(value_get_str(condition, "reason"), "Infeasible");
    return false;
}

static const Value *status_of(const Value *pod, const char *name) {
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        const Value *status;
        VALUE_FOREACH (status, value_path(pod, "status", lists[i], NULL))
            if (streq_null(value_get_str(status, "name"), name))
                return status;
    }
    return NULL;
}

static ResourceList of_container(const Sum *sum, const Value *container, bool use_status) {
    ResourceList spec = resource_list_read(sum->arena, value_path(container, "resources", sum->kind, NULL));
    const Value *status = use_status ? status_of(sum->pod, str_or(value_get_str(container, "name"), "")) : NULL;
    if (!value_get(status, "resources"))
        return spec;
    ResourceList given = resource_list_read(sum->arena, value_path(status, "resources", sum->kind, NULL));
    if (streq(sum->kind, "requests")) {
        ResourceList allocated = resource_list_read(sum->arena, value_get(status, "allocatedResources"));
        resource_list_max(&given, &allocated);
    }
    if (!is_infeasible(sum->pod))
        resource_list_max(&given, &spec);
    return given;
}

static ResourceList of_containers(const Sum *sum) {
    ResourceList total = RESOURCE_LIST_INIT(sum->arena), sidecars = total, init = total;
    const Value *container;
    VALUE_FOREACH (container, value_path(sum->pod, "spec", "containers", NULL)) {
        ResourceList one = of_container(sum, container, sum->options.use_status);
        resource_list_add(&total, &one);
    }
    VALUE_FOREACH (container, value_path(sum->pod, "spec", "initContainers", NULL)) {
        bool sidecar = is_sidecar(container);
        ResourceList one = of_container(sum, container, sum->options.use_status && sidecar);
        if (sidecar) {
            resource_list_add(&total, &one);
            resource_list_add(&sidecars, &one);
            resource_list_max(&init, &sidecars);
        } else {
            resource_list_add(&one, &sidecars);
            resource_list_max(&init, &one);
        }
    }
    resource_list_max(&total, &init);
    return total;
}

static bool counts_for_pod(const char *name, bool huge_pages) {
    return streq(name, "cpu") || streq(name, "memory") || (huge_pages && str_has_prefix(name, HUGE_PAGES));
}

static void put_own(const Sum *sum, ResourceList *list) {
    ResourceList own = resource_list_read(sum->arena, value_path(sum->pod, "spec", "resources", sum->kind, NULL));
    for (size_t i = 0; i < own.n; i++)
        if (counts_for_pod(own.items[i].name, sum->options.huge_pages))
            resource_list_set(list, own.items[i].name, own.items[i].quantity);
}

bool pod_has_own_resources(const Value *pod) {
    static const char *const kinds[] = {"requests", "limits"};
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
        VALUE_FOREACH_MEMBER (m, value_path(pod, "spec", "resources", kinds[i], NULL))
            if (counts_for_pod(m->name, true))
                return true;
    return false;
}

ResourceList pod_requests(Arena *arena, const Value *pod, PodResourcesOptions options) {
    Sum sum = {arena, pod, "requests", options};
    ResourceList list = of_containers(&sum);
    put_own(&sum, &list);
    if (options.overhead) {
        ResourceList overhead = resource_list_read(arena, value_path(pod, "spec", "overhead", NULL));
        resource_list_add(&list, &overhead);
    }
    return list;
}

ResourceList pod_limits(Arena *arena, const Value *pod, PodResourcesOptions options) {
    Sum sum = {arena, pod, "limits", options};
    ResourceList list = of_containers(&sum);
    put_own(&sum, &list);
    /* where nothing is limited, overhead limits nothing either */
    ResourceList overhead = resource_list_read(arena, value_path(pod, "spec", "overhead", NULL));
    for (size_t i = 0; options.overhead && i < overhead.n; i++) {
        const Quantity *have = resource_list_get(&list, overhead.items[i].name);
        if (!have || quantity_sign(have) == 0)
            continue;
        Quantity sum_of = *have;
        quantity_add(&sum_of, &overhead.items[i].quantity);
        resource_list_set(&list, overhead.items[i].name, sum_of);
    }
    return list;
}
