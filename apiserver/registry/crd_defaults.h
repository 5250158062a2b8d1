/* The defaults in the openAPIV3Schema of a CustomResourceDefinition, as k8s.io/apiextensions-apiserver/pkg/apiserver/
 * schema/defaulting checks them: a default has no members that its schema would prune, is valid by it, and an embedded
 * resource in it, or around it, is one. Rules in CEL are not evaluated. Pure. */
#pragma once

#include "api/status.h"

/* `schema`: a structural one, at `path`. */
void crd_defaults_validate(const Value *schema, FieldErrors *errors, const FieldPath *path);
/* Whether there is a default anywhere in it; it need not be structural. */
bool crd_defaults_any(const Value *schema);
