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
/* Nulls where the schema has a default and is not nullable are dropped, as they count as absent. */
void structural_drop_nulls(const Value *schema, Value *v);
