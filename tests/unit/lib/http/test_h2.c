/* HTTP/2 over TLS, by an nghttp2 client of the test's own: many streams, flow control, limits, client certificates. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/pki.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define STREAMS 400

typedef struct Fixture {
    char dir[64], ca_cert[96], ca_key[96], cert[96], key[96], client_cert[96], client_key[96];
    HttpServer *server;
    atomic_int opened, closed;
    atomic_size_t produced;
    HttpRequest *_Atomic watches[STREAMS];
    atomic_int events[STREAMS];
    int parts; /* of /parts, already written */
    HttpRequest *_Atomic held;
    size_t taken; /* of a streamed body; the loop's */
} Fixture;

typedef struct Stream {
    int status, closed;
    size_t body;
    Buf text;
    size_t upload; /* bytes still to send */
    uint32_t error;
} Stream;

typedef struct Client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    nghttp2_session *session;
    Stream streams[2 * STREAMS + 2];
    int n_closed;
    bool encoded;
    int32_t kept; /* the stream whose body is kept whole */
    Buf whole;
} Client;

static const HttpHeader plain = {"content-type", "text/plain"};

static HttpStreamResult pull_event(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    int i = atoi(http_query(request));
    if (f->events[i] == 0)
        return HTTP_STREAM_WAIT;
    f->events[i]--;
    http_stream_write(request, http_bytes_copy("event\n", 6));
    return HTTP_STREAM_MORE;
}

static HttpStreamResult pull_flood(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    static const char block[8192] = "x";
    http_stream_write(request, (HttpBytes){.data = block, .len = sizeof block});
    f->produced += sizeof block;
    return HTTP_STREAM_MORE;
}

static void on_closed(HttpRequest *request, void *userdata) {
    (void)request;
    ((Fixture *)userdata)->closed++;
}

#define PARTS 3000

static char *part(int i) {
    return xasprintf("part %d of a body that nobody made at once, %d\n", i, i * i);
}

static HttpStreamResult pull_part(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    for (int i = 0; i < 7 && f->parts < PARTS; i++) {
        _cleanup_free_ char *text = part(f->parts++);
        http_stream_write(request, http_bytes_copy(text, strlen(text)));
    }
    return f->parts < PARTS ? HTTP_STREAM_MORE : HTTP_STREAM_END;
}

static const HttpStreamOps watch_ops = {pull_event, on_closed};
static const HttpStreamOps flood_ops = {pull_flood, on_closed};
static const HttpStreamOps parts_ops = {pull_part, on_closed, .is_body = true};

static bool streams(const HttpRequest *request, void *userdata) {
    (void)userdata;
    return str_in(http_path(request), (const char *const[]){"/upload", "/held", "/refused", NULL});
}

static void take_upload(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    _cleanup_buf_ Buf body = BUF_INIT(BUF_NO_LIMIT);
    HttpBodyState state = http_body_take(request, &body);
    f->taken += body.len;
    if (state != HTTP_BODY_ENDED)
        return;
    Buf out = BUF_INIT(64);
    buf_printf(&out, "took %zu", f->taken);
    http_reply(request, 200, &plain, 1, http_bytes_take(&out));
}

static void upload_gone(HttpRequest *request, void *userdata) {
    (void)request;
    ((Fixture *)userdata)->closed++;
}

static void begin_upload(Fixture *f, HttpRequest *request) {
    f->taken = 0;
    http_body_on_ready(request, take_upload, f);
    http_request_on_gone(request, upload_gone, f);
    take_upload(request, f);
}

static void release_upload(void *userdata) {
    Fixture *f = userdata;
    HttpRequest *request = atomic_exchange(&f->held, NULL);
    begin_upload(f, request);
    http_request_unref(request);
}

