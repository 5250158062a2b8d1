/* RFC 7396. Members are looked up in a table where there are many, so that a patch from outside cannot make the work
 * quadratic. */
#include "api/codec.h"
#include "api/member_index.h"

/* The patch as it stands where the original has nothing: nulls inside objects go, those of lists too; items that are
 * null stay. */
static Value *without_nulls(Arena *arena, const Value *patch) {
    if (value_is(patch, VALUE_ARRAY)) {
        Value *list = value_array(arena);
        for (size_t i = 0; i < patch->len; i++)
            value_append(arena, list, without_nulls(arena, patch->items[i]));
        return list;
    }
    if (!value_is(patch, VALUE_OBJECT))
        return value_copy(arena, patch);
    Value *out = value_object(arena);
    VALUE_FOREACH_MEMBER (m, patch)
        if (m->value->type != VALUE_NULL)
            value_add(arena, out, arena_strdup(arena, m->name), without_nulls(arena, m->value));
    return out;
}

static Value *merge(Arena *arena, const Value *original, const Value *patch) {
    if (!value_is(original, VALUE_OBJECT))
        return without_nulls(arena, patch);
    if (!value_is(patch, VALUE_OBJECT))
        return value_copy(arena, patch);
    Value *out = value_object(arena);
    _cleanup_member_index_ MemberIndex changes = member_index_new(patch), present = member_index_new(original);
    VALUE_FOREACH_MEMBER (m, original) {
        const Value *change = member_index_get(&changes, m->name);
        if (!change)
            value_add(arena, out, arena_strdup(arena, m->name), value_copy(arena, m->value));
        else if (change->type != VALUE_NULL)
            value_add(arena, out, arena_strdup(arena, m->name), merge(arena, m->value, change));
    }
    VALUE_FOREACH_MEMBER (m, patch)
        if (m->value->type != VALUE_NULL && !member_index_get(&present, m->name))
            value_add(arena, out, arena_strdup(arena, m->name), without_nulls(arena, m->value));
    return out;
}

int merge_patch_apply(Arena *arena, const Value *original, const Value *patch, Value **ret) {
    *ret = merge(arena, original, patch);
    return 0;
}
