/* Lists. What is current is read from a snapshot of the ordered map. What was current at an older revision is the same
 * with every event since then undone: of each object that changed, the state before its first change. */
#include "apiserver/storage/internal.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>

typedef struct Undo { /* an object's state at the older revision */
    Object *key;      /* some later state, for its namespace and name; a reference */
    Object *state;    /* a reference; NULL: it did not exist */
    uint64_t revision;
} Undo;

typedef struct Undos {
    Undo *items;
    size_t n, cap, at;
} Undos;

typedef struct Range {
    OmapBound from, to;
    bool has_from, has_to;
} Range;

static const char expired_list[] = "The resourceVersion for the provided list is too old.";
static const char expired_continue[] =
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted "
    "between the time the first chunk was returned and now may show up in the list.";

static void undos_done(Undos *undos) {
    for (size_t i = 0; i < undos->n; i++) {
        object_unref(undos->items[i].key);
        object_unref(undos->items[i].state);
    }
    free(undos->items);
}

static int compare_objects(const Object *a, const Object *b) {
    return omap_key_compare(object_namespace(a), object_name(a), object_namespace(b), object_name(b));
}

static int compare_undos(const void *a, const void *b) {
    const Undo *x = a, *y = b;
    int c = compare_objects(x->key, y->key);
    return c ? c : (x->revision > y->revision) - (x->revision < y->revision);
}

static bool in_range(const Range *range, const Object *object) {
    const char *ns = object_namespace(object), *name = object_name(object);
    if (range->has_from) {
        int c = omap_key_compare(ns, name, range->from.ns, range->from.name);
        if (c < 0 || (c == 0 && range->from.side == OMAP_AFTER))
            return false;
    }
    if (!range->has_to)
        return true;
    if (range->to.side == OMAP_NAMESPACE_END)
        return omap_key_compare(ns, "", range->to.ns, "") <= 0;
    return omap_key_compare(ns, name, range->to.ns, range->to.name) <= 0;
}

/* Every change of the table after `revision`, under the read lock. */
static void undos_collect(Undos *undos, const Ring *ring, const Table *table, uint64_t revision, const Range *range) {
    for (uint64_t at = ring_after(ring, revision); at < ring->next; at++) {
        const Event *event = ring_at(ring, at);
        if (event->table != table || !in_range(range, event->object))
            continue;
        if (undos->n == undos->cap) {
            undos->cap = undos->cap ? undos->cap * 2 : 64;
            undos->items = xreallocn(undos->items, undos->cap, sizeof(Undo));
        }
        undos->items[undos->n++] = (Undo){
            .key = object_ref(event->object),
            .state = event->before ? object_ref(event->before) : NULL,
            .revision = at,
        };
    }
}

/* Sorts and keeps the first change of each object. */
static void undos_settle(Undos *undos) {
    if (undos->n > 1)
        qsort(undos->items, undos->n, sizeof(Undo), compare_undos);
    size_t kept = 0;
    for (size_t i = 0; i < undos->n; i++) {
        if (kept > 0 && compare_objects(undos->items[kept - 1].key, undos->items[i].key) == 0) {
            object_unref(undos->items[i].key);
            object_unref(undos->items[i].state);
        } else {
            undos->items[kept++] = undos->items[i];
        }
    }
    undos->n = kept;
}

/* The next object in key order of the snapshot with the changes undone; borrowed. NULL at the end. */
static Object *next_object(OmapSlice *slice, const OmapEntry **ahead, Undos *undos) {
    for (;;) {
        if (!*ahead)
            *ahead = omap_slice_next(slice);
        const Undo *undo = undos->at < undos->n ? &undos->items[undos->at] : NULL;
        int c = !undo ? -1 : !*ahead ? 1 : compare_objects((*ahead)->object, undo->key);
        if (c < 0) {
            Object *object = *ahead ? (*ahead)->object : NULL;
            *ahead = NULL;
            return object;
        }
        if (c == 0)
            *ahead = NULL;
        undos->at++;
        if (undo->state)
            return undo->state;
    }
}

static bool matches(const ListQuery *query, const Object *object) {
    return (!query->labels || label_selector_matches(query->labels, object)) &&
           (!query->fields || field_selector_matches(query->fields, object));
}

static void append(ObjectList *list, size_t *cap, Object *object) {
    if (list->n == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        list->items = xreallocn(list->items, *cap, sizeof(Object *));
    }
    list->items[list->n++] = object_ref(object);
}

/* Fills the page from the snapshot. */
static void fill(const ListQuery *query, OmapSlice *slice, Undos *undos, ObjectList *ret) {
    bool all = !query->labels && !query->fields;
    size_t cap = all && undos->n == 0 ? (query->limit ? MIN(query->limit, slice->count) : slice->count) : 0;
    if (cap > 0)
        ret->items = xreallocn(NULL, cap, sizeof(Object *));
    const OmapEntry *ahead = NULL;
    size_t seen = 0;
    for (Object *object; (object = next_object(slice, &ahead, undos));) {
        if (query->limit && ret->n == query->limit) {
            /* as in the reference: something is left in the range, whether or not it matches */
            const Object *last = ret->items[ret->n - 1];
            ret->continue_token =
                continue_token_write(query->resource->storage->namespaced, query->ns, object_namespace(last),
                                     object_name(last), (int64_t)ret->revision);
            ret->remaining = -1;
            if (all && undos->n == 0) {
                ret->remaining = (int64_t)(slice->count - seen);
            } else if (all) {
                for (ret->remaining = 1; next_object(slice, &ahead, undos);)
                    ret->remaining++;
            }
            return;
        }
        seen++;
        if (all || matches(query, object))
            append(ret, &cap, object);
    }
}

