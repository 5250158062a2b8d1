/* Keys and values of etcd's v3 API, as far as an API server needs them. Functions over EtcdCalls block; any thread.
 * Errors: -ETIMEDOUT: not by the deadline; -EDQUOT: etcd's space is used up; -EFBIG: the request is too large; -EACCES;
 * -ERANGE: the revision is compacted or of the future; -ENOKEY: no such lease; -EBADMSG: no answer that can be read;
 * -EIO: any other refusal, which the log tells. */
#pragma once

#include "etcd/calls.h"

/* A write on the condition that nobody wrote the key since. */
typedef struct EtcdWrite {
    const char *key;
    const void *value; /* NULL: delete */
    size_t n;
    int64_t expect; /* the key's mod_revision; 0: there is no such key */
    int64_t lease;  /* 0: none */
} EtcdWrite;

typedef struct EtcdOutcome {
    bool done;        /* otherwise the condition does not hold */
    int64_t revision; /* done: of the write; else: the cluster's, by which `there` was the key's state */
    int64_t there;    /* not done: the key's mod_revision; 0: absent */
} EtcdOutcome;

/* Durable when it returns 0 with ret->done. A try whose end is unknown (the server went away) is made again until the
 * deadline: the condition keeps it from being carried out twice, and a key that holds our bytes already is our write.
 */
int etcd_write(EtcdCalls *calls, const EtcdWrite *write, uint64_t deadline_ns, EtcdOutcome *ret);
/* The cluster's revision, at least that of everything acknowledged before this was called (a linearizable read). */
int etcd_current_revision(EtcdCalls *calls, uint64_t deadline_ns, int64_t *ret);
/* A lease of so many seconds. */
int etcd_grant(EtcdCalls *calls, int64_t seconds, uint64_t deadline_ns, int64_t *ret_lease);

/* The reference's compaction (k8s.io/apiserver, storage/etcd3/compact.go): whoever advances the version of
 * `compact_rev_key` from *version compacts to *revision, the cluster's at its last turn; the others learn the new
 * version. Both are 0 at first and kept by the caller from turn to turn. */
#define ETCD_COMPACT_KEY "compact_rev_key"
int etcd_compact_turn(EtcdCalls *calls, int64_t *version, int64_t *revision, uint64_t deadline_ns);

typedef struct EtcdRow {
    const char *key; /* NUL-terminated; with a NUL inside it is cut there */
    size_t key_len;
    const void *value; /* NULL: deleted */
    size_t n;
    int64_t revision, create_revision;
} EtcdRow;

/* Every key that begins with `prefix`, in key order, in pages, all at one revision: row's result < 0 ends it and is
 * returned. On a connection of the caller's. -ECONNRESET: the connection broke, or the server is cut off. */
int etcd_range(GrpcConnection *connection, const char *prefix, uint64_t deadline_ns,
               int (*row)(const EtcdRow *row, void *userdata), void *userdata, int64_t *ret_revision);
