#include "api/status.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    int code;
    const char *reason; /* NULL: any */
    int error;
} codes[] = {
    {400, NULL, EINVAL},
    {401, NULL, EPERM},
    {403, NULL, EACCES},
    {404, NULL, ENOENT},
    {405, NULL, EOPNOTSUPP},
    {406, NULL, EPROTONOSUPPORT},
    {409, "AlreadyExists", EEXIST},
    {409, NULL, ESTALE},
    {410, NULL, EKEYEXPIRED},
    {413, NULL, EFBIG},
    {415, NULL, EPROTONOSUPPORT},
    {422, NULL, EINVAL},
    {429, NULL, EAGAIN},
    {503, NULL, EHOSTUNREACH},
    {504, NULL, ETIMEDOUT},
};

static const char *const reasons[] = {
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
    NULL,
};

static int code_to_errno(int code, const char *reason) {
    for (size_t i = 0; i < ELEMENTSOF(codes); i++)
        if (codes[i].code == code && (!codes[i].reason || strcmp(codes[i].reason, reason) == 0))
            return -codes[i].error;
    return -EIO;
}

void api_error_done(ApiError *err) {
    free(err->message);
    free(err->name);
    free(err->group);
    free(err->kind);
    free(err->uid);
    free(err->continue_token);
    for (size_t i = 0; i < err->n_causes; i++) {
        free(err->causes[i].reason);
        free(err->causes[i].message);
        free(err->causes[i].field);
    }
    free(err->causes);
    *err = (ApiError){0};
}

static int set_message(ApiError *err, int code, const char *reason, char *message) {
    api_error_done(err);
    err->code = code;
    err->reason = reason;
    err->message = message;
    return code_to_errno(code, reason);
}

static char *format_message(const char *format, va_list ap) {
    char *message = NULL;
    if (vasprintf(&message, format, ap) < 0)
        return xstrdup(format);
    return message;
}

int api_error_set(ApiError *err, int code, const char *reason, const char *format, ...) {
    if (!err)
        return code_to_errno(code, reason);
    va_list ap;
    va_start(ap, format);
    char *message = format_message(format, ap);
    va_end(ap);
    return set_message(err, code, reason, message);
}

static void replace(char **field, const char *with) {
    char *copy = xstrdup(with);
    free(*field);
    *field = copy;
}

void api_error_details(ApiError *err, const char *group, const char *kind, const char *name, const char *uid) {
    if (!err)
        return;
    replace(&err->group, group);
    replace(&err->kind, kind);
    replace(&err->name, name);
    replace(&err->uid, uid);
}

void api_error_cause(ApiError *err, const char *reason, const char *message, const char *field) {
    if (!err)
        return;
    err->causes = xreallocn(err->causes, err->n_causes + 1, sizeof(ApiCause));
    err->causes[err->n_causes++] =
        (ApiCause){.reason = xstrdup(reason), .message = xstrdup(message), .field = xstrdup(field)};
}

int api_error_internal(ApiError *err, const char *what) {
    int r = api_error_set(err, 500, "InternalError", "Internal error occurred: %s", what);
    api_error_cause(err, NULL, what, NULL);
    return r;
}

int api_error_from_errno(ApiError *err, int r, const char *doing) {
    char *what = xasprintf("%s: %s", doing, strerror(r < 0 ? -r : r));
    api_error_internal(err, what);
    free(what);
    return r;
}

/* "deployments.apps", or "pods" in the core group. In memory of its own. */
static char *qualified(const char *group, const char *resource) {
    return str_empty(group) ? xstrdup(resource) : xasprintf("%s.%s", resource, group);
}

static char *quoted(const char *s) {
    Buf buf = BUF_INIT(BUF_NO_LIMIT);
    go_quote(&buf, str_or(s, ""));
    return buf_take(&buf, NULL);
}

int api_error_not_found(ApiError *err, const char *group, const char *resource, const char *name) {
    _cleanup_free_ char *what = qualified(group, resource), *q = quoted(name);
    int r = api_error_set(err, 404, "NotFound", "%s %s not found", what, q);
    api_error_details(err, group, resource, name, NULL);
    return r;
}

int api_error_already_exists(ApiError *err, const char *group, const char *resource, const char *name) {
    _cleanup_free_ char *what = qualified(group, resource), *q = quoted(name);
    int r = api_error_set(err, 409, "AlreadyExists", "%s %s already exists", what, q);
    api_error_details(err, group, resource, name, NULL);
    return r;
}

int api_error_conflict(ApiError *err, const char *group, const char *resource, const char *name, const char *why) {
    _cleanup_free_ char *what = qualified(group, resource), *q = quoted(name);
    int r = api_error_set(err, 409, "Conflict", "Operation cannot be fulfilled on %s %s: %s", what, q, why);
    api_error_details(err, group, resource, name, NULL);
    return r;
}

