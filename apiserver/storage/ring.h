/* The ring of events, ordered by revision. Each has a place, counted from the first one ever; revisions may leave gaps
 * (other keys of a shared store), and several events may have one revision (another program's transaction). Events are
 * dropped from the old end when there are too many, when they alone hold too many bytes, or when they are too old.
 * Changed by the store's one publishing thread under its write lock, read under its read lock. */
#pragma once

#include "apiserver/storage/table.h"

typedef struct Event {
    Table *table;
    Object *object; /* the new state; of a deletion the last one. A reference */
    Object *before; /* the state before; NULL: created. A reference */
    uint64_t revision;
    uint32_t bytes;               /* held by this event alone, counted against the ring's limit */
    uint32_t second_and_deletion; /* monotonic second it was added << 1 | is a deletion */
} Event;

typedef struct Ring {
    Event *events;   /* capacity entries, by place modulo capacity */
    size_t capacity; /* a power of two */
    size_t max_bytes, bytes;
    uint64_t first, next; /* places held: [first, next) */
    uint64_t expired;     /* nothing is shown of revisions below: of the last one dropped for its age, or compacted */
} Ring;

typedef struct Garbage { /* objects to be released after the lock is */
    Object **items;
    size_t n, cap;
} Garbage;

void ring_init(Ring *ring, size_t capacity, size_t max_bytes);
void ring_done(Ring *ring);
/* Takes both references. Revisions never go back. */
void ring_add(Ring *ring, uint64_t revision, Table *table, Object *object, Object *before, bool deletion,
              uint32_t now_seconds, Garbage *garbage);
/* Drops every event up to `revision`. */
void ring_drop(Ring *ring, uint64_t revision, Garbage *garbage);
/* The place of the first event after `revision`; ring->next when there is none. */
uint64_t ring_after(const Ring *ring, uint64_t revision);
/* Drops events older than `now_seconds - max_age`. */
void ring_trim(Ring *ring, uint32_t now_seconds, uint32_t max_age, Garbage *garbage);

static inline const Event *ring_at(const Ring *ring, uint64_t place) {
    return &ring->events[place & (ring->capacity - 1)];
}
static inline bool event_is_deletion(const Event *event) {
    return event->second_and_deletion & 1;
}

void garbage_add(Garbage *garbage, Object *object); /* NULL is fine */
void garbage_empty(Garbage *garbage);
