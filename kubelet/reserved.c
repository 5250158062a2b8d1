#include "kubelet/reserved.h"

#include "api/quantity.h"
#include "base/str.h"

#include <errno.h>

static const struct {
    const char *name;
    size_t offset;
    bool milli;
} resources[] = {
    {"cpu", offsetof(NodeAmounts, cpu_milli), true},
    {"memory", offsetof(NodeAmounts, memory), false},
    {"ephemeral-storage", offsetof(NodeAmounts, disk), false},
    {"pid", offsetof(NodeAmounts, pids), false},
};

static int64_t *amount_of(NodeAmounts *amounts, size_t resource) {
    return (int64_t *)(void *)((char *)amounts + resources[resource].offset);
}

static int refuse(char **ret_error, char *text) {
    *ret_error = text;
    return -EINVAL;
}

static int add_one(NodeAmounts *to, const char *name, const char *text, char **ret_error) {
    Quantity q;
    for (size_t i = 0; i < ELEMENTSOF(resources); i++) {
        if (!streq(resources[i].name, name))
            continue;
        if (quantity_parse(text, &q) < 0)
            return refuse(ret_error, xasprintf("failed to parse quantity \"%s\" for \"%s\" resource", text, name));
        if (quantity_sign(&q) < 0)
            return refuse(ret_error, xasprintf("resource quantity for \"%s\" cannot be negative: %s", name, text));
        int64_t *amount = amount_of(to, i), more = resources[i].milli ? quantity_milli_value(&q) : quantity_value(&q);
        if (__builtin_add_overflow(*amount, more, amount))
            return refuse(ret_error, xasprintf("too much of \"%s\" is reserved", name));
        return 0;
    }
    return refuse(ret_error, xasprintf("cannot reserve \"%s\" resource", name));
}

int reserved_add(NodeAmounts *to, const char *list, char **ret_error) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n = 0;
    char **pairs = list ? str_split(arena, list, ',', &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        char *value = strchr(pairs[i], '=');
        if (!value)
            return refuse(ret_error, xasprintf("\"%s\" reserves nothing; a pair is RESOURCE=QUANTITY", pairs[i]));
        *value++ = 0;
        int r = add_one(to, pairs[i], value, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

int reserved_rest(const NodeAmounts *has, const NodeAmounts *reserved, NodeAmounts *ret, char **ret_error) {
    NodeAmounts all = *has, kept = *reserved, rest;
    for (size_t i = 0; i < ELEMENTSOF(resources); i++) {
        if (*amount_of(&kept, i) > *amount_of(&all, i))
            return refuse(ret_error,
                          xasprintf("%lld%s of \"%s\" are reserved, the node has %lld%s",
                                    (long long)*amount_of(&kept, i), resources[i].milli ? "m" : "", resources[i].name,
                                    (long long)*amount_of(&all, i), resources[i].milli ? "m" : ""));
        *amount_of(&rest, i) = *amount_of(&all, i) - *amount_of(&kept, i);
    }
    *ret = rest;
    return 0;
}
