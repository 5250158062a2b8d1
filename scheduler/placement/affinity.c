/* Pod affinity and anti-affinity (the reference's InterPodAffinity): residents are counted by topology pair once a
 * request, then each node is a look-up. */
#include "scheduler/placement/internal.h"

static bool namespace_matches(const Placement *p, const AffinityTerm *term, Id ns) {
    for (size_t i = 0; i < term->n_namespaces; i++)
        if (term->namespaces[i] == ns)
            return true;
    if (!term->has_namespace_selector)
        return false;
    const NamespaceLabels *labels = strmap_get(p->by_namespace, interner_name(p->names, ns));
    LabelSet set = {labels ? labels->labels : NULL, labels ? labels->n : 0};
    return requirements_match(&term->namespace_selector, &set, p->names);
}

static bool term_matches(const Placement *p, const AffinityTerm *term, const PlacementRequest *other) {
    return namespace_matches(p, term, other->ns) && requirements_match(&term->selector, &other->labels, p->names);
}

static bool all_terms_match(const Placement *p, const AffinityTerms *terms, const PlacementRequest *other) {
    for (size_t i = 0; i < terms->n; i++)
        if (!term_matches(p, &terms->items[i], other))
            return false;
    return terms->n > 0;
}

static void count_at(const Placement *p, PairCounts *counts, uint32_t slot, Id key, int64_t by) {
    Id value;
    if (p->nodes[slot].present && node_label(p, slot, key, &value))
        *pair_count(counts, key, value) += by;
}

static void count_own_terms(Cycle *cycle, const Resident *resident) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    if (all_terms_match(p, &request->affinity, resident->request)) {
        for (size_t t = 0; t < request->affinity.n; t++)
            count_at(p, &cycle->affinity, resident->node, request->affinity.items[t].topology_key, 1);
        cycle->affinity_any = true;
    }
    for (size_t t = 0; t < request->anti_affinity.n; t++)
        if (term_matches(p, &request->anti_affinity.items[t], resident->request))
            count_at(p, &cycle->anti, resident->node, request->anti_affinity.items[t].topology_key, 1);
}

void affinity_prepare(Cycle *cycle) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    for (uint32_t i = 0; i < p->n_with_terms; i++) {
        const Resident *resident = p->with_terms[i];
        const AffinityTerms *terms = &resident->request->anti_affinity;
        for (size_t t = 0; t < terms->n; t++)
            if (term_matches(p, &terms->items[t], request))
                count_at(p, &cycle->existing_anti, resident->node, terms->items[t].topology_key, 1);
    }
    if (request->affinity.n == 0 && request->anti_affinity.n == 0)
        return;
    for (uint32_t slot = 0; slot < p->n_slots; slot++)
        for (uint32_t i = 0; p->nodes[slot].present && i < p->nodes[slot].n_residents; i++)
            count_own_terms(cycle, p->nodes[slot].residents[i]);
    cycle->affinity_self = all_terms_match(p, &request->affinity, request);
}

static bool affinity_satisfied(const Cycle *cycle, uint32_t slot) {
    const AffinityTerms *terms = &cycle->request->affinity;
    bool matched = true;
    for (size_t t = 0; t < terms->n; t++) {
        Id value, key = terms->items[t].topology_key;
        if (!node_label(cycle->placement, slot, key, &value))
            return false;
        matched = matched && pair_count_get(&cycle->affinity, key, value) > 0;
    }
    /* The first of a group that only wants its own kind near it may go anywhere. */
    return matched || (cycle->affinity.n == 0 && cycle->affinity_self);
}

const char *affinity_reject(const Cycle *cycle, uint32_t slot, bool *ret_resolvable) {
    const Placement *p = cycle->placement;
    const AffinityTerms *anti = &cycle->request->anti_affinity;
    if (cycle->request->affinity.n && !affinity_satisfied(cycle, slot)) {
        *ret_resolvable = false;
        return "node(s) didn't match pod affinity rules";
    }
    *ret_resolvable = true;
    for (size_t t = 0; t < anti->n; t++) {
        Id value;
        if (node_label(p, slot, anti->items[t].topology_key, &value) &&
            pair_count_get(&cycle->anti, anti->items[t].topology_key, value) > 0)
            return "node(s) didn't match pod anti-affinity rules";
    }
    for (uint32_t i = 0; cycle->existing_anti.n && i < p->nodes[slot].n_labels; i++) {
        const Label *label = &p->nodes[slot].labels[i];
        if (pair_count_get(&cycle->existing_anti, label->key, label->value) > 0)
            return "node(s) didn't satisfy existing pods anti-affinity rules";
    }
    return NULL;
}

static void score_terms(const Placement *p, PairCounts *counts, const AffinityTerms *terms,
                        const PlacementRequest *other, uint32_t slot, int sign, int weight) {
    for (size_t t = 0; t < terms->n; t++)
        if (term_matches(p, &terms->items[t], other))
            count_at(p, counts, slot, terms->items[t].topology_key, sign * (weight ? weight : terms->items[t].weight));
}

#define HARD_AFFINITY_WEIGHT 1 /* the reference's hardPodAffinityWeight default */

static void score_resident(const Cycle *cycle, PairCounts *counts, const Resident *resident, bool own) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request, *other = resident->request;
    uint32_t slot = resident->node;
    if (own) {
        score_terms(p, counts, &request->preferred_affinity, other, slot, 1, 0);
        score_terms(p, counts, &request->preferred_anti_affinity, other, slot, -1, 0);
        return;
    }
    score_terms(p, counts, &other->affinity, request, slot, 1, HARD_AFFINITY_WEIGHT);
    score_terms(p, counts, &other->preferred_affinity, request, slot, 1, 0);
    score_terms(p, counts, &other->preferred_anti_affinity, request, slot, -1, 0);
}

void affinity_score(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *scores) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    PairCounts counts = {.arena = cycle->arena};
    for (uint32_t i = 0; i < p->n_with_terms; i++)
        score_resident(cycle, &counts, p->with_terms[i], false);
    if (request->preferred_affinity.n || request->preferred_anti_affinity.n)
        for (uint32_t slot = 0; slot < p->n_slots; slot++)
            for (uint32_t i = 0; p->nodes[slot].present && i < p->nodes[slot].n_residents; i++)
                score_resident(cycle, &counts, p->nodes[slot].residents[i], true);
    if (!counts.n)
        return;
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        const Node *node = &p->nodes[slots[i]];
        scores[i] = 0;
        for (uint32_t j = 0; j < node->n_labels; j++)
            scores[i] += pair_count_get(&counts, node->labels[j].key, node->labels[j].value);
        low = MIN(low, scores[i]);
        high = MAX(high, scores[i]);
    }
    for (size_t i = 0; i < n; i++)
        scores[i] = high > low ? 100 * (scores[i] - low) / (high - low) : 0;
}
