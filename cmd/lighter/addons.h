/* What every cluster of `lighter up` has on top of the API's own objects: the DNS Service. */
#pragma once

#include "apiserver/server.h"
#include "cmd/lighter/node.h"

#define DNS_SERVICE_INDEX 10 /* its place in the range of Services, as kubeadm chooses it */

/* The address of the DNS Service. -EINVAL when the cluster's range of Services is none. */
int addons_dns_address(const Cluster *cluster, char ret[64]);
/* Makes or corrects the Service kube-system/kube-dns and the slice that leads to each node's own server, which each
 * node prefers. */
int addons_install(const Cluster *cluster, const LocalNode *nodes, ApiServer *server);
