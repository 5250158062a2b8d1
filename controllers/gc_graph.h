/* Who depends on whom: from an owner's uid to the objects that name it. Only objects with owners are in it, by
 * reference; whether an owner exists is asked of its informer, then of the server. Thread-safe. */
#pragma once

#include "api/object.h"

typedef struct GcGraph GcGraph;

GcGraph *gc_graph_new(void);
void gc_graph_free(GcGraph *graph);
/* `old` or `object` may be NULL (added, deleted). `source` says whose object it is: a number of the caller's. */
void gc_graph_change(GcGraph *graph, size_t source, const Object *old, Object *object);
typedef struct GcDependent {
    Object *object; /* a reference */
    size_t source;
} GcDependent;
typedef struct GcDependents {
    GcDependent *items;
    size_t n;
} GcDependents;
void gc_dependents_done(GcDependents *dependents);
#define _cleanup_gc_dependents_ _cleanup_(gc_dependents_done)
GcDependents gc_graph_dependents(GcGraph *graph, const char *owner_uid);
/* Drops all objects of a source; *ret are those that were in it. */
GcDependents gc_graph_forget(GcGraph *graph, size_t source);
size_t gc_graph_count(GcGraph *graph); /* owners known */

/* deletionTimestamp and the finalizer foregroundDeletion, or orphan. */
bool gc_is_deleting_dependents(const Object *object);
bool gc_is_orphaning(const Object *object);
