/* Watches: a position in the ring and a filter. A row that does not change costs its watches nothing: two atomic loads,
 * and they move on with the store's revision, so that only those that miss events of their own row fall behind. */
#include "apiserver/storage/internal.h"
#include "base/str.h"

#include <errno.h>

#define SCAN_MAX 4096 /* events looked at before the lock is let go once */

struct Watch {
    Store *store;
    Table *table;
    char *ns;
    const Selector *labels, *fields;
    bool with_before;
    uint64_t position; /* everything up to this revision was looked at */
    uint64_t place;    /* of the next event in the ring to look at, unless it follows from the position */
};

uint64_t store_oldest_revision(Store *store, const Resource *resource) {
    return atomic_load_explicit(&store_table(store, resource)->dropped_revision, memory_order_acquire);
}

uint64_t store_changed_revision(Store *store, const Resource *resource) {
    return atomic_load_explicit(&store_table(store, resource)->changed_revision, memory_order_acquire);
}

int store_watch(Store *store, const WatchQuery *query, Watch **ret) {
    Table *table = store_table(store, query->resource);
    uint64_t now = store_revision(store), since = query->since ? query->since : now;
    if (since > now)
        return -ERANGE;
    if (since < atomic_load_explicit(&table->dropped_revision, memory_order_acquire))
        return -EKEYEXPIRED;
    Watch *watch = NEW0(Watch);
    watch->store = store;
    watch->table = table;
    watch->ns = xstrdup(str_or(query->ns, ""));
    watch->labels = query->labels;
    watch->fields = query->fields;
    watch->with_before = query->with_before;
    watch->position = since;
    *ret = watch;
    return 0;
}

static bool passes(const Watch *watch, const Object *object) {
    return object && (!*watch->ns || streq(watch->ns, object_namespace(object))) &&
           (!watch->labels || label_selector_matches(watch->labels, object)) &&
           (!watch->fields || field_selector_matches(watch->fields, object));
}

/* What the watch sees of an event: 1 and *ret with references, or 0. An object that leaves the selector is seen as
 * deleted with its old state, which gets the event's revision from the caller. */
static int see(const Watch *watch, const Event *event, WatchEvent *ret) {
    bool before = passes(watch, event->before);
    bool after = !event_is_deletion(event) && passes(watch, event->object);
    if (!before && !after)
        return 0;
    Object *object = after || event_is_deletion(event) ? event->object : event->before;
    *ret = (WatchEvent){
        .type = !after   ? WATCH_DELETED
                : before ? WATCH_MODIFIED
                         : WATCH_ADDED,
        .object = object_ref(object),
        .before = watch->with_before && before ? object_ref(event->before) : NULL,
        .revision = event->revision,
    };
    return 1;
}

/* Looks at up to SCAN_MAX events: 1 found, 0 at the end of the ring, -EAGAIN more to look at, -EKEYEXPIRED. */
static int scan(Watch *watch, WatchEvent *ret) {
    Store *store = watch->store;
    int r = 0;
    pthread_rwlock_rdlock(&store->lock);
    const Ring *ring = &store->ring;
    if (atomic_load_explicit(&watch->table->dropped_revision, memory_order_acquire) > watch->position) {
        pthread_rwlock_unlock(&store->lock);
        return -EKEYEXPIRED;
    }
    uint64_t at = MAX(watch->place, ring_after(ring, watch->position));
    uint64_t end = ring->next - at > SCAN_MAX ? at + SCAN_MAX : ring->next;
    for (; at < end && r == 0; at++) {
        const Event *event = ring_at(ring, at);
        if (event->table == watch->table)
            r = see(watch, event, ret);
        watch->position = event->revision;
    }
    watch->place = at;
    if (at < ring->next && ring_at(ring, at)->revision == watch->position)
        watch->position--; /* more of the same revision to look at */
    else if (at == ring->next)
        watch->position = MAX(watch->position, store_revision(store));
    if (r == 0 && at < ring->next)
        r = -EAGAIN;
    pthread_rwlock_unlock(&store->lock);
    return r;
}

int watch_next(Watch *watch, WatchEvent *ret) {
    uint64_t now = store_revision(watch->store);
    if (watch->position >= now)
        return 0;
    if (atomic_load_explicit(&watch->table->changed_revision, memory_order_acquire) <= watch->position) {
        watch->position = now;
        return 0;
    }
    WatchEvent event;
    int r;
    do
        r = scan(watch, &event);
    while (r == -EAGAIN);
    if (r <= 0)
        return r;
    if (object_revision(event.object) != event.revision) {
        Object *old = event.object;
        event.object = object_with_revision(old, event.revision);
        object_unref(old);
    }
    *ret = event;
    return 1;
}

uint64_t watch_revision(const Watch *watch) {
    return watch->position;
}

void watch_close(Watch *watch) {
    if (!watch)
        return;
    free(watch->ns);
    free(watch);
}
