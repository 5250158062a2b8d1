#include "api/schema_format.h"
#include "api/names.h"
#include "base/buf.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define PATTERN_MAX 4096 /* bytes */

static const struct {
    char letter;
    const char *outside, *inside;
} classes[] = {
    {'d', "[0-9]", "0-9"},
    {'D', "[^0-9]", NULL},
    {'w', "[A-Za-z0-9_]", "A-Za-z0-9_"},
    {'W', "[^A-Za-z0-9_]", NULL},
    {'s', "[ \t\n\f\r]", " \t\n\f\r"},
    {'S', "[^ \t\n\f\r]", NULL},
    {'b', "\\b", NULL},
    {'B', "\\B", NULL},
    {'A', "^", NULL},
    {'z', "$", NULL},
    {'n', "\n", "\n"},
    {'t', "\t", "\t"},
    {'r', "\r", "\r"},
};

static int write_class(Buf *out, char letter, bool inside) {
    for (size_t i = 0; i < ELEMENTSOF(classes); i++)
        if (classes[i].letter == letter) {
            const char *text = inside ? classes[i].inside : classes[i].outside;
            if (!text)
                return -EINVAL;
            buf_puts(out, text);
            return 0;
        }
    return -EINVAL;
}

/* A bracket expression: POSIX knows no escapes there, so "]" goes first, and "^" and "-" last. */
static int write_bracket(Buf *out, const char **at) {
    _cleanup_buf_ Buf body = BUF_INIT(PATTERN_MAX);
    const char *p = *at + 1;
    bool negative = *p == '^', close = false, caret = false, dash = false, first = true;
    for (p += negative; *p && (*p != ']' || first); p++, first = false) {
        if (*p == '[' && p[1] == ':') {
            const char *end = strstr(p, ":]");
            if (!end)
                return -EINVAL;
            buf_append(&body, p, (size_t)(end + 2 - p));
            p = end + 1;
            continue;
        }
        char c = *p;
        if (c == '\\') {
            c = *++p;
            if (!c)
                return -EINVAL;
            if (isalnum((unsigned char)c)) {
                if (write_class(&body, c, true) < 0)
                    return -EINVAL;
                continue;
            }
        } else if (c == '-' && !first && p[1] != ']') {
            buf_putc(&body, c); /* a range */
            continue;
        }
        if (c == ']')
            close = true;
        else if (c == '^')
            caret = true;
        else if (c == '-')
            dash = true;
        else
            buf_putc(&body, c);
    }
    if (*p != ']')
        return -EINVAL;
    *at = p + 1;
    if (caret && !negative && !close && !body.len && !dash) {
        buf_puts(out, "\\^");
        return 0;
    }
    buf_printf(out, "[%s%s", negative ? "^" : "", close ? "]" : "");
    if (!body.len && !close && dash && caret)
        buf_puts(out, "-^]");
    else {
        buf_append(out, body.data ? body.data : "", body.len);
        buf_printf(out, "%s%s]", caret ? "^" : "", dash ? "-" : "");
    }
    return 0;
}

static int translate(const char *p, Buf *out, int *flags) {
    if (str_has_prefix(p, "(?i)")) {
        *flags |= REG_ICASE;
        p += 4;
    }
    while (*p) {
        if (*p == '[') {
            int r = write_bracket(out, &p);
            if (r < 0)
                return r;
        } else if (*p == '\\') {
            if (!p[1])
                return -EINVAL;
            if (isalnum((unsigned char)p[1])) {
                if (write_class(out, p[1], false) < 0)
                    return -EINVAL;
            } else
                buf_append(out, p, 2);
            p += 2;
        } else if (p[0] == '(' && p[1] == '?') {
            if (p[2] != ':')
                return -EINVAL;
            buf_putc(out, '(');
            p += 3;
        } else if ((*p == '*' || *p == '+' || *p == '?' || *p == '}') && (p[1] == '?' || p[1] == '+'))
            return -EINVAL;
        else
            buf_putc(out, *p++);
    }
    return 0;
}

int schema_pattern_compile(const char *pattern, regex_t *ret) {
    _cleanup_buf_ Buf out = BUF_INIT(2 * PATTERN_MAX);
    int flags = REG_EXTENDED | REG_NOSUB;
    if (strlen(pattern) > PATTERN_MAX)
        return -EINVAL;
    buf_puts(&out, "");
    int r = translate(pattern, &out, &flags);
    if (r < 0 || out.failed)
        return -EINVAL;
    return regcomp(ret, out.data, flags) == 0 ? 0 : -EINVAL;
}

static bool all_in(const char *text, size_t n, const char *set) {
    for (size_t i = 0; i < n; i++)
        if (!text[i] || !strchr(set, text[i]))
            return false;
    return true;
}

