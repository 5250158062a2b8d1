#include "network/services/view.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>

static const char *ipv4(Arena *arena, const char *text) {
    struct in_addr address;
    char canonical[INET_ADDRSTRLEN];
    if (!text || inet_pton(AF_INET, text, &address) != 1)
        return NULL;
    return arena_strdup(arena, inet_ntop(AF_INET, &address, canonical, sizeof canonical));
}

static const char *ipv4_range(Arena *arena, const char *text) {
    const char *slash = text ? strchr(text, '/') : NULL;
    uint64_t bits;
    if (!slash || str_to_uint64(slash + 1, &bits) < 0 || bits > 32)
        return NULL;
    const char *address = ipv4(arena, arena_strndup(arena, text, (size_t)(slash - text)));
    return address ? arena_printf(arena, "%s/%u", address, (unsigned)bits) : NULL;
}

/* What `read` makes of each string of the list, and not what it refuses. */
static const char **strings(Arena *arena, const Value *list, const char *(*read)(Arena *arena, const char *text)) {
    const char **out = arena_alloc0(arena, (value_len(list) + 1) * sizeof *out);
    const Value *item;
    size_t n = 0;
    VALUE_FOREACH (item, list) {
        const char *text = read(arena, value_str(item));
        if (text)
            out[n++] = text;
    }
    return out;
}

/* The load balancer's addresses that packets really carry (ipMode VIP). */
static const char **ingress(Arena *arena, const Value *service) {
    const Value *list = value_path(service, "status", "loadBalancer", "ingress", NULL), *item;
    const char **out = arena_alloc0(arena, (value_len(list) + 1) * sizeof *out);
    size_t n = 0;
    VALUE_FOREACH (item, list) {
        const char *ip = ipv4(arena, value_get_str(item, "ip"));
        if (ip && streq(str_or(value_get_str(item, "ipMode"), "VIP"), "VIP"))
            out[n++] = ip;
    }
    return out;
}

