/* A gRPC client over HTTP/2 (nghttp2), with TLS (OpenSSL) when asked for: one connection, any number of calls on it,
 * unary or streams. A connection and its streams belong to one thread at a time, which turns the connection inside the
 * functions here and is blocked by them: they are for the threads of a pool or a thread of their own, never for a
 * loop's. grpc_wake alone may be called from any thread. Deadlines are instants of the monotonic clock; every call
 * sends its own along (grpc-timeout) and keeps it itself as well. There is no compression; a server that compresses
 * unasked is an error. With TLS the process must ignore SIGPIPE. A connection that broke stays broken: when to connect
 * again, and to whom, is the caller's policy. */
#pragma once

#include "base/clock.h"
#include "grpc/status.h"

#include <stdatomic.h>

#define GRPC_MESSAGE_MAX (4u * 1024 * 1024) /* of an answer, unless the options say otherwise; Go's default */
#define GRPC_HEADERS_MAX (64u * 1024)       /* names and values of all header blocks of one answer */
#define GRPC_METADATA_MAX 32                /* fields a request may add */
#define GRPC_SEND_MAX (64u * 1024 * 1024)   /* bytes that wait to be sent on one stream */
#define GRPC_NEVER UINT64_MAX               /* a call without a deadline */
#define GRPC_CANCEL_CHECK_NS (200 * NS_PER_MS)

typedef struct GrpcConnection GrpcConnection;
typedef struct GrpcStream GrpcStream;

/* PEM files, read at each connect. The server's name or address is checked against its certificate. */
typedef struct GrpcTls {
    const char *ca_file;              /* NULL: the system's authorities */
    const char *cert_file, *key_file; /* of the client; NULL: none */
} GrpcTls;

typedef struct GrpcOptions {
    const char *user_agent;     /* goes before our own name; may be NULL */
    size_t message_max;         /* 0: GRPC_MESSAGE_MAX */
    unsigned linger_seconds;    /* SO_LINGER of a TCP connection; 0 leaves it to the system */
    bool wait;                  /* a server that is not there yet is tried again until the deadline, ever less often */
    const GrpcTls *tls;         /* NULL: none */
    /* While there are calls: a PING after so long a silence, and the end after another; 0: never. Servers may refuse
     * frequent ones. */
    unsigned keepalive_seconds;
    /* Once true, whatever blocks gives up within GRPC_CANCEL_CHECK_NS and the connection is broken: grpc_open with
     * -ECANCELED, calls with the status Canceled. Outlives the connection. NULL: never. */
    const atomic_bool *cancelled;
} GrpcOptions;

typedef struct GrpcField {
    const char *name, *value; /* a lower-case name */
} GrpcField;

typedef struct GrpcRequest {
    const char *path;    /* "/package.Service/Method" */
    const void *message; /* NULL with a stream: none yet */
    size_t n;
    uint64_t deadline_ns;
    const GrpcField *metadata; /* may be NULL */
    size_t n_metadata;
} GrpcRequest;

/* `address`: "unix:/path" ("unix:///path"), "host:port" or "[v6]:port". Numeric hosts are best: the resolver's time is
 * not bounded by the deadline. `options` may be NULL. Returns once the server has shown that it speaks HTTP/2 (its
 * SETTINGS). -EINVAL: not an address; -EHOSTUNREACH: the name is unknown; -EPROTO: it speaks something else;
 * -EKEYREJECTED: TLS failed (the log says why) or a file of options->tls cannot be used; -ECONNRESET: it hung up;
 * -ETIMEDOUT: the deadline; -ECANCELED; or what connect(2) says, such as -ECONNREFUSED. With `wait` all but -EINVAL and
 * -ECANCELED become -ETIMEDOUT. */
int grpc_open(const char *address, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret);
/* A connected stream socket, which the connection takes also when this fails. Without TLS. */
int grpc_open_fd(int fd, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret);
void grpc_close(GrpcConnection *connection); /* says goodbye as far as that does not block. Its streams are closed */
DEFINE_CLEANUP(GrpcConnection, grpc_close)
/* May new calls be made? Otherwise it broke or the server says goodbye. */
bool grpc_is_usable(const GrpcConnection *connection);

/* One unary call. *ret_status is always set (it may be garbage before) and freed by the caller with grpc_status_done;
 * what goes wrong on this side is a status too (Unavailable, DeadlineExceeded, Internal, ResourceExhausted). On GRPC_OK
 * *ret_message is the answer, owned by the caller; otherwise it is untouched. A connection that broke answers all later
 * calls with Unavailable. */
void grpc_call(GrpcConnection *connection, const GrpcRequest *request, Buf *ret_message, GrpcStatus *ret_status);

/* Streams. Opening one, sending and taking only note what is to happen: it happens when the connection is turned. What
 * arrives is kept for its stream until it is taken; a stream whose messages nobody takes stops its server by flow
 * control. */
typedef enum GrpcStreamKind {
    GRPC_UNARY,         /* the request's message, one answer */
    GRPC_SERVER_STREAM, /* the request's message, any number of answers */
    GRPC_BIDIRECTIONAL, /* messages both ways; the sending side stays open until grpc_stream_end */
} GrpcStreamKind;

/* Never NULL: a call that cannot be made has ended already. `request` is read here only. */
GrpcStream *grpc_stream_open(GrpcConnection *connection, GrpcStreamKind kind, const GrpcRequest *request,
                             void *userdata);
void *grpc_stream_userdata(const GrpcStream *stream);
/* -EMSGSIZE: more than GRPC_SEND_MAX would wait; -EPIPE: the stream has ended or its sending side has. */
int grpc_stream_send(GrpcStream *stream, const void *message, size_t n);
void grpc_stream_end(GrpcStream *stream); /* half-close: no more messages from here */
/* Takes a message that is there: 1 and *ret, the caller's; 0: none. */
int grpc_stream_take(GrpcStream *stream, Buf *ret);
/* How the stream ended, borrowed; NULL: it has not, or messages wait to be taken. */
const GrpcStatus *grpc_stream_status(const GrpcStream *stream);
/* Turns the connection until there is a message: 1 and *ret; 0: the stream has ended; -ETIMEDOUT: not by then; -EINTR:
 * grpc_wake was called. */
int grpc_stream_receive(GrpcStream *stream, uint64_t until_ns, Buf *ret);
/* Frees the stream; one that has not ended is reset (CANCEL). NULL is fine. */
void grpc_stream_close(GrpcStream *stream);
DEFINE_CLEANUP(GrpcStream, grpc_stream_close)

/* Turns the connection until a stream has news, somebody called grpc_wake, or `until_ns`. 0, or what broke the
 * connection (each of its streams then has news: its end). */
int grpc_turn(GrpcConnection *connection, uint64_t until_ns);
/* The next stream that got a message or ended since it was last given here; NULL: none. */
GrpcStream *grpc_next_ready(GrpcConnection *connection);
/* One of the streams that are open here; NULL: there is none. */
GrpcStream *grpc_any_stream(GrpcConnection *connection);
/* Ends a grpc_turn or grpc_stream_receive that runs, or the next one. Any thread, while the connection is not being
 * closed. */
void grpc_wake(GrpcConnection *connection);
