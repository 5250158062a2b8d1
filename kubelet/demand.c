#include "kubelet/demand.h"

#include "api/pod_resources.h"
#include "base/str.h"

#include <stdio.h>

static void add_ports(const Value *containers, bool sidecars_only, PodDemand *demand) {
    const Value *c, *p;
    VALUE_FOREACH (c, containers) {
        if (sidecars_only && !container_is_sidecar(c))
            continue;
        VALUE_FOREACH (p, value_get(c, "ports")) {
            int64_t port = value_get_int(p, "hostPort", 0);
            if (port <= 0 || port > UINT16_MAX)
                continue;
            demand->ports = xreallocn(demand->ports, demand->n_ports + 1, sizeof *demand->ports);
            HostPort *to = &demand->ports[demand->n_ports++];
            *to = (HostPort){.port = (uint16_t)port};
            snprintf(to->protocol, sizeof to->protocol, "%s", str_or(value_get_str(p, "protocol"), "TCP"));
            const char *ip = str_or(value_get_str(p, "hostIP"), "");
            snprintf(to->ip, sizeof to->ip, "%s", *ip ? ip : "0.0.0.0");
        }
    }
}

bool resource_is_extended(const char *name) {
    return strchr(name, '/') && !strstr(name, "kubernetes.io/") && !str_has_prefix(name, "requests.");
}

/* What the scheduler counts of a node (schedutil.IsScalarResourceName, and the three it has fields for). */
static bool is_counted(const char *name) {
    static const char *const plain[] = {"cpu", "memory", "ephemeral-storage", NULL};
    return str_in(name, plain) || strchr(name, '/') || str_has_prefix(name, "hugepages-") ||
           str_has_prefix(name, "attachable-volumes-");
}

static void add_requests(const Value *pod, PodDemand *demand) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    ResourceList list = pod_requests(arena, pod, (PodResourcesOptions){.overhead = true, .huge_pages = true});
    for (size_t i = 0; i < list.n; i++) {
        const ResourceAmount *item = &list.items[i];
        int64_t amount = streq(item->name, DEMAND_MILLI_NAME) ? quantity_milli_value(&item->quantity)
                                                              : quantity_value(&item->quantity);
        if (amount <= 0 || !is_counted(item->name))
            continue;
        demand->requests = xreallocn(demand->requests, demand->n_requests + 1, sizeof *demand->requests);
        demand->requests[demand->n_requests++] = (Request){xstrdup(item->name), amount};
    }
}

void demand_of(const Value *pod, PodDemand *ret) {
    const Value *priority = value_path(pod, "spec", "priority", NULL);
    *ret = (PodDemand){.qos = pod_qos_class(pod),
                       .critical = pod_is_critical(pod),
                       .has_priority = value_is(priority, VALUE_INT),
                       .priority = value_is(priority, VALUE_INT) ? priority->integer : 0};
    add_requests(pod, ret);
    add_ports(pod_containers(pod), false, ret);
    add_ports(pod_init_containers(pod), true, ret);
}

void demand_done(PodDemand *demand) {
    for (size_t i = 0; i < demand->n_requests; i++)
        free(demand->requests[i].name);
    free(demand->requests);
    free(demand->ports);
    *demand = (PodDemand){0};
}

int64_t demand_amount(const PodDemand *demand, const char *resource) {
    if (streq(resource, "pods"))
        return 1;
    for (size_t i = 0; i < demand->n_requests; i++)
        if (streq(demand->requests[i].name, resource))
            return demand->requests[i].amount;
    return 0;
}

static bool same_port(const HostPort *a, const HostPort *b) {
    return a->port == b->port && streq(a->protocol, b->protocol) &&
           (streq(a->ip, b->ip) || streq(a->ip, "0.0.0.0") || streq(b->ip, "0.0.0.0"));
}

bool demand_ports_clash(const PodDemand *a, const PodDemand *b) {
    for (size_t i = 0; i < a->n_ports; i++)
        for (size_t j = 0; j < b->n_ports; j++)
            if (same_port(&a->ports[i], &b->ports[j]))
                return true;
    return false;
}
