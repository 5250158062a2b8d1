/* What one accepted connection is, inside lib/http: worker (a loop thread), connection, request, reply. Everything here
 * is on the worker's thread unless said.
 *
 * Invariants:
 *  - A Conn is freed only by worker_flush, never under a callback: failure sets `broken` and marks it dirty.
 *  - Output is made on demand: `fill` of the protocol runs only while nothing is left in `out`, so what waits in memory
 * for a slow reader is one fill (a few CONN_SCRATCH) a connection and what the pull of each stream wrote last.
 *  - A request is in conn->requests, with one reference, from its first header to its end; `conn` NULL means the client
 * is gone or served. */
#pragma once

#include "base/clock.h"
#include "http/fields.h"
#include "http/server.h"
#include "http/tls.h"

#include <pthread.h>
#include <stdatomic.h>

#define CONN_READ_SIZE 65536          /* at least one TLS record (16 KB), so that none stays half read in OpenSSL */
#define CONN_ROUND_BYTES (512 * 1024) /* read from one connection; then others have their turn */
#define CONN_RECORD_BYTES 256         /* what a read counts for at least: small records cost too */
#define CONN_SCRATCH 16384            /* a TLS record */
#define CONN_FILLS_PER_ROUND 16
#define CONN_LINGER_SECONDS 2        /* how long input is read and dropped after a reply that ends the connection */
#define CONN_WRITE_STALL_SECONDS 300 /* a peer that takes nothing for so long is gone */
#define CONN_MAX_BODIES (256ull * 1024 * 1024) /* bytes of all request bodies held at once, in a server */
/* Of bodies, that every connection may hold even when others hold all of that. */
#define CONN_BODY_RESERVE (16 * 1024)
/* A thread's load in bytes: those of bodies, and CONN_BODY_RESERVE for each connection and request. So much at once is
 * a crowd: once most of it has left, memory is given back, and again in the seconds after, when others have let go. */
#define WORKER_CROWD ((size_t)1000 * CONN_BODY_RESERVE)
#define WORKER_TRIMS 5
#define H1_PIPELINE_MAX 65536 /* bytes read ahead of the request being answered */

typedef struct Worker Worker;
typedef struct Conn Conn;
typedef struct Reply Reply;

/* Shared by the requests of a connection; immutable, any thread. */
typedef struct ConnInfo {
    atomic_uint refs;
    char peer[64];
    char *cn;
    char **organizations;
    size_t n_organizations;
    bool is_front, is_unknown;
    char fingerprint[65];
} ConnInfo;
ConnInfo *conn_info_ref(ConnInfo *info);
void conn_info_unref(ConnInfo *info);

typedef struct Chunk {
    struct Chunk *next;
    HttpBytes bytes;
} Chunk;

typedef enum RequestState {
    REQUEST_HEAD,     /* header fields arrive */
    REQUEST_BODY,     /* body arrives */
    REQUEST_HANDLED,  /* with the handler */
    REQUEST_REJECTED, /* answered by the front door; further body is dropped */
} RequestState;

struct HttpRequest {
    atomic_uint refs;
    atomic_bool replied; /* the first reply wins */
    atomic_bool woken;
    bool h2, is_head, ready, deferred;
    bool stream_ended; /* no more pulls */
    bool aborted;      /* ended before its time: the connection (HTTP/1.1) or the stream is cut */
    bool sized;        /* the stream said how long it is */
    uint64_t left;     /* of that, bytes still to come */
    bool in_pull, received;
    bool waits; /* said the last pull: there is nothing until it is woken */
    bool wrote; /* since the pull began, though gzip may have kept it */
    RequestState state;
    int status;
    int32_t stream_id;
    Worker *worker; /* reference */
    ConnInfo *info; /* reference */
    Conn *conn;
    HttpRequest *prev, *next, *next_ready;
    uint64_t deadline; /* while it is received; 0: none */
    char *head;        /* method, path and query, each NUL-terminated, then the fields */
    const char *path, *query, *fields;
    size_t fields_len;
    Buf body; /* streamed: what was not taken yet */
    size_t charged;
    bool streamed, body_ended;
    void (*body_ready)(HttpRequest *request, void *userdata);
    void *body_userdata;
    /* the reply */
    Chunk *queue, **queue_tail;
    size_t queued, offset; /* bytes waiting; bytes of the first chunk already taken */
    const HttpStreamOps *ops;
    void *userdata;
    struct Gzip *gzip; /* what is written goes through it */
    void (*gone)(HttpRequest *request, void *userdata);
    void *gone_userdata;
    Source *late_timer; /* until a reply begins or the connection goes */
    uint64_t cut_at;    /* 0: never; then: */
    Source *cut_timer;  /* while the reply goes out */
    void (*late)(HttpRequest *request);
    bool is_late; /* it was answered in place of who is still at it */
};

/* `head` collected as name NUL value NUL ..., with ":path" among them when h2. */
HttpRequest *request_new(Conn *conn);
int request_set_head(HttpRequest *request, const char *method, const char *target, const Buf *fields);
/* While it has a connection. -EFBIG past max_body, -ENOBUFS past CONN_MAX_BODIES. */
int request_add_body(HttpRequest *request, const void *p, size_t n);
void request_dispatch(HttpRequest *request);
/* Whether its body is to be streamed; then request_dispatch runs before the body, and for it: */
bool request_wants_stream(HttpRequest *request);
void request_body_arrived(HttpRequest *request); /* request_add_body took it */
void request_body_ended(HttpRequest *request);
/* Takes it from its connection: runs `closed`, drops the queue and the connection's reference. */
void request_detach(HttpRequest *request);
/* Answers in the front door's name with a Status body, for limits. */
void request_reject(HttpRequest *request, int status);
/* Fills the queue by pulling until `want` bytes wait, the source waits, or it ends. */
void request_pull(HttpRequest *request, size_t want);
/* Moves up to n queued bytes to out. */
void request_take(HttpRequest *request, Buf *out, size_t n);
void request_enqueue(HttpRequest *request, HttpBytes bytes);
void request_end_stream(HttpRequest *request);
void bytes_release(HttpBytes *bytes);

