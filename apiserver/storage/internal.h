/* What the files of the store share. Not for other rooms.
 *
 * One thread publishes: the writer, or a shared driver's feed. It alone changes tables (once they are built) and ring,
 * and so reads them without the lock.
 *
 * Locks, in the order they are taken: claim_lock (building a table from loaded rows), lock (tables and ring). The
 * publishing thread holds `lock` for writing only to publish what is durable already, never across the driver.
 * queue_lock, listen_lock, wait_lock and pending_lock are leaves. */
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
#define STORE_REGISTRY "/registry/"
#define STORE_WRITE_NS                                                                                                 \
    (30ull * 1000000000)     /* for a write to a shared store; the reference's requests have a minute                  \
                              */
#define STORE_WRITE_TRIES 16 /* of a write without a condition that others overtake */

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

typedef struct Waiter { /* on the stack of a thread that waits for a revision to be published */
    struct Waiter *next;
    uint64_t revision;
    sem_t reached;
} Waiter;

struct Store {
    StoreDriver *driver;
    StoreCompleteFn complete; /* may be NULL */
    pthread_mutex_t claim_lock;
    LoadedRow *loaded; /* in key order; those that no table was built from yet */
    size_t n_loaded, loaded_cap;
    LoadedRow *reloaded; /* of a reload under way */
    size_t n_reloaded, reloaded_cap;
    uint64_t base_revision; /* a table that is built now holds no events up to it */

    pthread_rwlock_t lock;
    StrMap *tables; /* storage_prefix to Table */
    Ring ring;
    _Atomic uint64_t revision;

    pthread_mutex_t queue_lock;
    pthread_cond_t queue_filled;
    Op *first, **last;
    bool closing;
    pthread_t writer;
    _Atomic int writing_result; /* of the last commit */

    pthread_mutex_t listen_lock;
    StoreListener *listeners;

    pthread_mutex_t wait_lock;
    Waiter *waiters;

    /* Of a shared store only. */
    StrMap *builtin; /* storage_prefix to the built-in row */
    pthread_mutex_t pending_lock;
    StrMap *pending; /* key to the writes of this process that are under way, so that their news need no decoding */
};

static inline bool store_shares(const Store *store) {
    return store->driver->write != NULL;
}

/* The table of a resource, made at first use. Never NULL. Takes claim_lock and lock. */
Table *store_table(Store *store, const Resource *resource);
uint32_t store_now_seconds(void);
Table *store_find_table(Store *store, const char *prefix); /* NULL: not built yet */
/* Before the revision is visible nobody asked for it: wakes those who wait for it, and tells the listeners. */
void store_announce(Store *store, uint64_t changed_rows, uint64_t revision);
/* "/registry/PREFIX/NS/NAME" into `key`. -EINVAL: too long. */
int store_key(const Table *table, const char *ns, const char *name, char key[STORE_KEY_MAX]);
/* The object of a row, when it parses and says the name of its key, `rest` being the key after the table's prefix.
 * Logs what is wrong with it. */
Object *store_decode_row(const Store *store, const Resource *storage, const char *rest, const LoadedRow *row);

/* Rows that no table was built from; under claim_lock. */
void loaded_add(LoadedRow **rows, size_t *n, size_t *cap, const StorePut *put); /* at the end */
void loaded_change(Store *store, const StorePut *put);                          /* in its place */
void loaded_free(LoadedRow *rows, size_t n);
/* A table from the rows of this array; *rows lose them. */
Table *table_from_rows(const Store *store, const Resource *storage, LoadedRow *rows, size_t *n);

/* What speaks against a write where `current` (NULL: nothing) is stored: -EEXIST, -ENOENT, -ESTALE, -EBADMSG; 0. */
int op_check(const Op *op, const Object *current);

/* The two ways of a write, each with a key. Block until it is durable and published, or refused; the new state, a
 * reference, in *ret (may be NULL). */
/* writer.c: a store over a local driver. */
int writer_start(Store *store);
void writer_stop(Store *store);
int writer_perform(Store *store, Op *op, Object **ret);
/* shared.c: a store over a shared driver, whose feed ends with the driver. */
int shared_start(Store *store);
int shared_perform(Store *store, Op *op, Object **ret);

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
