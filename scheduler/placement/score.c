/* Scores of feasible nodes with the weights of the reference's default profile: taints 3, node affinity 2, spreading 2,
 * pod affinity 2, least allocated 1, balanced allocation 1, image locality 1. Each is 0..100 before its weight. */
#include "scheduler/placement/internal.h"

#include <math.h>

static void add_weighted(int64_t *totals, const int64_t *scores, size_t n, int64_t weight) {
    for (size_t i = 0; i < n; i++)
        totals[i] += weight * scores[i];
}

/* The reference's DefaultNormalizeScore. */
static void normalize(int64_t *scores, size_t n, bool reverse) {
    int64_t high = 0;
    for (size_t i = 0; i < n; i++)
        high = MAX(high, scores[i]);
    for (size_t i = 0; i < n; i++) {
        if (high == 0)
            scores[i] = reverse ? 100 : 0;
        else
            scores[i] = reverse ? 100 - 100 * scores[i] / high : 100 * scores[i] / high;
    }
}

static void score_taints(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *scores) {
    const PlacementRequest *request = cycle->request;
    for (size_t i = 0; i < n; i++) {
        const Node *node = &cycle->placement->nodes[slots[i]];
        scores[i] = 0;
        for (uint32_t t = 0; t < node->n_taints; t++)
            scores[i] += node->taints[t].effect == TAINT_PREFER_NO_SCHEDULE &&
                         !taint_tolerated(&node->taints[t], request->tolerations, request->n_tolerations);
    }
    normalize(scores, n, true);
}

static void score_node_affinity(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *scores) {
    const PlacementRequest *request = cycle->request;
    for (size_t i = 0; i < n; i++) {
        const Node *node = &cycle->placement->nodes[slots[i]];
        LabelSet labels = {node->labels, node->n_labels};
        scores[i] = 0;
        for (size_t t = 0; t < request->n_preferred_nodes; t++)
            if (requirements_match(&request->preferred_nodes[t].term, &labels, cycle->placement->names))
                scores[i] += request->preferred_nodes[t].weight;
    }
    normalize(scores, n, false);
}

static int64_t least_allocated(int64_t requested, int64_t capacity) {
    return capacity == 0 || requested > capacity ? 0 : (capacity - requested) * 100 / capacity;
}

static void score_resources(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *totals) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    int64_t exact_cpu = 0, exact_memory = 0;
    for (size_t i = 0; i < request->n_resources; i++) {
        exact_cpu += request->resources[i].resource == RESOURCE_CPU ? request->resources[i].amount : 0;
        exact_memory += request->resources[i].resource == RESOURCE_MEMORY ? request->resources[i].amount : 0;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = slots[i];
        int64_t cpu = p->allocatable[RESOURCE_CPU][slot], memory = p->allocatable[RESOURCE_MEMORY][slot];
        totals[i] += (least_allocated(p->scored_cpu[slot] + request->scored_cpu, cpu) +
                      least_allocated(p->scored_memory[slot] + request->scored_memory, memory)) /
                     2;
        if ((exact_cpu || exact_memory) && cpu > 0 && memory > 0) { /* the reference leaves best-effort pods out */
            double a = fmin(1, (double)(p->used[RESOURCE_CPU][slot] + exact_cpu) / (double)cpu);
            double b = fmin(1, (double)(p->used[RESOURCE_MEMORY][slot] + exact_memory) / (double)memory);
            totals[i] += (int64_t)((1 - fabs((a - b) / 2)) * 100);
        }
    }
}

#define IMAGE_MIN_BYTES (23ll * 1024 * 1024) /* imagelocality's thresholds */
#define IMAGE_MAX_CONTAINER_BYTES (1000ll * 1024 * 1024)

static void score_images(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *totals) {
    const Placement *p = cycle->placement;
    const PlacementRequest *request = cycle->request;
    if (!request->n_images || !p->n_present)
        return;
    int64_t most = IMAGE_MAX_CONTAINER_BYTES * (int64_t)request->n_images;
    for (size_t i = 0; i < n; i++) {
        const Node *node = &p->nodes[slots[i]];
        int64_t bytes = 0;
        for (size_t k = 0; k < request->n_images; k++)
            for (uint32_t j = 0; j < node->n_images; j++)
                if (node->images[j].name == request->images[k]) {
                    const char *name = interner_name(p->names, request->images[k]);
                    double part = (double)(intptr_t)strmap_get(p->image_nodes, name) / (double)p->n_present;
                    bytes += (int64_t)((double)node->images[j].size * part);
                }
        bytes = MAX(IMAGE_MIN_BYTES, MIN(bytes, most));
        totals[i] += 100 * (bytes - IMAGE_MIN_BYTES) / (most - IMAGE_MIN_BYTES);
    }
}

void cycle_score(const Cycle *cycle, const uint32_t *slots, size_t n, int64_t *totals) {
    int64_t *scores = arena_alloc0(cycle->arena, n * sizeof(int64_t));
    score_taints(cycle, slots, n, scores);
    add_weighted(totals, scores, n, 3);
    if (cycle->request->n_preferred_nodes) {
        score_node_affinity(cycle, slots, n, scores);
        add_weighted(totals, scores, n, 2);
    }
    memset(scores, 0, n * sizeof(int64_t));
    spread_score(cycle, slots, n, scores);
    add_weighted(totals, scores, n, 2);
    memset(scores, 0, n * sizeof(int64_t));
    affinity_score(cycle, slots, n, scores);
    add_weighted(totals, scores, n, 2);
    score_resources(cycle, slots, n, totals);
    score_images(cycle, slots, n, totals);
}
