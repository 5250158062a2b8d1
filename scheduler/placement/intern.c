#include "scheduler/placement/intern.h"

#include "base/strmap.h"

struct Interner {
    StrMap *ids;
    char **names; /* names[id]; names[0] is "" */
    size_t n, cap;
};

Interner *interner_new(void) {
    Interner *interner = NEW0(Interner);
    interner->ids = strmap_new(NULL);
    interner->cap = 64;
    interner->names = NEWN0(char *, interner->cap);
    interner->names[0] = xstrdup("");
    interner->n = 1;
    return interner;
}

void interner_free(Interner *interner) {
    if (!interner)
        return;
    for (size_t i = 0; i < interner->n; i++)
        free(interner->names[i]);
    free(interner->names);
    strmap_free(interner->ids);
    free(interner);
}

Id interner_find(const Interner *interner, const char *name) {
    return name ? (Id)(uintptr_t)strmap_get(interner->ids, name) : 0;
}

Id interner_add(Interner *interner, const char *name) {
    Id id = interner_find(interner, name);
    if (id || !name)
        return id;
    if (interner->n == interner->cap) {
        interner->cap *= 2;
        interner->names = xreallocn(interner->names, interner->cap, sizeof(char *));
    }
    id = (Id)interner->n++;
    interner->names[id] = xstrdup(name);
    strmap_put(interner->ids, name, (void *)(uintptr_t)id);
    return id;
}

const char *interner_name(const Interner *interner, Id id) {
    return id < interner->n ? interner->names[id] : "";
}
