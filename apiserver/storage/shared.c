/* A store over a shared driver. A write goes from the thread that asks for it straight to the driver, on the condition
 * that the state it was decided on is still there; many are under way at once. What the driver acknowledges comes back
 * with everybody else's writes through the feed, whose thread alone publishes, in the order of the revisions; the
 * writer answers when its own has been published. */
#define LOG_COMPONENT "store"
#include "apiserver/storage/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

typedef struct Pending {  /* a write of this process under way, on its thread's stack */
    struct Pending *next; /* of the same key */
    const Op *op;
} Pending;

typedef struct Change {
    Table *table;
    const char *rest; /* of the key, after the table's prefix */
    Object *after;    /* a reference; NULL: deleted, or damaged */
    bool damaged;
    uint64_t revision, create_revision;
} Change;

/* ---- our own writes ---- */

static void pending_add(Store *store, Pending *pending) {
    pthread_mutex_lock(&store->pending_lock);
    pending->next = strmap_get(store->pending, pending->op->key);
    strmap_put(store->pending, pending->op->key, pending);
    pthread_mutex_unlock(&store->pending_lock);
}

static void pending_remove(Store *store, Pending *pending) {
    pthread_mutex_lock(&store->pending_lock);
    Pending *first = strmap_get(store->pending, pending->op->key);
    if (first == pending && !pending->next)
        strmap_remove(store->pending, pending->op->key);
    else if (first == pending)
        strmap_put(store->pending, pending->op->key, pending->next);
    else
        for (; first->next; first = first->next)
            if (first->next == pending) {
                first->next = pending->next;
                break;
            }
    pthread_mutex_unlock(&store->pending_lock);
}

/* Bytes that a thread of this process is writing just now need no decoding: the object is at hand. */
static Object *known_object(Store *store, const StorePut *row) {
    Object *object = NULL;
    pthread_mutex_lock(&store->pending_lock);
    for (Pending *p = strmap_get(store->pending, row->key); p && !object; p = p->next) {
        const Op *op = p->op;
        if (op->kind != OP_DELETE && op->stored.len == row->len && memcmp(op->stored.data, row->value, row->len) == 0)
            object = object_with_revision(op->object, row->revision);
    }
    pthread_mutex_unlock(&store->pending_lock);
    return object;
}

/* ---- the feed ---- */

/* The table a key belongs to; NULL: its resource is not known (yet), so that nobody can have asked for it. */
static Table *table_of(Store *store, const char *key, const char **ret_rest) {
    char prefix[STORE_KEY_MAX];
    const char *path = key + strlen(STORE_REGISTRY), *slash = strchr(path, '/');
    for (int parts = 1; slash && parts <= 2; parts++, slash = strchr(slash + 1, '/')) {
        memcpy(prefix, path, (size_t)(slash - path));
        prefix[slash - path] = 0;
        const Resource *row = strmap_get(store->builtin, prefix);
        Table *table = row ? store_table(store, row) : store_find_table(store, prefix);
        if (table) {
            *ret_rest = slash + 1;
            return table;
        }
    }
    return NULL;
}

/* A row that no table holds. False when a table was built meanwhile. */
static bool keep_unclaimed(Store *store, const StorePut *row) {
    const char *rest;
    pthread_mutex_lock(&store->claim_lock);
    Table *table = table_of(store, row->key, &rest); /* built-in tables, which would need the lock, were tried before */
    if (!table) {
        loaded_change(store, row);
        store->base_revision = row->revision;
    }
    pthread_mutex_unlock(&store->claim_lock);
    return !table;
}

static bool read_change(Store *store, const StorePut *row, Change *ret) {
    *ret = (Change){.revision = row->revision, .create_revision = row->create_revision};
    if (!str_has_prefix(row->key, STORE_REGISTRY) || strlen(row->key) >= STORE_KEY_MAX)
        return false;
    ret->table = table_of(store, row->key, &ret->rest);
    if (!ret->table) {
        if (keep_unclaimed(store, row))
            return false;
        ret->table = table_of(store, row->key, &ret->rest);
    }
    if (!row->value)
        return true;
    ret->after = known_object(store, row);
    if (!ret->after) {
        const Resource *storage = atomic_load_explicit(&ret->table->storage, memory_order_acquire);
        LoadedRow loaded = {(char *)(uintptr_t)row->key, row->value, row->len, row->revision, row->create_revision};
        ret->after = store_decode_row(store, storage, ret->rest, &loaded);
    }
    ret->damaged = !ret->after;
    return true;
}

