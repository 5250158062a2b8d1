/* Names of resources ("cpu", "requests.storage", "example.com/gpu") and quantities of them, as limit ranges, quotas and
 * nodes have them (the reference's pkg/apis/core/helper). Pure. */
#pragma once

#include "apiserver/registry/checks.h"

bool resource_name_is_native(const char *name);     /* unprefixed or of kubernetes.io */
bool resource_name_is_huge_page(const char *name);  /* hugepages-2Mi */
bool resource_name_is_extended(const char *name);   /* example.com/gpu */
bool resource_name_is_integer(const char *name);    /* counted, not measured */
bool resource_name_is_quota(const char *name);      /* standard, for quotas */

void resource_name_validate(FieldErrors *errors, const FieldPath *path, const char *name);
void resource_name_validate_for_container(FieldErrors *errors, const FieldPath *path, const char *name);
void resource_name_validate_for_quota(FieldErrors *errors, const FieldPath *path, const char *name);
/* Not negative, and whole where the resource is counted. */
void resource_quantity_validate(FieldErrors *errors, const FieldPath *path, const char *name, const Value *quantity);
