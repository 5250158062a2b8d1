/* Validation of custom resources against an OpenAPI v3 schema, in the words of the reference (kube-openapi's
 * validator): types, required, enum, pattern, bounds, lengths, items, formats, allOf, anyOf, oneOf, not, nullable,
 * x-kubernetes-int-or-string. Immutable once made; any thread. */
#pragma once

#include "api/status.h"

#define JSON_SCHEMA_DEPTH_MAX 128

typedef struct JsonSchema JsonSchema;

/* Borrows `schema`, which may be NULL (everything passes). Patterns are compiled now: -EINVAL and *ret_pattern
 * (borrowed from the schema) for one that is wrong. */
int json_schema_new(const Value *schema, JsonSchema **ret, const char **ret_pattern);
void json_schema_free(JsonSchema *schema);
DEFINE_CLEANUP(JsonSchema, json_schema_free)

/* Checks `v` (of the part of the schema at `property`; NULL: all of it) with paths below `prefix` (NULL: the root).
 * `old`: the value before an update; parts that did not change are not held against it. NULL: all is checked. */
void json_schema_validate(const JsonSchema *schema, const char *property, const FieldPath *prefix, const Value *v,
                          const Value *old, FieldErrors *errors);
/* Whether x-kubernetes-validations (CEL) appear in it; they are not evaluated. */
bool json_schema_has_rules(const JsonSchema *schema);
/* Whether x-kubernetes-embedded-resource appears in it: elsewhere nobody need look for such resources in objects. */
bool json_schema_has_embedded(const JsonSchema *schema);
