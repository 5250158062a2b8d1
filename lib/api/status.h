/* Errors that a client will read: what becomes a Kubernetes Status object (metav1.Status). Functions that can refuse a
 * request take an ApiError * last and return negative errno; on failure they fill it. `ApiError err = {0}` is empty.
 * Reasons, codes and messages follow k8s.io/apimachinery/pkg/api/errors. */
#pragma once

#include "api/list_index.h"
#include "api/value.h"

typedef struct ApiCause {
    char *reason, *message, *field;
} ApiCause;

typedef struct ApiError {
    int code;                        /* HTTP status; 0: no error */
    const char *reason;              /* static: "NotFound", "Invalid", ...; "" for Unknown */
    char *message;                   /* owned */
    char *name, *group, *kind, *uid; /* details; owned, may be NULL */
    ApiCause *causes;
    size_t n_causes;
    char *continue_token; /* metadata.continue: where an expired list may go on; owned, may be NULL */
    int retry_after;      /* seconds; 0: none */
    bool no_details;      /* Status without details */
    bool empty_details;   /* `details: {}` where there is nothing to say, as NewGenericServerResponse does */
} ApiError;

void api_error_done(ApiError *err); /* frees and empties */
#define _cleanup_api_error_ _cleanup_(api_error_done)
/* The general form. Returns the negative errno that stands for `code` (404 -ENOENT, 409 AlreadyExists -EEXIST,
 * 409 Conflict -ESTALE, 410 -EKEYEXPIRED, 403 -EACCES, 401 -EPERM, 422 and 400 -EINVAL, 413 -EFBIG, 429 -EAGAIN,
 * 405 -EOPNOTSUPP, 406 and 415 -EPROTONOSUPPORT, 504 -ETIMEDOUT, 503 -EHOSTUNREACH, others -EIO). */
int api_error_set(ApiError *err, int code, const char *reason, const char *format, ...) _printf_(4, 5);
void api_error_details(ApiError *err, const char *group, const char *kind, const char *name, const char *uid);
void api_error_cause(ApiError *err, const char *reason, const char *message, const char *field);
/* From errno alone, where nothing better is known: internal errors. Returns r. */
int api_error_from_errno(ApiError *err, int r, const char *doing);

/* The reference's constructors. `resource` is the plural. */
int api_error_not_found(ApiError *err, const char *group, const char *resource, const char *name);
int api_error_already_exists(ApiError *err, const char *group, const char *resource, const char *name);
int api_error_conflict(ApiError *err, const char *group, const char *resource, const char *name, const char *why);
int api_error_internal(ApiError *err, const char *what); /* "Internal error occurred: what", and it as the cause */
int api_error_bad_request(ApiError *err, const char *format, ...) _printf_(2, 3);
int api_error_forbidden(ApiError *err, const char *group, const char *resource, const char *name, const char *why);
int api_error_method_not_supported(ApiError *err, const char *group, const char *resource, const char *action);
int api_error_gone(ApiError *err, const char *message);    /* reason Gone */
int api_error_expired(ApiError *err, const char *message); /* reason Expired, code 410 */

Value *api_error_to_status(Arena *arena, const ApiError *err); /* kind Status, apiVersion v1 */
/* Fills err from a Status object (client side). */
int api_error_from_status(ApiError *err, const Value *status, int http_code);

/* Field errors, collected by validation (k8s.io/apimachinery/pkg/util/validation/field). Paths are linked on the stack:
 *     FieldPath spec = FIELD(NULL, "spec"); FieldPath c = FIELD(&spec, "containers"); FieldPath i = FIELD_INDEX(&c, 3);
 * prints as spec.containers[3]. */
typedef struct FieldPath FieldPath;
struct FieldPath {
    const FieldPath *parent;
    const char *name; /* NULL: an index or a key */
    const char *key;
    int64_t index;
};
#define FIELD(up, field_name) ((FieldPath){.parent = (up), .name = (field_name)})
#define FIELD_INDEX(up, i) ((FieldPath){.parent = (up), .index = (int64_t)(i)})
#define FIELD_KEY(up, k) ((FieldPath){.parent = (up), .key = (k)})
char *field_path_text(Arena *arena, const FieldPath *path); /* NULL gives "<nil>" */

typedef enum FieldErrorType {
    FIELD_NOT_FOUND,
    FIELD_REQUIRED,
    FIELD_DUPLICATE,
    FIELD_INVALID,
    FIELD_NOT_SUPPORTED,
    FIELD_FORBIDDEN,
    FIELD_TOO_LONG,
    FIELD_TOO_MANY,
    FIELD_INTERNAL,
    FIELD_TYPE_INVALID
} FieldErrorType;

typedef struct FieldErrors { /* all strings in the arena */
    Arena *arena;
    struct FieldError {
        FieldErrorType type;
        char *field, *detail, *message; /* message as field.Error.ErrorBody */
    } * items;
    size_t n;
    ListIndexes lists; /* of what is validated */
} FieldErrors;
#define FIELD_ERRORS_INIT(a) ((FieldErrors){.arena = (a), .lists = {.arena = (a)}})
#define FIELD_ERRORS_MAX 1000 /* past it further errors are counted in n, not kept */
/* How many of them are kept: items[0..]. */
static inline size_t field_errors_kept(const FieldErrors *errors) {
    return MIN(errors->n, (size_t)FIELD_ERRORS_MAX);
}
/* All of `from`, whose texts are shared. */
void field_errors_append(FieldErrors *to, const FieldErrors *from);
/* Those that are not among `to` already, by path and message. */
void field_errors_merge(FieldErrors *to, const FieldErrors *from);

void field_required(FieldErrors *errors, const FieldPath *path, const char *detail);
/* `bad` is printed as the reference prints it (value_to_text); NULL prints null. */
void field_invalid(FieldErrors *errors, const FieldPath *path, const Value *bad, const char *format, ...)
    _printf_(4, 5);
void field_invalid_str(FieldErrors *errors, const FieldPath *path, const char *bad, const char *format, ...)
    _printf_(4, 5);
void field_duplicate(FieldErrors *errors, const FieldPath *path, const Value *bad);
void field_not_supported(FieldErrors *errors, const FieldPath *path, const Value *bad, const char *const *supported);
void field_forbidden(FieldErrors *errors, const FieldPath *path, const char *format, ...) _printf_(3, 4);
void field_internal(FieldErrors *errors, const FieldPath *path, const char *format, ...) _printf_(3, 4);
void field_too_long(FieldErrors *errors, const FieldPath *path, int64_t max_len);
void field_too_many(FieldErrors *errors, const FieldPath *path, int64_t actual, int64_t max);
void field_not_found(FieldErrors *errors, const FieldPath *path, const Value *bad);
void field_type_invalid(FieldErrors *errors, const FieldPath *path, const Value *bad, const char *detail);
/* errors.NewInvalid: 422 with a cause each. 0 and nothing set when there are none. */
int api_error_invalid(ApiError *err, const char *group, const char *kind, const char *name, const FieldErrors *errors);
