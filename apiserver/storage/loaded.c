/* Rows as the driver gave them: kept until a table is built from them, for ever when their resource is never known. */
#define LOG_COMPONENT "store"
#include "apiserver/storage/internal.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>

static LoadedRow copy_of(const StorePut *put) {
    size_t key_size = strlen(put->key) + 1;
    char *copy = xmalloc(key_size + put->len + 1);
    memcpy(copy, put->key, key_size);
    memcpy(copy + key_size, put->value, put->len);
    copy[key_size + put->len] = 0;
    return (LoadedRow){copy, copy + key_size, put->len, put->revision, put->create_revision};
}

static void make_room(LoadedRow **rows, size_t n, size_t *cap) {
    if (n < *cap)
        return;
    *cap = *cap ? *cap * 2 : 256;
    *rows = xreallocn(*rows, *cap, sizeof(LoadedRow));
}

void loaded_add(LoadedRow **rows, size_t *n, size_t *cap, const StorePut *put) {
    make_room(rows, *n, cap);
    (*rows)[(*n)++] = copy_of(put);
}

void loaded_free(LoadedRow *rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(rows[i].key);
    free(rows);
}

/* The first row whose key does not begin below `key`. */
static size_t position(const LoadedRow *rows, size_t n, const char *key, size_t len) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strncmp(rows[middle].key, key, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void loaded_change(Store *store, const StorePut *put) {
    size_t at = position(store->loaded, store->n_loaded, put->key, strlen(put->key) + 1);
    bool there = at < store->n_loaded && streq(store->loaded[at].key, put->key);
    if (there) {
        free(store->loaded[at].key);
        if (put->value) {
            store->loaded[at] = copy_of(put);
            return;
        }
        memmove(&store->loaded[at], &store->loaded[at + 1], (--store->n_loaded - at) * sizeof(LoadedRow));
    } else if (put->value) {
        make_room(&store->loaded, store->n_loaded, &store->loaded_cap);
        memmove(&store->loaded[at + 1], &store->loaded[at], (store->n_loaded++ - at) * sizeof(LoadedRow));
        store->loaded[at] = copy_of(put);
    }
}

/* Does the object that was stored under ns/name say so itself? Else the map's order would not hold. */
static bool is_at_home(const Object *object, bool namespaced, const char *rest) {
    const char *ns = object_namespace(object);
    size_t n = strlen(ns);
    if (!namespaced)
        return n == 0 && streq(object_name(object), rest);
    return n > 0 && strncmp(rest, ns, n) == 0 && rest[n] == '/' && streq(object_name(object), rest + n + 1);
}

/* What the reference keeps for itself (the leases of its servers) has no name but its key's. */
static Object *with_name(const Object *object, const char *name) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = object_value(object, arena);
    value_set_str(arena, value_ensure_object(arena, v, "metadata"), "name", name);
    _cleanup_object_ Object *named = object_from_value(object_resource(object), v);
    return object_with_revision(named, object_revision(object));
}

Object *store_decode_row(const Store *store, const Resource *storage, const char *rest, const LoadedRow *row) {
    _cleanup_object_ Object *object = NULL;
    int r =
        stored_decode(store->driver->encoding, storage, store->complete, row->value, row->len, row->revision, &object);
    if (r == 0 && !storage->namespaced && !*object_name(object)) {
        Object *nameless = object;
        object = with_name(nameless, rest);
        object_unref(nameless);
    }
    if (r == 0 && is_at_home(object, storage->namespaced, rest))
        return TAKE_PTR(object);
    log_error("the stored object %s is damaged (%s): lists of %s fail until the row is repaired or removed", row->key,
              r < 0 ? "it does not parse" : "it has another name inside", storage->plural);
    return NULL;
}

Table *table_from_rows(const Store *store, const Resource *storage, LoadedRow *rows, size_t *n) {
    Table *table = table_new(storage, store->base_revision);
    _cleanup_free_ char *prefix = xasprintf(STORE_REGISTRY "%s/", storage->storage_prefix);
    size_t len = strlen(prefix), begin = position(rows, *n, prefix, len), end = begin;
    for (; end < *n && strncmp(rows[end].key, prefix, len) == 0; end++) {
        Object *object = store_decode_row(store, storage, rows[end].key + len, &rows[end]);
        if (object)
            table_put(table, object, rows[end].create_revision);
        else
            table_add_damaged(table, rows[end].key + len);
        free(rows[end].key);
    }
    /* the keys of the array stay ordered: the tail moves down */
    if (*n > end)
        memmove(&rows[begin], &rows[end], (*n - end) * sizeof(LoadedRow));
    *n -= end - begin;
    return table;
}
