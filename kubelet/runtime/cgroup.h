/* Control groups, v1 (a hierarchy a controller, also on hybrid machines) and v2. Paths are from the root of the
 * hierarchies ("/lighter-ab12/kubepods/pod1/ID"). The mount point is a parameter, so that tests use a folder. */
#pragma once

#include "base/buf.h"
#include "kubelet/runtime/runtime.h"

typedef struct Cgroups {
    char *mount; /* "/sys/fs/cgroup" */
    bool v2;
    bool hybrid; /* v1, with a v2 tree at mount/unified */
} Cgroups;

int cgroups_detect(const char *mount, Cgroups *ret);
void cgroups_done(Cgroups *cgroups);
/* The file in the hierarchy of a v1 controller, or of the one tree (v2); owned by the caller. */
char *cgroup_file(const Cgroups *cgroups, const char *v1_controller, const char *path, const char *file);
/* Where the kernel counts OOM kills in the group ("oom_kill N"); owned. */
char *cgroup_oom_file(const Cgroups *cgroups, const char *path);
/* Makes the group in every hierarchy and moves the process there. */
int cgroup_enter(const Cgroups *cgroups, const char *path, pid_t pid);
/* SIGKILL to everything in the group and below. 0 also when it is gone. */
int cgroup_kill(const Cgroups *cgroups, const char *path);
/* Removes the group and those below, everywhere; waits up to a second for killed processes to leave. */
int cgroup_remove(const Cgroups *cgroups, const char *path);
int cgroup_stats(const Cgroups *cgroups, const char *path, ContainerStats *ret);
/* Fields of ContainerSpec that are not 0. *ret_error names the file that refused. */
int cgroup_update(const Cgroups *cgroups, const char *path, const ContainerSpec *resources, char **ret_error);
/* cpu.weight for cpu.shares, as crun and runc convert. */
uint64_t cgroup_weight_from_shares(int64_t shares);
