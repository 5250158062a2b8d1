#include "kubelet/preemption.h"

#include "base/buf.h"
#include "base/str.h"

#define SENTENCE_MAX 4096

typedef struct Search {
    Arena *arena;
    Candidate *list;
    size_t n;
    const bool *eligible;
    bool *chosen; /* so far */
    const Shortage *shortages;
    size_t n_shortages;
} Search;

/* pkg/kubelet/types.Preemptable */
static bool can_preempt(const PodDemand *pod, const PodDemand *other) {
    if (pod->critical && !other->critical)
        return true;
    return pod->has_priority && other->has_priority && pod->priority > other->priority;
}

/* What is missing still when these are gone; returns how many resources. */
static size_t subtract(const Search *s, const bool *gone, Shortage *out) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_shortages; i++) {
        int64_t left = s->shortages[i].amount;
        for (size_t j = 0; j < s->n && left > 0; j++)
            if (gone[j])
                left -= MIN(demand_amount(s->list[j].demand, s->shortages[i].resource), left);
        if (left > 0)
            out[n++] = (Shortage){s->shortages[i].resource, left};
    }
    return n;
}

/* How far from what is missing its end would leave the node: each resource weighs the same. */
static double distance(const PodDemand *demand, const Shortage *missing, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double left = (double)(missing[i].amount - demand_amount(demand, missing[i].resource)),
               part = left / (double)missing[i].amount;
        sum += left > 0 ? part * part : 0;
    }
    return sum;
}

static bool asks_less(const PodDemand *a, const PodDemand *b) {
    static const char *const order[] = {"memory", "cpu"};
    for (size_t i = 0; i < ELEMENTSOF(order); i++) {
        int64_t x = demand_amount(a, order[i]), y = demand_amount(b, order[i]);
        if (x != y)
            return x < y;
    }
    return true;
}

/* Chooses of one class until nothing is missing when also the `gone` ones are. */
static bool choose_of(const Search *s, QosClass class, const bool *gone) {
    Shortage *missing = arena_alloc0(s->arena, s->n_shortages * sizeof *missing);
    bool *all = arena_alloc0(s->arena, s->n * sizeof *all);
    memcpy(all, gone, s->n * sizeof *all);
    for (size_t n; (n = subtract(s, all, missing)) > 0;) {
        size_t best = s->n;
        double best_distance = 0;
        for (size_t i = 0; i < s->n; i++) {
            if (!s->eligible[i] || all[i] || s->list[i].demand->qos != class)
                continue;
            double d = distance(s->list[i].demand, missing, n);
            if (best == s->n || d < best_distance ||
                (d <= best_distance && asks_less(s->list[i].demand, s->list[best].demand))) {
                best = i;
                best_distance = d;
            }
        }
        if (best == s->n)
            return false;
        all[best] = s->chosen[best] = true;
    }
    return true;
}

static const char *shown(Arena *arena, const Shortage *missing, size_t n) {
    _cleanup_buf_ Buf text = BUF_INIT(SENTENCE_MAX);
    buf_puts(&text, "no set of running pods found to reclaim resources: [");
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "(res: %s, q: %lld), ", missing[i].resource, (long long)missing[i].amount);
    buf_putc(&text, ']');
    return arena_strdup(arena, text.failed ? "" : text.data);
}

bool preemption_choose(Arena *arena, const PodDemand *pod, Candidate *list, size_t n, const Shortage *shortages,
                       size_t n_shortages, const char **ret_error) {
    static const QosClass dearest_first[] = {QOS_GUARANTEED, QOS_BURSTABLE, QOS_BEST_EFFORT};
    bool *eligible = arena_alloc0(arena, (n + 1) * sizeof *eligible), *chosen = arena_alloc0(arena, n + 1);
    Search s = {arena, list, n, eligible, chosen, shortages, n_shortages};
    Shortage *missing = arena_alloc0(arena, (n_shortages + 1) * sizeof *missing);
    for (size_t i = 0; i < n; i++)
        eligible[i] = can_preempt(pod, list[i].demand);
    size_t short_of = subtract(&s, eligible, missing);
    if (short_of) {
        *ret_error = shown(arena, missing, short_of);
        return false;
    }
    /* What a dear class must give is what is missing when all of the cheaper ones are gone. */
    for (size_t c = 0; c < ELEMENTSOF(dearest_first); c++) {
        bool *gone = arena_alloc0(arena, (n + 1) * sizeof *gone);
        for (size_t i = 0; i < n; i++)
            gone[i] = chosen[i] || (eligible[i] && list[i].demand->qos > dearest_first[c]);
        (void)choose_of(&s, dearest_first[c], gone); /* there is enough of all together */
    }
    for (size_t i = 0; i < n; i++)
        list[i].chosen = chosen[i];
    return true;
}
