/* The network between the nodes of a cluster on this machine. Every name carries the cluster's: the bridge
 * "ln-CLUSTER", the links "lv-CLUSTER.I", the nftables table "lighter_CLUSTER" (and that of
 * the service proxy, lighter_CLUSTER_proxy), the namespaces NETNS_DIR/CLUSTER-I;
 * removal takes what has these names and nothing else. Blocking, needs root, `ip` (iproute2) and `nft`. Calls are
 * idempotent: what is there already is kept, so a restarted cluster finds its nodes and their pods. */
#pragma once

#include "base/buf.h"

#define CLUSTER_NAME_MAX 8 /* of a-z and 0-9: an interface name holds 15 bytes */
#define NODES_MAX 200
#define CLUSTER_PROXY_SUFFIX "_proxy"
#define CIDR_TEXT_MAX 20

typedef struct NodeNetwork {
    char *netns_path;             /* the node's network namespace; NULL: the machine's own */
    char address[CIDR_TEXT_MAX];  /* of the node, without prefix length; "" with the machine's own namespace */
    char pod_cidr[CIDR_TEXT_MAX]; /* its share of the cluster's pod addresses */
} NodeNetwork;

typedef struct ClusterNetwork {
    const char *cluster;
    const char *node_cidr; /* e.g. "10.254.17.0/24": the machine gets .1 (the gateway), node I gets .(I+2) */
    const char *pod_cidr;  /* e.g. "10.244.0.0/16": node I gets the I-th /24 */
    /* Addresses of Services: the machine's own programs send to them by the cluster's bridge, where the proxy meets
     * them, also without a default route. NULL: none */
    const char *service_cidr;
    const char *netns_dir; /* made when missing */
    unsigned n_nodes;
} ClusterNetwork;

/* N nodes, each in a namespace of its own: pods reach pods on every node, the nodes and the machine; what leaves the
 * cluster is masqueraded. *ret: n_nodes entries, for cluster_network_free. -EINVAL, -EADDRINUSE (another network of
 * this machine has some of the addresses; it keeps them), -ENOENT (no ip or nft), -EIO with the tool's message. */
int cluster_network_create(const ClusterNetwork *spec, NodeNetwork **ret, char **ret_error);
/* One node in the machine's own namespace: forwarding, masquerading of what its pods send out of the cluster, and the
 * bridge its pods will be on with the first address of its pods' range, so that servers for pods can listen there
 * before the first pod comes. Of `spec`: cluster, pod_cidr and service_cidr. Errors as above. */
int cluster_network_create_host(const ClusterNetwork *spec, const char *pod_bridge, char **ret_error);
/* Removes either kind, and the chains of portmap when no mapping of anybody is left. `pod_bridge`: of a node in the
 * machine's own namespace (NULL: none). Idempotent. */
int cluster_network_remove(const char *cluster, const char *netns_dir, const char *pod_bridge, char **ret_error);
void cluster_network_free(NodeNetwork *nodes, unsigned n_nodes);
/* The first address of a range: of node_cidr, the machine's on the nodes' bridge, where servers for nodes listen; of a
 * node's pod addresses, the node's on the bridge of its pods. */
int cluster_network_gateway(const char *cidr, char ret[CIDR_TEXT_MAX]);

/* Writes DIR/10-lighter.conflist for cni.h: a bridge with host-local addresses of `pod_cidr` (kept in `ipam_dir`) and
 * portmap. Bridge names are per namespace: at most 15 bytes. */
int cni_write_conflist(const char *dir, const char *bridge, const char *pod_cidr, const char *ipam_dir,
                       char **ret_error);
/* The I-th /24 of a CIDR that is /24 or wider. -ERANGE when there is none. */
int cidr_subnet(const char *cidr, unsigned index, char ret[CIDR_TEXT_MAX]);
