/* The client of lib/http: against the front door, and against servers of the test's own that misbehave as told. */
#include "../../support/pki_fixture.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/client.h"
#include "http/tls.h"
#include "loop/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK (256 * 1024)
#define PATIENCE_NS (10 * NS_PER_SEC)
#define BODY_MAX (8 * 1024 * 1024)
#define WATCHES 40

typedef struct Fixture {
    PkiFixture pki;
    char *ca_pem, *cert_pem, *key_pem;
    HttpServer *server, *plain;
    LoopThread *thread;
    atomic_int watching;
} Fixture;

static HttpStreamResult pull_nothing(HttpRequest *request, void *userdata) {
    (void)request, (void)userdata;
    return HTTP_STREAM_WAIT;
}

/* Says who asked over what, and how much came. */
static void handle(HttpRequest *request, void *userdata) {
    static const HttpHeader head[] = {{"content-type", "text/plain"}, {"etag", "\"1\""}};
    static const HttpStreamOps watch = {.pull = pull_nothing};
    size_t n;
    http_body(request, &n);
    if (streq(http_path(request), "/watch")) {
        http_stream_start(request, 200, head, 1, &watch, userdata);
        ((Fixture *)userdata)->watching++;
        return;
    }
    Buf out = BUF_INIT(BODY_MAX);
    buf_printf(&out, "%s %s %zu %s %s %s", http_is_h2(request) ? "h2" : "h1", http_peer(request), n,
               str_or(http_peer_cn(request), "-"), str_or(http_header(request, "authorization"), "-"),
               str_or(http_header(request, "host"), "-"));
    while (streq(http_path(request), "/large") && out.len < 3000000)
        buf_puts(&out, " and so on");
    http_reply(request, streq(http_path(request), "/missing") ? 404 : 200, head, 2, http_bytes_take(&out));
}

static void start_server(Fixture *f, bool tls, HttpServer **ret) {
    HttpServerConfig config = {.cert_file = tls ? f->pki.cert : NULL,
                               .key_file = tls ? f->pki.key : NULL,
                               .client_ca_file = tls ? f->pki.ca_cert : NULL,
                               .handler = handle,
                               .userdata = f,
                               .threads = 1};
    assert_int_equal(http_server_start(&config, ret), 0);
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    pki_fixture_make(&f->pki);
    assert_int_equal(fs_read_file(f->pki.ca_cert, 65536, &f->ca_pem, NULL), 0);
    assert_int_equal(fs_read_file(f->pki.cert, 65536, &f->cert_pem, NULL), 0);
    assert_int_equal(fs_read_file(f->pki.key, 65536, &f->key_pem, NULL), 0);
    start_server(f, true, &f->server);
    start_server(f, false, &f->plain);
    assert_int_equal(loop_thread_new("client", STACK, &f->thread), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    loop_thread_free(f->thread);
    http_server_stop(f->server, NS_PER_SEC);
    http_server_stop(f->plain, NS_PER_SEC);
    pki_fixture_remove(&f->pki);
    free(f->ca_pem);
    free(f->cert_pem);
    free(f->key_pem);
    free(f);
    return 0;
}

static HttpClient *client_to(Fixture *f, uint16_t port, bool tls) {
    HttpClientConfig config = {.to = {.host = "127.0.0.1",
                                      .port = port,
                                      .tls = tls,
                                      .ca_pem = tls ? f->ca_pem : NULL,
                                      .cert_pem = f->cert_pem,
                                      .key_pem = f->key_pem,
                                      .timeout_ns = PATIENCE_NS}};
    HttpClient *client = NULL;
    assert_int_equal(http_client_new(loop_thread_loop(f->thread), &config, &client, NULL), 0);
    return client;
}

static int ask_for(HttpClient *client, const char *method, const char *target, size_t body, HttpAnswer *ret,
                   char **why) {
    static const HttpHeader headers[] = {{"accept", "*/*"}, {"authorization", "Bearer x"}};
    _cleanup_free_ char *bytes = xcalloc(1, body + 1);
    const HttpCall call = {.method = method,
                           .target = target,
                           .headers = headers,
                           .n_headers = 2,
                           .body = bytes,
                           .body_len = body,
                           .has_body = streq(method, "POST")};
    return http_client_call(client, &call, BODY_MAX, PATIENCE_NS, ret, why);
}

/* Expects 200; the words of the answer's text: protocol, peer, size, name, authorization, host. */
static char **answer_of(HttpClient *client, Arena *arena, const char *method, const char *target, size_t body) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *why = NULL;
    int r = ask_for(client, method, target, body, &answer, &why);
    if (r < 0)
        print_message("%s %s: %s\n", method, target, why);
    assert_int_equal(r, 0);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "text/plain");
    assert_string_equal(answer.etag, "\"1\"");
    return str_split(arena, answer.body.data, ' ', NULL);
}

