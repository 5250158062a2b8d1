#include "base/clock.h"
#include "loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define POSTS 20000
#define FAR_FUTURE (now_monotonic_ns() + 60 * NS_PER_SEC)

typedef struct Seen {
    Loop *loop;
    Source *a, *b;
    int count, order[16];
    int status;
    pthread_t thread;
} Seen;

static void on_timer(Source *source, void *userdata) {
    Seen *seen = userdata;
    assert_true(loop_is_current(seen->loop));
    seen->order[seen->count++] = source == seen->a ? 1 : 2;
    if (seen->count == 3)
        loop_exit(seen->loop, 7);
    else if (source == seen->b)
        timer_set(source, now_monotonic_ns() + 2 * NS_PER_MS);
    else
        seen->a = source_unref(source); /* from inside its own callback */
}

static void test_timers_fire_in_order(void **state) {
    (void)state;
    _cleanup_(loop_freep) Loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    Seen seen = {.loop = loop};
    uint64_t now = now_monotonic_ns();
    Source *never = NULL, *far[50];
    for (size_t i = 0; i < ELEMENTSOF(far); i++)
        loop_add_timer(loop, FAR_FUTURE + i * 17 % 5, on_timer, &seen, &far[i]);
    assert_int_equal(loop_add_timer(loop, now + 4 * NS_PER_MS, on_timer, &seen, &seen.b), 0);
    assert_int_equal(loop_add_timer(loop, now + 1 * NS_PER_MS, on_timer, &seen, &seen.a), 0);
    assert_int_equal(loop_add_timer(loop, 0, on_timer, &seen, &never), 0);
    for (size_t i = 0; i < ELEMENTSOF(far); i += 2)
        source_unref(far[i]);
    assert_int_equal(loop_run(loop), 7);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.order[0], 1);
    assert_int_equal(seen.order[1], 2);
    assert_int_equal(seen.order[2], 2);
    assert_null(seen.a);
    for (size_t i = 1; i < ELEMENTSOF(far); i += 2)
        source_unref(far[i]);
    source_unref(seen.b);
    source_unref(never);
}

typedef struct Order {
    Loop *loop;
    int next;
    bool in_order;
} Order;
typedef struct Numbered {
    Order *order;
    int i;
} Numbered;

static void on_post(void *userdata) {
    Numbered *n = userdata;
    if (n->order->next++ != n->i)
        n->order->in_order = false;
    if (n->order->next == POSTS)
        loop_exit(n->order->loop, 0);
}

static void *post_all(void *userdata) {
    Numbered *all = userdata;
    for (int i = 0; i < POSTS; i++)
        loop_post(all->order->loop, on_post, &all[i]);
    return NULL;
}

static void test_posts_from_another_thread_keep_order(void **state) {
    (void)state;
    _cleanup_(loop_freep) Loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    Order order = {.loop = loop, .in_order = true};
    Numbered *all = NEWN0(Numbered, POSTS);
    for (int i = 0; i < POSTS; i++)
        all[i] = (Numbered){&order, i};
    pthread_t thread;
    pthread_create(&thread, NULL, post_all, all);
    assert_int_equal(loop_run(loop), 0);
    pthread_join(thread, NULL);
    assert_true(order.in_order);
    assert_int_equal(order.next, POSTS);
    free(all);
}

static void on_io_drop_other(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)fd;
    Seen *seen = userdata;
    assert_true(revents & EPOLLIN);
    seen->count++;
    /* Both are ready in the same round: the first to run drops the other, which must not run. */
    Source **other = source == seen->a ? &seen->b : &seen->a;
    *other = source_unref(*other);
    loop_exit(seen->loop, 0);
}

