/* Endpoints that somebody else writes, for a service without a selector, as EndpointSlices: each subset (an address
 * family and a set of ports) is one slice. */
#define LOG_COMPONENT "endpointslicemirroring"
#include "controllers/controller.h"

#include "base/log.h"
#include "base/str.h"
#include "controllers/expectations.h"
#include "controllers/meta.h"

#include <arpa/inet.h>
#include <errno.h>

#define ADDRESSES_MAX 1000 /* --mirroring-max-endpoints-per-subset */
#define MANAGED_BY "endpointslicemirroring-controller.k8s.io"
#define MANAGED_BY_LABEL "endpointslice.kubernetes.io/managed-by"
#define SKIP_LABEL "endpointslice.kubernetes.io/skip-mirror"
#define SERVICE_NAME_LABEL "kubernetes.io/service-name"
#define LEADER_ANNOTATION "control-plane.alpha.kubernetes.io/leader"
#define TRIGGER_TIME_ANNOTATION "endpoints.kubernetes.io/last-change-trigger-time"
#define LAST_APPLIED_ANNOTATION "kubectl.kubernetes.io/last-applied-configuration"

typedef struct Mirror {
    Client *client;
    EventRecorder *events;
    Informer *endpoints, *services, *slices;
    Expectations *expectations;
    WorkQueue *queue;
} Mirror;

/* What one slice is to hold. */
typedef struct Wanted {
    struct Wanted *next;
    const char *address_type;
    Value *ports, *endpoints;
} Wanted;

typedef struct MirrorSync {
    Mirror *all;
    const char *key;
    Arena *arena;
    Object *object;
    Value *value; /* the Endpoints */
    Wanted *wanted;
    ClientList existing;
    size_t invalid, skipped;
} MirrorSync;

/* ---- events ---- */

static bool should_mirror(const Value *endpoints) {
    const char *skip = value_label(endpoints, SKIP_LABEL);
    return !(skip && streq(skip, "true")) && !value_annotation(endpoints, LEADER_ANNOTATION);
}

static bool object_should_mirror(Object *endpoints) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return should_mirror(object_value(endpoints, arena));
}

static bool has_selector(Object *service) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return value_get(value_get(object_value(service, arena), "spec"), "selector") != NULL;
}

static void endpoints_changed(Object *endpoints, void *userdata) {
    if (object_should_mirror(endpoints))
        controller_enqueue(((Mirror *)userdata)->queue, endpoints);
}

static void endpoints_updated(Object *old, Object *endpoints, void *userdata) {
    if (object_should_mirror(old) || object_should_mirror(endpoints))
        controller_enqueue(((Mirror *)userdata)->queue, endpoints);
}

static void service_changed(Object *service, void *userdata) {
    if (!has_selector(service))
        controller_enqueue(((Mirror *)userdata)->queue, service);
}

static void service_updated(Object *old, Object *service, void *userdata) {
    if (has_selector(old) != has_selector(service))
        controller_enqueue(((Mirror *)userdata)->queue, service);
}

static void slice_changed(Object *slice, void *userdata) {
    const char *name = object_label(slice, SERVICE_NAME_LABEL), *by = object_label(slice, MANAGED_BY_LABEL);
    if (str_empty(name) || !by || !streq(by, MANAGED_BY))
        return;
    _cleanup_free_ char *key = xasprintf("%s/%s", object_namespace(slice), name);
    workqueue_add(((Mirror *)userdata)->queue, key);
}

static void slice_updated(Object *old, Object *slice, void *userdata) {
    slice_changed(old, userdata); /* its labels may have been others */
    slice_changed(slice, userdata);
}

/* ---- what is wanted ---- */

static Value *slice_ports(Arena *arena, const Value *subset) {
    Value *ports = value_array(arena), *port;
    VALUE_FOREACH (port, value_get(subset, "ports")) {
        Value *p = value_object(arena);
        value_set_str(arena, p, "name", str_or(value_get_str(port, "name"), ""));
        value_set_int(arena, p, "port", value_get_int(port, "port", 0));
        value_set_str(arena, p, "protocol", str_or(value_get_str(port, "protocol"), "TCP"));
        if (value_get_str(port, "appProtocol"))
            value_set_str(arena, p, "appProtocol", value_get_str(port, "appProtocol"));
        value_append(arena, ports, p);
    }
    return ports;
}

