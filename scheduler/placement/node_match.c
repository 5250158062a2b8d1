/* Which nodes a request may be on by what is said of the nodes alone. */
#include "scheduler/placement/internal.h"

const Taint *node_untolerated(const Placement *p, uint32_t slot, const PlacementRequest *request) {
    const Node *node = &p->nodes[slot];
    for (uint32_t i = 0; i < node->n_taints; i++)
        if (node->taints[i].effect != TAINT_PREFER_NO_SCHEDULE &&
            !taint_tolerated(&node->taints[i], request->tolerations, request->n_tolerations))
            return &node->taints[i];
    return NULL;
}

bool node_matches_affinity(const Cycle *cycle, uint32_t slot) {
    const Node *node = &cycle->placement->nodes[slot];
    const Interner *names = cycle->placement->names;
    LabelSet labels = {node->labels, node->n_labels};
    return requirements_match(&cycle->request->node_selector, &labels, names) &&
           (!cycle->request->has_node_terms || node_terms_match(&cycle->request->node_terms, &labels, names));
}
