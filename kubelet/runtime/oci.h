/* The embedded runtime driver: our own image store, OCI bundles, crun or runc, CNI, and a small monitor process
 * (kubelet/monitor) per container that outlives the agent. State lives under root; see docs/runtime.md for the layout.
 */
#pragma once

#include "kubelet/images/images.h"
#include "kubelet/runtime/runtime.h"

typedef struct OciConfig {
    const char *root;         /* state: containers, sandboxes */
    ImageStore *images;       /* borrowed */
    const char *oci_runtime;  /* "crun" or "runc" or a path; NULL: the first found, crun first */
    const char *monitor;      /* path of lighter-monitor; NULL: beside this program */
    const char *cni_bin_dir;  /* NULL: /usr/lib/cni */
    const char *cni_conf_dir; /* where the network list (*.conflist) is */
    const char
        *cgroup_root; /* under which cgroup_parent lives, e.g. "/lighter-ab12"; every cgroup this node makes is below */
} OciConfig;

int oci_runtime_new(const OciConfig *config, Runtime **ret, char **ret_error);
