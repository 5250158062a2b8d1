#include "base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

uint64_t now_monotonic_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

int64_t now_realtime_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * (int64_t)NS_PER_SEC + ts.tv_nsec;
}

static char *format(int64_t ns, char *out, int digits) {
    time_t sec = (time_t)(ns / (int64_t)NS_PER_SEC);
    long rest = (long)(ns % (int64_t)NS_PER_SEC);
    if (rest < 0) {
        rest += (long)NS_PER_SEC;
        sec--;
    }
    struct tm tm;
    gmtime_r(&sec, &tm);
    char fraction[16] = "";
    if (digits == 6)
        snprintf(fraction, sizeof fraction, ".%06ld", rest / 1000);
    else if (digits == 9)
        snprintf(fraction, sizeof fraction, ".%09ld", rest);
    snprintf(out, RFC3339_MAX, "%04u-%02u-%02uT%02u:%02u:%02u%sZ", (unsigned)(tm.tm_year + 1900) % 10000u,
             (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
             (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u, fraction);
    return out;
}

char *rfc3339_format(int64_t ns, char out[RFC3339_MAX]) {
    return format(ns, out, 0);
}

char *rfc3339_format_micro(int64_t ns, char out[RFC3339_MAX]) {
    return format(ns, out, 6);
}

char *rfc3339_format_nano(int64_t ns, char out[RFC3339_MAX]) {
    return format(ns, out, 9);
}

char *rfc3339_format_offset(int64_t ns, int64_t offset_s, char out[RFC3339_MAX]) {
    rfc3339_format(ns + offset_s * (int64_t)NS_PER_SEC, out);
    if (offset_s == 0)
        return out;
    size_t n = strlen(out) - 1; /* instead of the Z */
    int64_t minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    snprintf(out + n, RFC3339_MAX - n, "%c%02d:%02d", offset_s < 0 ? '-' : '+', (int)(minutes / 60 % 100),
             (int)(minutes % 60));
    return out;
}

static int digits(const char **p, int n, int *ret) {
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return -EINVAL;
        v = v * 10 + (**p - '0');
    }
    *ret = v;
    return 0;
}

static int literal(const char **p, char c) {
    return *(*p)++ == c ? 0 : -EINVAL;
}

static int days_in_month(int year, int month) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : DAYS[month - 1];
}

int rfc3339_parse(const char *s, int64_t *ret) {
    int year, month, day, hour, minute, second;
    if (digits(&s, 4, &year) || literal(&s, '-') || digits(&s, 2, &month) || literal(&s, '-') || digits(&s, 2, &day) ||
        literal(&s, 'T') || digits(&s, 2, &hour) || literal(&s, ':') || digits(&s, 2, &minute) || literal(&s, ':') ||
        digits(&s, 2, &second))
        return -EINVAL;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return -EINVAL;
    int64_t fraction = 0;
    if (*s == '.') {
        int64_t scale = (int64_t)NS_PER_SEC / 10;
        if (!isdigit((unsigned char)*++s))
            return -EINVAL;
        for (; isdigit((unsigned char)*s); s++, scale /= 10)
            fraction += (*s - '0') * scale;
    }
    int64_t offset = 0;
    if (*s == 'Z')
        s++;
    else {
        int sign = *s == '+' ? 1 : *s == '-' ? -1 : 0, oh, om;
        s++;
        if (!sign || digits(&s, 2, &oh) || literal(&s, ':') || digits(&s, 2, &om) || oh > 23 || om > 59)
            return -EINVAL;
        offset = sign * (oh * 3600 + om * 60);
    }
    if (*s)
        return -EINVAL;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    int64_t seconds = (int64_t)timegm(&tm) - offset, ns;
    if (__builtin_mul_overflow(seconds, (int64_t)NS_PER_SEC, &ns) ||
        __builtin_add_overflow(ns, (int64_t)fraction, &ns)) /* outside 1678..2262 */
        ns = seconds < 0 ? INT64_MIN : INT64_MAX;
    *ret = ns;
    return 0;
}

