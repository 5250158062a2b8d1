#define LOG_COMPONENT "service-ips"
#include "apiserver/service_ip_repair.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/ip.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/workqueue.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define WORKERS 5 /* of each queue, as the reference */
#define COMPONENT "ipallocator-repair-controller"
#define FAMILY "ipaddress.kubernetes.io/ip-family"
#define MANAGED_BY "ipaddress.kubernetes.io/managed-by"
#define ALLOCATOR "ipallocator.k8s.io"
#define FIRST_LOOK "" /* the key of no object: all of them were looked at before it */

struct ServiceIpRepair {
    Client *client;
    Health *health;
    InformerSet *set;
    Informer *services, *addresses, *ranges;
    WorkQueue *service_queue, *address_queue, *start_queue;
    EventRecorder *events;
};

static const char *family_of(const Ip *ip) {
    return ip->v6 ? "IPv6" : "IPv4";
}

/* "namespace/name" of a Service. */
static void enqueue_service(Object *service, void *userdata) {
    ServiceIpRepair *repair = userdata;
    _cleanup_free_ char *key = xasprintf("%s/%s", object_namespace(service), object_name(service));
    workqueue_add(repair->service_queue, key);
}

static void service_updated(_unused_ Object *old, Object *service, void *userdata) {
    enqueue_service(service, userdata);
}

static bool is_allocated(const Object *address) {
    return streq_null(object_label(address, MANAGED_BY), ALLOCATOR);
}

static void enqueue_address(Object *address, void *userdata) {
    if (is_allocated(address))
        workqueue_add(((ServiceIpRepair *)userdata)->address_queue, object_name(address));
}

typedef struct Parent {
    const char *group, *resource, *ns, *name;
} Parent;

static Parent parent_of(const Object *address, Arena *arena) {
    const Value *ref = value_path(object_value(address, arena), "spec", "parentRef", NULL);
    return (Parent){str_or(value_get_str(ref, "group"), ""), str_or(value_get_str(ref, "resource"), ""),
                    str_or(value_get_str(ref, "namespace"), ""), str_or(value_get_str(ref, "name"), "")};
}

static bool is_service(const Parent *parent) {
    return !*parent->group && streq(parent->resource, "services");
}

static void enqueue_parent(ServiceIpRepair *repair, const Object *address) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Parent parent = parent_of(address, arena);
    if (is_service(&parent))
        workqueue_add(repair->service_queue, arena_printf(arena, "%s/%s", parent.ns, parent.name));
}

static void address_updated(Object *old, Object *address, void *userdata) {
    enqueue_parent(userdata, old);
    enqueue_parent(userdata, address);
    enqueue_address(address, userdata);
}

/* The Service that had it is given it again. */
static void address_gone(Object *address, void *userdata) {
    enqueue_parent(userdata, address);
}

/* ---- Services ---- */

static bool in_some_range(ServiceIpRepair *repair, Arena *arena, const Ip *ip) {
    _cleanup_client_list_ ClientList ranges = {0};
    const Value *text;
    IpRange range;
    informer_list(repair->ranges, NULL, NULL, &ranges);
    for (size_t i = 0; i < ranges.n; i++)
        VALUE_FOREACH (text, value_path(object_value(ranges.items[i], arena), "spec", "cidrs", NULL))
            if (ip_range_parse(str_or(value_str(text), ""), &range) && ip_range_contains(&range, ip))
                return true;
    return false;
}

static bool has_address(const Value *service, const char *text) {
    return list_has(value_path(service, "spec", "clusterIPs", NULL), text);
}

static int make(ServiceIpRepair *repair, Arena *arena, const Object *service, const char *name, const Ip *ip) {
    Value *v = value_object(arena), *meta = value_ensure_object(arena, v, "metadata"),
          *labels = value_ensure_object(arena, meta, "labels"),
          *parent = value_ensure_object(arena, value_ensure_object(arena, v, "spec"), "parentRef");
    value_set_str(arena, meta, "name", name);
    value_set_str(arena, labels, FAMILY, family_of(ip));
    value_set_str(arena, labels, MANAGED_BY, ALLOCATOR);
    value_set_str(arena, parent, "resource", "services");
    value_set_str(arena, parent, "namespace", object_namespace(service));
    value_set_str(arena, parent, "name", object_name(service));
    return client_create(repair->client, informer_resource(repair->addresses), NULL, v, NULL, NULL);
}

static int drop(ServiceIpRepair *repair, const Object *address) {
    ClientDelete options = {.uid = object_uid(address), .grace_seconds = -1};
    int r =
        client_delete(repair->client, informer_resource(repair->addresses), NULL, object_name(address), &options, NULL);
    return r == -ENOENT ? 0 : r;
}

