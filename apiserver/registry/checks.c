#include "apiserver/registry/checks.h"

#include "api/quantity.h"
#include "base/str.h"

const char *text_at(const Value *object, const char *name) {
    return str_or(value_get_str(object, name), "");
}

bool text_is(const Value *object, const char *name, const char *text) {
    return streq(text_at(object, name), text);
}

size_t value_index_of(const Value *list, const char *text) {
    for (size_t i = 0; i < value_len(list); i++)
        if (streq_null(value_str(value_at(list, i)), text))
            return i;
    return SIZE_MAX;
}

bool list_has(const Value *list, const char *text) {
    return value_is(list, VALUE_ARRAY) && value_index_of(list, text) != SIZE_MAX;
}

bool same_value(const Value *a, const Value *b) {
    return (value_is_empty(a) && value_is_empty(b)) || value_equal(a, b);
}

void check_required(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (value_is_empty(value_get(object, name)))
        field_required(errors, &at, "");
}

void check_one_of(FieldErrors *errors, const FieldPath *path, const char *text, const char *const *values) {
    if (!str_in(text, values))
        field_not_supported(errors, path, value_string(errors->arena, text), values);
}

void check_member_one_of(FieldErrors *errors, const Value *object, const char *name, const char *const *values,
                         const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    const char *text = value_get_str(object, name);
    if (text)
        check_one_of(errors, &at, text, values);
}

void check_not_negative(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    const Value *v = value_get(object, name);
    if (value_is(v, VALUE_INT) && v->integer < 0)
        field_invalid(errors, &at, v, "must be greater than or equal to 0");
}

void check_immutable_values(FieldErrors *errors, const FieldPath *path, const Value *now, const Value *was) {
    if (!same_value(now, was))
        field_invalid(errors, path, now, MUST_NOT_CHANGE);
}

void check_immutable(FieldErrors *errors, const Value *object, const Value *old, const char *name,
                     const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    check_immutable_values(errors, &at, value_get(object, name), value_get(old, name));
}

void check_name_member(FieldErrors *errors, const Value *object, const char *name, name_check check,
                       const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (*text_at(object, name))
        field_check_name(errors, &at, text_at(object, name), check);
}

void check_name_if_present(FieldErrors *errors, const Value *object, const char *name, name_check check,
                           const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (value_get_str(object, name))
        field_check_name(errors, &at, value_get_str(object, name), check);
}

void check_quantity_not_negative(FieldErrors *errors, const FieldPath *path, const Value *quantity) {
    Quantity q;
    const char *text = value_str(quantity);
    if (text && quantity_parse(text, &q) == 0 && quantity_sign(&q) < 0)
        field_invalid_str(errors, path, text, "must be greater than or equal to 0");
}

/* The prefix of a generated name may end in a dash, which more characters will follow. */
static void check_object_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path,
                              name_check check) {
    char *masked = arena_strdup(errors->arena, name);
    size_t n = strlen(name);
    if (prefix && n > 1 && masked[n - 1] == '-')
        masked[n - 1] = 'a';
    NameMessages messages = {.arena = errors->arena};
    check(masked, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, path, name, "%s", messages.items[i]);
}

void validate_label_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    check_object_name(name, prefix, errors, path, name_dns_label);
}

void validate_subdomain_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    check_object_name(name, prefix, errors, path, name_dns_subdomain);
}

void validate_path_segment_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    field_check_name(errors, path, name, prefix ? name_path_segment_prefix : name_path_segment);
}

const char *annotation_of(const Value *object, const char *key) {
    return value_str(value_get(value_path(object, "metadata", "annotations", NULL), key));
}
