#include "apiserver/handlers/openapi_merge.h"
#include "base/str.h"

#define REF_PREFIX "#/definitions/"
#define NAME_ROUNDS 16 /* a chain of renamed definitions is no longer */

/* ---- the part of a document that is wanted ---- */

static void collect(Arena *arena, const Value *definitions, Value *wanted, const Value *v) {
    const Value *item;
    VALUE_FOREACH (item, v)
        collect(arena, definitions, wanted, item);
    VALUE_FOREACH_MEMBER (member, v) {
        const char *ref = streq(member->name, "$ref") ? value_str(member->value) : NULL;
        if (!ref || !str_has_prefix(ref, REF_PREFIX)) {
            collect(arena, definitions, wanted, member->value);
            continue;
        }
        const char *name = ref + strlen(REF_PREFIX);
        const Value *definition = value_get(definitions, name);
        if (definition && !value_get(wanted, name))
            value_set(arena, wanted, name, value_copy(arena, definition));
    }
}

Value *openapi_filter(Arena *arena, const Value *document, const char *prefix) {
    const Value *definitions = value_get(document, "definitions");
    Value *out = value_object(arena), *paths = value_object(arena), *wanted = value_object(arena);
    VALUE_FOREACH_MEMBER (member, value_get(document, "paths"))
        if (str_has_prefix(member->name, prefix))
            value_set(arena, paths, member->name, value_copy(arena, member->value));
    if (!value_len(paths))
        return NULL;
    collect(arena, definitions, wanted, paths);
    for (size_t i = 0; i < wanted->len; i++) /* grows as it is walked */
        collect(arena, definitions, wanted, wanted->members[i].value);
    value_set(arena, out, "paths", paths);
    value_set(arena, out, "definitions", wanted);
    return out;
}

/* ---- two documents in one ---- */

static bool is_text(const Member *member) {
    return streq(member->name, "description") && value_str(member->value);
}

static size_t count_members(const Value *v) {
    size_t n = 0;
    VALUE_FOREACH_MEMBER (member, v)
        n += !is_text(member);
    return n;
}

/* Do they say the same, but for what they say about it? */
static bool same(const Value *a, const Value *b) {
    if (value_is(a, VALUE_ARRAY) && value_is(b, VALUE_ARRAY)) {
        if (a->len != b->len)
            return false;
        for (size_t i = 0; i < a->len; i++)
            if (!same(a->items[i], b->items[i]))
                return false;
        return true;
    }
    if (!value_is(a, VALUE_OBJECT) || !value_is(b, VALUE_OBJECT))
        return value_equal(a, b);
    if (count_members(a) != count_members(b))
        return false;
    VALUE_FOREACH_MEMBER (member, a)
        if (!is_text(member) && !same(member->value, value_get(b, member->name)))
            return false;
    return true;
}

static Value *renamed(Arena *arena, const Value *v, const Value *names) {
    const Value *item;
    if (value_is(v, VALUE_ARRAY)) {
        Value *out = value_array(arena);
        VALUE_FOREACH (item, v)
            value_append(arena, out, renamed(arena, item, names));
        return out;
    }
    if (!value_is(v, VALUE_OBJECT))
        return value_copy(arena, v);
    Value *out = value_object(arena);
    VALUE_FOREACH_MEMBER (member, v) {
        const char *ref = streq(member->name, "$ref") ? value_str(member->value) : NULL;
        const char *to = ref && str_has_prefix(ref, REF_PREFIX) ? value_get_str(names, ref + strlen(REF_PREFIX)) : NULL;
        value_set(arena, out, member->name,
                  to ? value_printf(arena, REF_PREFIX "%s", to) : renamed(arena, member->value, names));
    }
    return out;
}

/* A name under which the definition may stand: its own, or one that is free or says the same. */
static const char *name_for(Arena *arena, const Value *definitions, const char *name, const Value *definition) {
    const char *candidate = name;
    for (int i = 2;; i++) {
        const Value *there = value_get(definitions, candidate);
        if (!there || same(there, definition))
            return candidate;
        candidate = arena_printf(arena, "%s_v%d", name, i);
    }
}

/* Which definitions of `other` go under other names. A name depends on what a definition says, and that on the names of
 * those it refers to: looked at again until nothing changes. */
static Value *choose_names(Arena *arena, const Value *definitions, const Value *other) {
    Value *names = value_object(arena);
    bool changed = true;
    for (int round = 0; changed && round < NAME_ROUNDS; round++) {
        changed = false;
        VALUE_FOREACH_MEMBER (member, other) {
            const char *before = str_or(value_get_str(names, member->name), member->name);
            const char *name = name_for(arena, definitions, member->name, renamed(arena, member->value, names));
            if (streq(name, before))
                continue;
            value_set_str(arena, names, member->name, streq(name, member->name) ? NULL : name);
            changed = true;
        }
    }
    return names;
}

void openapi_merge(Arena *arena, Value *document, const Value *other) {
    Value *paths = value_ensure_object(arena, document, "paths"),
          *definitions = value_ensure_object(arena, document, "definitions");
    const Value *names = choose_names(arena, definitions, value_get(other, "definitions"));
    VALUE_FOREACH_MEMBER (member, value_get(other, "definitions")) {
        const char *name = str_or(value_get_str(names, member->name), member->name);
        if (!value_get(definitions, name))
            value_set(arena, definitions, name, renamed(arena, member->value, names));
    }
    VALUE_FOREACH_MEMBER (member, value_get(other, "paths"))
        if (!value_get(paths, member->name))
            value_set(arena, paths, member->name, renamed(arena, member->value, names));
}