/* "ns/name" or "name", as the table's objects are kept. */
static void split_rest(const Change *change, char ns[STORE_KEY_MAX], const char **ret_name) {
    const Resource *storage = atomic_load_explicit(&change->table->storage, memory_order_acquire);
    const char *slash = storage->namespaced ? strchr(change->rest, '/') : NULL;
    size_t n = slash ? (size_t)(slash - change->rest) : 0;
    memcpy(ns, change->rest, n);
    ns[n] = 0;
    *ret_name = slash ? slash + 1 : change->rest;
}

static void publish_change(Store *store, Change *change, uint32_t now, Garbage *garbage) {
    Table *table = change->table;
    table_drop_damaged(table, change->rest);
    if (change->after) {
        Object *after = TAKE_PTR(change->after);
        OmapEntry before = table_put(table, object_ref(after), change->create_revision);
        ring_add(&store->ring, change->revision, table, after, before.object, false, now, garbage);
    } else {
        char ns[STORE_KEY_MAX];
        const char *name;
        split_rest(change, ns, &name);
        OmapEntry before = table_remove(table, ns, name);
        if (change->damaged)
            table_add_damaged(table, change->rest);
        if (!before.object)
            return;
        ring_add(&store->ring, change->revision, table, object_with_revision(before.object, change->revision),
                 before.object, true, now, garbage);
    }
    atomic_store_explicit(&table->changed_revision, change->revision, memory_order_release);
}

static void on_changes(const StorePut *rows, size_t n, uint64_t revision, void *userdata) {
    Store *store = userdata;
    Garbage garbage = {0};
    uint32_t now = store_now_seconds();
    uint64_t changed = 0;
    size_t n_changes = 0;
    _cleanup_free_ Change *changes = xreallocn(NULL, n + 1, sizeof *changes);
    for (size_t i = 0; i < n; i++)
        n_changes += read_change(store, &rows[i], &changes[n_changes]);
    pthread_rwlock_wrlock(&store->lock);
    ring_trim(&store->ring, now, STORE_EVENT_AGE_SECONDS, &garbage);
    for (size_t i = 0; i < n_changes; i++) {
        changed |= changes[i].table->bit;
        publish_change(store, &changes[i], now, &garbage);
    }
    atomic_store_explicit(&store->revision, revision, memory_order_release);
    pthread_rwlock_unlock(&store->lock);
    garbage_empty(&garbage);
    store_announce(store, changed, revision);
}

static void on_compacted(uint64_t revision, void *userdata) {
    Store *store = userdata;
    Garbage garbage = {0};
    pthread_rwlock_wrlock(&store->lock);
    ring_drop(&store->ring, revision, &garbage);
    pthread_rwlock_unlock(&store->lock);
    garbage_empty(&garbage);
}

/* ---- reloading ---- */

static void on_reload_begin(void *userdata) {
    Store *store = userdata;
    log_warn("changes were missed for good: everything is read again, and watches begin anew");
    loaded_free(store->reloaded, store->n_reloaded);
    store->reloaded = NULL;
    store->n_reloaded = store->reloaded_cap = 0;
}

static int on_reload_row(const char *key, const void *value, size_t len, uint64_t revision, uint64_t create_revision,
                         void *userdata) {
    Store *store = userdata;
    if (strlen(key) < STORE_KEY_MAX && len <= STORE_OBJECT_MAX * 2)
        loaded_add(&store->reloaded, &store->n_reloaded, &store->reloaded_cap,
                   &(StorePut){key, value, len, revision, create_revision});
    return 0;
}

/* Puts what was read in place of what there was. No watch can go on from before. */
static void replace_tables(Store *store, uint64_t revision) {
    Garbage garbage = {0};
    size_t n = 0, total = strmap_size(store->tables);
    _cleanup_free_ Table **old = xreallocn(NULL, total + 1, sizeof *old);
    _cleanup_free_ Table **fresh = xreallocn(NULL, total + 1, sizeof *fresh);
    const char *prefix;
    Table *table;
    STRMAP_FOREACH (store->tables, prefix, table) {
        old[n] = table;
        fresh[n++] = table_from_rows(store, atomic_load(&table->storage), store->reloaded, &store->n_reloaded);
    }
    pthread_rwlock_wrlock(&store->lock);
    ring_drop(&store->ring, revision, &garbage);
    for (size_t i = 0; i < n; i++) {
        table_swap(old[i], fresh[i]);
        atomic_store_explicit(&old[i]->changed_revision, revision, memory_order_release);
        atomic_store_explicit(&old[i]->dropped_revision, revision, memory_order_release);
    }
    atomic_store_explicit(&store->revision, revision, memory_order_release);
    pthread_rwlock_unlock(&store->lock);
    for (size_t i = 0; i < n; i++)
        table_free(fresh[i]);
    garbage_empty(&garbage);
}

