/* autoscaling/v1 Scale: the view that the scale subresource gives of an object's replicas. Pure. */
#pragma once

#include "api/resource.h"
#include "api/status.h"

/* Of an object in the form of `resource`. *ret is given even when the object has no replicas, with the error (500). */
int scale_view(Arena *arena, const Resource *resource, const Value *object, Value **ret, ApiError *err);
/* Puts the replicas of a Scale into the object. */
void scale_view_apply(Arena *arena, const Resource *resource, const Value *scale, Value *object);
