#include "apiserver/admission/webhook_metrics.h"
#include "base/clock.h"
#include "base/metric.h"

#define CODE_MAX 600 /* larger ones count as this one */
#define PREFIX "apiserver_admission_webhook_"

static const double buckets[] = {0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25}; /* seconds */

struct WebhookMetrics {
    Metric *durations, *requests, *rejections, *fail_open;
};

WebhookMetrics *webhook_metrics_new(void) {
    WebhookMetrics *metrics = NEW0(WebhookMetrics);
    metrics->durations = metric_histogram_new(PREFIX "admission_duration_seconds",
                                              "[STABLE] How long admission webhooks took, by name, operation and type.",
                                              buckets, ELEMENTSOF(buckets));
    metrics->fail_open = metric_counter_new(
        PREFIX "fail_open_count", "[ALPHA] Requests let through though a webhook failed, by its name and type.");
    metrics->rejections =
        metric_counter_new(PREFIX "rejection_count",
                           "[ALPHA] Requests that webhooks refused, by name, type, operation, kind of error and code.");
    metrics->requests = metric_counter_new(
        PREFIX "request_total",
        "[ALPHA] Calls of admission webhooks, by name, type, operation, code and whether they refused.");
    return metrics;
}

void webhook_metrics_free(WebhookMetrics *metrics) {
    if (!metrics)
        return;
    metric_free(metrics->durations);
    metric_free(metrics->fail_open);
    metric_free(metrics->rejections);
    metric_free(metrics->requests);
    free(metrics);
}

void webhook_metrics_call(WebhookMetrics *metrics, const char *name, const char *type, const char *operation, int code,
                          bool rejected, uint64_t took_ns) {
    const char *said = rejected ? "true" : "false";
    _cleanup_free_ char *labels =
        xasprintf("name=\"%s\",operation=\"%s\",rejected=\"%s\",type=\"%s\"", name, operation, said, type);
    _cleanup_free_ char *with_code = xasprintf("code=\"%d\",%s", MIN(code, CODE_MAX), labels);
    metric_count(metrics->requests, with_code);
    metric_observe(metrics->durations, labels, (double)took_ns / (double)NS_PER_SEC);
}

void webhook_metrics_rejection(WebhookMetrics *metrics, const char *name, const char *type, const char *operation,
                               const char *error_type, int code) {
    _cleanup_free_ char *labels =
        xasprintf("error_type=\"%s\",name=\"%s\",operation=\"%s\",rejection_code=\"%d\",type=\"%s\"", error_type, name,
                  operation, MIN(code, CODE_MAX), type);
    metric_count(metrics->rejections, labels);
}

void webhook_metrics_fail_open(WebhookMetrics *metrics, const char *name, const char *type) {
    _cleanup_free_ char *labels = xasprintf("name=\"%s\",type=\"%s\"", name, type);
    metric_count(metrics->fail_open, labels);
}

void webhook_metrics_write(WebhookMetrics *metrics, Buf *out) {
    metric_write(metrics->durations, out);
    metric_write(metrics->fail_open, out);
    metric_write(metrics->rejections, out);
    metric_write(metrics->requests, out);
}
