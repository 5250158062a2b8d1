/* What a grpc probe says of servers of all kinds. */
#include "api/json.h"
#include "base/clock.h"
#include "base/str.h"
#include "kubelet/internal.h"

#include "../lib/grpc/health_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TEST_TIMEOUT_NS (2 * NS_PER_SEC)

/* NULL when the probe succeeds. */
static char *probe(Kubelet *k, uint16_t port, const char *service, int *ret_r) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_free_ char *json = xasprintf("{\"grpc\":{\"port\":%u,\"service\":%s}}", port, service);
    Value *handler = NULL;
    char *error = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &handler, NULL, NULL), 0);
    *ret_r = handler_run(k, NULL, NULL, "c", handler, "127.0.0.1", TEST_TIMEOUT_NS, &error);
    return error;
}

static void expect(const Answer *answer, int wanted, const char *text) {
    HealthServer s;
    int r = 0;
    server_start(&s, answer);
    _cleanup_free_ char *error = probe(NULL, s.port, "\"db\"", &r);
    server_end(&s);
    if (text)
        assert_string_equal(error, text);
    else
        assert_null(error);
    assert_int_equal(r, wanted);
    assert_non_null(strstr(s.fields.data, "user-agent: kube-probe/1.36 "));
    assert_memory_equal(s.request.data, "\0\0\0\0\4\x0a\2db", 9);
    server_stop(&s);
}

static void test_answers(void **state) {
    (void)state;
    expect(&(Answer){.message = "\0\0\0\0\2\x08\1", .n = 7, .status = "0"}, 0, NULL);
    expect(&(Answer){.message = "\0\0\0\0\2\x08\2", .n = 7, .status = "0"}, -EPROTO,
           "service unhealthy (responded with \"NOT_SERVING\")");
    expect(&(Answer){.message = "\0\0\0\0\0", .n = 5, .status = "0"}, -EPROTO,
           "service unhealthy (responded with \"UNKNOWN\")");
    expect(&(Answer){.status = "5", .text = "unknown service", .only_headers = true}, -EPROTO,
           "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service");
    expect(&(Answer){.status = "12", .text = "unknown service grpc.health.v1.Health", .only_headers = true}, -EPROTO,
           "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service "
           "grpc.health.v1.Health");
    expect(&(Answer){.silent = true}, -ETIMEDOUT, "timeout: health rpc did not complete within 2s");
}

static void test_no_server(void **state) {
    (void)state;
    HealthServer s;
    int r = 0;
    assert_int_equal(server_bind(&s), 0); /* bound, not listening */
    uint64_t start = now_monotonic_ns();
    _cleanup_free_ char *error = probe(NULL, s.port, "null", &r);
    _cleanup_free_ char *text =
        xasprintf("timeout: failed to connect service \"127.0.0.1:%u\" within 2s: context deadline exceeded", s.port);
    assert_string_equal(error, text);
    assert_int_equal(r, -ETIMEDOUT);
    assert_true(now_monotonic_ns() - start >= TEST_TIMEOUT_NS); /* a server may come until then */
    close(s.listen_fd);
}

static void *stop_soon(void *kubelet) {
    nanosleep(&(struct timespec){.tv_nsec = 100 * (long)NS_PER_MS}, NULL);
    ((Kubelet *)kubelet)->stopping = true;
    return NULL;
}

/* An agent that ends does not wait for a probe that is held. */
static void expect_cut_short(uint16_t port) {
    struct Kubelet k = {0};
    pthread_t thread;
    int r = 0;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &k), 0);
    uint64_t start = now_monotonic_ns();
    _cleanup_free_ char *error = probe(&k, port, "null", &r);
    assert_true(r < 0);
    assert_true(now_monotonic_ns() - start < TEST_TIMEOUT_NS / 2);
    pthread_join(thread, NULL);
}

static void test_cut_short(void **state) {
    (void)state;
    const Answer held[] = {{.silent = true}, {.mute = true}};
    HealthServer s;
    for (size_t i = 0; i < ELEMENTSOF(held); i++) {
        server_start(&s, &held[i]);
        expect_cut_short(s.port);
        server_end(&s);
        server_stop(&s);
    }
    assert_int_equal(server_bind(&s), 0); /* bound, not listening: tried again and again */
    expect_cut_short(s.port);
    close(s.listen_fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_no_server),
                                       cmocka_unit_test(test_cut_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
