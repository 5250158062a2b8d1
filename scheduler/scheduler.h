/* The scheduler: watches pods, nodes and namespaces, asks the placement core where each waiting pod goes, and binds.
 * One thread decides (it owns the snapshot and the queue); a small pool talks to the API server, so that many bindings
 * share one commit. A pod is assumed on its node the moment it is decided; what the API server then says corrects that.
 */
#pragma once

#include "client/client.h"

typedef struct Scheduler Scheduler;

#define SCHEDULER_NAME "default-scheduler"
#define SCHEDULER_BINDERS 16 /* API calls under way at once */

typedef struct SchedulerConfig {
    Client *client;   /* borrowed; identity system:kube-scheduler */
    const char *name; /* schedules pods with this spec.schedulerName; NULL: SCHEDULER_NAME */
    const char *host; /* for events */
} SchedulerConfig;

/* Returns once its threads run; informers sync in the background. */
int scheduler_start(const SchedulerConfig *config, Scheduler **ret);
/* It knows the pods and nodes that there were when it started. */
bool scheduler_synced(const Scheduler *scheduler);
void scheduler_write_metrics(Scheduler *scheduler, Buf *out);
void scheduler_write_resources(Scheduler *scheduler, Buf *out); /* resource_metrics.h, of all pods */
/* Lets API calls under way end. */
void scheduler_stop(Scheduler *scheduler);
DEFINE_CLEANUP(Scheduler, scheduler_stop)
