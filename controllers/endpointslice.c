/* EndpointSlices of services with a selector: for each address family and each set of ports the pods lead to, as few
 * changes to as few slices as will do, at most ENDPOINTS_MAX endpoints a slice. */
#define LOG_COMPONENT "endpointslice"
#include "controllers/controller.h"

#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/expectations.h"
#include "controllers/meta.h"
#include "controllers/service_pods.h"

#include <errno.h>

#define ENDPOINTS_MAX 100 /* --max-endpoints-per-slice */
#define MANAGED_BY "endpointslice-controller.k8s.io"
#define MANAGED_BY_LABEL "endpointslice.kubernetes.io/managed-by"
#define SERVICE_NAME_LABEL "kubernetes.io/service-name"
#define HEADLESS_LABEL "service.kubernetes.io/headless"
#define ZONE_LABEL "topology.kubernetes.io/zone"

typedef struct Slices {
    Client *client;
    Informer *services, *pods, *slices, *nodes;
    ServiceSelectors *selectors;
    Expectations *expectations;
    WorkQueue *queue;
} Slices;

/* The wanted endpoints of one family and set of ports. */
typedef struct Group {
    struct Group *next;
    const char *address_type; /* "IPv4" */
    Value *ports;
    const char *key;  /* family and ports as text */
    Value *endpoints; /* array of what has no slice yet */
} Group;

typedef struct Sync {
    Slices *all;
    const char *key;
    Arena *arena;
    Object *service;
    Value *value;
    Group *groups;
    ClientList existing;
} Sync;

/* ---- events ---- */

static void service_changed(Object *service, void *userdata) {
    Slices *all = userdata;
    service_selectors_set(all->selectors, service);
    controller_enqueue(all->queue, service);
}

static void service_updated(_unused_ Object *old, Object *service, void *userdata) {
    service_changed(service, userdata);
}

static void service_deleted(Object *service, void *userdata) {
    Slices *all = userdata;
    service_selectors_drop(all->selectors, service);
    controller_enqueue(all->queue, service);
}

static void pod_changed(Object *pod, void *userdata) {
    Slices *all = userdata;
    service_selectors_enqueue(all->selectors, pod, all->queue);
}

static void pod_updated(Object *old, Object *pod, void *userdata) {
    pod_changed(old, userdata); /* its labels may have been others */
    pod_changed(pod, userdata);
}

static void slice_changed(Object *slice, void *userdata) {
    Slices *all = userdata;
    const char *name = object_label(slice, SERVICE_NAME_LABEL), *by = object_label(slice, MANAGED_BY_LABEL);
    if (!name || !by || !streq(by, MANAGED_BY))
        return;
    _cleanup_free_ char *key = xasprintf("%s/%s", object_namespace(slice), name);
    workqueue_add(all->queue, key);
}

static void slice_updated(_unused_ Object *old, Object *slice, void *userdata) {
    slice_changed(slice, userdata);
}

/* ---- what is wanted ---- */

static Value *ports_for(Sync *sync, const PublishedPod *pod) {
    Arena *arena = sync->arena;
    Value *ports = value_array(arena), *service_port;
    VALUE_FOREACH (service_port, value_path(sync->value, "spec", "ports", NULL)) {
        int64_t number = published_pod_port(pod, service_port);
        if (number == 0)
            continue;
        Value *port = value_object(arena);
        value_set_str(arena, port, "name", str_or(value_get_str(service_port, "name"), ""));
        value_set_int(arena, port, "port", number);
        value_set_str(arena, port, "protocol", str_or(value_get_str(service_port, "protocol"), "TCP"));
        if (value_get_str(service_port, "appProtocol"))
            value_set_str(arena, port, "appProtocol", value_get_str(service_port, "appProtocol"));
        value_append(arena, ports, port);
    }
    return ports;
}

static const char *group_key(Arena *arena, const char *address_type, const Value *ports) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    Value *port;
    buf_puts(&text, address_type);
    VALUE_FOREACH (port, ports)
        buf_printf(&text, "|%s %lld %s %s", str_or(value_get_str(port, "name"), ""),
                   (long long)value_get_int(port, "port", 0), str_or(value_get_str(port, "protocol"), "TCP"),
                   str_or(value_get_str(port, "appProtocol"), ""));
    return arena_strdup(arena, text.data);
}

static Group *group_for(Sync *sync, const char *address_type, Value *ports) {
    const char *key = group_key(sync->arena, address_type, ports);
    for (Group *group = sync->groups; group; group = group->next)
        if (streq(group->key, key))
            return group;
    Group *group = ARENA_NEW0(sync->arena, Group);
    *group = (Group){.next = sync->groups,
                     .address_type = address_type,
                     .ports = ports,
                     .key = key,
                     .endpoints = value_array(sync->arena)};
    return sync->groups = group;
}

