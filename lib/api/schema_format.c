#include "api/schema_format.h"
#include "api/names.h"
#include "base/buf.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

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

/* `version` 0: any. Dashes may be left out. */
static bool is_uuid_of(const char *text, char version) {
    static const size_t parts[] = {8, 4, 4, 4, 12};
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        if (!all_in(text, parts[i], HEX))
            return false;
        if (version && i == 2 && *text != version)
            return false;
        if (version > '3' && i == 3 && !strchr("89abAB", *text))
            return false;
        text += parts[i];
        if (i + 1 < ELEMENTSOF(parts) && *text == '-')
            text++;
    }
    return !*text;
}

static bool is_uuid(const char *text) {
    return is_uuid_of(text, 0);
}

static bool is_uuid3(const char *text) {
    return is_uuid_of(text, '3');
}

static bool is_uuid4(const char *text) {
    return is_uuid_of(text, '4');
}

static bool is_uuid5(const char *text) {
    return is_uuid_of(text, '5');
}

/* ISO 2108: the digits without blanks and dashes, at most `max`; 0 when there is something else. */
static size_t isbn_digits(const char *text, char digits[14], size_t max) {
    size_t n = 0;
    for (; *text; text++) {
        if (*text == ' ' || *text == '-')
            continue;
        if (n == max || !(isdigit((unsigned char)*text) || (*text == 'X' && n == 9 && max == 10)))
            return 0;
        digits[n++] = *text;
    }
    return n == max ? n : 0;
}

static bool is_isbn10(const char *text) {
    char digits[14];
    unsigned sum = 0;
    if (!isbn_digits(text, digits, 10))
        return false;
    for (unsigned i = 0; i < 10; i++)
        sum += (i + 1) * (unsigned)(digits[i] == 'X' ? 10 : digits[i] - '0');
    return sum % 11 == 0;
}

static bool is_isbn13(const char *text) {
    char digits[14];
    unsigned sum = 0;
    if (!isbn_digits(text, digits, 13))
        return false;
    for (unsigned i = 0; i < 13; i++)
        sum += (i % 2 ? 3 : 1) * (unsigned)(digits[i] - '0');
    return sum % 10 == 0;
}

static bool is_isbn(const char *text) {
    return is_isbn10(text) || is_isbn13(text);
}

/* Numbers as the card schemes give them out, with Luhn's check digit (ISO/IEC 7812-1). */
static bool is_credit_card(const char *text) {
    static const struct {
        const char *from, *to; /* first digits */
        size_t min, max;
    } schemes[] = {
        {"4", "4", 13, 13},   {"4", "4", 16, 16},       {"51", "55", 16, 16},     {"34", "34", 15, 15},
        {"37", "37", 15, 15}, {"300", "305", 14, 14},   {"36", "36", 14, 14},     {"38", "38", 14, 14},
        {"65", "65", 16, 16}, {"6011", "6011", 16, 16}, {"2131", "2131", 15, 15}, {"1800", "1800", 15, 15},
        {"35", "35", 16, 16},
    };
    char digits[32];
    size_t n = 0;
    bool known = false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            continue;
        if (n == sizeof digits - 1)
            return false;
        digits[n++] = *text;
    }
    digits[n] = 0;
    for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
        known = known || (n >= schemes[i].min && n <= schemes[i].max &&
                          strncmp(digits, schemes[i].from, strlen(schemes[i].from)) >= 0 &&
                          strncmp(digits, schemes[i].to, strlen(schemes[i].to)) <= 0);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)(digits[n - 1 - i] - '0') << (i % 2);
        sum += digit > 9 ? digit - 9 : digit;
    }
    return known && sum % 10 == 0;
}

static bool is_ssn(const char *text) {
    static const size_t parts[] = {3, 2, 4};
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        if (i && (*text == '-' || *text == ' '))
            text++;
        if (!all_in(text, parts[i], DIGITS))
            return false;
        text += parts[i];
    }
    return !*text;
}

static bool is_hex_color(const char *text) {
    text += *text == '#';
    size_t n = strlen(text);
    return (n == 3 || n == 6) && all_in(text, n, HEX);
}

/* rgb(1, 2, 255) */
static bool is_rgb_color(const char *text) {
    if (!str_has_prefix(text, "rgb("))
        return false;
    text += 4;
    for (int i = 0; i < 3; i++) {
        text += strspn(text, " \t\n\f\r");
        size_t n = strspn(text, DIGITS);
        if (n == 0 || n > 3 || (n > 1 && *text == '0') || atoi(text) > 255)
            return false;
        text += n;
        text += strspn(text, " \t\n\f\r");
        if (*text++ != (i < 2 ? ',' : ')'))
            return false;
    }
    return !*text;
}

static bool is_bson_object_id(const char *text) {
    return strlen(text) == 24 && all_in(text, 24, HEX);
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
static bool is_go_duration(const char *text) {
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

/* Or any number with a unit in words somewhere: "3 days", "1 week". */
static bool is_duration(const char *text) {
    static const char *const exact[] = {"ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk", NULL};
    static const char *const prefixes[] = {"nano", "micro", "milli", "sec", "min", "hour", "day", "week"};
    if (is_go_duration(text))
        return true;
    while (*(text += strcspn(text, DIGITS))) {
        char unit[16] = "";
        text += strspn(text, DIGITS);
        text += strspn(text, " \t\n\f\r");
        for (size_t n = 0; n < sizeof unit - 1 && (isalpha((unsigned char)*text) || (unsigned char)*text >= 0x80); n++)
            unit[n] = (char)tolower((unsigned char)*text++);
        if (str_in(unit, exact))
            return true;
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
            if (str_has_prefix(unit, prefixes[i]))
                return true;
    }
    return false;
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
    {"ipv4", is_ipv4},
    {"ipv6", is_ipv6},
    {"cidr", is_cidr},
    {"uuid", is_uuid},
    {"uuid3", is_uuid3},
    {"uuid4", is_uuid4},
    {"uuid5", is_uuid5},
    {"isbn", is_isbn},
    {"isbn10", is_isbn10},
    {"isbn13", is_isbn13},
    {"creditcard", is_credit_card},
    {"ssn", is_ssn},
    {"hexcolor", is_hex_color},
    {"rgbcolor", is_rgb_color},
    {"bsonobjectid", is_bson_object_id},
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

/* Dashes do not count: date-time is datetime. */
static bool same_format(const char *a, const char *b) {
    for (;; a++, b++) {
        a += strspn(a, "-");
        b += strspn(b, "-");
        if (*a != *b)
            return false;
        if (!*a)
            return true;
    }
}

bool schema_format_known(const char *format) {
    for (size_t i = 0; i < ELEMENTSOF(formats); i++)
        if (same_format(formats[i].format, format))
            return true;
    return false;
}

bool schema_format_fits(const char *format, const char *text) {
    for (size_t i = 0; i < ELEMENTSOF(formats); i++)
        if (same_format(formats[i].format, format))
            return formats[i].fits(text);
    return true;
}
