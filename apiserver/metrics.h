/* Counters of requests, with the reference's names. Any thread. */
#pragma once

#include "apiserver/handlers/http.h"

typedef struct Metrics Metrics;
Metrics *metrics_new(ApiCore *core);
void metrics_free(Metrics *metrics);
DEFINE_CLEANUP(Metrics, metrics_free)

void metrics_begin(Metrics *metrics, bool mutating);
/* `verb` as Prometheus has it (GET, LIST, WATCH, POST, ...). */
void metrics_end(Metrics *metrics, bool mutating, const Route *route, const char *method, int code, uint64_t took_ns);
void metrics_write(Metrics *metrics, Buf *out, size_t watches);
