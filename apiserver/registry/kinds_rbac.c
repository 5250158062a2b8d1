/* rbac.authorization.k8s.io. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/kinds.h"
#include "base/str.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

static void check_rule(FieldErrors *errors, const Value *rule, bool namespaced, const FieldPath *path) {
    const Value *urls = value_get(rule, "nonResourceURLs");
    size_t groups = value_len(value_get(rule, "apiGroups")), resources = value_len(value_get(rule, "resources"));
    FieldPath verbs_at = FIELD(path, "verbs"), urls_at = FIELD(path, "nonResourceURLs"),
              groups_at = FIELD(path, "apiGroups"), resources_at = FIELD(path, "resources");
    if (!value_len(value_get(rule, "verbs")))
        field_required(errors, &verbs_at, "verbs must contain at least one value");
    if (value_len(urls)) {
        if (namespaced)
            field_invalid(errors, &urls_at, urls, "namespaced rules cannot apply to non-resource URLs");
        if (groups || resources || value_len(value_get(rule, "resourceNames")))
            field_invalid(errors, &urls_at, urls, "rules cannot apply to both regular resources and non-resource URLs");
        return;
    }
    if (!groups)
        field_required(errors, &groups_at, "resource rules must supply at least one api group");
    if (!resources)
        field_required(errors, &resources_at, "resource rules must supply at least one resource");
}

static void role_validate(StrategyContext *context, const Value *role, FieldErrors *errors) {
    const Value *rules = value_get(role, "rules"), *aggregation = value_get(role, "aggregationRule");
    const Value *selectors = value_get(aggregation, "clusterRoleSelectors");
    FieldPath rules_at = FIELD(NULL, "rules"), aggregation_at = FIELD(NULL, "aggregationRule"),
              selectors_at = FIELD(&aggregation_at, "clusterRoleSelectors");
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath at = FIELD_INDEX(&rules_at, i);
        check_rule(errors, value_at(rules, i), context->resource->namespaced, &at);
    }
    if (!value_is(aggregation, VALUE_OBJECT))
        return;
    if (!value_len(selectors))
        field_required(errors, &selectors_at,
                       "at least one clusterRoleSelector required if aggregationRule is non-nil");
    for (size_t i = 0; i < value_len(selectors); i++) {
        FieldPath at = FIELD_INDEX(&selectors_at, i);
        field_check_label_selector(errors, &at, value_at(selectors, i));
    }
}

static void check_group(FieldErrors *errors, const Value *object, const char *group, const FieldPath *path) {
    const char *const groups[] = {group, NULL};
    FieldPath at = FIELD(path, "apiGroup");
    const char *have = text_at(object, "apiGroup");
    if (!streq(have, group))
        field_not_supported(errors, &at, value_string(errors->arena, have), groups);
}

static void check_subject(FieldErrors *errors, const Value *subject, bool namespaced, const FieldPath *path) {
    static const char *const KINDS[] = {"ServiceAccount", "User", "Group", NULL};
    const char *kind = text_at(subject, "kind"), *name = text_at(subject, "name");
    FieldPath kind_at = FIELD(path, "kind"), name_at = FIELD(path, "name"), ns_at = FIELD(path, "namespace");
    if (!*name)
        field_required(errors, &name_at, "");
    check_one_of(errors, &kind_at, kind, KINDS);
    if (streq(kind, "ServiceAccount")) {
        if (*name)
            field_check_name(errors, &name_at, name, name_dns_subdomain);
        check_group(errors, subject, "", path);
        if (!namespaced && !*text_at(subject, "namespace"))
            field_required(errors, &ns_at, "");
    } else if (streq(kind, "User") || streq(kind, "Group"))
        check_group(errors, subject, RBAC_GROUP, path);
}

static void binding_validate(StrategyContext *context, const Value *binding, FieldErrors *errors) {
    static const char *const ROLES[] = {"Role", "ClusterRole", NULL};
    const Value *role = value_get(binding, "roleRef"), *subjects = value_get(binding, "subjects");
    bool namespaced = context->resource->namespaced;
    FieldPath role_at = FIELD(NULL, "roleRef"), kind_at = FIELD(&role_at, "kind"), name_at = FIELD(&role_at, "name"),
              subjects_at = FIELD(NULL, "subjects");
    check_group(errors, role, RBAC_GROUP, &role_at);
    check_one_of(errors, &kind_at, text_at(role, "kind"), namespaced ? ROLES : ROLES + 1);
    if (!*text_at(role, "name"))
        field_required(errors, &name_at, "");
    else
        field_check_name(errors, &name_at, text_at(role, "name"), name_path_segment);
    for (size_t i = 0; i < value_len(subjects); i++) {
        FieldPath at = FIELD_INDEX(&subjects_at, i);
        check_subject(errors, value_at(subjects, i), namespaced, &at);
    }
}

/* Messages show the reference's internal struct. */
static Value *role_struct(Arena *arena, const Value *role) {
    Value *shown = value_object(arena);
    value_set_str(arena, shown, "APIGroup", text_at(role, "apiGroup"));
    value_set_str(arena, shown, "Kind", text_at(role, "kind"));
    value_set_str(arena, shown, "Name", text_at(role, "name"));
    return shown;
}

static void binding_validate_update(_unused_ StrategyContext *context, const Value *binding, const Value *old,
                                    FieldErrors *errors) {
    const Value *role = value_get(binding, "roleRef");
    FieldPath at = FIELD(NULL, "roleRef");
    if (!same_value(role, value_get(old, "roleRef")))
        field_invalid(errors, &at, role_struct(errors->arena, role), "cannot change roleRef");
}

#define ROLE(name)                                                                                                     \
    {                                                                                                                  \
        .group = RBAC_GROUP, .plural = (name), .revalidates_meta = true, .allow_create_on_update = true,               \
        .allow_unconditional_update = true, .validate_name = validate_path_segment_name, .validate = role_validate     \
    }
#define BINDING(name)                                                                                                  \
    {                                                                                                                  \
        .group = RBAC_GROUP, .plural = (name), .revalidates_meta = true, .allow_create_on_update = true,               \
        .allow_unconditional_update = true, .validate_name = validate_path_segment_name, .validate = binding_validate, \
        .validate_update = binding_validate_update                                                                     \
    }
static const Strategy ROWS[] = {ROLE("roles"), ROLE("clusterroles"), BINDING("rolebindings"),
                                BINDING("clusterrolebindings")};
const StrategyTable strategies_rbac = {ROWS, ELEMENTSOF(ROWS)};
