/* A store from its driver's rows to its end. The tables are built from the rows when a resource is first asked for:
 * starting costs one read of the database, and rows of custom resources wait until their definition is known. */
#define LOG_COMPONENT "store"
#include "apiserver/storage/internal.h"
#include "base/log.h"

#include <errno.h>

static int check_row(const char *key, size_t len) {
    if (len <= STORE_OBJECT_MAX * 2 && strlen(key) < STORE_KEY_MAX)
        return 0;
    log_error("%s: %zu bytes, more than was ever written", key, len);
    return -EUCLEAN;
}

static int load_row(const char *key, const void *value, size_t len, uint64_t revision, uint64_t create_revision,
                    void *userdata) {
    Store *store = userdata;
    int r = check_row(key, len);
    if (r == 0)
        loaded_add(&store->loaded, &store->n_loaded, &store->loaded_cap,
                   &(StorePut){key, value, len, revision, create_revision});
    return r;
}

static void store_free(Store *store) {
    ring_done(&store->ring);
    const char *prefix;
    Table *table;
    STRMAP_FOREACH (store->tables, prefix, table)
        table_free(table);
    strmap_free(store->tables);
    loaded_free(store->loaded, store->n_loaded);
    loaded_free(store->reloaded, store->n_reloaded);
    strmap_free(store->builtin);
    strmap_free(store->pending);
    while (store->listeners)
        store_unlisten(store, store->listeners);
    pthread_mutex_destroy(&store->claim_lock);
    pthread_rwlock_destroy(&store->lock);
    pthread_mutex_destroy(&store->queue_lock);
    pthread_cond_destroy(&store->queue_filled);
    pthread_mutex_destroy(&store->listen_lock);
    pthread_mutex_destroy(&store->wait_lock);
    pthread_mutex_destroy(&store->pending_lock);
    free(store);
}

int store_open(StoreDriver *driver, StoreCompleteFn complete, Store **ret) {
    Store *store = NEW0(Store);
    store->driver = driver;
    store->complete = complete;
    store->tables = strmap_new(NULL);
    store->last = &store->first;
    pthread_mutex_init(&store->claim_lock, NULL);
    pthread_mutex_init(&store->queue_lock, NULL);
    pthread_mutex_init(&store->listen_lock, NULL);
    pthread_mutex_init(&store->wait_lock, NULL);
    pthread_mutex_init(&store->pending_lock, NULL);
    pthread_rwlockattr_t lock_attr;
    pthread_rwlockattr_init(&lock_attr);
    /* many watches read without a pause: they must not keep the writer out */
    pthread_rwlockattr_setkind_np(&lock_attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&store->lock, &lock_attr);
    pthread_rwlockattr_destroy(&lock_attr);
    pthread_condattr_t cond_attr;
    pthread_condattr_init(&cond_attr);
    pthread_condattr_setclock(&cond_attr, CLOCK_MONOTONIC);
    pthread_cond_init(&store->queue_filled, &cond_attr);
    pthread_condattr_destroy(&cond_attr);

    uint64_t revision = 0;
    int r = driver->load(driver, load_row, store, &revision);
    if (r == 0) {
        /* the API has no revision 0, and 1 is what an empty etcd answers */
        revision = MAX(revision, (uint64_t)1);
        store->base_revision = revision;
        atomic_init(&store->revision, revision);
        ring_init(&store->ring, STORE_RING_EVENTS, STORE_RING_BYTES);
        r = store_shares(store) ? shared_start(store) : writer_start(store);
    }
    if (r < 0) {
        driver->close(driver);
        store_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

void store_close(Store *store) {
    if (!store)
        return;
    if (!store_shares(store))
        writer_stop(store);
    store->driver->close(store->driver); /* ends the feed */
    store_free(store);
}
