/* The older Endpoints object of each service with a selector: one a service, pods grouped by the ports they serve. */
#define LOG_COMPONENT "endpoints"
#include "controllers/controller.h"

#include "base/str.h"
#include "controllers/meta.h"
#include "controllers/service_pods.h"

#include <errno.h>

#define ADDRESSES_MAX 1000 /* the reference's maxCapacity */
#define MANAGED_BY_LABEL "endpoints.kubernetes.io/managed-by"
#define HEADLESS_LABEL "service.kubernetes.io/headless"
#define OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"

typedef struct EndpointsAll {
    Client *client;
    Informer *services, *pods, *endpoints;
    ServiceSelectors *selectors;
    WorkQueue *queue;
} EndpointsAll;

static void service_changed(Object *service, void *userdata) {
    EndpointsAll *all = userdata;
    service_selectors_set(all->selectors, service);
    controller_enqueue(all->queue, service);
}

static void service_updated(_unused_ Object *old, Object *service, void *userdata) {
    service_changed(service, userdata);
}

static void service_deleted(Object *service, void *userdata) {
    EndpointsAll *all = userdata;
    service_selectors_drop(all->selectors, service);
    controller_enqueue(all->queue, service);
}

static void pod_changed(Object *pod, void *userdata) {
    EndpointsAll *all = userdata;
    service_selectors_enqueue(all->selectors, pod, all->queue);
}

static void pod_updated(Object *old, Object *pod, void *userdata) {
    pod_changed(old, userdata);
    pod_changed(pod, userdata);
}

static void endpoints_deleted(Object *endpoints, void *userdata) {
    controller_enqueue(((EndpointsAll *)userdata)->queue, endpoints);
}

static Value *ports_for(Arena *arena, const Value *service, const PublishedPod *pod) {
    Value *ports = value_array(arena), *service_port;
    VALUE_FOREACH (service_port, value_path(service, "spec", "ports", NULL)) {
        int64_t number = published_pod_port(pod, service_port);
        if (number == 0)
            continue;
        Value *port = value_object(arena);
        if (!str_empty(value_get_str(service_port, "name")))
            value_set_str(arena, port, "name", value_get_str(service_port, "name"));
        value_set_int(arena, port, "port", number);
        value_set_str(arena, port, "protocol", str_or(value_get_str(service_port, "protocol"), "TCP"));
        if (value_get_str(service_port, "appProtocol"))
            value_set_str(arena, port, "appProtocol", value_get_str(service_port, "appProtocol"));
        value_append(arena, ports, port);
    }
    return ports;
}

static Value *subset_for(Arena *arena, Value *subsets, Value *ports) {
    Value *subset;
    VALUE_FOREACH (subset, subsets) {
        Value *other = value_get(subset, "ports");
        if (other ? value_equal(other, ports) : value_len(ports) == 0)
            return subset;
    }
    subset = value_object(arena);
    if (value_len(ports) > 0)
        value_set(arena, subset, "ports", ports);
    value_append(arena, subsets, subset);
    return subset;
}

static int compare_address(const void *a, const void *b) {
    return strcmp(value_get_str(*(Value *const *)a, "ip"), value_get_str(*(Value *const *)b, "ip"));
}

static void sort_addresses(Value *subsets) {
    static const char *const lists[] = {"addresses", "notReadyAddresses"};
    Value *subset;
    VALUE_FOREACH (subset, subsets)
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
            Value *list = value_get(subset, lists[i]);
            if (value_len(list) > 1)
                qsort(list->items, list->len, sizeof(*list->items), compare_address);
        }
}

static Value *subsets_of(Arena *arena, const Value *service, const ClientList *pods, bool *ret_truncated) {
    Value *subsets = value_array(arena);
    const Value *spec = value_get(service, "spec");
    const char *family = str_or(value_str(value_at(value_get(spec, "ipFamilies"), 0)), "IPv4");
    bool v6 = streq(family, "IPv6"), publish = value_get_bool(spec, "publishNotReadyAddresses", false);
    size_t n = 0;
    for (size_t i = 0; i < pods->n; i++) {
        PublishedPod pod;
        if (!published_pod_read(arena, pods->items[i], &pod) || !pod.ips[v6] || (pod.terminating && !publish))
            continue;
        Value *ports = ports_for(arena, service, &pod);
        /* A service with ports of which this pod serves none; a headless one without ports publishes addresses alone.
         */
        if (value_len(ports) == 0 && value_len(value_get(spec, "ports")) > 0)
            continue;
        if (++n > ADDRESSES_MAX) {
            *ret_truncated = true;
            break;
        }
        Value *address = value_object(arena);
        value_set_str(arena, address, "ip", pod.ips[v6]);
        const char *hostname = published_pod_hostname(&pod, value_get_str(value_get(service, "metadata"), "name"));
        if (hostname)
            value_set_str(arena, address, "hostname", hostname);
        if (!str_empty(object_field(pod.object, "spec.nodeName")))
            value_set_str(arena, address, "nodeName", object_field(pod.object, "spec.nodeName"));
        value_set(arena, address, "targetRef", published_pod_target(arena, &pod));
        value_append(arena,
                     value_ensure_array(arena, subset_for(arena, subsets, ports),
                                        pod.ready || publish ? "addresses" : "notReadyAddresses"),
                     address);
    }
    sort_addresses(subsets);
    return subsets;
}

