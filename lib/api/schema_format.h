/* The formats of strings in OpenAPI schemas, as kube-openapi/pkg/validation/strfmt checks them. Pure; any thread. */
#pragma once

#include "base/str.h"

/* Formats that are checked; others are ignored, as the reference does with those it does not know. */
bool schema_format_known(const char *format);
bool schema_format_fits(const char *format, const char *text);
