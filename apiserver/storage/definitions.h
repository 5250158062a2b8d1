/* CustomResourceDefinitions as the reference stores them: apiextensions.k8s.io/v1beta1, though it serves v1 only
 * (k8s.io/apiextensions-apiserver, pkg/apis/apiextensions/v1/conversion.go). */
#pragma once

#include "api/value.h"

bool definition_is_old(const char *api_version, const char *kind);
/* The same definition in v1's form: what v1beta1 says once for all versions is said for each. Changes `v`. */
Value *definition_from_old(Arena *arena, Value *v);
