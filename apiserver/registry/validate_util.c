#include "apiserver/registry/validate_util.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "apiserver/registry/internal_print.h"

#define ANNOTATIONS_MAX (256 << 10)

bool seen_before(FieldErrors *errors, const Value *list, size_t end, const char *name, const char *text) {
    size_t at = list_index_find(&errors->lists, list, name, text);
    return at != LIST_INDEX_NONE && at < end;
}

void member_required(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (!*text_of(object, name))
        field_required(errors, &at, "");
}

void member_one_of_if_set(FieldErrors *errors, const Value *object, const char *name, const char *const *values,
                          const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    const char *text = value_get_str(object, name);
    if (text && !str_in(text, values))
        field_not_supported(errors, &at, value_string(errors->arena, text), values);
}

void member_one_of(FieldErrors *errors, const Value *object, const char *name, const char *const *values,
                   const FieldPath *path) {
    member_required(errors, object, name, path);
    if (*text_of(object, name))
        member_one_of_if_set(errors, object, name, values, path);
}

void member_name_if_set(FieldErrors *errors, const Value *object, const char *name, name_check check,
                        const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (*text_of(object, name))
        field_check_name(errors, &at, text_of(object, name), check);
}

void member_nonnegative(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    int64_t i = value_get_int(object, name, 0);
    if (i < 0)
        field_invalid(errors, &at, value_int(errors->arena, i), "must be greater than or equal to 0");
}

void member_not_above(FieldErrors *errors, const Value *object, const char *name, const char *other,
                      const char *message, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    int64_t i = value_get_int(object, name, 0);
    if (i > value_get_int(object, other, 0))
        field_invalid(errors, &at, value_int(errors->arena, i), "%s", message);
}

void member_immutable(FieldErrors *errors, const Value *object, const Value *old, const char *name, const char *type,
                      const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    const Value *now = value_get(object, name);
    if (value_equal(now, value_get(old, name)))
        return;
    field_invalid(errors, &at, type && now ? internal_value(errors->arena, type, now, NULL) : now, MUST_BE_IMMUTABLE);
}

void field_invalid_plain(FieldErrors *errors, const FieldPath *path, const char *message) {
    size_t n = errors->n;
    field_invalid_str(errors, path, "", "%s", message);
    if (errors->n > n && n < FIELD_ERRORS_MAX)
        errors->items[n].message = arena_printf(errors->arena, "Invalid value: %s", message);
}

void annotations_validate(FieldErrors *errors, const Value *annotations, const FieldPath *path) {
    size_t total = 0;
    VALUE_FOREACH_MEMBER (member, annotations) {
        char *lower = arena_strdup(errors->arena, member->name);
        for (char *p = lower; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
        NameMessages messages = {.arena = errors->arena};
        name_qualified(lower, &messages);
        for (size_t i = 0; i < messages.n; i++)
            field_invalid_str(errors, path, member->name, "%s", messages.items[i]);
        total += strlen(member->name) + strlen(str_or(value_str(member->value), ""));
    }
    if (total > ANNOTATIONS_MAX)
        field_too_long(errors, path, ANNOTATIONS_MAX);
}

void field_check_domain_path(FieldErrors *errors, const FieldPath *path, const char *text) {
    static const char PATH_CHARS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/%-._~!$&'()*+,;=:";
    const char *slash = strchr(text, '/');
    if (!*text) {
        field_required(errors, path, "");
        return;
    }
    if (!slash || slash == text || !slash[1]) {
        field_invalid_str(errors, path, text, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    }
    field_check_name(errors, path, arena_strndup(errors->arena, text, (size_t)(slash - text)), name_dns_subdomain);
    if (strspn(slash + 1, PATH_CHARS) != strlen(slash + 1))
        field_invalid_str(errors, path, slash + 1,
                          "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
}

char *go_quoted_list(Arena *arena, const char *const *values) {
    char *text = arena_strdup(arena, "[");
    for (size_t i = 0; values[i]; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? " " : "", go_quoted(arena, values[i]));
    return arena_printf(arena, "%s]", text);
}

bool is_ip_text(const char *text) {
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

void driver_name_validate(FieldErrors *errors, const char *name, const FieldPath *path) {
    NameMessages messages = {.arena = errors->arena};
    char *lower = arena_strdup(errors->arena, name);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (strlen(name) > DRIVER_NAME_MAX)
        field_too_long(errors, path, DRIVER_NAME_MAX);
    name_dns_subdomain(lower, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, path, name, "%s", messages.items[i]);
}
