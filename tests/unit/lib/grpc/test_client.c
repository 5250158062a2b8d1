/* The gRPC client against a server of nghttp2 in the same process. */
#include "base/clock.h"
#include "base/str.h"
#include "grpc/health.h"
#include "grpc/message.h"

#include "health_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SERVING "\0\0\0\0\2\x08\1"
#define NOT_SERVING "\0\0\0\0\2\x08\2"
#define MESSAGE(s) .message = s, .n = sizeof s - 1

static uint64_t in_ms(uint64_t ms) {
    return now_monotonic_ns() + ms * NS_PER_MS;
}

/* One check of a server that answers so. */
static GrpcStatus check(const Answer *answer, int32_t *ret_health) {
    HealthServer s;
    GrpcConnection *c = NULL;
    GrpcStatus status;
    server_start(&s, answer);
    assert_int_equal(grpc_open(s.address, NULL, in_ms(5000), &c), 0);
    health_check(c, "db", in_ms(5000), ret_health, &status);
    grpc_close(c);
    server_stop(&s);
    return status;
}

static void expect(const Answer *answer, uint32_t code, const char *text) {
    int32_t health = -1;
    _cleanup_grpc_status_ GrpcStatus status = check(answer, &health);
    assert_string_equal(status.message ? status.message : "", text);
    assert_int_equal(status.code, code);
    assert_int_equal(health, -1);
}

static void test_success(void **state) {
    (void)state;
    HealthServer s;
    GrpcConnection *c = NULL;
    server_start(&s, &(Answer){MESSAGE(SERVING), .status = "0"});
    assert_int_equal(grpc_open(s.address, &(GrpcOptions){.user_agent = "probe/1"}, in_ms(5000), &c), 0);
    for (int i = 0; i < 3; i++) { /* one connection serves many calls */
        _cleanup_grpc_status_ GrpcStatus status;
        int32_t health = -1;
        health_check(c, i == 2 ? "" : "db", in_ms(5000), &health, &status);
        assert_int_equal(status.code, GRPC_OK);
        assert_int_equal(health, HEALTH_SERVING);
    }
    grpc_close(c);
    server_end(&s);
    assert_int_equal(s.calls, 3);
    assert_int_equal(s.connections, 1);
    assert_int_equal(s.request.len, 9 + 9 + 5);
    assert_memory_equal(s.request.data, "\0\0\0\0\4\x0a\2db", 9);
    assert_memory_equal(s.request.data + 18, "\0\0\0\0\0", 5);
    assert_non_null(strstr(s.fields.data, ":path: /grpc.health.v1.Health/Check\n"));
    assert_non_null(strstr(s.fields.data, ":method: POST\n"));
    assert_non_null(strstr(s.fields.data, ":scheme: http\n"));
    assert_non_null(strstr(s.fields.data, "te: trailers\n"));
    assert_non_null(strstr(s.fields.data, "content-type: application/grpc\n"));
    assert_non_null(strstr(s.fields.data, "user-agent: probe/1 grpc-c-lighter/"));
    assert_non_null(strstr(s.fields.data, "grpc-timeout: 49")); /* of 5 s, less what passed: microseconds */
    assert_non_null(strstr(s.fields.data, s.address));
    server_stop(&s);
}

static void test_unix_socket(void **state) {
    (void)state;
    char folder[] = "/tmp/grpc-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    HealthServer s = {.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(s.listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s.listen_fd, 4), 0);
    server_run(&s, &(Answer){MESSAGE(NOT_SERVING), .status = "0"});
    for (int i = 0; i < 2; i++) {
        _cleanup_free_ char *target = xasprintf("unix:%s%s", i ? "//" : "", address.sun_path);
        GrpcConnection *c = NULL;
        _cleanup_grpc_status_ GrpcStatus status;
        int32_t health = -1;
        assert_int_equal(grpc_open(target, NULL, in_ms(5000), &c), 0);
        health_check(c, NULL, in_ms(5000), &health, &status);
        assert_int_equal(status.code, GRPC_OK);
        assert_int_equal(health, HEALTH_NOT_SERVING);
        grpc_close(c);
    }
    server_end(&s);
    assert_non_null(strstr(s.fields.data, ":authority: localhost\n"));
    server_stop(&s);
    unlink(address.sun_path);
    rmdir(folder);
}

