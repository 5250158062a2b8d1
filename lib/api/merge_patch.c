/* RFC 7396. */
#include "api/codec.h"

/* The patch as it stands where the original has nothing: nulls inside objects go. */
static Value *without_nulls(Arena *arena, const Value *patch) {
    if (!value_is(patch, VALUE_OBJECT))
        return value_copy(arena, patch);
    Value *out = value_object(arena);
    VALUE_FOREACH_MEMBER (m, patch)
        if (m->value->type != VALUE_NULL)
            value_set(arena, out, m->name, without_nulls(arena, m->value));
    return out;
}

static Value *merge(Arena *arena, const Value *original, const Value *patch) {
    if (!value_is(patch, VALUE_OBJECT) || !value_is(original, VALUE_OBJECT))
        return without_nulls(arena, patch);
    Value *out = value_object(arena);
    VALUE_FOREACH_MEMBER (m, original) {
        const Value *change = value_get(patch, m->name);
        if (!change)
            value_set(arena, out, m->name, value_copy(arena, m->value));
        else if (change->type != VALUE_NULL)
            value_set(arena, out, m->name, merge(arena, m->value, change));
    }
    VALUE_FOREACH_MEMBER (m, patch)
        if (m->value->type != VALUE_NULL && !value_get(original, m->name))
            value_set(arena, out, m->name, without_nulls(arena, m->value));
    return out;
}

int merge_patch_apply(Arena *arena, const Value *original, const Value *patch, Value **ret) {
    *ret = merge(arena, original, patch);
    return 0;
}
