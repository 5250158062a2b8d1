#include "scheduler/metrics.h"

#define TO_15(first)                                                                                                   \
    first, first * 2, first * 4, first * 8, first * 16, first * 32, first * 64, first * 128, first * 256, first * 512, \
        first * 1024, first * 2048, first * 4096, first * 8192, first * 16384
/* As kube-scheduler's, each twice the one before. */
static const double latencies[] = {TO_15(0.001)}, lives[] = {TO_15(0.01), 327.68, 655.36, 1310.72, 2621.44, 5242.88},
                    attempts[] = {1, 2, 4, 8, 16}, victims[] = {1, 2, 4, 8, 16, 32, 64};

#define MANY_ATTEMPTS 15 /* and more count as one */
#define DEFINE_SHAPE(variable, name, help, bounds, unit)                                                               \
    static const HistogramShape variable = {name, help, bounds, ELEMENTSOF(bounds), unit}

DEFINE_SHAPE(attempt_duration, "scheduler_scheduling_attempt_duration_seconds",
             "[STABLE] Seconds that attempts to schedule a pod took, deciding and binding.", latencies, 1e-9);
DEFINE_SHAPE(algorithm_duration, "scheduler_scheduling_algorithm_duration_seconds",
             "[ALPHA] Seconds that deciding took.", latencies, 1e-9);
DEFINE_SHAPE(sli_duration, "scheduler_pod_scheduling_sli_duration_seconds",
             "[BETA] Seconds from a pod's first attempt to its binding, by the number of attempts.", lives, 1e-9);
DEFINE_SHAPE(pod_attempts, "scheduler_pod_scheduling_attempts", "[STABLE] Attempts that scheduled pods needed.",
             attempts, 1);
DEFINE_SHAPE(preemption_victims, "scheduler_preemption_victims", "[STABLE] Pods chosen to go at a preemption.", victims,
             1);

#define CELLS(bounds) HISTOGRAM_CELLS(ELEMENTSOF(bounds))

struct SchedulerMetrics {
    const char *profile;
    HistogramCell attempt[ATTEMPT_RESULTS][CELLS(latencies)], algorithm[CELLS(latencies)];
    HistogramCell sli[MANY_ATTEMPTS][CELLS(lives)]; /* of 1, 2, ... attempts */
    HistogramCell pod_attempts[CELLS(attempts)], victims[CELLS(victims)];
    atomic_ullong preemptions;
    atomic_size_t active, backoff, gated, unschedulable, nodes, pods;
};

SchedulerMetrics *scheduler_metrics_new(const char *profile) {
    SchedulerMetrics *metrics = NEW0(SchedulerMetrics);
    metrics->profile = profile;
    return metrics;
}

void scheduler_metrics_free(SchedulerMetrics *metrics) {
    free(metrics);
}

void scheduler_metrics_attempt(SchedulerMetrics *metrics, AttemptResult result, uint64_t took_ns) {
    histogram_observe(metrics->attempt[result], &attempt_duration, took_ns);
}

void scheduler_metrics_decided(SchedulerMetrics *metrics, uint64_t took_ns) {
    histogram_observe(metrics->algorithm, &algorithm_duration, took_ns);
}

void scheduler_metrics_bound(SchedulerMetrics *metrics, unsigned n, uint64_t since_first_ns) {
    n = MAX(n, 1u);
    histogram_observe(metrics->pod_attempts, &pod_attempts, n);
    histogram_observe(metrics->sli[MIN(n, (unsigned)MANY_ATTEMPTS) - 1], &sli_duration, since_first_ns);
}

void scheduler_metrics_preemption(SchedulerMetrics *metrics, size_t n) {
    atomic_fetch_add_explicit(&metrics->preemptions, 1, memory_order_relaxed);
    if (n)
        histogram_observe(metrics->victims, &preemption_victims, n);
}

