/* Streams of the gRPC client: many messages one way and both, flow control, ends, waking. */
#include "base/clock.h"
#include "base/str.h"
#include "grpc/client.h"

#include "health_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MESSAGE(s) .message = s, .n = sizeof s - 1
#define THREE "\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\2bc" /* "a", "", "bc" */

static uint64_t in_ms(uint64_t ms) {
    return now_monotonic_ns() + ms * NS_PER_MS;
}

typedef struct World {
    HealthServer server;
    GrpcConnection *connection;
    GrpcStream *stream;
} World;

static void begin(World *w, const Answer *answer, GrpcStreamKind kind, uint64_t deadline_ns) {
    server_start(&w->server, answer);
    assert_int_equal(grpc_open(w->server.address, NULL, in_ms(5000), &w->connection), 0);
    GrpcRequest request = {.path = "/x.Y/Z",
                           .message = kind == GRPC_BIDIRECTIONAL ? NULL : "q",
                           .n = kind == GRPC_BIDIRECTIONAL ? 0 : 1,
                           .deadline_ns = deadline_ns};
    w->stream = grpc_stream_open(w->connection, kind, &request, w);
    assert_ptr_equal(grpc_stream_userdata(w->stream), w);
}

static void end(World *w) {
    grpc_stream_close(w->stream);
    grpc_close(w->connection);
    server_stop(&w->server);
}

static void expect_message(World *w, const char *text) {
    _cleanup_buf_ Buf message = {0};
    assert_null(grpc_stream_status(w->stream));
    assert_int_equal(grpc_stream_receive(w->stream, in_ms(5000), &message), 1);
    assert_int_equal(message.len, strlen(text));
    if (message.len)
        assert_memory_equal(message.data, text, message.len);
}

static void expect_end(World *w, uint32_t code, const char *text) {
    Buf message = {0};
    assert_int_equal(grpc_stream_receive(w->stream, in_ms(5000), &message), 0);
    const GrpcStatus *status = grpc_stream_status(w->stream);
    assert_non_null(status);
    assert_string_equal(status->message ? status->message : "", text);
    assert_int_equal(status->code, code);
}

static void test_messages(void **state) {
    (void)state;
    World w;
    begin(&w, &(Answer){MESSAGE(THREE), .status = "0"}, GRPC_SERVER_STREAM, in_ms(5000));
    expect_message(&w, "a");
    expect_message(&w, "");
    expect_message(&w, "bc");
    expect_end(&w, GRPC_OK, "");
    assert_null(strstr(w.server.fields.data, "grpc-timeout: 0"));
    end(&w);
}

static void test_no_deadline(void **state) {
    (void)state;
    World w;
    begin(&w, &(Answer){MESSAGE(THREE), .status = "0"}, GRPC_SERVER_STREAM, GRPC_NEVER);
    expect_message(&w, "a");
    assert_null(strstr(w.server.fields.data, "grpc-timeout"));
    end(&w);
}

