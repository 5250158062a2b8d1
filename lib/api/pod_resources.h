/* What a pod as a whole asks for: its containers together, what its init containers need at the most, its own resources
 * and its overhead (k8s.io/component-helpers/resource). */
#pragma once

#include "api/resource_list.h"

typedef struct PodResourcesOptions {
    bool use_status; /* while a resize is under way the larger of what is asked and what is given counts */
    bool overhead;   /* spec.overhead counts too */
    bool huge_pages; /* the pod's own resources may be huge pages, not only cpu and memory */
} PodResourcesOptions;

ResourceList pod_requests(Arena *arena, const Value *pod, PodResourcesOptions options);
ResourceList pod_limits(Arena *arena, const Value *pod, PodResourcesOptions options);
/* Whether the pod's own spec.resources count (cpu, memory, huge pages). */
bool pod_has_own_resources(const Value *pod);
