/* What the files of the client share. Inside lib/grpc only.
 *
 * One session of nghttp2 over a descriptor that does not block. Callbacks only note what arrived; the functions that
 * turn the session decide. nghttp2 knows a stream by its id and its user data, which is NULL once the stream is closed
 * here: nothing of the session points at what is gone. */
#pragma once

#include "grpc/client.h"
#include "grpc/message.h"
#include "grpc/wait.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#define READ_SIZE (64 * 1024)
#define WRITE_SIZE (64 * 1024)

struct GrpcStream {
    GrpcConnection *connection;
    GrpcStream *next, **previous; /* of the connection's streams */
    GrpcStream *next_ready;
    GrpcStreamKind kind;
    void *userdata;
    int32_t id; /* < 0: never sent */
    uint64_t deadline_ns;
    Buf out; /* framed messages to be sent */
    size_t sent;
    bool no_more; /* the sending side ends after `out` */
    bool deferred;
    MessageReader reader;
    Buf *messages; /* whole ones, not taken yet: [first, n) */
    size_t first, n, cap;
    size_t received, held; /* messages in all; bytes of the window that are given back when those there are taken */
    size_t header_bytes;
    int http_status;
    char *content_type, *grpc_status, *grpc_message;
    bool grpc;   /* the answer's first headers were gRPC's */
    bool done;   /* status is final */
    bool closed; /* nghttp2 has closed it */
    bool ready;  /* in the connection's list */
    GrpcStatus status;
};

struct GrpcConnection {
    int fd, wake_fd;
    SSL *tls; /* NULL: none */
    nghttp2_session *session;
    char *authority, *agent;
    size_t message_max;
    uint64_t keepalive_ns;        /* 0: never */
    const atomic_bool *cancelled; /* may be NULL */
    uint64_t heard_ns;            /* when something came last */
    uint64_t pinged_ns;           /* 0: no PING is out */
    bool settled;                 /* the server's SETTINGS are here */
    bool woken;                   /* grpc_wake was called */
    int broken;                   /* negative errno */
    GrpcStream *streams;
    GrpcStream *ready, **last_ready;
    const uint8_t *chunk; /* the session's, until it is asked for more */
    size_t chunk_len;
    size_t out_at, out_len;
    uint8_t out[WRITE_SIZE];
    uint8_t in[READ_SIZE];
};

/* The socket is connected, and has shaken hands when there is `tls`; both are taken also on failure. */
int connection_new(int fd, SSL *tls, const char *authority, const GrpcOptions *options, uint64_t deadline_ns,
                   GrpcConnection **ret);
/* Turns until *until or `until_ns` (-ETIMEDOUT; the connection stays whole), or says what broke it. `until` NULL: until
 * a stream has news. `wakes`: grpc_wake ends it too (0). */
int connection_turn(GrpcConnection *connection, const bool *until, bool wakes, uint64_t until_ns);
int connection_flush(GrpcConnection *connection);

/* stream.c: what the session's callbacks tell. */
void stream_begin_headers(GrpcStream *stream);
void stream_header(GrpcStream *stream, const char *name, const uint8_t *value, size_t name_len, size_t value_len);
void stream_headers(GrpcStream *stream, bool end);
void stream_data(GrpcStream *stream, const uint8_t *data, size_t n);
void stream_fail(GrpcStream *stream, GrpcCode code, const char *why);
void stream_was_reset(GrpcStream *stream, uint32_t error);
void stream_broke(GrpcStream *stream, int error);
