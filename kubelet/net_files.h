/* The files of a pod about names: /etc/hosts and what becomes its /etc/resolv.conf. */
#pragma once

#include "kubelet/pod_view.h"

typedef struct DnsConfig { /* NULL-terminated lists in the arena */
    const char **servers, **searches, **options;
} DnsConfig;

#define DNS_SERVERS_MAX 3 /* as the reference and glibc */
#define DNS_SEARCHES_MAX 32

/* By dnsPolicy and dnsConfig. `cluster_dns`: NULL-terminated; `resolv_conf`: the node's text, "" when there is none. */
void dns_config(Arena *arena, const Value *pod, const char *const *cluster_dns, const char *cluster_domain,
                const char *resolv_conf, DnsConfig *ret);
/* The name a pod sees as its own, and its domain ("" when it has none). */
const char *pod_hostname(Arena *arena, const Value *pod, const char *node_name, const char *cluster_domain,
                         const char **ret_domain);
/* The managed /etc/hosts. `node_hosts`: the node's own file's text, used with host network only. */
void hosts_file(Buf *out, const Value *pod, const char *const *pod_ips, const char *hostname, const char *domain,
                const char *node_hosts);