/* ---- with a server that behaves ---- */

static void test_calls_share_one_connection_of_http2(void **state) {
    Fixture *f = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_(http_client_freep) HttpClient *client = client_to(f, http_server_port(f->server), true);
    char **first = answer_of(client, arena, "GET", "/a?b=c", 0);
    assert_string_equal(first[0], "h2");
    assert_string_equal(first[2], "0");
    assert_string_equal(first[3], "both"); /* the certificate */
    assert_string_equal(first[4], "Bearer");
    char **second = answer_of(client, arena, "POST", "/", 2500000); /* more than any window */
    assert_string_equal(second[2], "2500000");
    assert_string_equal(second[1], first[1]);
    answer_of(client, arena, "GET", "/large", 0);
    _cleanup_http_answer_ HttpAnswer answer = {0};
    assert_int_equal(ask_for(client, "GET", "/missing", 0, &answer, NULL), 0);
    assert_int_equal(answer.status, 404);
}

static void *one_caller(void *userdata) {
    for (int i = 0; i < 50; i++) {
        _cleanup_http_answer_ HttpAnswer answer = {0};
        assert_int_equal(ask_for(userdata, i % 2 ? "GET" : "POST", "/", i % 2 ? 0 : 3000, &answer, NULL), 0);
        assert_int_equal(answer.status, 200);
    }
    return NULL;
}

static void test_many_threads_call(void **state) {
    Fixture *f = *state;
    for (int tls = 0; tls < 2; tls++) {
        _cleanup_(http_client_freep) HttpClient *client =
            client_to(f, http_server_port(tls ? f->server : f->plain), tls);
        pthread_t threads[16];
        for (size_t i = 0; i < ELEMENTSOF(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, one_caller, client), 0);
        for (size_t i = 0; i < ELEMENTSOF(threads); i++)
            pthread_join(threads[i], NULL);
    }
}

static int no_data(HttpExchange *exchange, const char *p, size_t n, void *userdata) {
    (void)exchange, (void)p, (void)n, (void)userdata;
    return 0;
}

/* With an error or without: a server that stops ends its streams, and cuts those that are not through in time. */
static void count_end(HttpExchange *exchange, int error, const char *why, void *userdata) {
    (void)exchange, (void)error, (void)why;
    atomic_fetch_add((atomic_int *)userdata, 1);
}

static const HttpExchangeOps watch_ops = {.data = no_data, .end = count_end};

static bool becomes(atomic_int *what, int wanted) {
    for (uint64_t end = now_monotonic_ns() + PATIENCE_NS; now_monotonic_ns() < end; usleep(2000))
        if (atomic_load(what) == wanted)
            return true;
    return false;
}

static void test_watches_beside_calls_on_one_connection(void **state) {
    Fixture *f = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    atomic_int ended = 0;
    HttpExchange *watches[WATCHES];
    HttpClient *client = client_to(f, http_server_port(f->server), true);
    f->watching = 0;
    char **before = answer_of(client, arena, "GET", "/", 0);
    for (int i = 0; i < WATCHES; i++)
        http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/watch"}, &watch_ops, &ended, &watches[i]);
    assert_true(becomes(&f->watching, WATCHES));
    char **after = answer_of(client, arena, "GET", "/", 0);
    assert_string_equal(before[1], after[1]);
    for (int i = 0; i < WATCHES; i++)
        http_exchange_free(watches[i]); /* stopped: nobody is told of an end */
    assert_int_equal(atomic_load(&ended), 0);
    http_client_free(client);
}