static void handle(HttpRequest *request, void *userdata) {
    Fixture *f = userdata;
    const char *path = http_path(request);
    if (streq(path, "/upload"))
        return begin_upload(f, request);
    if (streq(path, "/refused"))
        return http_reply(request, 403, &plain, 1, http_bytes_copy("no", 2));
    if (streq(path, "/held")) { /* nothing is taken for now */
        atomic_store(&f->held, http_request_ref(request));
        return;
    }
    size_t n = 0, n_organizations = 0;
    http_body(request, &n);
    if (streq(path, "/watch")) {
        atomic_store(&f->watches[atoi(http_query(request))], http_request_ref(request));
        http_stream_start(request, 200, &plain, 1, &watch_ops, f);
        f->opened++;
    } else if (streq(path, "/flood"))
        http_stream_start(request, 200, &plain, 1, &flood_ops, f);
    else if (streq(path, "/cut")) {
        http_request_cut_at(request, now_monotonic_ns() + 200 * NS_PER_MS);
        http_stream_start(request, 200, &plain, 1, &flood_ops, f);
    } else if (streq(path, "/cut-whole")) {
        http_request_cut_at(request, now_monotonic_ns() + 200 * NS_PER_MS);
        Buf out = BUF_INIT(1024 * 1024);
        while (out.len < (size_t)atoi(http_query(request)))
            buf_puts(&out, "all at once ");
        http_reply(request, 200, &plain, 1, http_bytes_take(&out));
    } else if (streq(path, "/parts")) {
        f->parts = 0;
        http_stream_start(request, 200, &plain, 1, &parts_ops, f);
    } else {
        Buf out = BUF_INIT(1024 * 1024);
        const char *const *o = http_peer_organizations(request, &n_organizations);
        buf_printf(&out, "%s %zu %s %s %s", http_method(request), n,
                   str_or(http_peer_cn(request), http_peer_is_unknown(request) ? "?" : "-"),
                   n_organizations ? o[0] : "-", str_or(http_header(request, "host"), "-"));
        while (streq(path, "/large") && out.len < 600000)
            buf_puts(&out, " more of the same");
        http_reply(request, 200, &plain, 1, http_bytes_take(&out));
    }
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    strcpy(f->dir, "/tmp/lighter-h2.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char *paths[] = {f->ca_cert, f->ca_key, f->cert, f->key, f->client_cert, f->client_key};
    for (size_t i = 0; i < ELEMENTSOF(paths); i++)
        snprintf(paths[i], 96, "%s/%zu.pem", f->dir, i);
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "ca", &ca), 0);
    const PkiCertSpec server = {
        .common_name = "s", .ip_addresses = (const char *const[]){"127.0.0.1", NULL}, .server = true};
    const PkiCertSpec client = {
        .common_name = "admin", .organizations = (const char *const[]){"system:masters", NULL}, .client = true};
    assert_int_equal(pki_cert_ensure(ca, f->cert, f->key, &server, NULL), 0);
    assert_int_equal(pki_cert_ensure(ca, f->client_cert, f->client_key, &client, NULL), 0);
    HttpServerConfig config = {.cert_file = f->cert,
                               .key_file = f->key,
                               .client_ca_file = f->ca_cert,
                               .handler = handle,
                               .streams = streams,
                               .userdata = f,
                               .threads = 2};
    assert_int_equal(http_server_start(&config, &f->server), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    for (size_t i = 0; i < STREAMS; i++)
        http_request_unref(f->watches[i]);
    http_server_stop(f->server, NS_PER_SEC);
    fs_remove_tree(f->dir);
    free(f);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata) {
    (void)session, (void)flags, (void)value_len;
    Client *c = userdata;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        c->streams[frame->hd.stream_id].status = atoi((const char *)value);
    c->encoded |= name_len == 16 && memcmp(name, "content-encoding", 16) == 0;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *userdata) {
    (void)session, (void)flags;
    Client *c = userdata;
    c->streams[id].body += n;
    if (id == c->kept)
        buf_append(&c->whole, p, n);
    if (c->streams[id].text.len < 4096)
        buf_append(&c->streams[id].text, p, MIN(n, (size_t)4096));
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *userdata) {
    (void)session;
    Client *c = userdata;
    c->streams[id].closed = 1;
    c->streams[id].error = error;
    c->n_closed++;
    return 0;
}

