#include "base/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define SECOND 1000000000ll

static void test_backoff(void **state) {
    (void)state;
    _cleanup_(backoff_freep) Backoff *b = backoff_new(10 * SECOND, 300 * SECOND);
    int64_t now = 1000 * SECOND;
    assert_int_equal(backoff_remaining(b, "k", now, now), 0); /* the first restart is at once */
    backoff_next(b, "k", now);
    assert_int_equal(backoff_get(b, "k"), 10 * SECOND);
    assert_int_equal(backoff_remaining(b, "k", now, now + 4 * SECOND), 6 * SECOND);
    assert_int_equal(backoff_remaining(b, "k", now, now + 10 * SECOND), 0);
    for (int i = 0; i < 8; i++)
        backoff_next(b, "k", now);
    assert_int_equal(backoff_get(b, "k"), 300 * SECOND);
    int64_t later = now + 601 * SECOND; /* ten minutes without a failure */
    assert_int_equal(backoff_remaining(b, "k", later, later), 0);
    backoff_next(b, "k", later);
    assert_int_equal(backoff_get(b, "k"), 10 * SECOND);
    backoff_forget_prefix(b, "k");
    assert_int_equal(backoff_get(b, "k"), 0);
}

/* Many keys that come once do not stay for ever. */
static void test_old_keys_go(_unused_ void **state) {
    _cleanup_(backoff_freep) Backoff *b = backoff_new(SECOND, 4 * SECOND);
    backoff_next(b, "kept", 1000 * SECOND);
    for (int i = 0; i < 2000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        backoff_next(b, key, i * SECOND);
    }
    assert_int_equal(backoff_get(b, "k0"), 0);
    assert_int_equal(backoff_get(b, "k1999"), SECOND);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_backoff), cmocka_unit_test(test_old_keys_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
