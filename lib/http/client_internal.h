/* What client.c shares with the protocols its connections speak. Everything is on the loop's thread but what is marked
 * (L): under the client's lock.
 *
 * Invariants:
 *  - An exchange waits (in client->waiting), or is on one line (line->exchanges), or is over.
 *  - A line is freed only by client_turn, after its Duplex has called `closed`; client_turn runs last in every event.
 *  - Callbacks of users run inside a protocol's `data`, so they may start exchanges but free none. */
#pragma once

#include "http/client.h"
#include "http/dial.h"
#include "http/duplex_internal.h"
#include "http/fields.h"
#include "loop/pool.h"

#include <pthread.h>

#define LINE_HIGH_WATER (256 * 1024) /* bytes given to a connection before it has taken what it has */

typedef struct HttpLine HttpLine;

struct HttpExchange {
    atomic_uint refs;
    HttpClient *client;
    HttpExchange *next, **at; /* where it is linked; at NULL: nowhere */
    HttpLine *line;
    const HttpExchangeOps *ops;
    void *userdata;
    char *method, *target;
    Buf fields; /* http/fields.h; may hold secrets */
    const char *body;
    size_t body_len, body_done;
    bool has_body, on_used_line, repeated, over;
    HttpAnswer answer;
    int32_t stream_id;
    pthread_cond_t changed; /* with the client's lock */
    bool stop, released;    /* (L) */
};

typedef struct LineOps {
    bool (*has_room)(const HttpLine *line);
    int (*send)(HttpLine *line, HttpExchange *exchange);
    void (*leave)(HttpLine *line, HttpExchange *exchange); /* it ended before its answer did; it is off the line */
    void (*data)(HttpLine *line, const void *p, size_t n);
    void (*flush)(HttpLine *line); /* after anything happened */
    void (*closed)(HttpLine *line, int error);
    uint64_t (*tick)(HttpLine *line, uint64_t now); /* the next instant, UINT64_MAX: none */
    void (*free)(HttpLine *line);
} LineOps;

struct HttpLine {
    HttpClient *client;
    HttpLine *next;
    const LineOps *ops;
    Duplex *duplex;
    Source *timer;
    HttpExchange *exchanges;
    size_t n_exchanges;
    uint64_t heard_ns, idle_ns; /* when something came last; since when nothing is asked */
    bool used, leaving, dead;   /* has answered before; takes no more; closed */
};

struct HttpClient {
    Loop *loop;
    DuplexConnect to; /* strings are owned */
    SSL_CTX *context;
    Pool *dialers;
    char *authority; /* "host:port" */
    bool http1_only, speaks_h1;
    uint64_t keep_ns;
    atomic_bool closing;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    SSL_SESSION *session; /* (L) */
    bool closed;          /* (L) */
    HttpLine *lines;
    size_t n_lines, dialing;
    HttpExchange *waiting;
    bool turning, again;
};

HttpLine *h1_line_new(void);
int h2_line_new(HttpLine **ret); /* -ENOMEM */

/* From the user's callback: negative errno, and the exchange has ended. */
int exchange_data(HttpExchange *exchange, const char *p, size_t n);
/* The answer is whole. */
void exchange_done(HttpExchange *exchange);
/* The line failed it. `untouched`: the server has certainly not looked at it. */
void exchange_failed(HttpExchange *exchange, int error, const char *why, bool untouched);
/* The connection is of no more use. */
void line_break(HttpLine *line, int error);