static ssize_t read_upload(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *userdata) {
    (void)session, (void)source;
    Stream *s = &((Client *)userdata)->streams[id];
    n = MIN(n, s->upload);
    memset(buf, 'u', n);
    s->upload -= n;
    if (s->upload == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void client_dial(Client *c, Fixture *f, const char *cert, const char *key) {
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < ELEMENTSOF(c->streams); i++)
        c->streams[i].text = BUF_INIT(16384);
    c->whole = BUF_INIT(16 * 1024 * 1024);
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_load_verify_locations(c->ctx, f->ca_cert, NULL);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    if (cert) {
        assert_int_equal(SSL_CTX_use_certificate_chain_file(c->ctx, cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(c->ctx, key, SSL_FILETYPE_PEM), 1);
    }
    c->ssl = SSL_new(c->ctx);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(http_server_port(f->server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_alpn_protos(c->ssl, (const unsigned char *)"\x02h2", 3);
    assert_int_equal(SSL_connect(c->ssl), 1);
}

static void client_open(Client *c, Fixture *f, const char *cert, const char *key) {
    client_dial(c, f, cert, key);
    const unsigned char *alpn = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(c->ssl, &alpn, &n);
    assert_int_equal(n, 2);
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, 0, NULL, 0);
}

static void client_close(Client *c) {
    nghttp2_session_del(c->session);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    for (size_t i = 0; i < ELEMENTSOF(c->streams); i++)
        buf_done(&c->streams[i].text);
    buf_done(&c->whole);
}

static int32_t submit(Client *c, const char *method, const char *path, size_t upload, const char *name,
                      const char *value) {
#define NV(n, v) {(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), 0}
    nghttp2_nv nv[] = {NV(":method", method), NV(":scheme", "https"), NV(":authority", "here"), NV(":path", path),
                       NV(name, value)};
    nghttp2_data_provider provider = {.read_callback = read_upload};
    int32_t id = nghttp2_submit_request(c->session, NULL, nv, name[0] ? 5 : 4, upload ? &provider : NULL, NULL);
    assert_true(id > 0);
    c->streams[id].upload = upload;
    return id;
}

static void client_send(Client *c) {
    const uint8_t *data;
    for (ssize_t n; (n = nghttp2_session_mem_send(c->session, &data)) > 0;)
        assert_int_equal(SSL_write(c->ssl, data, (int)n), n);
}

/* Sends what there is, then reads and sends until `done`. */
static void client_run(Client *c, bool (*done)(Client *c, int32_t arg), int32_t arg) {
    client_send(c);
    while (!done(c, arg)) {
        uint8_t in[16384];
        int n = SSL_read(c->ssl, in, sizeof in);
        if (n <= 0)
            fail_msg("the connection ended: %d, errno %d", SSL_get_error(c->ssl, n), errno);
        assert_int_equal(nghttp2_session_mem_recv(c->session, in, (size_t)n), n);
        client_send(c);
    }
}

static bool stream_done(Client *c, int32_t id) {
    return c->streams[id].closed;
}

static bool closed_count(Client *c, int32_t n) {
    return c->n_closed >= n;
}

static bool status_count(Client *c, int32_t n) {
    for (size_t i = 1; i < ELEMENTSOF(c->streams); i += 2)
        n -= c->streams[i].status == 200;
    return n <= 0;
}

static bool text_count(Client *c, int32_t n) {
    for (size_t i = 1; i < ELEMENTSOF(c->streams); i += 2)
        n -= c->streams[i].text.len >= 12;
    return n <= 0;
}

static void test_many_requests_and_identity(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    client_open(c, f, f->client_cert, f->client_key);
    for (int i = 0; i < STREAMS - 2; i++)
        submit(c, i % 2 ? "PUT" : "GET", "/x", i % 2 ? 20000 : 0, "", "");
    int32_t large = submit(c, "GET", "/large", 0, "accept-encoding", "gzip");
    int32_t head = submit(c, "HEAD", "/large", 0, "", "");
    client_run(c, closed_count, STREAMS);
    assert_string_equal(c->streams[1].text.data, "GET 0 admin system:masters here");
    assert_string_equal(c->streams[3].text.data, "PUT 20000 admin system:masters here");
    assert_true(c->encoded);
    assert_in_range(c->streams[large].body, 100, 100000);
    assert_int_equal(c->streams[head].status, 200);
    assert_int_equal(c->streams[head].body, 0);
    client_close(c);
    client_open(c, f, NULL, NULL);
    int32_t id = submit(c, "GET", "/x", 0, "", "");
    client_run(c, stream_done, id);
    assert_string_equal(c->streams[id].text.data, "GET 0 - - here");
    client_close(c);
    free(c);
}

static void test_limits(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    client_open(c, f, NULL, NULL);
    int32_t sized = submit(c, "POST", "/x", 100 * 1024 * 1024, "content-length", "104857600");
    int32_t unsized = submit(c, "POST", "/x", 100 * 1024 * 1024, "", "");
    int32_t fine = submit(c, "POST", "/x", HTTP_MAX_BODY, "", "");
    client_run(c, closed_count, 3);
    assert_int_equal(c->streams[sized].status, 413);
    assert_non_null(strstr(c->streams[sized].text.data, "Request entity too large: limit is 3145728"));
    assert_int_equal(c->streams[unsized].status, 413);
    assert_int_equal(c->streams[fine].status, 200);
    int32_t strange = submit(c, "GET", "relative", 0, "", "");
    int32_t after = submit(c, "GET", "/x", 0, "", "");
    client_run(c, stream_done, after);
    if (!c->streams[strange].closed)
        client_run(c, stream_done, strange);
    assert_true(c->streams[strange].status == 400 || c->streams[strange].error != 0);
    assert_int_equal(c->streams[after].status, 200);
    client_close(c);
    free(c);
}

/* A reply that is not out at its time is reset, one that the client takes and one that it does not; other streams of
 * the connection go on, and one that was out in time is nobody's business any more. */
static void test_cut_replies(void **state) {
    Fixture *f = *state;
    Client c;
    client_open(&c, f, NULL, NULL);
    int32_t flood = submit(&c, "GET", "/cut", 0, "", "");
    client_run(&c, stream_done, flood);
    assert_int_equal(c.streams[flood].status, 200);
    assert_int_equal(c.streams[flood].error, NGHTTP2_INTERNAL_ERROR);
    int closed = f->closed;
    int32_t in_time = submit(&c, "GET", "/cut-whole?9000", 0, "", "");
    client_run(&c, stream_done, in_time);
    assert_int_equal(c.streams[in_time].error, NGHTTP2_NO_ERROR);
    int32_t stuck = submit(&c, "GET", "/cut", 0, "", ""), whole = submit(&c, "GET", "/cut-whole?600000", 0, "", "");
    client_send(&c); /* reads nothing, so that both wait for their windows */
    for (int i = 0; i < 1000 && f->closed == closed; i++)
        usleep(10000);
    assert_int_equal(f->closed, closed + 1);
    client_run(&c, stream_done, stuck);
    assert_int_equal(c.streams[stuck].error, NGHTTP2_INTERNAL_ERROR);
    client_run(&c, stream_done, whole);
    assert_int_equal(c.streams[whole].error, NGHTTP2_INTERNAL_ERROR);
    int32_t after = submit(&c, "GET", "/x", 0, "", "");
    client_run(&c, stream_done, after);
    assert_int_equal(c.streams[after].status, 200);
    assert_int_equal(c.streams[after].error, NGHTTP2_NO_ERROR);
    client_close(&c);
}

#define UPLOAD ((size_t)8 * 1024 * 1024) /* more than a body that is read whole may have */

/* What is not taken holds its stream down and no other one, and goes on once it is. */
static void test_streamed_bodies(void **state) {
    Fixture *f = *state;
    Client c;
    client_open(&c, f, NULL, NULL);
    int32_t whole = submit(&c, "POST", "/upload", UPLOAD, "", "");
    client_run(&c, stream_done, whole);
    assert_string_equal(c.streams[whole].text.data, "took 8388608");
    int32_t held = submit(&c, "POST", "/held", UPLOAD, "", ""), other = submit(&c, "POST", "/other", 100, "", "");
    client_run(&c, stream_done, other);
    assert_int_equal(c.streams[other].status, 200);
    assert_true(c.streams[held].upload > UPLOAD / 2);
    assert_int_equal(c.streams[held].closed, 0);
    loop_post(http_request_loop(f->held), release_upload, f);
    client_run(&c, stream_done, held);
    assert_string_equal(c.streams[held].text.data, "took 8388608");
    client_close(&c);
}

/* A reply that does not wait for the body ends the stream alone; a client that leaves ends the request. */
static void test_streamed_body_that_is_not_read(void **state) {
    Fixture *f = *state;
    Client c;
    client_open(&c, f, NULL, NULL);
    int32_t refused = submit(&c, "POST", "/refused", UPLOAD, "", "");
    client_run(&c, stream_done, refused);
    assert_int_equal(c.streams[refused].status, 403);
    int32_t other = submit(&c, "POST", "/other", 100, "", ""), cut = submit(&c, "POST", "/held", UPLOAD, "", "");
    client_run(&c, stream_done, other);
    assert_int_equal(c.streams[other].status, 200);
    loop_post(http_request_loop(f->held), release_upload, f);
    nghttp2_submit_rst_stream(c.session, 0, cut, NGHTTP2_CANCEL);
    client_send(&c);
    uint64_t end = now_monotonic_ns() + 5 * NS_PER_SEC;
    while (!f->closed && now_monotonic_ns() < end)
        usleep(1000);
    assert_int_equal(f->closed, 1);
    client_close(&c);
}

static void wait_for(atomic_int *value, int wanted) {
    for (int i = 0; i < 2000 && *value != wanted; i++)
        usleep(10000);
    assert_int_equal(*value, wanted);
}

static void test_watches_on_one_connection(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    client_open(c, f, NULL, NULL);
    for (int i = 0; i < STREAMS; i++) {
        char path[32];
        snprintf(path, sizeof path, "/watch?%d", i);
        submit(c, "GET", path, 0, "", "");
    }
    client_run(c, status_count, STREAMS);
    wait_for(&f->opened, STREAMS);
    /* Two events each, told from another thread. */
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < STREAMS; i++) {
            f->events[i]++;
            http_stream_wake(f->watches[i]);
        }
    client_run(c, text_count, STREAMS);
    assert_int_equal(f->closed, 0);
    for (int i = 0; i < STREAMS; i += 2)
        nghttp2_submit_rst_stream(c->session, 0, 2 * i + 1, NGHTTP2_CANCEL);
    client_send(c);
    wait_for(&f->closed, STREAMS / 2);
    client_close(c);
    wait_for(&f->closed, STREAMS);
    for (int i = 0; i < STREAMS; i++)
        http_stream_wake(f->watches[i]); /* nobody is there: nothing happens */
    free(c);
}

/* What was produced when it goes on no more; it has begun. */
static size_t produced_until_held(Fixture *f) {
    size_t before;
    do {
        before = f->produced;
        usleep(300000);
    } while (!before || f->produced != before);
    return before;
}

static void test_a_stream_that_is_not_read_does_not_hold_others(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    client_open(c, f, NULL, NULL);
    nghttp2_session_set_local_window_size(c->session, 0, 0, 16 * 1024 * 1024);
    client_send(c);
    /* The client's window of a stream is 64 KB and, as its library gives it back at once, is held by not reading. */
    submit(c, "GET", "/flood", 0, "", "");
    client_send(c);
    size_t before = produced_until_held(f);
    assert_in_range(before, 65535, 65535 + 16384 + 8192); /* the window, and what one pull wrote beyond it */
    int32_t other = submit(c, "GET", "/x", 0, "", "");
    client_run(c, stream_done, other);
    assert_int_equal(c->streams[other].status, 200);
    client_close(c);
    wait_for(&f->closed, 1);
    free(c);
}

/* Windows are what the client promises to take. One that does not keep the promise costs what the sockets hold and one
 * fill, not its windows. */
static void test_windows_that_are_not_read_hold_no_memory(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    const int window = 256 * 1024 * 1024;
    const nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)window};
    client_open(c, f, NULL, NULL);
    nghttp2_submit_settings(c->session, 0, &settings, 1);
    nghttp2_session_set_local_window_size(c->session, 0, 0, window);
    client_send(c);
    submit(c, "GET", "/flood", 0, "", "");
    client_send(c);
    size_t before = produced_until_held(f);
    assert_in_range(before, 65536, window / 8);
    client_close(c);
    wait_for(&f->closed, 1);
    free(c);
}

