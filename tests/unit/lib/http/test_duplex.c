/* Connections this side opens: TLS and plain, to a server of the test's own and to a bare socket. */
#include "../../support/pki_fixture.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/duplex.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Fixture {
    PkiFixture pki;
    HttpServer *server;
    Loop *loop;
    Buf seen;
    int closed, error, drained;
    Source *timer;
} Fixture;

static void handle(HttpRequest *request, void *userdata) {
    (void)userdata;
    static const HttpHeader header = {"content-type", "text/plain"};
    const char *cn = str_or(http_peer_cn(request), "nobody");
    http_reply(request, 200, &header, 1, http_bytes_copy(cn, strlen(cn)));
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    pki_fixture_make(&f->pki);
    HttpServerConfig config = {.cert_file = f->pki.cert,
                               .key_file = f->pki.key,
                               .client_ca_file = f->pki.ca_cert,
                               .handler = handle,
                               .userdata = f,
                               .threads = 1};
    assert_int_equal(http_server_start(&config, &f->server), 0);
    assert_int_equal(loop_new(&f->loop), 0);
    f->seen = BUF_INIT(16 * 1024 * 1024);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    http_server_stop(f->server, NS_PER_SEC);
    source_unref(f->timer);
    loop_free(f->loop);
    buf_done(&f->seen);
    pki_fixture_remove(&f->pki);
    free(f);
    return 0;
}

static void on_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    (void)duplex;
    buf_append(&((Fixture *)userdata)->seen, p, n);
}

static void on_drained(Duplex *duplex, void *userdata) {
    (void)duplex;
    ((Fixture *)userdata)->drained++;
}

static void on_closed(Duplex *duplex, int error, void *userdata) {
    Fixture *f = userdata;
    f->closed++;
    f->error = error;
    loop_exit(duplex_loop(duplex), 0);
}

static const DuplexOps ops = {on_data, on_drained, on_closed};

static void ask(Fixture *f, DuplexConnect *to, const char *wanted) {
    Duplex *duplex = NULL;
    assert_int_equal(duplex_connect(f->loop, to, &duplex), 0);
    const char *request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert_int_equal(duplex_write(duplex, request, strlen(request)), 0);
    buf_clear(&f->seen);
    f->closed = 0;
    duplex_start(duplex, &ops, f);
    loop_run(f->loop);
    assert_int_equal(f->closed, 1);
    assert_int_equal(f->error, 0);
    assert_int_equal(duplex_write(duplex, "x", 1), -EPIPE);
    duplex_unref(duplex);
    assert_true(str_has_suffix(f->seen.data, wanted));
}

static void test_tls(void **state) {
    Fixture *f = *state;
    DuplexConnect to = {.host = "127.0.0.1",
                        .port = http_server_port(f->server),
                        .tls = true,
                        .ca_file = f->pki.ca_cert,
                        .timeout_ns = 10 * NS_PER_SEC};
    ask(f, &to, "\r\n\r\nnobody");
    to.cert_file = f->pki.cert;
    to.key_file = f->pki.key;
    to.server_name = "named";
    ask(f, &to, "\r\n\r\nboth");
    Duplex *none = NULL;
    to.server_name = "another";
    assert_int_equal(duplex_connect(f->loop, &to, &none), -EACCES);
    to.server_name = NULL;
    to.ca_file = f->pki.other_cert;
    assert_int_equal(duplex_connect(f->loop, &to, &none), -EACCES);
    /* After a reload the server shows the other CA's certificate. */
    HttpServerConfig other = {.cert_file = "/nowhere", .key_file = f->pki.key};
    assert_true(http_server_reload(f->server, &other) < 0);
    other = (HttpServerConfig){.cert_file = f->pki.other_cert, .key_file = f->pki.other_key};
    assert_int_equal(http_server_reload(f->server, &other), 0);
    to.cert_file = to.key_file = NULL;
    to.ca_file = f->pki.ca_cert;
    assert_int_equal(duplex_connect(f->loop, &to, &none), -EACCES);
    assert_null(none);
}

