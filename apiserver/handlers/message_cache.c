/* Two generations: messages are added to the young one; when its time is over it becomes the old one, and what was the
 * old one goes. */
#include "apiserver/handlers/message_cache.h"
#include "base/log.h"
#include "base/strmap.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>

#define SLOTS_FIRST 1024

typedef struct Slot {
    Object *object; /* a reference, so that no other object can have this address; NULL: free */
    const char *message;
    size_t n;
} Slot;

typedef struct Generation {
    Arena *messages; /* NULL while empty */
    Slot *slots;     /* open addressing, at most three quarters taken */
    size_t n_slots, n, bytes;
} Generation;

struct MessageCache {
    size_t limit;
    uint64_t age_ns;
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t wake;
    pthread_t thread; /* which ages */
    bool started, stopping;
    Generation young, old;
};

/* The object's slot, or the free one where it would be. */
static Slot *slot_of(const Generation *generation, const Object *object) {
    size_t at = hash_bytes(&object, sizeof object);
    for (;; at++) {
        Slot *slot = &generation->slots[at & (generation->n_slots - 1)];
        if (!slot->object || slot->object == object)
            return slot;
    }
}

static const Slot *find(const Generation *generation, const Object *object) {
    const Slot *slot = generation->n ? slot_of(generation, object) : NULL;
    return slot && slot->object ? slot : NULL;
}

static void grow(Generation *generation) {
    Generation wider = *generation;
    wider.n_slots = generation->n_slots ? generation->n_slots * 2 : SLOTS_FIRST;
    wider.slots = NEWN0(Slot, wider.n_slots);
    for (size_t i = 0; i < generation->n_slots; i++)
        if (generation->slots[i].object)
            *slot_of(&wider, generation->slots[i].object) = generation->slots[i];
    free(generation->slots);
    *generation = wider;
}

static void generation_done(Generation *generation) {
    for (size_t i = 0; i < generation->n_slots; i++)
        object_unref(generation->slots[i].object);
    free(generation->slots);
    arena_free(generation->messages);
}

static void generation_add(Generation *generation, Object *object, const void *message, size_t n) {
    if (generation->n >= generation->n_slots / 4 * 3)
        grow(generation);
    if (!generation->messages)
        generation->messages = arena_new(0);
    Slot *slot = slot_of(generation, object);
    if (slot->object)
        return;
    *slot = (Slot){object_ref(object), memcpy(arena_alloc(generation->messages, n), message, n), n};
    generation->n++;
    generation->bytes += n;
}

static bool is_empty(const MessageCache *cache) {
    return cache->young.n == 0 && cache->old.n == 0;
}

static void age(MessageCache *cache) {
    Generation gone = cache->old;
    cache->old = cache->young;
    cache->young = (Generation){0};
    pthread_mutex_unlock(&cache->lock);
    if (gone.n) {
        generation_done(&gone);
        malloc_trim(0); /* many pieces that the allocator would keep */
    }
    pthread_mutex_lock(&cache->lock);
}

static void *run(void *userdata) {
    MessageCache *cache = userdata;
    pthread_mutex_lock(&cache->lock);
    while (!cache->stopping) {
        if (is_empty(cache)) {
            pthread_cond_wait(&cache->wake, &cache->lock);
            continue;
        }
        uint64_t due = now_monotonic_ns() + cache->age_ns;
        struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
        if (pthread_cond_timedwait(&cache->wake, &cache->lock, &until) == ETIMEDOUT && !cache->stopping)
            age(cache);
    }
    pthread_mutex_unlock(&cache->lock);
    return NULL;
}

MessageCache *message_cache_new(size_t bytes, uint64_t age_ns) {
    MessageCache *cache = NEW0(MessageCache);
    pthread_condattr_t attributes;
    cache->limit = bytes;
    cache->age_ns = age_ns;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cache->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int r = pthread_create(&cache->thread, NULL, run, cache);
    cache->started = r == 0;
    if (r != 0) /* it stays empty */
        log_warn("lists are encoded each time: no thread for what would be kept of them: %s", strerror(r));
    return cache;
}

void message_cache_free(MessageCache *cache) {
    if (!cache)
        return;
    pthread_mutex_lock(&cache->lock);
    cache->stopping = true;
    pthread_cond_signal(&cache->wake);
    pthread_mutex_unlock(&cache->lock);
    if (cache->started)
        pthread_join(cache->thread, NULL);
    generation_done(&cache->young);
    generation_done(&cache->old);
    pthread_cond_destroy(&cache->wake);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

bool message_cache_get(MessageCache *cache, const Object *object, Buf *out) {
    pthread_mutex_lock(&cache->lock);
    const Slot *slot = find(&cache->young, object);
    if (!slot)
        slot = find(&cache->old, object);
    if (slot)
        buf_append(out, slot->message, slot->n);
    pthread_mutex_unlock(&cache->lock);
    return slot != NULL;
}

void message_cache_put(MessageCache *cache, Object *object, const void *message, size_t n) {
    pthread_mutex_lock(&cache->lock);
    if (cache->started && n <= cache->limit && cache->young.bytes + cache->old.bytes <= cache->limit - n) {
        if (is_empty(cache))
            pthread_cond_signal(&cache->wake);
        generation_add(&cache->young, object, message, n);
    }
    pthread_mutex_unlock(&cache->lock);
}
