#include "controllers/gc_graph.h"

#include "base/str.h"
#include "base/strmap.h"
#include "controllers/meta.h"

#include <pthread.h>

typedef struct Dependents {
    GcDependent *items;
    size_t n, cap;
} Dependents;

struct GcGraph {
    pthread_mutex_t lock;
    StrMap *by_owner;
};

static void dependents_free(void *p) {
    Dependents *dependents = p;
    for (size_t i = 0; i < dependents->n; i++)
        object_unref(dependents->items[i].object);
    free(dependents->items);
    free(dependents);
}

GcGraph *gc_graph_new(void) {
    GcGraph *graph = NEW(GcGraph);
    graph->by_owner = strmap_new(dependents_free);
    pthread_mutex_init(&graph->lock, NULL);
    return graph;
}

void gc_graph_free(GcGraph *graph) {
    if (!graph)
        return;
    strmap_free(graph->by_owner);
    pthread_mutex_destroy(&graph->lock);
    free(graph);
}

static void append(Dependents *dependents, Object *object, size_t source) {
    if (dependents->n == dependents->cap) {
        dependents->cap = MAX(dependents->cap * 2, (size_t)2);
        dependents->items = xreallocn(dependents->items, dependents->cap, sizeof(*dependents->items));
    }
    dependents->items[dependents->n++] = (GcDependent){.object = object_ref(object), .source = source};
}

static void add(GcGraph *graph, const char *owner_uid, size_t source, Object *object) {
    Dependents *dependents = strmap_get(graph->by_owner, owner_uid);
    if (!dependents) {
        dependents = NEW0(Dependents);
        strmap_put(graph->by_owner, owner_uid, dependents);
    }
    append(dependents, object, source);
}

/* By uid: after a list the caller's old object may be another instance of the same. */
static void drop(GcGraph *graph, const char *owner_uid, const char *uid) {
    Dependents *dependents = strmap_get(graph->by_owner, owner_uid);
    for (size_t i = 0; dependents && i < dependents->n; i++) {
        if (!streq(object_uid(dependents->items[i].object), uid))
            continue;
        object_unref(dependents->items[i].object);
        dependents->items[i] = dependents->items[--dependents->n];
        if (dependents->n == 0)
            strmap_remove(graph->by_owner, owner_uid);
        return;
    }
}

void gc_graph_change(GcGraph *graph, size_t source, const Object *old, Object *object) {
    size_t n_old = 0, n = 0;
    const OwnerRef *before = old ? object_owners(old, &n_old) : NULL,
                   *after = object ? object_owners(object, &n) : NULL;
    if (n_old == 0 && n == 0)
        return;
    pthread_mutex_lock(&graph->lock);
    for (size_t i = 0; i < n_old; i++)
        drop(graph, before[i].uid, object_uid(old));
    for (size_t i = 0; i < n; i++)
        add(graph, after[i].uid, source, object);
    pthread_mutex_unlock(&graph->lock);
}

void gc_dependents_done(GcDependents *dependents) {
    for (size_t i = 0; i < dependents->n; i++)
        object_unref(dependents->items[i].object);
    free(dependents->items);
    *dependents = (GcDependents){0};
}

GcDependents gc_graph_dependents(GcGraph *graph, const char *owner_uid) {
    Dependents copy = {0};
    pthread_mutex_lock(&graph->lock);
    const Dependents *dependents = strmap_get(graph->by_owner, owner_uid);
    for (size_t i = 0; dependents && i < dependents->n; i++)
        append(&copy, dependents->items[i].object, dependents->items[i].source);
    pthread_mutex_unlock(&graph->lock);
    return (GcDependents){.items = copy.items, .n = copy.n};
}

GcDependents gc_graph_forget(GcGraph *graph, size_t source) {
    Dependents found = {0};
    const char *uid;
    Dependents *dependents;
    pthread_mutex_lock(&graph->lock);
    STRMAP_FOREACH (graph->by_owner, uid, dependents)
        for (size_t i = 0; i < dependents->n; i++)
            if (dependents->items[i].source == source)
                append(&found, dependents->items[i].object, source);
    for (size_t i = 0; i < found.n; i++) {
        size_t n;
        const OwnerRef *owners = object_owners(found.items[i].object, &n);
        for (size_t k = 0; k < n; k++)
            drop(graph, owners[k].uid, object_uid(found.items[i].object));
    }
    pthread_mutex_unlock(&graph->lock);
    return (GcDependents){.items = found.items, .n = found.n};
}

size_t gc_graph_count(GcGraph *graph) {
    pthread_mutex_lock(&graph->lock);
    size_t n = strmap_size(graph->by_owner);
    pthread_mutex_unlock(&graph->lock);
    return n;
}

static bool deleting_with(const Object *object, const char *finalizer) {
    if (!object_is_deleting(object) || !object_has_finalizers(object))
        return false;
    _cleanup_arena_ Arena *arena = arena_new(0);
    return has_finalizer(object_value(object, arena), finalizer);
}

bool gc_is_deleting_dependents(const Object *object) {
    return deleting_with(object, "foregroundDeletion");
}

bool gc_is_orphaning(const Object *object) {
    return deleting_with(object, "orphan");
}