#define DIGITS "0123456789"
#define HEX "0123456789abcdefABCDEF"

static bool is_date(const char *text) {
    int64_t at;
    char full[32];
    if (strlen(text) != 10)
        return false;
    snprintf(full, sizeof full, "%sT00:00:00Z", text);
    return rfc3339_parse(full, &at) == 0;
}

static bool is_date_time(const char *text) {
    int64_t at;
    return rfc3339_parse(text, &at) == 0;
}

static bool is_ipv4(const char *text) {
    struct in_addr a;
    return inet_pton(AF_INET, text, &a) == 1;
}

static bool is_ipv6(const char *text) {
    struct in6_addr a;
    return inet_pton(AF_INET6, text, &a) == 1;
}

static bool is_cidr(const char *text) {
    char address[64];
    int64_t bits;
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof address || !slash[1] ||
        !all_in(slash + 1, strlen(slash + 1), DIGITS))
        return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = 0;
    if (str_to_int64(slash + 1, &bits) < 0)
        return false;
    return (is_ipv4(address) && bits <= 32) || (is_ipv6(address) && bits <= 128);
}

static bool is_uuid(const char *text) {
    static const size_t parts[] = {8, 4, 4, 4, 12};
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        if (!all_in(text, parts[i], HEX))
            return false;
        text += parts[i];
        if (i + 1 < ELEMENTSOF(parts) && *text == '-')
            text++;
    }
    return !*text;
}

static bool is_mac(const char *text) {
    size_t n = 0;
    char separator = 0;
    for (;; text += 3, n++) {
        if (!all_in(text, 2, HEX))
            return false;
        if (!text[2])
            break;
        if ((text[2] != ':' && text[2] != '-') || (separator && text[2] != separator))
            return false;
        separator = text[2];
    }
    return n + 1 == 6 || n + 1 == 8 || n + 1 == 20;
}

static bool is_hostname(const char *text) {
    return strlen(text) <= 255 && name_is_valid(text, name_dns_subdomain);
}

static bool is_email(const char *text) {
    const char *at = strrchr(text, '@');
    return at && at != text && at[1] && !strpbrk(text, " <>,\t\n") && at == strchr(text, '@');
}

static bool is_uri(const char *text) {
    if (*text == '/')
        return true;
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return n && isalpha((unsigned char)*text) && text[n] == ':' && !strchr(text, ' ');
}

static bool is_byte(const char *text) {
    size_t n = strlen(text), body = n;
    while (body && text[body - 1] == '=')
        body--;
    return n % 4 == 0 && n - body <= 2 &&
           all_in(text, body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "+/");
}

/* Go's durations: 1h30m, 1.5s, -2us. */
static bool is_duration(const char *text) {
    static const char *const units[] = {"ns", "us", "µs", "ms", "s", "m", "h"};
    text += *text == '-' || *text == '+';
    if (streq(text, "0"))
        return true;
    if (!*text)
        return false;
    while (*text) {
        size_t whole = strspn(text, DIGITS), part = 0;
        text += whole;
        if (*text == '.')
            text += 1 + (part = strspn(text + 1, DIGITS));
        if (!whole && !part)
            return false;
        size_t best = 0;
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
            if (str_has_prefix(text, units[i]))
                best = MAX(best, strlen(units[i]));
        if (!best)
            return false;
        text += best;
    }
    return true;
}

static bool is_anything(const char *text) {
    (void)text;
    return true;
}

static bool is_short_name(const char *text) {
    return name_is_valid(text, name_dns_label);
}

static bool is_long_name(const char *text) {
    return name_is_valid(text, name_dns_subdomain);
}

static const struct {
    const char *format;
    bool (*fits)(const char *text);
} formats[] = {
    {"date", is_date},
    {"date-time", is_date_time},
    {"datetime", is_date_time},
    {"ipv4", is_ipv4},
    {"ipv6", is_ipv6},
    {"cidr", is_cidr},
    {"uuid", is_uuid},
    {"mac", is_mac},
    {"hostname", is_hostname},
    {"email", is_email},
    {"uri", is_uri},
    {"byte", is_byte},
    {"duration", is_duration},
    {"password", is_anything},
    {"k8s-short-name", is_short_name},
    {"k8s-long-name", is_long_name},
};

bool schema_format_known(const char *format) {
    for (size_t i = 0; i < ELEMENTSOF(formats); i++)
        if (streq(formats[i].format, format))
            return true;
    return false;
}

bool schema_format_fits(const char *format, const char *text) {
    for (size_t i = 0; i < ELEMENTSOF(formats); i++)
        if (streq(formats[i].format, format))
            return formats[i].fits(text);
    return true;
}
