#define PCRE2_CODE_UNIT_WIDTH 8
#include "api/go_regexp.h"

#include "base/buf.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>

#define COMPILE_OPTIONS (PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C)

struct GoRegexp {
    pcre2_code *code;
};

typedef struct Parser {
    const char *pattern, *at;
    Buf out;
    char **ret_error;
    size_t depth;
    bool has_operand;        /* something that may be repeated stands before `at` */
    const char *last_repeat; /* where the repetition just before `at` starts; NULL: none */
} Parser;

static int fail(const Parser *parser, const char *code, const char *text, size_t n) {
    if (parser->ret_error)
        *parser->ret_error = xasprintf("error parsing regexp: %s: `%.*s`", code, (int)n, text);
    return -EINVAL;
}

static int fail_rest(const Parser *parser, const char *code, const char *text) {
    return fail(parser, code, text, strlen(text));
}

/* ---- characters ---- */

static size_t utf8_length(unsigned char c) {
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static uint32_t rune_at(const char **at) {
    const unsigned char *p = (const unsigned char *)*at;
    size_t n = utf8_length(*p);
    uint32_t rune = n == 1 ? *p : *p & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        rune = rune << 6 | (p[i] & 0x3F);
    *at += n;
    return rune;
}

static void put_rune(Buf *out, uint32_t rune) {
    if (rune < 0x80 && isalnum((int)rune))
        buf_putc(out, (char)rune);
    else
        buf_printf(out, "\\x{%x}", rune);
}

static int hex_escape(Parser *parser, const char *start, uint32_t *ret) {
    const char *p = start + 2;
    uint32_t rune = 0;
    size_t n = 0;
    bool braces = *p == '{';
    for (p += braces; isxdigit((unsigned char)*p) && (braces ? n < 8 : n < 2); p++, n++)
        rune = rune * 16 + (uint32_t)(isdigit((unsigned char)*p) ? *p - '0' : (*p | 0x20) - 'a' + 10);
    if (!n || (!braces && n < 2) || (braces && *p != '}') || rune > 0x10FFFF)
        return fail(parser, "invalid escape sequence", start,
                    (size_t)(p - start) + (*p ? utf8_length((unsigned char)*p) : 0));
    parser->at = p + braces;
    *ret = rune;
    return 0;
}

/* A backslash that stands for one character. */
static int escaped_rune(Parser *parser, uint32_t *ret) {
    static const char letters[] = "afnrtv", runes[] = "\a\f\n\r\t\v";
    const char *start = parser->at, *found;
    unsigned char c = (unsigned char)start[1];
    if (!c)
        return fail(parser, "trailing backslash at end of expression", "", 0);
    if (c == 'x')
        return hex_escape(parser, start, ret);
    if (c >= '0' && c <= '7' && (c == '0' || (start[2] >= '0' && start[2] <= '7'))) {
        *ret = 0;
        const char *p = start + 1;
        for (size_t i = 0; i < 3 && *p >= '0' && *p <= '7'; i++)
            *ret = *ret * 8 + (uint32_t)(*p++ - '0');
        parser->at = p;
        return 0;
    }
    if ((found = strchr(letters, c))) {
        *ret = (unsigned char)runes[found - letters];
        parser->at = start + 2;
        return 0;
    }
    if (c >= 0x80 || isalnum(c))
        return fail(parser, "invalid escape sequence", start, 1 + utf8_length(c));
    *ret = c;
    parser->at = start + 2;
    return 0;
}

/* ---- classes ---- */

static bool compiles(const char *pattern) {
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, COMPILE_OPTIONS, &error, &offset, NULL);
    pcre2_code_free(code);
    return code != NULL;
}