static void test_ends(void **state) {
    (void)state;
    static const struct {
        Answer answer;
        uint32_t code;
        const char *text;
    } cases[] = {
        {{MESSAGE("\0\0\0\0\1a"), .status = "7", .text = "no"}, GRPC_PERMISSION_DENIED, "no"},
        {{MESSAGE("\0\0\0\0\1a\0\0\0\0\5b"), .status = "0"}, GRPC_INTERNAL, "unexpected EOF"},
        {{MESSAGE("\0\0\0\0\1a\1\0\0\0\1b"), .status = "0"},
         GRPC_INTERNAL,
         "grpc: compressed flag set with identity or empty encoding"},
        {{MESSAGE("\0\0\0\0\1a\0\1\0\0\0"), .status = "0"},
         GRPC_RESOURCE_EXHAUSTED,
         "grpc: received message larger than max (16777216 vs. 4194304)"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        World w;
        begin(&w, &cases[i].answer, GRPC_SERVER_STREAM, in_ms(5000));
        expect_message(&w, "a");
        expect_end(&w, cases[i].code, cases[i].text);
        end(&w);
    }
}

static void test_hang_up(void **state) {
    (void)state;
    World w;
    begin(&w, &(Answer){.hang_up = true}, GRPC_SERVER_STREAM, GRPC_NEVER);
    expect_end(&w, GRPC_UNAVAILABLE, "error reading from server: EOF");
    assert_false(grpc_is_usable(w.connection));
    assert_int_not_equal(grpc_turn(w.connection, in_ms(1)), 0);
    end(&w);
}

static void test_both_ways(void **state) {
    (void)state;
    World w;
    begin(&w, &(Answer){MESSAGE("\0\0\0\0\1a"), .status = "0"}, GRPC_BIDIRECTIONAL, GRPC_NEVER);
    Buf none = {0};
    assert_int_equal(grpc_stream_receive(w.stream, in_ms(50), &none), -ETIMEDOUT); /* nothing was asked yet */
    assert_int_equal(grpc_stream_send(w.stream, "one", 3), 0);
    assert_int_equal(grpc_stream_receive(w.stream, in_ms(50), &none), -ETIMEDOUT);
    assert_int_equal(grpc_stream_send(w.stream, "", 0), 0);
    grpc_stream_end(w.stream);
    assert_int_equal(grpc_stream_send(w.stream, "late", 4), -EPIPE);
    expect_message(&w, "a"); /* this server answers at the end of what comes in */
    expect_end(&w, GRPC_OK, "");
    server_end(&w.server);
    assert_int_equal(w.server.request.len, 8 + 5);
    assert_memory_equal(w.server.request.data, "\0\0\0\0\3one\0\0\0\0\0", 13);
    end(&w);
}

static void test_deadline_and_cancel(void **state) {
    (void)state;
    World w;
    begin(&w, &(Answer){.silent = true}, GRPC_SERVER_STREAM, in_ms(100));
    expect_end(&w, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    /* one that is given up takes the connection nothing away */
    GrpcRequest request = {.path = "/x.Y/Z", .message = "", .deadline_ns = GRPC_NEVER};
    GrpcStream *given_up = grpc_stream_open(w.connection, GRPC_SERVER_STREAM, &request, NULL);
    assert_int_equal(grpc_turn(w.connection, in_ms(50)), 0);
    assert_ptr_equal(grpc_next_ready(w.connection), NULL);
    grpc_stream_close(given_up);
    /* nor one that never left */
    grpc_stream_close(grpc_stream_open(w.connection, GRPC_BIDIRECTIONAL, &request, NULL));
    assert_int_equal(grpc_turn(w.connection, in_ms(50)), 0);
    assert_true(grpc_is_usable(w.connection));
    end(&w);
}

static void *wake_later(void *userdata) {
    nanosleep(&(struct timespec){.tv_nsec = 50 * NS_PER_MS}, NULL);
    grpc_wake(userdata);
    return NULL;
}

static void test_wake(void **state) {
    (void)state;
    World w;
    pthread_t thread;
    Buf none = {0};
    begin(&w, &(Answer){.silent = true}, GRPC_SERVER_STREAM, GRPC_NEVER);
    assert_int_equal(pthread_create(&thread, NULL, wake_later, w.connection), 0);
    assert_int_equal(grpc_stream_receive(w.stream, GRPC_NEVER, &none), -EINTR);
    pthread_join(thread, NULL);
    assert_int_equal(grpc_stream_receive(w.stream, in_ms(20), &none), -ETIMEDOUT); /* once */
    end(&w);
}

/* A server whose messages nobody takes stops at the stream's window. */
static void test_flow_control(void **state) {
    (void)state;
    enum { SIZE = 65536, COUNT = 128, WINDOW = 1024 * 1024 };
    _cleanup_free_ char *messages = xcalloc(COUNT, 5 + SIZE);
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(messages + i * (5 + SIZE), "\0\0\1\0\0", 5);
        messages[i * (5 + SIZE) + 5] = (char)i;
    }
    Answer answer = {.message = messages, .n = COUNT * (5 + SIZE), .status = "0"};
    World w;
    begin(&w, &answer, GRPC_SERVER_STREAM, GRPC_NEVER);
    for (int i = 0; i < 20; i++)
        assert_int_equal(grpc_turn(w.connection, in_ms(10)), 0);
    size_t arrived = 0;
    for (Buf message; grpc_stream_take(w.stream, &message);) {
        assert_int_equal(message.len, SIZE);
        assert_int_equal((uint8_t)message.data[0], arrived++);
        buf_done(&message);
    }
    assert_in_range(arrived, 1, WINDOW / SIZE + 1);
    for (; arrived < COUNT; arrived++) {
        _cleanup_buf_ Buf message = {0};
        assert_int_equal(grpc_stream_receive(w.stream, in_ms(5000), &message), 1);
        assert_int_equal((uint8_t)message.data[0], arrived);
    }
    expect_end(&w, GRPC_OK, "");
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),  cmocka_unit_test(test_no_deadline),
        cmocka_unit_test(test_ends),      cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_deadline_and_cancel),
        cmocka_unit_test(test_wake),      cmocka_unit_test(test_flow_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