static int make_again(ServiceIpRepair *repair, Arena *arena, const Object *service, const Object *address,
                      const Ip *ip) {
    int r = drop(repair, address);
    return r < 0 ? r : make(repair, arena, service, object_name(address), ip);
}

/* The address has its IPAddress: is it right? */
static int check_address(ServiceIpRepair *repair, Arena *arena, const Object *service, const Object *address,
                         const Ip *ip) {
    Parent parent = parent_of(address, arena);
    bool own = streq(parent.ns, object_namespace(service)) && streq(parent.name, object_name(service));
    _cleanup_object_ Object *other =
        is_service(&parent) && !own ? informer_lookup(repair->services, parent.ns, parent.name) : NULL;
    if (!is_service(&parent) || (!own && !other)) {
        event_record(repair->events, service, NULL, "Warning", "ClusterIPNotAllocated",
                     "the ClusterIP [%s]: %s for Service %s/%s has a wrong reference; repairing", family_of(ip),
                     object_name(address), object_namespace(service), object_name(service));
        return make_again(repair, arena, service, address, ip);
    }
    if (other && has_address(object_value(other, arena), object_name(address)))
        event_record(repair->events, service, NULL, "Warning", "ClusterIPAlreadyAllocated",
                     "Cluster IP [%s]:%s was assigned to multiple services; please recreate service", family_of(ip),
                     object_name(address));
    if (!streq_null(object_label(address, FAMILY), family_of(ip)) || !is_allocated(address))
        return make_again(repair, arena, service, address, ip);
    return 0;
}

static int sync_address_of(ServiceIpRepair *repair, Arena *arena, const Object *service, const char *text) {
    char name[IP_TEXT_MAX];
    Ip ip;
    if (!ip_parse(text, &ip)) {
        event_record(repair->events, service, NULL, "Warning", "ClusterIPNotValid",
                     "Cluster IP %s is not a valid IP; please recreate Service", text);
        return 0;
    }
    ip_format(&ip, name);
    if (!in_some_range(repair, arena, &ip)) {
        event_record(repair->events, service, NULL, "Warning", "ClusterIPOutOfRange",
                     "Cluster IP [%s]: %s is not within any configured Service CIDR; please recreate service",
                     family_of(&ip), name);
        return 0;
    }
    /* The cache of Services may be ahead of that of IPAddresses: the server knows. */
    _cleanup_object_ Object *address = informer_lookup(repair->addresses, NULL, name);
    int r = address ? 0 : client_get(repair->client, informer_resource(repair->addresses), NULL, name, &address, NULL);
    if (r == -ENOENT) {
        event_record(repair->events, service, NULL, "Warning", "ClusterIPNotAllocated",
                     "Cluster IP [%s]: %s is not allocated; repairing", family_of(&ip), name);
        return make(repair, arena, service, name, &ip);
    }
    return r < 0 ? r : check_address(repair, arena, service, address, &ip);
}

static bool has_cluster_ip(const Value *spec) {
    const char *ip = str_or(value_get_str(spec, "clusterIP"), "");
    return !streq_null(value_get_str(spec, "type"), "ExternalName") && *ip && !streq(ip, "None");
}

static int sync_service(const char *key, void *userdata) {
    ServiceIpRepair *repair = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *slash = strchr(key, '/');
    if (!slash)
        return 0;
    _cleanup_object_ Object *service =
        informer_lookup(repair->services, arena_strndup(arena, key, (size_t)(slash - key)), slash + 1);
    const Value *spec = service ? value_get(object_value(service, arena), "spec") : NULL, *text;
    if (!service || !has_cluster_ip(spec))
        return 0;
    int r = 0;
    VALUE_FOREACH (text, value_get(spec, "clusterIPs"))
        if (r == 0)
            r = sync_address_of(repair, arena, service, str_or(value_str(text), ""));
    if (r < 0 && r != -ENOENT && r != -EEXIST && r != -ESTALE)
        log_warn("the cluster IPs of %s: %s", key, strerror(-r));
    return r;
}

/* ---- IPAddresses ---- */

static int clean_up(ServiceIpRepair *repair, const Object *address, const char *reason, const char *format, ...)
    _printf_(4, 5);

static int clean_up(ServiceIpRepair *repair, const Object *address, const char *reason, const char *format, ...) {
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_info("%s", text);
    event_record(repair->events, address, NULL, "Warning", reason, "%s", text);
    return drop(repair, address);
}