int api_error_bad_request(ApiError *err, const char *format, ...) {
    if (!err)
        return -EINVAL;
    va_list ap;
    va_start(ap, format);
    char *message = format_message(format, ap);
    va_end(ap);
    return set_message(err, 400, "BadRequest", message);
}

int api_error_forbidden(ApiError *err, const char *group, const char *resource, const char *name, const char *why) {
    _cleanup_free_ char *what = str_empty(resource) ? NULL : qualified(group, resource), *q = quoted(name);
    int r;
    if (!what)
        r = api_error_set(err, 403, "Forbidden", "forbidden: %s", why);
    else if (str_empty(name))
        r = api_error_set(err, 403, "Forbidden", "%s is forbidden: %s", what, why);
    else
        r = api_error_set(err, 403, "Forbidden", "%s %s is forbidden: %s", what, q, why);
    api_error_details(err, group, resource, name, NULL);
    return r;
}

int api_error_method_not_supported(ApiError *err, const char *group, const char *resource, const char *action) {
    _cleanup_free_ char *what = qualified(group, resource);
    int r =
        api_error_set(err, 405, "MethodNotAllowed", "%s is not supported on resources of kind \"%s\"", action, what);
    api_error_details(err, group, resource, NULL, NULL);
    return r;
}

int api_error_gone(ApiError *err, const char *message) {
    return api_error_set(err, 410, "Gone", "%s", message);
}

int api_error_expired(ApiError *err, const char *message) {
    return api_error_set(err, 410, "Expired", "%s", message);
}

static void set_filled(Arena *arena, Value *object, const char *name, const char *s) {
    if (!str_empty(s))
        value_set_interned(arena, object, name, value_string(arena, s));
}

static Value *details_value(Arena *arena, const ApiError *err) {
    Value *details = value_object(arena);
    set_filled(arena, details, "name", err->name);
    set_filled(arena, details, "group", err->group);
    set_filled(arena, details, "kind", err->kind);
    set_filled(arena, details, "uid", err->uid);
    if (err->n_causes) {
        Value *causes = value_array(arena);
        for (size_t i = 0; i < err->n_causes; i++) {
            Value *cause = value_object(arena);
            set_filled(arena, cause, "reason", err->causes[i].reason);
            set_filled(arena, cause, "message", err->causes[i].message);
            set_filled(arena, cause, "field", err->causes[i].field);
            value_append(arena, causes, cause);
        }
        value_set_interned(arena, details, "causes", causes);
    }
    if (err->retry_after)
        value_set_interned(arena, details, "retryAfterSeconds", value_int(arena, err->retry_after));
    return details;
}

/* Whether the reference gives `details` at all: its constructors of these reasons set none of their own. */
static bool has_details(const ApiError *err) {
    if (err->no_details)
        return false;
    return err->empty_details || err->kind || err->name || err->group || err->uid || err->n_causes || err->retry_after;
}

Value *api_error_to_status(Arena *arena, const ApiError *err) {
    Value *status = value_object(arena);
    value_set_interned(arena, status, "kind", value_string(arena, "Status"));
    value_set_interned(arena, status, "apiVersion", value_string(arena, "v1"));
    Value *metadata = value_object(arena);
    set_filled(arena, metadata, "continue", err->continue_token);
    value_set_interned(arena, status, "metadata", metadata);
    value_set_interned(arena, status, "status", value_string(arena, err->code ? "Failure" : "Success"));
    set_filled(arena, status, "message", err->message);
    set_filled(arena, status, "reason", err->reason);
    if (has_details(err))
        value_set_interned(arena, status, "details", details_value(arena, err));
    if (err->code)
        value_set_interned(arena, status, "code", value_int(arena, err->code));
    return status;
}

static const char *static_reason(const char *reason) {
    for (size_t i = 0; reason && reasons[i]; i++)
        if (strcmp(reasons[i], reason) == 0)
            return reasons[i];
    return "";
}

int api_error_from_status(ApiError *err, const Value *status, int http_code) {
    int code = (int)value_get_int(status, "code", http_code);
    const char *message = value_get_str(status, "message");
    int r = api_error_set(err, code, static_reason(value_get_str(status, "reason")), "%s",
                          message ? message : "the server answered without a message");
    const Value *details = value_get(status, "details");
    if (!details || !err)
        return r;
    api_error_details(err, value_get_str(details, "group"), value_get_str(details, "kind"),
                      value_get_str(details, "name"), value_get_str(details, "uid"));
    err->retry_after = (int)value_get_int(details, "retryAfterSeconds", 0);
    const Value *cause;
    VALUE_FOREACH (cause, value_get(details, "causes"))
        api_error_cause(err, value_get_str(cause, "reason"), value_get_str(cause, "message"),
                        value_get_str(cause, "field"));
    return r;
}
