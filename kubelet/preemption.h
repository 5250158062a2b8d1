/* Which pods must go so that a critical pod, which the node must run, finds room: as few as will do, BestEffort pods
 * before Burstable ones before Guaranteed ones, by what they request (pkg/kubelet/preemption of the reference). Pure.
 */
#pragma once

#include "base/arena.h"
#include "kubelet/demand.h"

typedef struct Candidate {
    const PodDemand *demand; /* borrowed */
    void *userdata;
    bool chosen; /* out */
} Candidate;

typedef struct Shortage {
    const char *resource;
    int64_t amount; /* how much is missing, in the resource's unit */
} Shortage;

/* Marks those of `list` that make room for `pod`; false, nothing marked and a sentence in the arena when all of them
 * together would not. */
bool preemption_choose(Arena *arena, const PodDemand *pod, Candidate *list, size_t n, const Shortage *shortages,
                       size_t n_shortages, const char **ret_error);