static void test_watches_end_with_their_server(void **state) {
    Fixture *f = *state;
    atomic_int ended = 0;
    HttpExchange *watch;
    HttpServer *server;
    HttpAnswer answer = {0};
    _cleanup_free_ char *why = NULL;
    start_server(f, true, &server);
    HttpClient *client = client_to(f, http_server_port(server), true);
    f->watching = 0;
    http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/watch"}, &watch_ops, &ended, &watch);
    assert_true(becomes(&f->watching, 1));
    http_server_stop(server, 0);
    assert_true(becomes(&ended, 1));
    assert_int_equal(ask_for(client, "GET", "/", 0, &answer, &why), -ECONNREFUSED);
    assert_non_null(strstr(why, "connect: connection refused"));
    http_exchange_free(watch);
    http_client_free(client);
}

static void test_http1_keeps_its_connections(void **state) {
    Fixture *f = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    atomic_int ended = 0;
    HttpExchange *watch;
    HttpClient *client = client_to(f, http_server_port(f->plain), false);
    f->watching = 0;
    char **first = answer_of(client, arena, "GET", "/large", 0);
    assert_string_equal(first[0], "h1");
    char **second = answer_of(client, arena, "POST", "/", 2500000);
    assert_string_equal(second[2], "2500000");
    assert_string_equal(first[1], second[1]);
    http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/watch"}, &watch_ops, &ended, &watch);
    assert_true(becomes(&f->watching, 1));
    char **beside = answer_of(client, arena, "GET", "/", 0); /* the watch has the first one for itself */
    assert_string_not_equal(beside[1], second[1]);
    http_exchange_free(watch);
    http_client_free(client);
}

static void test_a_server_nobody_vouches_for(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *other = NULL, *why = NULL, *refused = NULL;
    HttpAnswer answer = {0};
    HttpClient *client;
    assert_int_equal(fs_read_file(f->pki.other_cert, 65536, &other, NULL), 0);
    HttpClientConfig config = {
        .to = {.host = "127.0.0.1", .port = http_server_port(f->server), .tls = true, .ca_pem = other}};
    assert_int_equal(http_client_new(loop_thread_loop(f->thread), &config, &client, NULL), 0);
    assert_int_equal(ask_for(client, "GET", "/", 0, &answer, &why), -EACCES);
    assert_string_equal(why, "tls: failed to verify certificate: x509: certificate signed by unknown authority");
    http_client_free(client);
    config.to.ca_pem = "no certificate";
    assert_int_equal(http_client_new(loop_thread_loop(f->thread), &config, &client, &refused), -EINVAL);
    assert_non_null(refused);
}

/* ---- with servers that say what the test wants ---- */

typedef struct Peer {
    int fd;
    uint16_t port;
    SSL_CTX *ctx; /* NULL: plain */
    pthread_t thread;
    void (*serve)(struct Peer *peer, int fd, int nth);
    atomic_int accepted, requests;
    atomic_bool go;
} Peer;

static void *peer_main(void *userdata) {
    Peer *peer = userdata;
    for (int fd; (fd = accept(peer->fd, NULL, NULL)) >= 0;) {
        peer->serve(peer, fd, atomic_fetch_add(&peer->accepted, 1));
        close(fd);
    }
    return NULL;
}

static void peer_start(Peer *peer, void (*serve)(Peer *peer, int fd, int nth)) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    peer->serve = serve;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(peer->fd, 16), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&address, &size), 0);
    peer->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_main, peer), 0);
}

static void peer_stop(Peer *peer) {
    shutdown(peer->fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->fd);
    SSL_CTX_free(peer->ctx);
}

