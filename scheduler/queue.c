#include "scheduler/queue.h"

#include "base/clock.h"
#include "base/strmap.h"

typedef enum Place { PLACE_NONE, PLACE_ACTIVE, PLACE_BACKOFF, PLACE_UNSCHEDULABLE, PLACE_GATED } Place;

typedef struct Entry {
    Place place;
    Object *pod;
    int32_t priority;
    unsigned attempts;  /* that failed */
    uint64_t first_ns;  /* of the first attempt; 0: none yet */
    uint64_t sequence;  /* order of arrival among equals */
    uint64_t due_ns;    /* PLACE_BACKOFF: when it may run; PLACE_UNSCHEDULABLE: when its back-off ends */
    uint64_t parked_ns; /* PLACE_UNSCHEDULABLE: since when */
    size_t heap_at;     /* PLACE_ACTIVE */
} Entry;

struct SchedulingQueue {
    StrMap *entries; /* uid -> Entry; also of pods in flight (PLACE_NONE), for their attempts */
    Entry **heap;    /* PLACE_ACTIVE, the most important first */
    size_t n_active, cap;
    size_t n_backoff, n_unschedulable, n_gated;
    uint64_t sequence;
};

static void entry_free(void *value) {
    Entry *e = value;
    object_unref(e->pod);
    free(e);
}

SchedulingQueue *queue_new(void) {
    SchedulingQueue *q = NEW0(SchedulingQueue);
    q->entries = strmap_new(entry_free);
    return q;
}

void queue_free(SchedulingQueue *q) {
    if (!q)
        return;
    strmap_free(q->entries);
    free(q->heap);
    free(q);
}

static bool before(const Entry *a, const Entry *b) {
    return a->priority != b->priority ? a->priority > b->priority : a->sequence < b->sequence;
}

static void heap_set(SchedulingQueue *q, size_t at, Entry *e) {
    q->heap[at] = e;
    e->heap_at = at;
}

