/* The nodes of this machine: where each lives, what its runtime is, how its agent is started and what it leaves behind.
 */
#pragma once

#include "cmd/lighter/layout.h"
#include "kubelet/images/images.h"
#include "kubelet/runtime/runtime.h"
#include "network/node.h"

typedef struct LocalNode {
    unsigned index;
    char *name;    /* the node object's */
    char *root;    /* DIR/nodes/NAME */
    char *cni_dir; /* its network list */
    char *address; /* where its agent listens */
    char *pod_cidr;
    char *netns_path; /* NULL: the machine's own namespace */
    char *bridge;     /* of its pods */
    char *cgroup;     /* everything it makes is below */
} LocalNode;

void local_nodes_free(LocalNode *nodes, size_t n);
/* The machine's first address that others could know it by; loopback when it has none. Owned by the caller. */
char *local_machine_address(void);
/* Names and paths alone; nothing is made. */
LocalNode *local_nodes_plan(const Cluster *cluster);
/* Makes the network of all nodes (namespaces, bridge, rules, network lists) and fills address, pod_cidr and netns_path.
 */
int local_nodes_network(const Cluster *cluster, LocalNode *nodes, char **ret_error);
/* The runtime over what the node has on disk; `images` is borrowed for its life. */
int local_node_runtime(const LocalNode *node, ImageStore *images, Runtime **ret, char **ret_error);
int local_image_store(const Cluster *cluster, ImageStore **ret, char **ret_error);
/* Ends every sandbox and container of the node and removes its cgroups and mounts. Idempotent. */
int local_node_clear(const LocalNode *node, ImageStore *images, char **ret_error);