static Value *endpoint_for(Sync *sync, const PublishedPod *pod, const char *ip) {
    Arena *arena = sync->arena;
    Value *endpoint = value_object(arena), *conditions = value_object(arena);
    bool publish = value_get_bool(value_get(sync->value, "spec"), "publishNotReadyAddresses", false);
    value_append(arena, value_ensure_array(arena, endpoint, "addresses"), value_string(arena, ip));
    value_set_bool(arena, conditions, "ready", publish || (pod->ready && !pod->terminating));
    value_set_bool(arena, conditions, "serving", pod->ready);
    value_set_bool(arena, conditions, "terminating", pod->terminating);
    value_set(arena, endpoint, "conditions", conditions);
    const char *hostname = published_pod_hostname(pod, object_name(sync->service));
    if (hostname)
        value_set_str(arena, endpoint, "hostname", hostname);
    value_set(arena, endpoint, "targetRef", published_pod_target(arena, pod));
    const char *node_name = object_field(pod->object, "spec.nodeName");
    if (str_empty(node_name))
        return endpoint;
    value_set_str(arena, endpoint, "nodeName", node_name);
    _cleanup_object_ Object *node = informer_lookup(sync->all->nodes, NULL, node_name);
    const char *zone = node ? object_label(node, ZONE_LABEL) : NULL;
    if (!str_empty(zone))
        value_set_str(arena, endpoint, "zone", zone);
    return endpoint;
}

static bool has_family(const Sync *sync, const char *family) {
    const Value *families = value_path(sync->value, "spec", "ipFamilies", NULL);
    Value *f;
    VALUE_FOREACH (f, families)
        if (streq(str_or(value_str(f), ""), family))
            return true;
    return value_len(families) == 0 && streq(family, "IPv4");
}

static void want_endpoints(Sync *sync, const ClientList *pods) {
    static const char *const families[] = {"IPv4", "IPv6"};
    for (size_t i = 0; i < pods->n; i++) {
        PublishedPod pod;
        if (!published_pod_read(sync->arena, pods->items[i], &pod))
            continue;
        Value *ports = ports_for(sync, &pod);
        for (size_t f = 0; f < 2; f++)
            if (pod.ips[f] && has_family(sync, families[f]))
                value_append(sync->arena, group_for(sync, families[f], ports)->endpoints,
                             endpoint_for(sync, &pod, pod.ips[f]));
    }
}

/* ---- slices ---- */

static void set_labels(Sync *sync, Value *slice) {
    Arena *arena = sync->arena;
    Value *labels = value_object(arena);
    VALUE_FOREACH_MEMBER (label, value_path(sync->value, "metadata", "labels", NULL))
        if (!streq(label->name, HEADLESS_LABEL) && !streq(label->name, SERVICE_NAME_LABEL) &&
            !streq(label->name, MANAGED_BY_LABEL))
            value_set(arena, labels, label->name, value_copy(arena, label->value));
    if (service_pods_headless(sync->value))
        value_set_str(arena, labels, HEADLESS_LABEL, "");
    value_set_str(arena, labels, MANAGED_BY_LABEL, MANAGED_BY);
    value_set_str(arena, labels, SERVICE_NAME_LABEL, object_name(sync->service));
    value_set(arena, value_ensure_object(arena, slice, "metadata"), "labels", labels);
}

static int slice_create(Sync *sync, const char *address_type, Value *ports, Value *endpoints) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    Arena *arena = sync->arena;
    const char *ns = object_namespace(sync->service);
    Value *slice = value_object(arena);
    value_set_str(arena, slice, "apiVersion", "discovery.k8s.io/v1");
    value_set_str(arena, slice, "kind", "EndpointSlice");
    Value *metadata = value_ensure_object(arena, slice, "metadata");
    value_set(arena, metadata, "generateName", value_printf(arena, "%s-", object_name(sync->service)));
    value_set_str(arena, metadata, "namespace", ns);
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, sync->service));
    set_labels(sync, slice);
    value_set_str(arena, slice, "addressType", address_type);
    value_set(arena, slice, "endpoints", endpoints);
    value_set(arena, slice, "ports", ports);
    int r = client_create(sync->all->client, informer_resource(sync->all->slices), ns, slice, &created, &err);
    if (r < 0)
        return err.code == 403 || err.code == 404 ? 0 : r; /* the namespace is going */
    expectations_wrote(sync->all->expectations, sync->key, created);
    return 0;
}

