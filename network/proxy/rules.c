#include "network/proxy/rules.h"

#include "base/str.h"

#include <stdio.h>

#define MASQUERADE "mark set mark or " PROXY_MASQUERADE_MARK

/* The beginnings of the names that Services make. */
static const char *const PREFIXES[] = {"service-", "local-", "external-", "firewall-", "endpoint-", "affinity-"};

typedef struct Endpoints {
    const EndpointView **items;
    size_t n;
} Endpoints;

/* One port of a Service while its rules are written. */
typedef struct PortRules {
    Arena *arena;
    const ProxySettings *settings;
    const ServiceView *service;
    const ServicePortView *port;
    RuleList *out;
    Endpoints cluster, local, reachable; /* by policy; and all that either leads to */
    bool any;                            /* there is an endpoint somewhere */
    bool any_internal, any_external;     /* for each kind of traffic */
    bool uses_cluster, uses_local;
    const char *cluster_chain, *local_chain, *external_chain, *firewall_chain;
} PortRules;

/* FNV-1a: names must be the same after a restart, whatever the process's hash seed. */
static uint64_t name_hash(const char *text) {
    uint64_t h = 0xcbf29ce484222325ull;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
    return h;
}

/* PREFIX HASH "-" and as much of the text as fits. */
static const char *make_name(Arena *arena, const char *prefix, const char *text) {
    char *name = arena_printf(arena, "%s%016llx-%s", prefix, (unsigned long long)name_hash(text), text);
    if (strlen(name) > PROXY_NAME_MAX)
        name[PROXY_NAME_MAX] = 0;
    return name;
}

static const char *port_text(const PortRules *p) {
    return arena_printf(p->arena, "%s/%s/%s/%s", p->service->ns, p->service->name, p->port->protocol, p->port->name);
}

static const char *endpoint_name(const PortRules *p, const EndpointView *e, const char *prefix) {
    return make_name(p->arena, prefix,
                     arena_printf(p->arena, "%s__%s/%u%s", port_text(p), e->ip, e->port,
                                  streq(prefix, "affinity-")
                                      ? arena_printf(p->arena, "/%lld", (long long)p->service->affinity_seconds)
                                      : ""));
}

bool proxy_name_is_service(const char *name) {
    for (size_t i = 0; i < ELEMENTSOF(PREFIXES); i++) {
        size_t n = strlen(PREFIXES[i]);
        if (strncmp(name, PREFIXES[i], n) == 0 && strspn(name + n, "0123456789abcdef") == 16 && name[n + 16] == '-')
            return true;
    }
    return false;
}

static void add(const PortRules *p, RuleKind kind, const char *name, const char *key, const char *text) {
    RuleList *l = p->out;
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].kind == kind && streq(l->items[i].name, name) && streq_null(l->items[i].key, key))
            return;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        Rule *items = arena_alloc0(p->arena, cap * sizeof *items);
        if (l->n)
            memcpy(items, l->items, l->n * sizeof *items);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = (Rule){kind, name, key, text};
}

static void add_goto(const PortRules *p, const char *map, const char *key, const char *target) {
    add(p, RULE_ELEMENT, map, key, arena_printf(p->arena, " : goto %s", target));
}

/* ---- which endpoints, as the reference's topology.go says ---- */

typedef enum Topology { TOPOLOGY_NONE, TOPOLOGY_NODE, TOPOLOGY_ZONE } Topology;

/* Hints count only when every ready endpoint has one and some endpoint is hinted for us. */
static Topology topology_of(const ProxySettings *settings, const EndpointViews *all) {
    bool ready = false, node_hints = true, for_node = false, zone_hints = true, for_zone = false;
    for (size_t i = 0; i < all->n; i++) {
        const EndpointView *e = &all->items[i];
        if (!e->ready)
            continue;
        ready = true;
        node_hints = node_hints && e->node_hints[0];
        for_node = for_node || str_in(settings->node_name, e->node_hints);
        zone_hints = zone_hints && e->zone_hints[0];
        for_zone = for_zone || str_in(settings->zone, e->zone_hints);
    }
    return !ready                     ? TOPOLOGY_NONE
           : (node_hints && for_node) ? TOPOLOGY_NODE
           : (zone_hints && for_zone) ? TOPOLOGY_ZONE
                                      : TOPOLOGY_NONE;
}

