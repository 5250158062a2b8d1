#include "apiserver/handlers/openapi_merge.h"
#include "base/str.h"

#define NAME_ROUNDS 16 /* a chain of renamed definitions is no longer */

/* What a document refers to, by the sections of it. */
enum { DEFINITIONS, PARAMETERS, SECTIONS };
static const struct {
    const char *name, *prefix;
} sections[SECTIONS] = {{"definitions", "#/definitions/"}, {"parameters", "#/parameters/"}};

/* Of "#/definitions/NAME": the section, and the name; -1: it refers to something else. */
static int section_of(const char *ref, const char **ret_name) {
    for (int i = 0; ref && i < SECTIONS; i++)
        if (str_has_prefix(ref, sections[i].prefix)) {
            *ret_name = ref + strlen(sections[i].prefix);
            return i;
        }
    return -1;
}

/* ---- the part of a document that is wanted ---- */

/* Copies what `v` refers to from `document` to `wanted`, which has the sections. */
static void collect(Arena *arena, const Value *document, Value *wanted, const Value *v) {
    const Value *item;
    VALUE_FOREACH (item, v)
        collect(arena, document, wanted, item);
    VALUE_FOREACH_MEMBER (member, v) {
        const char *name = NULL;
        int section = section_of(streq(member->name, "$ref") ? value_str(member->value) : NULL, &name);
        if (section < 0) {
            collect(arena, document, wanted, member->value);
            continue;
        }
        const Value *meant = value_get(value_get(document, sections[section].name), name);
        Value *into = value_get(wanted, sections[section].name);
        if (meant && !value_get(into, name))
            value_set(arena, into, name, value_copy(arena, meant));
    }
}

Value *openapi_filter(Arena *arena, const Value *document, const char *prefix) {
    Value *out = value_object(arena), *paths = value_object(arena);
    VALUE_FOREACH_MEMBER (member, value_get(document, "paths"))
        if (str_has_prefix(member->name, prefix))
            value_set(arena, paths, member->name, value_copy(arena, member->value));
    if (!value_len(paths))
        return NULL;
    value_set(arena, out, "paths", paths);
    for (int i = 0; i < SECTIONS; i++)
        value_set(arena, out, sections[i].name, value_object(arena));
    collect(arena, document, out, paths);
    for (int i = SECTIONS; i-- > 0;) { /* parameters refer to definitions */
        const Value *wanted = value_get(out, sections[i].name);
        for (size_t j = 0; j < wanted->len; j++) /* grows as it is walked */
            collect(arena, document, out, wanted->members[j].value);
    }
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

/* `names`: references that change, and to what. */
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
        const char *to = ref ? value_get_str(names, ref) : NULL;
        value_set(arena, out, member->name, to ? value_string(arena, to) : renamed(arena, member->value, names));
    }
    return out;
}

/* A name under which a member of a section may stand: its own, or one that is free or says the same. */
static const char *name_for(Arena *arena, const Value *section, const char *name, const Value *member) {
    const char *candidate = name;
    for (int i = 2;; i++) {
        const Value *there = value_get(section, candidate);
        if (!there || same(there, member))
            return candidate;
        candidate = arena_printf(arena, "%s_v%d", name, i);
    }
}

/* The name that a member of the other document's section has in ours. */
static const char *name_in(Arena *arena, const Value *names, int section, const char *name) {
    const char *to = value_get_str(names, arena_printf(arena, "%s%s", sections[section].prefix, name));
    return to ? to + strlen(sections[section].prefix) : name;
}

/* Which members of the other document's section go under other names. A name depends on what a definition says, and
 * that on the names of those it refers to: looked at again until nothing changes. */
static void choose_names(Arena *arena, int section, const Value *ours, const Value *other, Value *names) {
    bool changed = true;
    for (int round = 0; changed && round < NAME_ROUNDS; round++) {
        changed = false;
        VALUE_FOREACH_MEMBER (member, other) {
            const char *before = name_in(arena, names, section, member->name);
            const char *name = name_for(arena, ours, member->name, renamed(arena, member->value, names));
            if (streq(name, before))
                continue;
            const char *prefix = sections[section].prefix;
            value_set_str(arena, names, arena_printf(arena, "%s%s", prefix, member->name),
                          streq(name, member->name) ? NULL : arena_printf(arena, "%s%s", prefix, name));
            changed = true;
        }
    }
}

void openapi_merge(Arena *arena, Value *document, const Value *other) {
    Value *paths = value_ensure_object(arena, document, "paths"), *names = value_object(arena);
    for (int i = 0; i < SECTIONS; i++)
        choose_names(arena, i, value_get(document, sections[i].name), value_get(other, sections[i].name), names);
    for (int i = 0; i < SECTIONS; i++) {
        const Value *from = value_get(other, sections[i].name);
        Value *into = value_len(from) ? value_ensure_object(arena, document, sections[i].name) : NULL;
        VALUE_FOREACH_MEMBER (member, from) {
            const char *name = name_in(arena, names, i, member->name);
            if (!value_get(into, name))
                value_set(arena, into, name, renamed(arena, member->value, names));
        }
    }
    VALUE_FOREACH_MEMBER (member, value_get(other, "paths"))
        if (!value_get(paths, member->name))
            value_set(arena, paths, member->name, renamed(arena, member->value, names));
}
