/* metadata.managedFields of an object and of its Scale: what the ScaleHandler of the reference
 * (k8s.io/apimachinery/pkg/util/managedfields) makes of the ones for the others. The Scale has of the owners only those
 * of the replicas, and none at all where nobody owns them: nobody begins to then. */
#pragma once

#include "api/resource.h"

#define SCALE_API_VERSION "autoscaling/v1"

/* Those of the Scale of `object`; NULL: none. `resource` is at the version of the request. */
Value *scale_fields_of(Arena *arena, const Resource *resource, const Value *object);
/* Puts what a write has made of them (`entries`; NULL: none) back into the object, which has its own from before. */
void scale_fields_put(Arena *arena, const Resource *resource, const Value *entries, Value *object);
