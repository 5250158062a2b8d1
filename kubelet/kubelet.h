/* The node agent: watches the pods bound to its node and makes the runtime agree with them. Everything it knows is read
 * again from the API server and the runtime after a restart; containers outlive it. */
#pragma once

#include "client/client.h"
#include "kubelet/images/images.h"
#include "kubelet/runtime/runtime.h"

#define KUBELET_PORT 10250
#define KUBELET_MAX_PODS 110
#define IMAGE_GC_HIGH 85 /* percent, as the reference */
#define IMAGE_GC_LOW 80

typedef struct KubeletConfig { /* strings are copied; client, runtime and images are borrowed for the kubelet's life */
    Client *client;
    Runtime *runtime;
    ImageStore *images;
    const char *node_name;
    const char *node_ip;                         /* NULL: the machine's first address */
    const char *root_dir;                        /* pods' folders, volumes */
    const char *log_dir;                         /* pod logs; NULL: ROOT_DIR/log */
    const char *cgroup_root;                     /* as the runtime's; NULL: "/" */
    const char *cgroup_mount;                    /* NULL: /sys/fs/cgroup */
    const char *const *cluster_dns;              /* NULL-terminated; NULL: none */
    const char *cluster_domain;                  /* NULL: cluster.local */
    const char *pod_cidr;                        /* for the node's status only; NULL: none */
    const char *const *labels;                   /* "key=value", NULL-terminated; NULL: none */
    const char *const *taints;                   /* "key=value:Effect", set when the node registers; NULL: none */
    int64_t max_pods;                            /* 0: KUBELET_MAX_PODS */
    const char *system_reserved, *kube_reserved; /* "cpu=200m,memory=500Mi", as reserved.h; NULL: nothing */
    /* As EvictionSettings of thresholds.h. */
    const char *eviction_hard, *eviction_soft, *eviction_soft_grace, *eviction_minimum_reclaim;
    int64_t eviction_transition_ns;      /* 0: the reference's */
    int64_t eviction_max_pod_grace;      /* seconds a pod has at a soft threshold, at the most */
    int64_t image_gc_high, image_gc_low; /* percent of the disk; 0: 85 and 80 */
    /* The HTTPS server: none when cert_file is NULL. */
    const char *bind; /* NULL: 0.0.0.0 */
    int port;         /* 0: KUBELET_PORT; negative: any free one */
    const char *cert_file, *key_file, *client_ca_file;
} KubeletConfig;

typedef struct Kubelet Kubelet;

/* Starts its own threads and returns; the API server need not be there yet. */
int kubelet_start(const KubeletConfig *config, Kubelet **ret, char **ret_error);
/* Ends the threads; containers stay as they are. */
void kubelet_stop(Kubelet *kubelet);
DEFINE_CLEANUP(Kubelet, kubelet_stop)
/* The port of its server; 0 without one. */
uint16_t kubelet_port(const Kubelet *kubelet);
