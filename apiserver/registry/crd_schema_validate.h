/* The openAPIV3Schema of a CustomResourceDefinition, checked as the reference checks it: that it is structural
 * (k8s.io/apiextensions-apiserver/pkg/apiserver/schema), that its defaults fit (its package defaulting), and that it
 * uses only what custom resources may (pkg/apis/apiextensions/validation). CEL expressions are not compiled. Pure. */
#pragma once

#include "api/status.h"

/* `validation`: the object that holds openAPIV3Schema, at `path`; `status`: the status subresource is on. */
void crd_schema_validate(const Value *validation, bool status, FieldErrors *errors, const FieldPath *path);

/* Appends the formats in the schema that nobody checks to the array `found`. */
void crd_schema_formats(Arena *arena, const Value *schema, Value *found);

/* The field that a path of names (".spec.a", ".spec['a.b']") leads to. NULL and *ret_error (in the arena) when it leads
 * nowhere; *ret_text is the path as the reference prints it. */
const Value *crd_schema_field(Arena *arena, const Value *schema, const char *path, bool allow_brackets,
                              const char **ret_text, const char **ret_error);