static int refuse_future(ApiError *err, uint64_t wanted, uint64_t now) {
    int r = api_error_set(err, 504, "Timeout", "Timeout: Too large resource version: %" PRIu64 ", current: %" PRIu64,
                          wanted, now);
    api_error_cause(err, "ResourceVersionTooLarge", "Too large resource version", "");
    err->retry_after = 1;
    return r;
}

/* Narrows the range to one namespace, one object, and to what follows the token. */
static Range range_of(const ListQuery *query, const ContinueToken *token) {
    bool namespaced = query->resource->storage->namespaced;
    const char *ns = str_or(query->ns, "");
    const char *exact = query->fields && namespaced ? selector_exact(query->fields, "metadata.namespace") : NULL;
    if (namespaced && !*ns && exact)
        ns = exact;
    const char *name = query->fields ? selector_exact(query->fields, "metadata.name") : NULL;
    Range range = {0};
    if (name && *name && (*ns || !namespaced)) {
        range = (Range){{ns, name, OMAP_BEFORE}, {ns, name, OMAP_AFTER}, true, true};
    } else if (namespaced && *ns) {
        range = (Range){{ns, "", OMAP_BEFORE}, {ns, "", OMAP_NAMESPACE_END}, true, true};
    }
    OmapBound after = {token->ns, token->name, token->side};
    if (token->ns && (!range.has_from || omap_key_compare(after.ns, after.name, range.from.ns, range.from.name) >= 0)) {
        range.from = after;
        range.has_from = true;
    }
    return range;
}

/* The smallest map that holds everything the selector can match. NULL: nothing can. */
static const Omap *map_of(const Table *table, const ListQuery *query) {
    const char *value = table->index && query->fields ? selector_exact(query->fields, table->indexed_field) : NULL;
    return value ? table_indexed(table, value) : &table->objects;
}

/* Takes what the list needs under the read lock: 0, -EKEYEXPIRED, -ERANGE (of the future) or -EUCLEAN. */
static int take(Store *store, Table *table, const ListQuery *query, const Range *range, uint64_t revision,
                OmapSlice *slice, Undos *undos, uint64_t *ret_now) {
    int r = 0;
    pthread_rwlock_rdlock(&store->lock);
    uint64_t now = *ret_now = store_revision(store);
    bool changed = revision && atomic_load_explicit(&table->changed_revision, memory_order_relaxed) > revision;
    const Omap *map = changed ? &table->objects : map_of(table, query);
    if (table->damaged)
        r = -EUCLEAN;
    else if (revision > now)
        r = -ERANGE;
    else if (revision && (atomic_load_explicit(&table->dropped_revision, memory_order_relaxed) > revision ||
                          store->ring.expired > revision))
        r = -EKEYEXPIRED; /* as after a compaction: of an old revision nothing is shown, even where nothing changed */
    else {
        if (changed)
            undos_collect(undos, &store->ring, table, revision, range);
        if (map)
            omap_slice(map, range->has_from ? &range->from : NULL, range->has_to ? &range->to : NULL, slice);
    }
    pthread_rwlock_unlock(&store->lock);
    return r;
}

static int refuse(int r, const ListQuery *query, const ContinueToken *token, uint64_t revision, uint64_t now,
                  ApiError *err) {
    if (r == -ERANGE)
        return refuse_future(err, revision, now);
    if (r == -EUCLEAN) {
        return api_error_set(err, 500, "StoreReadError", "stored objects of %s are damaged; see the server's log",
                             query->resource->plural);
    }
    if (!token->ns)
        return api_error_expired(err, expired_list);
    r = api_error_expired(err, expired_continue);
    if (err)
        err->continue_token =
            continue_token_write(query->resource->storage->namespaced, query->ns, token->ns, token->name, -1);
    return r;
}

static int list(Store *store, const ListQuery *query, const ContinueToken *token, ObjectList *ret, ApiError *err) {
    uint64_t revision = token->revision > 0 ? (uint64_t)token->revision : query->at_revision, now;
    Range range = range_of(query, token);
    _cleanup_omap_slice_ OmapSlice slice = {0};
    _cleanup_(undos_done) Undos undos = {0};
    int r = take(store, store_table(store, query->resource), query, &range, revision, &slice, &undos, &now);
    if (r < 0)
        return refuse(r, query, token, revision, now, err);
    undos_settle(&undos);
    *ret = (ObjectList){.revision = revision ? revision : now};
    fill(query, &slice, &undos, ret);
    return 0;
}

int store_check_continue(const Resource *resource, const char *ns, const char *text, ApiError *err) {
    _cleanup_(continue_token_done) ContinueToken token = {0};
    return continue_token_parse(text, resource->namespaced, ns, &token, err);
}

int store_list(Store *store, const ListQuery *query, ObjectList *ret, ApiError *err) {
    _cleanup_(continue_token_done) ContinueToken token = {0};
    if (!str_empty(query->continue_token)) {
        int r =
            continue_token_parse(query->continue_token, query->resource->storage->namespaced, query->ns, &token, err);
        if (r < 0)
            return r;
        if (query->at_revision)
            return api_error_bad_request(err, "specifying resource version is not allowed when using continue");
    }
    return list(store, query, &token, ret, err);
}
