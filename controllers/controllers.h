/* The controllers: loops that make what is into what is asked for. One row of the table (controllers.c) is one
 * controller; they share informers, a client and nothing else. */
#pragma once

#include "base/clock.h"
#include "client/client.h"

typedef struct Controllers Controllers;

/* What 0 stands for in the configuration: the reference's. */
#define CONTROLLERS_NODE_CIDR_MASK 24
#define CONTROLLERS_TERMINATED_POD_GC_THRESHOLD 12500
#define CONTROLLERS_NODE_MONITOR_PERIOD_NS (5 * NS_PER_SEC)
#define CONTROLLERS_NODE_MONITOR_GRACE_NS (50 * NS_PER_SEC)
#define CONTROLLERS_NODE_STARTUP_GRACE_NS (60 * NS_PER_SEC)

typedef struct ControllersConfig { /* strings are copied */
    Client *client;                /* borrowed; needs to read and write everything */
    const char *host;              /* for events; NULL: none */
    /* Each controller acts as the service account in kube-system that the reference's bootstrap roles know it by. */
    bool service_accounts;
    /* As the reference's --controllers: "*" all that are on by default, "foo" on, "-foo" off; comma separated. NULL:
     * "*". */
    const char *enabled;
    const char *root_ca_pem; /* published to every namespace as kube-root-ca.crt; NULL: that controller is off */
    /* PEM, an RSA key: signs the tokens of service account token secrets; NULL: that controller is off. */
    const char *service_account_key_file;
    /* PEM: the CA that signs certificate requests, and its key; either NULL: none are signed. */
    const char *signing_cert_file, *signing_key_file;
    const char *cluster_cidr; /* "10.244.0.0/16": node IPAM gives each node a part of it; NULL: off */
    int node_cidr_mask;       /* 0: CONTROLLERS_NODE_CIDR_MASK, and so on */
    int64_t terminated_pod_gc_threshold;
    int64_t node_monitor_period_ns;
    int64_t node_monitor_grace_ns;
    int64_t node_startup_grace_ns;
} ControllersConfig;

/* Starts informers and a thread that releases each controller once its caches are filled; does not wait. -EINVAL when
 * `enabled` names an unknown controller (logged). */
int controllers_start(const ControllersConfig *config, Controllers **ret);
/* True once every controller works. False at the timeout. */
bool controllers_wait_ready(Controllers *controllers, uint64_t timeout_ns);
/* Of those that were started, in the table's order; NULL past the end. */
const char *controllers_started_name(const Controllers *controllers, size_t index);
void controllers_write_metrics(Controllers *controllers, Buf *out); /* their work queues */
/* Ends running syncs, then everything. NULL is fine. */
void controllers_stop(Controllers *controllers);
DEFINE_CLEANUP(Controllers, controllers_stop)
/* The names in the table, for --help. NULL past the end. */
const char *controllers_name(size_t index);
/* The service account in kube-system that this one acts as; "": none, it is the manager itself. */
const char *controllers_account(size_t index);
