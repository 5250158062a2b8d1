#include "apiserver/metrics.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/process_metrics.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdio.h>

/* The reference's buckets of apiserver_request_duration_seconds, in seconds. */
static const double buckets[] = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2,
                                 3,     4,     5,    6,   8,   10,  15,  20,  30,  45,   60};

struct Metrics {
    ApiCore *core;
    Metric *totals, *durations;
    atomic_long inflight[2];
};

Metrics *metrics_new(ApiCore *core) {
    Metrics *metrics = NEW0(Metrics);
    metrics->core = core;
    metrics->totals = metric_counter_new(
        "apiserver_request_total", "[STABLE] Counter of apiserver requests by what was asked and the code answered.");
    metrics->durations = metric_histogram_new("apiserver_request_duration_seconds",
                                              "[STABLE] Response latency in seconds.", buckets, ELEMENTSOF(buckets));
    return metrics;
}

void metrics_free(Metrics *metrics) {
    if (!metrics)
        return;
    metric_free(metrics->totals);
    metric_free(metrics->durations);
    free(metrics);
}

void metrics_begin(Metrics *metrics, bool mutating) {
    atomic_fetch_add(&metrics->inflight[mutating], 1);
}

static const char *verb_label(const Route *route, const char *method) {
    if (route->kind == ROUTE_RESOURCE && route->resource) {
        if (route->verb == API_LIST)
            return "LIST";
        if (route->verb == API_WATCH)
            return "WATCH";
        if (route->verb == API_CONNECT)
            return "CONNECT";
        if (route->verb == API_DELETE_COLLECTION)
            return "DELETECOLLECTION";
    }
    static const char *const known[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", NULL};
    for (size_t i = 0; known[i]; i++)
        if (streq(known[i], method))
            return known[i];
    return "other";
}

void metrics_end(Metrics *metrics, bool mutating, const Route *route, const char *method, int code, uint64_t took_ns) {
    char labels[512], total[560];
    bool known = route->kind == ROUTE_RESOURCE && route->resource;
    const char *scope = !known ? "" : route->name ? "resource" : route->ns ? "namespace" : "cluster";
    snprintf(labels, sizeof labels,
             "component=\"apiserver\",dry_run=\"\",group=\"%s\",resource=\"%s\",scope=\"%s\",subresource=\"%s\",verb="
             "\"%s\",version=\"%s\"",
             known ? route->group : "", known ? route->plural : "", scope,
             known && route->subresource ? route->subresource : "", verb_label(route, method),
             known ? route->version : "");
    snprintf(total, sizeof total, "code=\"%d\",%s", code, labels);
    atomic_fetch_sub(&metrics->inflight[mutating], 1);
    metric_count(metrics->totals, total);
    if (!known || route->verb != API_WATCH)
        metric_observe(metrics->durations, labels, (double)took_ns / (double)NS_PER_SEC);
}

void metrics_write(Metrics *metrics, Buf *out, size_t watches) {
    Store *store = registry_store(api_core_registry(metrics->core));
    metric_write(metrics->totals, out);
    metric_write(metrics->durations, out);
    metric_head(out, "apiserver_current_inflight_requests", "[STABLE] Number of requests under way by kind.", "gauge");
    buf_printf(out, "apiserver_current_inflight_requests{request_kind=\"mutating\"} %ld\n",
               atomic_load(&metrics->inflight[1]));
    buf_printf(out, "apiserver_current_inflight_requests{request_kind=\"readOnly\"} %ld\n",
               atomic_load(&metrics->inflight[0]));
    metric_head(out, "apiserver_longrunning_requests", "[STABLE] Gauge of all active long-running requests.", "gauge");
    buf_printf(out, "apiserver_longrunning_requests{component=\"apiserver\",verb=\"WATCH\"} %zu\n", watches);
    metric_head(out, "apiserver_storage_objects",
                "[STABLE] Number of stored objects at the time of last check split by kind.", "gauge");
    for (size_t i = 0; resource_builtin(i); i++) {
        const Resource *r = resource_builtin(i);
        if (r->storage == r && (r->verbs & VERB_GET))
            buf_printf(out, "apiserver_storage_objects{resource=\"%s%s%s\"} %zu\n", r->plural, *r->group ? "." : "",
                       r->group, store_count(store, r));
    }
    process_metrics_write(out);
}
