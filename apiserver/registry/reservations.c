#include "apiserver/registry/reservations.h"

#include "api/managed.h"
#include "apiserver/registry/checks.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

#define DEFAULT_RANGE "kubernetes" /* the ServiceCIDR of the settings */
#define ALREADY_ALLOCATED "provided IP is already allocated"
#define PORT_ALLOCATED "provided port is already allocated"
#define WRONG_NETWORK "the provided network does not match the current range"
/* The bands for addresses and ports that are asked for by number: min(max(least, size/step), most). */
#define IP_BAND_LEAST 16u
#define IP_BAND_MOST 256u
#define IP_BAND_STEP 16u
#define PORT_BAND_LEAST 16u
#define PORT_BAND_MOST 128u
#define PORT_BAND_STEP 32u

/* Node ports are reserved in objects that no API serves. */
static const Resource NODE_PORTS = {
    .group = "",
    .version = "v1",
    .plural = "rangeallocations",
    .singular = "rangeallocation",
    .kind = "RangeAllocation",
    .list_kind = "RangeAllocationList",
    .storage = &NODE_PORTS,
    .storage_prefix = "ranges/servicenodeports",
};

static const Resource *ip_row(void) {
    return resource_find("networking.k8s.io", "v1", "ipaddresses")->storage;
}

static Value *new_object(StrategyContext *context, const Resource *row, const char *name) {
    Arena *arena = context->arena;
    Value *object = value_object(arena), *meta;
    char uid[UUID_LEN + 1], time[RFC3339_MAX];
    value_set_str(arena, object, "apiVersion", resource_api_version(arena, row));
    value_set_str(arena, object, "kind", row->kind);
    meta = value_ensure_object(arena, object, "metadata");
    value_set_str(arena, meta, "name", name);
    value_set_str(arena, meta, "uid", random_uuid(uid));
    value_set_str(arena, meta, "creationTimestamp", rfc3339_format(context->now_ns, time));
    return object;
}

static Value *ip_object(StrategyContext *context, const Holder *holder, const char *name, bool v6) {
    Arena *arena = context->arena;
    Value *object = new_object(context, ip_row(), name), *meta = value_get(object, "metadata");
    Value *labels = value_ensure_object(arena, meta, "labels"), *parent;
    value_set_str(arena, labels, "ipaddress.kubernetes.io/ip-family", v6 ? "IPv6" : "IPv4");
    value_set_str(arena, labels, "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");
    parent = value_ensure_object(arena, value_ensure_object(arena, object, "spec"), "parentRef");
    value_set_str(arena, parent, "resource", "services");
    value_set_str(arena, parent, "namespace", holder->ns);
    value_set_str(arena, parent, "name", holder->name);
    ManagedInput input = {.schema = ip_row()->schema,
                          .api_version = "networking.k8s.io/v1",
                          .manager = "kube-apiserver",
                          .now_ns = context->now_ns};
    schema_normalize(arena, ip_row()->schema, object, NULL, NULL);
    managed_update(arena, &input, NULL, object);
    schema_as_stored(ip_row()->schema, object);
    return object;
}

static Value *port_object(StrategyContext *context, const Holder *holder, const char *name) {
    Value *object = new_object(context, &NODE_PORTS, name), *parent;
    parent = value_ensure_object(context->arena, value_ensure_object(context->arena, object, "spec"), "parentRef");
    value_set_str(context->arena, parent, "namespace", holder->ns);
    value_set_str(context->arena, parent, "name", holder->name);
    return object;
}

static bool held_by(StrategyContext *context, const Object *reservation, Holder *ret) {
    const Value *parent = value_path(object_value(reservation, context->arena), "spec", "parentRef", NULL);
    *ret = (Holder){.ns = text_at(parent, "namespace"), .name = text_at(parent, "name")};
    return *ret->name;
}

static bool service_has(const Value *service, const char *what) {
    const Value *spec = value_get(service, "spec"), *port;
    int64_t number;
    if (list_has(value_get(spec, "clusterIPs"), what))
        return true;
    if (str_to_int64(what, &number) < 0)
        return false;
    VALUE_FOREACH (port, value_get(spec, "ports"))
        if (value_get_int(port, "nodePort", 0) == number)
            return true;
    return value_get_int(spec, "healthCheckNodePort", 0) == number;
}

