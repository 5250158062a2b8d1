/* Bytes of a server through a watch and a range: a socket pair that already holds all of them. */
#include "base/clock.h"
#include "etcd/watch.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(const EtcdRow *row, void *userdata) {
    size_t *n = userdata;
    *n += strlen(row->key) + row->n;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    int fds[2];
    if (size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    GrpcConnection *c = NULL;
    uint64_t deadline = now_monotonic_ns() + 10 * NS_PER_SEC;
    if (send(fds[1], settings, sizeof settings, MSG_NOSIGNAL) != (ssize_t)sizeof settings ||
        grpc_open_fd(fds[0], &(GrpcOptions){.message_max = 65536}, deadline, &c) < 0)
        abort();
    /* The end of the input is the end of the connection: nothing waits. */
    if (send(fds[1], data, size, MSG_NOSIGNAL) < 0 && size)
        abort();
    shutdown(fds[1], SHUT_WR);
    EtcdWatch *watch = etcd_watch_open(c, 1);
    EtcdBatch batch;
    int64_t last = 1, revision;
    size_t n = 0;
    for (int r; (r = etcd_watch_next(watch, &batch)) >= 0;) {
        for (size_t i = 0; r > 0 && i < batch.n; i++) {
            if (batch.rows[i].revision < last)
                abort();
            last = batch.rows[i].revision;
            (void)see(&batch.rows[i], &n);
        }
    }
    etcd_watch_close(watch);
    (void)etcd_range(c, "/registry/", deadline, see, &n, &revision);
    grpc_close(c);
    close(fds[1]);
    return 0;
}
