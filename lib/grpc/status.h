/* How a gRPC call ended: the codes and their names, and the forms in which headers carry them (gRPC over HTTP/2). */
#pragma once

#include "base/buf.h"

typedef enum GrpcCode {
    GRPC_OK,
    GRPC_CANCELED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
} GrpcCode;

/* A server may send codes that have no name: any uint32. */
typedef struct GrpcStatus {
    uint32_t code;
    char *message; /* owned; NULL is "" */
} GrpcStatus;

void grpc_status_done(GrpcStatus *status);
#define _cleanup_grpc_status_ _cleanup_(grpc_status_done)
/* Replaces what is there. */
void grpc_status_set(GrpcStatus *status, uint32_t code, const char *format, ...) _printf_(3, 4);
/* "rpc error: code = Unavailable desc = ...", as Go's clients word it. The caller frees it. */
char *grpc_status_words(const GrpcStatus *status);

/* "grpc-status": a decimal number. -EINVAL. */
int grpc_code_parse(const char *s, uint32_t *ret);
/* What an HTTP status without a gRPC status, and an HTTP/2 error code of a reset stream, stand for. */
GrpcCode grpc_code_of_http(int status);
GrpcCode grpc_code_of_reset(uint32_t error);
/* "grpc-message" in place: a bad escape stays as it is, NULs and control characters become spaces. */
void grpc_message_decode(char *s);
/* "grpc-timeout": at most eight digits and a unit, rounded up. */
#define GRPC_TIMEOUT_MAX 16
char *grpc_timeout_format(uint64_t ns, char out[GRPC_TIMEOUT_MAX]);
