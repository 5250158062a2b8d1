/* The filters of one node, cheapest first, in the order of the reference's default profile: the first plugin that
 * rejects gives the reason. */
#include "scheduler/placement/internal.h"

void cycle_init(Cycle *cycle, const Placement *placement, const PlacementRequest *request, Arena *arena) {
    *cycle = (Cycle){.placement = placement, .request = request, .arena = arena};
    cycle->existing_anti.arena = cycle->affinity.arena = cycle->anti.arena = cycle->spread.matches.arena = arena;
    affinity_prepare(cycle);
    spread_prepare(cycle);
}

static bool ports_conflict(const HostPort *a, const HostPort *b) {
    return a->port == b->port && a->protocol == b->protocol && (a->ip == b->ip || !a->ip || !b->ip);
}

static bool ports_free(const Cycle *cycle, uint32_t slot) {
    const Node *node = &cycle->placement->nodes[slot];
    const PlacementRequest *request = cycle->request;
    for (size_t i = 0; i < request->n_ports; i++)
        for (uint32_t j = 0; j < node->n_residents; j++) {
            const PlacementRequest *other = node->residents[j]->request;
            for (size_t k = 0; k < other->n_ports; k++)
                if (ports_conflict(&request->ports[i], &other->ports[k]))
                    return false;
        }
    return true;
}

static bool resources_fit(const Cycle *cycle, uint32_t slot, reject_fn reject, void *userdata) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    bool fits = true;
    if (p->used[RESOURCE_PODS][slot] + 1 > p->allocatable[RESOURCE_PODS][slot]) {
        fits = false;
        if (reject)
            reject(userdata, slot, interner_name(p->names, p->resource_reasons[RESOURCE_PODS]), true);
    }
    for (size_t i = 0; i < request->n_resources; i++) {
        uint32_t r = request->resources[i].resource;
        int64_t amount = request->resources[i].amount, total = p->allocatable[r][slot];
        if (amount == 0 || amount <= total - p->used[r][slot])
            continue;
        fits = false;
        if (reject)
            reject(userdata, slot, interner_name(p->names, p->resource_reasons[r]), amount <= total);
    }
    return fits;
}

static const char *cheap_reject(const Cycle *cycle, uint32_t slot, bool *ret_resolvable) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    const Node *node = &p->nodes[slot];
    *ret_resolvable = false;
    if (node->unschedulable) {
        Taint taint = {.key = p->unschedulable_taint, .effect = TAINT_NO_SCHEDULE};
        if (!taint_tolerated(&taint, request->tolerations, request->n_tolerations))
            return "node(s) were unschedulable";
    }
    if (request->node_name && request->node_name != node->name)
        return "node(s) didn't match the requested node name";
    if (node_untolerated(p, slot, request))
        return "node(s) had untolerated taint(s)";
    if (!node_matches_affinity(cycle, slot))
        return "node(s) didn't match Pod's node affinity/selector";
    *ret_resolvable = true;
    return ports_free(cycle, slot) ? NULL : "node(s) didn't have free ports for the requested pod ports";
}

bool cycle_filter(const Cycle *cycle, uint32_t slot, reject_fn reject, void *userdata) {
    bool resolvable = true;
    const char *reason = cheap_reject(cycle, slot, &resolvable);
    if (!reason) {
        if (!resources_fit(cycle, slot, reject, userdata))
            return false;
        reason = spread_reject(cycle, slot, &resolvable);
        if (!reason)
            reason = affinity_reject(cycle, slot, &resolvable);
    }
    if (reason && reject)
        reject(userdata, slot, reason, resolvable);
    return !reason;
}
