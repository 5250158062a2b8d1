/* The snapshot's inside, shared by the files of this folder only. */
#pragma once

#include "base/strmap.h"
#include "scheduler/placement/placement.h"

typedef struct Resident {
    PlacementRequest *request; /* owned */
    uint32_t node;             /* slot */
    uint32_t position;         /* in the node's list */
    uint32_t terms_position;   /* in Placement.with_terms + 1; 0: not there */
} Resident;

typedef struct Node {
    Id name;
    bool present; /* false: only residents know of it */
    bool unschedulable;
    Label *labels;
    Taint *taints;
    NodeImage *images;
    uint32_t n_labels, n_taints, n_images;
    Resident **residents;
    uint32_t n_residents, cap_residents;
} Node;

struct Placement {
    Interner *names;
    Id field_name, owner_key, hostname_key, unschedulable_taint;
    /* Columns: one row a node slot. */
    Node *nodes;
    int64_t **allocatable, **used; /* [resource][slot] */
    int64_t *scored_cpu, *scored_memory;
    uint32_t n_slots, cap_slots;
    size_t n_present;
    Id *resource_names, *resource_reasons; /* "cpu" and "Insufficient cpu" */
    uint32_t n_resources;
    StrMap *by_node;     /* name -> slot + 1 */
    StrMap *by_uid;      /* uid -> Resident */
    StrMap *by_namespace; /* name -> NamespaceLabels */
    Resident **with_terms; /* residents with affinity terms of their own: they matter to newcomers */
    uint32_t n_with_terms, cap_with_terms;
    StrMap *image_nodes; /* image name -> how many nodes have it */
};

typedef struct NamespaceLabels {
    size_t n;
    Label labels[];
} NamespaceLabels;

/* A count for each (topology key, value). */
typedef struct PairCounts {
    struct PairCount {
        uint64_t pair; /* 0: free */
        int64_t count;
    } *slots;
    size_t n, cap;
    Arena *arena;
} PairCounts;
int64_t *pair_count(PairCounts *counts, Id key, Id value);             /* made when absent */
int64_t pair_count_get(const PairCounts *counts, Id key, Id value);

/* What filters work out once a request. */
typedef struct SpreadState {
    PairCounts matches; /* key is the constraint's index + 1 */
    int64_t *minimum;   /* per constraint */
    size_t *domains;
} SpreadState;

typedef struct Cycle {
    const Placement *placement;
    const PlacementRequest *request;
    Arena *arena;
    PairCounts existing_anti; /* topology pairs from which residents' anti-affinity keeps this request */
    PairCounts affinity, anti; /* residents matching the request's own terms */
    bool affinity_any, affinity_self;
    SpreadState spread;
} Cycle;

void cycle_init(Cycle *cycle, const Placement *placement, const PlacementRequest *request, Arena *arena);
/* One reason or several (insufficient resources). True: the node passes. `reject` may be NULL. */
typedef void (*reject_fn)(void *userdata, uint32_t slot, const char *reason, bool resolvable);
bool cycle_filter(const Cycle *cycle, uint32_t slot, reject_fn reject, void *userdata);
/* Scores of the feasible slots, summed with the default weights into totals (zeroed by the caller). */
void cycle_score(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *totals);

void affinity_prepare(Cycle *cycle);
const char *affinity_reject(const Cycle *cycle, uint32_t slot, bool *ret_resolvable);
void affinity_score(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *scores);
void spread_prepare(Cycle *cycle);
const char *spread_reject(const Cycle *cycle, uint32_t slot, bool *ret_resolvable);
void spread_score(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *scores);
bool node_matches_affinity(const Cycle *cycle, uint32_t slot);
bool node_label(const Placement *placement, uint32_t slot, Id key, Id *ret_value);
const Taint *node_untolerated(const Placement *placement, uint32_t slot, const PlacementRequest *request);