/* The same ports in any order. */
static bool same_ports(const Value *a, const Value *b) {
    const Value *port, *other;
    if (value_len(a) != value_len(b))
        return false;
    VALUE_FOREACH (port, a) {
        bool found = false;
        VALUE_FOREACH (other, b)
            found |= value_equal(port, other);
        if (!found)
            return false;
    }
    return true;
}

static Wanted *wanted_for(MirrorSync *sync, const char *address_type, Value *ports) {
    for (Wanted *w = sync->wanted; w; w = w->next)
        if (streq(w->address_type, address_type) && same_ports(w->ports, ports))
            return w;
    Wanted *w = ARENA_NEW0(sync->arena, Wanted);
    *w = (Wanted){sync->wanted, address_type, ports, value_array(sync->arena)};
    return sync->wanted = w;
}

static Value *endpoint_of(Arena *arena, const Value *address, const char *ip, bool ready) {
    Value *endpoint = value_object(arena);
    const char *node = value_get_str(address, "nodeName"), *hostname = value_get_str(address, "hostname");
    const Value *target = value_get(address, "targetRef");
    value_append(arena, value_ensure_array(arena, endpoint, "addresses"), value_string(arena, ip));
    value_set_bool(arena, value_ensure_object(arena, endpoint, "conditions"), "ready", ready);
    if (!str_empty(hostname))
        value_set_str(arena, endpoint, "hostname", hostname);
    if (node)
        value_set_str(arena, endpoint, "nodeName", node);
    if (target)
        value_set(arena, endpoint, "targetRef", value_copy(arena, target));
    return endpoint;
}

static bool same_endpoint(const Value *a, const Value *b) {
    return value_equal(value_get(a, "addresses"), value_get(b, "addresses")) &&
           value_equal(value_get(a, "targetRef"), value_get(b, "targetRef"));
}

/* The address in its usual form; NULL: it is none. */
static const char *canonical_ip(Arena *arena, const char *text, bool *ret_v6) {
    unsigned char bytes[sizeof(struct in6_addr)];
    char out[INET6_ADDRSTRLEN];
    *ret_v6 = str_empty(text) || inet_pton(AF_INET, text, bytes) != 1;
    if (str_empty(text) || (*ret_v6 && inet_pton(AF_INET6, text, bytes) != 1))
        return NULL;
    return arena_strdup(arena, inet_ntop(*ret_v6 ? AF_INET6 : AF_INET, bytes, out, sizeof out));
}

static void want_addresses(MirrorSync *sync, Value *ports, const Value *addresses, bool ready, size_t *added) {
    const Value *address;
    VALUE_FOREACH (address, addresses) {
        bool v6, known = false;
        if (*added >= ADDRESSES_MAX) {
            sync->skipped++;
            continue;
        }
        const char *ip = canonical_ip(sync->arena, value_get_str(address, "ip"), &v6);
        if (!ip) {
            sync->invalid++;
            continue;
        }
        Wanted *w = wanted_for(sync, v6 ? "IPv6" : "IPv4", ports);
        Value *endpoint = endpoint_of(sync->arena, address, ip, ready), *other;
        VALUE_FOREACH (other, w->endpoints)
            known |= same_endpoint(other, endpoint);
        ++*added;
        if (!known)
            value_append(sync->arena, w->endpoints, endpoint);
    }
}

static void want(MirrorSync *sync) {
    const Value *subset;
    VALUE_FOREACH (subset, value_get(sync->value, "subsets")) {
        size_t added = 0;
        Value *ports = slice_ports(sync->arena, subset);
        want_addresses(sync, ports, value_get(subset, "addresses"), true, &added);
        want_addresses(sync, ports, value_get(subset, "notReadyAddresses"), false, &added);
    }
    if (sync->invalid)
        event_record(sync->all->events, sync->object, NULL, "Warning", "InvalidIPAddress",
                     "Skipped %zu invalid IP addresses when mirroring to EndpointSlices", sync->invalid);
    if (sync->skipped)
        event_record(sync->all->events, sync->object, NULL, "Warning", "TooManyAddressesToMirror",
                     "A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %zu addresses were "
                     "skipped",
                     ADDRESSES_MAX, sync->skipped + sync->invalid);
}

/* ---- slices ---- */

