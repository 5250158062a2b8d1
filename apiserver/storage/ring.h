/* The ring of events: one event a revision, without gaps, so that an event's place follows from its revision. Events
 * are dropped from the old end when there are too many, when they alone hold too many bytes, or when they are too old.
 * Changed by the writer under the store's write lock, read under its read lock. */
#pragma once

#include "apiserver/storage/table.h"

typedef struct Event {
    Table *table;
    Object *object;               /* the new state; of a deletion the last one. A reference */
    Object *before;               /* the state before; NULL: created. A reference */
    uint32_t bytes;               /* held by this event alone, counted against the ring's limit */
    uint32_t second_and_deletion; /* monotonic second it was added << 1 | is a deletion */
} Event;

typedef struct Ring {
    Event *events;   /* capacity entries, by revision modulo capacity */
    size_t capacity; /* a power of two */
    size_t max_bytes, bytes;
    uint64_t first, next; /* revisions held: [first, next) */
    uint64_t expired;     /* the last one dropped for its age */
} Ring;

typedef struct Garbage { /* objects to be released after the lock is */
    Object **items;
    size_t n, cap;
} Garbage;

/* `revision`: of the last write before the ring. */
void ring_init(Ring *ring, size_t capacity, size_t max_bytes, uint64_t revision);
void ring_done(Ring *ring);
/* Takes both references. The event's revision is ring->next. */
void ring_add(Ring *ring, Table *table, Object *object, Object *before, bool deletion, uint32_t now_seconds,
              Garbage *garbage);
/* Drops events older than `now_seconds - max_age`. */
void ring_trim(Ring *ring, uint32_t now_seconds, uint32_t max_age, Garbage *garbage);

static inline const Event *ring_at(const Ring *ring, uint64_t revision) {
    return &ring->events[revision & (ring->capacity - 1)];
}
static inline bool event_is_deletion(const Event *event) {
    return event->second_and_deletion & 1;
}

void garbage_add(Garbage *garbage, Object *object); /* NULL is fine */
void garbage_empty(Garbage *garbage);
