#include "api/quantity.h"

#include <errno.h>
#include <stdio.h>

#define NANO (-9)
#define DIGITS_KEPT 30 /* of a longer number; leaves room for the zeros of formatting */
#define DIGITS_MAX 37  /* of an unscaled number: 10^38 still fits in 127 bits */
#define INT64_DIGITS                                                                                                   \
    18 /* maxInt64Factors of the reference: up to here it takes its integer path and may keep the text */
#define EXPONENT_MAX 1000000

static const char format_wrong[] =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
static const char numeric_wrong[] = "unable to parse numeric part of quantity";
static const char suffix_wrong[] = "unable to parse quantity's suffix";

static const struct {
    char text[3];
    int8_t base, exponent;
} suffixes[] = {
    {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0},   {"k", 10, 3},  {"M", 10, 6},
    {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20},
    {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};

typedef struct Parts {
    bool negative;
    const char *num, *denom, *suffix;
    size_t n_num, n_denom;
} Parts;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Cuts the text; NULL or the message. The scan stops early where nothing can follow, as the reference's does. */
static const char *quantity_split(const char *s, Parts *parts) {
    const char *p = s;
    *parts = (Parts){.num = "", .denom = "", .suffix = ""};
    if (!*p)
        return format_wrong;
    parts->negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    while (*p == '0')
        p++;
    parts->num = p;
    while (is_digit(*p))
        p++;
    parts->n_num = (size_t)(p - parts->num);
    if (*p == '.') {
        parts->denom = ++p;
        while (is_digit(*p))
            p++;
        parts->n_denom = (size_t)(p - parts->denom);
    }
    parts->suffix = p;
    p += strspn(p, "eEinumkKMGTP");
    if (*p == '-' || *p == '+')
        p++;
    while (is_digit(*p))
        p++;
    return *p ? format_wrong : NULL;
}

static const char *suffix_interpret(const char *s, int *ret_base, int64_t *ret_exponent, QuantityFormat *ret_format) {
    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
        if (strcmp(suffixes[i].text, s) == 0) {
            *ret_base = suffixes[i].base;
            *ret_exponent = suffixes[i].exponent;
            *ret_format = suffixes[i].base == 2 ? QUANTITY_BINARY_SI : QUANTITY_DECIMAL_SI;
            return NULL;
        }
    if ((*s != 'e' && *s != 'E') || !s[1])
        return suffix_wrong;
    char *end;
    errno = 0;
    long long exponent = strtoll(s + 1, &end, 10);
    if (*end || end == s + 1 || errno || !(is_digit(s[1]) || is_digit(s[2])))
        return suffix_wrong;
    *ret_base = 10;
    *ret_exponent = exponent;
    *ret_format = QUANTITY_DECIMAL_EXPONENT;
    return NULL;
}

static __int128 power10(int n) {
    __int128 v = 1;
    while (n-- > 0)
        v *= 10;
    return v;
}

/* Divides by 10^n, away from zero. */
static __int128 shrink(__int128 v, int64_t n) {
    if (n > DIGITS_MAX)
        return v > 0 ? 1 : v < 0 ? -1 : 0;
    __int128 by = power10((int)n), q = v / by;
    if (v % by)
        q += v > 0 ? 1 : -1;
    return q;
}

static char digit_at(const Parts *parts, size_t i) {
    return i < parts->n_num ? parts->num[i] : parts->denom[i - parts->n_num];
}

/* num and denom as v * 10^exponent, without zeros at either end. Of more digits than can be held the first are kept and
 * one more that stands for the rest, so that rounding up sees it. */
static __int128 read_digits(const Parts *parts, int64_t *ret_exponent) {
    size_t start = 0, end = parts->n_num + parts->n_denom;
    while (end > 0 && digit_at(parts, end - 1) == '0')
        end--;
    while (start < end && digit_at(parts, start) == '0')
        start++;
    bool more = end - start > DIGITS_MAX - 1;
    if (more)
        end = start + DIGITS_KEPT;
    __int128 v = 0;
    for (size_t i = start; i < end; i++)
        v = v * 10 + (digit_at(parts, i) - '0');
    if (more) {
        v = v * 10 + 1;
        end++;
    }
    *ret_exponent = (int64_t)parts->n_num - (int64_t)end;
    return v;
}

static void settle(Quantity *q) {
    if (q->exponent < NANO) {
        q->unscaled = shrink(q->unscaled, NANO - (int64_t)q->exponent);
        q->exponent = NANO;
    }
    if (q->unscaled == 0)
        q->exponent = 0;
}

/* 15 less digits less three per ten powers of two: the bound of the integer path */
static int binary_precision(const Parts *parts, int64_t exponent) {
    return 15 - (int)MAX(parts->n_num, (size_t)1) - (int)((float)exponent * 3 / 10) - 1;
}

static bool keeps_text(const Parts *parts, QuantityFormat format, int64_t exponent, __int128 digits, int64_t shift) {
    if (format == QUANTITY_BINARY_SI) {
        return parts->n_denom == 0 && binary_precision(parts, exponent) >= 0 &&
               ((uint64_t)(digits * power10((int)shift)) & 7) != 0;
    }
    size_t n = MAX(parts->n_num, (size_t)1) + parts->n_denom;
    int64_t scale = exponent - (int64_t)parts->n_denom;
    if (n > INT64_DIGITS || scale < NANO || scale % 3 != 0 || parts->n_num == 0)
        return false;
    size_t zeros = 0;
    while (zeros < n) {
        size_t at = n - 1 - zeros;
        if ((at >= parts->n_num ? parts->denom[at - parts->n_num] : parts->num[at]) != '0')
            break;
        zeros++;
    }
    return zeros < 3;
}

static const char *parse(const char *s, Quantity *ret) {
    Parts parts;
    const char *wrong = quantity_split(s, &parts);
    if (wrong)
        return wrong;
    int base = 10;
    int64_t exponent = 0;
    QuantityFormat format = QUANTITY_DECIMAL_SI;
    wrong = suffix_interpret(parts.suffix, &base, &exponent, &format);
    if (wrong)
        return wrong;
    int64_t shift;
    __int128 v = read_digits(&parts, &shift);
    if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX || shift > EXPONENT_MAX || shift < -EXPONENT_MAX)
        return numeric_wrong;
    Quantity q = {.format = format, .exponent = (int)shift + (base == 10 ? (int)exponent : 0)};
    if (q.exponent > EXPONENT_MAX - DIGITS_MAX) /* so that its canonical text can be read back */
        return numeric_wrong;
    q.as_written = (v == 0 && strcmp(s, "0") == 0) || (v != 0 && keeps_text(&parts, format, exponent, v, shift));
    if (base == 2) {
        __int128 by = (__int128)1 << exponent, most = power10(DIGITS_MAX) / by;
        if (v > most) /* fraction digits that cannot matter at nano make room */
            while (v > most && q.exponent < NANO) {
                v = shrink(v, 1);
                q.exponent++;
            }
        if (v > most && shift < 0) /* more than 2^63 in any case: the cap below decides */
            while (v > most && q.exponent < 0) {
                v = shrink(v, 1);
                q.exponent++;
            }
        v = v > most ? power10(DIGITS_MAX) : v * by;
    }
    q.unscaled = parts.negative ? -v : v;
    settle(&q);
    if (format == QUANTITY_BINARY_SI) {
        Quantity cap = {.unscaled = parts.negative ? -(__int128)INT64_MAX : INT64_MAX}, one = {.unscaled = 1};
        int over = quantity_compare(&q, &cap);
        if (parts.negative ? over < 0 : over > 0)
            q = (Quantity){.unscaled = cap.unscaled, .format = format};
        Quantity size = q;
        size.unscaled = q.unscaled < 0 ? -q.unscaled : q.unscaled;
        if (quantity_sign(&size) > 0 && quantity_compare(&size, &one) < 0)
            q.format = QUANTITY_DECIMAL_SI;
    }
    *ret = q;
    return NULL;
}

