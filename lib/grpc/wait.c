#include "grpc/wait.h"

#include "base/clock.h"
#include "grpc/client.h"

#include <errno.h>
#include <poll.h>

bool is_cancelled(const atomic_bool *cancelled) {
    return cancelled && atomic_load(cancelled);
}

uint64_t cancel_check(const atomic_bool *cancelled, uint64_t until_ns) {
    return cancelled ? MIN(until_ns, now_monotonic_ns() + GRPC_CANCEL_CHECK_NS) : until_ns;
}

int socket_wait(int fd, short events, const atomic_bool *cancelled, uint64_t deadline_ns) {
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now = now_monotonic_ns(), until = cancel_check(cancelled, deadline_ns);
        if (is_cancelled(cancelled))
            return -ECANCELED;
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        int n = poll(&p, 1, until > now ? (int)MIN((until - now) / NS_PER_MS + 1, (uint64_t)3600000) : 0);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}
