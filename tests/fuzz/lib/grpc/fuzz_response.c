/* Bytes of a server through the whole client: a socket pair that already holds all of them. */
#include "base/clock.h"
#include "grpc/health.h"

#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    int fds[2];
    if (size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    GrpcConnection *c = NULL;
    uint64_t deadline = now_monotonic_ns() + 10 * NS_PER_SEC;
    if (send(fds[1], settings, sizeof settings, MSG_NOSIGNAL) != (ssize_t)sizeof settings ||
        grpc_open_fd(fds[0], &(GrpcOptions){.message_max = 4096}, deadline, &c) < 0)
        abort();
    /* The end of the input is the end of the connection: no call waits for its deadline. */
    if (send(fds[1], data, size, MSG_NOSIGNAL) < 0 && size)
        abort();
    shutdown(fds[1], SHUT_WR);
    for (int i = 0; i < 2; i++) {
        _cleanup_grpc_status_ GrpcStatus status;
        int32_t health;
        health_check(c, "x", deadline, &health, &status);
        if (status.code == GRPC_DEADLINE_EXCEEDED && !status.message)
            abort();
    }
    grpc_close(c);
    close(fds[1]);
    return 0;
}
