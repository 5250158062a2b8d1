#include "network/proxy/rules.h"

#include "base/str.h"

#define ADDRESS_KEY "ipv4_addr . inet_proto . inet_service"

static void hook(Buf *out, const char *table, const char *chain, const char *type, const char *where,
                 const char *priority) {
    buf_printf(out, "add chain ip %s %s { type %s hook %s priority %s ; }\nflush chain ip %s %s\n", table, chain, type,
               where, priority, table, chain);
}

static void chain(Buf *out, const char *table, const char *name) {
    buf_printf(out, "add chain ip %s %s\nflush chain ip %s %s\n", table, name, table, name);
}

static void rule(Buf *out, const char *table, const char *name, const char *text) {
    buf_printf(out, "add rule ip %s %s %s\n", table, name, text);
}

static void containers(Buf *out, const char *table) {
    static const struct {
        const char *kind, *name, *type;
    } rows[] = {
        {"set", "cluster-ips", "ipv4_addr"},
        {"set", "nodeport-ips", "ipv4_addr"},
        {"set", "hairpin-connections", "ipv4_addr . " ADDRESS_KEY},
        {"map", "service-ips", ADDRESS_KEY " : verdict"},
        {"map", "service-nodeports", "inet_proto . inet_service : verdict"},
        {"map", "no-endpoint-services", ADDRESS_KEY " : verdict"},
        {"map", "no-endpoint-nodeports", "inet_proto . inet_service : verdict"},
        {"map", "firewall-ips", ADDRESS_KEY " : verdict"},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        buf_printf(out, "add %s ip %s %s { type %s ; }\nflush %s ip %s %s\n", rows[i].kind, table, rows[i].name,
                   rows[i].type, rows[i].kind, table, rows[i].name);
}

/* Rejecting and dropping happens in filter chains, before and behind the translation of addresses: sources that a load
 * balancer refuses are seen by their first destination, destinations without endpoints after it was left as it was. */
static void filter_rules(Buf *out, const ProxySettings *s) {
    static const char *const new_to[][2] = {
        {"filter-input", "nodeport-endpoints-check"},     {"filter-input", "service-endpoints-check"},
        {"filter-forward", "service-endpoints-check"},    {"filter-output", "service-endpoints-check"},
        {"filter-prerouting-pre-dnat", "firewall-check"}, {"filter-output-pre-dnat", "firewall-check"},
        {"filter-forward", "cluster-ips-check"},          {"filter-output", "cluster-ips-check"},
    };
    const char *t = s->table;
    /* A reset rather than an ICMP message, of which the kernel sends a client one a second, and the redirects that a
     * pod is sent when it asks for a Service over its own bridge count as such: the client would hang for seconds. */
    rule(out, t, "reject-chain", "meta l4proto tcp reject with tcp reset");
    rule(out, t, "reject-chain", "reject");
    rule(out, t, "service-endpoints-check", "ip daddr . meta l4proto . th dport vmap @no-endpoint-services");
    rule(out, t, "nodeport-endpoints-check",
         "ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports");
    rule(out, t, "firewall-check", "ip daddr . meta l4proto . th dport vmap @firewall-ips");
    rule(out, t, "cluster-ips-check",
         "ip daddr @cluster-ips goto reject-chain comment \"Reject traffic to invalid ports of ClusterIPs\"");
    if (s->service_cidr)
        buf_printf(out,
                   "add rule ip %s cluster-ips-check ip daddr %s drop comment \"Drop traffic to unallocated "
                   "ClusterIPs\"\n",
                   t, s->service_cidr);
    for (size_t i = 0; i < ELEMENTSOF(new_to); i++)
        buf_printf(out, "add rule ip %s %s ct state new jump %s\n", t, new_to[i][0], new_to[i][1]);
}

static void nat_rules(Buf *out, const ProxySettings *s) {
    const char *t = s->table;
    if (s->cluster_cidr)
        buf_printf(
            out,
            "add rule ip %s services ip daddr @cluster-ips ip saddr != %s mark set mark or " PROXY_MASQUERADE_MARK
            " comment \"masquerade clusterIP traffic from outside cluster\"\n",
            t, s->cluster_cidr);
    rule(out, t, "services", "ip daddr . meta l4proto . th dport vmap @service-ips");
    rule(out, t, "services", "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports");
    rule(out, t, "masquerading",
         "mark and " PROXY_MASQUERADE_MARK " != 0 mark set mark xor " PROXY_MASQUERADE_MARK " masquerade fully-random");
    rule(out, t, "masquerading",
         "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random");
    if (s->masquerade_bridged && s->cluster_cidr)
        buf_printf(out, "add rule ip %s masquerading ct status dnat ip saddr %s ip daddr %s masquerade fully-random\n",
                   t, s->cluster_cidr, s->cluster_cidr);
    rule(out, t, "nat-prerouting", "jump services");
    rule(out, t, "nat-output", "jump services");
    rule(out, t, "nat-postrouting", "jump masquerading");
}

void proxy_base_rules(Buf *out, const ProxySettings *s) {
    static const char *const plain[] = {"services",
                                        "masquerading",
                                        "reject-chain",
                                        "cluster-ips-check",
                                        "firewall-check",
                                        "service-endpoints-check",
                                        "nodeport-endpoints-check"};
    const char *t = s->table;
    buf_printf(out, "add table ip %s { comment \"Services of node %s\" ; }\n", t, s->node_name);
    hook(out, t, "filter-prerouting-pre-dnat", "filter", "prerouting", "-110");
    hook(out, t, "filter-output-pre-dnat", "filter", "output", "-110");
    hook(out, t, "filter-input", "filter", "input", "0");
    hook(out, t, "filter-forward", "filter", "forward", "0");
    hook(out, t, "filter-output", "filter", "output", "0");
    hook(out, t, "nat-prerouting", "nat", "prerouting", "-100");
    hook(out, t, "nat-output", "nat", "output", "-100");
    hook(out, t, "nat-postrouting", "nat", "postrouting", "100");
    for (size_t i = 0; i < ELEMENTSOF(plain); i++)
        chain(out, t, plain[i]);
    containers(out, t);
    if (!str_empty(s->node_ip))
        buf_printf(out, "add element ip %s nodeport-ips { %s }\n", t, s->node_ip);
    filter_rules(out, s);
    nat_rules(out, s);
}
