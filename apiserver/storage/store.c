/* Opening, reading single objects, listeners. The tables are built from the loaded rows when a resource is first asked
 * for: starting costs one read of the database, and rows of custom resources wait until their definition is known. */
#define LOG_COMPONENT "store"
#include "apiserver/storage/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

#define REGISTRY "/registry/"

uint32_t store_now_seconds(void) {
    return (uint32_t)(now_monotonic_ns() / NS_PER_SEC) & (UINT32_MAX >> 1);
}

static int load_row(const char *key, const void *value, size_t len, uint64_t revision, uint64_t create_revision,
                    void *userdata) {
    Store *store = userdata;
    if (store->n_loaded == store->loaded_cap) {
        store->loaded_cap = store->loaded_cap ? store->loaded_cap * 2 : 256;
        store->loaded = xreallocn(store->loaded, store->loaded_cap, sizeof(LoadedRow));
    }
    size_t key_size = strlen(key) + 1;
    if (len > STORE_OBJECT_MAX * 2 || key_size > STORE_KEY_MAX) {
        log_error("%s: %zu bytes, more than was ever written", key, len);
        return -EUCLEAN;
    }
    char *copy = xmalloc(key_size + len + 1);
    memcpy(copy, key, key_size);
    memcpy(copy + key_size, value, len);
    copy[key_size + len] = 0;
    store->loaded[store->n_loaded++] = (LoadedRow){copy, copy + key_size, len, revision, create_revision};
    return 0;
}

/* Says once at start which rows belong to no known resource; they are kept as they are. */
static void report_unknown(Store *store, const Resource *(*resolve)(const char *, void *), void *userdata) {
    size_t unknown = 0;
    for (size_t i = 0; resolve && i < store->n_loaded; i++) {
        char prefix[STORE_KEY_MAX];
        const char *key = store->loaded[i].key;
        const char *rest = str_has_prefix(key, REGISTRY) ? key + strlen(REGISTRY) : "";
        const char *slash = strchr(rest, '/');
        bool known = false;
        for (int parts = 1; slash && parts <= 2 && !known; parts++, slash = strchr(slash + 1, '/')) {
            snprintf(prefix, sizeof(prefix), "%.*s", (int)(slash - rest), rest);
            known = resolve(prefix, userdata) != NULL;
        }
        unknown += !known;
    }
    if (unknown > 0)
        log_debug("%zu stored objects belong to resources that are not served (yet)", unknown);
}

static void store_free(Store *store) {
    ring_done(&store->ring);
    const char *prefix;
    Table *table;
    STRMAP_FOREACH (store->tables, prefix, table)
        table_free(table);
    strmap_free(store->tables);
    for (size_t i = 0; i < store->n_loaded; i++)
        free(store->loaded[i].key);
    free(store->loaded);
    while (store->listeners)
        store_unlisten(store, store->listeners);
    pthread_mutex_destroy(&store->claim_lock);
    pthread_rwlock_destroy(&store->lock);
    pthread_mutex_destroy(&store->queue_lock);
    pthread_cond_destroy(&store->queue_filled);
    pthread_mutex_destroy(&store->listen_lock);
    store->driver->close(store->driver);
    free(store);
}

