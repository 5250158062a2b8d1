#include "grpc/message.h"

#include <errno.h>

static int refuse(GrpcStatus *status, GrpcCode code, const char *why) {
    grpc_status_set(status, code, "%s", why);
    return -EPROTO;
}

void message_reader_done(MessageReader *reader) {
    buf_done(&reader->body);
    *reader = (MessageReader){0};
}

static int prefix_check(MessageReader *reader, GrpcStatus *status) {
    const uint8_t *p = reader->prefix;
    uint32_t length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (p[0] == 1)
        return refuse(status, GRPC_INTERNAL, "grpc: compressed flag set with identity or empty encoding");
    if (p[0] != 0) {
        grpc_status_set(status, GRPC_INTERNAL, "grpc: received unexpected payload format %u", p[0]);
        return -EPROTO;
    }
    if (length > reader->max) {
        grpc_status_set(status, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max (%u vs. %zu)", length,
                        reader->max);
        return -EPROTO;
    }
    reader->length = length;
    reader->body = BUF_INIT(length);
    return 0;
}

int message_reader_feed(MessageReader *reader, const uint8_t **data, size_t *n, GrpcStatus *status) {
    while (*n && reader->prefix_len < GRPC_PREFIX_SIZE) {
        reader->prefix[reader->prefix_len++] = *(*data)++;
        --*n;
        if (reader->prefix_len < GRPC_PREFIX_SIZE)
            continue;
        int r = prefix_check(reader, status);
        if (r < 0)
            return r;
    }
    if (reader->prefix_len < GRPC_PREFIX_SIZE)
        return 0;
    size_t take = MIN(*n, reader->length - reader->body.len);
    if (take)
        buf_append(&reader->body, *data, take);
    *data += take;
    *n -= take;
    return reader->body.len == reader->length;
}

Buf message_reader_take(MessageReader *reader) {
    Buf body = reader->body;
    *reader = MESSAGE_READER_INIT(reader->max);
    return body;
}

int message_reader_finish(const MessageReader *reader, GrpcStatus *status) {
    return reader->prefix_len ? refuse(status, GRPC_INTERNAL, "unexpected EOF") : 0;
}

int message_frame(Buf *out, const void *message, size_t n) {
    if (n > UINT32_MAX)
        return -EMSGSIZE;
    uint8_t prefix[GRPC_PREFIX_SIZE] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    buf_append(out, prefix, sizeof prefix);
    if (n)
        buf_append(out, message, n);
    return out->failed ? -EMSGSIZE : 0;
}
