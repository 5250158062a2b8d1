/* A gRPC connection whose server has said all that it will say: a socket pair that already holds the fuzzer's bytes. */
#pragma once

#include "base/clock.h"
#include "grpc/client.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GRPC_PEER_INPUT_MAX 65536

/* NULL: the input is too long, or there is no socket. *ret_peer is the caller's to close, after the connection. The end
 * of the input is the end of the connection, so that nothing waits for `deadline_ns`. */
static inline GrpcConnection *grpc_peer_new(const uint8_t *data, size_t size, size_t message_max, uint64_t deadline_ns,
                                            int *ret_peer) {
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    int fds[2];
    if (size > GRPC_PEER_INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return NULL;
    GrpcConnection *c = NULL;
    if (send(fds[1], settings, sizeof settings, MSG_NOSIGNAL) != (ssize_t)sizeof settings ||
        grpc_open_fd(fds[0], &(GrpcOptions){.message_max = message_max}, deadline_ns, &c) < 0)
        abort();
    if (send(fds[1], data, size, MSG_NOSIGNAL) < 0 && size)
        abort();
    shutdown(fds[1], SHUT_WR);
    *ret_peer = fds[1];
    return c;
}