/* Reads one request's head; false at the end of the connection. */
static bool read_head(int fd) {
    char head[4096];
    size_t n = 0;
    while (n < sizeof head - 1) {
        ssize_t got = read(fd, head + n, sizeof head - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        head[n] = 0;
        if (strstr(head, "\r\n\r\n"))
            return true;
    }
    return false;
}

static void say(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* What each connection of a peer answers, in turn; the connection then ends. */
static const char *const cut_answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/pl",
    "",
};
static const char *const broken_answers[] = {
    "SSH-2.0-OpenSSH\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    "HTTP/1.1 006 Odd\r\n\r\nbody",
};
static const char *const whole_answers[] = {
    "HTTP/1.1 200 OK\r\n\r\nwhole", /* until the end */
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nwhole",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nX: y\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole and more",
};

static void serve_cut(Peer *peer, int fd, int nth) {
    (void)peer;
    read_head(fd);
    say(fd, cut_answers[(size_t)nth % ELEMENTSOF(cut_answers)]);
}

static void serve_broken(Peer *peer, int fd, int nth) {
    (void)peer;
    read_head(fd);
    say(fd, broken_answers[(size_t)nth % ELEMENTSOF(broken_answers)]);
}

static void serve_whole(Peer *peer, int fd, int nth) {
    (void)peer;
    read_head(fd);
    say(fd, whole_answers[(size_t)nth % ELEMENTSOF(whole_answers)]);
}

static void test_a_cut_answer_is_an_error(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    peer_start(&peer, serve_cut);
    HttpClient *client = client_to(f, peer.port, false);
    for (size_t i = 0; i < ELEMENTSOF(cut_answers); i++) {
        HttpAnswer answer = {0};
        _cleanup_free_ char *why = NULL;
        assert_int_equal(ask_for(client, "GET", "/", 0, &answer, &why), -ECONNRESET);
        assert_string_equal(why, i < 2 ? "unexpected EOF" : "EOF");
    }
    assert_int_equal(atomic_load(&peer.accepted), ELEMENTSOF(cut_answers)); /* none was asked for twice */
    http_client_free(client);
    peer_stop(&peer);
}

static void test_what_is_no_http(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    peer_start(&peer, serve_broken);
    HttpClient *client = client_to(f, peer.port, false);
    for (size_t i = 0; i < ELEMENTSOF(broken_answers); i++) {
        HttpAnswer answer = {0};
        _cleanup_free_ char *why = NULL;
        assert_int_equal(ask_for(client, "GET", "/", 0, &answer, &why), -EPROTO);
        assert_non_null(strstr(why, "malformed HTTP response"));
    }
    http_client_free(client);
    peer_stop(&peer);
}

static void test_the_ways_a_body_may_end(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    peer_start(&peer, serve_whole);
    HttpClient *client = client_to(f, peer.port, false);
    for (size_t i = 0; i < ELEMENTSOF(whole_answers); i++) {
        _cleanup_http_answer_ HttpAnswer answer = {0};
        assert_int_equal(ask_for(client, "GET", "/", 0, &answer, NULL), 0);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body.data, "whole");
    }
    http_client_free(client);
    peer_stop(&peer);
}

/* The first connection answers once, takes a second request and ends. */
static void serve_then_leave(Peer *peer, int fd, int nth) {
    while (read_head(fd)) {
        int n = atomic_fetch_add(&peer->requests, 1);
        if (nth % 2 == 0 && n % 2 == 1)
            return;
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if (nth % 2 == 1)
            return;
    }
}

static void test_what_is_sent_again(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    peer_start(&peer, serve_then_leave);
    HttpClient *client = client_to(f, peer.port, false);
    HttpAnswer answer = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask_for(client, "GET", "/", 0, &answer, NULL), 0);
        http_answer_done(&answer);
    }
    assert_int_equal(atomic_load(&peer.accepted), 2); /* the second came over a connection of its own */
    assert_int_equal(atomic_load(&peer.requests), 3);
    http_client_free(client);
    atomic_store(&peer.requests, 0);
    client = client_to(f, peer.port, false);
    assert_int_equal(ask_for(client, "GET", "/", 0, &answer, NULL), 0);
    http_answer_done(&answer);
    assert_int_equal(ask_for(client, "POST", "/", 0, &answer, NULL), -ECONNRESET); /* may have been done */
    http_client_free(client);
    peer_stop(&peer);
}