/* Left over from a crash between the reservation and the write of its service, or its release. */
static bool is_stale(StrategyContext *context, const Object *reservation) {
    const Resource *services = resource_find("", "v1", "services")->storage;
    _cleanup_object_ Object *service = NULL;
    Holder holder;
    if (context->now_ns - object_created_ns(reservation) < RESERVATION_GRACE_S * (int64_t)NS_PER_SEC)
        return false;
    if (!held_by(context, reservation, &holder))
        return false;
    int r = store_get(context->store, services, holder.ns, holder.name, &service);
    if (r < 0)
        return r == -ENOENT;
    return !service_has(object_value(service, context->arena), object_name(reservation));
}

/* -EEXIST: somebody has it. `reclaim`: what is left over is taken away first. */
static int reserve(StrategyContext *context, const Resource *row, const Value *object, bool reclaim) {
    _cleanup_object_ Object *made = object_from_value(row, object), *there = NULL;
    int r = store_create(context->store, made, NULL);
    if (r != -EEXIST || !reclaim)
        return r;
    if (store_get(context->store, row, "", object_name(made), &there) == 0) {
        if (!is_stale(context, there))
            return -EEXIST;
        store_delete(context->store, row, "", object_name(made), object_revision(there), NULL, NULL);
    }
    return store_create(context->store, made, NULL);
}

static void release(StrategyContext *context, const Resource *row, const Holder *holder, const char *name) {
    _cleanup_object_ Object *there = NULL;
    Holder now;
    if (context->dry_run || store_get(context->store, row, "", name, &there) < 0)
        return;
    if (held_by(context, there, &now) && streq(now.ns, holder->ns) && streq(now.name, holder->name))
        store_delete(context->store, row, "", name, object_revision(there), NULL, NULL);
}

static ReservationError failure(StrategyContext *context, int r, const char *taken) {
    return r == 0 ? NULL : r == -EEXIST ? taken : arena_printf(context->arena, "%s", strerror(-r));
}

static void add_range(StrategyContext *context, ServiceRanges *ranges, const IpRange *range) {
    for (size_t i = 0; i < ranges->n; i++)
        if (ranges->items[i].len == range->len && ip_compare(&ranges->items[i].base, &range->base) == 0)
            return;
    IpRange *more = arena_alloc(context->arena, (ranges->n + 1) * sizeof(*more));
    if (ranges->n)
        memcpy(more, ranges->items, ranges->n * sizeof(*more));
    more[ranges->n++] = *range;
    ranges->items = more;
}

/* A setting decides the family; it gives addresses until the default ServiceCIDR, which is made of it, does. */
static void add_setting(StrategyContext *context, ServiceRanges *ranges, const char *text, bool gives) {
    IpRange range;
    if (!ip_range_parse(text, &range))
        return;
    if (!ranges->v4 && !ranges->v6)
        ranges->default_v6 = range.v6;
    ranges->v4 |= !range.v6;
    ranges->v6 |= range.v6;
    if (gives)
        add_range(context, ranges, &range);
}

static bool is_there(const ObjectList *list, const char *name) {
    for (size_t i = 0; i < list->n; i++)
        if (streq(object_name(list->items[i]), name))
            return true;
    return false;
}

static bool range_is_ready(const Value *range) {
    const Value *condition;
    if (value_path(range, "metadata", "deletionTimestamp", NULL))
        return false;
    VALUE_FOREACH (condition, value_path(range, "status", "conditions", NULL))
        if (text_is(condition, "type", "Ready"))
            return text_is(condition, "status", "True");
    return true;
}

ServiceRanges service_ranges(StrategyContext *context) {
    ServiceRanges ranges = {0};
    ListQuery query = {.resource = resource_find("networking.k8s.io", "v1", "servicecidrs")->storage};
    _cleanup_object_list_ ObjectList list = {0};
    const Value *text;
    IpRange given;
    char **parts = str_split(context->arena, context->settings->service_cluster_ip_range, ',', NULL);
    bool listed = store_list(context->store, &query, &list, NULL) == 0;
    for (size_t i = 0; parts[i]; i++)
        add_setting(context, &ranges, parts[i], !listed || !is_there(&list, DEFAULT_RANGE));
    for (size_t i = 0; i < list.n; i++) {
        const Value *range = object_value(list.items[i], context->arena);
        if (!range_is_ready(range))
            continue;
        VALUE_FOREACH (text, value_path(range, "spec", "cidrs", NULL))
            if (ip_range_parse(str_or(value_str(text), ""), &given))
                add_range(context, &ranges, &given);
    }
    return ranges;
}

