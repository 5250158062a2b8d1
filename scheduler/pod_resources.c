#include "scheduler/pod_resources.h"

#include "api/quantity.h"
#include "base/str.h"

#define SCORED_CPU_DEFAULT 100                      /* thousandths; schedutil.DefaultMilliCPURequest */
#define SCORED_MEMORY_DEFAULT (200ll * 1024 * 1024) /* schedutil.DefaultMemoryRequest */

typedef struct Amounts {
    Arena *arena;
    ResourceAmount *items;
    size_t n, cap;
} Amounts;

static int64_t *amount_of(Amounts *amounts, uint32_t resource) {
    for (size_t i = 0; i < amounts->n; i++)
        if (amounts->items[i].resource == resource)
            return &amounts->items[i].amount;
    if (amounts->n == amounts->cap) {
        size_t cap = amounts->cap ? amounts->cap * 2 : 8;
        ResourceAmount *items = arena_alloc(amounts->arena, cap * sizeof *items);
        if (amounts->n)
            memcpy(items, amounts->items, amounts->n * sizeof *items);
        amounts->items = items;
        amounts->cap = cap;
    }
    amounts->items[amounts->n] = (ResourceAmount){.resource = resource};
    return &amounts->items[amounts->n++].amount;
}

static void add_all(Amounts *to, const Amounts *from) {
    for (size_t i = 0; i < from->n; i++)
        *amount_of(to, from->items[i].resource) += from->items[i].amount;
}

static void raise_to(Amounts *to, const Amounts *from) {
    for (size_t i = 0; i < from->n; i++) {
        int64_t *amount = amount_of(to, from->items[i].resource);
        *amount = MAX(*amount, from->items[i].amount);
    }
}

static Amounts read_amounts(Placement *placement, Arena *arena, const Value *quantities) {
    Amounts amounts = {.arena = arena};
    VALUE_FOREACH_MEMBER (member, quantities) {
        const char *text = value_str(member->value);
        Quantity q;
        if (!text || quantity_parse(text, &q) < 0)
            continue;
        uint32_t resource = placement_resource(placement, member->name);
        *amount_of(&amounts, resource) = resource == RESOURCE_CPU ? quantity_milli_value(&q) : quantity_value(&q);
    }
    return amounts;
}

size_t resource_amounts(Placement *placement, Arena *arena, const Value *quantities, const ResourceAmount **ret) {
    Amounts amounts = read_amounts(placement, arena, quantities);
    *ret = amounts.items;
    return amounts.n;
}

static Amounts container_amounts(Placement *placement, Arena *arena, const Value *container, const char *field,
                                 bool scored) {
    const Value *requests = value_path(container, "resources", field, NULL);
    Amounts amounts = read_amounts(placement, arena, requests);
    if (scored && !value_get(requests, "cpu"))
        *amount_of(&amounts, RESOURCE_CPU) = SCORED_CPU_DEFAULT;
    if (scored && !value_get(requests, "memory"))
        *amount_of(&amounts, RESOURCE_MEMORY) = SCORED_MEMORY_DEFAULT;
    return amounts;
}

/* `field`: "requests" or "limits". */
static Amounts sum(Placement *placement, Arena *arena, const Value *spec, const char *field, bool scored) {
    bool of_limits = streq(field, "limits");
    Amounts total = {.arena = arena}, sidecars = {.arena = arena}, peak = {.arena = arena};
    const Value *container;
    VALUE_FOREACH (container, value_get(spec, "containers")) {
        Amounts amounts = container_amounts(placement, arena, container, field, scored);
        add_all(&total, &amounts);
    }
    VALUE_FOREACH (container, value_get(spec, "initContainers")) {
        Amounts amounts = container_amounts(placement, arena, container, field, scored);
        if (streq(str_or(value_get_str(container, "restartPolicy"), ""), "Always")) {
            add_all(&sidecars, &amounts);
            add_all(&total, &amounts);
            raise_to(&peak, &sidecars);
            continue;
        }
        add_all(&amounts, &sidecars); /* runs beside the sidecars started before it */
        raise_to(&peak, &amounts);
    }
    raise_to(&total, &peak);
    Amounts pod_level = read_amounts(placement, arena, value_path(spec, "resources", field, NULL));
    for (size_t i = 0; i < pod_level.n; i++)
        *amount_of(&total, pod_level.items[i].resource) = pod_level.items[i].amount;
    Amounts overhead = read_amounts(placement, arena, value_get(spec, "overhead"));
    for (size_t i = 0; i < overhead.n; i++) {
        int64_t *amount = amount_of(&total, overhead.items[i].resource);
        if (!of_limits || *amount) /* what has no limit gets none by it */
            *amount += overhead.items[i].amount;
    }
    return total;
}

void pod_request_amounts(Placement *placement, Arena *arena, const Value *spec, const ResourceAmount **ret,
                         size_t *ret_n, int64_t *ret_scored_cpu, int64_t *ret_scored_memory) {
    Amounts exact = sum(placement, arena, spec, "requests", false),
            scored = sum(placement, arena, spec, "requests", true);
    *ret = exact.items;
    *ret_n = exact.n;
    *ret_scored_cpu = *amount_of(&scored, RESOURCE_CPU);
    *ret_scored_memory = *amount_of(&scored, RESOURCE_MEMORY);
}

size_t pod_resource_totals(Placement *placement, Arena *arena, const Value *spec, const char *field,
                           const ResourceAmount **ret) {
    Amounts total = sum(placement, arena, spec, field, false);
    *ret = total.items;
    return total.n;
}
