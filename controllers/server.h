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
    /* What the whole process says: where to listen, who is asked, flags. Its client is that of `controllers`, and what
     * is served is filled in here. */
    DaemonServerConfig daemon;
    const ControllersConfig *controllers;
    bool elects; /* a leader: controllers_server_elect will be called */
} ControllersServerConfig;
int controllers_server_start(const ControllersServerConfig *config,
                             ControllersServer **ret); /* as daemon_server_start */
/* What there is by now, borrowed until controllers_server_stop. Any thread; each once. */
void controllers_server_elect(ControllersServer *server, Leader *leader);
void controllers_server_run(ControllersServer *server, Controllers *controllers);
void controllers_server_stop(ControllersServer *server); /* NULL is fine */
DEFINE_CLEANUP(ControllersServer, controllers_server_stop)
uint16_t controllers_server_port(const ControllersServer *server); /* 0: nothing is served */
