/* Requests are counted by what came of them. */
#include "client/request_metrics.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LINE(code, method, n) "rest_client_requests_total{code=\"" code "\",host=\"h:1\",method=\"" method "\"} " n "\n"

static void test_codes_and_methods(_unused_ void **state) {
    RequestMetrics *metrics = NEW0(RequestMetrics);
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    request_metrics_count(metrics, "GET", 200, 3 * NS_PER_MS);
    request_metrics_count(metrics, "GET", 200, 0); /* a watch has no duration */
    request_metrics_count(metrics, "GET", 404, NS_PER_SEC / 5);
    request_metrics_count(metrics, "POST", -111, 70 * NS_PER_SEC);
    request_metrics_count(metrics, "BREW", 418, 1);
    request_metrics_write(metrics, "h:1", &out);
    static const char *const lines[] = {
        LINE("200", "GET", "2"),
        LINE("404", "GET", "1"),
        LINE("<error>", "POST", "1"),
        "rest_client_request_duration_seconds_bucket{host=\"h:1\",verb=\"GET\",le=\"0.005\"} 1\n",
        "rest_client_request_duration_seconds_bucket{host=\"h:1\",verb=\"GET\",le=\"0.25\"} 2\n",
        "rest_client_request_duration_seconds_count{host=\"h:1\",verb=\"GET\"} 2\n",
        "rest_client_request_duration_seconds_bucket{host=\"h:1\",verb=\"POST\",le=\"60\"} 0\n",
        "rest_client_request_duration_seconds_bucket{host=\"h:1\",verb=\"POST\",le=\"+Inf\"} 1\n",
    };
    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        if (!strstr(out.data, lines[i]))
            fail_msg("%s is missing in\n%s", lines[i], out.data);
    assert_null(strstr(out.data, "DELETE"));
    assert_null(strstr(out.data, "418"));
    free(metrics);
}

static void test_many_codes(_unused_ void **state) {
    RequestMetrics *metrics = NEW0(RequestMetrics);
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    for (int code = 400; code < 400 + 2 * REQUEST_METRICS_CODES; code++)
        request_metrics_count(metrics, "PUT", code, 0);
    request_metrics_count(metrics, "PUT", 400, 0);
    request_metrics_write(metrics, "h:1", &out);
    assert_non_null(strstr(out.data, LINE("400", "PUT", "2")));
    assert_non_null(strstr(out.data, LINE("415", "PUT", "1")));
    assert_null(strstr(out.data, "416"));
    free(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_and_methods),
        cmocka_unit_test(test_many_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
