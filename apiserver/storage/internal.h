/* What the files of the store share. Not for other rooms.
 *
 * Locks, in the order they are taken: claim_lock (building a table from loaded rows), lock (tables and ring). The
 * writer holds `lock` for writing only to publish what is durable already, never across the driver. queue_lock and
 * listen_lock are leaves. */
#pragma once

#include "apiserver/storage/driver.h"
#include "apiserver/storage/ring.h"
#include "apiserver/storage/store.h"

#include <pthread.h>
#include <semaphore.h>

#define STORE_GROUP_MAX 512                 /* writes in one transaction */
#define STORE_GROUP_BYTES (8 * 1024 * 1024) /* and bytes of values in it, once there is one */
#define STORE_EVENT_AGE_SECONDS 300 /* etcd under the reference is compacted every five minutes, keeping 5 to 10 */
#define STORE_KEY_MAX 1024          /* bytes of a storage key */

typedef struct LoadedRow { /* what the driver gave at start, until its table is first used */
    char *key;             /* with the value in one allocation */
    const char *value;
    size_t len;
    uint64_t revision, create_revision;
} LoadedRow;

typedef enum OpKind { OP_CREATE, OP_UPDATE, OP_DELETE } OpKind;

typedef struct Op { /* one write, on the stack of the thread that waits for it */
    struct Op *next;
    OpKind kind;
    Table *table;
    const char *ns, *name;
    const char *key;
    Object *object; /* the new state, or a deletion's last one; NULL there: the stored one */
    Buf stored;     /* its bytes for the driver */
    uint64_t expect;
    int result;
    Object *published; /* a reference, when result is 0 */
    sem_t done;
} Op;

struct StoreListener {
    void (*fn)(uint64_t changed_rows, uint64_t revision, void *userdata);
    void *userdata;
    StoreListener *next;
};

struct Store {
    StoreDriver *driver;
    pthread_mutex_t claim_lock;
    LoadedRow *loaded; /* in key order; those that no table was built from yet */
    size_t n_loaded, loaded_cap;
    uint64_t base_revision;

    pthread_rwlock_t lock;
    StrMap *tables; /* storage_prefix to Table */
    Ring ring;
    _Atomic uint64_t revision;

    pthread_mutex_t queue_lock;
    pthread_cond_t queue_filled;
    Op *first, **last;
    bool closing;
    pthread_t writer;
    bool writing_fails; /* the writer's own: the last commit failed, so that it is logged once */

    pthread_mutex_t listen_lock;
    StoreListener *listeners;
};

/* The table of a resource, made at first use. Never NULL. Takes claim_lock and lock. */
Table *store_table(Store *store, const Resource *resource);
void *store_writer(void *store); /* the thread */
uint32_t store_now_seconds(void);

/* Continue tokens (token.c), in the reference's form. `start` is the position after which the list goes on. */
typedef struct ContinueToken {
    char *ns, *name; /* owned */
    OmapSide side;
    int64_t revision; /* < 0: whatever is current */
} ContinueToken;
void continue_token_done(ContinueToken *token);
/* `one_namespace`: the start key holds names only, of `ns`; else ns/name when `namespaced`. Fills err: 400. */
int continue_token_parse(const char *text, bool namespaced, const char *ns, ContinueToken *ret, ApiError *err);
char *continue_token_write(bool namespaced, const char *ns, const char *last_ns, const char *last_name,
                           int64_t revision);