/* \pL, \p{Greek}, \P{^Lu}: names of more than two letters are scripts. */
static int unicode_class(Parser *parser) {
    const char *start = parser->at, *name = start + 2, *end;
    char text[80];
    bool negative = start[1] == 'P';
    if (*name == '{') {
        name++;
        end = strchr(name, '}');
        if (!end)
            return fail_rest(parser, "invalid character class range", start);
        parser->at = end + 1;
    } else {
        end = name + (*name ? utf8_length((unsigned char)*name) : 0);
        parser->at = end;
    }
    size_t whole = (size_t)(parser->at - start);
    if (name < end && *name == '^') {
        negative = !negative;
        name++;
    }
    size_t n = (size_t)(end - name);
    bool script = n > 2 && !(n == 3 && strncmp(name, "Any", 3) == 0);
    if (n == 0 || n > 40)
        return fail(parser, "invalid character class range", start, whole);
    snprintf(text, sizeof text, "\\%c{%s%.*s}", negative ? 'P' : 'p', script ? "sc:" : "", (int)n, name);
    if (!compiles(text))
        return fail(parser, "invalid character class range", start, whole);
    buf_puts(&parser->out, text);
    return 0;
}

/* The classes of one letter. False: it is none. */
static bool perl_class(Parser *parser, bool inside) {
    static const struct {
        char letter;
        const char *outside, *inside;
    } classes[] = {
        {'d', "\\d", "\\d"},
        {'D', "\\D", "\\D"},
        {'w', "\\w", "\\w"},
        {'W', "\\W", "\\W"},
        /* without the vertical tab */
        {'s', "[\\t\\n\\f\\r ]", "\\t\\n\\f\\r\\x20"},
        {'S', "[^\\t\\n\\f\\r ]", "\\x{0}-\\x{8}\\x{b}\\x{e}-\\x{1f}\\x{21}-\\x{10ffff}"},
    };
    for (size_t i = 0; i < ELEMENTSOF(classes); i++)
        if (parser->at[0] == '\\' && parser->at[1] == classes[i].letter) {
            buf_puts(&parser->out, inside ? classes[i].inside : classes[i].outside);
            parser->at += 2;
            return true;
        }
    return false;
}

static int class_rune(Parser *parser, const char *bracket, uint32_t *ret) {
    if (!*parser->at)
        return fail_rest(parser, "missing closing ]", bracket);
    if (*parser->at == '\\')
        return escaped_rune(parser, ret);
    *ret = rune_at(&parser->at);
    return 0;
}

static int class_range(Parser *parser, const char *bracket) {
    const char *start = parser->at;
    uint32_t low, high;
    int r = class_rune(parser, bracket, &low);
    if (r < 0)
        return r;
    put_rune(&parser->out, low);
    if (parser->at[0] != '-' || !parser->at[1] || parser->at[1] == ']')
        return 0;
    parser->at++;
    r = class_rune(parser, bracket, &high);
    if (r < 0)
        return r;
    if (high < low)
        return fail(parser, "invalid character class range", start, (size_t)(parser->at - start));
    buf_putc(&parser->out, '-');
    put_rune(&parser->out, high);
    return 0;
}

/* [:alpha:] and the like. 0: it is none. */
static int posix_class(Parser *parser) {
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit",  "graph", "lower",
                                        "print", "punct", "space", "upper", "word",  "xdigit", NULL};
    const char *start = parser->at, *end = strstr(start + 2, ":]");
    char name[16];
    if (!end)
        return 0;
    bool negative = start[2] == '^';
    snprintf(name, sizeof name, "%.*s", (int)MIN(end - start - 2 - negative, (ptrdiff_t)sizeof name - 1),
             start + 2 + negative);
    if (!str_in(name, names))
        return fail(parser, "invalid character class range", start, (size_t)(end + 2 - start));
    buf_printf(&parser->out, "[:%s%s:]", negative ? "^" : "", name);
    parser->at = end + 2;
    return 1;
}

static int char_class(Parser *parser) {
    const char *bracket = parser->at++;
    bool first = true;
    buf_putc(&parser->out, '[');
    if (*parser->at == '^') {
        buf_putc(&parser->out, '^');
        parser->at++;
    }
    for (; *parser->at != ']' || first; first = false) {
        int r = 0;
        if (parser->at[0] == '[' && parser->at[1] == ':')
            r = posix_class(parser);
        if (r > 0)
            continue;
        if (r == 0 && parser->at[0] == '\\' && (parser->at[1] == 'p' || parser->at[1] == 'P'))
            r = unicode_class(parser);
        else if (r == 0 && !perl_class(parser, true))
            r = class_range(parser, bracket);
        if (r < 0)
            return r;
    }
    parser->at++;
    buf_putc(&parser->out, ']');
    return 0;
}

