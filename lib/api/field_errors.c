#include "api/go_text.h"
#include "api/status.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *reason, *text;
} kinds[] = {
    [FIELD_NOT_FOUND] = {"FieldValueNotFound", "Not found"},
    [FIELD_REQUIRED] = {"FieldValueRequired", "Required value"},
    [FIELD_DUPLICATE] = {"FieldValueDuplicate", "Duplicate value"},
    [FIELD_INVALID] = {"FieldValueInvalid", "Invalid value"},
    [FIELD_NOT_SUPPORTED] = {"FieldValueNotSupported", "Unsupported value"},
    [FIELD_FORBIDDEN] = {"FieldValueForbidden", "Forbidden"},
    [FIELD_TOO_LONG] = {"FieldValueTooLong", "Too long"},
    [FIELD_TOO_MANY] = {"FieldValueTooMany", "Too many"},
    [FIELD_INTERNAL] = {"InternalError", "Internal error"},
    [FIELD_TYPE_INVALID] = {"FieldValueTypeInvalid", "Invalid value"},
};

static void path_write(Buf *out, const FieldPath *path) {
    if (!path)
        return;
    path_write(out, path->parent);
    if (path->name) {
        if (path->parent)
            buf_putc(out, '.');
        buf_puts(out, path->name);
    } else if (path->key)
        buf_printf(out, "[%s]", path->key);
    else
        buf_printf(out, "[%" PRId64 "]", path->index);
}

char *field_path_text(Arena *arena, const FieldPath *path) {
    if (!path)
        return arena_strdup(arena, "<nil>");
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    path_write(&buf, path);
    return arena_strndup(arena, buf.data ? buf.data : "", buf.len);
}

/* Room for one more; NULL, and it is counted, when no more are kept. */
static struct FieldError *next_error(FieldErrors *errors) {
    if (errors->n++ >= FIELD_ERRORS_MAX)
        return NULL;
    size_t n = errors->n - 1;
    /* Grows at powers of two; the old arrays stay in the arena. */
    if ((n & (n - 1)) == 0) {
        struct FieldError *more = arena_alloc(errors->arena, MAX(n * 2, (size_t)4) * sizeof(*more));
        if (n)
            memcpy(more, errors->items, n * sizeof(*more));
        errors->items = more;
    }
    return &errors->items[n];
}

static char *bad_text(Arena *arena, const Value *bad) {
    if (!value_is(bad, VALUE_DOUBLE))
        return value_to_text(arena, bad);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    go_write(&text, bad, GO_PLAIN);
    return arena_strdup(arena, text.data);
}

/* `bad`: the printed value; NULL leaves it out. */
static void add(FieldErrors *errors, FieldErrorType type, const FieldPath *path, const char *bad, const char *detail) {
    Arena *arena = errors->arena;
    struct FieldError *error = next_error(errors);
    if (!error)
        return;
    const char *text = kinds[type].text;
    char *message = bad ? arena_printf(arena, "%s: %s", text, bad) : arena_strdup(arena, text);
    if (!str_empty(detail))
        message = arena_printf(arena, "%s: %s", message, detail);
    *error = (struct FieldError){
        .type = type,
        .field = field_path_text(arena, path),
        .detail = arena_strdup(arena, str_or(detail, "")),
        .message = message,
    };
}

static bool is_among(const FieldErrors *errors, size_t n, const struct FieldError *error) {
    for (size_t i = 0; i < n; i++)
        if (streq(errors->items[i].field, error->field) && streq(errors->items[i].message, error->message))
            return true;
    return false;
}

static void take(FieldErrors *to, const FieldErrors *from, bool once) {
    for (size_t i = 0; i < field_errors_kept(from); i++) {
        struct FieldError *error = once && is_among(to, field_errors_kept(to), &from->items[i]) ? NULL : next_error(to);
        if (error)
            *error = from->items[i];
    }
}

void field_errors_append(FieldErrors *to, const FieldErrors *from) {
    take(to, from, false);
}

void field_errors_merge(FieldErrors *to, const FieldErrors *from) {
    take(to, from, true);
}

static char *format_detail(Arena *arena, const char *format, va_list ap) {
    char *text = NULL;
    if (vasprintf(&text, format, ap) < 0)
        return arena_strdup(arena, format);
    char *copy = arena_strdup(arena, text);
    free(text);
    return copy;
}

