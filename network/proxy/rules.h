/* What one Service asks of the node's packet filter, as the reference's nftables proxy arranges it (KEP-3866): maps
 * from (address, protocol, port) to chains, a chain for each policy that is in use, a random choice among endpoints, a
 * set of clients for each endpoint of a Service with session affinity. Pure: the caller compares with what the kernel
 * has. */
#pragma once

#include "base/buf.h"
#include "network/services/view.h"

#define PROXY_TABLE_MAX 64
/* The bit that says: rewrite the source on the way out. The same as the reference's --iptables-masquerade-bit. */
#define PROXY_MASQUERADE_MARK "0x4000"
#define PROXY_NAME_MAX 128 /* of a chain or set, in bytes; the kernel takes 255 */

typedef struct ProxySettings { /* addresses have been checked */
    const char *table;         /* the nftables table (family ip): letters, digits, '-' and '_' */
    const char *node_name;
    const char *zone;         /* of the node; "" when unknown */
    const char *node_ip;      /* NodePorts are served there */
    const char *cluster_cidr; /* what comes from there comes from pods; NULL: unknown */
    const char *service_cidr; /* cluster IPs; NULL: unknown */
    /* Pods of one bridge answer each other without passing the filter: replies of a Service come back through the node
     * only if the source is rewritten. */
    bool masquerade_bridged;
} ProxySettings;

typedef enum RuleKind {
    RULE_CHAIN,   /* name; text: its rules, one a line */
    RULE_SET,     /* name; text: what stands in its braces */
    RULE_ELEMENT, /* name of a set or map; key; text: " : verdict", "" for a set */
} RuleKind;

typedef struct Rule {
    RuleKind kind;
    const char *name, *key, *text; /* key NULL but for elements */
} Rule;

typedef struct RuleList {
    Rule *items;
    size_t n, cap;
} RuleList;

/* Appends the rules of every port, each once. `slices`: the Service's. */
void service_rules(Arena *arena, const ProxySettings *settings, const ServiceView *service, Object *const *slices,
                   size_t n_slices, RuleList *ret);
/* The endpoints that are ready on this node, over all ports (what the health check of a load balancer counts). */
size_t service_local_ready(Arena *arena, const ProxySettings *settings, const ServiceView *service,
                           Object *const *slices, size_t n_slices);
/* The script that makes the table's fixed part anew, empty of Services: hooks, maps and the rules before and after
 * them. */
void proxy_base_rules(Buf *out, const ProxySettings *settings);
/* Is this name one that service_rules makes? (A chain or set that is not may be the fixed part's.) */
bool proxy_name_is_service(const char *name);
