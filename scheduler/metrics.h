/* What the scheduler counts, with the names of kube-scheduler. Counted without locks, by any thread; the gauges are
 * what the scheduler's thread said last. */
#pragma once

#include "base/metric.h"
#include "scheduler/queue.h"

typedef enum AttemptResult { ATTEMPT_ERROR, ATTEMPT_SCHEDULED, ATTEMPT_UNSCHEDULABLE, ATTEMPT_RESULTS } AttemptResult;

typedef struct SchedulerMetrics SchedulerMetrics;

/* `profile`: the scheduler's name (spec.schedulerName of its pods); borrowed. */
SchedulerMetrics *scheduler_metrics_new(const char *profile);
void scheduler_metrics_free(SchedulerMetrics *metrics);
DEFINE_CLEANUP(SchedulerMetrics, scheduler_metrics_free)

/* One attempt to schedule a pod ended, deciding and binding included. */
void scheduler_metrics_attempt(SchedulerMetrics *metrics, AttemptResult result, uint64_t took_ns);
/* A node was found; deciding took so long. */
void scheduler_metrics_decided(SchedulerMetrics *metrics, uint64_t took_ns);
/* The pod was bound, at so many attempts, so long after the first began. */
void scheduler_metrics_bound(SchedulerMetrics *metrics, unsigned attempts, uint64_t since_first_ns);
/* Room was looked for among pods that matter less; so many of them have to go. */
void scheduler_metrics_preemption(SchedulerMetrics *metrics, size_t victims);
void scheduler_metrics_state(SchedulerMetrics *metrics, QueueDepths depths, size_t nodes, size_t pods);
void scheduler_metrics_write(SchedulerMetrics *metrics, Buf *out);