static void on_reload_end(int result, uint64_t revision, void *userdata) {
    Store *store = userdata;
    if (result < 0)
        return;
    pthread_mutex_lock(&store->claim_lock);
    store->base_revision = revision;
    replace_tables(store, revision);
    loaded_free(store->loaded, store->n_loaded);
    store->loaded = TAKE_PTR(store->reloaded);
    store->n_loaded = store->n_reloaded;
    store->loaded_cap = store->reloaded_cap;
    store->n_reloaded = store->reloaded_cap = 0;
    pthread_mutex_unlock(&store->claim_lock);
    store_announce(store, UINT64_MAX, revision);
}

int shared_start(Store *store) {
    static const StoreFeed feed = {.changes = on_changes,
                                   .compacted = on_compacted,
                                   .reload_begin = on_reload_begin,
                                   .reload_row = on_reload_row,
                                   .reload_end = on_reload_end};
    const Resource *row;
    store->builtin = strmap_new(NULL);
    store->pending = strmap_new(NULL);
    for (size_t i = 0; (row = resource_builtin(i)); i++)
        strmap_put(store->builtin, row->storage->storage_prefix, (void *)(uintptr_t)row->storage);
    return store->driver->follow(store->driver, store_revision(store), &feed, store);
}

/* ---- writing ---- */

/* The state the write meets, a reference, or NULL; what the checks say of it in *ret. */
static Object *meet(Store *store, const Op *op, int *ret) {
    pthread_rwlock_rdlock(&store->lock);
    const OmapEntry *entry = omap_find(&op->table->objects, op->ns, op->name);
    Object *current = entry ? object_ref(entry->object) : NULL;
    *ret = op_check(op, current);
    pthread_rwlock_unlock(&store->lock);
    return current;
}

/* One try: 0, -ESTALE: somebody else was faster (and that has been published here), or an error. */
static int try_write(Store *store, Op *op, const Object *current, uint64_t deadline_ns, uint64_t *ret_revision) {
    StoreWrite write = {
        .key = op->key,
        .value = op->kind == OP_DELETE ? NULL : op->stored.data,
        .len = op->kind == OP_DELETE ? 0 : op->stored.len,
        .expect = current ? object_revision(current) : 0,
        .ttl_seconds = op->kind == OP_DELETE ? 0 : op->table->ttl_seconds,
        .deadline_ns = deadline_ns,
    };
    Pending pending = {.op = op};
    pending_add(store, &pending);
    int r = store->driver->write(store->driver, &write), waited = 0;
    if (r == 0 || r == -ESTALE)
        waited = store_wait(store, write.ret_revision, deadline_ns);
    pending_remove(store, &pending);
    *ret_revision = write.ret_revision;
    return waited < 0 ? waited : r;
}

int shared_perform(Store *store, Op *op, Object **ret) {
    uint64_t deadline_ns = now_monotonic_ns() + STORE_WRITE_NS, revision = 0;
    bool current_for_sure = false;
    for (int i = 0; i < STORE_WRITE_TRIES; i++) {
        int r;
        _cleanup_object_ Object *current = meet(store, op, &r);
        if (r < 0 && !current_for_sure) {
            /* what speaks against the write may be gone already */
            int synced = store_sync(store, deadline_ns);
            if (synced < 0)
                return synced;
            current_for_sure = true;
            continue;
        }
        r = r < 0 ? r : try_write(store, op, current, deadline_ns, &revision);
        if (r == -ESTALE && op_check(op, current) == 0) {
            current_for_sure = true; /* what overtook us shows here by now */
            continue;
        }
        if (r == 0 && ret)
            *ret = object_with_revision(op->object ? op->object : current, revision);
        return r;
    }
    return -ESTALE;
}