int quantity_parse(const char *s, Quantity *ret) {
    return parse(s, ret) ? -EINVAL : 0;
}

const char *quantity_parse_message(const char *s) {
    Quantity q;
    return parse(s, &q);
}

static char *digits_text(__int128 v, char out[48]) {
    char *p = out + 47;
    unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    *p = 0;
    do
        *--p = (char)('0' + (int)(u % 10));
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    return p;
}

static char *format_decimal(const Quantity *q, QuantityFormat format, char out[QUANTITY_TEXT_MAX]) {
    __int128 v = q->unscaled;
    int exponent = q->exponent;
    while (v % 10 == 0) {
        v /= 10;
        exponent++;
    }
    int up = ((exponent % 3) + 3) % 3;
    /* past exa there is no suffix: zeros instead */
    if (format == QUANTITY_DECIMAL_SI && exponent - up > 18)
        up = exponent - 18;
    char digits[48], *text = digits_text(v, digits);
    size_t n = strlen(text);
    if (n + (size_t)up > QUANTITY_TEXT_MAX - 16) { /* only reached by values of more than 60 digits */
        format = QUANTITY_DECIMAL_EXPONENT;
        up = ((exponent % 3) + 3) % 3;
    }
    memcpy(out, text, n);
    memset(out + n, '0', (size_t)up);
    out[n + (size_t)up] = 0;
    exponent -= up;
    if (format == QUANTITY_DECIMAL_EXPONENT) {
        if (exponent)
            sprintf(out + strlen(out), "e%d", exponent);
        return out;
    }
    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
        if (suffixes[i].base == 10 && suffixes[i].exponent == exponent)
            strcat(out, suffixes[i].text);
    return out;
}

