/* Encoding of trees: JSON exactly as Go's encoding/json, and the quoting of messages. */
#include "api/value.h"
#include "api/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char hex_digits[] = "0123456789abcdef";

/* 1 for the ASCII bytes that encoding/json writes as they are (with HTML escaping). */
static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

#define EACH_BYTE(b) (0x0101010101010101ull * (uint8_t)(b))
#define HAS_ZERO(w) (((w)-EACH_BYTE(1)) & ~(w)&EACH_BYTE(0x80))

/* Length of the run of plain bytes at s, eight at a time. */
static size_t plain_run(const char *s, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, s + i, 8);
        uint64_t special = (w & EACH_BYTE(0x80)) | HAS_ZERO(w & EACH_BYTE(0xE0)) | HAS_ZERO(w ^ EACH_BYTE('"')) |
                           HAS_ZERO(w ^ EACH_BYTE('\\')) | HAS_ZERO(w ^ EACH_BYTE('<')) | HAS_ZERO(w ^ EACH_BYTE('>')) |
                           HAS_ZERO(w ^ EACH_BYTE('&'));
        if (special)
            break;
    }
    while (i < n && is_plain((unsigned char)s[i]))
        i++;
    return i;
}

static void write_escape(Buf *out, unsigned char c) {
    static const char short_names[] = "btn\vfr";
    if (c == '"' || c == '\\') {
        char text[2] = {'\\', (char)c};
        buf_append(out, text, 2);
    } else if (c >= 8 && c <= 13 && c != 11) {
        char text[2] = {'\\', short_names[c - 8]};
        buf_append(out, text, 2);
    } else {
        char text[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
        buf_append(out, text, 6);
    }
}

void json_write_string(Buf *out, const char *s, size_t n) {
    buf_putc(out, '"');
    for (size_t i = 0; i < n;) {
        size_t run = plain_run(s + i, n - i);
        if (run) {
            buf_append(out, s + i, run);
            i += run;
            continue;
        }
        if ((unsigned char)s[i] < 0x80) {
            write_escape(out, (unsigned char)s[i++]);
            continue;
        }
        uint32_t rune;
        size_t width = utf8_decode(s + i, n - i, &rune);
        if (width == 1)
            buf_puts(out, "\\ufffd");
        else if (rune == 0x2028 || rune == 0x2029)
            buf_puts(out, rune == 0x2028 ? "\\u2028" : "\\u2029");
        else
            buf_append(out, s + i, width);
        i += width;
    }
    buf_putc(out, '"');
}

/* The shortest digits that read back as d, in %e form: "d.ddde-07". */
static void shortest_e(double d, char text[40]) {
    /* 15 digits always survive the way through a normal double, so fewer need not be tried there. */
    for (int precision = fabs(d) < 2.3e-308 ? 0 : 14; precision <= 16; precision++) {
        snprintf(text, 40, "%.*e", precision, d);
        if (strtod(text, NULL) == d)
            return;
    }
}

size_t json_format_double(double d, char out[JSON_DOUBLE_MAX]) {
    if (d == 0) {
        strcpy(out, signbit(d) ? "-0" : "0");
        return strlen(out);
    }
    char text[40];
    shortest_e(d, text);
    int exponent = atoi(strchr(text, 'e') + 1);
    char digits[24];
    size_t n = 0;
    for (const char *p = text; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    char *o = out;
    if (d < 0)
        *o++ = '-';
    if (exponent < -6 || exponent >= 21) { /* encoding/json's floatEncoder: 'e' below 1e-6 and from 1e21 */
        *o++ = digits[0];
        if (n > 1) {
            *o++ = '.';
            memcpy(o, digits + 1, n - 1);
            o += n - 1;
        }
        o += sprintf(o, exponent < 0 ? "e-%d" : "e+%d", abs(exponent));
    } else if (exponent < 0) {
        *o++ = '0';
        *o++ = '.';
        for (int i = -1; i > exponent; i--)
            *o++ = '0';
        memcpy(o, digits, n);
        o += n;
    } else {
        for (size_t i = 0; i < MAX(n, (size_t)exponent + 1); i++) {
            if (i == (size_t)exponent + 1)
                *o++ = '.';
            *o++ = i < n ? digits[i] : '0';
        }
    }
    *o = 0;
    return (size_t)(o - out);
}

static void write_int(Buf *out, int64_t v) {
    char text[24], *p = text + sizeof(text);
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    buf_append(out, p, (size_t)(text + sizeof(text) - p));
}

static void write_double(Buf *out, double d) {
    if (isfinite(d)) {
        char text[JSON_DOUBLE_MAX];
        buf_append(out, text, json_format_double(d, text));
    } else
        buf_puts(out, "null"); /* no such JSON number; our decoders make none */
}

static bool write_scalar(Buf *out, const Value *v) {
    switch (v ? (ValueType)v->type : VALUE_NULL) {
    case VALUE_NULL:
        buf_append(out, "null", 4);
        return true;
    case VALUE_BOOL:
        buf_puts(out, v->boolean ? "true" : "false");
        return true;
    case VALUE_INT:
        write_int(out, v->integer);
        return true;
    case VALUE_DOUBLE:
        write_double(out, v->number);
        return true;
    case VALUE_STRING:
        json_write_string(out, v->string, v->len);
        return true;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        break;
    }
    return false;
}

void value_write_json(Buf *out, const Value *v) {
    if (write_scalar(out, v))
        return;
    if (v->type == VALUE_ARRAY) {
        buf_putc(out, '[');
        for (size_t i = 0; i < v->len; i++) {
            if (i)
                buf_putc(out, ',');
            value_write_json(out, v->items[i]);
        }
        buf_putc(out, ']');
        return;
    }
    buf_putc(out, '{');
    bool first = true;
    for (size_t i = 0; i < v->len; i++) {
        if (value_is_unset(v->members[i].value))
            continue;
        if (!first)
            buf_putc(out, ',');
        first = false;
        json_write_string(out, v->members[i].name, strlen(v->members[i].name));
        buf_putc(out, ':');
        value_write_json(out, v->members[i].value);
    }
    buf_putc(out, '}');
}

static void new_line(Buf *out, const char *indent, int depth) {
    buf_putc(out, '\n');
    while (depth-- > 0)
        buf_puts(out, indent);
}

static void write_pretty(Buf *out, const Value *v, const char *indent, int depth) {
    if (write_scalar(out, v))
        return;
    bool array = v->type == VALUE_ARRAY;
    buf_putc(out, array ? '[' : '{');
    size_t n = 0;
    for (size_t i = 0; i < v->len; i++) {
        if (!array && value_is_unset(v->members[i].value))
            continue;
        if (n++)
            buf_putc(out, ',');
        new_line(out, indent, depth + 1);
        if (!array) {
            json_write_string(out, v->members[i].name, strlen(v->members[i].name));
            buf_puts(out, ": ");
        }
        write_pretty(out, array ? v->items[i] : v->members[i].value, indent, depth + 1);
    }
    if (n)
        new_line(out, indent, depth);
    buf_putc(out, array ? ']' : '}');
}

void value_write_json_pretty(Buf *out, const Value *v, const char *indent) {
    write_pretty(out, v, indent, 0);
}

static void quote_ascii(Buf *out, unsigned char c) {
    static const char names[] = "abtnvfr"; /* \a is 7 */
    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c >= 7 && c <= 13)
        buf_printf(out, "\\%c", names[c - 7]);
    else if (c < 0x20 || c == 0x7f)
        buf_printf(out, "\\x%02x", c);
    else
        buf_putc(out, (char)c);
}

void go_quote_n(Buf *out, const char *s, size_t n) {
    buf_putc(out, '"');
    for (size_t i = 0; i < n;) {
        uint32_t rune;
        size_t width = utf8_decode(s + i, n - i, &rune);
        if (rune < 0x80)
            quote_ascii(out, (unsigned char)rune);
        else if (width == 1)
            buf_printf(out, "\\x%02x", (unsigned char)s[i]);
        else if (utf8_is_printable(rune))
            buf_append(out, s + i, width);
        else if (rune < 0x10000)
            buf_printf(out, "\\u%04x", rune);
        else
            buf_printf(out, "\\U%08x", rune);
        i += width;
    }
    buf_putc(out, '"');
}

void go_quote(Buf *out, const char *s) {
    go_quote_n(out, s, strlen(s));
}

char *go_quoted(Arena *arena, const char *s) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    go_quote(&buf, s);
    return arena_strndup(arena, buf.data, buf.len);
}

char *value_to_text(Arena *arena, const Value *v) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    if (value_is(v, VALUE_STRING))
        go_quote_n(&buf, v->string, v->len);
    else
        value_write_json(&buf, v);
    return arena_strndup(arena, buf.data, buf.len);
}