static int slice_update(Sync *sync, const Object *object, Value *slice) {
    _cleanup_object_ Object *updated = NULL;
    int r = client_update(sync->all->client, informer_resource(sync->all->slices), object_namespace(object),
                          object_name(object), NULL, slice, &updated, NULL);
    if (r >= 0)
        expectations_wrote(sync->all->expectations, sync->key, updated);
    return r == -ENOENT ? 0 : r;
}

static int slice_delete(Sync *sync, const Object *object) {
    int r = client_delete(sync->all->client, informer_resource(sync->all->slices), object_namespace(object),
                          object_name(object), &(ClientDelete){.uid = object_uid(object), .grace_seconds = -1}, NULL);
    if (r >= 0)
        expectations_deleted(sync->all->expectations, sync->key, object);
    return r == -ENOENT ? 0 : r;
}

static const char *endpoint_identity(Arena *arena, const Value *endpoint) {
    return arena_printf(arena, "%s %s", str_or(value_str(value_at(value_get(endpoint, "addresses"), 0)), ""),
                        str_or(value_get_str(value_get(endpoint, "targetRef"), "uid"), ""));
}

/* Takes the endpoint of this identity out of the wanted ones. */
static Value *take_wanted(Arena *arena, Group *group, StrMap *wanted, const Value *endpoint) {
    Value *found = strmap_take(wanted, endpoint_identity(arena, endpoint));
    if (found)
        for (size_t i = 0; i < value_len(group->endpoints); i++)
            if (value_at(group->endpoints, i) == found) {
                value_remove_at(group->endpoints, i);
                break;
            }
    return found;
}

typedef struct Kept { /* an existing slice of a group */
    Object *object;
    Value *slice, *endpoints; /* endpoints: what stays in it */
    bool changed;
} Kept;

/* Passes over the existing slices of a group: endpoints that are still wanted stay where they are. */
static size_t keep_wanted(Sync *sync, Group *group, Kept *kept) {
    size_t n = 0;
    StrMap *wanted = strmap_new(NULL);
    Value *endpoint;
    VALUE_FOREACH (endpoint, group->endpoints)
        strmap_put(wanted, endpoint_identity(sync->arena, endpoint), endpoint);
    for (size_t i = 0; i < sync->existing.n; i++) {
        Value *slice = object_value(sync->existing.items[i], sync->arena);
        const char *type = str_or(value_get_str(slice, "addressType"), "");
        if (object_is_deleting(sync->existing.items[i]) ||
            !streq(group_key(sync->arena, type, value_get(slice, "ports")), group->key))
            continue;
        Kept *k = &kept[n++];
        *k = (Kept){.object = sync->existing.items[i], .slice = slice, .endpoints = value_array(sync->arena)};
        VALUE_FOREACH (endpoint, value_get(slice, "endpoints")) {
            Value *now = take_wanted(sync->arena, group, wanted, endpoint);
            k->changed |= !now || !value_equal(now, endpoint);
            if (now)
                value_append(sync->arena, k->endpoints, now);
        }
        Value *before = value_path(slice, "metadata", "labels", NULL);
        Value *labels_before = before ? value_copy(sync->arena, before) : value_object(sync->arena);
        set_labels(sync, slice);
        k->changed |= !value_equal(labels_before, value_path(slice, "metadata", "labels", NULL));
    }
    strmap_free(wanted);
    return n;
}

static void move_some(Sync *sync, Value *from, Value *to) {
    while (value_len(from) > 0 && value_len(to) < ENDPOINTS_MAX) {
        value_append(sync->arena, to, value_at(from, value_len(from) - 1));
        value_remove_at(from, value_len(from) - 1);
    }
}

