#include "api/scalar.h"

#include <errno.h>
#include <stdio.h>

#define LAYOUT "2006-01-02T15:04:05Z07:00"
#define LAYOUT_MICRO "2006-01-02T15:04:05.000000Z07:00"

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static bool leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int year, int month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar (years count from March, so that the leap day is
 * the last of its year). */
static int64_t days_from_civil(int year, int month, int day) {
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* One pass over the text; `element` is the part of the layout being read and `at` where it begins, for the message. */
typedef struct TimeParser {
    Arena *arena;
    const char *start, *p, *end, *layout;
    char *message;
} TimeParser;

static char *go_quote(Arena *arena, const char *s, size_t n) {
    char *out = arena_alloc(arena, n * 4 + 3), *o = out;
    *o++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            *o++ = '\\';
            *o++ = (char)c;
        } else if (c < ' ' || c >= 0x80)
            o += sprintf(o, "\\x%02x", c);
        else
            *o++ = (char)c;
    }
    *o++ = '"';
    *o = 0;
    return out;
}

static int cannot(TimeParser *t, const char *at, const char *element) {
    t->message = arena_printf(t->arena, "parsing time %s as \"%s\": cannot parse %s as \"%s\"",
                              go_quote(t->arena, t->start, (size_t)(t->end - t->start)), t->layout,
                              go_quote(t->arena, at, (size_t)(t->end - at)), element);
    return -EINVAL;
}

static int out_of_range(TimeParser *t, const char *what) {
    t->message = arena_printf(t->arena, "parsing time %s: %s out of range",
                              go_quote(t->arena, t->start, (size_t)(t->end - t->start)), what);
    return -EINVAL;
}

static int read_number(TimeParser *t, const char *element, int digits, bool fixed, int *ret) {
    const char *at = t->p;
    int value = 0, n = 0;
    while (n < digits && t->p + n < t->end && digit(t->p[n]))
        value = value * 10 + t->p[n++] - '0';
    if (n == 0 || (fixed && n < digits))
        return cannot(t, at, element);
    t->p += n;
    *ret = value;
    return 0;
}

static int read_literal(TimeParser *t, const char *literal) {
    if (t->p >= t->end || *t->p != *literal)
        return cannot(t, t->p, literal);
    t->p++;
    return 0;
}

static int read_fraction(TimeParser *t, bool micro, int32_t *ret_nanos) {
    *ret_nanos = 0;
    bool point = t->end - t->p >= 2 && (*t->p == '.' || *t->p == ',') && digit(t->p[1]);
    if (micro) {
        if (!point || t->end - t->p < 7)
            return cannot(t, t->p, ".000000");
        for (int i = 1; i <= 6; i++)
            if (!digit(t->p[i]))
                return cannot(t, t->p, ".000000");
    } else if (!point)
        return 0;
    t->p++;
    int32_t scale = 100000000;
    for (int n = 0; t->p < t->end && digit(*t->p) && !(micro && n == 6); n++, scale /= 10)
        *ret_nanos += (*t->p++ - '0') * scale;
    return 0;
}

static int read_zone(TimeParser *t, int *ret_offset) {
    const char *at = t->p;
    *ret_offset = 0;
    if (at < t->end && *at == 'Z') {
        t->p++;
        return 0;
    }
    if (t->end - at < 6 || (*at != '+' && *at != '-') || at[3] != ':' || !digit(at[1]) || !digit(at[2]) ||
        !digit(at[4]) || !digit(at[5]))
        return cannot(t, at, "Z07:00");
    int hours = (at[1] - '0') * 10 + at[2] - '0', minutes = (at[4] - '0') * 10 + at[5] - '0';
    if (hours > 24)
        return out_of_range(t, "time zone offset hour");
    if (minutes > 60)
        return out_of_range(t, "time zone offset minute");
    *ret_offset = (hours * 3600 + minutes * 60) * (*at == '-' ? -1 : 1);
    t->p += 6;
    return 0;
}

static int read_date(TimeParser *t, int *year, int *month, int *day) {
    int r = read_number(t, "2006", 4, true, year);
    if (r == 0)
        r = read_literal(t, "-");
    if (r == 0)
        r = read_number(t, "01", 2, true, month);
    if (r == 0 && (*month < 1 || *month > 12))
        return out_of_range(t, "month");
    if (r == 0)
        r = read_literal(t, "-");
    return r == 0 ? read_number(t, "02", 2, true, day) : r;
}

static int read_clock(TimeParser *t, int *hour, int *minute, int *second) {
    int r = read_number(t, "15", 2, false, hour);
    if (r == 0 && *hour > 23)
        return out_of_range(t, "hour");
    if (r == 0)
        r = read_literal(t, ":");
    if (r == 0)
        r = read_number(t, "04", 2, true, minute);
    if (r == 0 && *minute > 59)
        return out_of_range(t, "minute");
    if (r == 0)
        r = read_literal(t, ":");
    if (r == 0)
        r = read_number(t, "05", 2, true, second);
    if (r == 0 && *second > 59)
        return out_of_range(t, "second");
    return r;
}