static void test_health(void **state) {
    (void)state;
    int32_t health = -1;
    char number[HEALTH_NAME_MAX];
    _cleanup_grpc_status_ GrpcStatus a = check(&(Answer){MESSAGE(NOT_SERVING), .status = "0"}, &health);
    assert_int_equal(a.code, GRPC_OK);
    assert_string_equal(health_name(health, number), "NOT_SERVING");
    _cleanup_grpc_status_ GrpcStatus b = check(&(Answer){MESSAGE("\0\0\0\0\0"), .status = "0"}, &health);
    assert_int_equal(b.code, GRPC_OK);
    assert_string_equal(health_name(health, number), "UNKNOWN");
    _cleanup_grpc_status_ GrpcStatus c = check(&(Answer){MESSAGE("\0\0\0\0\2\x08\x11"), .status = "0"}, &health);
    assert_int_equal(c.code, GRPC_OK);
    assert_string_equal(health_name(health, number), "17");
    expect(&(Answer){MESSAGE("\0\0\0\0\2\x08\xff"), .status = "0"}, GRPC_INTERNAL,
           "grpc: failed to unmarshal the received message: not a HealthCheckResponse");
}

static void test_status(void **state) {
    (void)state;
    expect(&(Answer){.status = "5", .text = "no %22db%22 %e2%82%ac 5%", .only_headers = true}, GRPC_NOT_FOUND,
           "no \"db\" \xe2\x82\xac 5%");
    expect(&(Answer){.status = "12", .text = "unknown service", .only_headers = true}, GRPC_UNIMPLEMENTED,
           "unknown service");
    expect(&(Answer){MESSAGE(SERVING), .status = "14", .text = "away"}, GRPC_UNAVAILABLE, "away");
    expect(&(Answer){MESSAGE(SERVING), .status = "99"}, 99, "");
    expect(&(Answer){MESSAGE(SERVING), .status = "x"}, GRPC_UNKNOWN, "transport: malformed grpc-status: \"x\"");
    expect(&(Answer){MESSAGE(SERVING)}, GRPC_INTERNAL, "server closed the stream without sending trailers");
    expect(&(Answer){.http_status = "404", .content_type = "text/html", .only_headers = true}, GRPC_UNIMPLEMENTED,
           "unexpected HTTP status code received from server: 404; transport: received unexpected content-type "
           "\"text/html\"");
    expect(&(Answer){.reset = NGHTTP2_REFUSED_STREAM}, GRPC_UNAVAILABLE,
           "stream terminated by RST_STREAM with error code: REFUSED_STREAM");
    expect(&(Answer){.hang_up = true}, GRPC_UNAVAILABLE, "error reading from server: EOF");
}

static void test_message(void **state) {
    (void)state;
    expect(&(Answer){MESSAGE("\0\xff\xff\xff\xff\x08\1"), .status = "0"}, GRPC_RESOURCE_EXHAUSTED,
           "grpc: received message larger than max (4294967295 vs. 4194304)");
    expect(&(Answer){MESSAGE("\1\0\0\0\2\x08\1"), .status = "0"}, GRPC_INTERNAL,
           "grpc: compressed flag set with identity or empty encoding");
    expect(&(Answer){MESSAGE("\7\0\0\0\2\x08\1"), .status = "0"}, GRPC_INTERNAL,
           "grpc: received unexpected payload format 7");
    expect(&(Answer){MESSAGE("\0\0\0\0\3\x08\1"), .status = "0"}, GRPC_INTERNAL, "unexpected EOF");
    expect(&(Answer){MESSAGE("\0\0\0"), .status = "0"}, GRPC_INTERNAL, "unexpected EOF");
    expect(&(Answer){.status = "0"}, GRPC_INTERNAL,
           "cardinality violation: received no response message from non-server-streaming RPC");
    expect(&(Answer){MESSAGE(SERVING SERVING), .status = "0"}, GRPC_INTERNAL,
           "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message");
}

/* More than the windows of both sides, whole and in order. */
static void test_large(void **state) {
    (void)state;
    const size_t n = 6 * 1024 * 1024;
    _cleanup_buf_ Buf framed = BUF_INIT(BUF_NO_LIMIT);
    _cleanup_free_ uint8_t *big = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(message_frame(&framed, big, n), 0);
    HealthServer s;
    GrpcConnection *c = NULL;
    server_start(&s, &(Answer){.message = framed.data, .n = framed.len, .status = "0"});
    assert_int_equal(grpc_open(s.address, &(GrpcOptions){.message_max = n}, in_ms(5000), &c), 0);
    _cleanup_grpc_status_ GrpcStatus status;
    _cleanup_buf_ Buf answer = {0};
    grpc_call(c, &(GrpcRequest){.path = "/t.T/Big", .message = big, .n = 200000, .deadline_ns = in_ms(30000)}, &answer,
              &status);
    assert_int_equal(status.code, GRPC_OK);
    assert_int_equal(answer.len, n);
    assert_memory_equal(answer.data, big, n);
    assert_int_equal(s.request.len, 200000 + GRPC_PREFIX_SIZE);
    assert_memory_equal(s.request.data + GRPC_PREFIX_SIZE, big, 200000);
    grpc_close(c);
    server_stop(&s);
}