static Value *new_slice(MirrorSync *sync, const Wanted *w) {
    Arena *arena = sync->arena;
    Value *slice = value_object(arena), *metadata = value_ensure_object(arena, slice, "metadata");
    Value *labels = value_ensure_object(arena, metadata, "labels"), *annotations = value_object(arena);
    value_set_str(arena, slice, "apiVersion", "discovery.k8s.io/v1");
    value_set_str(arena, slice, "kind", "EndpointSlice");
    value_set_str(arena, metadata, "namespace", object_namespace(sync->object));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, sync->object));
    VALUE_FOREACH_MEMBER (m, value_path(sync->value, "metadata", "labels", NULL))
        value_set(arena, labels, m->name, value_copy(arena, m->value));
    value_set_str(arena, labels, SERVICE_NAME_LABEL, object_name(sync->object));
    value_set_str(arena, labels, MANAGED_BY_LABEL, MANAGED_BY);
    VALUE_FOREACH_MEMBER (m, value_path(sync->value, "metadata", "annotations", NULL))
        if (!streq(m->name, TRIGGER_TIME_ANNOTATION) && !streq(m->name, LAST_APPLIED_ANNOTATION))
            value_set(arena, annotations, m->name, value_copy(arena, m->value));
    if (!value_is_empty(annotations))
        value_set(arena, metadata, "annotations", annotations);
    value_set_str(arena, slice, "addressType", w->address_type);
    value_set(arena, slice, "endpoints", w->endpoints);
    value_set(arena, slice, "ports", w->ports);
    return slice;
}

static bool same_endpoints(const Value *a, const Value *b) {
    const Value *endpoint, *other;
    if (value_len(a) != value_len(b))
        return false;
    VALUE_FOREACH (endpoint, a) {
        bool found = false;
        VALUE_FOREACH (other, b)
            found |= value_equal(endpoint, other);
        if (!found)
            return false;
    }
    return true;
}

static bool same_map(const Value *a, const Value *b, const char *member) {
    const Value *x = value_path(a, "metadata", member, NULL), *y = value_path(b, "metadata", member, NULL);
    return value_len(x) == 0 ? value_len(y) == 0 : value_equal(x, y);
}

static bool is_as_wanted(const Value *slice, const Value *now) {
    return same_endpoints(value_get(slice, "endpoints"), value_get(now, "endpoints")) &&
           same_map(slice, now, "labels") && same_map(slice, now, "annotations") &&
           same_map(slice, now, "ownerReferences");
}

static int slice_create(MirrorSync *sync, Value *slice) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    if (object_is_deleting(sync->object))
        return 0;
    value_set(sync->arena, value_get(slice, "metadata"), "generateName",
              value_printf(sync->arena, "%s-", object_name(sync->object)));
    int r = client_create(sync->all->client, informer_resource(sync->all->slices), object_namespace(sync->object),
                          slice, &created, &err);
    if (r < 0)
        return err.code == 403 || err.code == 404 ? 0 : r;
    expectations_wrote(sync->all->expectations, sync->key, created);
    return 0;
}

static int slice_replace(MirrorSync *sync, const Object *old, Value *slice) {
    _cleanup_object_ Object *updated = NULL;
    value_set_str(sync->arena, value_get(slice, "metadata"), "name", object_name(old));
    int r = client_update(sync->all->client, informer_resource(sync->all->slices), object_namespace(old),
                          object_name(old), NULL, slice, &updated, NULL);
    if (r >= 0)
        expectations_wrote(sync->all->expectations, sync->key, updated);
    return r;
}

static int slice_delete(Mirror *all, const char *key, const Object *slice) {
    int r = client_delete(all->client, informer_resource(all->slices), object_namespace(slice), object_name(slice),
                          &(ClientDelete){.uid = object_uid(slice), .grace_seconds = -1}, NULL);
    if (r >= 0)
        expectations_deleted(all->expectations, key, slice);
    return r == -ENOENT ? 0 : r;
}

/* The slice of these ports and this family, else one to be used again (its family cannot change); taken out of those
 * that exist. NULL: none. */
static Object *take_slice(MirrorSync *sync, const Wanted *w, bool any_ports) {
    for (size_t i = 0; i < sync->existing.n; i++) {
        const Value *slice = object_value(sync->existing.items[i], sync->arena);
        if (!streq_null(value_get_str(slice, "addressType"), w->address_type) ||
            (!any_ports && !same_ports(value_get(slice, "ports"), w->ports)))
            continue;
        Object *taken = sync->existing.items[i];
        sync->existing.items[i] = sync->existing.items[--sync->existing.n];
        return taken;
    }
    return NULL;
}

