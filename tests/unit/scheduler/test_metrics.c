/* What the scheduler tells of its work, and of what pods ask for. */
#include "base/clock.h"
#include "scheduler/metrics.h"
#include "scheduler/resource_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_metrics(_unused_ void **state) {
    _cleanup_(scheduler_metrics_freep) SchedulerMetrics *metrics = scheduler_metrics_new("p");
    _cleanup_buf_ Buf out = BUF_INIT(1024 * 1024);
    scheduler_metrics_attempt(metrics, ATTEMPT_SCHEDULED, 3 * NS_PER_MS);
    scheduler_metrics_attempt(metrics, ATTEMPT_UNSCHEDULABLE, 20 * NS_PER_SEC);
    scheduler_metrics_decided(metrics, 1);
    scheduler_metrics_bound(metrics, 1, 20 * NS_PER_MS);
    scheduler_metrics_bound(metrics, 15, NS_PER_SEC);
    scheduler_metrics_bound(metrics, 99, NS_PER_SEC);
    scheduler_metrics_preemption(metrics, 0);
    scheduler_metrics_preemption(metrics, 3);
    scheduler_metrics_state(metrics, (QueueDepths){1, 2, 3, 4}, 5, 6);
    scheduler_metrics_write(metrics, &out);
    static const char *const lines[] = {
        "scheduler_schedule_attempts_total{profile=\"p\",result=\"scheduled\"} 1\n",
        "scheduler_schedule_attempts_total{profile=\"p\",result=\"unschedulable\"} 1\n",
        "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"p\",result=\"scheduled\",le=\"0.002\"} 0\n",
        "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"p\",result=\"scheduled\",le=\"0.004\"} 1\n",
        "scheduler_scheduling_attempt_duration_seconds_sum{profile=\"p\",result=\"unschedulable\"} 20\n",
        "scheduler_scheduling_algorithm_duration_seconds_count 1\n",
        "scheduler_pod_scheduling_sli_duration_seconds_bucket{attempts=\"1\",le=\"0.02\"} 1\n",
        "scheduler_pod_scheduling_sli_duration_seconds_bucket{attempts=\"15+\",le=\"5242.88\"} 2\n",
        "scheduler_pod_scheduling_attempts_bucket{le=\"16\"} 2\n",
        "scheduler_pod_scheduling_attempts_sum 115\n",
        "scheduler_preemption_attempts_total 2\n",
        "scheduler_preemption_victims_bucket{le=\"2\"} 0\n",
        "scheduler_preemption_victims_bucket{le=\"4\"} 1\n",
        "scheduler_pending_pods{queue=\"active\"} 1\n",
        "scheduler_pending_pods{queue=\"backoff\"} 2\n",
        "scheduler_pending_pods{queue=\"gated\"} 3\n",
        "scheduler_pending_pods{queue=\"unschedulable\"} 4\n",
        "scheduler_cache_size{type=\"nodes\"} 5\n",
        "scheduler_cache_size{type=\"pods\"} 6\n",
    };
    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        if (!strstr(out.data, lines[i]))
            fail_msg("%s is missing in\n%s", lines[i], out.data);
    assert_null(strstr(out.data, "result=\"error\"")); /* there was none */
}

/* Sidecars and init containers as the reference sums them; overhead counts for what has a limit only. */
static void test_resources_of_pods(_unused_ void **state) {
    static const char *const texts[] = {
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"1\"},\"spec\":{\"nodeName\":\"w\","
        "\"schedulerName\":"
        "\"s\",\"priority\":7,\"overhead\":{\"cpu\":\"10m\",\"memory\":\"1Mi\"},\"initContainers\":[{\"name\":\"i\","
        "\"resources\":{\"requests\":{\"cpu\":\"2\",\"x.io/y\":\"3\"}}}],\"containers\":[{\"name\":\"c\",\"resources\":"
        "{\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"},\"limits\":{\"memory\":\"128Mi\"}}}]},\"status\":{"
        "\"phase\":"
        "\"Running\"}}",
        "{\"metadata\":{\"name\":\"gone\",\"namespace\":\"n\",\"uid\":\"2\"},\"spec\":{\"nodeName\":\"w\","
        "\"containers\":[{"
        "\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]},\"status\":{\"phase\":\"Succeeded\"}}"};
    Object *pods[ELEMENTSOF(texts)];
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        assert_int_equal(object_from_json(resource_find("", "v1", "pods"), texts[i], strlen(texts[i]), 1, &pods[i]), 0);
    resource_metrics_write(&(ClientList){.items = pods, .n = ELEMENTSOF(texts)}, &out);
#define LINE(name, resource, unit, amount)                                                                             \
    "kube_pod_resource_" name "{namespace=\"n\",node=\"w\",pod=\"a\",priority=\"7\",resource=\"" resource              \
    "\",scheduler=\"s\",unit=\"" unit "\"} " amount "\n"
    static const char *const lines[] = {
        LINE("request", "cpu", "cores", "2.01"),
        LINE("request", "memory", "bytes", "68157440"),
        LINE("request", "x.io/y", "", "3"),
        LINE("limit", "memory", "bytes", "135266304"),
    };
    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        if (!strstr(out.data, lines[i]))
            fail_msg("%s is missing in\n%s", lines[i], out.data);
    assert_null(strstr(out.data, "gone"));
    assert_null(strstr(out.data, "limit{namespace=\"n\",node=\"w\",pod=\"a\",priority=\"7\",resource=\"cpu\""));
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        object_unref(pods[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_resources_of_pods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
