/* What the queue tells of the pods that wait, and what the scheduler counts. */
#include "base/clock.h"
#include "scheduler/metrics.h"
#include "scheduler/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static Object *pod(const char *uid) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = value_object(arena), *meta = value_ensure_object(arena, v, "metadata");
    value_set_str(arena, meta, "name", uid);
    value_set_str(arena, meta, "namespace", "default");
    value_set_str(arena, meta, "uid", uid);
    return object_from_value(resource_find("", "v1", "pods"), v);
}

static void expect(const SchedulingQueue *queue, size_t active, size_t backoff, size_t gated, size_t unschedulable) {
    QueueDepths depths = queue_depths(queue);
    assert_int_equal(depths.active, active);
    assert_int_equal(depths.backoff, backoff);
    assert_int_equal(depths.gated, gated);
    assert_int_equal(depths.unschedulable, unschedulable);
}

static void test_gates(_unused_ void **state) {
    _cleanup_object_ Object *a = pod("a"), *popped = NULL;
    SchedulingQueue *queue = queue_new();
    queue_put_gated(queue, a);
    queue_put_gated(queue, a);
    expect(queue, 0, 0, 1, 0);
    queue_cluster_changed(queue);
    assert_null(queue_pop(queue, now_monotonic_ns()));
    assert_true(queue_next_due(queue) == UINT64_MAX);
    queue_put(queue, a, 0); /* its gates are gone */
    expect(queue, 1, 0, 0, 0);
    popped = queue_pop(queue, now_monotonic_ns());
    assert_ptr_equal(popped, a);
    queue_put_gated(queue, a);
    queue_remove(queue, "a");
    expect(queue, 0, 0, 0, 0);
    queue_free(queue);
}

static void test_attempts(_unused_ void **state) {
    _cleanup_object_ Object *a = pod("a");
    SchedulingQueue *queue = queue_new();
    assert_int_equal(queue_attempts(queue, "a").n, 0);
    queue_put(queue, a, 0);
    object_unref(queue_pop(queue, 1000));
    assert_int_equal(queue_attempts(queue, "a").n, 1);
    assert_int_equal(queue_attempts(queue, "a").first_ns, 1000);
    queue_put_unschedulable(queue, a, 0, 2000);
    expect(queue, 0, 0, 0, 1);
    queue_cluster_changed(queue);
    expect(queue, 0, 1, 0, 0);
    object_unref(queue_pop(queue, 2000 + QUEUE_BACKOFF_FIRST_NS));
    assert_int_equal(queue_attempts(queue, "a").n, 2);
    assert_int_equal(queue_attempts(queue, "a").first_ns, 1000);
    queue_free(queue);
}

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
        "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"p\",result=\"unschedulable\",le=\"16.384\"} "
        "0\n",
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
