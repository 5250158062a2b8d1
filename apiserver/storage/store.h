/* The store: all objects in memory as immutable bytes, made durable through a driver, seen by any number of readers.
 *
 * Invariants. Revisions grow and are global to the store. Nothing is visible to readers, watchers or the caller before
 * it is durable. Readers never wait for the disk: they take a short lock on the tables. Events live once, in a ring
 * ordered by revision; a watch is a position in it and a filter.
 *
 * Over a local driver (sqlite) revisions come from the one writer thread and grow by one a write; whatever waits when
 * the writer is free goes into one durable transaction. Over a shared driver (etcd) several stores stand side by side:
 * revisions are the driver's, with gaps; each write is a transaction of its own, many of them under way at once; what
 * anybody wrote comes back through the driver's feed into tables and ring, and a write answers when its own news have.
 * Reads are then of a moment that may lie behind what another server acknowledged; store_sync goes before those that
 * must not be.
 *
 * Drivers: driver.h. Thread-safe unless said. */
#pragma once

#include "api/object.h"
#include "api/selector.h"
#include "api/status.h"

typedef struct Store Store;
typedef struct StoreDriver StoreDriver; /* driver.h */
typedef struct Watch Watch;

#define STORE_RING_EVENTS 65536             /* events kept for watches */
#define STORE_RING_BYTES (32 * 1024 * 1024) /* and at most so many bytes held by events alone */
#define STORE_OBJECT_MAX (1536 * 1024)      /* one encoded object, as etcd's default request limit */

/* What reading adds to an object that another program may have written: the defaults of its kind, as the reference's
 * decoder adds them. Any thread. */
typedef void (*StoreCompleteFn)(Arena *arena, const Resource *storage, Value *object);

/* Takes the driver (also on failure); loads everything. Objects are parsed when their resource is first asked for, so
 * rows of custom resources wait until their definition is known, and stay untouched for ever when it never is.
 * `complete` is asked for objects of a shared driver; may be NULL. -EUCLEAN: damaged. */
int store_open(StoreDriver *driver, StoreCompleteFn complete, Store **ret);
void store_close(Store *store); /* commits what waits, joins the writer */
DEFINE_CLEANUP(Store, store_close)
uint64_t store_revision(const Store *store); /* of the last durable write that is visible here */

/* Do other servers write to this store as well? */
bool store_is_shared(const Store *store);
/* On return reads see everything that any server had acknowledged before the call. 0 at once when the store is not
 * shared. Blocks; -ETIMEDOUT. */
int store_sync(Store *store, uint64_t deadline_ns);
/* Whether writes would become durable: asks the driver, and the last commit's result counts. Blocks, over a shared
 * driver until it answers. The error of what is wrong. */
int store_check(Store *store, uint64_t deadline_ns);
/* Waits until `revision` is visible here. -ETIMEDOUT (at once when the store is not shared: it will not come). */
int store_wait(Store *store, uint64_t revision, uint64_t deadline_ns);
/* Objects of this resource go by themselves so long after they were last written. Before the first write. -EOPNOTSUPP:
 * the driver knows no such thing. */
int store_set_ttl(Store *store, const Resource *resource, uint32_t seconds);

/* Reads. */
int store_get(Store *store, const Resource *resource, const char *ns, const char *name,
              Object **ret); /* -ENOENT; -EBADMSG: what is stored does not parse */

typedef struct ListQuery {
    const Resource *resource;
    const char *ns;                  /* NULL or "": all namespaces */
    const Selector *labels, *fields; /* borrowed; NULL: all */
    size_t limit;                    /* 0: none */
    const char *continue_token;      /* opaque; NULL: from the start */
    uint64_t at_revision;            /* with resourceVersionMatch=Exact; 0: now */
} ListQuery;

