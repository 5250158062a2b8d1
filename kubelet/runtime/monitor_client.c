#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYNC_FD 3 /* kubelet/monitor/monitor.h */
#define ANSWER_MAX 4096
#define REQUEST_NS (10 * NS_PER_SEC)

/* Receives one packet and, perhaps, a descriptor. */
static ssize_t receive(int fd, char *data, size_t size, uint64_t deadline, int *ret_fd) {
    for (;;) {
        uint64_t now = now_monotonic_ns();
        if (now >= deadline)
            return -ETIMEDOUT;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t ms = (deadline - now) / NS_PER_MS + 1;
        int n = poll(&p, 1, (int)MIN(ms, (uint64_t)60000));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n <= 0)
            continue;
        struct iovec iov = {data, size};
        union {
            char bytes[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control = {0};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got < 0)
            return -errno;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        int passed = -1;
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&passed, CMSG_DATA(c), sizeof passed);
        if (ret_fd)
            *ret_fd = passed;
        else if (passed >= 0)
            close(passed);
        return got;
    }
}

/* Descriptors are moved out of the way first, so that no dup2 closes one that is still to be given. */
static int spawn(const char *const *argv, const int fds[MONITOR_FDS_MAX], int sync, pid_t *ret) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int moved[MONITOR_FDS_MAX], r = 0;
    for (int i = 0; i < MONITOR_FDS_MAX; i++) {
        int source = i == SYNC_FD ? sync : fds[i];
        moved[i] = source >= 0 ? fcntl(source, F_DUPFD_CLOEXEC, MONITOR_FDS_MAX) : -1;
        if (source >= 0 && moved[i] < 0)
            r = -errno;
        if (moved[i] >= 0)
            posix_spawn_file_actions_adddup2(&actions, moved[i], i);
        else if (i < 3)
            posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    }
    char *env[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    if (r == 0)
        r = -posix_spawn(ret, argv[0], &actions, &attributes, (char *const *)argv, env);
    for (int i = 0; i < MONITOR_FDS_MAX; i++)
        closep(&moved[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return r;
}

/* {"msg": "..."} as crun and runc log with --log-format=json; any other text as it is. */
static char *answer_text(const char *text) {
    _cleanup_json_ json_t *line = json_loads(text, 0, NULL);
    const char *message = json_string_value(json_object_get(line, "msg"));
    return xstrdup(message ? message : text);
}

static int spawn_and_hear(const char *const *argv, const int fds[MONITOR_FDS_MAX], pid_t *ret_pid, int *ret_fd,
                          int *ret_connection, char **ret_error) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return oci_fail(ret_error, -errno, xasprintf("a socket for the monitor: %s", strerror(errno)));
    pid_t pid = -1;
    int r = spawn(argv, fds, pair[1], &pid);
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        return oci_fail(ret_error, r, xasprintf("%s: %s", argv[0], strerror(-r)));
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    char answer[ANSWER_MAX + 1];
    int passed = -1;
    ssize_t n = receive(pair[0], answer, ANSWER_MAX, now_monotonic_ns() + MONITOR_ANSWER_NS, &passed);
    answer[n > 0 ? n : 0] = 0;
    int64_t number;
    bool started = n > 1 && answer[0] == '+' && str_to_int64(answer + 1, &number) == 0;
    if (started && ret_connection)
        *ret_connection = pair[0];
    else
        close(pair[0]);
    if (started) {
        *ret_pid = (pid_t)number;
        if (ret_fd)
            *ret_fd = passed;
        else
            closep(&passed);
        return 0;
    }
    closep(&passed);
    if (n > 0 && (answer[0] == '-' || answer[0] == '='))
        return oci_fail(ret_error, answer[0] == '=' ? -EALREADY : -EIO, answer_text(answer + 1));
    return oci_fail(ret_error, n < 0 ? (int)n : -EIO,
                    xasprintf("the monitor gave no answer%s", n == -ETIMEDOUT ? " in time" : ""));
}

int monitor_spawn(const char *const *argv, const int fds[MONITOR_FDS_MAX], pid_t *ret_pid, int *ret_fd,
                  char **ret_error) {
    return spawn_and_hear(argv, fds, ret_pid, ret_fd, NULL, ret_error);
}

int monitor_spawn_pause(const OciRuntime *rt, pid_t *ret_pid, int *ret_connection, char **ret_error) {
    const char *argv[] = {rt->monitor, "pause", NULL};
    const int fds[MONITOR_FDS_MAX] = {-1, -1, -1, -1, -1, -1};
    return spawn_and_hear(argv, fds, ret_pid, NULL, ret_connection, ret_error);
}

int monitor_pause_keep(int connection) {
    return send(connection, "k", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int monitor_connect(const Container *container) {
    /* Through the folder's descriptor: sun_path holds 107 bytes, data folders may be deeper. */
    _cleanup_close_ int dir = open(container->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", dir);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int monitor_request(int connection, char type, const void *body, size_t n, const int *fds, size_t n_fds) {
    char packet[16] = {type};
    if (n > sizeof packet - 1 || n_fds > 4)
        return -EINVAL;
    if (n)
        memcpy(packet + 1, body, n);
    struct iovec iov = {packet, n + 1};
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    if (sendmsg(connection, &msg, MSG_NOSIGNAL) < 0)
        return errno == EPIPE ? -ECONNRESET : -errno;
    for (;;) {
        char answer[16];
        ssize_t got = receive(connection, answer, sizeof answer, now_monotonic_ns() + REQUEST_NS, NULL);
        if (got < 0)
            return (int)got;
        int32_t value;
        if (got != 1 + (ssize_t)sizeof value)
            return -ECONNRESET;
        memcpy(&value, answer + 1, sizeof value);
        if (answer[0] == 'X')
            return -ESRCH; /* it has just ended */
        return value;
    }
}

int monitor_wait_exit(int connection, uint64_t deadline_ns) {
    for (;;) {
        char answer[16];
        ssize_t got = receive(connection, answer, sizeof answer, deadline_ns, NULL);
        if (got == -ETIMEDOUT)
            return -ETIMEDOUT;
        if (got <= 0)
            return -ECONNRESET;
        if (answer[0] == 'X')
            return 0;
    }
}
