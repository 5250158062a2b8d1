/* Upgrades end to end over plain sockets: WebSocket exec with base64 and v5 channels, refusals, raw duplexes. The
 * protocols' own clients drive the rest (tests/e2e/remote). */
#include "base/clock.h"
#include "base/str.h"
#include "http/duplex.h"
#include "http/remote.h"

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

typedef struct Fixture {
    HttpServer *server;
    atomic_int closed, refused, overflowed;
    atomic_size_t written;
} Fixture;

static void on_stdin(Remote *remote, const void *p, size_t n, void *userdata) {
    (void)userdata;
    if (n == 0)
        remote_finish(remote, 3, NULL);
    else
        assert_int_equal(remote_write(remote, REMOTE_STDOUT, p, n), 0);
}

static void on_resize(Remote *remote, uint16_t width, uint16_t height, void *userdata) {
    (void)userdata;
    char text[32];
    snprintf(text, sizeof text, "%ux%u", width, height);
    remote_write(remote, REMOTE_STDERR, text, strlen(text));
}

static void on_closed(Remote *remote, void *userdata) {
    (void)remote;
    ((Fixture *)userdata)->closed++;
}

static void on_port_data(Remote *remote, uint32_t stream, const void *p, size_t n, void *userdata) {
    (void)userdata;
    remote_port_write(remote, stream, p, n);
    if (memchr(p, '!', n))
        remote_port_error(remote, stream, "broken");
}

static const RemoteOps remote_ops = {
    .stdin_data = on_stdin, .resize = on_resize, .port_data = on_port_data, .closed = on_closed};

static void raw_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    (void)userdata;
    duplex_write2(duplex, "<", 1, p, n);
    if (memchr(p, '.', n))
        duplex_close(duplex);
}

static void raw_closed(Duplex *duplex, int error, void *userdata) {
    Fixture *f = userdata;
    f->overflowed += error == -ENOBUFS;
    f->closed++;
    duplex_unref(duplex);
}

static const DuplexOps raw_ops = {.data = raw_data, .closed = raw_closed};

