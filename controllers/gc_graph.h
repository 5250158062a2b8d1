/* Who depends on whom: from an owner's uid to the objects that name it. Only objects with owners are in it, by
 * reference; whether an owner exists is asked of its informer, then of the server. Thread-safe. */
#pragma once

#include "api/object.h"

typedef struct GcGraph GcGraph;

GcGraph *gc_graph_new(void);
void gc_graph_free(GcGraph *graph);
/* `old` or `object` may be NULL (added, deleted). */
void gc_graph_change(GcGraph *graph, const Object *old, Object *object);
/* References; *ret is owned by the caller (free the array too). */
size_t gc_graph_dependents(GcGraph *graph, const char *owner_uid, Object ***ret);
size_t gc_graph_count(GcGraph *graph); /* owners known */

/* deletionTimestamp and the finalizer foregroundDeletion, or orphan. */
bool gc_is_deleting_dependents(const Object *object);
bool gc_is_orphaning(const Object *object);
