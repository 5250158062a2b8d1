#include "apiserver/rbac_reconcile.h"
#include "apiserver/filters/rbac_rules.h"
#include "base/str.h"

#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"

static bool is_protected(const Value *have) {
    return streq_null(value_get_str(value_path(have, "metadata", "annotations", NULL), AUTOUPDATE), "false");
}

/* Members of a map in metadata that are not there; what is there stays. */
static bool add_members(Arena *arena, const Value *wanted, Value *have, const char *map) {
    const Value *from = value_path(wanted, "metadata", map, NULL);
    bool changed = false;
    VALUE_FOREACH_MEMBER (m, from) {
        Value *to = value_ensure_object(arena, value_ensure_object(arena, have, "metadata"), map);
        if (value_get(to, m->name))
            continue;
        value_set(arena, to, m->name, value_copy(arena, m->value));
        changed = true;
    }
    return changed;
}

static bool add_meta(Arena *arena, const Value *wanted, Value *have) {
    bool changed = add_members(arena, wanted, have, "annotations");
    return add_members(arena, wanted, have, "labels") || changed;
}

static bool has_item(const Value *list, const Value *wanted) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (value_equal(item, wanted))
            return true;
    return false;
}

/* Items of a list that no item of ours equals. */
static bool add_items(Arena *arena, const Value *from, Value *object, const char *member) {
    const Value *item;
    bool changed = false;
    VALUE_FOREACH (item, from)
        if (!has_item(value_get(object, member), item)) {
            value_append(arena, value_ensure_array(arena, object, member), value_copy(arena, item));
            changed = true;
        }
    return changed;
}

static bool add_aggregation(Arena *arena, const Value *wanted, Value *have) {
    const Value *rule = value_get(wanted, "aggregationRule");
    if (!rule && !value_get(have, "aggregationRule"))
        return false;
    if (!rule) {
        value_remove(have, "aggregationRule");
        return true;
    }
    return add_items(arena, value_get(rule, "clusterRoleSelectors"),
                     value_ensure_object(arena, have, "aggregationRule"), "clusterRoleSelectors");
}

RbacChange rbac_reconcile_role(Arena *arena, const Value *wanted, Value *have) {
    bool guarded = is_protected(have), changed = add_meta(arena, wanted, have);
    const Value *missing = rbac_missing_rules(arena, value_get(have, "rules"), value_get(wanted, "rules")), *rule;
    VALUE_FOREACH (rule, missing)
        value_append(arena, value_ensure_array(arena, have, "rules"), value_copy(arena, rule));
    changed = value_len(missing) || changed;
    changed = add_aggregation(arena, wanted, have) || changed;
    return !changed ? RBAC_SAME : guarded ? RBAC_PROTECTED : RBAC_UPDATE;
}

static bool same_role(const Value *wanted, const Value *have) {
    static const char *const members[] = {"apiGroup", "kind", "name"};
    const Value *a = value_get(wanted, "roleRef"), *b = value_get(have, "roleRef");
    for (size_t i = 0; i < ELEMENTSOF(members); i++)
        if (!streq(str_or(value_get_str(a, members[i]), ""), str_or(value_get_str(b, members[i]), "")))
            return false;
    return true;
}

RbacChange rbac_reconcile_binding(Arena *arena, const Value *wanted, Value *have) {
    bool guarded = is_protected(have);
    if (!same_role(wanted, have))
        return guarded ? RBAC_PROTECTED : RBAC_RECREATE;
    bool changed = add_meta(arena, wanted, have);
    changed = add_items(arena, value_get(wanted, "subjects"), have, "subjects") || changed;
    return !changed ? RBAC_SAME : guarded ? RBAC_PROTECTED : RBAC_UPDATE;
}