static void serve_late(Peer *peer, int fd, int nth) {
    (void)nth;
    read_head(fd);
    for (uint64_t end = now_monotonic_ns() + PATIENCE_NS; !atomic_load(&peer->go) && now_monotonic_ns() < end;)
        usleep(2000);
}

static void test_an_answer_that_does_not_come(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    HttpAnswer answer = {0};
    _cleanup_free_ char *why = NULL;
    peer_start(&peer, serve_late);
    HttpClient *client = client_to(f, peer.port, false);
    const HttpCall call = {.method = "GET", .target = "/"};
    uint64_t start = now_monotonic_ns();
    assert_int_equal(http_client_call(client, &call, BODY_MAX, 50 * NS_PER_MS, &answer, &why), -ETIMEDOUT);
    assert_string_equal(why, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
    http_client_free(client);
    assert_true(now_monotonic_ns() - start < PATIENCE_NS / 2);
    atomic_store(&peer.go, true);
    peer_stop(&peer);
}

/* A client that is still connecting does not keep its owner waiting. */
static void test_freed_while_it_connects(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    HttpExchange *exchange;
    atomic_int ended = 0;
    peer_start(&peer, serve_late); /* takes the ClientHello for a head that never ends */
    HttpClient *client = client_to(f, peer.port, true);
    http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/"}, &watch_ops, &ended, &exchange);
    assert_true(becomes(&peer.accepted, 1));
    uint64_t start = now_monotonic_ns();
    http_exchange_free(exchange);
    http_client_free(client);
    assert_true(now_monotonic_ns() - start < PATIENCE_NS / 2);
    atomic_store(&peer.go, true);
    peer_stop(&peer);
}

/* ---- HTTP/2 that says what the test wants ---- */

typedef struct H2Peer {
    Peer *peer;
    SSL *ssl;
    nghttp2_session *session;
    int nth;
    bool over;
} H2Peer;

static ssize_t h2_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *userdata) {
    (void)session, (void)id, (void)n, (void)source, (void)userdata;
    memcpy(out, "ok", 2);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return 2;
}

static ssize_t h2_half(nghttp2_session *session, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *userdata) {
    (void)session, (void)id, (void)n, (void)userdata;
    (void)flags;
    if (source->ptr == NULL)
        return NGHTTP2_ERR_DEFERRED;
    source->ptr = NULL;
    memcpy(out, "ha", 2);
    return 2;
}

static void h2_answer(H2Peer *p, int32_t id, bool whole) {
    const nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"200", 7, 3, NGHTTP2_NV_FLAG_NONE};
    const nghttp2_data_provider body = {.source.ptr = p, .read_callback = whole ? h2_body : h2_half};
    nghttp2_submit_response(p->session, id, &status, 1, &body);
}

static ssize_t h2_put(nghttp2_session *session, const uint8_t *data, size_t n, int flags, void *userdata) {
    (void)session, (void)flags;
    return SSL_write(((H2Peer *)userdata)->ssl, data, (int)n);
}

static void serve_h2(Peer *peer, int fd, int nth, nghttp2_on_frame_recv_callback on_frame, uint32_t streams) {
    H2Peer p = {.peer = peer, .ssl = SSL_new(peer->ctx), .nth = nth};
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams};
    SSL_set_fd(p.ssl, fd);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_send_callback(callbacks, h2_put);
    nghttp2_session_server_new(&p.session, callbacks, &p);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(p.session, NGHTTP2_FLAG_NONE, &settings, 1);
    if (SSL_accept(p.ssl) == 1) {
        uint8_t in[4096];
        int n;
        do
            nghttp2_session_send(p.session);
        while (!p.over && (n = SSL_read(p.ssl, in, sizeof in)) > 0 &&
               nghttp2_session_mem_recv(p.session, in, (size_t)n) >= 0);
    }
    nghttp2_session_del(p.session);
    SSL_free(p.ssl);
}

