/* What lies where in a data directory, and who runs on it. Everything of a cluster is below its data directory, but for
 * what the kernel keeps: network namespaces, links, rules and cgroups, all named after the cluster's id. */
#pragma once

#include "base/mem.h"

#include <sys/types.h>

#define LAYOUT_DEFAULT_DIR "/var/lib/lighter"
#define CLUSTER_ID_LEN 6
#define MAX_NODES 64
#define LAYOUT_SERVICE_CIDR "10.96.0.0/16" /* of clusters that do not say */

typedef struct Cluster {
    char *dir;                   /* absolute */
    char id[CLUSTER_ID_LEN + 1]; /* lower-case letters and digits; made once */
    char *cidr;                  /* of all pods, "10.244.0.0/16" */
    char *node_cidr;             /* of nodes in namespaces of their own; NULL with a single node */
    char *service_cidr;          /* of Services' own addresses */
    int64_t nodes;               /* how many this machine runs */
    int64_t port;                /* of the API server */
    int64_t controllers_port;    /* of the last start: where they tell of themselves, on loopback; 0: nowhere */
    int64_t scheduler_port;      /* likewise */
    char *bind;
} Cluster;

void cluster_done(Cluster *cluster);
#define _cleanup_cluster_ _cleanup_(cluster_done)
/* Reads DIR/cluster.json. -ENOENT: there is no cluster. */
int cluster_load(const char *dir, Cluster *ret);
/* The one in DIR, or a new one with an id and address ranges that nothing else on this machine routes. Nothing is
 * written yet. */
int cluster_load_or_plan(const char *dir, Cluster *ret);
int cluster_save(const Cluster *cluster);
/* Waits until no other process of this machine plans: held from the plan until its ranges are routed, so that clusters
 * started at once do not choose the same. Closing *ret_fd ends it. */
#define LAYOUT_MACHINE_LOCK "/run/lighter.lock"
int machine_lock(int *ret_fd);

/* DIR/name, formatted; owned by the caller. */
char *cluster_path(const Cluster *cluster, const char *format, ...) _printf_(2, 3);

/* One `lighter up` a data directory: takes DIR/lock for the life of the descriptor. -EBUSY: another
 * runs. */
int cluster_lock(const Cluster *cluster, int *ret_fd);
/* The process that holds the lock; -ESRCH: none. */
int cluster_running(const char *dir, pid_t *ret);
/* SIGTERM, then waits for the lock to be free. -ETIMEDOUT. */
int cluster_stop(const char *dir, uint64_t timeout_ns);
