/* What a storage driver does: keep key, revision and bytes durable. Keys are the reference's:
 * /registry/<prefix>/<ns>/<name>. There are two kinds of driver.
 *
 * A local one (sqlite) has one store, whose writer thread gives out the revisions and is the only one to call it,
 * except open and load at start.
 *
 * A shared one (etcd) has any number of stores, in any number of processes, besides other programs: it gives out the
 * revisions, and tells each store of everybody's writes in their order (the feed). Its functions may be called by any
 * thread. A shared driver has `follow`, `write` and `current`, a local one `commit` and `check`.
 *
 * The contract suites are tests/contract/apiserver/storage. */
#pragma once

#include "base/mem.h"
#include "apiserver/storage/codec.h"

typedef struct StoreDriver StoreDriver;

typedef struct StorePut { /* a key's new state */
    const char *key;
    const void *value; /* NULL: deleted */
    size_t len;
    uint64_t revision;
    uint64_t create_revision;
} StorePut;

/* A write to a shared driver, on the condition that nobody wrote the key since. */
typedef struct StoreWrite {
    const char *key;
    const void *value; /* NULL: delete */
    size_t len;
    uint64_t expect;      /* the key's revision; 0: there is no such key */
    uint32_t ttl_seconds; /* the key goes by itself after so long; 0: never */
    uint64_t deadline_ns;
    uint64_t ret_revision; /* 0: of the write; -ESTALE: one by which somebody else's write shows in the feed */
} StoreWrite;

typedef int (*StoreRowFn)(const char *key, const void *value, size_t len, uint64_t revision, uint64_t create_revision,
                          void *userdata);

/* What a shared driver tells its store, on one thread of its own. */
typedef struct StoreFeed {
    /* Writes in the order of their revisions, whole revisions at a time; then everything up to `revision` has been
     * told. `n` may be 0. */
    void (*changes)(const StorePut *rows, size_t n, uint64_t revision, void *userdata);
    /* Nobody can ask for states before this revision any more. */
    void (*compacted)(uint64_t revision, void *userdata);
    /* Changes were missed that cannot be told any more: every live key again, in key order, at `revision`. Between
     * begin and end (`result` < 0: it came to nothing, and will begin anew). */
    void (*reload_begin)(void *userdata);
    StoreRowFn reload_row;
    void (*reload_end)(int result, uint64_t revision, void *userdata);
} StoreFeed;

struct StoreDriver {
    const char *name;
    StoreEncoding encoding; /* of values */
    /* Calls row for every live key, in key order, then returns the highest revision ever committed in *ret. */
    int (*load)(StoreDriver *driver, StoreRowFn row, void *userdata, uint64_t *ret_revision);
    /* All or nothing, durable on return. Revisions grow within and across calls. */
    int (*commit)(StoreDriver *driver, const StorePut *puts, size_t n);
    /* Called when the writer is idle: checkpoints and the like. May be NULL. */
    void (*idle)(StoreDriver *driver);
    /* Whether what commits would go to is still there and can be written to. Any thread. May be NULL. */
    int (*check)(StoreDriver *driver);

    /* Begins the feed after `revision`, until close. */
    int (*follow)(StoreDriver *driver, uint64_t revision, const StoreFeed *feed, void *userdata);
    /* Durable on return. -ESTALE: the condition does not hold. -ETIMEDOUT: unknown whether it was carried out.
     * -ENOSPC, -EDQUOT (etcd's own quota), -EFBIG, -EIO. */
    int (*write)(StoreDriver *driver, StoreWrite *write);
    /* A revision not below that of anything acknowledged to anybody before the call. */
    int (*current)(StoreDriver *driver, uint64_t deadline_ns, uint64_t *ret_revision);

    void (*close)(StoreDriver *driver);
};

/* WAL, synchronous=FULL, checkpoints by a thread of its own. `path` is the database file; its folder exists. */
int sqlite_driver_open(const char *path, StoreDriver **ret);

#define ETCD_COMPACTION_SECONDS 300 /* as the reference */
typedef struct EtcdDriverConfig {
    const char *const *servers; /* as EtcdConfig's (etcd/endpoints.h), like the files */
    const char *ca_file, *cert_file, *key_file;
    const char *prefix;          /* of all keys; NULL: "/registry" */
    uint32_t compaction_seconds; /* 0: never */
    uint32_t start_wait_seconds; /* how long load waits for a server to answer */
} EtcdDriverConfig;
/* -EINVAL with a sentence in *ret_error (owned by the caller): the configuration cannot be. Does not wait for etcd. */
int etcd_driver_open(const EtcdDriverConfig *config, StoreDriver **ret, char **ret_error);