static int sync_group(Sync *sync, Group *group) {
    Kept *kept = arena_alloc0(sync->arena, (sync->existing.n + 1) * sizeof(*kept));
    size_t n = keep_wanted(sync, group, kept);
    /* New endpoints go first to slices that change anyway, then to the first with room. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n && value_len(group->endpoints) > 0; i++)
            if ((pass == 1 || kept[i].changed) && value_len(kept[i].endpoints) < ENDPOINTS_MAX) {
                move_some(sync, group->endpoints, kept[i].endpoints);
                kept[i].changed = true;
            }
    for (size_t i = 0; i < n; i++) {
        int r = 0;
        if (value_len(kept[i].endpoints) == 0)
            r = slice_delete(sync, kept[i].object);
        else if (kept[i].changed) {
            value_set(sync->arena, kept[i].slice, "endpoints", kept[i].endpoints);
            r = slice_update(sync, kept[i].object, kept[i].slice);
        }
        if (r < 0)
            return r;
    }
    while (value_len(group->endpoints) > 0) {
        Value *endpoints = value_array(sync->arena);
        move_some(sync, group->endpoints, endpoints);
        int r = slice_create(sync, group->address_type, group->ports, endpoints);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool group_exists(const Sync *sync, const char *key) {
    for (const Group *group = sync->groups; group; group = group->next)
        if (streq(group->key, key))
            return true;
    return false;
}

/* Slices of groups that are no longer wanted go; a family without endpoints keeps one empty slice. */
static int sync_rest(Sync *sync, const char *family) {
    bool wanted = has_family(sync, family), any = false;
    int result = 0;
    for (const Group *group = sync->groups; group; group = group->next)
        any |= streq(group->address_type, family);
    for (size_t i = 0; i < sync->existing.n; i++) {
        Value *slice = object_value(sync->existing.items[i], sync->arena);
        const char *type = str_or(value_get_str(slice, "addressType"), "");
        if (!streq(type, family) || object_is_deleting(sync->existing.items[i]) ||
            group_exists(sync, group_key(sync->arena, type, value_get(slice, "ports"))))
            continue;
        bool placeholder = value_len(value_get(slice, "endpoints")) == 0 && value_len(value_get(slice, "ports")) == 0;
        if (wanted && !any && placeholder) {
            any = true;
            continue;
        }
        int r = slice_delete(sync, sync->existing.items[i]);
        if (r < 0)
            result = r;
    }
    if (wanted && !any && result >= 0)
        result = slice_create(sync, family, value_array(sync->arena), value_array(sync->arena));
    return result;
}

/* ---- the sync ---- */

static void read_existing(Sync *sync) {
    Arena *arena = sync->arena;
    _cleanup_(selector_freep) Selector *selector = NULL;
    Value *map = value_object(arena);
    value_set_str(arena, map, SERVICE_NAME_LABEL, object_name(sync->service));
    value_set_str(arena, map, MANAGED_BY_LABEL, MANAGED_BY);
    selector = label_selector_from_map(map);
    informer_list(sync->all->slices, object_namespace(sync->service), selector, &sync->existing);
}

static int sync_service(Sync *sync) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList pods = {0};
    sync->value = object_value(sync->service, sync->arena);
    const Value *spec = value_get(sync->value, "spec");
    if (value_len(value_get(spec, "selector")) == 0 || streq(str_or(value_get_str(spec, "type"), ""), "ExternalName"))
        return 0;
    selector = label_selector_from_map(value_get(spec, "selector"));
    informer_list(sync->all->pods, object_namespace(sync->service), selector, &pods);
    read_existing(sync);
    want_endpoints(sync, &pods);
    int r = 0;
    for (Group *group = sync->groups; group && r >= 0; group = group->next)
        r = sync_group(sync, group);
    if (r >= 0)
        r = sync_rest(sync, "IPv4");
    return r < 0 ? r : sync_rest(sync, "IPv6");
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Slices *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *service = informer_lookup(all->services, parts.ns, parts.name);
    if (!service || object_is_deleting(service)) {
        expectations_forget(all->expectations, key);
        return 0; /* its slices have it as their owner */
    }
    if (!expectations_satisfied(all->expectations, key)) {
        workqueue_add_after(all->queue, key, EXPECTATIONS_RETRY_NS);
        return 0;
    }
    Sync sync = {.all = all, .key = key, .arena = arena, .service = service};
    int r = sync_service(&sync);
    client_list_done(&sync.existing);
    if (r < 0)
        log_debug("sync of %s: %s", key, strerror(-r));
    return r;
}

static void *init(Controller *controller) {
    Slices *all = NEW0(Slices);
    all->client = controller_client(controller);
    all->services = controller_informer(controller, "", "v1", "services");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->nodes = controller_informer(controller, "", "v1", "nodes");
    all->slices = controller_informer(controller, "discovery.k8s.io", "v1", "endpointslices");
    all->selectors = service_selectors_new();
    all->expectations = expectations_new(all->slices);
    all->queue = controller_queue(controller, "endpoint_slice", 2, sync_key, all);
    informer_add_handler(all->services, &(InformerHandler){service_changed, service_updated, service_deleted}, all);
    informer_add_handler(all->pods, &(InformerHandler){pod_changed, pod_updated, pod_changed}, all);
    informer_add_handler(all->slices, &(InformerHandler){slice_changed, slice_updated, slice_changed}, all);
    return all;
}

static void free_all(void *data) {
    Slices *all = data;
    expectations_free(all->expectations);
    service_selectors_free(all->selectors);
    free(all);
}

const ControllerRow controller_endpointslice = {.name = "endpointslice-controller", .init = init, .free = free_all};
