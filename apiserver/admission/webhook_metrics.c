#include "apiserver/admission/webhook_metrics.h"
#include "base/clock.h"
#include "base/strmap.h"

#include <pthread.h>

#define CODE_MAX 600 /* larger ones count as this one */
#define PREFIX "apiserver_admission_webhook_"

static const double buckets[] = {0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25}; /* seconds */

typedef struct Histogram {
    uint64_t counts[ELEMENTSOF(buckets)], n;
    double sum;
} Histogram;

struct WebhookMetrics {
    pthread_mutex_t lock;
    StrMap *durations;                         /* labels to Histogram */
    StrMap *requests, *rejections, *fail_open; /* labels to uint64_t */
};

WebhookMetrics *webhook_metrics_new(void) {
    WebhookMetrics *metrics = NEW0(WebhookMetrics);
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->durations = strmap_new(free);
    metrics->requests = strmap_new(free);
    metrics->rejections = strmap_new(free);
    metrics->fail_open = strmap_new(free);
    return metrics;
}

void webhook_metrics_free(WebhookMetrics *metrics) {
    if (!metrics)
        return;
    strmap_free(metrics->durations);
    strmap_free(metrics->requests);
    strmap_free(metrics->rejections);
    strmap_free(metrics->fail_open);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static void *series(StrMap *map, const char *labels, size_t size) {
    void *found = strmap_get(map, labels);
    if (!found && strmap_size(map) < WEBHOOK_SERIES_MAX)
        strmap_put(map, labels, found = xcalloc(1, size));
    return found;
}

static void count(WebhookMetrics *metrics, StrMap *map, const char *labels) {
    pthread_mutex_lock(&metrics->lock);
    uint64_t *n = series(map, labels, sizeof *n);
    if (n)
        ++*n;
    pthread_mutex_unlock(&metrics->lock);
}

static void observe(WebhookMetrics *metrics, const char *labels, double seconds) {
    pthread_mutex_lock(&metrics->lock);
    Histogram *h = series(metrics->durations, labels, sizeof *h);
    for (size_t i = 0; h && i < ELEMENTSOF(buckets); i++)
        h->counts[i] += seconds <= buckets[i];
    if (h) {
        h->n++;
        h->sum += seconds;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void webhook_metrics_call(WebhookMetrics *metrics, const char *name, const char *type, const char *operation, int code,
                          bool rejected, uint64_t took_ns) {
    const char *said = rejected ? "true" : "false";
    _cleanup_free_ char *labels =
        xasprintf("name=\"%s\",operation=\"%s\",rejected=\"%s\",type=\"%s\"", name, operation, said, type);
    _cleanup_free_ char *with_code = xasprintf("code=\"%d\",%s", MIN(code, CODE_MAX), labels);
    count(metrics, metrics->requests, with_code);
    observe(metrics, labels, (double)took_ns / (double)NS_PER_SEC);
}

void webhook_metrics_rejection(WebhookMetrics *metrics, const char *name, const char *type, const char *operation,
                               const char *error_type, int code) {
    _cleanup_free_ char *labels =
        xasprintf("error_type=\"%s\",name=\"%s\",operation=\"%s\",rejection_code=\"%d\",type=\"%s\"", error_type, name,
                  operation, MIN(code, CODE_MAX), type);
    count(metrics, metrics->rejections, labels);
}

void webhook_metrics_fail_open(WebhookMetrics *metrics, const char *name, const char *type) {
    _cleanup_free_ char *labels = xasprintf("name=\"%s\",type=\"%s\"", name, type);
    count(metrics, metrics->fail_open, labels);
}

static void write_head(Buf *out, const char *name, const char *help, const char *type) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_counters(Buf *out, StrMap *map, const char *name, const char *help) {
    const char *labels;
    uint64_t *n;
    if (!strmap_size(map))
        return;
    write_head(out, name, help, "counter");
    STRMAP_FOREACH (map, labels, n)
        buf_printf(out, "%s{%s} %llu\n", name, labels, (unsigned long long)*n);
}

static void write_durations(Buf *out, StrMap *map) {
    static const char name[] = PREFIX "admission_duration_seconds";
    const char *labels;
    Histogram *h;
    if (!strmap_size(map))
        return;
    write_head(out, name, "[STABLE] How long admission webhooks took, by name, operation and type.", "histogram");
    STRMAP_FOREACH (map, labels, h) {
        for (size_t i = 0; i < ELEMENTSOF(buckets); i++)
            buf_printf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, buckets[i],
                       (unsigned long long)h->counts[i]);
        buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} %g\n%s_count{%s} %llu\n", name, labels,
                   (unsigned long long)h->n, name, labels, h->sum, name, labels, (unsigned long long)h->n);
    }
}

void webhook_metrics_write(WebhookMetrics *metrics, Buf *out) {
    pthread_mutex_lock(&metrics->lock);
    write_durations(out, metrics->durations);
    write_counters(out, metrics->fail_open, PREFIX "fail_open_count",
                   "[ALPHA] Requests let through though a webhook failed, by its name and type.");
    write_counters(out, metrics->rejections, PREFIX "rejection_count",
                   "[ALPHA] Requests that webhooks refused, by name, type, operation, kind of error and code.");
    write_counters(out, metrics->requests, PREFIX "request_total",
                   "[ALPHA] Calls of admission webhooks, by name, type, operation, code and whether they refused.");
    pthread_mutex_unlock(&metrics->lock);
}