typedef struct ObjectList {
    Object **items; /* references, ordered by namespace and name */
    size_t n;
    uint64_t revision;
    char *continue_token; /* owned; NULL: complete */
    int64_t remaining;    /* items left; -1: unknown (a selector was given) */
} ObjectList;
void object_list_done(ObjectList *list);
#define _cleanup_object_list_ _cleanup_(object_list_done)
/* A continued list is consistent with its first page: at the revision in its token (from the ring's older versions)
 * while they last, else -EKEYEXPIRED with the 410 Status, whose err->continue_token goes on inconsistently.
 * -ETIMEDOUT with the 504 Status when the revision is in the future. Stored objects that do not
 * parse fail the list (500 StoreReadError), as in the reference: a list that leaves some out would lie. */
int store_list(Store *store, const ListQuery *query, ObjectList *ret, ApiError *err);

/* Is it a token of lists of this resource in `ns` (NULL: all)? 400 as store_list says it. */
int store_check_continue(const Resource *resource, const char *ns, const char *token, ApiError *err);

/* Writes: block until durable. `expect` is the revision the caller read (0: no check). `object` and `last` are
 * borrowed: the caller keeps its references. *ret is the published object with its revision, a new reference (ret may
 * be NULL). An update that changes no byte writes nothing and gives the stored object. Errors: -EEXIST, -ENOENT,
 * -ESTALE (expect differs), -ENOSPC, -EDQUOT, -EROFS, -EIO, -EFBIG. A failed disk write fails every waiter of the group
 * and changes nothing. Over a shared driver also -ETIMEDOUT: it is unknown whether the write was carried out. */
int store_create(Store *store, Object *object, Object **ret);
int store_update(Store *store, Object *object, uint64_t expect, Object **ret);
/* `last`: the final state that watchers see with the DELETED event, NULL: the stored one (over a shared driver they see
 * the stored one always, as every other server's watchers do). The deletion takes a revision, and the object in the
 * event and in *ret carries it. */
int store_delete(Store *store, const Resource *resource, const char *ns, const char *name, uint64_t expect,
                 Object *last, Object **ret);

/* Watches. */
typedef enum WatchType { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED, WATCH_BOOKMARK } WatchType;
typedef struct WatchEvent {
    WatchType type;
    Object *object; /* a reference; NULL for bookmarks. For an object that left the selector: DELETED with its old state
                       at the new revision, as the reference */
    /* With WatchQuery.with_before: the state that passed before this event, a reference; NULL: none did. */
    Object *before;
    uint64_t revision;
} WatchEvent;

typedef struct WatchQuery {
    const Resource *resource;
    const char *ns;
    const Selector *labels, *fields; /* borrowed until watch_close */
    uint64_t since;                  /* events after this revision; 0: from now */
    bool with_before;
} WatchQuery;

/* -EKEYEXPIRED when `since` is older than the ring, -ERANGE when it is in the future. */
int store_watch(Store *store, const WatchQuery *query, Watch **ret);
/* The next event that passes: 1 and *ret filled, 0 none yet, -EKEYEXPIRED fell behind. Wait-free towards the writer.
 * One thread at a time per watch. */
int watch_next(Watch *watch, WatchEvent *ret);
/* The oldest `since` that a watch on this resource may start from now (for the text of a 410). */
uint64_t store_oldest_revision(Store *store, const Resource *resource);
/* The revision of the last change of this resource (or of the store when it was opened): what was derived from it
 * before is stale. */
uint64_t store_changed_revision(Store *store, const Resource *resource);
/* How far this watch has looked: what a bookmark may say. */
uint64_t watch_revision(const Watch *watch);
void watch_close(Watch *watch);
DEFINE_CLEANUP(Watch, watch_close)

/* Called after each commit, on the writer's thread, with a bit for every storage row changed (bloom by row index % 64,
 * all ones when in doubt): must not block; wakes the loops. */
typedef struct StoreListener StoreListener;
StoreListener *store_listen(Store *store, void (*fn)(uint64_t changed_rows, uint64_t revision, void *userdata),
                            void *userdata);
void store_unlisten(Store *store, StoreListener *listener); /* fn is not running nor called again after this */
uint64_t store_row_bit(const Resource *resource);

/* Figures for /metrics. */
size_t store_count(Store *store, const Resource *resource);
