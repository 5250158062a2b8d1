/* Bytes of a server through a watch and a range: a socket pair that already holds all of them. */
#include "../../support/grpc_peer.h"
#include "etcd/watch.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(const EtcdRow *row, void *userdata) {
    size_t *n = userdata;
    *n += strlen(row->key) + row->n;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t deadline = now_monotonic_ns() + 10 * NS_PER_SEC;
    int peer;
    GrpcConnection *c = grpc_peer_new(data, size, 65536, deadline, &peer);
    if (!c)
        return 0;
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
    close(peer);
    return 0;
}
