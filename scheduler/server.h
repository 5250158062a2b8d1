/* The scheduler's own port: health checks, metrics and configuration, as kube-scheduler has them at 10259. */
#pragma once

#include "client/leader.h"
#include "daemon/server.h"
#include "scheduler/scheduler.h"

#define SCHEDULER_PORT 10259
#define SCHEDULER_PORT_TEXT "10259"

typedef struct SchedulerServer SchedulerServer;

typedef struct SchedulerServerConfig { /* borrowed until scheduler_server_stop */
    /* What the whole process says: where to listen, the scheduler's client, who is asked, flags. What is served is
     * filled in here. */
    DaemonServerConfig daemon;
    const char *name; /* NULL: SCHEDULER_NAME */
    bool elects;      /* a leader: scheduler_server_elect will be called */
} SchedulerServerConfig;
int scheduler_server_start(const SchedulerServerConfig *config, SchedulerServer **ret); /* as daemon_server_start */
/* What there is by now, borrowed until scheduler_server_stop. Any thread. */
void scheduler_server_elect(SchedulerServer *server, Leader *leader);
void scheduler_server_run(SchedulerServer *server, Scheduler *scheduler);
void scheduler_server_shut_down(SchedulerServer *server); /* from now on /readyz fails */
void scheduler_server_stop(SchedulerServer *server);      /* NULL is fine */
DEFINE_CLEANUP(SchedulerServer, scheduler_server_stop)
uint16_t scheduler_server_port(const SchedulerServer *server); /* 0: nothing is served */