/* Whole units as they are, or false when there is a fraction or too many digits. */
static bool whole(const Quantity *q, __int128 *ret) {
    __int128 v = q->unscaled;
    if (q->exponent > 0) {
        if (q->exponent > 20)
            return false;
        __int128 by = power10(q->exponent), most = power10(DIGITS_MAX) / by;
        if (v > most || v < -most)
            return false;
        *ret = v * by;
        return true;
    }
    __int128 by = power10(-q->exponent);
    *ret = v / by;
    return v % by == 0;
}

char *quantity_format(const Quantity *q, char out[QUANTITY_TEXT_MAX]) {
    if (q->unscaled == 0)
        return strcpy(out, "0");
    __int128 v;
    if (q->format != QUANTITY_BINARY_SI || !whole(q, &v) || (v > -1024 && v < 1024))
        return format_decimal(
            q, q->format == QUANTITY_DECIMAL_EXPONENT ? QUANTITY_DECIMAL_EXPONENT : QUANTITY_DECIMAL_SI, out);
    int exponent = 0;
    while (v % 1024 == 0 && exponent < 60) {
        v /= 1024;
        exponent += 10;
    }
    char digits[48];
    strcpy(out, digits_text(v, digits));
    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
        if (exponent && suffixes[i].base == 2 && suffixes[i].exponent == exponent)
            strcat(out, suffixes[i].text);
    return out;
}

static bool takes_integer_path(const Parts *parts, QuantityFormat format, int64_t exponent) {
    size_t digits = MAX(parts->n_num, (size_t)1) + parts->n_denom;
    if (format == QUANTITY_BINARY_SI)
        return parts->n_denom == 0 && binary_precision(parts, exponent) >= 0;
    return digits <= INT64_DIGITS && exponent - (int64_t)parts->n_denom >= NANO;
}

