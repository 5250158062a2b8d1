/* What the queue tells of the pods that wait. */
#include "base/clock.h"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_attempts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
