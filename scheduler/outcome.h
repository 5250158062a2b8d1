/* What the scheduler tells the API server about a pod: bindings, the PodScheduled condition, evictions of victims,
 * events. Blocking; from pool threads. */
#pragma once

#include "client/client.h"
#include "client/events.h"

/* POST pods/NAME/binding, and the event. */
int outcome_bind(Client *client, EventRecorder *events, const Object *pod, const char *node, ApiError *err);
/* The condition PodScheduled=False and the event FailedScheduling. nominated_node may be NULL. Skips the write when the
 * pod says so already. */
int outcome_unschedulable(Client *client, EventRecorder *events, const Object *pod, const char *reason,
                          const char *message, const char *nominated_node);
/* Marks a victim as disrupted, deletes it, and says so in an event. */
int outcome_preempt(Client *client, EventRecorder *events, const Object *victim, const Object *preemptor,
                    const char *node);
