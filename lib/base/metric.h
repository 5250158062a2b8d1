/* One metric and its series: a counter or a histogram for each set of labels, written in Prometheus' text form. Any
 * thread. */
#pragma once

#include "base/buf.h"

#define METRIC_SERIES_MAX 20000 /* sets of labels; past it new ones are not counted */

typedef struct Metric Metric;

/* Strings and buckets are borrowed: constants of the program. */
Metric *metric_counter_new(const char *name, const char *help);
Metric *metric_histogram_new(const char *name, const char *help, const double *buckets, size_t n_buckets);
void metric_free(Metric *metric);
/* `labels`: name="value",... as they stand between the braces. */
void metric_count(Metric *metric, const char *labels);
void metric_observe(Metric *metric, const char *labels, double value);
/* Nothing while it has no series. */
void metric_write(Metric *metric, Buf *out);
