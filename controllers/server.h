/* The controllers' own port: health checks, metrics and configuration, as kube-controller-manager has them at 10257.
 * Like that, it has /healthz as a whole and neither single checks nor /livez and /readyz. */
#pragma once

#include "client/leader.h"
#include "controllers/controllers.h"
#include "daemon/server.h"

#define CONTROLLERS_PORT 10257
#define CONTROLLERS_PORT_TEXT "10257"

typedef struct ControllersServer ControllersServer;

typedef struct ControllersServerConfig { /* borrowed until controllers_server_stop */
    const DaemonServing *serving;
    const char *default_bind;               /* NULL: 0.0.0.0 */
    Client *authentication, *authorization; /* as in DaemonServerConfig */
    const ControllersConfig *controllers;
    const char *kubeconfig; /* where its client comes from; NULL: in process */
    bool elects;            /* a leader: controllers_server_elect will be called */
    const Flag *flags;      /* for /flagz */
    size_t n_flags;
} ControllersServerConfig;
int controllers_server_start(const ControllersServerConfig *config,
                             ControllersServer **ret); /* as daemon_server_start */
/* What there is by now, borrowed until controllers_server_stop. Any thread; each once. */
void controllers_server_elect(ControllersServer *server, Leader *leader);
void controllers_server_run(ControllersServer *server, Controllers *controllers);
void controllers_server_stop(ControllersServer *server); /* NULL is fine */
DEFINE_CLEANUP(ControllersServer, controllers_server_stop)
uint16_t controllers_server_port(const ControllersServer *server); /* 0: nothing is served */