static void test_deadline(void **state) {
    (void)state;
    HealthServer s;
    GrpcConnection *c = NULL;
    Answer answer = {.silent = true};
    server_start(&s, &answer);
    assert_int_equal(grpc_open(s.address, NULL, in_ms(5000), &c), 0);
    for (int i = 0; i < 2; i++) { /* the connection outlives a call that took too long */
        _cleanup_grpc_status_ GrpcStatus status;
        int32_t health = -1;
        uint64_t start = now_monotonic_ns();
        health_check(c, "", in_ms(100), &health, &status);
        assert_int_equal(status.code, GRPC_DEADLINE_EXCEEDED);
        assert_in_range(now_monotonic_ns() - start, 100 * NS_PER_MS, 5000 * NS_PER_MS);
    }
    grpc_close(c);
    server_stop(&s);
    assert_int_equal(s.calls, 2);
}

static void test_no_server(void **state) {
    (void)state;
    HealthServer s;
    GrpcConnection *c = NULL;
    assert_int_equal(server_bind(&s), 0); /* bound, not listening */
    assert_int_equal(grpc_open(s.address, NULL, in_ms(5000), &c), -ECONNREFUSED);
    uint64_t start = now_monotonic_ns();
    assert_int_equal(grpc_open(s.address, &(GrpcOptions){.wait = true}, in_ms(150), &c), -ETIMEDOUT);
    assert_true(now_monotonic_ns() - start >= 150 * NS_PER_MS);
    close(s.listen_fd);
    assert_int_equal(grpc_open("unix:/nonexistent/socket", NULL, in_ms(5000), &c), -ENOENT);
    const char *const bad[] = {"",       "localhost", ":1",   "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
                               "::1:80", "[]:1",      "unix:"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(grpc_open(bad[i], &(GrpcOptions){.wait = true}, in_ms(5000), &c), -EINVAL);
    server_start(&s, &(Answer){.mute = true});
    assert_int_equal(grpc_open(s.address, NULL, in_ms(100), &c), -ETIMEDOUT);
    server_stop(&s);
    server_start(&s, &(Answer){.garbage = true});
    assert_int_equal(grpc_open(s.address, NULL, in_ms(5000), &c), -EPROTO);
    server_stop(&s);
    assert_null(c);
}

static void *listen_later(void *userdata) {
    HealthServer *s = userdata;
    nanosleep(&(struct timespec){.tv_nsec = 200 * NS_PER_MS}, NULL);
    return listen(s->listen_fd, 4) < 0 ? s : NULL;
}

static void test_wait(void **state) {
    (void)state;
    HealthServer s;
    GrpcConnection *c = NULL;
    pthread_t later;
    void *failed;
    assert_int_equal(server_bind(&s), 0);
    assert_int_equal(pthread_create(&later, NULL, listen_later, &s), 0);
    uint64_t deadline = in_ms(20000);
    server_run(&s, &(Answer){MESSAGE(SERVING), .status = "0"});
    assert_int_equal(grpc_open(s.address, &(GrpcOptions){.wait = true}, deadline, &c), 0);
    pthread_join(later, &failed);
    assert_null(failed);
    _cleanup_grpc_status_ GrpcStatus status;
    int32_t health = -1;
    health_check(c, "", deadline, &health, &status);
    assert_int_equal(health, HEALTH_SERVING);
    grpc_close(c);
    server_stop(&s);
}

static void test_forms(void **state) {
    (void)state;
    char out[GRPC_TIMEOUT_MAX];
    assert_string_equal(grpc_timeout_format(0, out), "0n");
    assert_string_equal(grpc_timeout_format(99999999, out), "99999999n");
    assert_string_equal(grpc_timeout_format(100000001, out), "100001u");
    assert_string_equal(grpc_timeout_format(NS_PER_SEC * 100, out), "100000m");
    assert_string_equal(grpc_timeout_format(UINT64_MAX, out), "5124096H");
    _cleanup_grpc_status_ GrpcStatus status = {0};
    grpc_status_set(&status, GRPC_UNAVAILABLE, "x");
    _cleanup_free_ char *named = grpc_status_words(&status);
    assert_string_equal(named, "rpc error: code = Unavailable desc = x");
    grpc_status_set(&status, 42, "y");
    _cleanup_free_ char *numbered = grpc_status_words(&status);
    assert_string_equal(numbered, "rpc error: code = Code(42) desc = y");
    char message[] = "a%2fb%0ac%zz%4";
    grpc_message_decode(message);
    assert_string_equal(message, "a/b c%zz%4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),  cmocka_unit_test(test_unix_socket), cmocka_unit_test(test_health),
        cmocka_unit_test(test_status),   cmocka_unit_test(test_message),     cmocka_unit_test(test_large),
        cmocka_unit_test(test_deadline), cmocka_unit_test(test_no_server),   cmocka_unit_test(test_wait),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
