/* What Prometheus would read. */
#include "base/metric.h"
#include "base/process_metrics.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const double bounds[] = {1e-08, 9.999999999999999e-06, 0.001, 10, 512, 327.68 * 16};
static const HistogramShape shape = {"took_seconds", "Some help.", bounds, ELEMENTSOF(bounds), 1e-9};

static void test_a_histogram_is_cumulative(_unused_ void **state) {
    HistogramCell cells[HISTOGRAM_CELLS(ELEMENTSOF(bounds))] = {0};
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    histogram_observe(cells, &shape, 10);             /* the first bound itself */
    histogram_observe(cells, &shape, 1000000);        /* 0.001 */
    histogram_observe(cells, &shape, 1000001);        /* just above it */
    histogram_observe(cells, &shape, 9000000000000u); /* above all */
    assert_int_equal(histogram_count(cells, &shape), 4);
    histogram_write(cells, &shape, "name=\"x\"", &out);
    assert_string_equal(out.data, "took_seconds_bucket{name=\"x\",le=\"1e-08\"} 1\n"
                                  "took_seconds_bucket{name=\"x\",le=\"9.999999999999999e-06\"} 1\n"
                                  "took_seconds_bucket{name=\"x\",le=\"0.001\"} 2\n"
                                  "took_seconds_bucket{name=\"x\",le=\"10\"} 3\n"
                                  "took_seconds_bucket{name=\"x\",le=\"512\"} 3\n"
                                  "took_seconds_bucket{name=\"x\",le=\"5242.88\"} 3\n"
                                  "took_seconds_bucket{name=\"x\",le=\"+Inf\"} 4\n"
                                  "took_seconds_sum{name=\"x\"} 9000.002\n"
                                  "took_seconds_count{name=\"x\"} 4\n");
}

static void test_no_labels(_unused_ void **state) {
    HistogramCell cells[HISTOGRAM_CELLS(ELEMENTSOF(bounds))] = {0};
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    metric_head(&out, shape.name, shape.help, "histogram");
    histogram_write(cells, &shape, "", &out);
    assert_true(str_has_prefix(out.data, "# HELP took_seconds Some help.\n# TYPE took_seconds histogram\n"
                                         "took_seconds_bucket{le=\"1e-08\"} 0\n"));
    assert_non_null(strstr(out.data, "took_seconds_bucket{le=\"+Inf\"} 0\ntook_seconds_sum 0\ntook_seconds_count 0\n"));
}

static double value_of(const Buf *out, const char *name) {
    _cleanup_free_ char *line = xasprintf("\n%s ", name);
    const char *at = strstr(out->data, line);
    if (!at)
        fail_msg("no %s", name);
    return strtod(at + strlen(line), NULL);
}

static void test_process(_unused_ void **state) {
    _cleanup_buf_ Buf before = BUF_INIT(65536), after = BUF_INIT(65536);
    process_metrics_write(&before);
    int fd = dup(0);
    assert_true(fd >= 0);
    process_metrics_write(&after);
    close(fd);
    assert_true(value_of(&after, "process_open_fds") == value_of(&before, "process_open_fds") + 1);
    assert_true(value_of(&before, "process_resident_memory_bytes") >= 65536);
    double started = value_of(&before, "process_start_time_seconds"), now = (double)time(NULL);
    assert_true(started > now - 600 && started < now + 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_histogram_is_cumulative),
        cmocka_unit_test(test_no_labels),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
