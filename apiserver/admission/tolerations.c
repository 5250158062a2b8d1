#include "apiserver/admission/tolerations.h"
#include "base/str.h"

static const char *text(const Value *t, const char *name) {
    return str_or(value_get_str(t, name), "");
}

/* Does `wide` tolerate all that `t` does? */
static bool covers(const Value *wide, const Value *t) {
    if (value_equal(wide, t))
        return true;
    const char *op = text(wide, "operator");
    if (!streq(text(t, "key"), text(wide, "key")) && (*text(wide, "key") || !streq(op, "Exists")))
        return false;
    if (!streq(text(t, "effect"), text(wide, "effect")) && *text(wide, "effect"))
        return false;
    const Value *wide_seconds = value_get(wide, "tolerationSeconds"), *seconds = value_get(t, "tolerationSeconds");
    if (streq(text(wide, "effect"), "NoExecute") && value_is(wide_seconds, VALUE_INT) &&
        (!value_is(seconds, VALUE_INT) || seconds->integer > wide_seconds->integer))
        return false;
    if (!*op || streq(op, "Equal"))
        return streq(text(t, "operator"), "Equal") && streq(text(t, "value"), text(wide, "value"));
    return streq(op, "Exists");
}

static bool is_redundant(const Value *all, size_t at, const Value *merged) {
    const Value *other, *t = value_at(all, at);
    VALUE_FOREACH (other, merged)
        if (covers(other, t))
            return true;
    for (size_t i = at + 1; i < value_len(all); i++)
        if (!value_equal(t, value_at(all, i)) && covers(value_at(all, i), t))
            return true;
    return false;
}

Value *tolerations_merge(Arena *arena, const Value *first, const Value *second) {
    Value *all = value_array(arena), *merged = value_array(arena), *t;
    VALUE_FOREACH (t, first)
        value_append(arena, all, t);
    VALUE_FOREACH (t, second)
        value_append(arena, all, t);
    for (size_t i = 0; i < value_len(all); i++)
        if (!is_redundant(all, i, merged))
            value_append(arena, merged, value_at(all, i));
    return merged;
}
