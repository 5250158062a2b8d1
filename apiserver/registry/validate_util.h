/* What the files of semantic validation share: small checks of one member, in the reference's words. `path` is the path
 * of the object that has the member, unless said otherwise. Pure; any thread. */
#pragma once

#include "api/names.h"
#include "base/str.h"

#define MUST_BE_IMMUTABLE "field is immutable"

/* "" when absent. */
static inline const char *text_of(const Value *object, const char *name) {
    return str_or(value_get_str(object, name), "");
}
static inline const char *item_text(const Value *list, size_t i) {
    return str_or(value_str(value_at(list, i)), "");
}
/* Is `text` the member `name` of an item of `list` before `end`? `name` NULL: is it one of a list of texts? The list is
 * indexed in *errors when it is long, and must not change as long as that is in use. */
bool seen_before(FieldErrors *errors, const Value *list, size_t end, const char *name, const char *text);

void member_required(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path); /* not empty */
/* One of `values`; empty is "required". */
void member_one_of(FieldErrors *errors, const Value *object, const char *name, const char *const *values,
                   const FieldPath *path);
/* One of `values` when set. */
void member_one_of_if_set(FieldErrors *errors, const Value *object, const char *name, const char *const *values,
                          const FieldPath *path);
void member_name_if_set(FieldErrors *errors, const Value *object, const char *name, name_check check,
                        const FieldPath *path);
void member_nonnegative(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path);
/* Member `name` must not be greater than member `other` of the same object. */
void member_not_above(FieldErrors *errors, const Value *object, const char *name, const char *other,
                      const char *message, const FieldPath *path);
/* Member `name` is the same in both; what is new is printed as the internal struct `type` (internal_print.h), as it
 * stands when NULL. */
void member_immutable(FieldErrors *errors, const Value *object, const Value *old, const char *name, const char *type,
                      const FieldPath *path);
/* Invalid without a value (field.OmitValueType). */
void field_invalid_plain(FieldErrors *errors, const FieldPath *path, const char *message);
/* metadata.annotations of a template, at the path of the map: keys and total size. */
void annotations_validate(FieldErrors *errors, const Value *annotations, const FieldPath *path);
/* validation.IsDomainPrefixedPath: "acme.io/foo". */
void field_check_domain_path(FieldErrors *errors, const FieldPath *path, const char *text);
/* ValidateCSIDriverName, of a name that is there: a domain in either case. */
#define DRIVER_NAME_MAX 63
void driver_name_validate(FieldErrors *errors, const char *name, const FieldPath *path);
/* Go's %q of a list of strings: ["a" "b"]. */
char *go_quoted_list(Arena *arena, const char *const *values);
bool is_ip_text(const char *text); /* an IPv4 or IPv6 address */