/* It may belong to a Service that is being written: true, and it is looked at again then. */
static bool is_young(ServiceIpRepair *repair, const Object *address, int64_t seconds) {
    int64_t left = object_created_ns(address) + seconds * (int64_t)NS_PER_SEC - now_realtime_ns();
    if (left > 0)
        workqueue_add_after(repair->address_queue, object_name(address), (uint64_t)left);
    return left > 0;
}

static int sync_address(const char *name, void *userdata) {
    ServiceIpRepair *repair = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *address = informer_lookup(repair->addresses, NULL, name), *service = NULL;
    if (!address || !is_allocated(address))
        return 0;
    Parent parent = parent_of(address, arena);
    if (!is_service(&parent))
        return clean_up(repair, address, "IPAddressNotAllocated",
                        "IPAddress %s appears to have been modified, not referencing a Service: cleaning up", name);
    int r = client_get(repair->client, informer_resource(repair->services), parent.ns, parent.name, &service, NULL);
    if (r == -ENOENT)
        return is_young(repair, address, SERVICE_IP_GRACE_SECONDS)
                   ? 0
                   : clean_up(repair, address, "IPAddressNotAllocated",
                              "IPAddress: %s for Service %s/%s appears to have leaked: cleaning up", name, parent.ns,
                              parent.name);
    if (r < 0)
        return r;
    const Value *v = object_value(service, arena);
    if (has_address(v, name))
        return 0;
    bool external = streq_null(value_get_str(value_get(v, "spec"), "type"), "ExternalName");
    if (external && is_young(repair, address, SERVICE_IP_GRACE_SECONDS))
        return 0;
    if (object_created_ns(address) >= object_created_ns(service) &&
        is_young(repair, address, SERVICE_IP_RECENT_SECONDS))
        return 0;
    return clean_up(repair, address, "IPAddressWrongReference",
                    "IPAddress: %s for Service %s/%s has a wrong reference; cleaning up", name, parent.ns, parent.name);
}

/* ---- its life ---- */

/* Once the caches are filled, everything is looked at in one go. */
static int first_look(_unused_ const char *key, void *userdata) {
    ServiceIpRepair *repair = userdata;
    _cleanup_client_list_ ClientList services = {0};
    if (!informer_set_wait_synced(repair->set, SERVICE_IP_SYNC_SECONDS * NS_PER_SEC))
        return -EAGAIN;
    informer_list(repair->services, NULL, NULL, &services);
    int r = 0;
    for (size_t i = 0; i < services.n; i++) {
        _cleanup_free_ char *name =
            xasprintf("%s/%s", object_namespace(services.items[i]), object_name(services.items[i]));
        int one = sync_service(name, repair);
        r = one < 0 && one != -EEXIST ? one : r;
    }
    if (r < 0)
        return r;
    workqueue_release(repair->service_queue);
    workqueue_release(repair->address_queue);
    health_report(repair->health, HEALTH_SERVICE_IPS, true);
    return 0;
}

ServiceIpRepair *service_ip_repair_start(Client *client, Health *health) {
    ServiceIpRepair *repair = NEW0(ServiceIpRepair);
    repair->client = client;
    repair->health = health;
    repair->set = informer_set_new(client);
    repair->services = informer_get(repair->set, resource_find("", "v1", "services"), NULL, NULL);
    repair->addresses = informer_get(repair->set, resource_find("networking.k8s.io", "v1", "ipaddresses"), NULL, NULL);
    repair->ranges = informer_get(repair->set, resource_find("networking.k8s.io", "v1", "servicecidrs"), NULL, NULL);
    repair->events = event_recorder_new(client, COMPONENT, NULL);
    repair->service_queue = workqueue_new("service-ips", WORKERS, sync_service, repair);
    repair->address_queue = workqueue_new("ip-addresses", WORKERS, sync_address, repair);
    repair->start_queue = workqueue_new("service-ips-first", 1, first_look, repair);
    workqueue_hold(repair->service_queue);
    workqueue_hold(repair->address_queue);
    informer_add_handler(repair->services, &(InformerHandler){enqueue_service, service_updated, NULL}, repair);
    informer_add_handler(repair->addresses, &(InformerHandler){enqueue_address, address_updated, address_gone}, repair);
    informer_set_start(repair->set);
    workqueue_add(repair->start_queue, FIRST_LOOK);
    return repair;
}

void service_ip_repair_stop(ServiceIpRepair *repair) {
    if (!repair)
        return;
    workqueue_free(repair->start_queue);
    informer_set_stop(repair->set);
    workqueue_free(repair->service_queue);
    workqueue_free(repair->address_queue);
    event_recorder_free(repair->events);
    informer_set_free(repair->set);
    free(repair);
}
