/* One length-prefixed message of gRPC: a byte that says whether it is compressed, four bytes of length, the message. */
#pragma once

#include "grpc/status.h"

#define GRPC_PREFIX_SIZE 5

/* Puts the message together that a unary call answers with. Memory grows with what arrives, not with what is announced.
 */
typedef struct MessageReader {
    uint8_t prefix[GRPC_PREFIX_SIZE];
    size_t prefix_len;
    uint32_t length; /* once the prefix is whole */
    size_t max;
    Buf body;
} MessageReader;

#define MESSAGE_READER_INIT(limit) ((MessageReader){.max = (limit)})
void message_reader_done(MessageReader *reader);
/* Takes the next bytes of the stream. -EPROTO with *status set where they cannot be: a message over the limit, a second
 * message, compression (nobody asked for it). */
int message_reader_feed(MessageReader *reader, const uint8_t *data, size_t n, GrpcStatus *status);
/* At the stream's end: is there one whole message? Otherwise -EPROTO with *status set. */
int message_reader_finish(const MessageReader *reader, GrpcStatus *status);

/* -EMSGSIZE when the length does not fit its prefix or `out` its limit. */
int message_frame(Buf *out, const void *message, size_t n);
