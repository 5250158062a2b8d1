/* The cluster's names, answered from Services and their EndpointSlices as the Kubernetes DNS specification 1.1 says:
 *   SERVICE.NS.svc.DOMAIN              A: the cluster IP, or the ready endpoints of a headless Service; CNAME:
 * ExternalName HOST.SERVICE.NS.svc.DOMAIN         A: an endpoint, by its hostname or its address with dashes
 *   _PORT._PROTO.SERVICE.NS.svc.DOMAIN SRV
 *   A-B-C-D.NS.pod.DOMAIN              A: that address (nobody looks whether there is such a pod, as CoreDNS'
 * "insecure") D.C.B.A.in-addr.arpa               PTR: of cluster IPs and endpoints of headless Services Any thread. */
#pragma once

#include "network/dns/message.h"
#include "network/services/index.h"

#define DNS_TTL 30 /* seconds, as kubeadm sets it */
#define DNS_NEGATIVE_TTL 5
#define DNS_CHAIN_MAX 8 /* aliases followed within the zone */
#define DNS_SCHEMA_VERSION "1.1.0"

typedef struct DnsZone DnsZone;
/* Before informer_set_start. `domain`: "cluster.local"; `server_ip`: of the DNS Service. Borrows the index. */
DnsZone *dns_zone_new(ServiceIndex *index, const char *domain, const char *server_ip);
void dns_zone_free(DnsZone *zone);
DEFINE_CLEANUP(DnsZone, dns_zone_free)

typedef enum DnsOutcome {
    DNS_DONE,    /* *ret_code is the answer's */
    DNS_FORWARD, /* the name is not ours: others know */
    DNS_CHASE,   /* an alias was written; its addresses, of `alias`, are with others */
} DnsOutcome;
/* Adds the answer's records. */
DnsOutcome dns_zone_answer(DnsZone *zone, const DnsQuery *query, DnsReply *reply, DnsCode *ret_code,
                           char ret_alias[DNS_NAME_TEXT]);
