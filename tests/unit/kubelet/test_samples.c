#include "kubelet/samples.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define HEAD                                                                                                           \
    "Inter-|   Receive                                                |  Transmit\n"                                   \
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier " \
    "compressed\n"

static void test_network(void **state) {
    (void)state;
    NetUsage u = net_usage_parse(HEAD "    lo: 900 9 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n"
                                      "  eth0:1234567890123 10 3 0 0 0 0 0 472 5 4 0 0 0 0 0\n"
                                      "  eth1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n");
    assert_true(u.known);
    assert_string_equal(u.device, "eth0");
    assert_true(u.rx_bytes == 1234567890123);
    assert_int_equal(u.rx_errors, 3);
    assert_int_equal(u.tx_bytes, 472);
    assert_int_equal(u.tx_errors, 4);
    assert_false(net_usage_parse(HEAD "    lo: 900 9 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n").known);
    assert_false(net_usage_parse("").known);
    assert_false(net_usage_parse("eth0: 1 2 3").known);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_network)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