static bool is_request(const nghttp2_frame *frame) {
    return frame->hd.type == NGHTTP2_HEADERS && frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
}

/* The first connection takes one request, then says that it goes and has not looked at the second. */
static int on_frame_leaving(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    H2Peer *p = userdata;
    if (!is_request(frame))
        return 0;
    int n = atomic_fetch_add(&p->peer->requests, 1);
    if (p->nth > 0)
        h2_answer(p, frame->hd.stream_id, true);
    else if (n == 1) {
        nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
        h2_answer(p, 1, true); /* the first is still answered */
    }
    return 0;
}

static void serve_leaving(Peer *peer, int fd, int nth) {
    serve_h2(peer, fd, nth, on_frame_leaving, 100);
}

typedef struct Asking {
    HttpClient *client;
    const char *method;
    int error;
    pthread_t thread;
} Asking;

static void *ask_main(void *userdata) {
    Asking *asking = userdata;
    _cleanup_http_answer_ HttpAnswer answer = {0};
    asking->error = ask_for(asking->client, asking->method, "/", 0, &answer, NULL);
    if (asking->error == 0 && (answer.status != 200 || !streq(str_or(answer.body.data, ""), "ok")))
        asking->error = -EBADMSG;
    return NULL;
}

static void peer_tls(Fixture *f, Peer *peer) {
    assert_int_equal(
        tls_server_context(&(TlsIdentity){f->pki.cert, f->pki.key, NULL, NULL}, &(TlsClients){0}, &peer->ctx), 0);
}

static void test_goaway(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    peer_tls(f, &peer);
    peer_start(&peer, serve_leaving);
    HttpClient *client = client_to(f, peer.port, true);
    Asking first = {.client = client, .method = "GET"}, second = {.client = client, .method = "POST"};
    assert_int_equal(pthread_create(&first.thread, NULL, ask_main, &first), 0);
    assert_true(becomes(&peer.requests, 1));
    assert_int_equal(pthread_create(&second.thread, NULL, ask_main, &second), 0);
    pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    assert_int_equal(first.error, 0);
    assert_int_equal(second.error, 0); /* a POST, but one that was not looked at */
    assert_int_equal(atomic_load(&peer.accepted), 2);
    http_client_free(client);
    peer_stop(&peer);
}

