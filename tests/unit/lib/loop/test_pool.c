#include "base/clock.h"
#include "loop/pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

typedef struct Gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int inside;
    atomic_int done;
} Gate;

static void wait_at_gate(void *userdata) {
    Gate *gate = userdata;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    gate->done++;
}

static void test_limits(void **state) {
    (void)state;
    Gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    Pool *pool = pool_new("test", 3, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pool_submit(pool, wait_at_gate, &gate), 0);
    pthread_mutex_lock(&gate.lock);
    while (gate.inside < 3)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    /* All threads are busy: two wait, the next is refused. */
    assert_int_equal(pool_submit(pool, wait_at_gate, &gate), 0);
    assert_int_equal(pool_submit(pool, wait_at_gate, &gate), 0);
    assert_int_equal(pool_submit(pool, wait_at_gate, &gate), -EAGAIN);
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    pool_free(pool);
    assert_int_equal(gate.done, 5);
}

typedef struct Asking { /* a job that waits for another one of the same pool */
    Pool *pool;
    sem_t answered;
    atomic_int done;
} Asking;

static void answer(void *userdata) {
    sem_post(&((Asking *)userdata)->answered);
}

static void ask_back(void *userdata) {
    Asking *asking = userdata;
    assert_int_equal(pool_submit(asking->pool, answer, asking), 0);
    pool_leave();
    sem_wait(&asking->answered);
    pool_return();
    asking->done++;
}

/* Every thread waits for what only another thread can do. */
static void test_leaving_makes_room(void **state) {
    (void)state;
    Asking asking = {.pool = pool_new("test", 2, 1000)};
    sem_init(&asking.answered, 0, 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(pool_submit(asking.pool, ask_back, &asking), 0);
    pool_free(asking.pool);
    assert_int_equal(asking.done, 200);
    sem_destroy(&asking.answered);
}

static void count(void *userdata) {
    atomic_fetch_add((atomic_int *)userdata, 1);
}

static void test_free_waits_for_all(void **state) {
    (void)state;
    atomic_int done = 0;
    Pool *pool = pool_new("test", 4, 100000);
    for (int i = 0; i < 50000; i++)
        assert_int_equal(pool_submit(pool, count, &done), 0);
    pool_free(pool);
    assert_int_equal(done, 50000);
    pool_free(pool_new("idle", 1, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits), cmocka_unit_test(test_leaving_makes_room),
                                       cmocka_unit_test(test_free_waits_for_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
