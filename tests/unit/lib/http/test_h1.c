/* HTTP/1.1 over plain sockets: what a client writes, byte by byte, and what it must read. */
#include "base/clock.h"
#include "base/str.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_BODY 65536

typedef struct Fixture {
    HttpServer *server;
    atomic_int opened, closed;
    atomic_size_t produced;
    HttpRequest *_Atomic kept; /* by /later and /held */
    Buf upload;                /* taken of a streamed body; the loop's */
    atomic_bool broken;        /* it came to no end */
} Fixture;

static const HttpHeader plain = {"content-type", "text/plain"};

static HttpStreamResult pull_count(HttpRequest *request, void *userdata) {
    int *left = userdata;
    char line[32];
    int n = snprintf(line, sizeof line, "line %d\n", *left);
    http_stream_write(request, http_bytes_copy(line, (size_t)n));
    return --*left == 0 ? HTTP_STREAM_END : HTTP_STREAM_MORE;
}

static void count_closed(HttpRequest *request, void *userdata) {
    (void)request;
    free(userdata);
}

static HttpStreamResult pull_flood(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    static const char block[4096] = "x";
    http_stream_write(request, (HttpBytes){.data = block, .len = sizeof block});
    f->produced += sizeof block;
    return HTTP_STREAM_MORE;
}

static HttpStreamResult pull_nothing(HttpRequest *request, void *userdata) {
    (void)request, (void)userdata;
    return HTTP_STREAM_WAIT;
}

static void watch_closed(HttpRequest *request, void *userdata) {
    (void)request;
    ((Fixture *)userdata)->closed++;
}

static const HttpStreamOps count_ops = {pull_count, count_closed};
static const HttpStreamOps flood_ops = {pull_flood, watch_closed};
static const HttpStreamOps watch_ops = {pull_nothing, watch_closed};

static bool streams(const HttpRequest *request, void *userdata) {
    (void)userdata;
    return str_in(http_path(request), (const char *const[]){"/upload", "/held", "/refused", NULL});
}

static void take_upload(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    if (http_body_take(request, &f->upload) != HTTP_BODY_ENDED)
        return;
    Buf out = BUF_INIT(1024);
    uint64_t sum = 0;
    for (size_t i = 0; i < f->upload.len; i++)
        sum = sum * 31 + (unsigned char)f->upload.data[i];
    buf_printf(&out, "%zu %llx", f->upload.len, (unsigned long long)sum);
    buf_done(&f->upload);
    http_reply(request, 200, &plain, 1, http_bytes_take(&out));
}

static void upload_gone(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    f->broken = http_body_take(request, &f->upload) == HTTP_BODY_BROKEN;
    buf_done(&f->upload);
}

static void begin_upload(Fixture *f, HttpRequest *request) {
    f->upload = BUF_INIT(BUF_NO_LIMIT);
    http_body_on_ready(request, take_upload, f);
    http_request_on_gone(request, upload_gone, f);
    take_upload(request, f);
}