static void set(atomic_size_t *gauge, size_t value) {
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

void scheduler_metrics_state(SchedulerMetrics *metrics, QueueDepths depths, size_t nodes, size_t pods) {
    set(&metrics->active, depths.active);
    set(&metrics->backoff, depths.backoff);
    set(&metrics->gated, depths.gated);
    set(&metrics->unschedulable, depths.unschedulable);
    set(&metrics->nodes, nodes);
    set(&metrics->pods, pods);
}

/* ---- as text ---- */

static void head(const HistogramShape *shape, Buf *out) {
    metric_head(out, shape->name, shape->help, "histogram");
}

static void write_attempts(SchedulerMetrics *metrics, Buf *out) {
    static const char *const results[ATTEMPT_RESULTS] = {"error", "scheduled", "unschedulable"};
    char *labels[ATTEMPT_RESULTS];
    unsigned long long n[ATTEMPT_RESULTS];
    metric_head(out, "scheduler_schedule_attempts_total", "[STABLE] Attempts to schedule a pod, by what came of them.",
                "counter");
    for (size_t i = 0; i < ATTEMPT_RESULTS; i++) {
        labels[i] = xasprintf("profile=\"%s\",result=\"%s\"", metrics->profile, results[i]);
        n[i] = histogram_count(metrics->attempt[i], &attempt_duration);
        if (n[i])
            buf_printf(out, "scheduler_schedule_attempts_total{%s} %llu\n", labels[i], n[i]);
    }
    head(&attempt_duration, out);
    for (size_t i = 0; i < ATTEMPT_RESULTS; i++) {
        if (n[i])
            histogram_write(metrics->attempt[i], &attempt_duration, labels[i], out);
        free(labels[i]);
    }
}

static void write_lives(SchedulerMetrics *metrics, Buf *out) {
    head(&sli_duration, out);
    for (unsigned i = 0; i < MANY_ATTEMPTS; i++) {
        _cleanup_free_ char *labels = xasprintf("attempts=\"%u%s\"", i + 1, i + 1 == MANY_ATTEMPTS ? "+" : "");
        if (histogram_count(metrics->sli[i], &sli_duration))
            histogram_write(metrics->sli[i], &sli_duration, labels, out);
    }
}

static void write_gauges(SchedulerMetrics *metrics, Buf *out) {
    const struct {
        const char *name, *help, *labels;
        const atomic_size_t *value;
    } rows[] = {
        {"scheduler_pending_pods", "[STABLE] Pods that wait, by the queue.", "queue=\"active\"", &metrics->active},
        {"scheduler_pending_pods", NULL, "queue=\"backoff\"", &metrics->backoff},
        {"scheduler_pending_pods", NULL, "queue=\"gated\"", &metrics->gated},
        {"scheduler_pending_pods", NULL, "queue=\"unschedulable\"", &metrics->unschedulable},
        {"scheduler_cache_size", "[ALPHA] Nodes and pods in the scheduler's cache.", "type=\"nodes\"", &metrics->nodes},
        {"scheduler_cache_size", NULL, "type=\"pods\"", &metrics->pods},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        if (rows[i].help)
            metric_head(out, rows[i].name, rows[i].help, "gauge");
        buf_printf(out, "%s{%s} %zu\n", rows[i].name, rows[i].labels, atomic_load(rows[i].value));
    }
}

void scheduler_metrics_write(SchedulerMetrics *metrics, Buf *out) {
    write_gauges(metrics, out);
    write_attempts(metrics, out);
    write_lives(metrics, out);
    head(&algorithm_duration, out);
    histogram_write(metrics->algorithm, &algorithm_duration, "", out);
    head(&pod_attempts, out);
    histogram_write(metrics->pod_attempts, &pod_attempts, "", out);
    metric_head(out, "scheduler_preemption_attempts_total", "[STABLE] Times that room was looked for by preemption.",
                "counter");
    buf_printf(out, "scheduler_preemption_attempts_total %llu\n", atomic_load(&metrics->preemptions));
    head(&preemption_victims, out);
    histogram_write(metrics->victims, &preemption_victims, "", out);
}