static void test_an_untrusted_certificate_is_nobodys(void **state) {
    Fixture *f = *state;
    char cert[96], key[96], ca_cert[96], ca_key[96];
    snprintf(cert, sizeof cert, "%s/o.crt", f->dir);
    snprintf(key, sizeof key, "%s/o.key", f->dir);
    snprintf(ca_cert, sizeof ca_cert, "%s/oca.crt", f->dir);
    snprintf(ca_key, sizeof ca_key, "%s/oca.key", f->dir);
    _cleanup_(pki_ca_freep) PkiCa *other = NULL;
    assert_int_equal(pki_ca_ensure(ca_cert, ca_key, "ca", &other), 0);
    const PkiCertSpec spec = {
        .common_name = "admin", .organizations = (const char *const[]){"system:masters", NULL}, .client = true};
    assert_int_equal(pki_cert_ensure(other, cert, key, &spec, NULL), 0);
    Client *c = NEW0(Client);
    client_open(c, f, cert, key);
    int32_t id = submit(c, "GET", "/x", 0, "", "");
    client_run(c, stream_done, id);
    assert_string_equal(c->streams[id].text.data, "GET 0 ? - here");
    client_close(c);
    free(c);
}

static void expect_parts(const char *p, size_t n) {
    for (int i = 0; i < PARTS; i++) {
        _cleanup_free_ char *text = part(i);
        size_t len = strlen(text);
        assert_true(n >= len && memcmp(p, text, len) == 0);
        p += len;
        n -= len;
    }
    assert_int_equal(n, 0);
}