int quantity_form(const char *canonical, QuantityForm *ret) {
    *ret = (QuantityForm){.format = QUANTITY_DECIMAL_SI};
    Parts parts;
    Quantity q;
    int base;
    int64_t exponent;
    QuantityFormat format;
    if (parse(canonical, &q) || quantity_split(canonical, &parts) ||
        suffix_interpret(parts.suffix, &base, &exponent, &format))
        return -EINVAL;
    ret->format = q.format;
    ret->keeps_text = q.as_written;
    ret->negative = parts.negative;
    if (strcmp(canonical, "0") == 0)
        return 0;
    if (takes_integer_path(&parts, format, exponent)) {
        int64_t v = 0;
        for (size_t i = 0; i < parts.n_num + parts.n_denom; i++)
            v = v * 10 + (digit_at(&parts, i) - '0');
        if (base == 2)
            v *= (int64_t)1 << exponent;
        ret->value = parts.negative ? -v : v;
        ret->scale = base == 2 ? 0 : (int)(exponent - (int64_t)parts.n_denom);
        return 0;
    }
    ret->is_decimal = true;
    ret->unscaled = (unsigned __int128)(q.unscaled < 0 ? -q.unscaled : q.unscaled);
    for (int i = q.exponent; i > NANO && ret->unscaled <= ~(unsigned __int128)0 / 10; i--)
        ret->unscaled *= 10;
    return 0;
}

int quantity_sign(const Quantity *q) {
    return (q->unscaled > 0) - (q->unscaled < 0);
}

static int digit_count(__int128 v) {
    int n = 0;
    for (; v; v /= 10)
        n++;
    return n;
}

int quantity_compare(const Quantity *a, const Quantity *b) {
    int sa = quantity_sign(a), sb = quantity_sign(b);
    if (sa != sb || sa == 0)
        return (sa > sb) - (sa < sb);
    int da = digit_count(a->unscaled) + a->exponent, db = digit_count(b->unscaled) + b->exponent;
    if (da != db)
        return (da > db ? 1 : -1) * sa;
    /* The same magnitude: bringing both to the smaller exponent adds no more digits than the longer one has. */
    __int128 va = a->unscaled, vb = b->unscaled;
    if (a->exponent > b->exponent)
        va *= power10(a->exponent - b->exponent);
    else
        vb *= power10(b->exponent - a->exponent);
    return (va > vb) - (va < vb);
}

/* Saturates at 10^37 of the smaller exponent's unit. */
static __int128 scaled_to(const Quantity *q, int exponent) {
    int up = q->exponent - exponent;
    __int128 most = power10(DIGITS_MAX);
    if (q->unscaled == 0)
        return 0;
    if (digit_count(q->unscaled) + up > DIGITS_MAX)
        return q->unscaled > 0 ? most : -most;
    return q->unscaled * power10(up);
}

static void add_signed(Quantity *a, const Quantity *b, int sign) {
    if (a->unscaled == 0) /* the reference takes the other's format when adding to zero */
        a->format = b->format;
    int exponent = b->unscaled == 0 ? a->exponent : a->unscaled == 0 ? b->exponent : MIN(a->exponent, b->exponent);
    __int128 vb = scaled_to(b, exponent), va = scaled_to(a, exponent);
    a->unscaled = va + (sign > 0 ? vb : -vb);
    a->exponent = exponent;
    a->as_written = false;
    while (digit_count(a->unscaled) > DIGITS_MAX) {
        a->unscaled = shrink(a->unscaled, 1);
        a->exponent++;
    }
    if (a->unscaled == 0)
        a->exponent = 0;
}

void quantity_add(Quantity *a, const Quantity *b) {
    add_signed(a, b, 1);
}

void quantity_sub(Quantity *a, const Quantity *b) {
    add_signed(a, b, -1);
}

static int64_t rounded(const Quantity *q, int scale) {
    if (q->unscaled == 0)
        return 0;
    int up = q->exponent - scale;
    bool negative = q->unscaled < 0;
    __int128 v;
    if (up <= 0)
        v = shrink(q->unscaled, -(int64_t)up);
    else if (digit_count(q->unscaled) + up > 20)
        return negative ? INT64_MIN : INT64_MAX;
    else
        v = q->unscaled * power10(up);
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int64_t quantity_value(const Quantity *q) {
    return rounded(q, 0);
}

int64_t quantity_milli_value(const Quantity *q) {
    return rounded(q, -3);
}

Quantity quantity_from_int(int64_t value, QuantityFormat format) {
    return (Quantity){.unscaled = value, .format = format};
}

Quantity quantity_from_milli(int64_t milli, QuantityFormat format) {
    return (Quantity){.unscaled = milli, .exponent = milli ? -3 : 0, .format = format};
}