static bool is_local(const ProxySettings *settings, const EndpointView *e) {
    return e->node && streq(e->node, settings->node_name);
}

typedef struct Wanted {
    const ProxySettings *settings;
    bool local;       /* on this node only */
    bool terminating; /* those that end but still serve, instead of the ready ones */
    Topology topology;
} Wanted;

static bool is_wanted(const Wanted *w, const EndpointView *e) {
    if (w->local && !is_local(w->settings, e))
        return false;
    if (w->terminating)
        return e->serving && e->terminating;
    return e->ready && (w->topology == TOPOLOGY_NONE ||
                        (w->topology == TOPOLOGY_NODE && str_in(w->settings->node_name, e->node_hints)) ||
                        (w->topology == TOPOLOGY_ZONE && str_in(w->settings->zone, e->zone_hints)));
}

static Endpoints choose(Arena *arena, const EndpointViews *all, Wanted wanted) {
    Endpoints out = {.items = arena_alloc0(arena, (all->n + 1) * sizeof *out.items)};
    for (int round = 0; round < 2 && !out.n; round++) {
        wanted.terminating = round == 1; /* better than nothing */
        for (size_t i = 0; i < all->n; i++)
            if (is_wanted(&wanted, &all->items[i]))
                out.items[out.n++] = &all->items[i];
    }
    return out;
}

static Endpoints join(Arena *arena, const Endpoints *a, const Endpoints *b) {
    Endpoints out = {.items = arena_alloc0(arena, (a->n + b->n + 1) * sizeof *out.items)};
    for (size_t i = 0; i < a->n; i++)
        out.items[out.n++] = a->items[i];
    for (size_t i = 0; i < b->n; i++) {
        bool have = false;
        for (size_t k = 0; k < a->n; k++)
            have = have || a->items[k] == b->items[i];
        if (!have)
            out.items[out.n++] = b->items[i];
    }
    return out;
}

/* The policies decide which lists are asked for; `any` counts endpoints on other nodes too. */
static void categorize(PortRules *p, const EndpointViews *all) {
    const ServiceView *s = p->service;
    bool external = service_is_external(s, p->port), use_cluster = !s->internal_local || external,
         use_local = s->internal_local || (s->external_local && external);
    if (use_cluster)
        p->cluster =
            choose(p->arena, all, (Wanted){.settings = p->settings, .topology = topology_of(p->settings, all)});
    if (use_local)
        p->local = choose(p->arena, all, (Wanted){.settings = p->settings, .local = true});
    p->reachable = join(p->arena, &p->cluster, &p->local);
    p->any = p->cluster.n > 0;
    for (size_t i = 0; use_local && i < all->n; i++)
        p->any = p->any || all->items[i].ready || (all->items[i].serving && all->items[i].terminating);
    p->uses_cluster = p->cluster.n > 0;
    p->uses_local = p->local.n > 0;
    p->any_internal = p->any && (!s->internal_local || p->local.n);
    p->any_external = p->any && (!s->external_local || p->local.n);
}

/* ---- chains ---- */

/* Without affinity one rule does it all: a random endpoint, and the packet goes there. */
static const char *balance(const PortRules *p, const Endpoints *to) {
    Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_printf(&text, "meta l4proto %s dnat ip addr . port to numgen random mod %zu map { ", p->port->protocol, to->n);
    for (size_t i = 0; i < to->n; i++)
        buf_printf(&text, "%s%zu : %s . %u", i ? ", " : "", i, to->items[i]->ip, to->items[i]->port);
    buf_puts(&text, " }\n");
    const char *out = arena_strdup(p->arena, text.data);
    buf_done(&text);
    return out;
}

