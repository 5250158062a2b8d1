/* What of a node is kept from its pods: amounts that kubelet's flags --system-reserved and --kube-reserved name. Pods
 * together may have the rest (the limits of the cgroup kubepods); the scheduler is told of less still, by what hard
 * eviction thresholds keep free. Pure. */
#pragma once

#include "base/mem.h"

typedef struct NodeAmounts {               /* also what a node has */
    int64_t cpu_milli, memory, disk, pids; /* bytes, but cpu and pids */
} NodeAmounts;

/* Adds "cpu=200m,memory=500Mi,ephemeral-storage=1Gi,pid=1000" (NULL or "": nothing). -EINVAL with a sentence. */
int reserved_add(NodeAmounts *to, const char *list, char **ret_error);
/* What is left. -EINVAL with a sentence when more is reserved than there is. */
int reserved_rest(const NodeAmounts *has, const NodeAmounts *reserved, NodeAmounts *ret, char **ret_error);
