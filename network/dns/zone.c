#include "network/dns/zone.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"
#include "network/services/view.h"

#define REVERSE_SUFFIX ".in-addr.arpa"
#define LABELS_MAX 128 /* a name has 127 at most */

/* Which Service an address belongs to, for PTR. */
typedef struct Addresses {
    char **ips;
    size_t n;
} Addresses;

struct DnsZone {
    ServiceIndex *index;
    char *domain, *server_ip;
    pthread_mutex_t lock;
    StrMap *by_ip;      /* address -> the Service's key */
    StrMap *by_service; /* key -> Addresses */
};

/* One question while it is answered. */
typedef struct Lookup {
    DnsZone *zone;
    Arena *arena;
    const DnsQuery *query;
    DnsReply *reply;
    bool exists; /* the name does, maybe without a record of this type */
    const char *alias;
} Lookup;

static bool asks(const Lookup *l, DnsType type) {
    return l->query->type == type || l->query->type == DNS_ANY;
}

/* ---- addresses to names ---- */

static void addresses_free(void *p) {
    Addresses *a = p;
    for (size_t i = 0; i < a->n; i++)
        free(a->ips[i]);
    free(a->ips);
    free(a);
}

static void addresses_add(Addresses *a, const char *ip) {
    a->ips = xreallocn(a->ips, a->n + 1, sizeof *a->ips);
    a->ips[a->n++] = xstrdup(ip);
}

static Addresses *addresses_of(Arena *arena, const ServiceRecord *record) {
    Addresses *a = NEW0(Addresses);
    ServiceView view;
    if (!record->service)
        return a;
    service_view(arena, record->service, &view);
    if (view.cluster_ip)
        addresses_add(a, view.cluster_ip);
    if (view.headless) {
        EndpointViews endpoints;
        service_endpoints(arena, record->slices, record->n_slices, NULL, &endpoints);
        for (size_t i = 0; i < endpoints.n; i++)
            if (endpoints.items[i].ready)
                addresses_add(a, endpoints.items[i].ip);
    }
    return a;
}

static void service_changed(const char *key, void *userdata) {
    DnsZone *zone = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_service_record_ ServiceRecord record = {0};
    service_index_get(zone->index, key, &record);
    Addresses *now = addresses_of(arena, &record);
    pthread_mutex_lock(&zone->lock);
    const Addresses *before = strmap_get(zone->by_service, key);
    for (size_t i = 0; before && i < before->n; i++) {
        const char *owner = strmap_get(zone->by_ip, before->ips[i]);
        if (owner && streq(owner, key))
            strmap_remove(zone->by_ip, before->ips[i]);
    }
    for (size_t i = 0; i < now->n; i++)
        strmap_put(zone->by_ip, now->ips[i], xstrdup(key));
    if (now->n)
        strmap_put(zone->by_service, key, now);
    else {
        strmap_remove(zone->by_service, key);
        addresses_free(now);
    }
    pthread_mutex_unlock(&zone->lock);
}

DnsZone *dns_zone_new(ServiceIndex *index, const char *domain, const char *server_ip) {
    DnsZone *zone = NEW0(DnsZone);
    zone->index = index;
    zone->domain = xstrdup(domain);
    zone->server_ip = xstrdup(server_ip);
    pthread_mutex_init(&zone->lock, NULL);
    zone->by_ip = strmap_new(free);
    zone->by_service = strmap_new(addresses_free);
    service_index_subscribe(index, service_changed, zone);
    return zone;
}

void dns_zone_free(DnsZone *zone) {
    if (!zone)
        return;
    strmap_free(zone->by_ip);
    strmap_free(zone->by_service);
    pthread_mutex_destroy(&zone->lock);
    free(zone->domain);
    free(zone->server_ip);
    free(zone);
}

/* ---- a Service ---- */

/* The label an endpoint is known by below its Service. */
static const char *endpoint_label(Arena *arena, const EndpointView *e) {
    if (!str_empty(e->hostname))
        return e->hostname;
    char *label = arena_strdup(arena, e->ip);
    for (char *p = label; *p; p++)
        if (*p == '.')
            *p = '-';
    return label;
}

static void address(Lookup *l, DnsSection section, const char *owner, const char *ip) {
    dns_reply_address(l->reply, section, owner, DNS_TTL, ip);
}