static void expect_gzip_of_parts(const Buf *body) {
    static char plain_text[1024 * 1024];
    z_stream z = {.next_in = (Bytef *)body->data,
                  .avail_in = (uInt)body->len,
                  .next_out = (Bytef *)plain_text,
                  .avail_out = sizeof plain_text};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    expect_parts(plain_text, z.total_out);
    inflateEnd(&z);
}

static void test_a_body_in_parts(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    client_open(c, f, NULL, NULL);
    c->kept = submit(c, "GET", "/parts", 0, "", "");
    client_run(c, stream_done, c->kept);
    assert_false(c->encoded);
    expect_parts(c->whole.data, c->whole.len);
    buf_clear(&c->whole);
    c->kept = submit(c, "GET", "/parts", 0, "accept-encoding", "gzip");
    client_run(c, stream_done, c->kept);
    assert_true(c->encoded);
    assert_int_equal(c->streams[c->kept].error, 0);
    expect_gzip_of_parts(&c->whole);
    int32_t head = submit(c, "HEAD", "/parts", 0, "accept-encoding", "gzip");
    client_run(c, stream_done, head);
    assert_int_equal(c->streams[head].body, 0);
    assert_int_equal(f->closed, 3);
    client_close(c);
    free(c);
}

static void *stop_server(void *userdata) {
    http_server_stop(userdata, 20 * NS_PER_SEC);
    return NULL;
}

