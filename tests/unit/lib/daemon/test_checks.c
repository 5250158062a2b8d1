/* Checks as kube-scheduler and kube-controller-manager arrange them; tests/unit/apiserver/test_health.c has what is
 * answered in all its forms. */
#include "daemon/checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *ask_one(void *userdata, _unused_ Arena *arena) {
    return *(bool *)userdata ? NULL : "it is ill";
}

static const Check rows[] = {
    {"one", CHECK_HEALTHZ | CHECK_READYZ, ask_one, 0},
    {"facts", CHECK_READYZ, NULL, 5},
};

static Checks *make(const Check *some, size_t n, unsigned roots, bool whole, bool *well) {
    return checks_new(&(ChecksConfig){
        .component = "test", .rows = some, .n = n, .room = 1, .roots = roots, .whole = whole, .userdata = well});
}

static void expect(Checks *checks, const char *path, const char *query, int status, const char *text) {
    ChecksPath which;
    _cleanup_buf_ Buf out = BUF_INIT(CHECKS_REPLY_MAX);
    assert_int_equal(checks_find(checks, path, &which), 0);
    assert_int_equal(checks_answer(checks, &which, query, &out), status);
    assert_string_equal(out.data, text);
}

static void test_roots(_unused_ void **state) {
    bool well = true;
    ChecksPath which;
    _cleanup_(checks_freep) Checks *checks = make(rows, ELEMENTSOF(rows), CHECK_EVERYWHERE, false, &well);
    expect(checks, "/healthz", "verbose", 200, "[+]one ok\nhealthz check passed\n");
    /* A root without a check has one all the same. */
    expect(checks, "/livez", "verbose", 200, "[+]ping ok\nlivez check passed\n");
    expect(checks, "/livez/ping", "", 200, "ok");
    assert_int_equal(checks_find(checks, "/healthz/ping", &which), -ENOENT);
    assert_int_equal(checks_find(checks, "/livez/one", &which), -ENOENT);
    assert_int_equal(checks_find(checks, "/readyz/", &which), -ENOENT);
    assert_int_equal(checks_find(checks, "/readyzz", &which), -ENOTDIR);
    expect(checks, "/readyz", "", 500, "[+]one ok\n[-]facts failed: reason withheld\nreadyz check failed\n");
    checks_report(checks, 1, true);
    expect(checks, "/readyz/facts", "", 500, "internal server error: not finished\n");
    checks_report(checks, 4, true);
    expect(checks, "/readyz", "", 200, "ok");
    well = false;
    expect(checks, "/healthz/one", "", 500, "internal server error: it is ill\n");
}

/* As the controllers': one path, and rows that come later. */
static void test_rows_that_come_later(_unused_ void **state) {
    bool well = true;
    ChecksPath which;
    _cleanup_(checks_freep) Checks *checks = make(NULL, 0, CHECK_HEALTHZ, true, &well);
    assert_int_equal(checks_find(checks, "/livez", &which), -ENOTDIR);
    expect(checks, "/healthz", "verbose", 200, "[+]ping ok\nhealthz check passed\n");
    checks_add(checks, &rows[0]);
    expect(checks, "/healthz", "verbose", 200, "[+]one ok\nhealthz check passed\n");
    assert_int_equal(checks_find(checks, "/healthz/one", &which), -ENOENT);
    checks_add(checks, &rows[1]); /* no room: the others go on */
    expect(checks, "/healthz", "verbose&exclude=x", 200,
           "[+]one ok\nwarn: some health checks cannot be excluded: no matches for \"x\"\nhealthz check passed\n");
}

static void test_slis(_unused_ void **state) {
    bool well = true;
    _cleanup_buf_ Buf out = BUF_INIT(CHECKS_REPLY_MAX);
    _cleanup_(checks_freep) Checks *checks = make(rows, 1, CHECK_EVERYWHERE, false, &well);
    expect(checks, "/healthz", "", 200, "ok");
    expect(checks, "/livez", "", 200, "ok");
    well = false;
    expect(checks, "/healthz/one", "", 500, "internal server error: it is ill\n");
    checks_write_slis(checks, &out);
    assert_non_null(strstr(out.data, "kubernetes_healthcheck{name=\"one\",type=\"healthz\"} 0\n"));
    assert_non_null(strstr(out.data, "kubernetes_healthcheck{name=\"ping\",type=\"livez\"} 1\n"));
    assert_non_null(
        strstr(out.data, "kubernetes_healthchecks_total{name=\"one\",status=\"error\",type=\"healthz\"} 1\n"));
    assert_null(strstr(out.data, "readyz"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_rows_that_come_later),
        cmocka_unit_test(test_slis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
