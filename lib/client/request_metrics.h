/* Requests of a client by what came of them, with client-go's names (rest_client_requests_total). Without locks; any
 * thread. */
#pragma once

#include "base/metric.h"

#define REQUEST_METRICS_METHODS 5
#define REQUEST_METRICS_CODES 16  /* codes of one method that are told apart; others are not counted by code */
#define REQUEST_METRICS_BOUNDS 12 /* of the duration */

typedef struct RequestMetrics { /* zeroed at first */
    struct {
        struct {
            atomic_int code; /* 0: free */
            atomic_ullong n;
        } codes[REQUEST_METRICS_CODES];
        HistogramCell took[HISTOGRAM_CELLS(REQUEST_METRICS_BOUNDS)];
    } methods[REQUEST_METRICS_METHODS];
} RequestMetrics;

/* `code`: the answer's HTTP status; 0 or less: there was none. `took_ns` 0: no duration (a watch). */
void request_metrics_count(RequestMetrics *metrics, const char *method, int code, uint64_t took_ns);
/* `host`: "127.0.0.1:6443". */
void request_metrics_write(RequestMetrics *metrics, const char *host, Buf *out);