static bool has_begun(Client *c, int32_t id) {
    return c->streams[id].body > 0;
}

static void test_a_body_in_parts_outlasts_the_server(void **state) {
    Fixture *f = *state;
    Client *c = NEW0(Client);
    pthread_t thread;
    client_open(c, f, NULL, NULL);
    c->kept = submit(c, "GET", "/parts", 0, "", "");
    client_run(c, has_begun, c->kept); /* the window holds the rest back */
    assert_int_equal(pthread_create(&thread, NULL, stop_server, TAKE_PTR(f->server)), 0);
    client_run(c, stream_done, c->kept);
    assert_int_equal(c->streams[c->kept].error, 0);
    expect_parts(c->whole.data, c->whole.len);
    client_close(c);
    pthread_join(thread, NULL);
    free(c);
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_many_requests_and_identity),
        TEST(test_limits),
        TEST(test_cut_replies),
        TEST(test_streamed_bodies),
        TEST(test_streamed_body_that_is_not_read),
        TEST(test_watches_on_one_connection),
        TEST(test_a_stream_that_is_not_read_does_not_hold_others),
        TEST(test_windows_that_are_not_read_hold_no_memory),
        TEST(test_an_untrusted_certificate_is_nobodys),
        TEST(test_a_body_in_parts),
        TEST(test_a_body_in_parts_outlasts_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