static const char *service_name(const Lookup *l, const ServiceView *view) {
    return arena_printf(l->arena, "%s.%s.svc.%s", view->name, view->ns, l->zone->domain);
}

/* All endpoints of a headless Service, each address once. */
static void headless_addresses(Lookup *l, const char *owner, const ServiceRecord *record, const char *host) {
    EndpointViews endpoints;
    service_endpoints(l->arena, record->slices, record->n_slices, NULL, &endpoints);
    for (size_t i = 0; i < endpoints.n; i++) {
        const EndpointView *e = &endpoints.items[i];
        if (!e->ready || (host && strcasecmp(endpoint_label(l->arena, e), host) != 0))
            continue;
        l->exists = true;
        if (asks(l, DNS_A))
            address(l, DNS_ANSWER, owner, e->ip);
    }
}

/* SRV of one port, or of every endpoint that has it when the Service is headless. `host`: of that endpoint alone. */
static void port_records(Lookup *l, const ServiceView *view, const ServiceRecord *record, const ServicePortView *port,
                         const char *host) {
    const char *name = service_name(l, view), *owner = l->query->name;
    if (!view->headless) {
        l->exists = true;
        if (asks(l, DNS_SRV))
            dns_reply_srv(l->reply, owner, DNS_TTL, 0, 100, port->port, name);
        return;
    }
    EndpointViews endpoints;
    service_endpoints(l->arena, record->slices, record->n_slices, port, &endpoints);
    size_t n = 0;
    for (size_t i = 0; i < endpoints.n; i++)
        n += endpoints.items[i].ready;
    for (size_t i = 0; i < endpoints.n; i++) {
        const EndpointView *e = &endpoints.items[i];
        const char *label = endpoint_label(l->arena, e);
        if (!e->ready || (host && strcasecmp(label, host) != 0))
            continue;
        l->exists = true;
        if (asks(l, DNS_SRV)) /* the weights of all add up to 100, as CoreDNS shares them */
            dns_reply_srv(l->reply, owner, DNS_TTL, 0, (uint16_t)MAX(100 / n, (size_t)1), e->port,
                          arena_printf(l->arena, "%s.%s", label, name));
    }
}

/* The addresses of what SRV records named. */
static void additional_addresses(Lookup *l, const ServiceView *view, const ServiceRecord *record) {
    const char *name = service_name(l, view);
    if (!asks(l, DNS_SRV) || !l->reply->counts[DNS_ANSWER])
        return;
    if (!view->headless) {
        address(l, DNS_ADDITIONAL, name, view->cluster_ip);
        return;
    }
    EndpointViews endpoints;
    service_endpoints(l->arena, record->slices, record->n_slices, NULL, &endpoints);
    for (size_t i = 0; i < endpoints.n; i++)
        if (endpoints.items[i].ready)
            address(l, DNS_ADDITIONAL,
                    arena_printf(l->arena, "%s.%s", endpoint_label(l->arena, &endpoints.items[i]), name),
                    endpoints.items[i].ip);
}

static void all_ports(Lookup *l, const ServiceView *view, const ServiceRecord *record, const char *host) {
    for (size_t i = 0; l->query->type == DNS_SRV && i < view->n_ports; i++)
        port_records(l, view, record, &view->ports[i], host);
}

/* `below`: the labels before the Service's name. */
static void service_records(Lookup *l, const ServiceView *view, const ServiceRecord *record, char **below,
                            size_t n_below) {
    const char *owner = l->query->name;
    if (view->external_name) {
        if (n_below)
            return;
        l->exists = true;
        char *target = arena_strdup(l->arena, view->external_name);
        size_t n = strlen(target);
        if (n && target[n - 1] == '.')
            target[n - 1] = 0;
        dns_reply_name(l->reply, DNS_ANSWER, owner, DNS_CNAME, DNS_TTL, target);
        if (l->query->type == DNS_A || l->query->type == DNS_AAAA)
            l->alias = target;
    } else if (!view->headless && !view->cluster_ip)
        return;
    else if (n_below == 2 && below[0][0] == '_' && below[1][0] == '_') {
        for (size_t i = 0; i < view->n_ports; i++)
            if (streq(view->ports[i].name, below[0] + 1) && streq(view->ports[i].protocol, below[1] + 1))
                port_records(l, view, record, &view->ports[i], NULL);
    } else if (n_below == 0) {
        if (view->headless)
            headless_addresses(l, owner, record, NULL);
        else {
            l->exists = true;
            if (asks(l, DNS_A))
                address(l, DNS_ANSWER, owner, view->cluster_ip);
        }
        all_ports(l, view, record, NULL);
    } else if (n_below == 1) {
        headless_addresses(l, owner, record, below[0]);
        if (l->exists && view->headless)
            all_ports(l, view, record, below[0]);
    }
    additional_addresses(l, view, record);
}

