#include "apiserver/storage/ring.h"

void ring_init(Ring *ring, size_t capacity, size_t max_bytes) {
    *ring = (Ring){
        .events = NEWN0(Event, capacity),
        .capacity = capacity,
        .max_bytes = max_bytes,
    };
}

void garbage_add(Garbage *garbage, Object *object) {
    if (!object)
        return;
    if (garbage->n == garbage->cap) {
        garbage->cap = garbage->cap ? garbage->cap * 2 : 64;
        garbage->items = xreallocn(garbage->items, garbage->cap, sizeof(Object *));
    }
    garbage->items[garbage->n++] = object;
}

void garbage_empty(Garbage *garbage) {
    for (size_t i = 0; i < garbage->n; i++)
        object_unref(garbage->items[i]);
    free(garbage->items);
    *garbage = (Garbage){0};
}

static void drop_first(Ring *ring, Garbage *garbage) {
    Event *event = &ring->events[ring->first & (ring->capacity - 1)];
    /* what a watch on this table has missed if it stands before this revision */
    atomic_store_explicit(&event->table->dropped_revision, event->revision, memory_order_release);
    ring->bytes -= event->bytes;
    garbage_add(garbage, TAKE_PTR(event->object));
    garbage_add(garbage, TAKE_PTR(event->before));
    ring->first++;
}

void ring_done(Ring *ring) {
    Garbage garbage = {0};
    while (ring->first < ring->next)
        drop_first(ring, &garbage);
    garbage_empty(&garbage);
    free(ring->events);
    *ring = (Ring){0};
}

static size_t json_len(const Object *object) {
    size_t len = 0;
    if (object)
        object_json(object, &len);
    return len;
}

void ring_add(Ring *ring, uint64_t revision, Table *table, Object *object, Object *before, bool deletion,
              uint32_t now_seconds, Garbage *garbage) {
    /* The state before is superseded and lives on only here; the new state lives in the table unless it is a
     * deletion's. */
    size_t bytes = json_len(before) + (deletion ? json_len(object) : 0);
    while (ring->next - ring->first >= ring->capacity ||
           (ring->first < ring->next && ring->bytes + bytes > ring->max_bytes))
        drop_first(ring, garbage);
    ring->events[ring->next & (ring->capacity - 1)] = (Event){
        .table = table,
        .object = object,
        .before = before,
        .revision = revision,
        .bytes = (uint32_t)MIN(bytes, (size_t)UINT32_MAX),
        .second_and_deletion = now_seconds << 1 | deletion,
    };
    ring->bytes += (uint32_t)MIN(bytes, (size_t)UINT32_MAX);
    ring->next++;
}

void ring_trim(Ring *ring, uint32_t now_seconds, uint32_t max_age, Garbage *garbage) {
    while (ring->first < ring->next && now_seconds - (ring_at(ring, ring->first)->second_and_deletion >> 1) > max_age) {
        ring->expired = ring_at(ring, ring->first)->revision;
        drop_first(ring, garbage);
    }
}

void ring_drop(Ring *ring, uint64_t revision, Garbage *garbage) {
    ring->expired = MAX(ring->expired, revision);
    while (ring->first < ring->next && ring_at(ring, ring->first)->revision <= revision)
        drop_first(ring, garbage);
}

uint64_t ring_after(const Ring *ring, uint64_t revision) {
    uint64_t low = ring->first, high = ring->next;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (ring_at(ring, middle)->revision <= revision)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
