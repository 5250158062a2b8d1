#include "apiserver/registry/device_validate.h"

#include "apiserver/registry/checks.h"
#include "apiserver/registry/validate_util.h"

#define POOL_NAME_MAX 253
#define ID_MAX 32
#define PARAMETERS_MAX (10 * 1024)
#define BINDING_CONDITIONS_MAX 4

static const char *const EFFECTS[] = {"NoExecute", "NoSchedule", "None", NULL};

static const Value *key_of(const Value *item, const char *key) {
    return *key ? value_get(item, key) : item;
}

static bool is_repeated(const Value *list, size_t i, const char *key) {
    for (size_t j = 0; j < i; j++)
        if (same_value(key_of(value_at(list, i), key), key_of(value_at(list, j), key)))
            return true;
    return false;
}

void device_list_validate(FieldErrors *errors, const Value *object, const char *name, const DeviceCheck *check,
                          const FieldPath *path) {
    const Value *list = value_get(object, name);
    FieldPath list_at = FIELD(path, name);
    if (check->max && value_len(list) > check->max) {
        field_too_many(errors, &list_at, (int64_t)value_len(list), (int64_t)check->max);
        return;
    }
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *item = value_at(list, i);
        FieldPath at = FIELD_INDEX(&list_at, i);
        check->item(check->context, errors, item, &at);
        if (check->key && is_repeated(list, i, check->key)) {
            const Value *key = key_of(item, check->key);
            field_duplicate(errors, &at, key ? key : value_string(errors->arena, ""));
        }
    }
}

char **device_name_parts(Arena *arena, const char *name, size_t *ret_n) {
    char **parts = str_split(arena, name, '/', ret_n);
    if (*ret_n)
        return parts;
    parts = arena_alloc(arena, sizeof *parts);
    parts[0] = arena_strdup(arena, "");
    *ret_n = 1;
    return parts;
}

void device_driver_validate(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (*text_of(object, name))
        driver_name_validate(errors, text_of(object, name), &at);
    else
        field_required(errors, &at, "");
}

void device_pool_validate(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    const char *pool = text_of(object, name);
    FieldPath at = FIELD(path, name);
    size_t n;
    if (!*pool) {
        field_required(errors, &at, "");
        return;
    }
    if (strlen(pool) > POOL_NAME_MAX)
        field_too_long(errors, &at, POOL_NAME_MAX);
    char **parts = device_name_parts(errors->arena, pool, &n);
    for (size_t i = 0; i < n; i++)
        field_check_name(errors, &at, parts[i], name_dns_subdomain);
}

void device_parameters_validate(FieldErrors *errors, const Value *parameters, bool stored, const FieldPath *path) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    if (!parameters || parameters->type == VALUE_NULL) {
        field_required(errors, path, "");
        return;
    }
    value_write_json(&text, parameters);
    if (!stored && text.len > PARAMETERS_MAX)
        field_too_long(errors, path, PARAMETERS_MAX);
    else if (parameters->type != VALUE_OBJECT)
        field_invalid_str(errors, path, "<value omitted>", "must be a valid JSON object");
}

static void check_identifier(FieldErrors *errors, const char *id, const FieldPath *path) {
    if (strlen(id) > ID_MAX)
        field_too_long(errors, path, ID_MAX);
    field_check_name(errors, path, id, name_c_identifier);
}

/* Names of more parts pass, as they do in the reference. */
void device_qualified_validate(FieldErrors *errors, const char *name, bool full, const FieldPath *path) {
    size_t n;
    char **parts = device_name_parts(errors->arena, name, &n);
    if (n == 1)
        check_identifier(errors, parts[0], path);
    if (n == 2 && !*parts[0])
        field_invalid_str(errors, path, "", "the domain must not be empty");
    else if (n == 2)
        driver_name_validate(errors, parts[0], path);
    if (n == 2 && !*parts[1])
        field_invalid_str(errors, path, "", "the name must not be empty");
    else if (n == 2)
        check_identifier(errors, parts[1], path);
    if (full && n == 1)
        field_invalid_str(errors, path, name,
                          "a fully qualified name must be a domain and a name separated by a slash");
}

void device_label_validate(FieldErrors *errors, const char *key, const FieldPath *path) {
    field_check_name(errors, path, key, name_qualified);
}

static void check_condition(_unused_ const void *context, FieldErrors *errors, const Value *condition,
                            const FieldPath *path) {
    device_label_validate(errors, str_or(value_str(condition), ""), path);
}

void device_binding_validate(FieldErrors *errors, const Value *object, const FieldPath *path) {
    static const char *const NAMES[] = {"bindingConditions", "bindingFailureConditions"};
    static const DeviceCheck CHECK = {.item = check_condition, .max = BINDING_CONDITIONS_MAX};
    const Value *lists[] = {value_get(object, NAMES[0]), value_get(object, NAMES[1])};
    for (size_t which = 0; which < ELEMENTSOF(NAMES); which++) {
        FieldPath list_at = FIELD(path, NAMES[which]);
        device_list_validate(errors, object, NAMES[which], &CHECK, path);
        for (size_t i = 0; i < value_len(lists[which]); i++) {
            const Value *item = value_at(lists[which], i);
            FieldPath at = FIELD_INDEX(&list_at, i);
            if (is_repeated(lists[which], i, ""))
                field_duplicate(errors, &at, item);
            if (which && list_has(lists[0], str_or(value_str(item), "")))
                field_invalid(errors, &at, item, "bindingFailureConditions must not overlap with bindingConditions");
        }
    }
    for (size_t which = 0; which < ELEMENTSOF(NAMES); which++) {
        FieldPath list_at = FIELD(path, NAMES[which]);
        if (!value_len(lists[which]) && value_len(lists[!which]))
            field_invalid(errors, &list_at, lists[which], "%s are required to use %s", NAMES[which], NAMES[!which]);
    }
}

void device_taint_validate(_unused_ const void *context, FieldErrors *errors, const Value *taint,
                           const FieldPath *path) {
    FieldPath key_at = FIELD(path, "key");
    device_label_validate(errors, text_of(taint, "key"), &key_at);
    check_name_member(errors, taint, "value", name_label_value, path);
    member_one_of(errors, taint, "effect", EFFECTS, path);
}

void device_toleration_validate(_unused_ const void *context, FieldErrors *errors, const Value *toleration,
                                const FieldPath *path) {
    static const char *const OPERATORS[] = {"Equal", "Exists", NULL};
    const char *op = text_of(toleration, "operator"), *value = text_of(toleration, "value");
    FieldPath value_at_ = FIELD(path, "value");
    check_name_member(errors, toleration, "key", name_qualified, path);
    member_one_of(errors, toleration, "operator", OPERATORS, path);
    if (streq(op, "Exists") && *value)
        field_invalid_str(errors, &value_at_, value, "must be empty for operator `Exists`");
    else if (streq(op, "Equal"))
        field_check_name(errors, &value_at_, value, name_label_value);
    member_one_of_if_set(errors, toleration, "effect", EFFECTS, path);
}