static const char *lower(Arena *arena, const char *text) {
    char *out = arena_strdup(arena, text);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

static uint16_t port_number(const Value *v, const char *name) {
    int64_t n = value_get_int(v, name, 0);
    return n > 0 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

static bool is_protocol(const char *protocol) {
    static const char *const known[] = {"tcp", "udp", "sctp", NULL};
    return str_in(protocol, known);
}

static void read_ports(Arena *arena, const Value *spec, ServiceView *ret) {
    const Value *list = value_get(spec, "ports"), *item;
    ret->ports = arena_alloc0(arena, (value_len(list) + 1) * sizeof *ret->ports);
    VALUE_FOREACH (item, list) {
        ServicePortView port = {.name = arena_strdup(arena, str_or(value_get_str(item, "name"), "")),
                                .protocol = lower(arena, str_or(value_get_str(item, "protocol"), "TCP")),
                                .port = port_number(item, "port"),
                                .node_port = port_number(item, "nodePort")};
        if (port.port && is_protocol(port.protocol))
            ret->ports[ret->n_ports++] = port;
    }
}

static int64_t affinity(const Value *spec) {
    if (!streq(str_or(value_get_str(spec, "sessionAffinity"), "None"), "ClientIP"))
        return 0;
    int64_t seconds = value_get_int(value_path(spec, "sessionAffinityConfig", "clientIP", NULL), "timeoutSeconds",
                                    SERVICE_AFFINITY_SECONDS);
    return seconds > 0 ? seconds : SERVICE_AFFINITY_SECONDS;
}

bool service_is_for_others(const Object *object) {
    return object_label(object, "service.kubernetes.io/service-proxy-name") ||
           object_label(object, "service.kubernetes.io/headless");
}

void service_view(Arena *arena, const Object *service, ServiceView *ret) {
    const Value *v = object_value(service, arena), *spec = value_get(v, "spec");
    const char *type = str_or(value_get_str(spec, "type"), "ClusterIP"),
               *ip = str_or(value_get_str(spec, "clusterIP"), "");
    bool balanced = streq(type, "LoadBalancer"),
         local = streq(str_or(value_get_str(spec, "externalTrafficPolicy"), "Cluster"), "Local");
    *ret = (ServiceView){
        .ns = arena_strdup(arena, object_namespace(service)),
        .name = arena_strdup(arena, object_name(service)),
        .type = type,
        .external_name = streq(type, "ExternalName") ? value_get_str(spec, "externalName") : NULL,
        .cluster_ip = streq(type, "ExternalName") ? NULL : ipv4(arena, ip),
        .headless = streq(ip, "None") && !streq(type, "ExternalName"),
        .other_proxy = service_is_for_others(service),
        .publish_not_ready = value_get_bool(spec, "publishNotReadyAddresses", false),
        .external_ips = strings(arena, value_get(spec, "externalIPs"), ipv4),
        .ingress_ips = ingress(arena, v),
        .source_ranges = strings(arena, value_get(spec, "loadBalancerSourceRanges"), ipv4_range),
        .affinity_seconds = affinity(spec),
        .internal_local = streq(str_or(value_get_str(spec, "internalTrafficPolicy"), "Cluster"), "Local"),
    };
    ret->external_local = local && (balanced || streq(type, "NodePort") || ret->external_ips[0]);
    if (balanced && ret->external_local)
        ret->health_check_port = port_number(spec, "healthCheckNodePort");
    read_ports(arena, spec, ret);
}

bool service_is_external(const ServiceView *service, const ServicePortView *port) {
    return port->node_port || service->external_ips[0] || service->ingress_ips[0];
}

/* The number the port has on the pods of this slice; 0: they do not serve it. */
static uint16_t slice_port(Arena *arena, const Value *slice, const ServicePortView *port) {
    const Value *item;
    VALUE_FOREACH (item, value_get(slice, "ports"))
        if (streq(str_or(value_get_str(item, "name"), ""), port->name) &&
            streq(lower(arena, str_or(value_get_str(item, "protocol"), "TCP")), port->protocol))
            return port_number(item, "port");
    return 0;
}

static const char **hints(Arena *arena, const Value *endpoint, const char *kind) {
    const Value *list = value_path(endpoint, "hints", kind, NULL), *item;
    const char **out = arena_alloc0(arena, (value_len(list) + 1) * sizeof *out);
    size_t n = 0;
    VALUE_FOREACH (item, list)
        if (value_get_str(item, "name"))
            out[n++] = value_get_str(item, "name");
    return out;
}

static int compare(const void *a, const void *b) {
    const EndpointView *x = a, *y = b;
    int order = strcmp(x->ip, y->ip);
    return order ? order : (int)x->port - (int)y->port;
}

/* The same address and port may stand in two slices while it moves from one to the other: the ready one counts. */
static void sort_and_merge(EndpointViews *list) {
    size_t n = 0;
    qsort(list->items, list->n, sizeof *list->items, compare);
    for (size_t i = 0; i < list->n; i++) {
        if (n && compare(&list->items[n - 1], &list->items[i]) == 0) {
            if (list->items[i].ready && !list->items[n - 1].ready)
                list->items[n - 1] = list->items[i];
            continue;
        }
        list->items[n++] = list->items[i];
    }
    list->n = n;
}

void service_endpoints(Arena *arena, Object *const *slices, size_t n_slices, const ServicePortView *port,
                       EndpointViews *ret) {
    EndpointViews list = {0};
    const Value **trees = arena_alloc0(arena, (n_slices + 1) * sizeof *trees);
    size_t max = 0;
    for (size_t i = 0; i < n_slices; i++) {
        trees[i] = object_value(slices[i], arena);
        max += value_len(value_get(trees[i], "endpoints"));
    }
    list.items = arena_alloc0(arena, (max + 1) * sizeof *list.items);
    for (size_t i = 0; i < n_slices; i++) {
        uint16_t number = port ? slice_port(arena, trees[i], port) : 0;
        const Value *item;
        if (!streq(str_or(value_get_str(trees[i], "addressType"), ""), "IPv4") || (port && !number))
            continue;
        VALUE_FOREACH (item, value_get(trees[i], "endpoints")) {
            const Value *conditions = value_get(item, "conditions");
            const char *ip = ipv4(arena, value_str(value_at(value_get(item, "addresses"), 0)));
            bool ready = value_get_bool(conditions, "ready", true);
            if (ip)
                list.items[list.n++] = (EndpointView){
                    .ip = ip,
                    .port = number,
                    .node = value_get_str(item, "nodeName"),
                    .hostname = value_get_str(item, "hostname"),
                    .ready = ready,
                    .serving = value_get_bool(conditions, "serving", ready),
                    .terminating = value_get_bool(conditions, "terminating", false),
                    .zone_hints = hints(arena, item, "forZones"),
                    .node_hints = hints(arena, item, "forNodes"),
                };
        }
    }
    sort_and_merge(&list);
    *ret = list;
}
