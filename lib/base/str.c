#include "base/str.h"

#include <ctype.h>
#include <errno.h>

bool streq_null(const char *a, const char *b) {
    return a && b ? streq(a, b) : a == b;
}

bool str_has_prefix(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

char *str_lower(Arena *arena, const char *s) {
    char *copy = arena_strdup(arena, s);
    for (char *p = copy; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p);
    return copy;
}

bool str_has_suffix(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && streq(s + n - m, suffix);
}

bool str_in(const char *s, const char *const *list) {
    for (; *list; list++)
        if (streq(s, *list))
            return true;
    return false;
}

char **str_split(Arena *arena, const char *s, char separator, size_t *ret_n) {
    size_t n = *s ? 1 : 0;
    for (const char *p = s; *p; p++)
        n += *p == separator;
    char **parts = arena_alloc(arena, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *end = strchrnul(s, separator);
        parts[i] = arena_strndup(arena, s, (size_t)(end - s));
        s = end + 1;
    }
    parts[n] = NULL;
    if (ret_n)
        *ret_n = n;
    return parts;
}

int str_to_int64(const char *s, int64_t *ret) {
    char *end;
    if (!(isdigit((unsigned char)*s) || (*s == '-' && isdigit((unsigned char)s[1]))))
        return -EINVAL;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno)
        return -ERANGE;
    *ret = v;
    return 0;
}

int str_to_uint64(const char *s, uint64_t *ret) {
    char *end;
    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno)
        return -ERANGE;
    *ret = v;
    return 0;
}

const char *str_next_line(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end + 1 : NULL;
}

uint64_t str_keyed_number(const char *text, const char *key) {
    size_t n = strlen(key);
    for (const char *line = text; line && *line; line = str_next_line(line))
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return strtoull(line + n + 1, NULL, 10);
    return 0;
}

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(Buf *out, const void *data, size_t n) {
    const uint8_t *p = data;
    char *to = n <= SIZE_MAX / 2 ? buf_reserve(out, (n + 2) / 3 * 4) : NULL;
    if (!to) {
        out->failed = true;
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        to[at++] = ALPHABET[v >> 18];
        to[at++] = ALPHABET[v >> 12 & 63];
        to[at++] = i + 1 < n ? ALPHABET[v >> 6 & 63] : '=';
        to[at++] = i + 2 < n ? ALPHABET[v & 63] : '=';
    }
    out->len += at;
    out->data[out->len] = 0;
}

static int digit_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *s, size_t n, uint8_t **ret, size_t *ret_n) {
    if (n % 4)
        return -EINVAL;
    size_t pad = n && s[n - 1] == '=' ? (s[n - 2] == '=' ? 2 : 1) : 0;
    _cleanup_free_ uint8_t *out = xmalloc(n / 4 * 3 + 1);
    size_t len = 0;
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = i >= n - pad ? 0 : digit_value(s[i]);
        if (d < 0)
            return -EINVAL;
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            out[len++] = (uint8_t)(v >> 16);
            out[len++] = (uint8_t)(v >> 8);
            out[len++] = (uint8_t)v;
            v = 0;
        }
    }
    len -= pad;
    out[len] = 0;
    *ret = TAKE_PTR(out);
    *ret_n = len;
    return 0;
}

void base64url_encode(Buf *out, const void *data, size_t n) {
    size_t start = out->len;
    base64_encode(out, data, n);
    if (out->failed)
        return;
    while (out->len > start && out->data[out->len - 1] == '=')
        out->len--;
    out->data[out->len] = 0;
    for (size_t i = start; i < out->len; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

int base64url_decode(const char *s, size_t n, uint8_t **ret, size_t *ret_n) {
    if (n > SIZE_MAX - 4)
        return -EINVAL;
    _cleanup_free_ char *padded = xmalloc(n + 4);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '+' || s[i] == '/' || s[i] == '=')
            return -EINVAL;
        padded[i] = s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i];
    }
    size_t len = n;
    while (len % 4)
        padded[len++] = '=';
    return n % 4 == 1 ? -EINVAL : base64_decode(padded, len, ret, ret_n);
}

void hex_encode(Buf *out, const void *data, size_t n) {
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        buf_putc(out, "0123456789abcdef"[p[i] >> 4]);
        buf_putc(out, "0123456789abcdef"[p[i] & 15]);
    }
}

void percent_encode(Buf *out, const char *s, const char *also_safe) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (isalnum(c) || strchr("-._~", c) || (also_safe && strchr(also_safe, c)))
            buf_putc(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

int percent_decode(char *s, bool plus_is_space) {
    char *to = s;
    for (char *p = s; *p; p++) {
        if (*p == '%') {
            if (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2]))
                return -EINVAL;
            char hex[3] = {p[1], p[2], 0};
            char c = (char)strtol(hex, NULL, 16);
            if (!c)
                return -EINVAL;
            *to++ = c;
            p += 2;
        } else
            *to++ = plus_is_space && *p == '+' ? ' ' : *p;
    }
    *to = 0;
    return (int)(to - s);
}