/* ---- repetition ---- */

static int repeat(Parser *parser, const char *start, size_t n) {
    const char *end = start + n;
    if (*end == '?')
        end++;
    if (parser->last_repeat)
        return fail(parser, "invalid nested repetition operator", parser->last_repeat,
                    (size_t)(end - parser->last_repeat));
    if (!parser->has_operand)
        return fail(parser, "missing argument to repetition operator", start, (size_t)(end - start));
    buf_append(&parser->out, start, (size_t)(end - start));
    parser->at = end;
    parser->last_repeat = start;
    return 0;
}

static const char *count(const char *p, long *ret) {
    *ret = 0;
    if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1])))
        return NULL;
    for (; isdigit((unsigned char)*p); p++)
        *ret = MIN(*ret * 10 + (*p - '0'), 100000000L);
    return p;
}

/* {n}, {n,}, {n,m}; anything else is a brace. */
static int braces(Parser *parser) {
    const char *start = parser->at, *p;
    long min, max;
    p = count(start + 1, &min);
    max = min;
    if (p && *p == ',') {
        max = -1;
        if (p[1] == '}')
            p++;
        else
            p = count(p + 1, &max);
    }
    if (!p || *p != '}') {
        buf_puts(&parser->out, "\\{");
        parser->at++;
        parser->has_operand = true;
        parser->last_repeat = NULL;
        return 0;
    }
    if (min > GO_REGEXP_REPEAT_MAX || max > GO_REGEXP_REPEAT_MAX || (max >= 0 && min > max))
        return fail(parser, "invalid repeat count", start, (size_t)(p + 1 - start));
    return repeat(parser, start, (size_t)(p + 1 - start));
}

/* ---- groups ---- */

static int named_group(Parser *parser, size_t head) {
    const char *start = parser->at, *name = start + head, *end = strchr(name, '>');
    if (!end)
        return fail_rest(parser, "invalid named capture", start);
    bool good = end > name;
    for (const char *p = name; p < end; p++)
        good = good && (isalnum((unsigned char)*p) || *p == '_');
    if (!good)
        return fail(parser, "invalid named capture", start, (size_t)(end + 1 - start));
    buf_putc(&parser->out, '('); /* nobody asks for captures */
    parser->at = end + 1;
    parser->depth++;
    return 0;
}

/* (?flags) and (?flags:. */
static int flags(Parser *parser) {
    const char *start = parser->at, *p = start + 2;
    bool negative = false, flag = false;
    for (; *p; p++) {
        if (strchr("imsU", *p)) {
            flag = true;
            continue;
        }
        if (*p == '-' && !negative) {
            negative = true;
            flag = false;
            continue;
        }
        if ((*p == ':' || *p == ')') && (!negative || flag)) {
            buf_append(&parser->out, start, (size_t)(p + 1 - start));
            parser->at = p + 1;
            parser->depth += *p == ':';
            parser->has_operand = *p == ')' && parser->has_operand;
            return 0;
        }
        return fail(parser, "invalid or unsupported Perl syntax", start,
                    (size_t)(p - start) + utf8_length((unsigned char)*p));
    }
    return fail_rest(parser, "missing closing )", parser->pattern);
}

static int group(Parser *parser) {
    const char *p = parser->at;
    int r = 0;
    if (parser->depth >= GO_REGEXP_DEPTH_MAX)
        return fail_rest(parser, "expression nests too deeply", parser->pattern);
    if (p[1] != '?') {
        buf_putc(&parser->out, '(');
        parser->at++;
        parser->depth++;
    } else if (str_has_prefix(p, "(?P<"))
        r = named_group(parser, 4);
    else if (str_has_prefix(p, "(?<"))
        r = named_group(parser, 3);
    else
        return flags(parser);
    parser->has_operand = false;
    return r;
}

/* ---- the rest ---- */