/* With affinity: to the endpoint that remembers the client, or to a random one's chain, which will. */
static const char *balance_sticky(const PortRules *p, const Endpoints *to) {
    Buf text = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < to->n; i++)
        buf_printf(&text, "ip saddr @%s goto %s\n", endpoint_name(p, to->items[i], "affinity-"),
                   endpoint_name(p, to->items[i], "endpoint-"));
    buf_printf(&text, "numgen random mod %zu vmap { ", to->n);
    for (size_t i = 0; i < to->n; i++)
        buf_printf(&text, "%s%zu : goto %s", i ? ", " : "", i, endpoint_name(p, to->items[i], "endpoint-"));
    buf_puts(&text, " }\n");
    const char *out = arena_strdup(p->arena, text.data);
    buf_done(&text);
    return out;
}

static void endpoint_chains(const PortRules *p) {
    for (size_t i = 0; i < p->reachable.n; i++) {
        const EndpointView *e = p->reachable.items[i];
        const char *set = endpoint_name(p, e, "affinity-");
        add(p, RULE_SET, set, NULL,
            arena_printf(p->arena, "type ipv4_addr ; flags dynamic,timeout ; timeout %llds ;",
                         (long long)p->service->affinity_seconds));
        add(p, RULE_CHAIN, endpoint_name(p, e, "endpoint-"), NULL,
            arena_printf(p->arena, "update @%s { ip saddr }\nmeta l4proto %s dnat to %s:%u\n", set, p->port->protocol,
                         e->ip, e->port));
    }
}

/* What is bound for an address outside the cluster's own: with the policy Local the source is kept, but for what starts
 * here, which may take any endpoint. */
static const char *external_text(const PortRules *p) {
    const char *cidr = p->settings->cluster_cidr, *text = "";
    if (!p->service->external_local)
        text = MASQUERADE "\n";
    else if (p->uses_cluster) {
        if (cidr)
            text = arena_printf(p->arena, "ip saddr %s goto %s comment \"short-circuit pod traffic\"\n", cidr,
                                p->cluster_chain);
        text = arena_printf(p->arena,
                            "%sfib saddr type local " MASQUERADE
                            " comment \"masquerade local traffic\"\nfib saddr type local goto %s comment "
                            "\"short-circuit local traffic\"\n",
                            text, p->cluster_chain);
    }
    if (p->any_external)
        text =
            arena_printf(p->arena, "%sgoto %s\n", text, p->service->external_local ? p->local_chain : p->cluster_chain);
    return text;
}

static bool range_holds(const char *range, const char *ip) {
    unsigned a[5], b[4];
    if (sscanf(range, "%u.%u.%u.%u/%u", &a[0], &a[1], &a[2], &a[3], &a[4]) != 5 ||
        sscanf(ip, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]) != 4)
        return false;
    uint32_t x = a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3], y = b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
    return a[4] == 0 || ((x ^ y) >> (32 - MIN(a[4], 32u))) == 0;
}

/* A node asking the load balancer's address has that address as its own source where it is a local one. */
static void firewall_chain(const PortRules *p) {
    const ServiceView *s = p->service;
    if (!s->ingress_ips[0] || !s->source_ranges[0])
        return;
    const char *sources = s->source_ranges[0];
    bool from_node = !str_empty(p->settings->node_ip) && range_holds(sources, p->settings->node_ip);
    for (size_t i = 1; s->source_ranges[i]; i++) {
        sources = arena_printf(p->arena, "%s, %s", sources, s->source_ranges[i]);
        from_node =
            from_node || (!str_empty(p->settings->node_ip) && range_holds(s->source_ranges[i], p->settings->node_ip));
    }
    for (size_t i = 0; from_node && s->ingress_ips[i]; i++)
        sources = arena_printf(p->arena, "%s, %s", sources, s->ingress_ips[i]);
    add(p, RULE_CHAIN, p->firewall_chain, NULL, arena_printf(p->arena, "ip saddr != { %s } drop\n", sources));
    for (size_t i = 0; s->ingress_ips[i]; i++)
        add_goto(p, "firewall-ips",
                 arena_printf(p->arena, "%s . %s . %u", s->ingress_ips[i], p->port->protocol, p->port->port),
                 p->firewall_chain);
}

