#include "api/yaml_scalar.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 400 /* longer digits are text to every reader of ours */

static bool word(const char *s, Scalar *ret) {
    static const char *const yes[] = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
    static const char *const no[] = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    static const char *const infinite[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL};
    static const char *const minus_infinite[] = {"-.inf", "-.Inf", "-.INF", NULL};
    if (str_in(s, yes) || str_in(s, no))
        *ret = (Scalar){.kind = SCALAR_BOOL, .boolean = str_in(s, yes)};
    else if (str_in(s, nothing))
        *ret = (Scalar){.kind = SCALAR_NULL};
    else if (str_in(s, nan_words))
        *ret = (Scalar){.kind = SCALAR_FLOAT, .number = NAN};
    else if (str_in(s, infinite) || str_in(s, minus_infinite))
        *ret = (Scalar){.kind = SCALAR_FLOAT, .number = *s == '-' ? -INFINITY : INFINITY};
    else if (streq(s, "<<"))
        *ret = (Scalar){.kind = SCALAR_MERGE};
    else
        return false;
    return true;
}

/* strconv.ParseInt(s, 0, 64) and ParseUint: 0x, 0o, 0b and a leading 0 name the base. */
static bool integer(const char *s, Scalar *ret) {
    bool negative = *s == '-';
    const char *p = s + (*s == '-' || *s == '+');
    int base = 10;
    if (p[0] == '0' && p[1]) {
        char c = (char)(p[1] | 32);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        p += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    uint64_t v = 0;
    if (!*p)
        return false;
    for (; *p; p++) {
        int digit = *p >= '0' && *p <= '9'                 ? *p - '0'
                    : (*p | 32) >= 'a' && (*p | 32) <= 'f' ? (*p | 32) - 'a' + 10
                                                           : 99;
        if (digit >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v))
            return false;
    }
    if (negative && v > (uint64_t)INT64_MAX + 1)
        return false;
    if (*s == '+' && v > INT64_MAX) /* ParseUint takes no sign */
        return false;
    *ret = (Scalar){
        .kind = SCALAR_INT, .integer = negative ? (int64_t)-v : (int64_t)v, .is_unsigned = !negative && v > INT64_MAX};
    return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_like_float(const char *p) {
    p += *p == '-' || *p == '+';
    size_t whole = strspn(p, "0123456789");
    p += whole;
    if (*p == '.') {
        p++;
        size_t fraction = strspn(p, "0123456789");
        if (!whole && !fraction)
            return false;
        p += fraction;
    } else if (!whole)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t digits = strspn(p, "0123456789");
        if (!digits)
            return false;
        p += digits;
    }
    return !*p;
}

static bool number(const char *s, Scalar *ret) {
    char plain[NUMBER_MAX + 1];
    size_t n = 0;
    for (const char *p = s; *p; p++) {
        if (n == NUMBER_MAX)
            return false;
        if (*p != '_')
            plain[n++] = *p;
    }
    plain[n] = 0;
    if (*s != '.' && integer(plain, ret))
        return true;
    if (!looks_like_float(*s == '.' ? s : plain))
        return false;
    errno = 0;
    double d = strtod(plain, NULL);
    if (errno == ERANGE && fabs(d) > 1)
        return false;
    *ret = (Scalar){.kind = SCALAR_FLOAT, .number = d};
    return true;
}

/* The forms 2006-1-2, 2006-1-2 15:4:5.9 and 2006-1-2T15:4:5.9Z07:00. */
static bool timestamp(const char *s, Scalar *ret) {
    if (strspn(s, "0123456789") != 4 || s[4] != '-')
        return false;
    int year, month, day, hour = 0, minute = 0, second = 0, used = 0;
    if (sscanf(s, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || !used || strpbrk(s, "+") == s + 5)
        return false;
    const char *rest = s + used, *fraction = "", *zone = "";
    size_t n_fraction = 0;
    if (*rest) {
        bool t = *rest == 'T' || *rest == 't';
        int more = 0;
        if ((!t && *rest != ' ') || sscanf(rest + 1, "%2d:%2d:%2d%n", &hour, &minute, &second, &more) != 3 || !more)
            return false;
        rest += 1 + more;
        if (*rest == '.') {
            fraction = rest;
            n_fraction = 1 + strspn(rest + 1, "0123456789");
            rest += n_fraction;
        }
        zone = rest;
        if (t ? !*zone : *zone != 0)
            return false;
    }
    char text[80];
    if (n_fraction > 10 || strlen(zone) > 6)
        return false;
    while (n_fraction > 1 && fraction[n_fraction - 1] == '0')
        n_fraction--;
    if (n_fraction == 1)
        n_fraction = 0;
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d%.*s%s", year, month, day, hour, minute, second,
             (int)n_fraction, fraction, *zone ? zone : "Z");
    int64_t ns;
    if (rfc3339_parse(text, &ns) < 0 || strlen(text) >= sizeof(ret->time))
        return false;
    *ret = (Scalar){.kind = SCALAR_TIME};
    strcpy(ret->time, text);
    return true;
}

Scalar yaml_scalar_resolve(const char *s) {
    Scalar scalar = {.kind = SCALAR_STRING};
    if (*s && !strchr("+-0123456789yYnNtTfFoO~.<", *s))
        return scalar;
    if (word(s, &scalar))
        return scalar;
    if (*s && strchr("+-0123456789.", *s) && !timestamp(s, &scalar))
        number(s, &scalar);
    return scalar;
}