/* Addresses that may be given out: all but the network's own and, with IPv4, the broadcast address. */
static uint64_t range_size(const IpRange *range) {
    unsigned host_bits = (range->v6 ? 128 : 32) - range->len;
    uint64_t all = host_bits >= 63 ? INT64_MAX : 1ull << host_bits;
    uint64_t reserved = range->v6 ? 1 : 2;
    return all > reserved ? all - reserved : 0;
}

static uint64_t band_size(uint64_t all, uint64_t least, uint64_t step, uint64_t most) {
    return all <= least ? 0 : MIN(MAX(all / step, least), most);
}

/* The address `offset` after the first that may be given out. */
static Ip address_at(const IpRange *range, uint64_t offset) {
    Ip ip = range->base;
    uint64_t carry = offset + 1;
    for (int i = 15; i >= 0 && carry; i--) {
        carry += ip.bytes[i];
        ip.bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return ip;
}

/* Real allocators are looked for by the address; a dry run asks any of its family, which names its own range. */
static ReservationError out_of_range(StrategyContext *context, const ServiceRanges *ranges, const Ip *ip) {
    char name[IP_TEXT_MAX];
    for (size_t i = 0; context->dry_run && i < ranges->n; i++)
        if (ranges->items[i].v6 == ip->v6)
            return arena_printf(context->arena,
                                "the provided IP (%s) is not in the valid range. The range of valid IPs is %s",
                                ip_format(ip, name), ip_range_text(context->arena, &ranges->items[i]));
    return WRONG_NETWORK;
}

ReservationError ip_reserve(StrategyContext *context, const Holder *holder, const char *text) {
    ServiceRanges ranges = service_ranges(context);
    const IpRange *range = NULL;
    char name[IP_TEXT_MAX];
    Ip ip;
    if (!ip_parse(text, &ip))
        return arena_printf(context->arena, "failed to parse service IP %s", go_quoted(context->arena, text));
    for (size_t i = 0; i < ranges.n && !range; i++)
        if (ip_range_contains(&ranges.items[i], &ip))
            range = &ranges.items[i];
    if (!range || range_size(range) == 0)
        return out_of_range(context, &ranges, &ip);
    Ip first = address_at(range, 0), last = address_at(range, range_size(range) - 1);
    ip_format(&ip, name);
    if (ip_compare(&ip, &first) < 0 || ip_compare(&ip, &last) > 0)
        return out_of_range(context, &ranges, &ip);
    if (context->dry_run)
        return NULL;
    return failure(context, reserve(context, ip_row(), ip_object(context, holder, name, ip.v6), true),
                   ALREADY_ALLOCATED);
}

typedef struct Band {
    uint64_t first, size;
} Band;

/* One of `band`, from a random place on. 0, -EEXIST: all are taken. */
static int try_band(StrategyContext *context, const Holder *holder, const IpRange *range, Band band, bool reclaim,
                    char **ret) {
    uint64_t start = band.size ? random_below(band.size) : 0;
    for (uint64_t i = 0; i < band.size; i++) {
        Ip ip = address_at(range, band.first + (start + i) % band.size);
        _cleanup_object_ Object *there = NULL;
        char name[IP_TEXT_MAX];
        ip_format(&ip, name);
        if (!reclaim && store_get(context->store, ip_row(), "", name, &there) == 0)
            continue;
        int r = reserve(context, ip_row(), ip_object(context, holder, name, ip.v6), reclaim);
        if (r == 0)
            *ret = arena_strdup(context->arena, name);
        if (r != -EEXIST)
            return r;
    }
    return -EEXIST;
}

ReservationError ip_reserve_any(StrategyContext *context, const Holder *holder, bool v6, char **ret) {
    ServiceRanges ranges = service_ranges(context);
    for (int reclaim = 0; reclaim < 2; reclaim++)
        for (size_t i = 0; i < ranges.n; i++) {
            const IpRange *range = &ranges.items[i];
            char name[IP_TEXT_MAX];
            uint64_t size = range_size(range), all = size + (range->v6 ? 1 : 2);
            uint64_t low = MIN(band_size(all, IP_BAND_LEAST, IP_BAND_STEP, IP_BAND_MOST), size);
            if (range->v6 != v6 || size == 0)
                continue;
            if (context->dry_run) {
                /* As the reference: the network's own address, which is never given out. */
                *ret = arena_strdup(context->arena, ip_format(&range->base, name));
                return NULL;
            }
            int r = try_band(context, holder, range, (Band){low, size - low}, reclaim, ret);
            if (r == -EEXIST)
                r = try_band(context, holder, range, (Band){0, low}, reclaim, ret);
            if (r != -EEXIST)
                return failure(context, r, NULL);
        }
    return RESERVATION_FULL;
}

void ip_release(StrategyContext *context, const Holder *holder, const char *text) {
    char name[IP_TEXT_MAX];
    Ip ip;
    if (ip_parse(text, &ip))
        release(context, ip_row(), holder, ip_format(&ip, name));
}

static bool says_port(const Object *service, int64_t port) {
    char text[40];
    size_t n = (size_t)snprintf(text, sizeof text, "odePort\":%d", (int)port); /* nodePort, healthCheckNodePort */
    for (const char *at = object_json(service, NULL); (at = strstr(at, text)); at += n)
        if (at[n] == ',' || at[n] == '}')
            return true;
    return false;
}

/* kube-apiserver beside us on one store marks its ports in a map of its own: what services have is what both can see.
 */
static bool others_have_port(StrategyContext *context, const Holder *holder, int64_t port) {
    ListQuery query = {.resource = resource_find("", "v1", "services")->storage};
    _cleanup_object_list_ ObjectList list = {0};
    if (store_list(context->store, &query, &list, NULL) < 0)
        return false;
    for (size_t i = 0; i < list.n; i++) {
        const Object *service = list.items[i];
        if (!(streq(object_namespace(service), holder->ns) && streq(object_name(service), holder->name)) &&
            says_port(service, port))
            return true;
    }
    return false;
}

static int reserve_port(StrategyContext *context, const Holder *holder, int64_t port, bool reclaim) {
    _cleanup_object_ Object *there = NULL;
    const char *name = arena_printf(context->arena, "%d", (int)port);
    if (context->dry_run || !reclaim) {
        if (store_get(context->store, &NODE_PORTS, "", name, &there) == 0)
            return -EEXIST;
        if (context->dry_run)
            return 0;
    }
    int r = reserve(context, &NODE_PORTS, port_object(context, holder, name), reclaim);
    if (r == 0 && store_is_shared(context->store) && others_have_port(context, holder, port)) {
        release(context, &NODE_PORTS, holder, name);
        r = -EEXIST;
    }
    return r;
}

ReservationError port_reserve(StrategyContext *context, const Holder *holder, int64_t port) {
    uint16_t first = context->settings->node_port_first, last = context->settings->node_port_last;
    bool in_range = port >= first && port <= last;
    if (!in_range && !context->dry_run) /* as the reference: a dry run only asks whether the port is taken */
        return arena_printf(context->arena,
                            "provided port is not in the valid range. The range of valid ports is %u-%u", first, last);
    return failure(context, reserve_port(context, holder, port, true), PORT_ALLOCATED);
}

static int try_ports(StrategyContext *context, const Holder *holder, Band band, bool reclaim, int64_t *ret) {
    uint64_t start = band.size ? random_below(band.size) : 0;
    for (uint64_t i = 0; i < band.size; i++) {
        int64_t port = (int64_t)(band.first + (start + i) % band.size);
        int r = reserve_port(context, holder, port, reclaim);
        if (r == 0)
            *ret = port;
        if (r != -EEXIST)
            return r;
    }
    return -EEXIST;
}

ReservationError port_reserve_any(StrategyContext *context, const Holder *holder, int64_t *ret) {
    uint64_t first = context->settings->node_port_first, size = context->settings->node_port_last - first + 1;
    uint64_t low = band_size(size, PORT_BAND_LEAST, PORT_BAND_STEP, PORT_BAND_MOST);
    for (int reclaim = 0; reclaim < 2; reclaim++) {
        int r = try_ports(context, holder, (Band){first + low, size - low}, reclaim, ret);
        if (r == -EEXIST)
            r = try_ports(context, holder, (Band){first, low}, reclaim, ret);
        if (r != -EEXIST)
            return failure(context, r, NULL);
    }
    return RESERVATION_FULL;
}

void port_release(StrategyContext *context, const Holder *holder, int64_t port) {
    if (port > 0)
        release(context, &NODE_PORTS, holder, arena_printf(context->arena, "%d", (int)port));
}