struct Reply {
    int status;
    bool is_stream, sized; /* sized: a stream of `length` bytes */
    uint64_t length;
    Buf fields; /* http/fields.h */
    HttpBytes body;
    const HttpStreamOps *ops;
    void *userdata;
};
/* Statuses that never have a body (RFC 9110). */
static inline bool status_has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}
const char *status_text(int status);

typedef struct Protocol {
    /* Bytes arrived. Negative: the connection fails. */
    int (*input)(Conn *conn, const char *p, size_t n);
    /* The peer sent its end. */
    void (*eof)(Conn *conn);
    /* Appends output until CONN_SCRATCH bytes are there, or some times that, or nothing is left. Negative: the
     * connection fails. */
    int (*fill)(Conn *conn, Buf *out);
    /* A reply for one of its requests; takes the contents. */
    void (*respond)(HttpRequest *request, Reply *reply);
    /* A stream may have bytes again. */
    void (*resume)(HttpRequest *request);
    /* Ends a reply that has begun before its time, whether or not the client takes more. */
    void (*cut)(HttpRequest *request);
    /* n bytes of a streamed body were taken. */
    void (*body_taken)(HttpRequest *request, size_t n);
    /* Nothing more to do on it, now or ever: close. */
    bool (*finished)(Conn *conn);
    /* No new requests from now on. */
    void (*stop)(Conn *conn);
    void (*expire)(Conn *conn, uint64_t now); /* deadlines of its requests */
    void (*done)(Conn *conn);
} Protocol;

struct Conn {
    Worker *worker;
    Conn *prev, *next, *next_dirty;
    Transport transport;
    Source *source;
    ConnInfo *info;
    const Protocol *protocol; /* NULL during the handshake and while lingering */
    void *state;              /* the protocol's */
    HttpRequest *requests;    /* all of it */
    unsigned n_requests;
    size_t body_bytes; /* that its requests hold */
    uint64_t deadline; /* 0: none */
    uint64_t write_deadline;
    Buf out; /* what the socket did not take */
    size_t out_done;
    bool dirty, broken, read_paused, lingering, in_io, stopping, hijacked;
    bool unread; /* its turn ended with bytes in the transport, of which the socket will not tell */
};

void conn_mark_dirty(Conn *conn);
void conn_break(Conn *conn, int error);
void conn_pause_reading(Conn *conn, bool paused);
void conn_set_deadline(Conn *conn, unsigned seconds); /* 0: none */
/* Hands transport to the caller (a hijack): the Conn ends without closing it. */
Transport conn_take_transport(Conn *conn);
void conn_accepted(Worker *worker, int fd);
void conn_free(Conn *conn);
void conn_flush(Conn *conn);

extern const Protocol h1_protocol, h2_protocol;
int h1_start(Conn *conn);
int h2_start(Conn *conn);
int h1_hijack(HttpRequest *request, Buf *head, Duplex *duplex);

struct Worker {
    atomic_uint refs;
    HttpServer *server; /* NULL after it stopped */
    Loop *loop;
    pthread_t thread;
    bool started;
    Source *listen_sources[HTTP_LISTEN_MAX], *sweep_timer, *stop_timer, *accept_timer;
    Conn *conns, *dirty;
    Duplex *duplexes;
    atomic_uint n_conns;
    size_t load, most_load; /* as WORKER_CROWD counts; the most since memory was last given back */
    unsigned trims;         /* still to do, one a second */
    bool flush_posted, stopping, finished;
    uint64_t stop_timeout;
    pthread_mutex_t lock; /* guards stopped against posting */
    bool stopped;
    char *in; /* CONN_READ_SIZE */
    Buf out;  /* one fill */
    char date[32];
    int64_t date_second;
};

static inline void worker_add_load(Worker *worker, size_t n) {
    worker->load += n;
    worker->most_load = MAX(worker->most_load, worker->load);
}
Worker *worker_ref(Worker *worker);
void worker_unref(Worker *worker);
/* False when the worker has stopped: then fn was not posted. Any thread. */
bool worker_post(Worker *worker, void (*fn)(void *userdata), void *userdata);
const char *worker_date(Worker *worker); /* HTTP date */
void worker_check_finished(Worker *worker);

struct HttpServer {
    HttpServerConfig config;
    pthread_mutex_t tls_lock;
    SSL_CTX *tls; /* under tls_lock; a connection keeps its own reference */
    int listen_fds[HTTP_LISTEN_MAX];
    unsigned n_listen;
    uint16_t port;
    Worker **workers;
    unsigned n_workers;
    atomic_uint n_conns;
    atomic_ullong body_bytes;
};

/* gzip of a body that comes in parts. One thread at a time. */
typedef struct Gzip Gzip;
Gzip *gzip_new(void);
void gzip_free(Gzip *gzip);
DEFINE_CLEANUP(Gzip, gzip_free)
/* Appends to out what is ready (maybe nothing); with `last`, all of it: no more after that. -EFBIG past out's limit. */
int gzip_write(Gzip *gzip, const void *p, size_t n, bool last, Buf *out);
