#include "apiserver/registry/go_duration.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

/* As package time quotes: byte by byte, unlike strconv. */
static const char *quoted(Arena *arena, const char *text, size_t n) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    buf_putc(&out, '"');
    for (const char *p = text; p < text + n; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < ' ' || c >= 0x80)
            buf_printf(&out, "\\x%02x", c);
        else
            buf_printf(&out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    buf_putc(&out, '"');
    return arena_strndup(arena, out.data, out.len);
}

/* The first unit that is none; NULL: all numbers have a known one, or a number is wrong before that. */
static const char *wrong_unit(const char *p, size_t *ret_len) {
    static const char *const units[] = {"ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h"};
    while (*p) {
        size_t whole = strspn(p, "0123456789"), fraction = p[whole] == '.' ? strspn(p + whole + 1, "0123456789") : 0;
        if (whole + fraction == 0)
            return NULL;
        p += whole + (p[whole] == '.' ? 1 + fraction : 0);
        size_t len = strcspn(p, ".0123456789"), i = 0;
        while (i < ELEMENTSOF(units) && (strlen(units[i]) != len || strncmp(units[i], p, len) != 0))
            i++;
        if (i == ELEMENTSOF(units)) {
            *ret_len = len;
            return p;
        }
        p += len;
    }
    return NULL;
}

const char *go_duration_parse(Arena *arena, const char *text, int64_t *ret_ns) {
    size_t len = 0;
    if (duration_parse(text, ret_ns) == 0)
        return NULL;
    const char *all = quoted(arena, text, strlen(text));
    const char *unit = wrong_unit(text + (*text == '-' || *text == '+'), &len);
    if (!unit)
        return arena_printf(arena, "time: invalid duration %s", all);
    if (!len)
        return arena_printf(arena, "time: missing unit in duration %s", all);
    return arena_printf(arena, "time: unknown unit %s in duration %s", quoted(arena, unit, len), all);
}
