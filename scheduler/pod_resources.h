/* What a pod asks for in all: containers, init containers and sidecars, overhead, pod-level resources (the reference's
 * component-helpers/resource PodRequests). */
#pragma once

#include "api/value.h"
#include "scheduler/placement/snapshot.h"

/* The amounts, in `arena`, columns of `placement`. scored_*: with the defaults that scoring assumes for containers
 * without requests. */
void pod_request_amounts(Placement *placement, Arena *arena, const Value *spec, const ResourceAmount **ret,
                         size_t *ret_n, int64_t *ret_scored_cpu, int64_t *ret_scored_memory);
/* The sum of one field, "requests" (the same amounts) or "limits" (PodLimits); how many. */
size_t pod_resource_totals(Placement *placement, Arena *arena, const Value *spec, const char *field,
                           const ResourceAmount **ret);
/* Of a map of resource name to quantity: cpu in thousandths, all else in units. */
size_t resource_amounts(Placement *placement, Arena *arena, const Value *quantities, const ResourceAmount **ret);
