/* Garbage collection by owner references, with background, foreground and orphan deletion.
 *
 * The caches only say where to look. Before anything is deleted, the object and each owner that the caches do not show
 * are read from the server, so a cache that lags can delay a deletion but never cause one. */
#define LOG_COMPONENT "garbage-collector"
#include "controllers/controller.h"

#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/gc_graph.h"
#include "controllers/meta.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define GC_WORKERS 4
#define ABSENT_OWNERS_MAX 500 /* uids known to be gone, as the reference's cache */

typedef struct Collector {
    Client *client;
    Informer *informers[CONTROLLER_NEEDS_MAX];
    size_t n_informers;
    GcGraph *graph;
    WorkQueue *to_delete, *to_orphan; /* keys: informer/namespace/name/uid */
    pthread_mutex_t lock;
    StrMap *absent; /* "namespace/uid" */
} Collector;

/* ---- keys ---- */

static size_t index_of(const Collector *all, const Resource *resource) {
    for (size_t i = 0; i < all->n_informers; i++)
        if (informer_resource(all->informers[i])->storage == resource->storage)
            return i;
    return SIZE_MAX;
}

static void enqueue(Collector *all, WorkQueue *queue, const Object *object) {
    char key[CONTROLLER_KEY_MAX + 80];
    size_t index = index_of(all, object_resource(object));
    if (index == SIZE_MAX)
        return;
    snprintf(key, sizeof key, "%zu/%s/%s/%s", index, object_namespace(object), object_name(object), object_uid(object));
    workqueue_add(queue, key);
}

typedef struct Item {
    const Resource *resource;
    Informer *informer;
    const char *ns, *name, *uid;
} Item;

/* Splits a copy of the key in place. */
static bool item_parse(Collector *all, char *key, Item *ret) {
    char *ns = strchr(key, '/'), *name = ns ? strchr(ns + 1, '/') : NULL, *uid = name ? strchr(name + 1, '/') : NULL;
    uint64_t index;
    if (!uid)
        return false;
    *ns = *name = *uid = 0;
    if (str_to_uint64(key, &index) < 0 || index >= all->n_informers)
        return false;
    *ret = (Item){.resource = informer_resource(all->informers[index]),
                  .informer = all->informers[index],
                  .ns = ns + 1,
                  .name = name + 1,
                  .uid = uid + 1};
    return true;
}

/* ---- events ---- */

static void enqueue_dependents(Collector *all, const char *owner_uid) {
    Object **dependents;
    size_t n = gc_graph_dependents(all->graph, owner_uid, &dependents);
    for (size_t i = 0; i < n; i++) {
        enqueue(all, all->to_delete, dependents[i]);
        object_unref(dependents[i]);
    }
    free(dependents);
}

/* The owner in its cache; NULL when it is not there (or of a kind that is not known). */
static Object *cached_owner(Collector *all, const char *ns, const OwnerRef *ref, const Resource **ret_resource) {
    const char *slash = strchr(ref->api_version, '/');
    char group[256] = "";
    if (slash)
        snprintf(group, sizeof group, "%.*s", (int)(slash - ref->api_version), ref->api_version);
    const Resource *resource = resource_find_kind(group, slash ? slash + 1 : ref->api_version, ref->kind);
    *ret_resource = resource;
    size_t index = resource ? index_of(all, resource) : SIZE_MAX;
    if (index == SIZE_MAX)
        return NULL;
    Object *owner = informer_lookup(all->informers[index], resource->namespaced ? ns : NULL, ref->name);
    return owner && streq(object_uid(owner), ref->uid) ? owner : object_unref(owner);
}

static bool has_doubtful_owner(Collector *all, const Object *object) {
    size_t n;
    const OwnerRef *owners = object_owners(object, &n);
    const Resource *resource;
    for (size_t i = 0; i < n; i++) {
        _cleanup_object_ Object *owner = cached_owner(all, object_namespace(object), &owners[i], &resource);
        if (!owner || object_is_deleting(owner))
            return true;
    }
    return false;
}

static void look_at_deletion(Collector *all, const Object *object) {
    if (gc_is_orphaning(object))
        enqueue(all, all->to_orphan, object);
    else if (gc_is_deleting_dependents(object)) {
        enqueue_dependents(all, object_uid(object));
        enqueue(all, all->to_delete, object);
    }
}

static void on_added(Object *object, void *userdata) {
    Collector *all = userdata;
    gc_graph_change(all->graph, NULL, object);
    if (has_doubtful_owner(all, object))
        enqueue(all, all->to_delete, object);
    look_at_deletion(all, object);
}

