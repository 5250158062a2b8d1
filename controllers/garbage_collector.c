/* Garbage collection by owner references, with background, foreground and orphan deletion.
 *
 * The caches only say where to look. Before anything is deleted, the object and each owner that the caches do not show
 * are read from the server, so a cache that lags can delay a deletion but never cause one. Who the dependents of an
 * object are is known from the caches alone: nothing is begun before all that discovery names is listed. */
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
#define ABSENT_OWNERS_MAX 500 /* owners known to be gone, as the reference's cache */

typedef struct Collector Collector;

/* Follows the objects of one resource, whatever its version. Never freed while the collector lives, so keys may name it
 * by its index; one whose resource is not served any more rests. */
typedef struct Monitor {
    Collector *all;
    size_t index;
    const Resource *resource; /* these three under the collector's lock */
    Informer *informer;
    bool active; /* false: rests */
} Monitor;

struct Collector {
    Client *client;
    Controller *controller;
    EventRecorder *events;
    GcGraph *graph;
    WorkQueue *to_delete, *to_orphan; /* keys: monitor/namespace/name/uid */
    pthread_mutex_t lock;
    Monitor **monitors;
    size_t n_monitors;
    StrMap *absent; /* owner_key */
};

/* ---- monitors and keys ---- */

/* Under the lock. */
static Monitor *find_monitor(Collector *all, const Resource *resource) {
    for (size_t i = 0; i < all->n_monitors; i++) {
        const Resource *row = all->monitors[i]->resource;
        if (row == resource || (streq(row->plural, resource->plural) && streq(row->group, resource->group)))
            return all->monitors[i];
    }
    return NULL;
}

/* The informer of a resource; NULL when it is not followed. */
static Informer *informer_of(Collector *all, const Resource *resource) {
    pthread_mutex_lock(&all->lock);
    const Monitor *monitor = find_monitor(all, resource);
    Informer *informer = monitor ? monitor->informer : NULL;
    pthread_mutex_unlock(&all->lock);
    return informer;
}

static void enqueue_at(size_t monitor, WorkQueue *queue, const Object *object) {
    char key[CONTROLLER_KEY_MAX + 80];
    snprintf(key, sizeof key, "%zu/%s/%s/%s", monitor, object_namespace(object), object_name(object),
             object_uid(object));
    workqueue_add(queue, key);
}

typedef struct Item {
    size_t monitor;
    const Resource *resource;
    const char *ns, *name, *uid;
    bool listed; /* all of its resource's objects are in the graph */
} Item;

/* Splits a copy of the key in place. */
static bool item_parse(Collector *all, char *key, Item *ret) {
    char *ns = strchr(key, '/'), *name = ns ? strchr(ns + 1, '/') : NULL, *uid = name ? strchr(name + 1, '/') : NULL;
    uint64_t index;
    if (!uid)
        return false;
    *ns = *name = *uid = 0;
    if (str_to_uint64(key, &index) < 0)
        return false;
    pthread_mutex_lock(&all->lock);
    const Monitor *monitor = index < all->n_monitors ? all->monitors[index] : NULL;
    bool followed = monitor && monitor->active;
    if (followed)
        *ret = (Item){.monitor = index,
                      .resource = monitor->resource,
                      .ns = ns + 1,
                      .name = name + 1,
                      .uid = uid + 1,
                      .listed = monitor->informer && informer_synced(monitor->informer)};
    pthread_mutex_unlock(&all->lock);
    return followed;
}

/* ---- events ---- */

static void enqueue_dependents(Collector *all, const char *owner_uid) {
    _cleanup_gc_dependents_ GcDependents dependents = gc_graph_dependents(all->graph, owner_uid);
    for (size_t i = 0; i < dependents.n; i++)
        enqueue_at(dependents.items[i].source, all->to_delete, dependents.items[i].object);
}

/* The row that holds the owner's kind; NULL when it is not known (any more, or yet). */
static const Resource *owner_resource(const Collector *all, const OwnerRef *ref) {
    const char *slash = strchr(ref->api_version, '/');
    Discovery *discovery = controller_discovery(all->controller);
    char group[256] = "";
    if (slash)
        snprintf(group, sizeof group, "%.*s", (int)(slash - ref->api_version), ref->api_version);
    const Resource *resource = discovery_find_kind(discovery, group, slash ? slash + 1 : ref->api_version, ref->kind);
    return resource ? discovery_preferred_of(discovery, resource) : NULL;
}

