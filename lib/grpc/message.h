/* Length-prefixed messages of gRPC: a byte that says whether one is compressed, four bytes of length, the message. */
#pragma once

#include "grpc/status.h"

#define GRPC_PREFIX_SIZE 5

/* Puts messages together from the bytes of a stream. Memory grows with what arrives, not with what is announced. */
typedef struct MessageReader {
    uint8_t prefix[GRPC_PREFIX_SIZE];
    size_t prefix_len;
    uint32_t length; /* once the prefix is whole */
    size_t max;
    Buf body;
} MessageReader;

#define MESSAGE_READER_INIT(limit) ((MessageReader){.max = (limit)})
void message_reader_done(MessageReader *reader);
/* Takes bytes up to the end of a message; *data and *n are what is left. 1: a message is whole, which the caller takes
 * before it goes on; 0: all bytes are taken; -EPROTO with *status set where they cannot be: a message over the limit,
 * compression (nobody asked for it). */
int message_reader_feed(MessageReader *reader, const uint8_t **data, size_t *n, GrpcStatus *status);
/* The whole message, the caller's; the reader is ready for the next one. */
Buf message_reader_take(MessageReader *reader);
/* At the stream's end: 0, or -EPROTO with *status set when a message is half there. */
int message_reader_finish(const MessageReader *reader, GrpcStatus *status);

/* -EMSGSIZE when the length does not fit its prefix or `out` its limit. */
int message_frame(Buf *out, const void *message, size_t n);
