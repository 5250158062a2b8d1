/* The DNS server of a node: UDP and TCP on one address, the cluster's names from a zone, all others from the resolvers
 * of resolv.conf. One thread. */
#pragma once

#include "network/dns/zone.h"

#define DNS_SERVER_PORT 10053 /* behind the Service's port 53: the machine may have a server of its own there */
#define DNS_FORWARDS_MAX 1024 /* questions under way to other servers */
#define DNS_CONNECTIONS_MAX 256
#define DNS_CONNECTION_IDLE_NS (10 * 1000000000ull)
#define DNS_UPSTREAM_TIMEOUT_NS (2 * 1000000000ull) /* then the next resolver is asked */
#define DNS_UPSTREAMS_MAX 3

typedef struct DnsServer DnsServer;

typedef struct DnsServerConfig {
    DnsZone *zone;           /* borrowed */
    const char *bind;        /* need not be there yet: the bridge of the pods comes with the first of them */
    uint16_t port;           /* 0: any free one */
    const char *resolv_conf; /* NULL: /etc/resolv.conf, or systemd-resolved's when that names only loopback */
} DnsServerConfig;

int dns_server_start(const DnsServerConfig *config, DnsServer **ret);
void dns_server_stop(DnsServer *server); /* NULL is fine */
DEFINE_CLEANUP(DnsServer, dns_server_stop)
uint16_t dns_server_port(const DnsServer *server);