static int backslash(Parser *parser) {
    uint32_t rune;
    char c = parser->at[1];
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B') {
        buf_append(&parser->out, parser->at, 2);
        parser->at += 2;
        return 0;
    }
    if (c == 'Q') {
        const char *text = parser->at + 2, *end = strstr(text, "\\E");
        const char *stop = end ? end : text + strlen(text);
        while (text < stop)
            put_rune(&parser->out, rune_at(&text));
        parser->at = end ? end + 2 : stop;
        return 0;
    }
    if (c == 'p' || c == 'P')
        return unicode_class(parser);
    if (perl_class(parser, false))
        return 0;
    int r = escaped_rune(parser, &rune);
    if (r == 0)
        put_rune(&parser->out, rune);
    return r;
}

static int operand(Parser *parser) {
    int r = 0;
    switch (*parser->at) {
    case '[':
        r = char_class(parser);
        break;
    case '\\':
        r = backslash(parser);
        break;
    case '^':
        /* in a group: PCRE2 does not repeat an assertion on its own */
        buf_puts(&parser->out, "(?:^)");
        parser->at++;
        break;
    case '$':
        buf_puts(&parser->out, "(?:$)");
        parser->at++;
        break;
    case '.':
        buf_putc(&parser->out, *parser->at++);
        break;
    default:
        put_rune(&parser->out, rune_at(&parser->at));
    }
    parser->has_operand = true;
    parser->last_repeat = NULL;
    return r;
}

static int step(Parser *parser) {
    char c = *parser->at;
    if (c == '*' || c == '+' || c == '?')
        return repeat(parser, parser->at, 1);
    if (c == '{')
        return braces(parser);
    if (c != '(' && c != '|' && c != ')')
        return operand(parser);
    parser->last_repeat = NULL;
    if (c == '(')
        return group(parser);
    if (c == ')' && parser->depth == 0)
        return fail_rest(parser, "unexpected )", parser->pattern);
    parser->depth -= c == ')';
    parser->has_operand = c == ')';
    buf_putc(&parser->out, c);
    parser->at++;
    return 0;
}

static bool is_utf8(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    while (p < end) {
        size_t len = utf8_length(*p);
        if ((*p >= 0x80 && *p < 0xC2) || *p > 0xF4 || (size_t)(end - p) < len)
            return false;
        for (size_t i = 1; i < len; i++)
            if ((p[i] & 0xC0) != 0x80)
                return false;
        p += len;
    }
    return true;
}

static int write_pcre(Parser *parser) {
    int r = 0;
    if (strlen(parser->pattern) > GO_REGEXP_PATTERN_MAX)
        return fail(parser, "expression too large", "", 0);
    if (!is_utf8(parser->pattern, strlen(parser->pattern)))
        return fail(parser, "invalid UTF-8", "", 0);
    buf_puts(&parser->out, "");
    while (r == 0 && *parser->at)
        r = step(parser);
    if (r == 0 && parser->depth > 0)
        return fail_rest(parser, "missing closing )", parser->pattern);
    return r;
}

int go_regexp_compile(const char *pattern, GoRegexp **ret, char **ret_error) {
    Parser parser = {
        .pattern = pattern, .at = pattern, .out = BUF_INIT(64 * GO_REGEXP_PATTERN_MAX), .ret_error = ret_error};
    int error, r = write_pcre(&parser);
    PCRE2_SIZE offset;
    pcre2_code *code = NULL;
    if (r == 0 && !parser.out.failed)
        code = pcre2_compile((PCRE2_SPTR)parser.out.data, parser.out.len, COMPILE_OPTIONS, &error, &offset, NULL);
    buf_done(&parser.out);
    if (r < 0)
        return r;
    if (!code) /* what Go would take and PCRE2 has no room for */
        return fail_rest(&parser, "expression too large", pattern);
    GoRegexp *regexp = NEW(GoRegexp);
    regexp->code = code;
    *ret = regexp;
    return 0;
}

void go_regexp_free(GoRegexp *regexp) {
    if (!regexp)
        return;
    pcre2_code_free(regexp->code);
    free(regexp);
}

bool go_regexp_matches(const GoRegexp *regexp, const char *text, size_t len) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int r = PCRE2_ERROR_NOMEMORY;
    if (data && context) {
        pcre2_set_match_limit(context, GO_REGEXP_STEPS_MAX);
        r = pcre2_match(regexp->code, (PCRE2_SPTR)text, len, 0, 0, data, context);
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    return r >= 0;
}