/* In turn: the stream is reset in the middle of its body; the connection ends there. */
static int on_frame_cutting(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    H2Peer *p = userdata;
    if (!is_request(frame))
        return 0;
    int n = atomic_fetch_add(&p->peer->requests, 1);
    h2_answer(p, frame->hd.stream_id, false);
    nghttp2_session_send(session);
    if (n == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    p->over = n > 0;
    return 0;
}

static void serve_cutting(Peer *peer, int fd, int nth) {
    serve_h2(peer, fd, nth, on_frame_cutting, 100);
}

static void test_a_cut_answer_of_http2(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    HttpAnswer answer = {0};
    _cleanup_free_ char *reset = NULL, *ended = NULL;
    peer_tls(f, &peer);
    peer_start(&peer, serve_cutting);
    HttpClient *client = client_to(f, peer.port, true);
    assert_int_equal(ask_for(client, "GET", "/", 0, &answer, &reset), -EPROTO);
    assert_non_null(strstr(reset, "INTERNAL_ERROR"));
    assert_int_equal(ask_for(client, "GET", "/", 0, &answer, &ended), -ECONNRESET);
    assert_string_equal(ended, "unexpected EOF");
    assert_int_equal(atomic_load(&peer.requests), 2);
    http_client_free(client);
    peer_stop(&peer);
}

/* Takes one stream at a time: the client must neither wait for ever nor ask for more than it is given. */
static int on_frame_narrow(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    (void)session;
    H2Peer *p = userdata;
    if (is_request(frame)) {
        atomic_fetch_add(&p->peer->requests, 1);
        h2_answer(p, frame->hd.stream_id, p->nth > 0); /* the first connection's is never done */
    }
    return 0;
}

static void *serve_apart(void *userdata) {
    struct Apart {
        Peer *peer;
        int fd, nth;
    } *apart = userdata;
    serve_h2(apart->peer, apart->fd, apart->nth, on_frame_narrow, 1);
    close(apart->fd);
    free(apart);
    return NULL;
}

static pthread_t apart_threads[4];

static void serve_narrow(Peer *peer, int fd, int nth) {
    struct Apart {
        Peer *peer;
        int fd, nth;
    } *apart = malloc(sizeof *apart);
    *apart = (struct Apart){peer, dup(fd), nth};
    assert_true(nth < 4);
    pthread_create(&apart_threads[nth], NULL, serve_apart, apart);
}

static void test_more_streams_than_a_connection_takes(void **state) {
    Fixture *f = *state;
    Peer peer = {0};
    HttpExchange *watch;
    atomic_int ended = 0;
    peer_tls(f, &peer);
    peer_start(&peer, serve_narrow);
    HttpClient *client = client_to(f, peer.port, true);
    http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/"}, &watch_ops, &ended, &watch);
    assert_true(becomes(&peer.requests, 1));
    Asking asking = {.client = client, .method = "GET"};
    ask_main(&asking);
    assert_int_equal(asking.error, 0);
    assert_int_equal(atomic_load(&peer.accepted), 2);
    ask_main(&asking); /* the second connection is kept */
    assert_int_equal(asking.error, 0);
    assert_int_equal(atomic_load(&peer.accepted), 2);
    http_exchange_free(watch);
    http_client_free(client);
    for (int i = 0; i < 2; i++)
        pthread_join(apart_threads[i], NULL);
    peer_stop(&peer);
}

/* ---- data that the caller refuses ---- */

static int refuse_data(HttpExchange *exchange, const char *p, size_t n, void *userdata) {
    (void)exchange, (void)p, (void)n, (void)userdata;
    return -EFBIG;
}

typedef struct Ended {
    atomic_int done;
    int error;
} Ended;

static void note_end(HttpExchange *exchange, int error, const char *why, void *userdata) {
    Ended *ended = userdata;
    (void)exchange, (void)why;
    ended->error = error;
    atomic_store(&ended->done, 1);
}

static void test_data_that_is_refused(void **state) {
    Fixture *f = *state;
    static const HttpExchangeOps ops = {.data = refuse_data, .end = note_end};
    for (int tls = 0; tls < 2; tls++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        HttpClient *client = client_to(f, http_server_port(tls ? f->server : f->plain), tls);
        HttpExchange *exchange;
        Ended ended = {0};
        http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/large"}, &ops, &ended, &exchange);
        assert_true(becomes(&ended.done, 1));
        assert_int_equal(ended.error, -EFBIG);
        http_exchange_free(exchange);
        answer_of(client, arena, "GET", "/", 0); /* the client goes on */
        http_client_free(client);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_share_one_connection_of_http2),
        cmocka_unit_test(test_many_threads_call),
        cmocka_unit_test(test_watches_beside_calls_on_one_connection),
        cmocka_unit_test(test_watches_end_with_their_server),
        cmocka_unit_test(test_http1_keeps_its_connections),
        cmocka_unit_test(test_a_server_nobody_vouches_for),
        cmocka_unit_test(test_a_cut_answer_is_an_error),
        cmocka_unit_test(test_what_is_no_http),
        cmocka_unit_test(test_the_ways_a_body_may_end),
        cmocka_unit_test(test_what_is_sent_again),
        cmocka_unit_test(test_an_answer_that_does_not_come),
        cmocka_unit_test(test_freed_while_it_connects),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_a_cut_answer_of_http2),
        cmocka_unit_test(test_more_streams_than_a_connection_takes),
        cmocka_unit_test(test_data_that_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