static void has_namespace(const char *key, void *userdata) {
    const char **wanted = userdata; /* the prefix; NULL once found */
    if (*wanted && str_has_prefix(key, *wanted))
        *wanted = NULL;
}

/* NS.svc is there, empty, while it has Services. */
static void namespace_records(Lookup *l, const char *ns) {
    const char *wanted = arena_printf(l->arena, "%s/", ns);
    service_index_keys(l->zone->index, has_namespace, &wanted);
    l->exists = !wanted;
}

static void svc_records(Lookup *l, char **labels, size_t n) {
    if (n == 0)
        l->exists = true;
    else if (n == 1)
        namespace_records(l, labels[0]);
    else {
        _cleanup_service_record_ ServiceRecord record = {0};
        ServiceView view;
        const char *key = arena_printf(l->arena, "%s/%s", labels[n - 1], labels[n - 2]);
        service_index_get(l->zone->index, key, &record);
        if (!record.service)
            return;
        service_view(l->arena, record.service, &view);
        service_records(l, &view, &record, labels, n - 2);
    }
}

/* ---- pods, the zone itself, addresses ---- */

static void pod_records(Lookup *l, char **labels, size_t n) {
    if (n != 2) {
        l->exists = n == 0;
        return;
    }
    struct in_addr parsed;
    for (char *p = labels[0]; *p; p++)
        if (*p == '-')
            *p = '.';
    if (inet_pton(AF_INET, labels[0], &parsed) != 1)
        return;
    l->exists = true;
    if (asks(l, DNS_A))
        address(l, DNS_ANSWER, l->query->name, labels[0]);
}

static void soa(const Lookup *l, DnsSection section, uint32_t ttl) {
    const char *domain = l->zone->domain;
    dns_reply_soa(l->reply, section, domain, ttl, arena_printf(l->arena, "ns.dns.%s", domain),
                  arena_printf(l->arena, "hostmaster.%s", domain), (uint32_t)(now_realtime_ns() / (int64_t)NS_PER_SEC));
}

static void apex_records(Lookup *l) {
    const char *domain = l->zone->domain, *server = arena_printf(l->arena, "ns.dns.%s", domain);
    l->exists = true;
    if (asks(l, DNS_SOA))
        soa(l, DNS_ANSWER, DNS_TTL);
    if (asks(l, DNS_NS)) {
        dns_reply_name(l->reply, DNS_ANSWER, domain, DNS_NS, DNS_TTL, server);
        address(l, DNS_ADDITIONAL, server, l->zone->server_ip);
    }
}

static void zone_records(Lookup *l, char **labels, size_t n) {
    if (n == 0)
        apex_records(l);
    else if (streq(labels[n - 1], "svc"))
        svc_records(l, labels, n - 1);
    else if (streq(labels[n - 1], "pod"))
        pod_records(l, labels, n - 1);
    else if (n == 1 && streq(labels[0], "dns-version")) {
        l->exists = true;
        if (asks(l, DNS_TXT))
            dns_reply_text(l->reply, l->query->name, DNS_TTL, DNS_SCHEMA_VERSION);
    } else if (streq(labels[n - 1], "dns") && (n == 1 || (n == 2 && streq(labels[0], "ns")))) {
        l->exists = true;
        if (n == 2 && asks(l, DNS_A))
            address(l, DNS_ANSWER, l->query->name, l->zone->server_ip);
    }
}

