/* A gRPC client over HTTP/2 without TLS (nghttp2): one connection, unary calls. A connection belongs to one thread at a
 * time, which the functions here block: they are for the threads of a pool, never for a loop's. Deadlines are instants
 * of the monotonic clock; every call sends its own along (grpc-timeout) and keeps it itself as well. There is no TLS,
 * no streaming and no compression; a server that compresses unasked is an error. */
#pragma once

#include "grpc/status.h"

#define GRPC_MESSAGE_MAX (4u * 1024 * 1024) /* of an answer, unless the options say otherwise; Go's default */
#define GRPC_HEADERS_MAX (64u * 1024)       /* names and values of all header blocks of one answer */
#define GRPC_METADATA_MAX 32                /* fields a request may add */

typedef struct GrpcConnection GrpcConnection;

typedef struct GrpcOptions {
    const char *user_agent;  /* goes before our own name; may be NULL */
    size_t message_max;      /* 0: GRPC_MESSAGE_MAX */
    unsigned linger_seconds; /* SO_LINGER of a TCP connection; 0 leaves it to the system */
    bool wait;               /* a server that is not there yet is tried again until the deadline, ever less often */
} GrpcOptions;

typedef struct GrpcField {
    const char *name, *value; /* a lower-case name */
} GrpcField;

typedef struct GrpcRequest {
    const char *path; /* "/package.Service/Method" */
    const void *message;
    size_t n;
    uint64_t deadline_ns;
    const GrpcField *metadata; /* may be NULL */
    size_t n_metadata;
} GrpcRequest;

/* `address`: "unix:/path" ("unix:///path"), "host:port" or "[v6]:port". Numeric hosts are best: the resolver's time is
 * not bounded by the deadline. `options` may be NULL. Returns once the server has shown that it speaks HTTP/2 (its
 * SETTINGS). -EINVAL: not an address; -EHOSTUNREACH: the name is unknown; -EPROTO: it speaks something else;
 * -ECONNRESET: it hung up; -ETIMEDOUT: the deadline; or what connect(2) says, such as -ECONNREFUSED. With `wait` all
 * but -EINVAL become -ETIMEDOUT. */
int grpc_open(const char *address, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret);
/* A connected stream socket, which the connection takes also when this fails. */
int grpc_open_fd(int fd, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret);
void grpc_close(GrpcConnection *connection); /* says goodbye as far as that does not block */
DEFINE_CLEANUP(GrpcConnection, grpc_close)

/* One unary call. *ret_status is always set (it may be garbage before) and freed by the caller with grpc_status_done;
 * what goes wrong on this side is a status too (Unavailable, DeadlineExceeded, Internal, ResourceExhausted). On GRPC_OK
 * *ret_message is the answer, owned by the caller; otherwise it is untouched. A connection that broke answers all later
 * calls with Unavailable. */
void grpc_call(GrpcConnection *connection, const GrpcRequest *request, Buf *ret_message, GrpcStatus *ret_status);
