/* The front door: HTTPS for Kubernetes clients. HTTP/2 (nghttp2) and HTTP/1.1 by ALPN on one port, over several loop
 * threads; a connection stays on the thread that accepted it. What it serves is decided by one handler function.
 *
 * Threads. The handler runs on a loop thread once the request's head and whole body are there, and must not block: work
 * that blocks goes to a Pool. All http_reply*, http_stream* functions may be called from any thread. A request is
 * reference-counted; the handler gets a borrowed reference and takes its own (http_request_ref) to answer later. A
 * client that goes away leaves a request on which replies are dropped in silence; `closed` callbacks tell.
 *
 * Limits are named in HttpServerConfig; past them: 413, 431, 408, 429 or 503 with a Status body, or a closed
 * connection. */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

typedef struct HttpServer HttpServer;
typedef struct HttpRequest HttpRequest;
typedef struct Duplex Duplex;

/* Reference-counted immutable bytes that go out without copying: an encoded object, or a fragment that owns a copy. */
typedef struct HttpBytes {
    const void *data;
    size_t len;
    void *owner;                  /* passed to release once the bytes have gone out */
    void (*release)(void *owner); /* NULL: static bytes */
} HttpBytes;
HttpBytes http_bytes_take(Buf *buf);                     /* takes the buffer's memory */
HttpBytes http_bytes_copy(const void *data, size_t len); /* copies */

typedef struct HttpServerConfig {
    const char *bind;                 /* address; NULL: 127.0.0.1 */
    const char *also;                 /* one more address, on the same port; NULL: none */
    uint16_t port;                    /* 0: any free one, see http_server_port */
    const char *cert_file, *key_file; /* PEM chain and key, read at start (see http_server_reload); NULL: plain HTTP */
    const char *cert_pem, *key_pem;   /* the same as texts, which count first */
    const char *client_ca_file;       /* asks for (does not require) client certificates of this CA; NULL: never asks */
    const char *client_ca_pem;        /* the same as a text; both may be given */
    const char *front_ca_file;        /* and of this one, whose certificates are no users'; NULL: none */
    unsigned threads;                 /* loop threads; 0: one per core */
    size_t max_body;                  /* bytes; 0: HTTP_MAX_BODY */
    size_t max_connections;           /* 0: HTTP_MAX_CONNECTIONS */
    void (*handler)(HttpRequest *request, void *userdata);
    /* Asked of each request with a body, once its head is there: true, and the handler runs at once and takes the body
     * as it comes (http_body_take), however long it is. NULL: none. On the loop thread. */
    bool (*streams)(const HttpRequest *request, void *userdata);
    void (*listening)(uint16_t port, void *userdata); /* before the first request; NULL: nobody asks */
    void *userdata;
} HttpServerConfig;

#define HTTP_LISTEN_MAX 2 /* bind and also */
#define HTTP_MAX_BODY (3 * 1024 * 1024)
#define HTTP_MAX_HEADERS (64 * 1024) /* bytes of header fields in all */
#define HTTP_MAX_CONNECTIONS 20000
#define HTTP_GZIP_MIN                                                                                                  \
    (128 * 1024)              /* bytes of a body worth compressing: defaultGzipThresholdBytes of k8s.io/apiserver */
#define HTTP_MAX_STREAMS 1000 /* concurrent HTTP/2 streams a connection */
#define HTTP_HEAD_TIMEOUT_SECONDS 30 /* from the first byte (or the handshake) to the whole head */
#define HTTP_BODY_TIMEOUT_SECONDS 60
#define HTTP_IDLE_TIMEOUT_SECONDS 300
#define HTTP_STREAM_BUFFER                                                                                             \
    (256 * 1024) /* pending bytes of one streaming reply before its source is no longer asked                          \
                  */

int http_server_start(const HttpServerConfig *config, HttpServer **ret);
uint16_t http_server_port(const HttpServer *server);
/* Other certificates (after a renewal) for the connections accepted from now on: those that `config` names, of which
 * nothing else counts. On failure the old ones stay. Any thread. */
int http_server_reload(HttpServer *server, const HttpServerConfig *config);
/* Graceful: stops accepting, sends GOAWAY / Connection: close, ends streams (their `closed` runs), waits at most
 * `timeout_ns` for replies under way, joins the threads. */
void http_server_stop(HttpServer *server, uint64_t timeout_ns);
/* Runs fn on every loop thread (watch wake-ups). */
void http_server_broadcast(HttpServer *server, void (*fn)(void *userdata), void *userdata);

/* The request: valid while a reference is held; strings are borrowed from it. */
HttpRequest *http_request_ref(HttpRequest *request);
void http_request_unref(HttpRequest *request);
const char *http_method(const HttpRequest *request);
const char *http_path(const HttpRequest *request);  /* percent-encoded, without the query */
const char *http_query(const HttpRequest *request); /* raw, "" when none */
const char *http_header(const HttpRequest *request, const char *lower_case_name); /* the first; NULL when absent */
/* Every value of a repeated header, in order; false past the end. */
bool http_header_at(const HttpRequest *request, size_t index, const char **ret_name, const char **ret_value);
const char *http_body(const HttpRequest *request, size_t *ret_len); /* of one that is not streamed */
/* The body of a request that HttpServerConfig.streams chose, on the loop thread. What is not taken holds the client
 * down: HTTP_BODY_HIGH_WATER and a read (HTTP/1.1), or the stream's window (HTTP/2). A body that stops coming for
 * HTTP_BODY_TIMEOUT_SECONDS ends the request, as a client that goes does. A reply may begin, and end, before it. */
