/* Trees seen through their schema, as sigs.k8s.io/structured-merge-diff sees them: which parts are one leaf (atomic),
 * which lists are keyed. Trees are normalised (schema_normalize) unless said otherwise. */
#pragma once

#include "api/fieldset.h"
#include "api/schema.h"
#include "api/status.h"

typedef struct Comparison {
    FieldSet *removed, *modified, *added; /* NULL when empty; no field is in two of them */
} Comparison;

/* What changed from `before` to `after` (neither NULL). */
Comparison typed_compare(Arena *arena, const Schema *schema, const Value *before, const Value *after);
/* Every leaf that is set, and every list item and map member. */
FieldSet *typed_fieldset(Arena *arena, const Schema *schema, const Value *v);
/* `live` with what `applied` says laid over it. Items of keyed lists are merged by key; in the order of `applied`, with
 * the others where they were. Neither is changed; the result shares their parts. */
Value *typed_merge(Arena *arena, const Schema *schema, Value *live, Value *applied);
/* Without the items and members in `remove`; shares what is kept. */
Value *typed_remove(Arena *arena, const Schema *schema, Value *v, const FieldSet *remove);
/* Fields with a name of the schema that have members below them become members. */
FieldSet *typed_with_named_fields(Arena *arena, const Schema *schema, FieldSet *set);
/* What was owned below a list or map that the schema has as one leaf by now: the leaf itself. The set itself where
 * nothing is. */
FieldSet *typed_reconcile(Arena *arena, const Schema *schema, FieldSet *set);
/* Checks a tree that was not normalised (an applied configuration): types, unknown fields, duplicate and missing keys.
 * NULL or the reference's message, such as ".bogus: field not declared in schema". */
char *typed_validate(Arena *arena, const Schema *schema, const Value *v);
/* The same, but that items of sets and maps may come twice. */
bool typed_fits(Arena *arena, const Schema *schema, const Value *v);
/* What Go's zero value of a built-in type is as JSON: the members that are always written. */
Value *typed_zero(Arena *arena, const Schema *schema);
/* As value_equal, but 1 and 1.0 are the same. */
bool typed_equal(const Value *a, const Value *b);