static void test_source_dropped_in_the_same_round_does_not_fire(void **state) {
    (void)state;
    _cleanup_(loop_freep) Loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    Seen seen = {.loop = loop};
    int p[2], q[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(pipe(q), 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    assert_int_equal(write(q[1], "x", 1), 1);
    assert_int_equal(loop_add_io(loop, p[0], EPOLLIN, on_io_drop_other, &seen, &seen.a), 0);
    assert_int_equal(loop_add_io(loop, q[0], EPOLLIN, on_io_drop_other, &seen, &seen.b), 0);
    loop_run(loop);
    assert_int_equal(seen.count, 1);
    assert_true((seen.a == NULL) != (seen.b == NULL));
    source_unref(seen.a);
    source_unref(seen.b);
    assert_true(loop_add_io(loop, -1, EPOLLIN, on_io_drop_other, &seen, &seen.a) < 0);
    close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void on_signal(Source *source, int signo, void *userdata) {
    (void)source;
    Seen *seen = userdata;
    seen->status = signo;
    loop_exit(seen->loop, 0);
}

static void on_child(Source *source, pid_t pid, int wait_status, void *userdata) {
    Seen *seen = userdata;
    assert_true(pid > 0);
    seen->status = wait_status;
    seen->a = source_unref(source);
    loop_exit(seen->loop, 0);
}

static void test_signal_and_child(void **state) {
    (void)state;
    _cleanup_(loop_freep) Loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    Seen seen = {.loop = loop};
    assert_int_equal(loop_add_signal(loop, SIGUSR1, on_signal, &seen, &seen.b), 0);
    kill(getpid(), SIGUSR1);
    loop_run(loop);
    assert_int_equal(seen.status, SIGUSR1);
    source_unref(seen.b);
    pid_t pid = fork();
    if (pid == 0)
        _exit(42);
    assert_int_equal(loop_add_child(loop, pid, on_child, &seen, &seen.a), 0);
    loop_run(loop);
    assert_true(WIFEXITED(seen.status));
    assert_int_equal(WEXITSTATUS(seen.status), 42);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1); /* reaped */
}

static void test_sources_outlive_the_loop(void **state) {
    (void)state;
    Loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    Seen seen = {.loop = loop};
    loop_add_timer(loop, FAR_FUTURE, on_timer, &seen, &seen.a);
    loop_post(loop, on_post, NULL); /* never runs; freed with the loop */
    loop_free(loop);
    timer_set(seen.a, FAR_FUTURE);
    source_unref(seen.a);
}

static void on_end(Source *source, void *userdata) {
    Seen *seen = userdata;
    seen->order[seen->count++] = source == seen->a ? 1 : 2;
    if (source == seen->a) { /* ends itself and brings another */
        seen->a = source_unref(source);
        loop_add_end(seen->loop, on_end, seen, &seen->b);
    }
}

static void on_last_post(void *userdata) {
    Seen *seen = userdata;
    seen->order[seen->count++] = 3;
}

static void test_the_end_comes_once_after_what_was_posted(void **state) {
    (void)state;
    _cleanup_(loop_freep) Loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    Seen seen = {.loop = loop};
    Source *dropped = NULL;
    loop_add_end(loop, on_end, &seen, &seen.a);
    loop_add_end(loop, on_end, &seen, &dropped);
    source_unref(dropped);
    loop_exit(loop, 0);
    loop_run(loop);
    assert_int_equal(seen.count, 0);
    loop_post(loop, on_last_post, &seen);
    loop_end(loop);
    loop_end(loop);
    const int expected[] = {3, 1, 2};
    assert_int_equal(seen.count, 3);
    assert_memory_equal(seen.order, expected, sizeof expected);
    source_unref(seen.b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order),
        cmocka_unit_test(test_posts_from_another_thread_keep_order),
        cmocka_unit_test(test_source_dropped_in_the_same_round_does_not_fire),
        cmocka_unit_test(test_signal_and_child),
        cmocka_unit_test(test_sources_outlive_the_loop),
        cmocka_unit_test(test_the_end_comes_once_after_what_was_posted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