#define HTTP_BODY_HIGH_WATER (256 * 1024)
typedef enum HttpBodyState {
    HTTP_BODY_OPEN,
    HTTP_BODY_ENDED,  /* that was all of it */
    HTTP_BODY_BROKEN, /* no more will come, though it was not all */
} HttpBodyState;
bool http_body_is_streamed(const HttpRequest *request);
/* `ready` runs when more of it can be taken, or it has ended. NULL takes it back. */
void http_body_on_ready(HttpRequest *request, void (*ready)(HttpRequest *request, void *userdata), void *userdata);
HttpBodyState http_body_take(HttpRequest *request, Buf *out); /* appends what is there */
bool http_is_h2(const HttpRequest *request);
const char *http_peer(const HttpRequest *request); /* "127.0.0.1:51234" */
/* The verified client certificate's subject: CN, and each O; NULL and 0 when there is none. */
const char *http_peer_cn(const HttpRequest *request);
const char *const *http_peer_organizations(const HttpRequest *request, size_t *ret_n);
/* That certificate is of front_ca_file: its holder speaks for others. */
bool http_peer_is_front(const HttpRequest *request);
/* It showed a certificate that none of the CAs vouches for (now): there is none then to the others here. */
bool http_peer_is_unknown(const HttpRequest *request);
/* SHA-256 of the certificate in hex; NULL without one. */
const char *http_peer_fingerprint(const HttpRequest *request);
Loop *http_request_loop(const HttpRequest *request);
/* Runs `gone` once, on the request's loop thread, should the client go away before a reply has begun; a client that
 * ends its own direction is gone then. NULL takes it back. On the loop thread. */
void http_request_on_gone(HttpRequest *request, void (*gone)(HttpRequest *request, void *userdata), void *userdata);
/* Runs `late` on the request's loop thread should no reply have begun by `due_ns` (monotonic). It replies; `gone` then
 * runs as if the client had left, and what others reply later is dropped in silence. Once a request, on the loop
 * thread.
 */
void http_request_on_late(HttpRequest *request, uint64_t due_ns, void (*late)(HttpRequest *request));

/* Should the reply that comes next not have gone out by `due_ns` (monotonic; 0: whenever), it is cut: the stream is
 * reset over HTTP/2, the connection closed over HTTP/1.1, so that the client sees that something is missing. By who
 * replies, just before. */
void http_request_cut_at(HttpRequest *request, uint64_t due_ns);

typedef struct HttpHeader {
    const char *name, *value; /* name in lower case */
} HttpHeader;

/* One whole reply. Takes `body`. gzip is applied when the client accepts it and the body is larger than 128 KiB (the
 * reference's threshold; compressed by the calling thread). content-type is among `headers`; content-length, date and
 * the fields of the connection are the front door's own and dropped from them. */
void http_reply(HttpRequest *request, int status, const HttpHeader *headers, size_t n_headers, HttpBytes body);

/* A reply of unknown length (watch, logs): head first, then the source is asked for bytes whenever the client can take
 * some. `pull` runs on the request's loop thread: it may call http_stream_write any number of times and returns
 * HTTP_STREAM_MORE (call again when drained), HTTP_STREAM_WAIT (nothing now; http_stream_wake asks again),
 * HTTP_STREAM_END, or HTTP_STREAM_ABORT (what went out is not all there was: the client must see that it was cut).
 * `closed` runs once at the end on the loop thread, whoever ended it. A content-length among the headers says how long
 * the body will be; an end before that is an abort. */
typedef enum HttpStreamResult {
    HTTP_STREAM_MORE,
    HTTP_STREAM_WAIT,
    HTTP_STREAM_END,
    HTTP_STREAM_ABORT
} HttpStreamResult;
typedef struct HttpStreamOps {
    HttpStreamResult (*pull)(HttpRequest *request, void *userdata);
    void (*closed)(HttpRequest *request, void *userdata);
    /* It is one body like that of http_reply, only too large to be made at once: compressed where the client takes
     * gzip, and sent to its end when the server stops. */
    bool is_body;
} HttpStreamOps;
void http_stream_start(HttpRequest *request, int status, const HttpHeader *headers, size_t n_headers,
                       const HttpStreamOps *ops, void *userdata);
void http_stream_write(HttpRequest *request, HttpBytes bytes); /* only from pull */
void http_stream_wake(HttpRequest *request);                   /* any thread */

/* Upgrades (HTTP/1.1 only): replies 101 with the headers given and hands over the raw connection as a Duplex. */
int http_hijack(HttpRequest *request, const HttpHeader *headers, size_t n_headers, Duplex **ret);
