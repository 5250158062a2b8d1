/* OpenAPI v2 documents of several servers in one (k8s.io/kube-openapi/pkg/aggregator). */
#pragma once

#include "api/value.h"

/* The paths of a document that begin with `prefix`, and the definitions and parameters that they lead to. NULL when
 * there are no such paths. What is returned shares nothing with the document. */
Value *openapi_filter(Arena *arena, const Value *document, const char *prefix);
/* Adds the paths, definitions and parameters of `other` to `document`; paths that are there stay. One of the same name
 * that says something else (descriptions aside) is added under another name, NAME_v2, _v3, ... In place; borrows
 * nothing. */
void openapi_merge(Arena *arena, Value *document, const Value *other);
