/* Affinity, node selectors and topology spread constraints. */
#include "apiserver/registry/pod_validate.h"

#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

static const char REQUIRED[] = "requiredDuringSchedulingIgnoredDuringExecution";
static const char PREFERRED[] = "preferredDuringSchedulingIgnoredDuringExecution";

static void check_weight(FieldErrors *errors, const Value *term, const FieldPath *path) {
    int64_t weight = value_get_int(term, "weight", 0);
    FieldPath at = FIELD(path, "weight");
    if (weight <= 0 || weight > 100)
        field_invalid(errors, &at, value_int(errors->arena, weight), "must be in the range 1-100");
}

static void check_expression(FieldErrors *errors, const Value *expression, bool allow_invalid_values,
                             const FieldPath *path) {
    const char *op = text_of(expression, "operator");
    const Value *values = value_get(expression, "values");
    FieldPath values_at = FIELD(path, "values"), op_at = FIELD(path, "operator"), key = FIELD(path, "key");
    if (streq(op, "In") || streq(op, "NotIn")) {
        if (!value_len(values))
            field_required(errors, &values_at, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (streq(op, "Exists") || streq(op, "DoesNotExist")) {
        if (value_len(values))
            field_forbidden(errors, &values_at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (streq(op, "Gt") || streq(op, "Lt")) {
        if (value_len(values) != 1)
            field_required(errors, &values_at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else
        field_invalid_str(errors, &op_at, op, "not a valid selector operator");
    field_check_name(errors, &key, text_of(expression, "key"), name_qualified);
    for (size_t i = 0; !allow_invalid_values && i < value_len(values); i++) {
        FieldPath at = FIELD_INDEX(&values_at, i);
        field_check_name(errors, &at, str_or(value_str(value_at(values, i)), ""), name_label_value);
    }
}

static void check_field(FieldErrors *errors, const Value *field, const FieldPath *path) {
    const char *op = text_of(field, "operator"), *key = text_of(field, "key");
    const Value *values = value_get(field, "values");
    FieldPath values_at = FIELD(path, "values"), op_at = FIELD(path, "operator"), key_at = FIELD(path, "key");
    if (!streq(op, "In") && !streq(op, "NotIn"))
        field_invalid_str(errors, &op_at, op, "not a valid selector operator");
    else if (value_len(values) != 1)
        field_required(errors, &values_at,
                       "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    if (!streq(key, "metadata.name")) {
        field_invalid_str(errors, &key_at, key, "not a valid field selector key");
        return;
    }
    for (size_t i = 0; i < value_len(values); i++) {
        FieldPath at = FIELD_INDEX(&values_at, i);
        field_check_name(errors, &at, str_or(value_str(value_at(values, i)), ""), name_dns_subdomain);
    }
}

void node_selector_term_validate(FieldErrors *errors, const Value *term, bool allow_invalid_values,
                                 const FieldPath *path) {
    const Value *expressions = value_get(term, "matchExpressions"), *fields = value_get(term, "matchFields");
    FieldPath expressions_at = FIELD(path, "matchExpressions"), fields_at = FIELD(path, "matchFields");
    for (size_t i = 0; i < value_len(expressions); i++) {
        FieldPath at = FIELD_INDEX(&expressions_at, i);
        check_expression(errors, value_at(expressions, i), allow_invalid_values, &at);
    }
    for (size_t i = 0; i < value_len(fields); i++) {
        FieldPath at = FIELD_INDEX(&fields_at, i);
        check_field(errors, value_at(fields, i), &at);
    }
}

void node_selector_validate(FieldErrors *errors, const Value *selector, const FieldPath *path) {
    const Value *terms = value_get(selector, "nodeSelectorTerms");
    FieldPath terms_at = FIELD(path, "nodeSelectorTerms");
    if (!value_len(terms))
        field_required(errors, &terms_at, "must have at least one node selector term");
    for (size_t i = 0; i < value_len(terms); i++) {
        FieldPath at = FIELD_INDEX(&terms_at, i);
        node_selector_term_validate(errors, value_at(terms, i), false, &at);
    }
}

static void check_node_affinity(FieldErrors *errors, const Value *affinity, const FieldPath *path) {
    const Value *preferred = value_get(affinity, PREFERRED);
    FieldPath required_at = FIELD(path, REQUIRED), preferred_at = FIELD(path, PREFERRED);
    if (value_is(value_get(affinity, REQUIRED), VALUE_OBJECT))
        node_selector_validate(errors, value_get(affinity, REQUIRED), &required_at);
    for (size_t i = 0; i < value_len(preferred); i++) {
        FieldPath at = FIELD_INDEX(&preferred_at, i), preference = FIELD(&at, "preference");
        check_weight(errors, value_at(preferred, i), &at);
        node_selector_term_validate(errors, value_get(value_at(preferred, i), "preference"), true, &preference);
    }
}

static void check_label_keys(FieldErrors *errors, const Value *keys, const Value *selector, const FieldPath *path) {
    if (!value_len(keys))
        return;
    if (!value_is(selector, VALUE_OBJECT)) {
        field_forbidden(errors, path, "must not be specified when labelSelector is not set");
        return;
    }
    for (size_t i = 0; i < value_len(keys); i++) {
        FieldPath at = FIELD_INDEX(path, i);
        field_check_name(errors, &at, item_text(keys, i), name_qualified);
    }
}

/* matchLabelKeys are already merged into the selector as expressions: a key that is there twice was written there too.
 */
static void check_merged_keys(FieldErrors *errors, const Value *keys, const Value *selector, const FieldPath *path) {
    const Value *expressions = value_get(selector, "matchExpressions");
    for (size_t i = 0; i < value_len(expressions); i++) {
        const char *key = text_of(value_at(expressions, i), "key");
        for (size_t k = value_len(keys); k > 0; k--) {
            FieldPath at = FIELD_INDEX(path, k - 1);
            if (!streq(item_text(keys, k - 1), key))
                continue;
            if (value_get(value_get(selector, "matchLabels"), key) || seen_before(errors, expressions, i, "key", key))
                field_invalid_str(errors, &at, key, "exists in both matchLabelKeys and labelSelector");
            break;
        }
    }
}

static void check_key_lists(FieldErrors *errors, const Value *term, const FieldPath *path) {
    const Value *match = value_get(term, "matchLabelKeys"), *mismatch = value_get(term, "mismatchLabelKeys"),
                *selector = value_get(term, "labelSelector");
    FieldPath match_at = FIELD(path, "matchLabelKeys"), mismatch_at = FIELD(path, "mismatchLabelKeys");
    check_label_keys(errors, match, selector, &match_at);
    check_label_keys(errors, mismatch, selector, &mismatch_at);
    check_merged_keys(errors, match, selector, path);
    for (size_t i = 0; i < value_len(match); i++) {
        FieldPath at = FIELD_INDEX(&match_at, i);
        if (seen_before(errors, mismatch, value_len(mismatch), NULL, item_text(match, i)))
            field_invalid(errors, &at, value_at(match, i), "exists in both matchLabelKeys and mismatchLabelKeys");
    }
}

static void check_pod_term(FieldErrors *errors, const Value *term, const FieldPath *path) {
    const Value *namespaces = value_get(term, "namespaces"), *name;
    FieldPath selector = FIELD(path, "labelSelector"), ns_selector = FIELD(path, "namespaceSelector"),
              ns = FIELD(path, "namespace"), key = FIELD(path, "topologyKey");
    field_check_label_selector(errors, &selector, value_get(term, "labelSelector"));
    field_check_label_selector(errors, &ns_selector, value_get(term, "namespaceSelector"));
    VALUE_FOREACH (name, namespaces)
        field_check_name(errors, &ns, str_or(value_str(name), ""), name_dns_label);
    check_key_lists(errors, term, path);
    if (!*text_of(term, "topologyKey"))
        field_required(errors, &key, "can not be empty");
    field_check_name(errors, &key, text_of(term, "topologyKey"), name_qualified);
}

static void check_pod_affinity(FieldErrors *errors, const Value *affinity, const FieldPath *path) {
    const Value *required = value_get(affinity, REQUIRED), *preferred = value_get(affinity, PREFERRED);
    FieldPath required_at = FIELD(path, REQUIRED), preferred_at = FIELD(path, PREFERRED);
    for (size_t i = 0; i < value_len(required); i++) {
        FieldPath at = FIELD_INDEX(&required_at, i);
        check_pod_term(errors, value_at(required, i), &at);
    }
    for (size_t i = 0; i < value_len(preferred); i++) {
        FieldPath at = FIELD_INDEX(&preferred_at, i), term = FIELD(&at, "podAffinityTerm");
        check_weight(errors, value_at(preferred, i), &at);
        check_pod_term(errors, value_get(value_at(preferred, i), "podAffinityTerm"), &term);
    }
}

void pod_affinity_validate(FieldErrors *errors, const Value *affinity, const FieldPath *path) {
    FieldPath node = FIELD(path, "nodeAffinity"), pod = FIELD(path, "podAffinity"),
              anti = FIELD(path, "podAntiAffinity");
    check_node_affinity(errors, value_get(affinity, "nodeAffinity"), &node);
    check_pod_affinity(errors, value_get(affinity, "podAffinity"), &pod);
    check_pod_affinity(errors, value_get(affinity, "podAntiAffinity"), &anti);
}

static void check_positive(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    int64_t i = value_get_int(object, name, 0);
    if (i <= 0)
        field_invalid(errors, &at, value_int(errors->arena, i), "must be greater than zero");
}

static void check_spread(FieldErrors *errors, const Value *constraint, bool comes_again, const FieldPath *path) {
    static const char *const ACTIONS[] = {"DoNotSchedule", "ScheduleAnyway", NULL}, *const POLICIES[] = {
                                                                                        "Honor", "Ignore", NULL};
    static const char *const INCLUSION[] = {"nodeAffinityPolicy", "nodeTaintsPolicy"};
    const Value *selector = value_get(constraint, "labelSelector");
    const char *key = text_of(constraint, "topologyKey"), *action = text_of(constraint, "whenUnsatisfiable");
    FieldPath key_at = FIELD(path, "topologyKey"), action_at = FIELD(path, "whenUnsatisfiable"),
              pair_at = FIELD(path, "{topologyKey, whenUnsatisfiable}");
    FieldPath domains = FIELD(path, "minDomains"), selector_at = FIELD(path, "labelSelector");
    check_positive(errors, constraint, "maxSkew", path);
    if (!*key)
        field_required(errors, &key_at, "can not be empty");
    if (!str_in(action, ACTIONS))
        field_not_supported(errors, &action_at, value_string(errors->arena, action), ACTIONS);
    if (comes_again)
        field_duplicate(errors, &pair_at, value_printf(errors->arena, "{%s, %s}", key, action));
    if (value_get(constraint, "minDomains")) {
        check_positive(errors, constraint, "minDomains", path);
        if (!streq(action, "DoNotSchedule"))
            field_invalid(errors, &domains, value_get(constraint, "minDomains"),
                          "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %s", action);
    }
    for (size_t k = 0; k < ELEMENTSOF(INCLUSION); k++) {
        const char *policy = value_get_str(constraint, INCLUSION[k]);
        FieldPath at = FIELD(path, INCLUSION[k]);
        if (policy && !str_in(policy, POLICIES))
            field_not_supported(errors, &at, value_string(errors->arena, policy), POLICIES);
    }
    check_key_lists(errors, constraint, path);
    field_check_label_selector(errors, &selector_at, selector);
}

void pod_spread_validate(FieldErrors *errors, const Value *constraints, const FieldPath *path) {
    _cleanup_(strmap_freep) StrMap *last = strmap_new(NULL); /* of each pair of key and action */
    size_t n = value_len(constraints);
    char **pairs = arena_alloc(errors->arena, (n + 1) * sizeof *pairs);
    for (size_t i = 0; i < n; i++) {
        const Value *constraint = value_at(constraints, i);
        pairs[i] = arena_printf(errors->arena, "%s\n%s", text_of(constraint, "topologyKey"),
                                text_of(constraint, "whenUnsatisfiable"));
        strmap_put(last, pairs[i], (void *)(uintptr_t)constraint);
    }
    for (size_t i = 0; i < n; i++) {
        FieldPath at = FIELD_INDEX(path, i);
        check_spread(errors, value_at(constraints, i), strmap_get(last, pairs[i]) != value_at(constraints, i), &at);
    }
}