static void handle(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    const char *path = http_path(request);
    if (streq(path, "/upload")) {
        begin_upload(f, request);
    } else if (streq(path, "/held")) { /* nothing is taken for now */
        atomic_store(&f->kept, http_request_ref(request));
    } else if (streq(path, "/refused")) {
        http_reply(request, 403, &plain, 1, http_bytes_copy("no", 2));
    } else if (streq(path, "/count")) {
        int *left = NEW(int);
        *left = 3000;
        http_stream_start(request, 200, &plain, 1, &count_ops, left);
    } else if (streq(path, "/flood") || streq(path, "/watch")) {
        f->opened++;
        if (streq(http_query(request), "cut"))
            http_request_cut_at(request, now_monotonic_ns() + 200 * NS_PER_MS);
        http_stream_start(request, 200, &plain, 1, streq(path, "/flood") ? &flood_ops : &watch_ops, f);
    } else if (streq(path, "/later"))
        atomic_store(&f->kept, http_request_ref(request));
    else {
        size_t n = 0;
        const char *body = http_body(request, &n);
        Buf out = BUF_INIT(MAX_BODY * 2);
        buf_printf(&out, "%s %s ?%s %zu:%.*s x=%s", http_method(request), path, http_query(request), n,
                   n < 64 ? (int)n : 0, body, str_or(http_header(request, "x-test"), "-"));
        /* As a relay might pass them: one split, three that are the front door's, one in another case. */
        static const HttpHeader headers[] = {{"content-type", "text/plain"}, {"x-split", "a\r\nx-smuggled: b"},
                                             {"Content-Length", "1"},        {"transfer-encoding", "chunked"},
                                             {"connection", "close"},        {"X-Case", "kept"}};
        http_reply(request, 200, headers, ELEMENTSOF(headers), http_bytes_take(&out));
    }
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    HttpServerConfig config = {.handler = handle,
                               .streams = streams,
                               .userdata = f,
                               .threads = 2,
                               .max_body = MAX_BODY,
                               .max_connections = 200};
    assert_int_equal(http_server_start(&config, &f->server), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    if (f->server)
        http_server_stop(f->server, NS_PER_SEC);
    free(f);
    return 0;
}

static int dial(Fixture *f) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(http_server_port(f->server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static void put(int fd, const char *s) {
    assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

/* Reads to the end, or until `until` was seen. Owned by the caller. */
static char *get(int fd, const char *until) {
    Buf out = BUF_INIT(16 * 1024 * 1024);
    char chunk[16384];
    for (;;) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0) {
            assert_true(n == 0 || errno == ECONNRESET);
            break;
        }
        buf_append(&out, chunk, (size_t)n);
        if (until && strstr(out.data, until))
            break;
    }
    buf_puts(&out, "");
    return buf_take(&out, NULL);
}

static void expect(Fixture *f, const char *request, const char *const *parts) {
    int fd = dial(f);
    put(fd, request);
    _cleanup_free_ char *answer = get(fd, NULL);
    close(fd);
    const char *at = answer;
    for (size_t i = 0; parts[i]; i++) {
        const char *found = strstr(at, parts[i]);
        if (!found)
            fail_msg("no \"%s\" in:\n%s", parts[i], answer);
        at = found + strlen(parts[i]);
    }
}
#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_pipelined_requests_are_answered_in_order(void **state) {
    expect(*state,
           "GET /1?a=b HTTP/1.1\r\nHost: h\r\nX-Test: one\r\n\r\n"
           "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: "
           "t\r\n\r\n"
           "HEAD /3 HTTP/1.1\r\nHost: h\r\n\r\n"
           "GET /count HTTP/1.1\r\nHost: h\r\n\r\n"
           "GET http://h/4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Test:\r\n\r\n",
           PARTS("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-case: kept\r\ndate: ", "GET /1 ?a=b 0: x=one",
                 "POST /2 ? 5:abcde x=-", "content-length: 16", "\r\n\r\nHTTP/1.1 200", "transfer-encoding: chunked",
                 "line 3000\n", "line 1\n", "\r\n0\r\n\r\nHTTP/1.1 200", "connection: close", "GET /4 ? 0: x=-"));
}

static uint64_t sum_of(const char *p, size_t n, uint64_t sum) {
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)p[i];
    return sum;
}

