/* What others change in the packet filter is told at once; what we do is not. In a network namespace of the test's own.
 */
#include "base/clock.h"
#include "network/proxy/news.h"
#include "network/proxy/nft.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void count(void *userdata) {
    atomic_fetch_add((atomic_int *)userdata, 1);
}

static void *run(void *script) {
    char *error = NULL;
    int r = nft_run(script, &error);
    free(error);
    return r < 0 ? script : NULL;
}

static void run_elsewhere(const char *script) {
    pthread_t thread;
    void *failed;
    assert_int_equal(pthread_create(&thread, NULL, run, (void *)(uintptr_t)script), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
}

static bool becomes(atomic_int *told, int wanted) {
    for (int i = 0; i < 500 && atomic_load(told) != wanted; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * (long)NS_PER_MS}, NULL);
    return atomic_load(told) == wanted;
}

static void test_news(void **state) {
    (void)state;
    atomic_int told = 0;
    FilterNews *news = NULL;
    if (unshare(CLONE_NEWNET) < 0)
        skip(); /* not root */
    assert_int_equal(filter_news_start(count, &told, &news), 0);
    filter_news_mine(news);
    run_elsewhere("add table ip one\nadd chain ip one c\nadd rule ip one c accept\nadd rule ip one c drop\n");
    assert_true(becomes(&told, 1)); /* one transaction, whatever is in it */
    assert_null(run((void *)(uintptr_t) "add table ip two\nadd chain ip two c\n"));
    run_elsewhere("flush ruleset\n");
    assert_true(becomes(&told, 2));
    nanosleep(&(struct timespec){.tv_nsec = 50 * (long)NS_PER_MS}, NULL);
    assert_int_equal(atomic_load(&told), 2);
    filter_news_stop(news);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_news)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
