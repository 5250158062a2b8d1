#include "apiserver/filters/rbac_rules.h"
#include "apiserver/filters/rbac.h"
#include "base/str.h"

/* One action a rule allows; the empty strings stand for what is not named. */
typedef struct Atom {
    const char *verb, *group, *resource, *name, *url;
} Atom;

static Value *one(Arena *arena, const char *text) {
    Value *list = value_array(arena);
    value_append(arena, list, value_string(arena, text));
    return list;
}

static Value *rule_of(Arena *arena, const Atom *atom) {
    Value *rule = value_object(arena);
    if (atom->url)
        value_set(arena, rule, "nonResourceURLs", one(arena, atom->url));
    else {
        value_set(arena, rule, "apiGroups", one(arena, atom->group));
        value_set(arena, rule, "resources", one(arena, atom->resource));
        if (atom->name)
            value_set(arena, rule, "resourceNames", one(arena, atom->name));
    }
    value_set(arena, rule, "verbs", one(arena, atom->verb));
    return rule;
}

static bool is_covered(Arena *arena, const Value *have, const Atom *atom) {
    AuthzAttributes attributes = {.verb = atom->verb, .path = atom->url};
    if (!atom->url) {
        const char *slash = strchr(atom->resource, '/');
        attributes.is_resource = true;
        attributes.group = atom->group;
        attributes.resource =
            slash ? arena_strndup(arena, atom->resource, (size_t)(slash - atom->resource)) : atom->resource;
        attributes.subresource = slash ? slash + 1 : "";
        attributes.name = atom->name;
    }
    return rbac_rules_allow(have, &attributes);
}

static void look_at(Arena *arena, const Value *have, const Atom *atom, Value *missing) {
    if (!is_covered(arena, have, atom))
        value_append(arena, missing, rule_of(arena, atom));
}

/* Group, resource, verb and name vary in this order, as in the reference's messages. */
static void look_at_rule(Arena *arena, const Value *have, const Value *rule, Value *missing) {
    const Value *verbs = value_get(rule, "verbs"), *names = value_get(rule, "resourceNames"), *group, *resource, *verb,
                *name, *url;
    VALUE_FOREACH (group, value_get(rule, "apiGroups"))
        VALUE_FOREACH (resource, value_get(rule, "resources"))
            VALUE_FOREACH (verb, verbs) {
                Atom atom = {.verb = str_or(value_str(verb), ""),
                             .group = str_or(value_str(group), ""),
                             .resource = str_or(value_str(resource), "")};
                if (!value_len(names))
                    look_at(arena, have, &atom, missing);
                VALUE_FOREACH (name, names) {
                    atom.name = str_or(value_str(name), "");
                    look_at(arena, have, &atom, missing);
                }
            }
    VALUE_FOREACH (url, value_get(rule, "nonResourceURLs"))
        VALUE_FOREACH (verb, verbs) {
            Atom atom = {.verb = str_or(value_str(verb), ""), .url = str_or(value_str(url), "")};
            look_at(arena, have, &atom, missing);
        }
}

Value *rbac_missing_rules(Arena *arena, const Value *have, const Value *wanted) {
    Value *missing = value_array(arena);
    const Value *rule;
    VALUE_FOREACH (rule, wanted)
        look_at_rule(arena, have, rule, missing);
    return missing;
}

static bool differs_in_verbs_alone(const Value *a, const Value *b) {
    static const char *const members[] = {"apiGroups", "resources", "resourceNames", "nonResourceURLs"};
    for (size_t i = 0; i < ELEMENTSOF(members); i++) {
        const Value *x = value_get(a, members[i]), *y = value_get(b, members[i]);
        if (!x != !y || (x && !value_equal(x, y)))
            return false;
    }
    return true;
}

Value *rbac_compact_rules(Arena *arena, const Value *rules) {
    Value *out = value_array(arena);
    const Value *rule, *verb;
    Value *there;
    VALUE_FOREACH (rule, rules) {
        Value *same = NULL;
        VALUE_FOREACH (there, out)
            if (!value_get(rule, "nonResourceURLs") && differs_in_verbs_alone(rule, there))
                same = there;
        if (!same)
            value_append(arena, out, value_copy(arena, rule));
        else
            VALUE_FOREACH (verb, value_get(rule, "verbs"))
                value_append(arena, value_get(same, "verbs"), value_copy(arena, verb));
    }
    return out;
}

char *rbac_rule_text(Arena *arena, const Value *rule) {
    static const struct {
        const char *member, *word;
    } parts[] = {{"apiGroups", "APIGroups"},
                 {"resources", "Resources"},
                 {"nonResourceURLs", "NonResourceURLs"},
                 {"resourceNames", "ResourceNames"},
                 {"verbs", "Verbs"}};
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    buf_putc(&out, '{');
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        const Value *list = value_get(rule, parts[i].member);
        if (!value_len(list))
            continue;
        buf_printf(&out, "%s%s:[", out.len > 1 ? ", " : "", parts[i].word);
        for (size_t j = 0; j < value_len(list); j++)
            buf_printf(&out, "%s%s", j ? " " : "", go_quoted(arena, str_or(value_str(value_at(list, j)), "")));
        buf_putc(&out, ']');
    }
    buf_putc(&out, '}');
    return arena_strdup(arena, out.data);
}
