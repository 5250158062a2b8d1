/* Tables, reading single objects, listeners, and waiting for what others wrote. */
#include "apiserver/storage/internal.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

uint32_t store_now_seconds(void) {
    return (uint32_t)(now_monotonic_ns() / NS_PER_SEC) & (UINT32_MAX >> 1);
}

uint64_t store_revision(const Store *store) {
    return atomic_load_explicit(&store->revision, memory_order_acquire);
}

uint64_t store_row_bit(const Resource *resource) {
    const char *prefix = resource->storage->storage_prefix;
    return 1ull << (hash_bytes(prefix, strlen(prefix)) % 64);
}

Table *store_find_table(Store *store, const char *prefix) {
    pthread_rwlock_rdlock(&store->lock);
    Table *table = strmap_get(store->tables, prefix);
    pthread_rwlock_unlock(&store->lock);
    return table;
}

static Table *build_table(Store *store, const Resource *storage) {
    pthread_mutex_lock(&store->claim_lock);
    Table *table = store_find_table(store, storage->storage_prefix);
    if (!table) {
        table = table_from_rows(store, storage, store->loaded, &store->n_loaded);
        pthread_rwlock_wrlock(&store->lock);
        strmap_put(store->tables, table->prefix, table);
        pthread_rwlock_unlock(&store->lock);
    }
    pthread_mutex_unlock(&store->claim_lock);
    return table;
}

Table *store_table(Store *store, const Resource *resource) {
    const Resource *storage = resource->storage;
    Table *table = store_find_table(store, storage->storage_prefix);
    if (!table)
        table = build_table(store, storage);
    if (atomic_load_explicit(&table->storage, memory_order_relaxed) != storage)
        atomic_store_explicit(&table->storage, storage, memory_order_release);
    return table;
}

int store_key(const Table *table, const char *ns, const char *name, char key[STORE_KEY_MAX]) {
    int n = snprintf(key, STORE_KEY_MAX, STORE_REGISTRY "%s/%s%s%s", table->prefix, ns, *ns ? "/" : "", name);
    return n < STORE_KEY_MAX ? 0 : -EINVAL;
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

int op_check(const Op *op, const Object *current) {
    if (!current && table_is_damaged(op->table, op->ns, op->name))
        return -EBADMSG;
    if (op->kind == OP_CREATE)
        return current ? -EEXIST : 0;
    if (!current)
        return -ENOENT;
    return op->expect && op->expect != object_revision(current) ? -ESTALE : 0;
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

static void tell_waiters(Store *store, uint64_t revision) {
    pthread_mutex_lock(&store->wait_lock);
    for (Waiter **at = &store->waiters; *at;) {
        Waiter *waiter = *at;
        if (waiter->revision > revision) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        sem_post(&waiter->reached); /* it may be gone once the lock is */
    }
    pthread_mutex_unlock(&store->wait_lock);
}

void store_announce(Store *store, uint64_t changed_rows, uint64_t revision) {
    tell_waiters(store, revision);
    pthread_mutex_lock(&store->listen_lock);
    for (StoreListener *listener = store->listeners; listener; listener = listener->next)
        listener->fn(changed_rows, revision, listener->userdata);
    pthread_mutex_unlock(&store->listen_lock);
}

int store_wait(Store *store, uint64_t revision, uint64_t deadline_ns) {
    Waiter waiter = {.revision = revision};
    if (store_revision(store) >= revision)
        return 0;
    if (!store_shares(store))
        return -ETIMEDOUT;
    sem_init(&waiter.reached, 0, 0);
    pthread_mutex_lock(&store->wait_lock);
    waiter.next = store->waiters;
    store->waiters = &waiter;
    pthread_mutex_unlock(&store->wait_lock);
    if (store_revision(store) < revision) { /* else the waiters may have been told before this one was there */
        struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_SEC),
                                 .tv_nsec = (long)(deadline_ns % NS_PER_SEC)};
        while (sem_clockwait(&waiter.reached, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
            ;
    }
    pthread_mutex_lock(&store->wait_lock);
    for (Waiter **at = &store->waiters; *at; at = &(*at)->next)
        if (*at == &waiter) {
            *at = waiter.next;
            break;
        }
    pthread_mutex_unlock(&store->wait_lock); /* nobody posts it any more */
    sem_destroy(&waiter.reached);
    return store_revision(store) >= revision ? 0 : -ETIMEDOUT;
}

int store_sync(Store *store, uint64_t deadline_ns) {
    uint64_t revision;
    if (!store_shares(store))
        return 0;
    int r = store->driver->current(store->driver, deadline_ns, &revision);
    return r < 0 ? r : store_wait(store, revision, deadline_ns);
}

int store_check(Store *store, uint64_t deadline_ns) {
    uint64_t revision;
    if (store_shares(store))
        return store->driver->current(store->driver, deadline_ns, &revision);
    int r = atomic_load(&store->writing_result);
    return r == 0 && store->driver->check ? store->driver->check(store->driver) : r;
}

int store_set_ttl(Store *store, const Resource *resource, uint32_t seconds) {
    if (!store_shares(store))
        return -EOPNOTSUPP;
    store_table(store, resource)->ttl_seconds = seconds;
    return 0;
}

bool store_is_shared(const Store *store) {
    return store_shares(store);
}
