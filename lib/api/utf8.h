/* UTF-8 as Go's unicode/utf8 reads it: a byte that is not part of a valid sequence stands alone as U+FFFD. */
#pragma once

#include "base/mem.h"

#define UTF8_REPLACEMENT 0xFFFD

/* The bytes of the first character (n > 0). Invalid: 1 and U+FFFD. */
static inline size_t utf8_decode(const char *s, size_t n, uint32_t *ret_rune) {
    const unsigned char *p = (const unsigned char *)s;
    *ret_rune = p[0];
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF && n >= 2 && (p[1] & 0xC0) == 0x80) {
        *ret_rune = (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
        return 2;
    }
    if ((p[0] & 0xF0) == 0xE0 && n >= 3 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80) {
        uint32_t rune = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        if (rune >= 0x800 && (rune < 0xD800 || rune > 0xDFFF)) {
            *ret_rune = rune;
            return 3;
        }
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4 && n >= 4 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80 &&
        (p[3] & 0xC0) == 0x80) {
        uint32_t rune =
            (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
        if (rune >= 0x10000 && rune <= 0x10FFFF) {
            *ret_rune = rune;
            return 4;
        }
    }
    *ret_rune = UTF8_REPLACEMENT;
    return 1;
}

/* Writes at most 4 bytes; surrogates and numbers past U+10FFFF become U+FFFD. Returns how many. */
static inline size_t utf8_encode(uint32_t rune, char out[4]) {
    if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF))
        rune = UTF8_REPLACEMENT;
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    if (rune < 0x800) {
        out[0] = (char)(0xC0 | rune >> 6);
        out[1] = (char)(0x80 | (rune & 0x3F));
        return 2;
    }
    if (rune < 0x10000) {
        out[0] = (char)(0xE0 | rune >> 12);
        out[1] = (char)(0x80 | (rune >> 6 & 0x3F));
        out[2] = (char)(0x80 | (rune & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | rune >> 18);
    out[1] = (char)(0x80 | (rune >> 12 & 0x3F));
    out[2] = (char)(0x80 | (rune >> 6 & 0x3F));
    out[3] = (char)(0x80 | (rune & 0x3F));
    return 4;
}

/* Near strconv.IsPrint for characters from U+0080: controls, separators, the byte order mark, private use, surrogates
 * and non-characters are not printable. */
static inline bool utf8_is_printable(uint32_t rune) {
    if (rune <= 0xA0 || rune == 0xAD || (rune >= 0x2000 && rune <= 0x200F) || (rune >= 0x2028 && rune <= 0x202F) ||
        (rune >= 0x205F && rune <= 0x206F) || rune == 0x3000 || rune == 0x1680)
        return false;
    if (rune == 0xFEFF || (rune >= 0xFFF0 && rune <= 0xFFFB) || (rune & 0xFFFE) == 0xFFFE ||
        (rune >= 0xD800 && rune <= 0xF8FF) || rune >= 0xE0000)
        return false;
    return true;
}
