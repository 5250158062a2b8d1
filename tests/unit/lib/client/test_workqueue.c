/* The work queue: one worker a key, added while processed runs again, back-off, delays, hold. */
#include "base/clock.h"
#include "base/str.h"
#include "client/workqueue.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <time.h>
#include <cmocka.h>

typedef struct Runs {
    _Atomic int count, active, most_active, fail;
    _Atomic bool block;
    _Atomic uint64_t last_ns;
} Runs;

static void nap(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int sync_key(_unused_ const char *key, void *userdata) {
    Runs *runs = userdata;
    int active = ++runs->active;
    if (active > runs->most_active)
        runs->most_active = active;
    while (runs->block)
        nap(1);
    runs->last_ns = now_monotonic_ns();
    runs->active--;
    runs->count++;
    if (runs->fail > 0) {
        runs->fail--;
        return -EIO;
    }
    return 0;
}

static bool wait_count(Runs *runs, int count) {
    for (int i = 0; i < 2000 && runs->count < count; i++)
        nap(2);
    return runs->count == count;
}

static void test_same_key_never_runs_twice_at_once(_unused_ void **state) {
    Runs runs = {.block = true};
    WorkQueue *queue = workqueue_new("t", 4, sync_key, &runs);
    workqueue_add(queue, "a");
    for (int i = 0; i < 1000 && runs.active == 0; i++)
        nap(1);
    workqueue_add(queue, "a"); /* while processed: once more afterwards, however often it is added */
    workqueue_add(queue, "a");
    workqueue_add(queue, "b");
    for (int i = 0; i < 1000 && runs.active < 2; i++)
        nap(1);
    assert_int_equal(runs.active, 2);
    runs.block = false;
    assert_true(wait_count(&runs, 3));
    nap(20);
    assert_int_equal(runs.count, 3);
    assert_int_equal(runs.most_active, 2);
    workqueue_free(queue);
}

static void test_failures_back_off(_unused_ void **state) {
    Runs runs = {.fail = 4};
    WorkQueue *queue = workqueue_new("t", 1, sync_key, &runs);
    uint64_t start = now_monotonic_ns();
    workqueue_add(queue, "a");
    assert_true(wait_count(&runs, 5));
    /* 5 + 10 + 20 + 40 ms */
    assert_true(runs.last_ns - start >= 75 * NS_PER_MS);
    for (int i = 0; i < 1000 && workqueue_retries(queue, "a"); i++)
        nap(1);
    assert_int_equal(workqueue_retries(queue, "a"), 0);
    workqueue_free(queue);
}

static void test_the_earliest_delay_wins(_unused_ void **state) {
    Runs runs = {0};
    WorkQueue *queue = workqueue_new("t", 2, sync_key, &runs);
    uint64_t start = now_monotonic_ns();
    workqueue_add_after(queue, "late", 3600 * NS_PER_SEC);
    workqueue_add_after(queue, "a", 3600 * NS_PER_SEC);
    workqueue_add_after(queue, "a", 50 * NS_PER_MS);
    workqueue_add_after(queue, "a", 3600 * NS_PER_SEC);
    assert_true(wait_count(&runs, 1));
    uint64_t took = runs.last_ns - start;
    assert_true(took >= 50 * NS_PER_MS && took < 3 * NS_PER_SEC);
    workqueue_free(queue);
}

static void test_a_held_queue_gathers(_unused_ void **state) {
    Runs runs = {0};
    WorkQueue *queue = workqueue_new("t", 2, sync_key, &runs);
    workqueue_hold(queue);
    workqueue_add(queue, "a");
    workqueue_add(queue, "a");
    workqueue_add_after(queue, "b", NS_PER_MS);
    nap(30);
    assert_int_equal(runs.count, 0);
    assert_int_equal(workqueue_depth(queue), 1);
    workqueue_release(queue);
    assert_true(wait_count(&runs, 2));
    workqueue_free(queue);
}

static double figure(WorkQueue *const *queues, size_t n, const char *name) {
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    _cleanup_free_ char *line = xasprintf("\n%s{name=\"t\"} ", name);
    workqueue_write_metrics(queues, n, &out);
    const char *at = strstr(out.data, line);
    if (!at || strstr(at + 1, line))
        fail_msg("%s is not there once in\n%s", name, out.data);
    return strtod(at + strlen(line), NULL);
}

/* What client-go counts: an item that waits already, or is to run again already, is not added once more. */
static void test_metrics(_unused_ void **state) {
    Runs runs = {.block = true};
    WorkQueue *queues[2] = {workqueue_new("t", 1, sync_key, &runs), workqueue_new("t", 1, sync_key, &runs)};
    workqueue_add(queues[0], "a");
    for (int i = 0; i < 1000 && runs.active == 0; i++)
        nap(1);
    workqueue_add(queues[0], "a"); /* dirty */
    workqueue_add(queues[0], "a");
    workqueue_add(queues[0], "b");
    workqueue_add(queues[0], "b");
    workqueue_add_after(queues[1], "c", 3600 * NS_PER_SEC);
    nap(20);
    assert_true(figure(queues, 1, "workqueue_adds_total") == 3);
    assert_true(figure(queues, 1, "workqueue_depth") == 1);
    assert_true(figure(queues, 1, "workqueue_retries_total") == 0);
    assert_true(figure(queues, 1, "workqueue_queue_duration_seconds_count") == 1);
    assert_true(figure(queues, 1, "workqueue_work_duration_seconds_count") == 0);
    assert_true(figure(queues, 1, "workqueue_unfinished_work_seconds") >= 0.02);
    assert_true(figure(queues, 1, "workqueue_longest_running_processor_seconds") >= 0.02);
    assert_true(figure(queues, 2, "workqueue_retries_total") == 1); /* both: one name, one series */
    runs.block = false;
    assert_true(wait_count(&runs, 3));
    for (int i = 0; i < 1000 && figure(queues, 1, "workqueue_work_duration_seconds_count") < 3; i++)
        nap(1);
    assert_true(figure(queues, 1, "workqueue_work_duration_seconds_count") == 3);
    assert_true(figure(queues, 1, "workqueue_work_duration_seconds_sum") >= 0.02);
    assert_true(figure(queues, 1, "workqueue_unfinished_work_seconds") == 0);
    workqueue_free(queues[0]);
    workqueue_free(queues[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_key_never_runs_twice_at_once),
        cmocka_unit_test(test_failures_back_off),
        cmocka_unit_test(test_the_earliest_delay_wins),
        cmocka_unit_test(test_a_held_queue_gathers),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
