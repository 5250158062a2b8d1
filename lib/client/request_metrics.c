#include "client/request_metrics.h"

#include "base/str.h"

#include <stdio.h>

#define NO_ANSWER (-1)

static const char *const methods[REQUEST_METRICS_METHODS] = {"DELETE", "GET", "PATCH", "POST", "PUT"};

/* client-go's, in seconds. */
static const double bounds[REQUEST_METRICS_BOUNDS] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};
static const HistogramShape durations = {"rest_client_request_duration_seconds",
                                         "[ALPHA] Seconds that requests took, by verb and host.", bounds,
                                         REQUEST_METRICS_BOUNDS, 1e-9};

void request_metrics_count(RequestMetrics *metrics, const char *method, int code, uint64_t took_ns) {
    size_t at = 0;
    while (at < REQUEST_METRICS_METHODS && !streq(methods[at], method))
        at++;
    if (at == REQUEST_METRICS_METHODS)
        return;
    if (code <= 0)
        code = NO_ANSWER;
    for (size_t i = 0; i < REQUEST_METRICS_CODES; i++) {
        int seen = 0; /* a free place is taken by whoever comes first */
        if (atomic_compare_exchange_strong(&metrics->methods[at].codes[i].code, &seen, code) || seen == code) {
            atomic_fetch_add_explicit(&metrics->methods[at].codes[i].n, 1, memory_order_relaxed);
            break;
        }
    }
    if (took_ns)
        histogram_observe(metrics->methods[at].took, &durations, took_ns);
}

void request_metrics_write(RequestMetrics *metrics, const char *host, Buf *out) {
    metric_head(out, "rest_client_requests_total", "[ALPHA] HTTP requests by status code, method and host.", "counter");
    for (size_t m = 0; m < REQUEST_METRICS_METHODS; m++)
        for (size_t i = 0; i < REQUEST_METRICS_CODES; i++) {
            int code = atomic_load(&metrics->methods[m].codes[i].code);
            char text[16] = "<error>";
            if (code == 0)
                break;
            if (code != NO_ANSWER)
                snprintf(text, sizeof text, "%d", code);
            buf_printf(out, "rest_client_requests_total{code=\"%s\",host=\"%s\",method=\"%s\"} %llu\n", text, host,
                       methods[m], atomic_load(&metrics->methods[m].codes[i].n));
        }
    metric_head(out, durations.name, durations.help, "histogram");
    for (size_t m = 0; m < REQUEST_METRICS_METHODS; m++) {
        _cleanup_free_ char *labels = xasprintf("host=\"%s\",verb=\"%s\"", host, methods[m]);
        if (histogram_count(metrics->methods[m].took, &durations))
            histogram_write(metrics->methods[m].took, &durations, labels, out);
    }
}
