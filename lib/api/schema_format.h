/* The string side of OpenAPI schemas: patterns and formats. Pure; any thread. */
#pragma once

#include "base/str.h"

#include <regex.h>

/* Compiles a pattern of Go's syntax; -EINVAL when it is wrong or uses what POSIX expressions cannot say (lazy
 * repetition, Unicode classes, word boundaries inside classes). The caller frees with regfree. */
int schema_pattern_compile(const char *pattern, regex_t *ret);
/* Formats that are checked; others are ignored, as the reference does with those it does not know. */
bool schema_format_known(const char *format);
bool schema_format_fits(const char *format, const char *text);
