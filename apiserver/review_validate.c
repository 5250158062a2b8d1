#include "apiserver/review_validate.h"
#include "api/names.h"
#include "base/str.h"

static const char *const SELECTORS[] = {"fieldSelector", "labelSelector"};
enum { OF_FIELDS, OF_LABELS };

static const char *text_of(const Value *object, const char *name) {
    return str_or(value_get_str(object, name), "");
}

/* Operators that are not known pass: who asks may be newer than this server. */
static void check_requirement(FieldErrors *errors, const Value *requirement, bool labels, const FieldPath *path) {
    const char *op = text_of(requirement, "operator"), *key = text_of(requirement, "key");
    const Value *values = value_get(requirement, "values");
    FieldPath key_at = FIELD(path, "key"), values_at = FIELD(path, "values");
    if ((streq(op, "In") || streq(op, "NotIn")) && !value_len(values))
        field_required(errors, &values_at, "must be specified when `operator` is 'In' or 'NotIn'");
    if ((streq(op, "Exists") || streq(op, "DoesNotExist")) && value_len(values))
        field_forbidden(errors, &values_at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    if (labels)
        field_check_name(errors, &key_at, key, name_qualified);
    else if (!*key)
        field_required(errors, &key_at, "must be specified");
    for (size_t i = 0; labels && i < value_len(values); i++) {
        FieldPath at = FIELD_INDEX(&values_at, i);
        field_check_name(errors, &at, str_or(value_str(value_at(values, i)), ""), name_label_value);
    }
}

static void check_selector(FieldErrors *errors, const Value *attributes, size_t which, const FieldPath *path) {
    const Value *selector = value_get(attributes, SELECTORS[which]),
                *requirements = value_get(selector, "requirements");
    const char *raw = text_of(selector, "rawSelector");
    FieldPath at = FIELD(path, SELECTORS[which]), raw_at = FIELD(&at, "rawSelector"),
              requirements_at = FIELD(&at, "requirements");
    if (!value_is(selector, VALUE_OBJECT))
        return;
    if (*raw && value_len(requirements))
        field_invalid_str(errors, &raw_at, raw, "may not specified at the same time as requirements");
    if (!*raw && !value_len(requirements)) {
        const char *detail = arena_printf(
            errors->arena, "when spec.resourceAttributes.%s is specified, requirements or rawSelector is required",
            SELECTORS[which]);
        field_required(errors, &requirements_at, detail);
    }
    for (size_t i = 0; i < value_len(requirements); i++) {
        FieldPath item_at = FIELD_INDEX(&requirements_at, i);
        check_requirement(errors, value_at(requirements, i), which == OF_LABELS, &item_at);
    }
}

static void check_empty_meta(FieldErrors *errors, const Value *review, bool local) {
    const Value *meta = value_get(review, "metadata");
    FieldPath at = FIELD(NULL, "metadata");
    VALUE_FOREACH_MEMBER (m, meta)
        if (!value_is_empty(m->value) && !streq(m->name, "managedFields") && !(local && streq(m->name, "namespace"))) {
            field_invalid(errors, &at, meta, local ? "must be empty except for namespace" : "must be empty");
            return;
        }
}

void access_review_validate(FieldErrors *errors, const Value *review, const char *ns, ReviewKind kind) {
    const Value *spec = value_get(review, "spec"), *resource = value_get(spec, "resourceAttributes"),
                *path = value_get(spec, "nonResourceAttributes");
    FieldPath spec_at = FIELD(NULL, "spec"), resource_at = FIELD(&spec_at, "resourceAttributes"),
              path_at = FIELD(&spec_at, "nonResourceAttributes"), user_at = FIELD(&spec_at, "user"),
              ns_at = FIELD(&resource_at, "namespace");
    if (resource && path)
        field_invalid(errors, &path_at, path, "cannot be specified in combination with resourceAttributes");
    if (!resource && !path)
        field_invalid(errors, &resource_at, NULL,
                      "exactly one of nonResourceAttributes or resourceAttributes must be specified");
    if (kind != REVIEW_SELF && !*text_of(spec, "user") && !value_len(value_get(spec, "groups")))
        field_invalid_str(errors, &user_at, "", "at least one of user or group must be specified");
    for (size_t i = 0; i < ELEMENTSOF(SELECTORS); i++)
        check_selector(errors, resource, i, &resource_at);
    check_empty_meta(errors, review, kind == REVIEW_LOCAL);
    if (kind == REVIEW_LOCAL && resource && !streq(text_of(resource, "namespace"), ns))
        field_invalid_str(errors, &ns_at, text_of(resource, "namespace"), "must match metadata.namespace");
    if (kind == REVIEW_LOCAL && path)
        field_invalid(errors, &path_at, path, "disallowed on this kind of request");
}

static bool is_understood(const Value *requirement, bool labels) {
    static const char *const OF_LABEL[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};
    const char *op = text_of(requirement, "operator");
    size_t values = value_len(value_get(requirement, "values"));
    if (labels)
        return str_in(op, OF_LABEL);
    return (streq(op, "In") || streq(op, "NotIn")) && values == 1;
}

const char *access_review_ignored(Arena *arena, const Value *resource_attributes) {
    const char *said = "";
    for (size_t i = 0; i < ELEMENTSOF(SELECTORS); i++) {
        const Value *selector = value_get(resource_attributes, SELECTORS[i]),
                    *requirements = value_get(selector, "requirements");
        size_t understood = 0, n = value_len(requirements);
        for (size_t j = 0; j < n; j++)
            understood += is_understood(value_at(requirements, j), i == OF_LABELS);
        if (understood < n)
            said = arena_printf(arena, "%s%sspec.resourceAttributes.%s %signored due to parse error", said,
                                *said ? "; " : "", SELECTORS[i], understood ? "partially " : "");
    }
    return said;
}