static void fill(Arena *arena, Value *endpoints, const Value *service, Value *subsets, bool truncated) {
    Value *metadata = value_ensure_object(arena, endpoints, "metadata");
    Value *labels = value_copy(arena, value_path(service, "metadata", "labels", NULL));
    if (!labels)
        labels = value_object(arena);
    value_set_str(arena, labels, MANAGED_BY_LABEL, "endpoint-controller");
    value_set_str(arena, labels, HEADLESS_LABEL, service_pods_headless(service) ? "" : NULL);
    value_set(arena, metadata, "labels", labels);
    if (truncated)
        value_set_str(arena, value_ensure_object(arena, metadata, "annotations"), OVER_CAPACITY, "truncated");
    else
        value_remove(value_get(metadata, "annotations"), OVER_CAPACITY);
    if (value_is_empty(value_get(metadata, "annotations")))
        value_remove(metadata, "annotations");
    value_set(arena, endpoints, "subsets", value_len(subsets) > 0 ? subsets : NULL);
}

static int sync_service(EndpointsAll *all, Arena *arena, const Object *object) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList pods = {0};
    _cleanup_api_error_ ApiError err = {0};
    const char *ns = object_namespace(object), *name = object_name(object);
    const Resource *resource = informer_resource(all->endpoints);
    Value *service = object_value(object, arena), *spec = value_get(service, "spec");
    bool truncated = false;
    if (value_len(value_get(spec, "selector")) == 0 || streq(str_or(value_get_str(spec, "type"), ""), "ExternalName"))
        return 0;
    selector = label_selector_from_map(value_get(spec, "selector"));
    informer_list(all->pods, ns, selector, &pods);
    Value *subsets = subsets_of(arena, service, &pods, &truncated);
    _cleanup_object_ Object *existing = informer_lookup(all->endpoints, ns, name);
    if (existing) {
        Value *now = object_value(existing, arena), *was = value_copy(arena, now);
        fill(arena, now, service, subsets, truncated);
        return value_equal(now, was) ? 0 : client_update(all->client, resource, ns, name, NULL, now, NULL, NULL);
    }
    Value *endpoints = value_object(arena);
    value_set_str(arena, endpoints, "apiVersion", "v1");
    value_set_str(arena, endpoints, "kind", "Endpoints");
    value_set_str(arena, value_ensure_object(arena, endpoints, "metadata"), "name", name);
    value_set_str(arena, value_ensure_object(arena, endpoints, "metadata"), "namespace", ns);
    fill(arena, endpoints, service, subsets, truncated);
    int r = client_create(all->client, resource, ns, endpoints, NULL, &err);
    return err.code == 403 || err.code == 404 ? 0 : r; /* the namespace is going */
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    EndpointsAll *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *service = informer_lookup(all->services, parts.ns, parts.name);
    if (service)
        return object_is_deleting(service) ? 0 : sync_service(all, arena, service);
    _cleanup_object_ Object *endpoints = informer_lookup(all->endpoints, parts.ns, parts.name);
    const char *by = endpoints ? object_label(endpoints, MANAGED_BY_LABEL) : NULL;
    if (!by || !streq(by, "endpoint-controller"))
        return 0;
    int r = client_delete(all->client, informer_resource(all->endpoints), parts.ns, parts.name,
                          &(ClientDelete){.uid = object_uid(endpoints), .grace_seconds = -1}, NULL);
    return r == -ENOENT ? 0 : r;
}

static void *init(Controller *controller) {
    EndpointsAll *all = NEW0(EndpointsAll);
    all->client = controller_client(controller);
    all->services = controller_informer(controller, "", "v1", "services");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->endpoints = controller_informer(controller, "", "v1", "endpoints");
    all->selectors = service_selectors_new();
    all->queue = controller_queue(controller, "endpoint", 2, sync_key, all);
    informer_add_handler(all->services, &(InformerHandler){service_changed, service_updated, service_deleted}, all);
    informer_add_handler(all->pods, &(InformerHandler){pod_changed, pod_updated, pod_changed}, all);
    informer_add_handler(all->endpoints, &(InformerHandler){.deleted = endpoints_deleted}, all);
    return all;
}

static void free_all(void *data) {
    service_selectors_free(((EndpointsAll *)data)->selectors);
    free(data);
}

const ControllerRow controller_endpoints = {
    .name = "endpoints-controller", .account = "endpoint-controller", .init = init, .free = free_all};
