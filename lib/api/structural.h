/* Structural schemas (the openAPIV3Schema of a CustomResourceDefinition) as schema tables: what prunes, defaults,
 * merges and applies custom resources. Pure. */
#pragma once

#include "api/schema.h"

#define STRUCTURAL_DEPTH_MAX 128 /* nesting; what is deeper is kept as it is */

/* The schema of a whole custom resource, with apiVersion, kind and metadata. Everything is made in `arena`; strings of
 * `schema` are borrowed and must live as long. `schema` NULL: any object. */
const Schema *structural_schema(Arena *arena, const Value *schema);
/* The schema of a part of one (a property, items), made the same way. */
const Schema *structural_part(Arena *arena, const Value *schema);
/* Members that are null where the schema is not nullable and has no default go: they count as absent. */
void structural_drop_nulls(const Value *schema, Value *v);
/* Nulls where the schema is not nullable and has a default become a copy of it. */
void structural_default_nulls(Arena *arena, const Value *schema, Value *v);
