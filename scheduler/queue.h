/* The scheduling queue: pods that wait, most important first (priority, then age), pods that back off after a failure,
 * and pods no node had room for, which wait for the cluster to change. Not thread-safe: the scheduler thread's. */
#pragma once

#include "api/object.h"

#define QUEUE_BACKOFF_FIRST_NS 1000000000ull /* the reference's podInitialBackoffSeconds */
#define QUEUE_BACKOFF_MAX_NS 10000000000ull  /* podMaxBackoffSeconds */
#define QUEUE_FLUSH_AFTER_NS 300000000000ull /* unschedulable pods are tried again after 5 minutes at the latest */

typedef struct SchedulingQueue SchedulingQueue;

SchedulingQueue *queue_new(void);
void queue_free(SchedulingQueue *queue);
/* Adds, or replaces the object of a pod that waits already (an unschedulable pod that changed is tried again). */
void queue_put(SchedulingQueue *queue, Object *pod, int32_t priority);
/* It has scheduling gates: it waits for queue_put, which comes when they are gone. */
void queue_put_gated(SchedulingQueue *queue, Object *pod);
/* It was scheduled or deleted: its attempts are forgotten too. */
void queue_remove(SchedulingQueue *queue, const char *uid);
/* The next pod to try, or NULL; the queue forgets it but not its attempts. */
Object *queue_pop(SchedulingQueue *queue, uint64_t now_ns);
/* Of a pod that was popped: how many times so far, and when first. Zeroes for one that is not known. */
typedef struct QueueAttempts {
    unsigned n;
    uint64_t first_ns;
} QueueAttempts;
QueueAttempts queue_attempts(const SchedulingQueue *queue, const char *uid);
/* After a failed attempt: waits for queue_cluster_changed, then backs off. */
void queue_put_unschedulable(SchedulingQueue *queue, Object *pod, int32_t priority, uint64_t now_ns);
/* After an error that has nothing to do with room: backs off at once. */
void queue_put_failed(SchedulingQueue *queue, Object *pod, int32_t priority, uint64_t now_ns);
void queue_cluster_changed(SchedulingQueue *queue);
/* When queue_pop may next have something, as a monotonic instant; UINT64_MAX: never by itself. */
uint64_t queue_next_due(const SchedulingQueue *queue);
/* For /metrics: pods that wait, by what for. */
typedef struct QueueDepths {
    size_t active, backoff, gated, unschedulable;
} QueueDepths;
QueueDepths queue_depths(const SchedulingQueue *queue);