static bool owners_differ(const Object *a, const Object *b) {
    size_t n_a, n_b;
    const OwnerRef *x = object_owners(a, &n_a), *y = object_owners(b, &n_b);
    if (n_a != n_b)
        return true;
    for (size_t i = 0; i < n_a; i++)
        if (!streq(x[i].uid, y[i].uid) || x[i].block_owner_deletion != y[i].block_owner_deletion)
            return true;
    return false;
}

/* Owners that wait for this dependent may go on when it is gone, disowned or no longer blocks. */
static void enqueue_owners(Collector *all, const Object *object) {
    size_t n;
    const OwnerRef *owners = object_owners(object, &n);
    const Resource *resource;
    for (size_t i = 0; i < n; i++) {
        _cleanup_object_ Object *owner = cached_owner(all, object_namespace(object), &owners[i], &resource);
        if (owner && gc_is_deleting_dependents(owner))
            enqueue(all, all->to_delete, owner);
    }
}

static void on_deleted(Object *object, void *userdata) {
    Collector *all = userdata;
    gc_graph_change(all->graph, object, NULL);
    enqueue_dependents(all, object_uid(object));
    enqueue_owners(all, object);
}

static void on_updated(Object *old, Object *object, void *userdata) {
    Collector *all = userdata;
    if (!streq(object_uid(old), object_uid(object))) {
        on_deleted(old, userdata);
        on_added(object, userdata);
        return;
    }
    gc_graph_change(all->graph, old, object);
    if (owners_differ(old, object)) {
        enqueue(all, all->to_delete, object);
        enqueue_owners(all, old);
    }
    if (object_is_deleting(object))
        look_at_deletion(all, object);
}

/* ---- what the server says ---- */

static bool known_absent(Collector *all, const char *key) {
    pthread_mutex_lock(&all->lock);
    bool absent = strmap_get(all->absent, key) != NULL;
    pthread_mutex_unlock(&all->lock);
    return absent;
}

static void remember_absent(Collector *all, const char *key) {
    pthread_mutex_lock(&all->lock);
    if (strmap_size(all->absent) >= ABSENT_OWNERS_MAX)
        strmap_clear(all->absent);
    strmap_put(all->absent, key, all);
    pthread_mutex_unlock(&all->lock);
}

typedef enum OwnerState { OWNER_SOLID, OWNER_DANGLING, OWNER_WAITING } OwnerState;

/* What an owner reference leads to. An unknown kind counts as solid: nothing is deleted on a guess. */
static int owner_state(Collector *all, Arena *arena, const Item *item, const OwnerRef *ref, OwnerState *ret) {
    const Resource *resource;
    const char *absent_key = arena_printf(arena, "%s/%s", item->ns, ref->uid);
    _cleanup_object_ Object *owner = NULL;
    if (known_absent(all, absent_key)) {
        *ret = OWNER_DANGLING;
        return 0;
    }
    owner = cached_owner(all, item->ns, ref, &resource);
    if (!resource || (resource->namespaced && !*item->ns)) {
        log_debug("%s %s/%s: the owner %s %s cannot be resolved", item->resource->plural, item->ns, item->name,
                  ref->api_version, ref->kind);
        *ret = OWNER_SOLID;
        return 0;
    }
    if (!owner) {
        int r =
            client_get(all->client, resource->storage, resource->namespaced ? item->ns : NULL, ref->name, &owner, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == -ENOENT || !streq(object_uid(owner), ref->uid)) {
            remember_absent(all, absent_key);
            *ret = OWNER_DANGLING;
            return 0;
        }
    }
    *ret = gc_is_deleting_dependents(owner) ? OWNER_WAITING : OWNER_SOLID;
    return 0;
}

/* ---- changes ---- */

static int patch_item(Collector *all, const Item *item, PatchType type, Value *patch) {
    int r = client_patch(all->client, item->resource, *item->ns ? item->ns : NULL, item->name, NULL, type, patch, NULL,
                         NULL);
    return r == -ENOENT ? 0 : r;
}

static void add_removed_owner(Arena *arena, Value *metadata, const char *uid) {
    Value *gone = value_object(arena);
    value_set_str(arena, gone, "$patch", "delete");
    value_set_str(arena, gone, "uid", uid);
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), gone);
}

