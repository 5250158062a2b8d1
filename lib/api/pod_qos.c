#include "api/pod_qos.h"

#include "api/quantity.h"

enum { CPU, MEMORY, KINDS };
static const char *const NAMES[KINDS] = {"cpu", "memory"};

typedef struct Sums {
    bool any, all_limited; /* something is asked for; every container limits both */
    Quantity request[KINDS], limit[KINDS];
    bool has_request[KINDS], has_limit[KINDS];
} Sums;

/* Adds an amount that is set and not zero; a bare number, as files may have it, is a quantity too. */
static bool add(const Value *list, const char *name, Quantity *sum, bool *has) {
    Quantity q;
    const Value *amount = value_get(list, name);
    if (value_is(amount, VALUE_INT))
        q = quantity_from_int(amount->integer, QUANTITY_DECIMAL_SI);
    else if (!value_str(amount) || quantity_parse(value_str(amount), &q) < 0)
        return false;
    if (quantity_sign(&q) <= 0)
        return false;
    if (*has)
        quantity_add(sum, &q);
    else
        *sum = q;
    return *has = true;
}

static void add_resources(Sums *sums, const Value *resources) {
    int limits = 0;
    for (int i = 0; i < KINDS; i++) {
        sums->any |= add(value_get(resources, "requests"), NAMES[i], &sums->request[i], &sums->has_request[i]);
        bool limited = add(value_get(resources, "limits"), NAMES[i], &sums->limit[i], &sums->has_limit[i]);
        sums->any |= limited;
        limits += limited;
    }
    sums->all_limited &= limits == KINDS;
}

const char *pod_qos(const Value *pod) {
    const Value *spec = value_get(pod, "spec"), *own = value_get(spec, "resources"), *container;
    Sums sums = {.all_limited = true};
    if (value_is(own, VALUE_OBJECT)) /* even if it asks for nothing */
        add_resources(&sums, own);
    else {
        VALUE_FOREACH (container, value_get(spec, "containers"))
            add_resources(&sums, value_get(container, "resources"));
        VALUE_FOREACH (container, value_get(spec, "initContainers"))
            add_resources(&sums, value_get(container, "resources"));
    }
    if (!sums.any)
        return "BestEffort";
    for (int i = 0; i < KINDS && sums.all_limited; i++)
        if (sums.has_request[i] != sums.has_limit[i] || quantity_compare(&sums.request[i], &sums.limit[i]) != 0)
            sums.all_limited = false;
    return sums.all_limited ? "Guaranteed" : "Burstable";
}