/* The owner in its cache; NULL when it is not there (or of a kind that is not known). */
static Object *cached_owner(Collector *all, const char *ns, const OwnerRef *ref, const Resource **ret_resource) {
    const Resource *resource = owner_resource(all, ref);
    Informer *informer = resource ? informer_of(all, resource) : NULL;
    *ret_resource = resource;
    if (!informer)
        return NULL;
    Object *owner = informer_lookup(informer, resource->namespaced ? ns : NULL, ref->name);
    return owner && streq(object_uid(owner), ref->uid) ? owner : object_unref(owner);
}

static void report_other_namespace(Collector *all, const Object *object, const OwnerRef *ref) {
    const char *ns = object_namespace(object);
    log_info("%s %s/%s names an owner of another namespace", object_resource(object)->plural, ns, object_name(object));
    event_record(all->events, object, NULL, "Warning", "OwnerRefInvalidNamespace",
                 "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace \"%s\"",
                 ref->api_version, ref->kind, ns, ref->name, ref->uid, ns);
}

static bool has_doubtful_owner(Collector *all, const Object *object) {
    size_t n;
    const OwnerRef *owners = object_owners(object, &n);
    const Resource *resource;
    bool doubtful = false;
    for (size_t i = 0; i < n; i++) {
        _cleanup_object_ Object *owner = cached_owner(all, object_namespace(object), &owners[i], &resource);
        if (owner && !object_is_deleting(owner))
            continue;
        doubtful = true;
        Informer *informer = resource && resource->namespaced ? informer_of(all, resource) : NULL;
        _cleanup_object_ Object *elsewhere = informer ? informer_lookup_uid(informer, owners[i].uid) : NULL;
        if (elsewhere && !streq(object_namespace(elsewhere), object_namespace(object)))
            report_other_namespace(all, object, &owners[i]);
    }
    return doubtful;
}

/* Those that came before their owner and are of another namespace. */
static void look_at_strangers(Collector *all, const Object *owner) {
    if (!*object_namespace(owner))
        return;
    _cleanup_gc_dependents_ GcDependents dependents = gc_graph_dependents(all->graph, object_uid(owner));
    for (size_t i = 0; i < dependents.n; i++) {
        size_t n;
        const Object *object = dependents.items[i].object;
        const OwnerRef *owners = object_owners(object, &n);
        if (streq(object_namespace(object), object_namespace(owner)))
            continue;
        for (size_t k = 0; k < n; k++)
            if (streq(owners[k].uid, object_uid(owner)))
                report_other_namespace(all, object, &owners[k]);
        enqueue_at(dependents.items[i].source, all->to_delete, object);
    }
}

static void look_at_deletion(const Monitor *monitor, const Object *object) {
    Collector *all = monitor->all;
    if (gc_is_orphaning(object))
        enqueue_at(monitor->index, all->to_orphan, object);
    else if (gc_is_deleting_dependents(object)) {
        enqueue_dependents(all, object_uid(object));
        enqueue_at(monitor->index, all->to_delete, object);
    }
}

static void on_added(Object *object, void *userdata) {
    const Monitor *monitor = userdata;
    Collector *all = monitor->all;
    gc_graph_change(all->graph, monitor->index, NULL, object);
    if (has_doubtful_owner(all, object))
        enqueue_at(monitor->index, all->to_delete, object);
    look_at_strangers(all, object);
    look_at_deletion(monitor, object);
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
        if (!owner || !gc_is_deleting_dependents(owner))
            continue;
        pthread_mutex_lock(&all->lock);
        const Monitor *monitor = find_monitor(all, resource);
        pthread_mutex_unlock(&all->lock);
        enqueue_at(monitor->index, all->to_delete, owner);
    }
}

static void on_deleted(Object *object, void *userdata) {
    const Monitor *monitor = userdata;
    gc_graph_change(monitor->all->graph, monitor->index, object, NULL);
    enqueue_dependents(monitor->all, object_uid(object));
    enqueue_owners(monitor->all, object);
}