/* Longer than any body that is read whole, in both ways of saying how long it is, and the next request after it. */
static void test_streamed_bodies(void **state) {
    Fixture *f = *state;
    static char block[50000];
    const int blocks = 100;
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7 + i / 251);
    for (int i = 0; i < blocks; i++)
        sum = sum_of(block, sizeof block, sum);
    for (int chunked = 0; chunked < 2; chunked++) {
        _cleanup_free_ char *want = xasprintf("%zu %llx", blocks * sizeof block, (unsigned long long)sum);
        int fd = dial(f);
        put(fd, chunked ? "POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        : "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n");
        for (int i = 0; i < blocks; i++) {
            put(fd, chunked ? "c350\r\n" : "");
            assert_int_equal(send(fd, block, sizeof block, MSG_NOSIGNAL), sizeof block);
            put(fd, chunked ? "\r\n" : "");
        }
        put(fd, chunked ? "0\r\n\r\n" : "");
        _cleanup_free_ char *answer = get(fd, want);
        assert_non_null(strstr(answer, "HTTP/1.1 200 "));
        put(fd, "GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        _cleanup_free_ char *after = get(fd, NULL);
        assert_non_null(strstr(after, "GET /after"));
        close(fd);
    }
}

static void release_upload(void *userdata) {
    Fixture *f = userdata;
    HttpRequest *request = atomic_exchange(&f->kept, NULL);
    begin_upload(f, request);
    http_request_unref(request);
}

/* Sends until nothing has been taken for half a second; how much went. */
static size_t send_until_stuck(int fd, size_t most) {
    static char block[65536];
    size_t sent = 0;
    struct timeval patience = {.tv_usec = 500000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (sent < most) {
        ssize_t n = send(fd, block, MIN(sizeof block, most - sent), MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

/* What is not taken holds the client down, and goes on once it is. */
static void test_streamed_body_holds_the_client(void **state) {
    Fixture *f = *state;
    const size_t all = 64 * 1024 * 1024;
    int fd = dial(f);
    put(fd, "POST /held HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n");
    size_t sent = send_until_stuck(fd, all);
    assert_true(sent < all / 2);
    loop_post(http_request_loop(f->kept), release_upload, f);
    while (sent < all) {
        size_t n = send_until_stuck(fd, all - sent);
        assert_true(n > 0);
        sent += n;
    }
    _cleanup_free_ char *answer = get(fd, "67108864 ");
    assert_non_null(strstr(answer, "67108864 0"));
    close(fd);
}

/* A reply that does not wait for the body ends the connection; a body that is cut off ends the request. */
static void test_streamed_body_that_is_not_read(void **state) {
    Fixture *f = *state;
    int fd = dial(f);
    put(fd, "POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
    _cleanup_free_ char *answer = get(fd, NULL);
    close(fd);
    assert_non_null(strstr(answer, "HTTP/1.1 403 "));
    assert_non_null(strstr(answer, "connection: close"));
    for (int malformed = 0; malformed < 2; malformed++) {
        f->broken = false;
        fd = dial(f);
        put(fd, "POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        put(fd, malformed ? "zz\r\n" : "5\r\nab");
        if (!malformed)
            shutdown(fd, SHUT_WR);
        uint64_t end = now_monotonic_ns() + 5 * NS_PER_SEC;
        while (!f->broken && now_monotonic_ns() < end)
            usleep(1000);
        assert_true(f->broken);
        close(fd);
    }
}

static void test_bad_requests_get_clear_answers(void **state) {
    Fixture *f = *state;
    expect(f, "nonsense\r\n\r\n", PARTS("HTTP/1.1 400 ", "connection: close", "\"reason\":\"BadRequest\""));
    expect(f, "GET / HTTP/1.1\r\n\r\n", PARTS("HTTP/1.1 400 "));
    expect(f, "GET no-slash HTTP/1.1\r\nHost: h\r\n\r\n", PARTS("HTTP/1.1 400 "));
    expect(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n",
           PARTS("HTTP/1.1 413 ", "Request entity too large: limit is 65536", "RequestEntityTooLarge"));
    expect(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           PARTS("HTTP/1.1 400 "));
    expect(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", PARTS("HTTP/1.1 "));
    expect(f, "GET / HTTP/1.0\r\n\r\n", PARTS("HTTP/1.1 200 ", "connection: close"));
    expect(f, "GET /count HTTP/1.0\r\n\r\n", PARTS("connection: close\r\n\r\nline 3000\n", "line 1\n"));
}

static void test_limits_of_head_and_chunked_body(void **state) {
    Fixture *f = *state;
    int fd = dial(f);
    put(fd, "GET / HTTP/1.1\r\nHost: h\r\n");
    char line[1100];
    snprintf(line, sizeof line, "X-Large: %01000d\r\n", 0);
    for (int i = 0; i < 70; i++)
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
            break;
    _cleanup_free_ char *answer = get(fd, NULL);
    close(fd);
    assert_non_null(strstr(answer, "HTTP/1.1 431 "));
    /* 100 MB in chunks: refused at the limit, and memory does not follow. */
    fd = dial(f);
    put(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    char *chunk = NEWN0(char, 65545);
    memcpy(chunk, "10000\r\n", 7);
    memcpy(chunk + 7 + 65536, "\r\n", 2);
    for (int i = 0; i < 1600; i++)
        if (send(fd, chunk, 65545, MSG_NOSIGNAL) < 0)
            break;
    _cleanup_free_ char *second = get(fd, NULL);
    close(fd);
    free(chunk);
    /* A client that goes on sending after the linger time may see a reset instead. */
    assert_true(strstr(second, "HTTP/1.1 413 ") || second[0] == 0);
}

static void test_expect_continue(void **state) {
    Fixture *f = *state;
    int fd = dial(f);
    put(fd, "POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
    _cleanup_free_ char *first = get(fd, "\r\n\r\n");
    assert_string_equal(first, "HTTP/1.1 100 Continue\r\n\r\n");
    put(fd, "ok");
    _cleanup_free_ char *second = get(fd, NULL);
    assert_non_null(strstr(second, "POST /e ? 2:ok"));
    close(fd);
    expect(f, "POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
           PARTS("HTTP/1.1 413 "));
}

static void test_a_byte_at_a_time(void **state) {
    int fd = dial(*state);
    const char *request = "POST /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nslow";
    for (const char *p = request; *p; p++)
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
    _cleanup_free_ char *answer = get(fd, NULL);
    assert_non_null(strstr(answer, "POST /slow ? 4:slow"));
    close(fd);
}

static void wait_for(atomic_int *value, int wanted) {
    for (int i = 0; i < 2000 && *value != wanted; i++)
        usleep(10000);
    assert_int_equal(*value, wanted);
}

static void test_a_slow_reader_costs_a_bounded_amount(void **state) {
    Fixture *f = *state;
    int fd = dial(f), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    put(fd, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&f->opened, 1);
    size_t before;
    do { /* until nothing is produced any more */
        before = f->produced;
        usleep(200000);
    } while (!before || f->produced != before);
    assert_true(before < 16 * 1024 * 1024); /* the kernel's socket buffers; ours is some tens of KB */
    assert_int_equal(f->closed, 0);
    close(fd);
    wait_for(&f->closed, 1);
}

/* A reply that is not out at its time ends with its connection, without the chunk that would end its body; whether the
 * client takes it or not. */
static void test_cut_replies(void **state) {
    Fixture *f = *state;
    int fd = dial(f);
    put(fd, "GET /flood?cut HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&f->closed, 1); /* it reads nothing yet */
    _cleanup_free_ char *answer = get(fd, NULL);
    assert_true(str_has_prefix(answer, "HTTP/1.1 200 "));
    assert_false(str_has_suffix(answer, "\r\n0\r\n\r\n"));
    close(fd);
}

static void test_a_watch_ends_with_its_client(void **state) {
    Fixture *f = *state;
    int fds[100];
    for (int i = 0; i < 100; i++) {
        fds[i] = dial(f);
        put(fds[i], "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
        free(get(fds[i], "\r\n\r\n"));
    }
    assert_int_equal(f->opened, 100);
    assert_int_equal(f->closed, 0);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    wait_for(&f->closed, 100);
}

static HttpRequest *wait_kept(Fixture *f) {
    HttpRequest *request = NULL;
    for (int i = 0; i < 2000 && !(request = atomic_exchange(&f->kept, NULL)); i++)
        usleep(5000);
    assert_non_null(request);
    return request;
}

static void test_a_reply_from_another_thread(void **state) {
    Fixture *f = *state;
    int fd = dial(f);
    put(fd, "GET /later HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    HttpRequest *request = wait_kept(f);
    http_reply(request, 201, &plain, 1, http_bytes_copy("later", 5));
    http_request_unref(request);
    _cleanup_free_ char *answer = get(fd, NULL);
    assert_non_null(strstr(answer, "HTTP/1.1 201 Created"));
    assert_true(str_has_suffix(answer, "\r\n\r\nlater"));
    close(fd);
}

static void test_a_reply_to_a_client_that_left(void **state) {
    Fixture *f = *state;
    int fd = dial(f);
    put(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    HttpRequest *request = wait_kept(f);
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    usleep(50000);
    f->closed = 0;
    http_stream_start(request, 200, &plain, 1, &watch_ops, f);
    http_request_unref(request);
    wait_for(&f->closed, 1);
}

static void *stop_server(void *server) {
    http_server_stop(server, 10 * NS_PER_SEC);
    return NULL;
}

static void test_stop_ends_watches_and_waits_for_replies(void **state) {
    Fixture *f = *state;
    int watch = dial(f), later = dial(f), idle = dial(f);
    put(watch, "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    free(get(watch, "\r\n\r\n"));
    put(later, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    HttpRequest *request = wait_kept(f);
    pthread_t thread;
    HttpServer *server = TAKE_PTR(f->server);
    pthread_create(&thread, NULL, stop_server, server);
    _cleanup_free_ char *end = get(watch, NULL);
    assert_string_equal(end, "0\r\n\r\n");
    wait_for(&f->closed, 1);
    http_reply(request, 200, &plain, 1, http_bytes_copy("done", 4));
    _cleanup_free_ char *answer = get(later, NULL);
    assert_true(str_has_suffix(answer, "\r\n\r\ndone"));
    close(watch), close(later), close(idle);
    pthread_join(thread, NULL);
    /* The request outlives its server. */
    assert_string_equal(http_path(request), "/later");
    http_request_unref(request);
}

static bool is_refused(int fd) {
    char c;
    ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_too_many_connections(void **state) {
    Fixture *f = *state;
    int fds[210], n_refused = 0;
    bool refused[210] = {0};
    for (int i = 0; i < 210; i++)
        fds[i] = dial(f);
    for (int round = 0, last = 0; round < 1000 && !last; round++) { /* one more look once there are ten: no others go */
        last = n_refused >= 10;
        usleep(10000);
        for (int i = 0; i < 210; i++)
            if (!refused[i] && is_refused(fds[i])) {
                refused[i] = true;
                n_refused++;
            }
    }
    for (int i = 0; i < 210; i++)
        close(fds[i]);
    assert_int_equal(n_refused, 10);
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cut_replies),
        TEST(test_pipelined_requests_are_answered_in_order),
        TEST(test_bad_requests_get_clear_answers),
        TEST(test_limits_of_head_and_chunked_body),
        TEST(test_expect_continue),
        TEST(test_streamed_bodies),
        TEST(test_streamed_body_holds_the_client),
        TEST(test_streamed_body_that_is_not_read),
        TEST(test_a_byte_at_a_time),
        TEST(test_a_slow_reader_costs_a_bounded_amount),
        TEST(test_a_watch_ends_with_its_client),
        TEST(test_a_reply_from_another_thread),
        TEST(test_a_reply_to_a_client_that_left),
        TEST(test_stop_ends_watches_and_waits_for_replies),
        TEST(test_too_many_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