/* One number and its unit, in ns. Fractions are cut to whole nanoseconds. */
static int duration_term(const char **p, uint64_t *ret) {
    static const struct {
        const char *name;
        uint64_t ns;
    } UNITS[] = {{"ns", 1},         {"us", 1000},      {"\xc2\xb5s", 1000},    {"\xce\xbcs", 1000},
                 {"ms", NS_PER_MS}, {"s", NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC}};
    const char *s = *p;
    uint64_t whole = 0, unit = 0;
    double fraction = 0, scale = 1;
    if (!isdigit((unsigned char)*s) && !(*s == '.' && isdigit((unsigned char)s[1])))
        return -EINVAL;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(whole, 10u, &whole) || __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
            return -EINVAL;
    if (*s == '.')
        for (s++; isdigit((unsigned char)*s); s++)
            fraction += (*s - '0') * (scale /= 10);
    size_t len = strcspn(s, "0123456789.");
    for (size_t i = 0; i < ELEMENTSOF(UNITS); i++)
        if (strlen(UNITS[i].name) == len && strncmp(UNITS[i].name, s, len) == 0)
            unit = UNITS[i].ns;
    if (!unit || __builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(whole, (uint64_t)(fraction * (double)unit), ret))
        return -EINVAL;
    *p = s + len;
    return 0;
}

int duration_parse(const char *s, int64_t *ret) {
    bool negative = *s == '-';
    uint64_t total = 0, term;
    if (*s == '-' || *s == '+')
        s++;
    if (strcmp(s, "0") == 0) {
        *ret = 0;
        return 0;
    }
    if (!*s)
        return -EINVAL;
    while (*s)
        if (duration_term(&s, &term) < 0 || __builtin_add_overflow(total, term, &total))
            return -EINVAL;
    if (total > (uint64_t)INT64_MAX + negative)
        return -EINVAL;
    *ret = negative ? (int64_t)(0 - total) : (int64_t)total;
    return 0;
}

char *duration_human(int64_t ns, char out[32]) {
    int64_t s = ns / (int64_t)NS_PER_SEC, m = s / 60, h = m / 60, d = h / 24, y = d / 365;
    if (s < -1)
        snprintf(out, 32, "<invalid>");
    else if (s < 0)
        snprintf(out, 32, "0s");
    else if (s < 60 * 2)
        snprintf(out, 32, "%" PRId64 "s", s);
    else if (m < 10)
        s % 60 ? snprintf(out, 32, "%" PRId64 "m%" PRId64 "s", m, s % 60) : snprintf(out, 32, "%" PRId64 "m", m);
    else if (m < 60 * 3)
        snprintf(out, 32, "%" PRId64 "m", m);
    else if (h < 8)
        m % 60 ? snprintf(out, 32, "%" PRId64 "h%" PRId64 "m", h, m % 60) : snprintf(out, 32, "%" PRId64 "h", h);
    else if (h < 48)
        snprintf(out, 32, "%" PRId64 "h", h);
    else if (h < 24 * 8)
        h % 24 ? snprintf(out, 32, "%" PRId64 "d%" PRId64 "h", d, h % 24) : snprintf(out, 32, "%" PRId64 "d", d);
    else if (h < 24 * 365 * 2)
        snprintf(out, 32, "%" PRId64 "d", d);
    else if (h < 24 * 365 * 8 && d % 365)
        snprintf(out, 32, "%" PRId64 "y%" PRId64 "d", y, d % 365);
    else
        snprintf(out, 32, "%" PRId64 "y", y);
    return out;
}

/* A number of `unit` nanoseconds, with what is left over as decimals. */
static int write_decimal(char *out, size_t size, uint64_t ns, uint64_t unit, const char *suffix) {
    char decimals[16] = "";
    int digits = 0;
    for (uint64_t place = unit / 10, rest = ns % unit; rest; rest %= place, place /= 10)
        decimals[digits++] = (char)('0' + rest / place);
    return snprintf(out, size, "%llu%s%.*s%s", (unsigned long long)(ns / unit), digits ? "." : "", digits, decimals,
                    suffix);
}

char *duration_format(int64_t ns, char out[48]) {
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, minutes = left / (60 * NS_PER_SEC);
    int n = ns < 0 ? snprintf(out, 48, "-") : 0;
    if (left && left < NS_PER_SEC) {
        bool ms = left >= NS_PER_MS, us = left >= 1000;
        write_decimal(out + n, 48 - (size_t)n, left, ms ? NS_PER_MS : us ? 1000 : 1, ms ? "ms" : us ? "µs" : "ns");
        return out;
    }
    if (minutes >= 60)
        n += snprintf(out + n, 48 - (size_t)n, "%lluh", (unsigned long long)(minutes / 60));
    if (minutes)
        n += snprintf(out + n, 48 - (size_t)n, "%llum", (unsigned long long)(minutes % 60));
    write_decimal(out + n, 48 - (size_t)n, left % (60 * NS_PER_SEC), NS_PER_SEC, "s");
    return out;
}
