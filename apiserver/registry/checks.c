#include "apiserver/registry/checks.h"

#include "api/quantity.h"
#include "base/str.h"
#include "apiserver/registry/validate_util.h"

#include <ctype.h>

#define CONDITION_REASON_MAX 1024
#define CONDITION_MESSAGE_MAX 32768

const char *text_at(const Value *object, const char *name) {
    return str_or(value_get_str(object, name), "");
}

bool text_is(const Value *object, const char *name, const char *text) {
    return streq(text_at(object, name), text);
}

bool list_has(const Value *list, const char *text) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq_null(value_str(item), text))
            return true;
    return false;
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

void check_immutable_text(FieldErrors *errors, const Value *object, const Value *old, const char *name,
                          const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (!text_is(object, name, text_at(old, name)))
        field_invalid_str(errors, &at, text_at(object, name), MUST_NOT_CHANGE);
}

/* ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$ */
static bool is_condition_reason(const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        bool word = isalnum((unsigned char)text[i]) || text[i] == '_';
        if (i == 0 ? !isalpha((unsigned char)text[i]) : !word && (i == n - 1 || !strchr(",:", text[i])))
            return false;
    }
    return n > 0;
}

static void check_condition_reason(FieldErrors *errors, const char *reason, const FieldPath *path) {
    if (!*reason) {
        field_required(errors, path, "");
        return;
    }
    if (!is_condition_reason(reason))
        field_invalid_str(errors, path, reason,
                          "a condition reason must start with alphabetic character, optionally followed by a string of "
                          "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. "
                          "'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex "
                          "used for validation is "
                          "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
    if (strlen(reason) > CONDITION_REASON_MAX)
        field_too_long(errors, path, CONDITION_REASON_MAX);
}

static void check_condition(FieldErrors *errors, const Value *condition, const FieldPath *path) {
    static const char *const STATUSES[] = {"False", "True", "Unknown", NULL};
    int64_t generation = value_get_int(condition, "observedGeneration", 0);
    FieldPath type_at = FIELD(path, "type"), status_at = FIELD(path, "status"), reason_at = FIELD(path, "reason"),
              message_at = FIELD(path, "message"), time_at = FIELD(path, "lastTransitionTime"),
              generation_at = FIELD(path, "observedGeneration");
    field_check_name(errors, &type_at, text_at(condition, "type"), name_qualified);
    check_one_of(errors, &status_at, text_at(condition, "status"), STATUSES);
    if (generation < 0)
        field_invalid(errors, &generation_at, value_int(errors->arena, generation),
                      "must be greater than or equal to zero");
    if (value_is_empty(value_get(condition, "lastTransitionTime")))
        field_required(errors, &time_at, "");
    check_condition_reason(errors, text_at(condition, "reason"), &reason_at);
    if (strlen(text_at(condition, "message")) > CONDITION_MESSAGE_MAX)
        field_too_long(errors, &message_at, CONDITION_MESSAGE_MAX);
}

void check_status_conditions(FieldErrors *errors, const Value *conditions, const FieldPath *path) {
    for (size_t i = 0; i < value_len(conditions); i++) {
        const Value *condition = value_at(conditions, i);
        FieldPath at = FIELD_INDEX(path, i), type_at = FIELD(&at, "type");
        if (seen_before(errors, conditions, i, "type", text_at(condition, "type")))
            field_duplicate(errors, &type_at, value_string(errors->arena, text_at(condition, "type")));
        check_condition(errors, condition, &at);
    }
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
