#include "scheduler/placement/request.h"

#include "base/str.h"

void placement_request_free(PlacementRequest *request) {
    if (request)
        arena_free(request->arena); /* the request itself lives there */
}

bool label_set_get(const LabelSet *set, Id key, Id *ret_value) {
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (set->items[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->n || set->items[low].key != key)
        return false;
    *ret_value = set->items[low].value;
    return true;
}

static bool id_in(Id id, const Id *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static bool requirement_match(const Requirement *r, const LabelSet *labels, const Interner *interner) {
    Id value = 0;
    bool has = label_set_get(labels, r->key, &value);
    int64_t number;
    if (r->impossible)
        return false;
    switch (r->op) {
    case REQUIRE_IN:
        return has && id_in(value, r->values, r->n_values);
    case REQUIRE_NOT_IN:
        return !has || !id_in(value, r->values, r->n_values);
    case REQUIRE_EXISTS:
        return has;
    case REQUIRE_NOT_EXISTS:
        return !has;
    case REQUIRE_GT:
    case REQUIRE_LT:
        if (!has || str_to_int64(interner_name(interner, value), &number) < 0)
            return false;
        return r->op == REQUIRE_GT ? number > r->number : number < r->number;
    }
    return false;
}

bool requirements_match(const Requirements *requirements, const LabelSet *labels, const Interner *interner) {
    if (requirements->nothing)
        return false;
    for (size_t i = 0; i < requirements->n; i++)
        if (!requirement_match(&requirements->items[i], labels, interner))
            return false;
    return true;
}

bool node_terms_match(const NodeTerms *terms, const LabelSet *labels, const Interner *interner) {
    for (size_t i = 0; i < terms->n; i++)
        if (terms->items[i].n > 0 && requirements_match(&terms->items[i], labels, interner))
            return true;
    return false;
}

bool taint_tolerated(const Taint *taint, const Toleration *tolerations, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const Toleration *t = &tolerations[i];
        if (t->effect != TAINT_ANY && t->effect != taint->effect)
            continue;
        if (t->key && t->key != taint->key)
            continue;
        if (t->exists || (t->key && t->value == taint->value))
            return true;
    }
    return false;
}