/* The name of an endpoint of a headless Service, or of the Service. */
static const char *name_of_address(Lookup *l, const char *ip) {
    _cleanup_service_record_ ServiceRecord record = {0};
    ServiceView view;
    EndpointViews endpoints;
    pthread_mutex_lock(&l->zone->lock);
    const char *key = arena_strdup(l->arena, strmap_get(l->zone->by_ip, ip));
    pthread_mutex_unlock(&l->zone->lock);
    if (!key)
        return NULL;
    service_index_get(l->zone->index, key, &record);
    if (!record.service)
        return NULL;
    service_view(l->arena, record.service, &view);
    if (!view.headless)
        return service_name(l, &view);
    service_endpoints(l->arena, record.slices, record.n_slices, NULL, &endpoints);
    for (size_t i = 0; i < endpoints.n; i++)
        if (streq(endpoints.items[i].ip, ip))
            return arena_printf(l->arena, "%s.%s", endpoint_label(l->arena, &endpoints.items[i]),
                                service_name(l, &view));
    return NULL;
}

/* False: an address that is not of the cluster, so others are asked. */
static bool reverse_records(Lookup *l, const char *name) {
    unsigned b[4];
    char ip[INET_ADDRSTRLEN], rest;
    if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arp%c", &b[3], &b[2], &b[1], &b[0], &rest) != 5 || rest != 'a' ||
        b[0] > 255 || b[1] > 255 || b[2] > 255 || b[3] > 255)
        return false;
    snprintf(ip, sizeof ip, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    const char *found = name_of_address(l, ip);
    if (!found)
        return false;
    l->exists = true;
    if (asks(l, DNS_PTR))
        dns_reply_name(l->reply, DNS_ANSWER, name, DNS_PTR, DNS_TTL, found);
    return true;
}

/* The labels before the zone's domain; -1: the name is not in the zone. */
static int split(const DnsZone *zone, char *name, char *labels[LABELS_MAX]) {
    size_t n = strlen(name), suffix = strlen(zone->domain);
    int count = 0;
    if (n < suffix || !streq(name + n - suffix, zone->domain) || (n > suffix && name[n - suffix - 1] != '.'))
        return -1;
    name[n == suffix ? 0 : n - suffix - 1] = 0;
    char *save = NULL;
    for (char *label = strtok_r(name, ".", &save); label; label = strtok_r(NULL, ".", &save)) {
        if (count == LABELS_MAX)
            return -1;
        labels[count++] = label;
    }
    return count;
}

/* Follows an alias that leads back into the zone, with records owned by each name on the way. */
static DnsOutcome follow(Lookup *l, char ret_alias[DNS_NAME_TEXT]) {
    DnsQuery next = *l->query;
    for (int hop = 0; l->alias && hop < DNS_CHAIN_MAX; hop++) {
        char *labels[LABELS_MAX];
        const char *alias = l->alias;
        if (strlen(alias) >= DNS_NAME_TEXT)
            return DNS_DONE;
        for (size_t i = 0; i <= strlen(alias); i++)
            next.name[i] = alias[i] >= 'A' && alias[i] <= 'Z' ? (char)(alias[i] | 0x20) : alias[i];
        int n = split(l->zone, arena_strdup(l->arena, next.name), labels);
        if (n < 0) {
            memcpy(ret_alias, next.name, DNS_NAME_TEXT);
            return DNS_CHASE;
        }
        l->alias = NULL;
        const DnsQuery *asked = l->query;
        l->query = &next;
        zone_records(l, labels, (size_t)n);
        l->query = asked;
    }
    return DNS_DONE;
}

DnsOutcome dns_zone_answer(DnsZone *zone, const DnsQuery *query, DnsReply *reply, DnsCode *ret_code,
                           char ret_alias[DNS_NAME_TEXT]) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Lookup l = {.zone = zone, .arena = arena, .query = query, .reply = reply};
    char *labels[LABELS_MAX];
    if (str_has_suffix(query->name, REVERSE_SUFFIX)) {
        *ret_code = DNS_NOERROR;
        return reverse_records(&l, query->name) ? DNS_DONE : DNS_FORWARD;
    }
    int n = split(zone, arena_strdup(arena, query->name), labels);
    if (n < 0)
        return DNS_FORWARD;
    if (!service_index_synced(zone->index)) { /* nobody shall remember that a name is not there */
        *ret_code = DNS_SERVFAIL;
        return DNS_DONE;
    }
    zone_records(&l, labels, (size_t)n);
    *ret_code = l.exists ? DNS_NOERROR : DNS_NXDOMAIN;
    DnsOutcome outcome = follow(&l, ret_alias);
    if (outcome == DNS_DONE && !reply->counts[DNS_ANSWER] && !reply->truncated)
        soa(&l, DNS_AUTHORITY, DNS_NEGATIVE_TTL);
    return outcome;
}