static void on_updated(Object *old, Object *object, void *userdata) {
    const Monitor *monitor = userdata;
    if (!streq(object_uid(old), object_uid(object))) {
        on_deleted(old, userdata);
        on_added(object, userdata);
        return;
    }
    gc_graph_change(monitor->all->graph, monitor->index, old, object);
    if (owners_differ(old, object)) {
        has_doubtful_owner(monitor->all, object);
        enqueue_at(monitor->index, monitor->all->to_delete, object);
        enqueue_owners(monitor->all, old);
    }
    if (object_is_deleting(object))
        look_at_deletion(monitor, object);
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

/* What an owner reference leads to: the whole of it, since two may give one uid to different coordinates. -EAGAIN while
 * its kind is not served (nothing is deleted on a guess); -EINVAL for what can never be: an owner with a namespace for
 * an object without. */
static int owner_state(Collector *all, Arena *arena, const Item *item, const OwnerRef *ref, OwnerState *ret) {
    const Resource *resource = owner_resource(all, ref);
    _cleanup_object_ Object *owner = NULL;
    if (!resource) {
        log_debug("%s %s/%s: nobody serves the owner's kind, %s %s", item->resource->plural, item->ns, item->name,
                  ref->api_version, ref->kind);
        return -EAGAIN;
    }
    const char *absent_key = arena_printf(arena, "%s/%s/%s/%s/%s", resource->namespaced ? item->ns : "",
                                          ref->api_version, ref->kind, ref->name, ref->uid);
    if (known_absent(all, absent_key)) {
        *ret = OWNER_DANGLING;
        return 0;
    }
    if (resource->namespaced && !*item->ns) {
        log_info("%s %s has an owner with a namespace, %s %s", item->resource->plural, item->name, ref->kind,
                 ref->name);
        return -EINVAL;
    }
    owner = cached_owner(all, item->ns, ref, &resource);
    if (!owner) {
        int r = client_get(all->client, resource, resource->namespaced ? item->ns : NULL, ref->name, &owner, NULL);
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

/* A change of an object's owner references: `gone` (uids, NULL-terminated) are taken out; with `unblock` the others no
 * longer block. A merge by uid where the kind has one, else the whole list as it was read. */
static Value *owners_patch(Arena *arena, const Resource *resource, const Object *live, const char *const *gone,
                           bool unblock) {
    Value *metadata, *patch = patch_for_uid(arena, object_uid(live), &metadata), *refs = value_array(arena), *ref;
    VALUE_FOREACH (ref, value_path(object_value(live, arena), "metadata", "ownerReferences", NULL)) {
        const char *uid = str_or(value_get_str(ref, "uid"), "");
        bool drop = gone && str_in(uid, gone), change = unblock && value_get_bool(ref, "blockOwnerDeletion", false);
        if (!resource->discovered && !drop && !change)
            continue;
        if (resource->discovered && drop)
            continue;
        Value *out = resource->discovered ? value_copy(arena, ref) : value_object(arena);
        value_set_str(arena, out, "uid", uid);
        if (drop)
            value_set_str(arena, out, "$patch", "delete");
        else if (change)
            value_set_bool(arena, out, "blockOwnerDeletion", false);
        value_append(arena, refs, out);
    }
    value_set(arena, metadata, "ownerReferences", refs);
    if (resource->discovered)
        value_set(arena, metadata, "resourceVersion",
                  value_printf(arena, "%llu", (unsigned long long)object_revision(live)));
    return patch;
}

static int patch_owners(Collector *all, Arena *arena, const Item *item, const Object *live, const char *const *gone,
                        bool unblock) {
    Value *patch = owners_patch(arena, item->resource, live, gone, unblock);
    return patch_item(all, item, item->resource->discovered ? PATCH_MERGE : PATCH_STRATEGIC, patch);
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
    _cleanup_gc_dependents_ GcDependents dependents = gc_graph_dependents(all->graph, item->uid);
    size_t n_blocking = 0;
    for (size_t i = 0; i < dependents.n; i++) {
        const GcDependent *dependent = &dependents.items[i];
        const OwnerRef *ref = owner_ref_of(dependent->object, item->uid);
        if (!ref || !ref->block_owner_deletion)
            continue;
        n_blocking++;
        if (!gc_is_deleting_dependents(dependent->object))
            enqueue_at(dependent->source, all->to_delete, dependent->object);
    }
    return n_blocking > 0 ? 0 : remove_finalizer(all, arena, item, live, "foregroundDeletion");
}

/* A dependent of this item is itself in foreground deletion: they would wait for each other, so this one stops
 * blocking. 1: it was changed. */
static int unblock_cycle(Collector *all, Arena *arena, const Item *item, const Object *live) {
    _cleanup_gc_dependents_ GcDependents dependents = gc_graph_dependents(all->graph, item->uid);
    bool cycle = false, blocks = false;
    size_t n;
    for (size_t i = 0; i < dependents.n; i++)
        cycle |= gc_is_deleting_dependents(dependents.items[i].object);
    const OwnerRef *owners = object_owners(live, &n);
    for (size_t i = 0; i < n; i++)
        blocks |= owners[i].block_owner_deletion;
    if (!cycle || !blocks)
        return 0;
    int r = patch_owners(all, arena, item, live, NULL, true);
    return r < 0 ? r : 1;
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

static bool has_dependents(Collector *all, const char *uid) {
    _cleanup_gc_dependents_ GcDependents dependents = gc_graph_dependents(all->graph, uid);
    return dependents.n > 0;
}

static int judge_by_owners(Collector *all, Arena *arena, const Item *item, const Object *live) {
    size_t n, n_solid = 0, n_waiting = 0, n_gone = 0;
    const OwnerRef *owners = object_owners(live, &n);
    const char **gone = arena_alloc0(arena, (n + 1) * sizeof *gone);
    for (size_t i = 0; i < n; i++) {
        OwnerState state;
        int r = owner_state(all, arena, item, &owners[i], &state);
        if (r < 0)
            return r == -EINVAL ? 0 : r;
        n_solid += state == OWNER_SOLID;
        n_waiting += state == OWNER_WAITING;
        if (state != OWNER_SOLID)
            gone[n_gone++] = owners[i].uid;
    }
    if (n == 0 || (n_solid > 0 && n_gone == 0))
        return 0;
    if (n_solid > 0)
        return patch_owners(all, arena, item, live, gone, false);
    if (n_waiting > 0 && has_dependents(all, item->uid)) {
        int r = unblock_cycle(all, arena, item, live);
        /* The patch made a new revision: the next try reads it. */
        return r < 0 ? r : r > 0 ? -EAGAIN : delete_item(all, item, live, "Foreground");
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
        return item.listed ? wait_for_dependents(all, arena, &item, live) : -EAGAIN;
    return object_is_deleting(live) ? 0 : judge_by_owners(all, arena, &item, live);
}

/* ---- attempt to orphan ---- */

static int disown(Collector *all, const GcDependent *dependent, const char *owner_uid) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *live = NULL;
    _cleanup_api_error_ ApiError err = {0};
    const char *gone[] = {owner_uid, NULL};
    pthread_mutex_lock(&all->lock);
    const Resource *resource = all->monitors[dependent->source]->resource;
    pthread_mutex_unlock(&all->lock);
    const char *ns = resource->namespaced ? object_namespace(dependent->object) : NULL,
               *name = object_name(dependent->object);
    int r = resource->discovered ? client_get(all->client, resource, ns, name, &live, NULL) : 0;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (live && !streq(object_uid(live), object_uid(dependent->object)))
        return 0;
    Value *patch = owners_patch(arena, resource, live ? live : dependent->object, gone, false);
    r = client_patch(all->client, resource, ns, name, NULL, resource->discovered ? PATCH_MERGE : PATCH_STRATEGIC, patch,
                     NULL, &err);
    /* Gone, or another object of that name by now. */
    return r == -ENOENT || err.code == 422 || (err.code == 409 && !resource->discovered) ? 0 : r;
}

static int attempt_to_orphan(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *live = NULL;
    Collector *all = userdata;
    Item item;
    if (!item_parse(all, arena_strdup(arena, key), &item))
        return 0;
    if (!item.listed)
        return -EAGAIN;
    _cleanup_gc_dependents_ GcDependents dependents = gc_graph_dependents(all->graph, item.uid);
    int result = 0;
    for (size_t i = 0; i < dependents.n; i++) {
        int r = disown(all, &dependents.items[i], item.uid);
        if (r < 0)
            result = r;
    }
    if (result < 0)
        return result;
    int r = client_get(all->client, item.resource, *item.ns ? item.ns : NULL, item.name, &live, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return streq(object_uid(live), item.uid) ? remove_finalizer(all, arena, &item, live, "orphan") : 0;
}

/* ---- which resources ---- */

static bool is_collected(const Resource *resource) {
    uint16_t needed = VERB_LIST | VERB_WATCH | VERB_DELETE;
    bool event = !resource->discovered && streq(resource->plural, "events");
    return (resource->verbs & needed) == needed && !event;
}

static const InformerHandler handlers = {on_added, on_updated, on_deleted};

/* Under the lock. */
static Monitor *add_monitor(Collector *all, const Resource *resource) {
    Monitor *monitor = NEW0(Monitor);
    *monitor = (Monitor){.all = all, .index = all->n_monitors, .resource = resource};
    all->monitors = xreallocn(all->monitors, all->n_monitors + 1, sizeof *all->monitors);
    all->monitors[all->n_monitors++] = monitor;
    return monitor;
}

/* Its objects are not known any more: owners do not wait for them. */
static void rest(Monitor *monitor) {
    Collector *all = monitor->all;
    pthread_mutex_lock(&all->lock);
    Informer *informer = TAKE_PTR(monitor->informer);
    monitor->active = false;
    pthread_mutex_unlock(&all->lock);
    if (informer)
        informer_remove_handler(informer, monitor);
    _cleanup_gc_dependents_ GcDependents lost = gc_graph_forget(all->graph, monitor->index);
    for (size_t i = 0; i < lost.n; i++)
        enqueue_owners(all, lost.items[i].object);
}

static void follow(Collector *all, const Resource *resource) {
    pthread_mutex_lock(&all->lock);
    Monitor *monitor = find_monitor(all, resource);
    if (!monitor)
        monitor = add_monitor(all, resource);
    bool active = monitor->active, same = active && monitor->resource == resource;
    pthread_mutex_unlock(&all->lock);
    if (same)
        return;
    if (active)
        rest(monitor);
    pthread_mutex_lock(&all->lock);
    monitor->resource = resource;
    monitor->active = true; /* the informer's first objects may be judged before it is noted below */
    pthread_mutex_unlock(&all->lock);
    Informer *informer = controller_add_informer(all->controller, resource, &handlers, monitor);
    pthread_mutex_lock(&all->lock);
    monitor->informer = informer;
    pthread_mutex_unlock(&all->lock);
    log_debug("follows %s.%s %s", resource->plural, resource->group, resource->version);
}

static void on_discovery(Discovery *discovery, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Collector *all = userdata;
    const Resource **served = discovery_preferred(discovery, arena);
    for (size_t i = 0; served[i]; i++)
        if (served[i]->discovered && is_collected(served[i]))
            follow(all, served[i]);
    for (size_t i = 0; i < all->n_monitors; i++) {
        Monitor *monitor = all->monitors[i];
        bool found = !monitor->resource->discovered || !monitor->active;
        for (size_t k = 0; served[k] && !found; k++)
            found = served[k] == monitor->resource;
        if (!found)
            rest(monitor);
    }
}

static void *init(Controller *controller) {
    Collector *all = NEW0(Collector);
    const Resource *resource;
    all->client = controller_client(controller);
    all->controller = controller;
    all->events = controller_events(controller, "garbage-collector-controller");
    all->graph = gc_graph_new();
    all->absent = strmap_new(NULL);
    pthread_mutex_init(&all->lock, NULL);
    all->to_delete =
        controller_queue(controller, "garbage_collector_attempt_to_delete", GC_WORKERS, attempt_to_delete, all);
    all->to_orphan = controller_queue(controller, "garbage_collector_attempt_to_orphan", 1, attempt_to_orphan, all);
    for (size_t i = 0; (resource = resource_builtin(i)); i++) {
        if (resource->storage != resource || !is_collected(resource))
            continue;
        Monitor *monitor = add_monitor(all, resource);
        monitor->active = true;
        monitor->informer = controller_informer_metadata(controller, resource);
        informer_add_handler(monitor->informer, &handlers, monitor);
    }
    controller_on_discovery(controller, on_discovery, all);
    return all;
}

static void free_all(void *data) {
    Collector *all = data;
    gc_graph_free(all->graph);
    strmap_free(all->absent);
    for (size_t i = 0; i < all->n_monitors; i++)
        free(all->monitors[i]);
    free(all->monitors);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

const ControllerRow controller_garbage_collector = {
    .name = "garbage-collector-controller", .account = "generic-garbage-collector", .init = init, .free = free_all};