static void heap_up(SchedulingQueue *q, size_t at) {
    Entry *e = q->heap[at];
    for (; at > 0 && before(e, q->heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap_set(q, at, q->heap[(at - 1) / 2]);
    heap_set(q, at, e);
}

static void heap_down(SchedulingQueue *q, size_t at) {
    Entry *e = q->heap[at];
    for (size_t child; (child = at * 2 + 1) < q->n_active; at = child) {
        if (child + 1 < q->n_active && before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!before(q->heap[child], e))
            break;
        heap_set(q, at, q->heap[child]);
    }
    heap_set(q, at, e);
}

static void leave(SchedulingQueue *q, Entry *e) {
    if (e->place == PLACE_ACTIVE) {
        size_t at = e->heap_at;
        Entry *last = q->heap[--q->n_active];
        if (last != e) {
            heap_set(q, at, last);
            heap_up(q, at);
            heap_down(q, last->heap_at);
        }
    }
    q->n_backoff -= e->place == PLACE_BACKOFF;
    q->n_unschedulable -= e->place == PLACE_UNSCHEDULABLE;
    q->n_gated -= e->place == PLACE_GATED;
    e->place = PLACE_NONE;
}

static void enter_active(SchedulingQueue *q, Entry *e) {
    leave(q, e);
    if (q->n_active == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 64;
        q->heap = xreallocn(q->heap, q->cap, sizeof(Entry *));
    }
    e->place = PLACE_ACTIVE;
    q->heap[q->n_active] = e;
    e->heap_at = q->n_active++;
    heap_up(q, e->heap_at);
}

static Entry *entry_for(SchedulingQueue *q, Object *pod, int32_t priority) {
    Entry *e = strmap_get(q->entries, object_uid(pod));
    if (!e) {
        e = NEW0(Entry);
        e->sequence = q->sequence++;
        strmap_put(q->entries, object_uid(pod), e);
    }
    Object *old = e->pod;
    e->pod = object_ref(pod);
    e->priority = priority;
    object_unref(old);
    return e;
}

void queue_put(SchedulingQueue *q, Object *pod, int32_t priority) {
    Entry *e = entry_for(q, pod, priority);
    if (e->place == PLACE_ACTIVE || e->place == PLACE_BACKOFF) {
        if (e->place == PLACE_ACTIVE)
            enter_active(q, e); /* its priority may have changed */
        return;
    }
    if (e->place == PLACE_UNSCHEDULABLE && e->due_ns > now_monotonic_ns()) {
        leave(q, e);
        e->place = PLACE_BACKOFF;
        q->n_backoff++;
        return;
    }
    enter_active(q, e);
}

void queue_put_gated(SchedulingQueue *q, Object *pod) {
    Entry *e = entry_for(q, pod, 0);
    leave(q, e);
    e->place = PLACE_GATED;
    q->n_gated++;
}

void queue_remove(SchedulingQueue *q, const char *uid) {
    Entry *e = strmap_get(q->entries, uid);
    if (!e)
        return;
    leave(q, e);
    strmap_remove(q->entries, uid);
}

static uint64_t backoff(const Entry *e) {
    uint64_t ns = QUEUE_BACKOFF_FIRST_NS;
    for (unsigned i = 1; i < e->attempts && ns < QUEUE_BACKOFF_MAX_NS; i++)
        ns *= 2;
    return MIN(ns, (uint64_t)QUEUE_BACKOFF_MAX_NS);
}

void queue_put_unschedulable(SchedulingQueue *q, Object *pod, int32_t priority, uint64_t now_ns) {
    Entry *e = entry_for(q, pod, priority);
    leave(q, e);
    e->attempts++;
    e->due_ns = now_ns + backoff(e);
    e->parked_ns = now_ns;
    e->place = PLACE_UNSCHEDULABLE;
    q->n_unschedulable++;
}

void queue_put_failed(SchedulingQueue *q, Object *pod, int32_t priority, uint64_t now_ns) {
    Entry *e = entry_for(q, pod, priority);
    leave(q, e);
    e->attempts++;
    e->due_ns = now_ns + backoff(e);
    e->place = PLACE_BACKOFF;
    q->n_backoff++;
}

void queue_cluster_changed(SchedulingQueue *q) {
    const char *uid;
    Entry *e;
    if (!q->n_unschedulable)
        return;
    STRMAP_FOREACH (q->entries, uid, e) {
        if (e->place != PLACE_UNSCHEDULABLE)
            continue;
        leave(q, e);
        e->place = PLACE_BACKOFF;
        q->n_backoff++;
    }
}

static void move_due(SchedulingQueue *q, uint64_t now_ns) {
    const char *uid;
    Entry *e;
    if (!q->n_backoff && !q->n_unschedulable)
        return;
    STRMAP_FOREACH (q->entries, uid, e) {
        if ((e->place == PLACE_BACKOFF && e->due_ns <= now_ns) ||
            (e->place == PLACE_UNSCHEDULABLE && e->parked_ns + QUEUE_FLUSH_AFTER_NS <= now_ns))
            enter_active(q, e);
    }
}

Object *queue_pop(SchedulingQueue *q, uint64_t now_ns) {
    move_due(q, now_ns);
    if (!q->n_active)
        return NULL;
    Entry *e = q->heap[0];
    leave(q, e);
    if (!e->first_ns)
        e->first_ns = now_ns;
    return object_ref(e->pod);
}

QueueAttempts queue_attempts(const SchedulingQueue *q, const char *uid) {
    const Entry *e = strmap_get(q->entries, uid);
    return e ? (QueueAttempts){e->attempts + 1, e->first_ns} : (QueueAttempts){0};
}

uint64_t queue_next_due(const SchedulingQueue *q) {
    if (q->n_active)
        return 0;
    uint64_t due = UINT64_MAX;
    const char *uid;
    Entry *e;
    if (q->n_backoff || q->n_unschedulable)
        STRMAP_FOREACH (q->entries, uid, e) {
            if (e->place == PLACE_BACKOFF)
                due = MIN(due, e->due_ns);
            if (e->place == PLACE_UNSCHEDULABLE)
                due = MIN(due, e->parked_ns + QUEUE_FLUSH_AFTER_NS);
        }
    return due;
}

QueueDepths queue_depths(const SchedulingQueue *q) {
    return (QueueDepths){q->n_active, q->n_backoff, q->n_gated, q->n_unschedulable};
}
