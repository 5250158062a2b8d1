/* One watch over all keys of an etcd cluster, on a connection of the caller's: every revision of the cluster shows up
 * in it, so that a follower knows how far it has come whoever wrote what. The caller's thread is blocked in
 * etcd_watch_next and may be let go by grpc_wake on the connection. */
#pragma once

#include "etcd/kv.h"

typedef struct EtcdWatch EtcdWatch;

/* A batch of changes, ordered by revision, with whole revisions only. */
typedef struct EtcdBatch {
    EtcdRow *rows; /* value NULL: deleted (create_revision is 0 then) */
    size_t n;
    int64_t revision; /* everything up to here has been told */
} EtcdBatch;

/* Changes after `revision`. Never NULL. The connection outlives the watch. */
EtcdWatch *etcd_watch_open(GrpcConnection *connection, int64_t revision);
void etcd_watch_close(EtcdWatch *watch);
DEFINE_CLEANUP(EtcdWatch, etcd_watch_close)
/* 1 and *ret, borrowed until the next call; 0: nothing to tell. -ERANGE: compacted, what was missed can not be told any
 * more; -EINTR: grpc_wake; -EACCES; -ECONNRESET: the watch ended, to be opened again, perhaps elsewhere. */
int etcd_watch_next(EtcdWatch *watch, EtcdBatch *ret);
