/* The placement core: a pure function from a snapshot and a request to a decision, with a reason for every rejected
 * node. No I/O, no clock; its only randomness comes from the seed. Filters, scores, weights and reasons are those of
 * kube-scheduler's default profile (k8s.io/kubernetes/pkg/scheduler/framework/plugins). */
#pragma once

#include "scheduler/placement/snapshot.h"

typedef struct PlacementRejection {
    const char *node, *reason;
    bool resolvable; /* removing residents could help */
} PlacementRejection;

typedef struct PlacementReason {
    const char *text;
    size_t nodes;
} PlacementReason;

typedef struct PlacementDecision { /* everything in the arena given to placement_decide, or the snapshot's names */
    const char *node;              /* NULL: none fits */
    int64_t score;
    size_t n_nodes, n_feasible;
    const PlacementRejection *rejections;
    size_t n_rejections;
    const PlacementReason *reasons; /* the histogram of rejections, sorted as the reference prints it */
    size_t n_reasons;
} PlacementDecision;

void placement_decide(const Placement *placement, const PlacementRequest *request, uint64_t seed, Arena *arena,
                      PlacementDecision *ret);
/* "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable." */
char *placement_explain(Arena *arena, const PlacementDecision *decision);

typedef struct PlacementPreemption {
    const char *node;     /* NULL: preemption does not help */
    const char **victims; /* uids */
    size_t n_victims;
    const char *message; /* when it does not: as the reference, "preemption: 0/1 nodes are available: ..." */
} PlacementPreemption;

/* Which residents of lower priority would have to go so that the request fits: the node with the least harm. The
 * snapshot is changed while it tries and is back as it was on return. */
void placement_preempt(Placement *placement, const PlacementRequest *request, const PlacementDecision *decision,
                       Arena *arena, PlacementPreemption *ret);
