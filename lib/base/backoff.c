#include "base/backoff.h"

#include "base/str.h"
#include "base/strmap.h"

#include <pthread.h>

#define COLLECT_FROM 256 /* entries */

typedef struct Entry {
    int64_t delay, updated;
} Entry;

struct Backoff {
    pthread_mutex_t lock;
    StrMap *entries;
    int64_t first, max;
    size_t collect_at; /* entries */
};

Backoff *backoff_new(int64_t first_ns, int64_t max_ns) {
    Backoff *b = NEW0(Backoff);
    pthread_mutex_init(&b->lock, NULL);
    b->entries = strmap_new(free);
    b->collect_at = COLLECT_FROM;
    b->first = first_ns;
    b->max = max_ns;
    return b;
}

void backoff_free(Backoff *b) {
    if (!b)
        return;
    strmap_free(b->entries);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

int64_t backoff_get(Backoff *b, const char *key) {
    pthread_mutex_lock(&b->lock);
    const Entry *e = strmap_get(b->entries, key);
    int64_t delay = e ? e->delay : 0;
    pthread_mutex_unlock(&b->lock);
    return delay;
}

static bool expired(const Backoff *b, const Entry *e, int64_t event_ns) {
    return event_ns - e->updated > 2 * b->max;
}

/* Before the map has to grow: what nobody asked about for so long is dropped. */
static void collect(Backoff *b, int64_t now_ns) {
    const char *key;
    Entry *e;
    size_t kept = 0;
    if (strmap_size(b->entries) < b->collect_at)
        return;
    StrMap *fresh = strmap_new(free);
    STRMAP_FOREACH (b->entries, key, e) {
        if (expired(b, e, now_ns))
            continue;
        Entry *copy = NEW(Entry);
        *copy = *e;
        strmap_put(fresh, key, copy);
        kept++;
    }
    strmap_free(b->entries);
    b->entries = fresh;
    b->collect_at = MAX(2 * kept, (size_t)COLLECT_FROM);
}

void backoff_next(Backoff *b, const char *key, int64_t event_ns) {
    pthread_mutex_lock(&b->lock);
    Entry *e = strmap_get(b->entries, key);
    if (!e) {
        collect(b, event_ns);
        e = NEW0(Entry);
        strmap_put(b->entries, key, e);
        e->delay = b->first;
    } else if (expired(b, e, event_ns))
        e->delay = b->first;
    else
        e->delay = MIN(e->delay * 2, b->max);
    e->updated = event_ns;
    pthread_mutex_unlock(&b->lock);
}

int64_t backoff_remaining(Backoff *b, const char *key, int64_t event_ns, int64_t now_ns) {
    pthread_mutex_lock(&b->lock);
    const Entry *e = strmap_get(b->entries, key);
    int64_t left = !e || expired(b, e, event_ns) ? 0 : event_ns + e->delay - now_ns;
    pthread_mutex_unlock(&b->lock);
    return MAX(left, (int64_t)0);
}

int64_t backoff_remaining_since_update(Backoff *b, const char *key, int64_t now_ns) {
    pthread_mutex_lock(&b->lock);
    const Entry *e = strmap_get(b->entries, key);
    int64_t left = !e || expired(b, e, now_ns) ? 0 : e->updated + e->delay - now_ns;
    pthread_mutex_unlock(&b->lock);
    return MAX(left, (int64_t)0);
}

void backoff_forget_prefix(Backoff *b, const char *prefix) {
    pthread_mutex_lock(&b->lock);
    for (;;) {
        const char *key, *found = NULL;
        Entry *e;
        STRMAP_FOREACH (b->entries, key, e)
            if (str_has_prefix(key, prefix)) {
                found = key;
                break;
            }
        if (!found)
            break;
        _cleanup_free_ char *copy = xstrdup(found);
        strmap_remove(b->entries, copy);
    }
    pthread_mutex_unlock(&b->lock);
}
