/* Strings: comparison, prefixes, splitting, numbers, base64, hex, percent-coding. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

static inline bool streq(const char *a, const char *b) {
    return *a == *b && strcmp(a, b) == 0; /* most that differ do so in the first byte */
}
bool streq_null(const char *a, const char *b); /* NULL equals NULL only */
bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);
char *str_lower(Arena *arena, const char *s); /* a copy; ASCII */
static inline bool str_empty(const char *s) {
    return !s || !*s;
}
static inline const char *str_or(const char *s, const char *otherwise) {
    return str_empty(s) ? otherwise : s;
}
/* Is `s` one of the strings, a list that ends with NULL? */
bool str_in(const char *s, const char *const *list);

/* Splits at every `separator`; "" gives no parts, "a," gives "a" and "". NULL-terminated array in the arena. */
char **str_split(Arena *arena, const char *s, char separator, size_t *ret_n);

/* Whole-string decimal numbers. -EINVAL when not a number, -ERANGE when it does not fit. */
int str_to_int64(const char *s, int64_t *ret);
int str_to_uint64(const char *s, uint64_t *ret);

/* What follows the line that begins at `line`; NULL when that has no end. */
const char *str_next_line(const char *line);

/* Of "key value" lines, as in cgroups' memory.stat: the value of `key`, 0 without one. */
uint64_t str_keyed_number(const char *text, const char *key);

/* Standard base64 with padding. Decoding refuses any other byte (-EINVAL); *ret is NUL-terminated, owned by the caller.
 */
void base64_encode(Buf *out, const void *data, size_t n);
int base64_decode(const char *s, size_t n, uint8_t **ret, size_t *ret_n);
/* base64url without padding, as in JWTs and SPKI pins. */
void base64url_encode(Buf *out, const void *data, size_t n);
int base64url_decode(const char *s, size_t n, uint8_t **ret, size_t *ret_n);
void hex_encode(Buf *out, const void *data, size_t n);

/* RFC 3986 percent-coding. `plus_is_space` for query strings. Decoding is in place and returns the new length, -EINVAL
 * on a bad escape or a NUL. */
void percent_encode(Buf *out, const char *s, const char *also_safe);
int percent_decode(char *s, bool plus_is_space);
