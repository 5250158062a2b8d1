/* Topology spread constraints (the reference's PodTopologySpread), hard ones as a filter, soft and default ones as a
 * score. */
#include "scheduler/placement/internal.h"

#include <math.h>

static bool has_all_keys(const Cycle *cycle, uint32_t slot, bool hard) {
    for (size_t c = 0; c < cycle->request->n_spreads; c++) {
        const SpreadConstraint *s = &cycle->request->spreads[c];
        Id value;
        if (s->hard == hard && !s->by_default && !node_label(cycle->placement, slot, s->topology_key, &value))
            return false;
    }
    return true;
}

static bool included(const Cycle *cycle, uint32_t slot, const SpreadConstraint *s) {
    return (!s->honor_affinity || node_matches_affinity(cycle, slot)) &&
           (!s->honor_taints || !node_untolerated(cycle->placement, slot, cycle->request));
}

static int64_t count_matching(const Cycle *cycle, uint32_t slot, const SpreadConstraint *s) {
    const Node *node = &cycle->placement->nodes[slot];
    int64_t n = 0;
    for (uint32_t i = 0; i < node->n_residents; i++) {
        const PlacementRequest *other = node->residents[i]->request;
        n += other->ns == cycle->request->ns && !other->terminating &&
             requirements_match(&s->selector, &other->labels, cycle->placement->names);
    }
    return n;
}

void spread_prepare(Cycle *cycle) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    if (!request->n_spreads)
        return;
    cycle->spread.minimum = arena_alloc0(cycle->arena, request->n_spreads * sizeof(int64_t));
    cycle->spread.domains = arena_alloc0(cycle->arena, request->n_spreads * sizeof(size_t));
    for (size_t c = 0; c < request->n_spreads; c++) {
        const SpreadConstraint *s = &request->spreads[c];
        if (!s->hard)
            continue;
        for (uint32_t slot = 0; slot < p->n_slots; slot++) {
            Id value;
            if (p->nodes[slot].present && has_all_keys(cycle, slot, true) && included(cycle, slot, s) &&
                node_label(p, slot, s->topology_key, &value))
                *pair_count(&cycle->spread.matches, (Id)c + 1, value) += count_matching(cycle, slot, s);
        }
        cycle->spread.minimum[c] = INT64_MAX;
        for (size_t i = 0; i < cycle->spread.matches.cap; i++) {
            const struct PairCount *pair = &cycle->spread.matches.slots[i];
            if (pair->pair >> 32 == c + 1) {
                cycle->spread.domains[c]++;
                cycle->spread.minimum[c] = MIN(cycle->spread.minimum[c], pair->count);
            }
        }
    }
}

const char *spread_reject(const Cycle *cycle, uint32_t slot, bool *ret_resolvable) {
    const PlacementRequest *request = cycle->request;
    for (size_t c = 0; c < request->n_spreads; c++) {
        const SpreadConstraint *s = &request->spreads[c];
        Id value;
        if (!s->hard)
            continue;
        if (!node_label(cycle->placement, slot, s->topology_key, &value)) {
            *ret_resolvable = false;
            return "node(s) didn't match pod topology spread constraints (missing required label)";
        }
        bool too_few = s->min_domains && cycle->spread.domains[c] < (size_t)s->min_domains;
        int64_t minimum = too_few || cycle->spread.minimum[c] == INT64_MAX ? 0 : cycle->spread.minimum[c];
        bool self = requirements_match(&s->selector, &request->labels, cycle->placement->names);
        if (pair_count_get(&cycle->spread.matches, (Id)c + 1, value) + self - minimum > s->max_skew) {
            *ret_resolvable = true;
            return "node(s) didn't match pod topology spread constraints";
        }
    }
    return NULL;
}

/* Residents that match soft constraint c, by topology value, over all nodes; hostname is counted node by node. */
static size_t soft_counts(const Cycle *cycle, size_t c, const uint32_t *slots, size_t n, PairCounts *counts) {
    const Placement *p = cycle->placement;
    const SpreadConstraint *s = &cycle->request->spreads[c];
    size_t size = 0;
    Id value;
    for (size_t i = 0; i < n; i++)
        if (has_all_keys(cycle, slots[i], false)) {
            if (s->topology_key == p->hostname_key)
                size++;
            else if (node_label(p, slots[i], s->topology_key, &value))
                *pair_count(counts, 1, value) += 0;
        }
    if (s->topology_key == p->hostname_key)
        return size;
    for (uint32_t slot = 0; slot < p->n_slots; slot++)
        if (p->nodes[slot].present && included(cycle, slot, s) && node_label(p, slot, s->topology_key, &value))
            *pair_count(counts, 1, value) += count_matching(cycle, slot, s);
    return counts->n;
}

static void add_constraint(const Cycle *cycle, size_t c, const uint32_t *slots, size_t n, double *sums) {
    const SpreadConstraint *s = &cycle->request->spreads[c];
    PairCounts counts = {.arena = cycle->arena};
    double weight = log((double)(soft_counts(cycle, c, slots, n, &counts) + 2));
    for (size_t i = 0; i < n; i++) {
        Id value;
        if (!node_label(cycle->placement, slots[i], s->topology_key, &value))
            continue;
        bool by_node = s->topology_key == cycle->placement->hostname_key;
        int64_t count = by_node ? count_matching(cycle, slots[i], s) : pair_count_get(&counts, 1, value);
        sums[i] += (double)count * weight + (double)(s->max_skew - 1);
    }
}

void spread_score(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *scores) {
    bool any = false;
    double *sums = arena_alloc0(cycle->arena, n * sizeof(double));
    for (size_t c = 0; c < cycle->request->n_spreads; c++)
        if (!cycle->request->spreads[c].hard) {
            any = true;
            add_constraint(cycle, c, slots, n, sums);
        }
    if (!any)
        return;
    int64_t low = INT64_MAX, high = 0;
    for (size_t i = 0; i < n; i++)
        if (has_all_keys(cycle, slots[i], false)) {
            low = MIN(low, (int64_t)lround(sums[i]));
            high = MAX(high, (int64_t)lround(sums[i]));
        }
    for (size_t i = 0; i < n; i++) {
        if (!has_all_keys(cycle, slots[i], false))
            scores[i] = 0;
        else
            scores[i] = high == 0 ? 100 : 100 * (high + low - (int64_t)lround(sums[i])) / high;
    }
}