static int listen_any(uint16_t *ret_port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void on_tick(Source *source, void *userdata) {
    (void)source;
    loop_exit(userdata, 1);
}

static void run_for(Fixture *f, uint64_t ns) {
    f->timer = source_unref(f->timer);
    loop_add_timer(f->loop, now_monotonic_ns() + ns, on_tick, f->loop, &f->timer);
    loop_run(f->loop);
}

static void test_plain_pause_and_half_close(void **state) {
    Fixture *f = *state;
    uint16_t port = 0;
    int listener = listen_any(&port);
    DuplexConnect to = {.host = "127.0.0.1", .port = port, .timeout_ns = 5 * NS_PER_SEC};
    Duplex *duplex = NULL;
    assert_int_equal(duplex_connect(f->loop, &to, &duplex), 0);
    int peer = accept(listener, NULL, NULL);
    duplex_start(duplex, &ops, f);
    duplex_pause(duplex, true);
    assert_int_equal(send(peer, "held back", 9, 0), 9);
    run_for(f, 50 * NS_PER_MS);
    assert_int_equal(f->seen.len, 0);
    /* Our end goes, theirs still comes. */
    assert_int_equal(duplex_write(duplex, "question", 8), 0);
    duplex_end(duplex);
    assert_int_equal(duplex_write(duplex, "late", 4), -EPIPE);
    run_for(f, 50 * NS_PER_MS);
    char got[16] = "";
    assert_int_equal(recv(peer, got, sizeof got, 0), 8);
    assert_string_equal(got, "question");
    assert_int_equal(recv(peer, got, sizeof got, 0), 0);
    assert_int_equal(f->drained, 1);
    close(peer); /* with both ends gone while paused, the bytes still come */
    run_for(f, 50 * NS_PER_MS);
    assert_int_equal(f->closed, 0);
    duplex_pause(duplex, false);
    loop_run(f->loop);
    assert_string_equal(f->seen.data, "held back");
    assert_int_equal(f->closed, 1);
    duplex_unref(duplex);
    close(listener);
    Duplex *none = NULL;
    assert_int_equal(duplex_connect(f->loop, &to, &none), -ECONNREFUSED);
}

/* One that waits for its peer to read the end must not outlive its loop; leaks are the address sanitizer's to find. */
static void test_the_loops_end_ends_one_that_lingers(void **state) {
    Fixture *f = *state;
    uint16_t port = 0;
    int listener = listen_any(&port);
    DuplexConnect to = {.host = "127.0.0.1", .port = port, .timeout_ns = 5 * NS_PER_SEC};
    Duplex *lingering = NULL, *open_ = NULL;
    assert_int_equal(duplex_connect(f->loop, &to, &lingering), 0);
    assert_int_equal(duplex_connect(f->loop, &to, &open_), 0);
    duplex_start(lingering, &ops, f);
    duplex_start(open_, &ops, f);
    duplex_close(lingering);
    loop_run(f->loop); /* until `closed` */
    assert_int_equal(f->closed, 1);
    duplex_unref(lingering);
    duplex_unref(open_);
    loop_end(f->loop);
    assert_int_equal(f->closed, 2);
    assert_int_equal(f->error, -ESHUTDOWN);
    close(listener);
}

static void test_a_handshake_that_hangs_times_out(void **state) {
    Fixture *f = *state;
    uint16_t port = 0;
    int listener = listen_any(&port);
    DuplexConnect to = {.host = "127.0.0.1", .port = port, .tls = true, .timeout_ns = 100 * NS_PER_MS};
    Duplex *none = NULL;
    uint64_t start = now_monotonic_ns();
    assert_int_equal(duplex_connect(f->loop, &to, &none), -ETIMEDOUT);
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    close(listener);
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_tls),
        TEST(test_plain_pause_and_half_close),
        TEST(test_the_loops_end_ends_one_that_lingers),
        TEST(test_a_handshake_that_hangs_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
