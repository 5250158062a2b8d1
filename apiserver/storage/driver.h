/* What a storage driver does: keep key, revision and bytes durable. Keys are the reference's:
 * /registry/<prefix>/<ns>/<name>. Called by the writer thread alone, except open and load at start. The contract suite
 * is tests/contract/apiserver/storage. */
#pragma once

#include "base/mem.h"

typedef struct StoreDriver StoreDriver;

typedef struct StorePut {
    const char *key;
    const void *value; /* NULL: delete */
    size_t len;
    uint64_t revision;
    uint64_t create_revision;
} StorePut;

struct StoreDriver {
    const char *name;
    /* Calls row for every live key, in key order, then returns the highest revision ever committed in *ret. */
    int (*load)(StoreDriver *driver,
                int (*row)(const char *key, const void *value, size_t len, uint64_t revision, uint64_t create_revision,
                           void *userdata),
                void *userdata, uint64_t *ret_revision);
    /* All or nothing, durable on return. Revisions grow within and across calls. */
    int (*commit)(StoreDriver *driver, const StorePut *puts, size_t n);
    /* Called when the writer is idle: checkpoints and the like. May be NULL. */
    void (*idle)(StoreDriver *driver);
    void (*close)(StoreDriver *driver);
};

/* WAL, synchronous=FULL, checkpoints by a thread of its own. `path` is the database file; its folder exists. */
int sqlite_driver_open(const char *path, StoreDriver **ret);