void field_required(FieldErrors *errors, const FieldPath *path, const char *detail) {
    add(errors, FIELD_REQUIRED, path, NULL, detail);
}

void field_invalid(FieldErrors *errors, const FieldPath *path, const Value *bad, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *detail = format_detail(errors->arena, format, ap);
    va_end(ap);
    add(errors, FIELD_INVALID, path, bad_text(errors->arena, bad), detail);
}

void field_invalid_str(FieldErrors *errors, const FieldPath *path, const char *bad, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *detail = format_detail(errors->arena, format, ap);
    va_end(ap);
    add(errors, FIELD_INVALID, path, bad ? go_quoted(errors->arena, bad) : "null", detail);
}

void field_duplicate(FieldErrors *errors, const FieldPath *path, const Value *bad) {
    add(errors, FIELD_DUPLICATE, path, bad_text(errors->arena, bad), NULL);
}

void field_not_supported(FieldErrors *errors, const FieldPath *path, const Value *bad, const char *const *supported) {
    _cleanup_buf_ Buf detail = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; supported && supported[i]; i++) {
        buf_puts(&detail, i ? ", " : "supported values: ");
        go_quote(&detail, supported[i]);
    }
    add(errors, FIELD_NOT_SUPPORTED, path, bad_text(errors->arena, bad), detail.data);
}

void field_forbidden(FieldErrors *errors, const FieldPath *path, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *detail = format_detail(errors->arena, format, ap);
    va_end(ap);
    add(errors, FIELD_FORBIDDEN, path, NULL, detail);
}

void field_internal(FieldErrors *errors, const FieldPath *path, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *detail = format_detail(errors->arena, format, ap);
    va_end(ap);
    add(errors, FIELD_INTERNAL, path, NULL, detail);
}

void field_too_long(FieldErrors *errors, const FieldPath *path, int64_t max_len) {
    char detail[64] = "value is too long";
    if (max_len >= 0)
        snprintf(detail, sizeof(detail), "may not be more than %" PRId64 " byte%s", max_len, max_len == 1 ? "" : "s");
    add(errors, FIELD_TOO_LONG, path, NULL, detail);
}

void field_too_many(FieldErrors *errors, const FieldPath *path, int64_t actual, int64_t max) {
    char detail[64] = "has too many items", number[32];
    if (max >= 0)
        snprintf(detail, sizeof(detail), "must have at most %" PRId64 " item%s", max, max == 1 ? "" : "s");
    snprintf(number, sizeof(number), "%" PRId64, actual);
    add(errors, FIELD_TOO_MANY, path, actual >= 0 ? number : NULL, detail);
}

void field_not_found(FieldErrors *errors, const FieldPath *path, const Value *bad) {
    add(errors, FIELD_NOT_FOUND, path, bad_text(errors->arena, bad), NULL);
}

void field_type_invalid(FieldErrors *errors, const FieldPath *path, const Value *bad, const char *detail) {
    add(errors, FIELD_TYPE_INVALID, path, bad_text(errors->arena, bad), detail);
}

/* utilerrors.Aggregate: one message alone, several in brackets, each text once. */
static void aggregate(Buf *out, const FieldErrors *errors, size_t n) {
    size_t written = 0;
    Buf all = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < n; i++) {
        const struct FieldError *e = &errors->items[i];
        if (!is_among(errors, i, e))
            buf_printf(&all, "%s%s: %s", written++ ? ", " : "", e->field, e->message);
    }
    buf_printf(out, written > 1 ? "[%s]" : "%s", all.data ? all.data : "");
    buf_done(&all);
}

int api_error_invalid(ApiError *err, const char *group, const char *kind, const char *name, const FieldErrors *errors) {
    size_t n = field_errors_kept(errors);
    if (!n)
        return 0;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT), quoted = BUF_INIT(BUF_NO_LIMIT);
    aggregate(&text, errors, n);
    go_quote(&quoted, str_or(name, ""));
    int r = api_error_set(err, 422, "Invalid", "%s%s%s %s is invalid: %s", kind, str_empty(group) ? "" : ".",
                          str_or(group, ""), quoted.data, text.data);
    api_error_details(err, group, kind, name, NULL);
    for (size_t i = 0; i < n; i++)
        api_error_cause(err, kinds[errors->items[i].type].reason, errors->items[i].message, errors->items[i].field);
    return r;
}
