/* The cgroup tree of pods: ROOT/kubepods/{,burstable,besteffort}/pod<uid>, on cgroup v2 or on v1 controllers (hybrid
 * machines included). The runtime puts containers below the pod's cgroup. A pod cgroup is removed once it is empty.
 * Thread-safe: no state beyond the mounts found at the start. */
#pragma once

#include "kubelet/qos.h"
#include "kubelet/reserved.h"

typedef struct Cgroups Cgroups;

/* `mount_root`: /sys/fs/cgroup (another folder in tests); `root`: the node's own part, "/lighter-ab12" or "/". */
int cgroups_open(const char *mount_root, const char *root, Cgroups **ret, char **ret_error);
void cgroups_free(Cgroups *cgroups);
DEFINE_CLEANUP(Cgroups, cgroups_free)
bool cgroups_is_v2(const Cgroups *cgroups);
/* Makes kubepods and its two children, both with the least share of the CPU: pods of best effort keep it. */
int cgroups_setup(Cgroups *cgroups, char **ret_error);
/* What all pods may have together: shares of the CPU, and limits of memory and processes (0: none). */
int cgroups_limit(Cgroups *cgroups, const NodeAmounts *for_pods, char **ret_error);
/* Memory that all pods use together and that the kernel cannot drop, in bytes. */
int cgroups_working_set(Cgroups *cgroups, uint64_t *ret);
/* Those of burstable pods share what these request together. */
int cgroups_burstable_share(Cgroups *cgroups, int64_t request_milli, char **ret_error);
/* "/kubepods/burstable/pod<uid>", below the node's root. */
char *cgroups_pod_path(QosClass class, const char *uid);
/* Makes the pod's cgroup and sets its limits; again on change. */
int cgroups_pod_apply(Cgroups *cgroups, const Value *pod, char **ret_error);
typedef struct PodCgroup { /* 0: no limit, or not known */
    int64_t cpu_shares, cpu_quota, cpu_period, memory_limit;
} PodCgroup;
int cgroups_pod_read(Cgroups *cgroups, const Value *pod, PodCgroup *ret); /* -ENOENT */
/* Before its containers are given more: raises the limits of the pod's cgroup where they would be in the way, and
 * lowers none (cgroup v1 refuses a child more than its parent has). */
int cgroups_pod_raise(Cgroups *cgroups, const Value *pod, char **ret_error);
/* Removes the pod's cgroup whatever its class was. -EBUSY while something lives in it; absent is fine. */
int cgroups_pod_remove(Cgroups *cgroups, const char *uid);
/* SIGKILL to whatever still runs in the pod's cgroup: what outlived its containers. */
void cgroups_pod_kill(Cgroups *cgroups, const char *uid);
/* Pod uids that have a cgroup; the array ends with NULL, owned by the caller (free each). */
char **cgroups_pod_list(Cgroups *cgroups);