static int write_wanted(MirrorSync *sync, const Wanted *w, bool any_ports, bool *ret_written) {
    _cleanup_object_ Object *old = take_slice(sync, w, any_ports);
    Value *now = new_slice(sync, w);
    *ret_written = old != NULL || any_ports;
    if (!old)
        return any_ports ? slice_create(sync, now) : 0;
    return !any_ports && is_as_wanted(object_value(old, sync->arena), now) ? 0 : slice_replace(sync, old, now);
}

/* First what has its slice already, then what takes over another or gets a new one; the rest goes. */
static int reconcile(MirrorSync *sync) {
    size_t n = 0;
    for (Wanted *w = sync->wanted; w; w = w->next)
        n++;
    bool *written = arena_alloc0(sync->arena, (n + 1) * sizeof *written);
    for (int pass = 0; pass < 2; pass++) {
        size_t i = 0;
        for (Wanted *w = sync->wanted; w; w = w->next, i++) {
            int r = written[i] ? 0 : write_wanted(sync, w, pass == 1, &written[i]);
            if (r < 0)
                return r;
        }
    }
    for (size_t i = 0; i < sync->existing.n; i++) {
        int r = slice_delete(sync->all, sync->key, sync->existing.items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the sync ---- */

static void list_mirrored(Mirror *all, Arena *arena, const KeyParts *parts, ClientList *ret) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    Value *map = value_object(arena);
    value_set_str(arena, map, SERVICE_NAME_LABEL, parts->name);
    value_set_str(arena, map, MANAGED_BY_LABEL, MANAGED_BY);
    selector = label_selector_from_map(map);
    informer_list(all->slices, parts->ns, selector, ret);
}

static int delete_mirrored(MirrorSync *sync) {
    int result = 0;
    for (size_t i = 0; i < sync->existing.n; i++) {
        int r = slice_delete(sync->all, sync->key, sync->existing.items[i]);
        if (r < 0)
            result = r;
    }
    if (result == 0)
        expectations_forget(sync->all->expectations, sync->key);
    return result;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Mirror *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    MirrorSync sync = {.all = all, .key = key, .arena = arena};
    _cleanup_object_ Object *endpoints = informer_lookup(all->endpoints, parts.ns, parts.name);
    _cleanup_object_ Object *service = informer_lookup(all->services, parts.ns, parts.name);
    bool mirrored = endpoints && service && !has_selector(service) && object_should_mirror(endpoints);
    if (mirrored && !expectations_satisfied(all->expectations, key)) {
        workqueue_add_after(all->queue, key, EXPECTATIONS_RETRY_NS);
        return 0;
    }
    list_mirrored(all, arena, &parts, &sync.existing);
    int r;
    if (mirrored) {
        sync.object = endpoints;
        sync.value = object_value(endpoints, arena);
        want(&sync);
        r = reconcile(&sync);
    } else
        r = delete_mirrored(&sync);
    client_list_done(&sync.existing);
    if (r < 0)
        log_debug("sync of %s: %s", key, strerror(-r));
    return r;
}

static void *init(Controller *controller) {
    Mirror *all = NEW0(Mirror);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "endpoint-slice-mirroring-controller");
    all->endpoints = controller_informer(controller, "", "v1", "endpoints");
    all->services = controller_informer(controller, "", "v1", "services");
    all->slices = controller_informer(controller, "discovery.k8s.io", "v1", "endpointslices");
    all->expectations = expectations_new(all->slices);
    all->queue = controller_queue(controller, "endpoint_slice_mirroring", 2, sync_key, all);
    informer_add_handler(all->endpoints, &(InformerHandler){endpoints_changed, endpoints_updated, endpoints_changed},
                         all);
    informer_add_handler(all->services, &(InformerHandler){service_changed, service_updated, service_changed}, all);
    informer_add_handler(all->slices, &(InformerHandler){slice_changed, slice_updated, slice_changed}, all);
    return all;
}

static void free_all(void *data) {
    expectations_free(((Mirror *)data)->expectations);
    free(data);
}

const ControllerRow controller_endpointslice_mirroring = {.name = "endpointslice-mirroring-controller",
                                                          .account = "endpointslicemirroring-controller",
                                                          .init = init,
                                                          .free = free_all};
