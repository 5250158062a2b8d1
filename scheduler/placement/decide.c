#include "base/buf.h"
#include "scheduler/placement/internal.h"

#include <stdio.h>

/* In large clusters it is enough to find so many feasible nodes (the reference's percentageOfNodesToScore: adaptive).
 */
#define ALWAYS_SCORE 100
#define MIN_PERCENTAGE 5

static size_t feasible_enough(size_t nodes) {
    if (nodes < ALWAYS_SCORE)
        return nodes;
    size_t percentage = nodes / 125 < 50 - MIN_PERCENTAGE ? 50 - nodes / 125 : MIN_PERCENTAGE;
    return MAX(nodes * percentage / 100, (size_t)ALWAYS_SCORE);
}

typedef struct Rejections {
    const Placement *placement;
    Arena *arena;
    PlacementRejection *items;
    size_t n, cap;
} Rejections;

static void remember(void *userdata, uint32_t slot, const char *reason, bool resolvable) {
    Rejections *r = userdata;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        PlacementRejection *items = arena_alloc(r->arena, cap * sizeof *items);
        if (r->n)
            memcpy(items, r->items, r->n * sizeof *items);
        r->items = items;
        r->cap = cap;
    }
    r->items[r->n++] = (PlacementRejection){.node = interner_name(r->placement->names, r->placement->nodes[slot].name),
                                            .reason = reason,
                                            .resolvable = resolvable};
}

static int by_printed(const void *a, const void *b) {
    const PlacementReason *x = a, *y = b;
    char left[512], right[512];
    snprintf(left, sizeof left, "%zu %s", x->nodes, x->text);
    snprintf(right, sizeof right, "%zu %s", y->nodes, y->text);
    return strcmp(left, right);
}

static void histogram(const Rejections *rejections, Arena *arena, PlacementDecision *ret) {
    PlacementReason *reasons = arena_alloc(arena, (rejections->n + 1) * sizeof *reasons);
    size_t n = 0;
    for (size_t i = 0; i < rejections->n; i++) {
        size_t j = 0;
        while (j < n && strcmp(reasons[j].text, rejections->items[i].reason) != 0)
            j++;
        if (j == n)
            reasons[n++] = (PlacementReason){.text = rejections->items[i].reason};
        reasons[j].nodes++;
    }
    qsort(reasons, n, sizeof *reasons, by_printed);
    ret->reasons = reasons;
    ret->n_reasons = n;
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static size_t pick_best(const int64_t *totals, size_t n, uint64_t *random) {
    size_t best = 0, ties = 1;
    for (size_t i = 1; i < n; i++) {
        if (totals[i] > totals[best]) {
            best = i;
            ties = 1;
        } else if (totals[i] == totals[best] && next_random(random) % ++ties == 0)
            best = i;
    }
    return best;
}

void placement_decide(const Placement *p, const PlacementRequest *request, uint64_t seed, Arena *arena,
                      PlacementDecision *ret) {
    Cycle cycle;
    cycle_init(&cycle, p, request, arena);
    Rejections rejections = {.placement = p, .arena = arena};
    uint32_t *feasible = arena_alloc(arena, (p->n_slots + 1) * sizeof(uint32_t));
    size_t n = 0, enough = feasible_enough(p->n_present);
    uint32_t start = p->n_slots ? (uint32_t)(next_random(&seed) % p->n_slots) : 0;
    for (uint32_t i = 0; i < p->n_slots && n < enough; i++) {
        uint32_t slot = (start + i) % p->n_slots;
        if (p->nodes[slot].present && cycle_filter(&cycle, slot, remember, &rejections))
            feasible[n++] = slot;
    }
    *ret = (PlacementDecision){
        .n_nodes = p->n_present, .n_feasible = n, .rejections = rejections.items, .n_rejections = rejections.n};
    if (n == 0) {
        histogram(&rejections, arena, ret);
        return;
    }
    size_t best = 0;
    if (n > 1) {
        int64_t *totals = arena_alloc0(arena, n * sizeof(int64_t));
        cycle_score(&cycle, feasible, n, totals);
        best = pick_best(totals, n, &seed);
        ret->score = totals[best];
    }
    ret->node = interner_name(p->names, p->nodes[feasible[best]].name);
}

char *placement_explain(Arena *arena, const PlacementDecision *decision) {
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    buf_printf(&text, "0/%zu nodes are available:", decision->n_nodes);
    for (size_t i = 0; i < decision->n_reasons; i++)
        buf_printf(&text, "%s%zu %s", i ? ", " : " ", decision->reasons[i].nodes, decision->reasons[i].text);
    if (decision->n_reasons)
        buf_putc(&text, '.');
    return arena_strdup(arena, text.failed ? "0 nodes are available." : text.data);
}