static void chains(const PortRules *p) {
    bool sticky = p->service->affinity_seconds > 0;
    if (p->uses_cluster)
        add(p, RULE_CHAIN, p->cluster_chain, NULL, sticky ? balance_sticky(p, &p->cluster) : balance(p, &p->cluster));
    if (p->uses_local)
        add(p, RULE_CHAIN, p->local_chain, NULL, sticky ? balance_sticky(p, &p->local) : balance(p, &p->local));
    if (sticky)
        endpoint_chains(p);
    if (p->any && service_is_external(p->service, p->port))
        add(p, RULE_CHAIN, p->external_chain, NULL, external_text(p));
    firewall_chain(p);
}

/* ---- elements ---- */

/* Without any endpoint the client is told at once; without one that the policy allows here, packets are dropped so that
 * a load balancer's retry may find a node that has one. */
static const char *refusal(const PortRules *p) {
    return p->any ? " : drop" : " : goto reject-chain";
}

static void external_address(const PortRules *p, const char *ip) {
    const char *key = arena_printf(p->arena, "%s . %s . %u", ip, p->port->protocol, p->port->port);
    if (p->any)
        add_goto(p, "service-ips", key, p->external_chain);
    if (!p->any_external)
        add(p, RULE_ELEMENT, "no-endpoint-services", key, refusal(p));
}

static void elements(const PortRules *p) {
    const ServiceView *s = p->service;
    const char *key = arena_printf(p->arena, "%s . %s . %u", s->cluster_ip, p->port->protocol, p->port->port),
               *node_key = arena_printf(p->arena, "%s . %u", p->port->protocol, p->port->node_port);
    add(p, RULE_ELEMENT, "cluster-ips", s->cluster_ip, "");
    if (p->any_internal)
        add_goto(p, "service-ips", key, s->internal_local ? p->local_chain : p->cluster_chain);
    else
        add(p, RULE_ELEMENT, "no-endpoint-services", key, refusal(p));
    for (size_t i = 0; s->external_ips[i]; i++)
        external_address(p, s->external_ips[i]);
    for (size_t i = 0; s->ingress_ips[i]; i++)
        external_address(p, s->ingress_ips[i]);
    if (p->port->node_port && p->any)
        add_goto(p, "service-nodeports", node_key, p->external_chain);
    if (p->port->node_port && !p->any_external)
        add(p, RULE_ELEMENT, "no-endpoint-nodeports", node_key, refusal(p));
    for (size_t i = 0; i < p->reachable.n; i++) {
        const EndpointView *e = p->reachable.items[i];
        if (is_local(p->settings, e))
            add(p, RULE_ELEMENT, "hairpin-connections",
                arena_printf(p->arena, "%s . %s . %s . %u", e->ip, e->ip, p->port->protocol, e->port), "");
    }
}

void service_rules(Arena *arena, const ProxySettings *settings, const ServiceView *service, Object *const *slices,
                   size_t n_slices, RuleList *ret) {
    if (!service->cluster_ip || service->other_proxy)
        return;
    for (size_t i = 0; i < service->n_ports; i++) {
        PortRules p = {
            .arena = arena, .settings = settings, .service = service, .port = &service->ports[i], .out = ret};
        EndpointViews all;
        const char *text = port_text(&p);
        p.cluster_chain = make_name(arena, "service-", text);
        p.local_chain = make_name(arena, "local-", text);
        p.external_chain = make_name(arena, "external-", text);
        p.firewall_chain = make_name(arena, "firewall-", text);
        service_endpoints(arena, slices, n_slices, p.port, &all);
        categorize(&p, &all);
        chains(&p);
        elements(&p);
    }
}

size_t service_local_ready(Arena *arena, const ProxySettings *settings, const ServiceView *service,
                           Object *const *slices, size_t n_slices) {
    const char **seen = NULL;
    size_t n = 0;
    for (size_t i = 0; i < service->n_ports; i++) {
        EndpointViews all;
        service_endpoints(arena, slices, n_slices, &service->ports[i], &all);
        const char **more = arena_alloc0(arena, (n + all.n + 1) * sizeof *more);
        if (n)
            memcpy(more, seen, n * sizeof *more);
        seen = more;
        for (size_t k = 0; k < all.n; k++)
            if (all.items[k].ready && is_local(settings, &all.items[k]) && !str_in(all.items[k].ip, seen))
                seen[n++] = all.items[k].ip;
    }
    return n;
}
