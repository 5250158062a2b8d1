#include "base/metric.h"
#include "base/strmap.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

typedef struct Series {
    uint64_t n;
    double sum;
    uint64_t below[]; /* of each bucket: values not above it */
} Series;

struct Metric {
    const char *name, *help;
    const double *buckets; /* NULL: a counter */
    size_t n_buckets;
    pthread_mutex_t lock;
    StrMap *series; /* by labels */
};

void metric_head(Buf *out, const char *name, const char *help, const char *type) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

Metric *metric_histogram_new(const char *name, const char *help, const double *buckets, size_t n_buckets) {
    Metric *metric = NEW0(Metric);
    *metric = (Metric){.name = name, .help = help, .buckets = buckets, .n_buckets = n_buckets};
    metric->series = strmap_new(free);
    pthread_mutex_init(&metric->lock, NULL);
    return metric;
}

Metric *metric_counter_new(const char *name, const char *help) {
    return metric_histogram_new(name, help, NULL, 0);
}

void metric_free(Metric *metric) {
    if (!metric)
        return;
    strmap_free(metric->series);
    pthread_mutex_destroy(&metric->lock);
    free(metric);
}

void metric_observe(Metric *metric, const char *labels, double value) {
    pthread_mutex_lock(&metric->lock);
    Series *series = strmap_get(metric->series, labels);
    if (!series && strmap_size(metric->series) < METRIC_SERIES_MAX) {
        series = xcalloc(1, sizeof *series + metric->n_buckets * sizeof *series->below);
        strmap_put(metric->series, labels, series);
    }
    if (series) {
        series->n++;
        series->sum += value;
        for (size_t i = 0; i < metric->n_buckets; i++)
            series->below[i] += value <= metric->buckets[i];
    }
    pthread_mutex_unlock(&metric->lock);
}

void metric_count(Metric *metric, const char *labels) {
    metric_observe(metric, labels, 1);
}

static void write_series(const Metric *metric, const char *labels, const Series *series, Buf *out) {
    unsigned long long n = series->n;
    if (!metric->buckets) {
        buf_printf(out, "%s{%s} %llu\n", metric->name, labels, n);
        return;
    }
    for (size_t i = 0; i < metric->n_buckets; i++)
        buf_printf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", metric->name, labels, metric->buckets[i],
                   (unsigned long long)series->below[i]);
    buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} %g\n%s_count{%s} %llu\n", metric->name, labels, n,
               metric->name, labels, series->sum, metric->name, labels, n);
}

void metric_write(Metric *metric, Buf *out) {
    const char *labels;
    Series *series;
    pthread_mutex_lock(&metric->lock);
    if (strmap_size(metric->series))
        metric_head(out, metric->name, metric->help, metric->buckets ? "histogram" : "counter");
    STRMAP_FOREACH (metric->series, labels, series)
        write_series(metric, labels, series, out);
    pthread_mutex_unlock(&metric->lock);
}

/* ---- histograms of known series ---- */

void histogram_observe(HistogramCell *cells, const HistogramShape *shape, uint64_t value) {
    double seen = (double)value * shape->unit;
    size_t i = 0;
    while (i < shape->n && seen > shape->bounds[i])
        i++;
    atomic_fetch_add_explicit(&cells[0], value, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[1 + i], 1, memory_order_relaxed);
}

unsigned long long histogram_count(const HistogramCell *cells, const HistogramShape *shape) {
    unsigned long long n = 0;
    for (size_t i = 0; i <= shape->n; i++)
        n += atomic_load_explicit(&cells[1 + i], memory_order_relaxed);
    return n;
}

/* The shortest text that reads as the same number, as Go writes it. */
static void write_number(double v, Buf *out) {
    char text[32];
    int digits = v >= 1 && v < 1e17 ? (int)log10(v) + 1 : 1;
    do
        snprintf(text, sizeof text, "%.*g", digits, v);
    while (digits++ < 17 && strtod(text, NULL) != v);
    buf_puts(out, text);
}

void histogram_write(const HistogramCell *cells, const HistogramShape *shape, const char *labels, Buf *out) {
    const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    unsigned long long n = 0;
    for (size_t i = 0; i < shape->n; i++) {
        n += atomic_load_explicit(&cells[1 + i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"", shape->name, labels, comma);
        write_number(shape->bounds[i], out);
        buf_printf(out, "\"} %llu\n", n);
    }
    n += atomic_load_explicit(&cells[1 + shape->n], memory_order_relaxed);
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n%s_sum%s%s%s %.9g\n%s_count%s%s%s %llu\n", shape->name, labels,
               comma, n, shape->name, open, labels, close,
               (double)atomic_load_explicit(&cells[0], memory_order_relaxed) * shape->unit, shape->name, open, labels,
               close, n);
}
