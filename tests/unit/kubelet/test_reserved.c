/* What kubelet's flags keep from pods. */
#include "kubelet/reserved.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void refused(const char *list, const char *wanted) {
    NodeAmounts to = {0};
    _cleanup_free_ char *error = NULL;
    assert_true(reserved_add(&to, list, &error) < 0);
    assert_string_equal(error, wanted);
}

static void test_lists(void **state) {
    (void)state;
    NodeAmounts kept = {0}, rest, has = {4000, 8ll << 30, 100ll << 30, 32768};
    char *none = NULL;
    assert_int_equal(reserved_add(&kept, NULL, &none), 0);
    assert_int_equal(reserved_add(&kept, "", &none), 0);
    assert_int_equal(reserved_add(&kept, "cpu=200m,memory=500Mi,ephemeral-storage=1Gi,pid=1000", &none), 0);
    assert_int_equal(reserved_add(&kept, "cpu=1,memory=12Mi", &none), 0);
    assert_int_equal(kept.cpu_milli, 1200);
    assert_int_equal(kept.memory, 512ll << 20);
    assert_int_equal(reserved_rest(&has, &kept, &rest, &none), 0);
    assert_int_equal(rest.cpu_milli, 2800);
    assert_int_equal(rest.memory, 7680ll << 20);
    assert_int_equal(rest.disk, 99ll << 30);
    assert_int_equal(rest.pids, 31768);
}

static void test_mistakes(void **state) {
    (void)state;
    refused("hugepages-2Mi=1Gi", "cannot reserve \"hugepages-2Mi\" resource");
    refused("memory=-1", "resource quantity for \"memory\" cannot be negative: -1");
    refused("memory=much", "failed to parse quantity \"much\" for \"memory\" resource");
    refused("memory", "\"memory\" reserves nothing; a pair is RESOURCE=QUANTITY");
    NodeAmounts rest;
    _cleanup_free_ char *error = NULL;
    assert_true(reserved_rest(&(NodeAmounts){.cpu_milli = 1000}, &(NodeAmounts){.cpu_milli = 1001}, &rest, &error) < 0);
    assert_string_equal(error, "1001m of \"cpu\" are reserved, the node has 1000m");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