static void handle(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    const char *path = http_path(request);
    if (str_has_prefix(path, "/raw") || streq(path, "/overflow")) {
        static const HttpHeader headers[] = {{"connection", "Upgrade"}, {"upgrade", "raw"}};
        Duplex *duplex = NULL;
        assert_int_equal(http_hijack(request, headers, 2, &duplex), 0);
        duplex_start(duplex, &raw_ops, f);
        static const char block[65536];
        if (streq(path, "/overflow"))
            while (duplex_write(duplex, block, sizeof block) == 0)
                f->written += sizeof block;
        return;
    }
    static const uint16_t ports[] = {80, 443};
    RemoteOptions options = {.stdin_ = true, .stdout_ = true, .stderr_ = true};
    if (streq(path, "/ports"))
        options = (RemoteOptions){.port_forward = true, .ports = ports, .n_ports = 2};
    Remote *remote = NULL;
    if (remote_accept(request, &options, &remote_ops, f, &remote) < 0)
        f->refused++;
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    HttpServerConfig config = {.handler = handle, .userdata = f, .threads = 1};
    assert_int_equal(http_server_start(&config, &f->server), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    http_server_stop(f->server, NS_PER_SEC);
    free(f);
    return 0;
}

static int dial(Fixture *f, const char *request) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(http_server_port(f->server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return fd;
}

/* Reads exactly n bytes more. */
static void must_read(int fd, const void *wanted, size_t n) {
    char *got = NEWN0(char, n + 1);
    for (size_t i = 0; i < n;) {
        ssize_t part = recv(fd, got + i, n - i, 0);
        if (part <= 0)
            fail_msg("the end after %zu of %zu bytes", i, n);
        i += (size_t)part;
    }
    assert_memory_equal(got, wanted, n);
    free(got);
}

static char *read_head(int fd) {
    Buf head = BUF_INIT(65536);
    char c;
    while (!head.data || !str_has_suffix(head.data, "\r\n\r\n")) {
        if (recv(fd, &c, 1, 0) != 1)
            fail_msg("the head ends early: %s", head.data ? head.data : "");
        buf_putc(&head, c);
    }
    return buf_take(&head, NULL);
}

static void send_frame(int fd, unsigned opcode, const void *p, size_t n) {
    unsigned char frame[256] = {(unsigned char)(0x80 | opcode), (unsigned char)(0x80 | n), 1, 2, 3, 4};
    for (size_t i = 0; i < n; i++)
        frame[6 + i] = ((const unsigned char *)p)[i] ^ frame[2 + i % 4];
    assert_int_equal(send(fd, frame, n + 6, MSG_NOSIGNAL), n + 6);
}

#define UPGRADE(path, protocol)                                                                                        \
    "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"                    \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" protocol "\r\n"
#define OUTCOME                                                                                                        \
    "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: exit status "   \
    "3\","                                                                                                             \
    "\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"3\"}]}}"

static void wait_for(atomic_int *value, int wanted) {
    for (int i = 0; i < 1000 && *value != wanted; i++)
        usleep(10000);
    assert_int_equal(*value, wanted);
}

static void test_websocket_v5(void **state) {
    Fixture *f = *state;
    int fd = dial(f, UPGRADE("/exec", "Sec-WebSocket-Protocol: v9.x, v5.channel.k8s.io\r\n"));
    _cleanup_free_ char *head = read_head(fd);
    assert_non_null(strstr(head, "HTTP/1.1 101 "));
    assert_non_null(
        strstr(head, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")); /* the example of RFC 6455 */
    assert_non_null(strstr(head, "sec-websocket-protocol: v5.channel.k8s.io\r\n"));
    must_read(fd, "\x82\1\1", 3); /* connected */
    send_frame(fd, 2, "\0hello", 6);
    must_read(fd, "\x82\6\1hello", 8);
    send_frame(fd, 9, "beat", 4);
    must_read(fd, "\x8a\4beat", 6);
    send_frame(fd, 2, "\4{\"Width\":80,\"Hei", 17);
    send_frame(fd, 2, "\4ght\":24}{\"height\":1, \"width\" : 2}", 34);
    must_read(fd,
              "\x82\6\2"
              "80x24\x82\4\2"
              "2x1",
              14);
    send_frame(fd, 2, "\xff\0", 2); /* no more input */
    size_t n = strlen(OUTCOME) + 1; /* a frame with a length of two bytes */
    const char frame_head[] = {(char)0x82, 0x7e, (char)(n >> 8), (char)n, 3};
    must_read(fd, frame_head, sizeof frame_head);
    must_read(fd, OUTCOME, n - 1);
    must_read(fd, "\x88\2\3\xe8", 4); /* closed normally */
    wait_for(&f->closed, 1);
    close(fd);
}

static void test_websocket_base64_and_old(void **state) {
    Fixture *f = *state;
    int fd = dial(f, UPGRADE("/exec", "Sec-WebSocket-Protocol: base64.channel.k8s.io\r\n"));
    free(read_head(fd));
    must_read(fd,
              "\x81\1"
              "1",
              3);
    send_frame(fd, 1, "0aGVsbG8=", 9);
    must_read(fd,
              "\x81\x9"
              "1aGVsbG8=",
              11);
    send_frame(fd, 8, "\3\xe8", 2);
    must_read(fd, "\x88\2\3\xe8", 4);
    wait_for(&f->closed, 1);
    close(fd);
}

static void test_websocket_portforward(void **state) {
    Fixture *f = *state;
    int fd = dial(f, UPGRADE("/ports", "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"));
    free(read_head(fd));
    must_read(fd, "\x82\3\0\x50\0\x82\3\1\x50\0\x82\3\2\xbb\1\x82\3\3\xbb\1", 20);
    send_frame(fd, 2, "\2page", 5);
    must_read(fd, "\x82\5\2page", 7);
    send_frame(fd, 2, "\0!", 2);
    must_read(fd, "\x82\2\0!\x82\7\1broken", 13);
    send_frame(fd, 2, "\2!", 2);
    must_read(fd, "\x82\2\2!\x82\7\3broken\x88\2\3\xe8", 17);
    wait_for(&f->closed, 1);
    close(fd);
}

static void expect_refusal(Fixture *f, const char *request, const char *status) {
    int before = f->refused, fd = dial(f, request);
    _cleanup_free_ char *head = read_head(fd);
    if (!strstr(head, status))
        fail_msg("not %s: %s", status, head);
    wait_for(&f->refused, before + 1);
    close(fd);
}

static void test_refusals(void **state) {
    Fixture *f = *state;
    expect_refusal(f, "GET /exec HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 ");
    expect_refusal(f, UPGRADE("/exec", "Sec-WebSocket-Protocol: v9.channel.k8s.io\r\n"), "HTTP/1.1 403 ");
    expect_refusal(f, "GET /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                   "HTTP/1.1 400 ");
    expect_refusal(f, "POST /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n",
                   "HTTP/1.1 400 ");
    expect_refusal(f,
                   "POST /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: "
                   "SPDY/3.1\r\nX-Stream-Protocol-Version: v9\r\n\r\n",
                   "x-accepted-stream-protocol-versions: v4.channel.k8s.io");
    assert_int_equal(f->closed, 0);
}

static void test_a_broken_frame_ends_the_connection(void **state) {
    Fixture *f = *state;
    int fd = dial(f, UPGRADE("/exec", ""));
    free(read_head(fd));
    must_read(fd, "\x82\1\1", 3);
    assert_int_equal(send(fd, "\x82\2xx", 4, MSG_NOSIGNAL), 4); /* not masked */
    must_read(fd, "\x88", 1);
    wait_for(&f->closed, 1);
    close(fd);
}

static void test_raw_connection_with_early_bytes(void **state) {
    Fixture *f = *state;
    int fd = dial(f, "GET /raw HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nearly");
    _cleanup_free_ char *head = read_head(fd);
    assert_non_null(strstr(head, "upgrade: raw\r\n"));
    must_read(fd, "<early", 6);
    assert_int_equal(send(fd, "end.", 4, MSG_NOSIGNAL), 4);
    must_read(fd, "<end.", 5);
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 0);
    wait_for(&f->closed, 1);
    close(fd);
}

static void test_a_peer_that_does_not_read_is_cut_off(void **state) {
    Fixture *f = *state;
    int fd = dial(f, "GET /overflow HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
    wait_for(&f->closed, 1);
    assert_int_equal(f->overflowed, 1);
    assert_true(f->written <= DUPLEX_WRITE_MAX);
    close(fd);
}

static void test_stop_closes_sessions(void **state) {
    Fixture *f = *state;
    int fd = dial(f, UPGRADE("/exec", "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"));
    free(read_head(fd));
    must_read(fd, "\x82\1\1", 3);
    http_server_stop(f->server, NS_PER_SEC);
    assert_int_equal(f->closed, 1);
    close(fd);
    HttpServerConfig config = {.handler = handle, .userdata = f, .threads = 1};
    assert_int_equal(http_server_start(&config, &f->server), 0); /* for teardown */
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_websocket_v5),
        TEST(test_websocket_base64_and_old),
        TEST(test_websocket_portforward),
        TEST(test_refusals),
        TEST(test_a_broken_frame_ends_the_connection),
        TEST(test_raw_connection_with_early_bytes),
        TEST(test_a_peer_that_does_not_read_is_cut_off),
        TEST(test_stop_closes_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
