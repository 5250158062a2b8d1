/* Preemption (the reference's DefaultPreemption): on each node where it could help, take all residents of lower
 * priority away, see whether the request fits, then put back as many as still leave it room, the most important first.
 */
#include "scheduler/placement/internal.h"

typedef struct Candidate {
    uint32_t slot;
    const char **victims; /* uids */
    size_t n;
    int32_t highest;
    int64_t priority_sum;
} Candidate;

/* More important first: higher priority, then the one that started earlier. */
static int by_importance(const void *a, const void *b) {
    const PlacementRequest *x = (*(Resident *const *)a)->request, *y = (*(Resident *const *)b)->request;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->started_ns < y->started_ns ? -1 : x->started_ns > y->started_ns;
}

/* Takes a resident off the books without freeing it; the inverse is put_back. The request's ownership is lent. */
static PlacementRequest *lift(Placement *p, Resident *resident) {
    PlacementRequest *request = resident->request;
    Arena *keep = request->arena;
    request->arena = NULL; /* so that freeing the request frees nothing */
    placement_remove_resident(p, interner_name(p->names, request->uid));
    request->arena = keep;
    return request;
}

static bool fits(Placement *p, const PlacementRequest *request, uint32_t slot) {
    _cleanup_arena_ Arena *scratch = arena_new(0);
    Cycle cycle;
    cycle_init(&cycle, p, request, scratch);
    return cycle_filter(&cycle, slot, NULL, NULL);
}

static bool try_node(Placement *p, const PlacementRequest *request, uint32_t slot, Arena *arena, Candidate *ret) {
    Node *node = &p->nodes[slot];
    const char *name = interner_name(p->names, node->name);
    Resident **lower = arena_alloc(arena, (node->n_residents + 1) * sizeof *lower);
    size_t n = 0;
    for (uint32_t i = 0; i < node->n_residents; i++)
        if (node->residents[i]->request->priority < request->priority)
            lower[n++] = node->residents[i];
    if (n == 0)
        return false;
    qsort(lower, n, sizeof *lower, by_importance);
    PlacementRequest **lifted = arena_alloc(arena, n * sizeof *lifted);
    for (size_t i = 0; i < n; i++)
        lifted[i] = lift(p, lower[i]);
    bool possible = fits(p, request, slot);
    const char **victims = arena_alloc(arena, n * sizeof *victims);
    *ret = (Candidate){.slot = slot, .highest = INT32_MIN};
    for (size_t i = 0; i < n; i++) {
        placement_add_resident(p, lifted[i], name);
        if (!possible || fits(p, request, slot))
            continue;
        lift(p, strmap_get(p->by_uid, interner_name(p->names, lifted[i]->uid)));
        victims[ret->n++] = interner_name(p->names, lifted[i]->uid);
        ret->highest = MAX(ret->highest, lifted[i]->priority);
        ret->priority_sum += (int64_t)lifted[i]->priority - INT32_MIN;
    }
    for (size_t i = 0; i < n; i++) /* victims go back too: this was a rehearsal */
        if (!strmap_get(p->by_uid, interner_name(p->names, lifted[i]->uid)))
            placement_add_resident(p, lifted[i], name);
    ret->victims = victims;
    return possible && ret->n > 0;
}

static bool better(const Candidate *a, const Candidate *b) {
    if (a->highest != b->highest)
        return a->highest < b->highest;
    if (a->priority_sum != b->priority_sum)
        return a->priority_sum < b->priority_sum;
    return a->n < b->n;
}

/* The parts of the histogram stand sorted as printed text, as the reference does. */
static char *explain(Arena *arena, const PlacementDecision *decision, size_t tried) {
    size_t hopeless = decision->n_nodes - tried;
    const char *a = tried ? arena_printf(arena, "%zu No preemption victims found for incoming pod", tried) : "";
    const char *b = hopeless ? arena_printf(arena, "%zu Preemption is not helpful for scheduling", hopeless) : "";
    bool swap = strcmp(a, b) > 0;
    return arena_printf(arena, "preemption: 0/%zu nodes are available: %s%s%s.", decision->n_nodes, swap ? b : a,
                        tried && hopeless ? ", " : "", swap ? a : b);
}

static bool worth_trying(const PlacementDecision *decision, const char *node) {
    bool seen = false;
    for (size_t i = 0; i < decision->n_rejections; i++)
        if (decision->rejections[i].node == node) { /* interned */
            seen = true;
            if (!decision->rejections[i].resolvable)
                return false;
        }
    return seen;
}

void placement_preempt(Placement *p, const PlacementRequest *request, const PlacementDecision *decision, Arena *arena,
                       PlacementPreemption *ret) {
    *ret = (PlacementPreemption){0};
    if (request->never_preempts) {
        ret->message = "preemption: not eligible due to preemptionPolicy=Never.";
        return;
    }
    Candidate best = {0};
    bool found = false;
    size_t tried = 0;
    for (uint32_t slot = 0; slot < p->n_slots; slot++) {
        Candidate candidate;
        if (!p->nodes[slot].present || !worth_trying(decision, interner_name(p->names, p->nodes[slot].name)))
            continue;
        tried++;
        if (!try_node(p, request, slot, arena, &candidate))
            continue;
        if (!found || better(&candidate, &best))
            best = candidate;
        found = true;
    }
    if (!found) {
        ret->message = explain(arena, decision, tried);
        return;
    }
    ret->node = interner_name(p->names, p->nodes[best.slot].name);
    ret->victims = best.victims;
    ret->n_victims = best.n;
}
