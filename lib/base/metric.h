/* Metrics in Prometheus' text form. A Metric is a counter or a histogram for each set of labels, whatever these are. A
 * histogram whose sets of labels are known beforehand is a shape, which is a constant, and cells that any thread adds
 * to without a lock. Any thread. */
#pragma once

#include "base/buf.h"

#include <stdatomic.h>

/* What every metric begins with. `type`: "counter", "gauge", "histogram". */
void metric_head(Buf *out, const char *name, const char *help, const char *type);

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

typedef struct HistogramShape {
    const char *name, *help;
    const double *bounds; /* in order */
    size_t n;
    double unit; /* of the integers that are observed: 1e-9 for nanoseconds among bounds in seconds */
} HistogramShape;
/* Of one series: the sum, then a cell for each bound and one for what is above them all. Zeroed at first. */
typedef atomic_ullong HistogramCell;
#define HISTOGRAM_CELLS(n_bounds) ((n_bounds) + 2)

void histogram_observe(HistogramCell *cells, const HistogramShape *shape, uint64_t value);
unsigned long long histogram_count(const HistogramCell *cells, const HistogramShape *shape);
/* After metric_head. `labels` as above, "" for none. */
void histogram_write(const HistogramCell *cells, const HistogramShape *shape, const char *labels, Buf *out);
