/* metadata.managedFields of an object whose replicas are written through its scale: what the reference's ScaleHandler
 * (k8s.io/apimachinery/pkg/util/managedfields) makes of them. The Scale that it works on has of the owners only those
 * of the replicas, and none at all where nobody owned them: nobody begins to then. */
#pragma once

#include "api/resource.h"

typedef struct ScaleWrite {
    const Resource *resource; /* at the version of the request */
    const char *manager;      /* who writes: managed_name() */
    int64_t was, now;         /* replicas; 0 counts as none */
} ScaleWrite;

/* `object` has the managedFields from before. */
void scale_fields_track(Arena *arena, const ScaleWrite *write, Value *object);