static int delete_item(Collector *all, const Item *item, const Object *live, const char *propagation) {
    char revision[24];
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)object_revision(live));
    /* With the revision too: what was decided holds for the object as it was read. */
    ClientDelete options = {
        .uid = item->uid, .resource_version = revision, .grace_seconds = -1, .propagation = propagation};
    log_info("deleting %s %s%s%s: its owner is gone (%s)", item->resource->plural, item->ns, *item->ns ? "/" : "",
             item->name, propagation);
    int r = client_delete(all->client, item->resource, *item->ns ? item->ns : NULL, item->name, &options, NULL);
    return r == -ENOENT ? 0 : r;
}

static int remove_finalizer(Collector *all, Arena *arena, const Item *item, const Object *live, const char *name) {
    Value *value = object_value(live, arena), *finalizers = value_path(value, "metadata", "finalizers", NULL);
    if (!has_finalizer(value, name))
        return 0;
    for (size_t i = value_len(finalizers); i-- > 0;)
        if (streq(str_or(value_str(value_at(finalizers, i)), ""), name))
            value_remove_at(finalizers, i);
    Value *metadata, *patch = patch_for_uid(arena, item->uid, &metadata);
    value_set(arena, metadata, "resourceVersion",
              value_printf(arena, "%llu", (unsigned long long)object_revision(live)));
    value_set(arena, metadata, "finalizers", finalizers);
    return patch_item(all, item, PATCH_MERGE, patch);
}

/* ---- attempt to delete ---- */

static const OwnerRef *owner_ref_of(const Object *object, const char *owner_uid) {
    size_t n;
    const OwnerRef *owners = object_owners(object, &n);
    for (size_t i = 0; i < n; i++)
        if (streq(owners[i].uid, owner_uid))
            return &owners[i];
    return NULL;
}

/* An owner in foreground deletion: waits for the dependents that block it, then lets go of its finalizer. */
static int wait_for_dependents(Collector *all, Arena *arena, const Item *item, const Object *live) {
    Object **dependents;
    size_t n = gc_graph_dependents(all->graph, item->uid, &dependents), n_blocking = 0;
    for (size_t i = 0; i < n; i++) {
        const OwnerRef *ref = owner_ref_of(dependents[i], item->uid);
        if (ref && ref->block_owner_deletion) {
            n_blocking++;
            if (!gc_is_deleting_dependents(dependents[i]))
                enqueue(all, all->to_delete, dependents[i]);
        }
        object_unref(dependents[i]);
    }
    free(dependents);
    return n_blocking > 0 ? 0 : remove_finalizer(all, arena, item, live, "foregroundDeletion");
}

/* A dependent of this item is itself in foreground deletion: they would wait for each other, so this one stops
 * blocking. */
static int unblock_cycle(Collector *all, Arena *arena, const Item *item, const Object *live) {
    Object **dependents;
    size_t n = gc_graph_dependents(all->graph, item->uid, &dependents), n_owners;
    bool cycle = false;
    for (size_t i = 0; i < n; i++) {
        cycle |= gc_is_deleting_dependents(dependents[i]);
        object_unref(dependents[i]);
    }
    free(dependents);
    if (!cycle)
        return 0;
    const OwnerRef *owners = object_owners(live, &n_owners);
    Value *metadata, *patch = patch_for_uid(arena, item->uid, &metadata);
    for (size_t i = 0; i < n_owners; i++) {
        if (!owners[i].block_owner_deletion)
            continue;
        Value *ref = value_object(arena);
        value_set_str(arena, ref, "uid", owners[i].uid);
        value_set_bool(arena, ref, "blockOwnerDeletion", false);
        value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), ref);
    }
    return value_get(metadata, "ownerReferences") ? patch_item(all, item, PATCH_STRATEGIC, patch) : 0;
}

static const char *own_policy(const Object *live) {
    if (!object_has_finalizers(live))
        return "Background";
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *value = object_value(live, arena);
    return has_finalizer(value, "orphan")               ? "Orphan"
           : has_finalizer(value, "foregroundDeletion") ? "Foreground"
                                                        : "Background";
}

static size_t count_dependents(Collector *all, const char *uid) {
    Object **dependents;
    size_t n = gc_graph_dependents(all->graph, uid, &dependents);
    for (size_t i = 0; i < n; i++)
        object_unref(dependents[i]);
    free(dependents);
    return n;
}

