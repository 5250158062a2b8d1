/* From an address to a connection: resolving, connecting, shaking hands, and trying again. */
#include "grpc/connection.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "grpc/tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ADDRESS_MAX 512
#define BUSY_WAIT_NS (10 * NS_PER_MS) /* a unix socket whose backlog is full says nothing when there is room */
#define RETRY_FIRST_NS NS_PER_SEC     /* gRPC's connection backoff: 1 s, times 1.6, 120 s at most, 20 % either way */
#define RETRY_MAX_NS (120 * NS_PER_SEC)

static const GrpcOptions no_options;

static int connect_to(const struct sockaddr *address, socklen_t n, const GrpcOptions *options, uint64_t deadline_ns) {
    _cleanup_close_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (address->sa_family != AF_UNIX) {
        int on = 1;
        struct linger linger = {.l_onoff = 1, .l_linger = (int)options->linger_seconds};
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (options->linger_seconds)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    while (connect(fd, address, n) < 0) {
        if (errno == EINPROGRESS) {
            int error = 0, r = socket_wait(fd, POLLOUT, options->cancelled, deadline_ns);
            socklen_t size = sizeof error;
            if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                r = -errno;
            if (r < 0 || error)
                return r < 0 ? r : -error;
            break;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (is_cancelled(options->cancelled))
            return -ECANCELED;
        if (now_monotonic_ns() + BUSY_WAIT_NS >= deadline_ns)
            return -ETIMEDOUT;
        nanosleep(&(struct timespec){.tv_nsec = BUSY_WAIT_NS}, NULL);
    }
    int connected = fd;
    fd = -1;
    return connected;
}

int grpc_open_fd(int fd, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    return connection_new(fd, NULL, "localhost", options ? options : &no_options, deadline_ns, ret);
}

static int open_unix(const char *path, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    while (path[0] == '/' && path[1] == '/')
        path++;
    if (str_empty(path) || strlen(path) >= sizeof address.sun_path)
        return -EINVAL;
    memcpy(address.sun_path, path, strlen(path));
    int fd = connect_to((const struct sockaddr *)&address, sizeof address, options, deadline_ns);
    return fd < 0 ? fd : grpc_open_fd(fd, options, deadline_ns, ret);
}

static int address_split(const char *address, char host[ADDRESS_MAX], const char **ret_port) {
    size_t n = strlen(address);
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (n >= ADDRESS_MAX || !colon || colon == address || str_to_uint64(colon + 1, &port) < 0 || !port ||
        port > UINT16_MAX)
        return -EINVAL;
    n = (size_t)(colon - address);
    bool brackets = address[0] == '[' && address[n - 1] == ']';
    if (!brackets && memchr(address, ':', n))
        return -EINVAL;
    memcpy(host, address + brackets, n - 2 * brackets);
    host[n - 2 * brackets] = 0;
    *ret_port = colon + 1;
    return *host ? 0 : -EINVAL;
}

/* One of the addresses a name stands for. */
static int open_address(const struct addrinfo *ai, const char *host, const char *authority, const GrpcOptions *options,
                        uint64_t deadline_ns, GrpcConnection **ret) {
    int fd = connect_to(ai->ai_addr, ai->ai_addrlen, options, deadline_ns);
    SSL *tls = NULL;
    if (fd < 0)
        return fd;
    int r = options->tls ? tls_connect(fd, options, host, deadline_ns, &tls) : 0;
    if (r < 0) {
        close(fd);
        return r;
    }
    return connection_new(fd, tls, authority, options, deadline_ns, ret);
}

static int open_once(const char *address, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    if (str_has_prefix(address, "unix:"))
        return open_unix(address + strlen("unix:"), options, deadline_ns, ret);
    char host[ADDRESS_MAX];
    const char *port;
    int r = address_split(address, host, &port);
    if (r < 0)
        return r;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EHOSTUNREACH;
    r = -EHOSTUNREACH;
    for (const struct addrinfo *ai = found; ai; ai = ai->ai_next) {
        r = open_address(ai, host, address, options, deadline_ns, ret);
        if (r >= 0 || r == -ETIMEDOUT || r == -ECANCELED)
            break;
    }
    freeaddrinfo(found);
    return r;
}

/* Where it is past the deadline, the deadline. */
static void back_off(uint64_t step_ns, const atomic_bool *cancelled, uint64_t deadline_ns) {
    uint64_t now = now_monotonic_ns(), end = now + step_ns / 10 * 8 + random_below(step_ns / 10 * 4);
    end = MIN(end, deadline_ns);
    for (; now < end && !is_cancelled(cancelled); now = now_monotonic_ns()) {
        uint64_t next = cancel_check(cancelled, end), left = next > now ? next - now : 0;
        struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_SEC), .tv_nsec = (long)(left % NS_PER_SEC)};
        nanosleep(&ts, NULL);
    }
}

int grpc_open(const char *address, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    options = options ? options : &no_options;
    for (uint64_t step = RETRY_FIRST_NS;; step = MIN(step / 10 * 16, (uint64_t)RETRY_MAX_NS)) {
        int r = open_once(address, options, deadline_ns, ret);
        if (r >= 0 || r == -EINVAL || r == -ETIMEDOUT || r == -ECANCELED || !options->wait)
            return r;
        back_off(step, options->cancelled, deadline_ns);
        if (is_cancelled(options->cancelled))
            return -ECANCELED;
        if (now_monotonic_ns() >= deadline_ns)
            return -ETIMEDOUT;
    }
}
