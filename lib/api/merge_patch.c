/* RFC 7396. Members are looked up in a table where there are many, so that a patch from outside cannot make the work
 * quadratic. */
#include "api/codec.h"
#include "base/strmap.h"

#define LINEAR_MEMBERS_MAX 32

typedef struct Names {
    const Value *object;
    StrMap *table; /* NULL while a walk is as fast */
} Names;

static Names names_of(const Value *object) {
    Names names = {.object = object};
    if (value_len(object) <= LINEAR_MEMBERS_MAX)
        return names;
    names.table = strmap_new(NULL);
    VALUE_FOREACH_MEMBER (m, object)
        strmap_put(names.table, m->name, m->value);
    return names;
}

static const Value *names_get(const Names *names, const char *name) {
    return names->table ? strmap_get(names->table, name) : value_get(names->object, name);
}

/* The patch as it stands where the original has nothing: nulls inside objects go. */
static Value *without_nulls(Arena *arena, const Value *patch) {
    if (!value_is(patch, VALUE_OBJECT))
        return value_copy(arena, patch);
    Value *out = value_object(arena);
    VALUE_FOREACH_MEMBER (m, patch)
        if (m->value->type != VALUE_NULL)
            value_add(arena, out, arena_strdup(arena, m->name), without_nulls(arena, m->value));
    return out;
}

static Value *merge(Arena *arena, const Value *original, const Value *patch) {
    if (!value_is(patch, VALUE_OBJECT) || !value_is(original, VALUE_OBJECT))
        return without_nulls(arena, patch);
    Value *out = value_object(arena);
    Names changes = names_of(patch), present = names_of(original);
    VALUE_FOREACH_MEMBER (m, original) {
        const Value *change = names_get(&changes, m->name);
        if (!change)
            value_add(arena, out, arena_strdup(arena, m->name), value_copy(arena, m->value));
        else if (change->type != VALUE_NULL)
            value_add(arena, out, arena_strdup(arena, m->name), merge(arena, m->value, change));
    }
    VALUE_FOREACH_MEMBER (m, patch)
        if (m->value->type != VALUE_NULL && !names_get(&present, m->name))
            value_add(arena, out, arena_strdup(arena, m->name), without_nulls(arena, m->value));
    strmap_free(changes.table);
    strmap_free(present.table);
    return out;
}

int merge_patch_apply(Arena *arena, const Value *original, const Value *patch, Value **ret) {
    *ret = merge(arena, original, patch);
    return 0;
}
