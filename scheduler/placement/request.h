/* What is to be placed, compiled to integers: a pod, or anything that asks for room as a pod does. Everything lives in
 * one arena that the request owns. The same structure describes what already runs on a node. Immutable once built. */
#pragma once

#include "base/arena.h"
#include "scheduler/placement/intern.h"

typedef struct Label {
    Id key, value;
} Label;

typedef struct LabelSet {
    const Label *items; /* sorted by key */
    size_t n;
} LabelSet;

typedef enum RequirementOp {
    REQUIRE_IN,
    REQUIRE_NOT_IN,
    REQUIRE_EXISTS,
    REQUIRE_NOT_EXISTS,
    REQUIRE_GT,
    REQUIRE_LT
} RequirementOp;

typedef struct Requirement {
    Id key;
    RequirementOp op;
    const Id *values;
    size_t n_values;
    int64_t number;  /* REQUIRE_GT and REQUIRE_LT */
    bool impossible; /* malformed: matches nothing */
} Requirement;

typedef struct Requirements { /* all of them */
    const Requirement *items;
    size_t n;
    bool nothing; /* an absent label selector: selects nothing */
} Requirements;

typedef struct NodeTerms { /* any of them; a term without requirements matches nothing */
    const Requirements *items;
    size_t n;
} NodeTerms;

typedef struct WeightedNodeTerm {
    int32_t weight;
    Requirements term;
} WeightedNodeTerm;

typedef enum TaintEffect { TAINT_ANY, TAINT_NO_SCHEDULE, TAINT_PREFER_NO_SCHEDULE, TAINT_NO_EXECUTE } TaintEffect;

typedef struct Taint {
    Id key, value;
    TaintEffect effect;
} Taint;

typedef struct Toleration {
    Id key; /* 0 with `exists`: every taint */
    Id value;
    bool exists;
    TaintEffect effect;
} Toleration;

typedef struct AffinityTerm {
    int32_t weight; /* preferred terms; 0 for required ones */
    Id topology_key;
    Requirements selector;
    const Id *namespaces;
    size_t n_namespaces;
    bool has_namespace_selector; /* namespaces whose labels match, besides those listed */
    Requirements namespace_selector;
} AffinityTerm;

typedef struct AffinityTerms {
    const AffinityTerm *items;
    size_t n;
} AffinityTerms;

typedef struct SpreadConstraint {
    int32_t max_skew, min_domains; /* min_domains 0: not given */
    Id topology_key;
    bool hard;       /* DoNotSchedule */
    bool by_default; /* a default constraint: nodes without the label count too */
    bool honor_affinity, honor_taints;
    Requirements selector;
} SpreadConstraint;

typedef struct ResourceAmount {
    uint32_t resource; /* column, placement_resource() */
    int64_t amount;
} ResourceAmount;

typedef struct HostPort {
    Id protocol, ip; /* ip 0: all addresses */
    uint16_t port;
} HostPort;

typedef struct PlacementRequest {
    Arena *arena;
    Id uid, ns;
    const char *ns_name, *name; /* for messages */
    LabelSet labels;
    const ResourceAmount *resources;
    size_t n_resources;
    int64_t scored_cpu, scored_memory; /* with the defaults for absent requests: 100m, 200 MiB */
    const HostPort *ports;
    size_t n_ports;
    Id node_name; /* only this node; 0: any */
    Requirements node_selector;
    bool has_node_terms;
    NodeTerms node_terms;
    const WeightedNodeTerm *preferred_nodes;
    size_t n_preferred_nodes;
    const Toleration *tolerations;
    size_t n_tolerations;
    AffinityTerms affinity, anti_affinity, preferred_affinity, preferred_anti_affinity;
    const SpreadConstraint *spreads;
    size_t n_spreads;
    const Id *images;
    size_t n_images;
    int32_t priority;
    bool never_preempts;
    int64_t started_ns; /* residents: when it started, for choosing victims */
    bool terminating;   /* residents */
} PlacementRequest;

void placement_request_free(PlacementRequest *request);
DEFINE_CLEANUP(PlacementRequest, placement_request_free)

bool label_set_get(const LabelSet *set, Id key, Id *ret_value);
/* `interner` for the numbers of Gt and Lt. */
bool requirements_match(const Requirements *requirements, const LabelSet *labels, const Interner *interner);
bool node_terms_match(const NodeTerms *terms, const LabelSet *labels, const Interner *interner);
bool taint_tolerated(const Taint *taint, const Toleration *tolerations, size_t n);
