/* The writer of a store over a local driver: the only thread that gives out revisions, calls the driver and changes
 * tables. It takes everything that waits, decides each write against the tables and against the writes before it in the
 * same group, commits the group as one transaction, and only then publishes it. Since it alone changes the tables, it
 * reads them without the lock. */
#define LOG_COMPONENT "store"
#include "apiserver/storage/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <time.h>

#define GROUP_INDEX_SIZE (2 * STORE_GROUP_MAX) /* a power of two */
#define IDLE_AFTER_SECONDS 1
#define TRIM_EVERY_SECONDS 60

typedef struct Staged {
    Op *op;
    Object *after; /* a reference; NULL: the write failed its check. Of a deletion: the final state */
    uint64_t create_revision;
} Staged;

typedef struct Group {
    Staged staged[STORE_GROUP_MAX];
    StorePut puts[STORE_GROUP_MAX];
    size_t n, n_puts;
    uint16_t index[GROUP_INDEX_SIZE]; /* hash of key to 1 + the latest staged write of it */
} Group;

static uint16_t *index_slot(Group *group, const char *key) {
    size_t at = hash_bytes(key, strlen(key)) & (GROUP_INDEX_SIZE - 1);
    while (group->index[at] && !streq(group->staged[group->index[at] - 1].op->key, key))
        at = (at + 1) & (GROUP_INDEX_SIZE - 1);
    return &group->index[at];
}

/* The state the write meets: of an earlier write of its group, else of the table. NULL: absent. Borrowed. */
static Object *current_state(Group *group, const Op *op, uint64_t *ret_create_revision) {
    uint16_t slot = *index_slot(group, op->key);
    if (slot) {
        Staged *earlier = &group->staged[slot - 1];
        *ret_create_revision = earlier->create_revision;
        return earlier->op->kind == OP_DELETE ? NULL : earlier->after;
    }
    const OmapEntry *entry = omap_find(&op->table->objects, op->ns, op->name);
    *ret_create_revision = entry ? entry->create_revision : 0;
    return entry ? entry->object : NULL;
}

/* Decides one write; when it passes, it is staged at `revision`. */
static bool stage(Group *group, Op *op, uint64_t revision) {
    uint64_t create_revision;
    Object *current = current_state(group, op, &create_revision);
    Staged *staged = &group->staged[group->n++];
    *staged = (Staged){.op = op};
    op->result = op_check(op, current);
    if (op->result < 0)
        return false;
    staged->after = object_with_revision(op->object ? op->object : current, revision);
    staged->create_revision = op->kind == OP_CREATE ? revision : create_revision;
    *index_slot(group, op->key) = (uint16_t)group->n;
    group->puts[group->n_puts++] = (StorePut){
        .key = op->key,
        .value = op->kind == OP_DELETE ? NULL : op->stored.data,
        .len = op->kind == OP_DELETE ? 0 : op->stored.len,
        .revision = revision,
        .create_revision = staged->create_revision,
    };
    return true;
}

static void publish_one(Store *store, Staged *staged, uint32_t now, Garbage *garbage) {
    uint64_t revision = object_revision(staged->after);
    Op *op = staged->op;
    OmapEntry before = op->kind == OP_DELETE ? table_remove(op->table, op->ns, op->name)
                                             : table_put(op->table, object_ref(staged->after), staged->create_revision);
    ring_add(&store->ring, revision, op->table, object_ref(staged->after), before.object, op->kind == OP_DELETE, now,
             garbage);
    atomic_store_explicit(&op->table->changed_revision, revision, memory_order_release);
}

static void publish(Store *store, Group *group) {
    Garbage garbage = {0};
    uint32_t now = store_now_seconds();
    uint64_t changed = 0, revision = store_revision(store);
    pthread_rwlock_wrlock(&store->lock);
    ring_trim(&store->ring, now, STORE_EVENT_AGE_SECONDS, &garbage);
    for (size_t i = 0; i < group->n; i++) {
        if (!group->staged[i].after)
            continue;
        publish_one(store, &group->staged[i], now, &garbage);
        changed |= group->staged[i].op->table->bit;
        revision = object_revision(group->staged[i].after);
    }
    atomic_store_explicit(&store->revision, revision, memory_order_release);
    pthread_rwlock_unlock(&store->lock);
    garbage_empty(&garbage);
    store_announce(store, changed, revision);
}