int store_open(StoreDriver *driver, const Resource *(*resolve)(const char *storage_prefix, void *userdata),
               void *userdata, Store **ret) {
    Store *store = NEW0(Store);
    store->driver = driver;
    store->tables = strmap_new(NULL);
    store->last = &store->first;
    pthread_mutex_init(&store->claim_lock, NULL);
    pthread_mutex_init(&store->queue_lock, NULL);
    pthread_mutex_init(&store->listen_lock, NULL);
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
        ring_init(&store->ring, STORE_RING_EVENTS, STORE_RING_BYTES, revision);
        report_unknown(store, resolve, userdata);
        r = -pthread_create(&store->writer, NULL, store_writer, store);
    }
    if (r < 0) {
        store_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

void store_close(Store *store) {
    if (!store)
        return;
    pthread_mutex_lock(&store->queue_lock);
    store->closing = true;
    pthread_cond_signal(&store->queue_filled);
    pthread_mutex_unlock(&store->queue_lock);
    pthread_join(store->writer, NULL);
    store_free(store);
}

uint64_t store_revision(const Store *store) {
    return atomic_load_explicit(&store->revision, memory_order_acquire);
}

uint64_t store_row_bit(const Resource *resource) {
    const char *prefix = resource->storage->storage_prefix;
    return 1ull << (hash_bytes(prefix, strlen(prefix)) % 64);
}

/* The first loaded row whose key is not below `key`. */
static size_t loaded_position(const Store *store, const char *key, size_t len) {
    size_t low = 0, high = store->n_loaded;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strncmp(store->loaded[middle].key, key, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Does the object that was stored under ns/name say so itself? Else the map's order would not hold. */
static bool is_at_home(const Object *object, bool namespaced, const char *rest) {
    const char *ns = object_namespace(object);
    size_t n = strlen(ns);
    if (!namespaced)
        return n == 0 && streq(object_name(object), rest);
    return n > 0 && strncmp(rest, ns, n) == 0 && rest[n] == '/' && streq(object_name(object), rest + n + 1);
}

static Table *claim(Store *store, const Resource *storage) {
    Table *table = table_new(storage, store->base_revision);
    _cleanup_free_ char *prefix = xasprintf(REGISTRY "%s/", storage->storage_prefix);
    size_t len = strlen(prefix), end;
    for (end = loaded_position(store, prefix, len); end < store->n_loaded; end++) {
        LoadedRow *row = &store->loaded[end];
        if (strncmp(row->key, prefix, len) != 0)
            break;
        _cleanup_object_ Object *object = NULL;
        int r = object_from_json(storage, row->value, row->len, row->revision, &object);
        if (r == 0 && is_at_home(object, storage->namespaced, row->key + len)) {
            table_put(table, TAKE_PTR(object), row->create_revision);
        } else {
            log_error("the stored object %s is damaged (%s): lists of %s fail until the row is repaired or removed",
                      row->key, r < 0 ? "it does not parse" : "it has another name inside", storage->plural);
            table_add_damaged(table, row->key + len);
        }
    }
    return table;
}

/* Drops the rows a table was built from. The keys of the array stay ordered: the tail moves down. */
static void forget_claimed(Store *store, const Resource *storage) {
    _cleanup_free_ char *prefix = xasprintf(REGISTRY "%s/", storage->storage_prefix);
    size_t len = strlen(prefix), begin = loaded_position(store, prefix, len), end = begin;
    for (; end < store->n_loaded && strncmp(store->loaded[end].key, prefix, len) == 0; end++)
        free(store->loaded[end].key);
    if (store->n_loaded > end)
        memmove(&store->loaded[begin], &store->loaded[end], (store->n_loaded - end) * sizeof(LoadedRow));
    store->n_loaded -= end - begin;
    if (store->n_loaded == 0) {
        free(TAKE_PTR(store->loaded));
        store->loaded_cap = 0;
    }
}

static Table *find_table(Store *store, const char *prefix) {
    pthread_rwlock_rdlock(&store->lock);
    Table *table = strmap_get(store->tables, prefix);
    pthread_rwlock_unlock(&store->lock);
    return table;
}

Table *store_table(Store *store, const Resource *resource) {
    const Resource *storage = resource->storage;
    Table *table = find_table(store, storage->storage_prefix);
    if (table)
        return table;
    pthread_mutex_lock(&store->claim_lock);
    table = find_table(store, storage->storage_prefix);
    if (!table) {
        table = claim(store, storage);
        forget_claimed(store, storage);
        pthread_rwlock_wrlock(&store->lock);
        strmap_put(store->tables, table->prefix, table);
        pthread_rwlock_unlock(&store->lock);
    }
    pthread_mutex_unlock(&store->claim_lock);
    return table;
}

int store_get(Store *store, const Resource *resource, const char *ns, const char *name, Object **ret) {
    Table *table = store_table(store, resource);
    ns = str_or(ns, "");
    pthread_rwlock_rdlock(&store->lock);
    const OmapEntry *entry = omap_find(&table->objects, ns, name);
    Object *object = entry ? object_ref(entry->object) : NULL;
    bool damaged = !object && table_is_damaged(table, ns, name);
    pthread_rwlock_unlock(&store->lock);
    if (!object)
        return damaged ? -EBADMSG : -ENOENT;
    *ret = object;
    return 0;
}

size_t store_count(Store *store, const Resource *resource) {
    Table *table = store_table(store, resource);
    pthread_rwlock_rdlock(&store->lock);
    size_t n = table->objects.count;
    pthread_rwlock_unlock(&store->lock);
    return n;
}

void object_list_done(ObjectList *list) {
    for (size_t i = 0; i < list->n; i++)
        object_unref(list->items[i]);
    free(list->items);
    free(list->continue_token);
    *list = (ObjectList){0};
}

StoreListener *store_listen(Store *store, void (*fn)(uint64_t changed_rows, uint64_t revision, void *userdata),
                            void *userdata) {
    StoreListener *listener = NEW0(StoreListener);
    listener->fn = fn;
    listener->userdata = userdata;
    pthread_mutex_lock(&store->listen_lock);
    listener->next = store->listeners;
    store->listeners = listener;
    pthread_mutex_unlock(&store->listen_lock);
    return listener;
}

void store_unlisten(Store *store, StoreListener *listener) {
    pthread_mutex_lock(&store->listen_lock);
    for (StoreListener **at = &store->listeners; *at; at = &(*at)->next)
        if (*at == listener) {
            *at = listener->next;
            free(listener);
            break;
        }
    pthread_mutex_unlock(&store->listen_lock);
}
