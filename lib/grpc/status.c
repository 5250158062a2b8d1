#include "grpc/status.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdarg.h>
#include <stdio.h>

#define TIMEOUT_VALUE_MAX 99999999ull /* eight digits, by the protocol */

static const char *const names[] = {
    [GRPC_OK] = "OK",
    [GRPC_CANCELED] = "Canceled",
    [GRPC_UNKNOWN] = "Unknown",
    [GRPC_INVALID_ARGUMENT] = "InvalidArgument",
    [GRPC_DEADLINE_EXCEEDED] = "DeadlineExceeded",
    [GRPC_NOT_FOUND] = "NotFound",
    [GRPC_ALREADY_EXISTS] = "AlreadyExists",
    [GRPC_PERMISSION_DENIED] = "PermissionDenied",
    [GRPC_RESOURCE_EXHAUSTED] = "ResourceExhausted",
    [GRPC_FAILED_PRECONDITION] = "FailedPrecondition",
    [GRPC_ABORTED] = "Aborted",
    [GRPC_OUT_OF_RANGE] = "OutOfRange",
    [GRPC_UNIMPLEMENTED] = "Unimplemented",
    [GRPC_INTERNAL] = "Internal",
    [GRPC_UNAVAILABLE] = "Unavailable",
    [GRPC_DATA_LOSS] = "DataLoss",
    [GRPC_UNAUTHENTICATED] = "Unauthenticated",
};

void grpc_status_done(GrpcStatus *status) {
    free(status->message);
    *status = (GrpcStatus){0};
}

void grpc_status_set(GrpcStatus *status, uint32_t code, const char *format, ...) {
    char *message = NULL;
    va_list ap;
    va_start(ap, format);
    int n = vasprintf(&message, format, ap);
    va_end(ap);
    grpc_status_done(status);
    *status = (GrpcStatus){code, n < 0 ? NULL : message};
}

char *grpc_status_words(const GrpcStatus *status) {
    const char *message = status->message ? status->message : "";
    if (status->code < ELEMENTSOF(names))
        return xasprintf("rpc error: code = %s desc = %s", names[status->code], message);
    return xasprintf("rpc error: code = Code(%u) desc = %s", status->code, message);
}

int grpc_code_parse(const char *s, uint32_t *ret) {
    uint64_t code;
    if (str_to_uint64(s, &code) < 0 || code > INT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)code;
    return 0;
}

GrpcCode grpc_code_of_http(int status) {
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

GrpcCode grpc_code_of_reset(uint32_t error) {
    switch (error) {
    case NGHTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return GRPC_CANCELED;
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return error <= NGHTTP2_HTTP_1_1_REQUIRED ? GRPC_INTERNAL : GRPC_UNKNOWN;
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_message_decode(char *s) {
    char *out = s;
    for (const char *p = s; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1;
        int low = high >= 0 ? hex_digit(p[2]) : -1;
        unsigned char c = (unsigned char)*p;
        if (low >= 0) {
            c = (unsigned char)(high << 4 | low);
            p += 2;
        }
        *out++ = (char)(c < ' ' || c == 0x7f ? ' ' : c);
    }
    *out = 0;
}

char *grpc_timeout_format(uint64_t ns, char out[GRPC_TIMEOUT_MAX]) {
    static const struct {
        uint64_t ns;
        char name;
    } units[] = {{1, 'n'},          {NS_PER_US, 'u'},       {NS_PER_MS, 'm'},
                 {NS_PER_SEC, 'S'}, {60 * NS_PER_SEC, 'M'}, {3600 * NS_PER_SEC, 'H'}};
    size_t i = 0;
    uint64_t value = ns;
    while (value > TIMEOUT_VALUE_MAX && ++i < ELEMENTSOF(units))
        value = ns / units[i].ns + (ns % units[i].ns != 0);
    snprintf(out, GRPC_TIMEOUT_MAX, "%u%c", (unsigned)value, units[MIN(i, ELEMENTSOF(units) - 1)].name);
    return out;
}