/* Answers everyone in the group: with their own result, or with the failure of the whole. */
static void answer(Group *group, int failure) {
    for (size_t i = 0; i < group->n; i++) {
        Staged *staged = &group->staged[i];
        Object *after = TAKE_PTR(staged->after);
        if (failure < 0)
            staged->op->result = failure;
        if (staged->op->result == 0)
            staged->op->published = after;
        else
            object_unref(after);
        sem_post(&staged->op->done); /* the op is gone after this */
    }
}

static void report(Store *store, int r) {
    int before = atomic_exchange(&store->writing_result, r);
    if (r < 0 && before == 0)
        log_error("writes fail and change nothing: %s", strerror(-r));
    if (r == 0 && before < 0)
        log_info("writes succeed again");
}

static void write_group(Store *store, Group *group, Op *ops) {
    group->n = group->n_puts = 0;
    memset(group->index, 0, sizeof(group->index));
    uint64_t revision = store_revision(store) + 1;
    for (Op *op = ops, *next; op; op = next) {
        next = op->next;
        if (stage(group, op, revision))
            revision++;
    }
    int r = 0;
    if (group->n_puts > 0) {
        r = store->driver->commit(store->driver, group->puts, group->n_puts);
        report(store, r);
        if (r == 0)
            publish(store, group);
    }
    answer(group, r);
}

static void trim(Store *store) {
    Garbage garbage = {0};
    pthread_rwlock_wrlock(&store->lock);
    ring_trim(&store->ring, store_now_seconds(), STORE_EVENT_AGE_SECONDS, &garbage);
    pthread_rwlock_unlock(&store->lock);
    garbage_empty(&garbage);
}

/* Waits for writes. Calls the driver's idle once when none came for a while after some did. Holds queue_lock. */
static void wait_for_writes(Store *store, bool *worked) {
    while (!store->first && !store->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += *worked ? IDLE_AFTER_SECONDS : TRIM_EVERY_SECONDS;
        if (pthread_cond_timedwait(&store->queue_filled, &store->queue_lock, &until) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&store->queue_lock);
        trim(store);
        if (*worked && store->driver->idle)
            store->driver->idle(store->driver);
        *worked = false;
        pthread_mutex_lock(&store->queue_lock);
    }
}

/* Takes what waits, up to a group's limits. NULL: the store closes and nothing waits. */
static Op *take_group(Store *store, bool *worked) {
    pthread_mutex_lock(&store->queue_lock);
    wait_for_writes(store, worked);
    Op *ops = store->first;
    Op **end = &store->first;
    size_t bytes = 0;
    for (size_t n = 0; *end && n < STORE_GROUP_MAX && bytes < STORE_GROUP_BYTES; n++, end = &(*end)->next)
        bytes += (*end)->stored.len;
    store->first = *end;
    *end = NULL;
    if (!store->first)
        store->last = &store->first;
    pthread_mutex_unlock(&store->queue_lock);
    return ops;
}

static void *run(void *userdata) {
    Store *store = userdata;
    Group *group = NEW0(Group);
    pthread_setname_np(pthread_self(), "store-writer");
    bool worked = false;
    for (Op *ops; (ops = take_group(store, &worked));) {
        write_group(store, group, ops);
        worked = true;
    }
    free(group);
    return NULL;
}

int writer_start(Store *store) {
    return -pthread_create(&store->writer, NULL, run, store);
}

void writer_stop(Store *store) {
    pthread_mutex_lock(&store->queue_lock);
    store->closing = true;
    pthread_cond_signal(&store->queue_filled);
    pthread_mutex_unlock(&store->queue_lock);
    pthread_join(store->writer, NULL);
}

int writer_perform(Store *store, Op *op, Object **ret) {
    op->next = NULL;
    sem_init(&op->done, 0, 0);
    pthread_mutex_lock(&store->queue_lock);
    *store->last = op;
    store->last = &op->next;
    pthread_mutex_unlock(&store->queue_lock);
    pthread_cond_signal(&store->queue_filled); /* not before: the writer would wake to wait for the lock */
    while (sem_wait(&op->done) < 0 && errno == EINTR)
        ;
    sem_destroy(&op->done);
    if (op->result < 0)
        return op->result;
    if (ret)
        *ret = op->published;
    else
        object_unref(op->published);
    return 0;
}
