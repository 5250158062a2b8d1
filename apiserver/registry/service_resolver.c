#include "apiserver/registry/service_resolver.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

typedef struct Choice { /* among the endpoints seen so far, each as likely as the others */
    Store *store;
    Arena *arena;
    const char *ns, *port_name, *family;
    bool pods_only;
    const Value *endpoint;
    int64_t port;
    size_t seen;
    bool preferred; /* of the family; others count no more */
} Choice;

static int unavailable(ApiError *err, const char *name) {
    return api_error_set(err, 503, "ServiceUnavailable", "no endpoints available for service \"%s\"", name);
}

static bool has_port(const Value *ports, const char *name, int64_t *ret) {
    const Value *port;
    VALUE_FOREACH (port, ports)
        if (streq(str_or(value_get_str(port, "name"), ""), name) && value_is(value_get(port, "port"), VALUE_INT)) {
            *ret = value_get_int(port, "port", 0);
            return true;
        }
    return false;
}

/* Endpoints are anybody's to write: an address counts when the pod it claims to be has it. */
static bool is_pod_address(const Choice *choice, const Value *endpoint) {
    _cleanup_object_ Object *object = NULL;
    const Value *target = value_get(endpoint, "targetRef"), *ip;
    const char *address = value_str(value_at(value_get(endpoint, "addresses"), 0));
    if (!streq(str_or(value_get_str(target, "namespace"), ""), choice->ns) ||
        store_get(choice->store, resource_find("", "v1", "pods"), choice->ns, str_or(value_get_str(target, "name"), ""),
                  &object) < 0)
        return false;
    VALUE_FOREACH (ip, value_path(object_value(object, choice->arena), "status", "podIPs", NULL))
        if (streq_null(value_get_str(ip, "ip"), address))
            return true;
    return false;
}

static void look_at_slice(Choice *choice, const Value *slice) {
    const Value *endpoint;
    int64_t port;
    bool preferred = streq_null(value_get_str(slice, "addressType"), choice->family);
    if (!has_port(value_get(slice, "ports"), choice->port_name, &port) || (choice->preferred && !preferred))
        return;
    VALUE_FOREACH (endpoint, value_get(slice, "endpoints")) {
        if (!value_get_bool(value_get(endpoint, "conditions"), "ready", true) ||
            str_empty(value_str(value_at(value_get(endpoint, "addresses"), 0))) ||
            (choice->pods_only && !is_pod_address(choice, endpoint)))
            continue;
        if (preferred && !choice->preferred) {
            choice->preferred = true;
            choice->seen = 0;
        }
        if (random_below(++choice->seen) == 0) {
            choice->endpoint = endpoint;
            choice->port = port;
        }
    }
}

static int fill(ServiceEndpoint *ret, const char *host, int64_t port, const char *name, ApiError *err) {
    ServiceEndpoint out;
    if (strlen(host) >= sizeof out.host || port <= 0 || port > UINT16_MAX)
        return unavailable(err, name);
    memcpy(out.host, host, strlen(host) + 1);
    out.port = (uint16_t)port;
    *ret = out;
    return 0;
}

static int choose(Choice *choice, const Value *service, const char *name, const char *id, ServiceEndpoint *ret,
                  ApiError *err) {
    Arena *arena = choice->arena;
    _cleanup_(selector_freep) Selector *labels = NULL;
    _cleanup_object_list_ ObjectList slices = {0};
    Value *wanted = value_object(arena);
    value_set_str(arena, wanted, "kubernetes.io/service-name", name);
    labels = label_selector_from_map(wanted);
    ListQuery query = {
        .resource = resource_find("discovery.k8s.io", "v1", "endpointslices"), .ns = choice->ns, .labels = labels};
    int r = store_list(choice->store, &query, &slices, err);
    if (r < 0)
        return r;
    choice->family = value_str(value_at(value_path(service, "spec", "ipFamilies", NULL), 0));
    for (size_t i = 0; i < slices.n; i++)
        look_at_slice(choice, object_value(slices.items[i], arena));
    if (!choice->endpoint)
        return unavailable(err, slices.n ? id : name);
    return fill(ret, value_str(value_at(value_get(choice->endpoint, "addresses"), 0)), choice->port, name, err);
}

static const Value *find_port(const Value *ports, int64_t number) {
    const Value *port;
    VALUE_FOREACH (port, ports)
        if (value_get_int(port, "port", 0) == number)
            return port;
    return NULL;
}

int service_resolve(Store *store, const char *ns, const char *name, uint16_t port, ServiceEndpoint *ret,
                    ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    int r = store_get(store, resource_find("", "v1", "services"), ns, name, &object);
    if (r < 0)
        return r == -ENOENT ? api_error_not_found(err, "", "service", name)
                            : api_error_from_errno(err, r, "reading the service");
    const Value *service = object_value(object, arena), *spec = value_get(service, "spec");
    const char *type = str_or(value_get_str(spec, "type"), "ClusterIP");
    if (streq(type, "ExternalName"))
        return fill(ret, str_or(value_get_str(spec, "externalName"), ""), port, name, err);
    if (!streq(type, "ClusterIP") && !streq(type, "NodePort") && !streq(type, "LoadBalancer"))
        return api_error_set(err, 500, "InternalError", "unsupported service type \"%s\"", type);
    const Value *found = find_port(value_get(spec, "ports"), port);
    if (!found)
        return api_error_set(err, 503, "ServiceUnavailable", "no service port %u found for service \"%s\"", port, name);
    Choice choice = {.store = store, .arena = arena, .ns = ns, .port_name = str_or(value_get_str(found, "name"), "")};
    return choose(&choice, service, name, name, ret, err);
}

int service_resolve_pod(Store *store, const char *ns, const char *name, const char *port, const char *id,
                        ServiceEndpoint *ret, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    int64_t number;
    bool by_number = str_to_int64(port, &number) == 0;
    int r = store_get(store, resource_find("", "v1", "services"), ns, name, &object);
    if (r < 0)
        return r == -ENOENT ? api_error_not_found(err, "", "services", name)
                            : api_error_from_errno(err, r, "reading the service");
    const Value *service = object_value(object, arena);
    const Value *found = by_number ? find_port(value_path(service, "spec", "ports", NULL), number) : NULL;
    if (by_number && !found)
        return api_error_set(err, 503, "ServiceUnavailable", "no service port %lld found for service \"%s\"",
                             (long long)number, name);
    Choice choice = {.store = store,
                     .arena = arena,
                     .ns = ns,
                     .port_name = found ? str_or(value_get_str(found, "name"), "") : port,
                     .pods_only = true};
    return choose(&choice, service, name, id, ret, err);
}
