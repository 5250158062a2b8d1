/* What the validations of all kinds share: small checks of members in the reference's words. Pure; any thread. */
#pragma once

#include "api/names.h"
#include "apiserver/registry/strategy.h"

#define MUST_NOT_CHANGE "field is immutable"

const char *text_at(const Value *object, const char *name); /* "" when absent or not a string */
bool text_is(const Value *object, const char *name, const char *text);
bool list_has(const Value *list, const char *text);
/* Absent, null and empty are alike. */
bool same_value(const Value *a, const Value *b);

void check_required(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path);
/* NotSupported unless `text` is one of `values`. */
void check_one_of(FieldErrors *errors, const FieldPath *path, const char *text, const char *const *values);
/* The same for a member that may be absent. */
void check_member_one_of(FieldErrors *errors, const Value *object, const char *name, const char *const *values,
                         const FieldPath *path);
void check_not_negative(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path);
void check_immutable(FieldErrors *errors, const Value *object, const Value *old, const char *name,
                     const FieldPath *path);
void check_immutable_values(FieldErrors *errors, const FieldPath *path, const Value *now, const Value *was);
void check_name_member(FieldErrors *errors, const Value *object, const char *name, name_check check,
                       const FieldPath *path); /* empty is let pass */
/* The same of what a pointer holds in the reference: empty is checked too. */
void check_name_if_present(FieldErrors *errors, const Value *object, const char *name, name_check check,
                           const FieldPath *path);
/* Of a text that Go holds as a string, not as a pointer to one: absent prints as "". */
void check_immutable_text(FieldErrors *errors, const Value *object, const Value *old, const char *name,
                          const FieldPath *path);
/* A list of metav1.Condition; `path` is the list's. */
void check_status_conditions(FieldErrors *errors, const Value *conditions, const FieldPath *path);
/* Quantities. */
void check_quantity_not_negative(FieldErrors *errors, const FieldPath *path, const Value *quantity);

/* For Strategy.validate_name. */
void validate_label_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path);
void validate_subdomain_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path);
void validate_path_segment_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path);

/* A JSON text's member that holds an annotation. */
const char *annotation_of(const Value *object, const char *key); /* NULL: absent */