int time_point_parse(Arena *arena, const char *s, size_t n, bool micro, TimePoint *ret, char **ret_message) {
    TimeParser t = {.arena = arena, .start = s, .p = s, .end = s + n, .layout = micro ? LAYOUT_MICRO : LAYOUT};
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, offset = 0;
    int32_t nanos = 0;
    int r = read_date(&t, &year, &month, &day);
    if (r == 0)
        r = read_literal(&t, "T");
    if (r == 0)
        r = read_clock(&t, &hour, &minute, &second);
    if (r == 0)
        r = read_fraction(&t, micro, &nanos);
    if (r == 0)
        r = read_zone(&t, &offset);
    if (r == 0 && t.p < t.end) {
        t.message = arena_printf(arena, "parsing time %s: extra text: %s", go_quote(arena, s, n),
                                 go_quote(arena, t.p, (size_t)(t.end - t.p)));
        r = -EINVAL;
    }
    if (r == 0 && (day < 1 || day > days_in(year, month)))
        r = out_of_range(&t, "day");
    if (r < 0) {
        *ret_message = t.message;
        return r;
    }
    *ret = (TimePoint){days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset, nanos};
    return 0;
}

void time_point_format(TimePoint t, bool micro, char out[TIME_POINT_TEXT_MAX]) {
    int64_t days = t.seconds / 86400, rest = t.seconds % 86400;
    if (rest < 0) {
        days--;
        rest += 86400;
    }
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    int n = snprintf(out, TIME_POINT_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, (int)(rest / 3600),
                     (int)(rest / 60 % 60), (int)(rest % 60));
    if (micro)
        n += snprintf(out + n, TIME_POINT_TEXT_MAX - (size_t)n, ".%06d", t.nanos / 1000);
    snprintf(out + n, TIME_POINT_TEXT_MAX - (size_t)n, "Z");
}

bool time_text_is_canonical(const char *s, size_t n, bool micro) {
    static const char shape[] = "0000-00-00T00:00:00.000000Z";
    if (n != (micro ? sizeof(shape) - 1 : 20))
        return false;
    for (size_t i = 0; i < n; i++) {
        char want = !micro && i == 19 ? 'Z' : shape[i];
        if (want == '0' ? !digit(s[i]) : s[i] != want)
            return false;
    }
    int month = (s[5] - '0') * 10 + s[6] - '0', day = (s[8] - '0') * 10 + s[9] - '0';
    /* Days 29 to 31 and everything out of range take the slow way. */
    return memcmp(s, "0001", 4) != 0 && month >= 1 && month <= 12 && day >= 1 && day <= 28 &&
           (s[11] - '0') * 10 + s[12] - '0' < 24 && s[14] < '6' && s[17] < '6';
}

static int sextet(unsigned char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (digit((char)c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t skip_newlines(const char *s, size_t n, size_t i) {
    while (i < n && (s[i] == '\n' || s[i] == '\r'))
        i++;
    return i;
}

/* The end of a text whose quantum was cut by '=' after `have` sextets; `i` is past that '='. */
static int base64_padding(const char *s, size_t n, size_t i, int have, size_t *ret_at) {
    if (have < 2) {
        *ret_at = i - 1;
        return -EINVAL;
    }
    if (have == 2) {
        i = skip_newlines(s, n, i);
        if (i == n) {
            *ret_at = n;
            return -EINVAL;
        }
        if (s[i++] != '=') {
            *ret_at = i - 1;
            return -EINVAL;
        }
    }
    i = skip_newlines(s, n, i);
    if (i < n) {
        *ret_at = i;
        return -EINVAL;
    }
    return 0;
}

int base64_go_decode(const char *s, size_t n, uint8_t *out, size_t *ret_n, bool *ret_canonical, size_t *ret_at) {
    size_t used = 0, i = 0;
    bool canonical = true, padded = false;
    while (i < n && !padded) {
        uint32_t bits = 0;
        int have = 0;
        while (have < 4) {
            if (i == n) {
                if (have == 0)
                    break;
                *ret_at = n - (size_t)have;
                return -EINVAL;
            }
            unsigned char c = (unsigned char)s[i++];
            int value = sextet(c);
            if (value >= 0) {
                bits = bits << 6 | (uint32_t)value;
                have++;
            } else if (c == '\n' || c == '\r')
                canonical = false;
            else if (c != '=') {
                *ret_at = i - 1;
                return -EINVAL;
            } else {
                int r = base64_padding(s, n, i, have, ret_at);
                if (r < 0)
                    return r;
                padded = true;
                break;
            }
        }
        uint32_t left = bits << (6 * (4 - have));
        int bytes = have ? have - 1 : 0;
        if (padded && (left << (8 + 8 * bytes)) != 0)
            canonical = false;
        for (int b = 0; b < bytes; b++, used++)
            if (out)
                out[used] = (uint8_t)(left >> (16 - 8 * b));
    }
    *ret_n = used;
    /* Newlines may also stand after the padding. */
    *ret_canonical = canonical && n == (used + 2) / 3 * 4;
    return 0;
}