static int judge_by_owners(Collector *all, Arena *arena, const Item *item, const Object *live) {
    size_t n, n_solid = 0, n_waiting = 0, n_dangling = 0;
    const OwnerRef *owners = object_owners(live, &n);
    Value *metadata, *patch = patch_for_uid(arena, item->uid, &metadata);
    for (size_t i = 0; i < n; i++) {
        OwnerState state;
        int r = owner_state(all, arena, item, &owners[i], &state);
        if (r < 0)
            return r;
        n_solid += state == OWNER_SOLID;
        n_waiting += state == OWNER_WAITING;
        n_dangling += state == OWNER_DANGLING;
        if (state != OWNER_SOLID)
            add_removed_owner(arena, metadata, owners[i].uid);
    }
    if (n == 0 || (n_solid > 0 && n_waiting + n_dangling == 0))
        return 0;
    if (n_solid > 0)
        return patch_item(all, item, PATCH_STRATEGIC, patch);
    if (n_waiting > 0 && count_dependents(all, item->uid) > 0) {
        int r = unblock_cycle(all, arena, item, live);
        /* The patch may have made a new revision: the next try reads it. */
        return r < 0 ? r : delete_item(all, item, live, "Foreground");
    }
    return delete_item(all, item, live, own_policy(live));
}

static int attempt_to_delete(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *live = NULL;
    Collector *all = userdata;
    Item item;
    if (!item_parse(all, arena_strdup(arena, key), &item))
        return 0;
    int r = client_get(all->client, item.resource, *item.ns ? item.ns : NULL, item.name, &live, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (!streq(object_uid(live), item.uid))
        return 0;
    if (gc_is_deleting_dependents(live))
        return wait_for_dependents(all, arena, &item, live);
    return object_is_deleting(live) ? 0 : judge_by_owners(all, arena, &item, live);
}

/* ---- attempt to orphan ---- */

static int disown(Collector *all, Arena *arena, const Object *dependent, const char *owner_uid) {
    Value *metadata, *patch = patch_for_uid(arena, object_uid(dependent), &metadata);
    const char *ns = object_namespace(dependent);
    _cleanup_api_error_ ApiError err = {0};
    add_removed_owner(arena, metadata, owner_uid);
    int r = client_patch(all->client, object_resource(dependent), *ns ? ns : NULL, object_name(dependent), NULL,
                         PATCH_STRATEGIC, patch, NULL, &err);
    /* Gone, or another object of that name by now. */
    return r == -ENOENT || err.code == 409 || err.code == 422 ? 0 : r;
}

static int attempt_to_orphan(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *live = NULL;
    Collector *all = userdata;
    Object **dependents;
    Item item;
    if (!item_parse(all, arena_strdup(arena, key), &item))
        return 0;
    size_t n = gc_graph_dependents(all->graph, item.uid, &dependents);
    int result = 0;
    for (size_t i = 0; i < n; i++) {
        int r = disown(all, arena, dependents[i], item.uid);
        if (r < 0)
            result = r;
        object_unref(dependents[i]);
    }
    free(dependents);
    if (result < 0)
        return result;
    int r = client_get(all->client, item.resource, *item.ns ? item.ns : NULL, item.name, &live, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return streq(object_uid(live), item.uid) ? remove_finalizer(all, arena, &item, live, "orphan") : 0;
}

/* ---- the row ---- */

static bool is_collected(const Resource *resource) {
    uint16_t needed = VERB_LIST | VERB_WATCH | VERB_DELETE;
    return resource->storage == resource && (resource->verbs & needed) == needed && !streq(resource->plural, "events");
}

static void *init(Controller *controller) {
    Collector *all = NEW0(Collector);
    const Resource *resource;
    all->client = controller_client(controller);
    all->graph = gc_graph_new();
    all->absent = strmap_new(NULL);
    pthread_mutex_init(&all->lock, NULL);
    all->to_delete = controller_queue(controller, "gc-delete", GC_WORKERS, attempt_to_delete, all);
    all->to_orphan = controller_queue(controller, "gc-orphan", 1, attempt_to_orphan, all);
    for (size_t i = 0; (resource = resource_builtin(i)); i++) {
        if (!is_collected(resource) || all->n_informers == CONTROLLER_NEEDS_MAX)
            continue;
        size_t index = all->n_informers++;
        all->informers[index] = controller_informer_metadata(controller, resource);
        informer_add_handler(all->informers[index], &(InformerHandler){on_added, on_updated, on_deleted}, all);
    }
    return all;
}

static void free_all(void *data) {
    Collector *all = data;
    gc_graph_free(all->graph);
    strmap_free(all->absent);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

const ControllerRow controller_garbage_collector = {
    .name = "garbage-collector-controller", .init = init, .free = free_all};
