/* Header fields as connections keep them: name NUL value NUL, one after the other. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The field at *at, which then is where the next one begins; *at is 0 before the first. false: no more. What it gives
 * points into `fields`, which may be NULL when n is 0. */
static inline bool fields_next(const char *fields, size_t n, size_t *at, const char **ret_name,
                               const char **ret_value) {
    if (*at >= n)
        return false;
    *ret_name = fields + *at;
    *ret_value = *ret_name + strlen(*ret_name) + 1;
    *at = (size_t)(*ret_value - fields) + strlen(*ret_value) + 1;
    return true;
}
