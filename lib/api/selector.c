/* Label and field selectors. A parsed selector is one array of requirements sorted by key; values of a requirement are
 * sorted and distinct, as the reference keeps them. */
#include "api/selector.h"
#include "api/member_index.h"
#include "base/str.h"

#include <errno.h>

typedef enum Operator {
    OP_IN,
    OP_NOT_IN,
    OP_EQUALS,
    OP_DOUBLE_EQUALS,
    OP_NOT_EQUALS,
    OP_EXISTS,
    OP_NOT_EXISTS,
    OP_GT,
    OP_LT
} Operator;

typedef struct Requirement {
    char *key;
    Operator op;
    char **values;
    size_t n_values;
} Requirement;

struct Selector {
    Requirement *items;
    size_t n;
    bool nothing; /* matches no object */
};

/* ---- making ---- */

/* Room for one more; grows at powers of two. */
static void *grow(void *items, size_t n, size_t size) {
    return (n & (n - 1)) == 0 ? xreallocn(items, n ? n * 2 : 1, size) : items;
}

static Requirement *selector_add(Selector *selector, const char *key, Operator op) {
    selector->items = grow(selector->items, selector->n, sizeof(Requirement));
    Requirement *requirement = &selector->items[selector->n++];
    *requirement = (Requirement){.key = xstrdup(key), .op = op};
    return requirement;
}

static void requirement_add(Requirement *requirement, const char *value) {
    size_t at = 0, high = requirement->n_values;
    while (at < high) {
        size_t middle = (at + high) / 2;
        int order = strcmp(value, requirement->values[middle]);
        if (order == 0)
            return;
        if (order < 0)
            high = middle;
        else
            at = middle + 1;
    }
    requirement->values = grow(requirement->values, requirement->n_values, sizeof(char *));
    memmove(requirement->values + at + 1, requirement->values + at, (requirement->n_values - at) * sizeof(char *));
    requirement->values[at] = xstrdup(value);
    requirement->n_values++;
}

void selector_free(Selector *selector) {
    if (!selector)
        return;
    for (size_t i = 0; i < selector->n; i++) {
        for (size_t j = 0; j < selector->items[i].n_values; j++)
            free(selector->items[i].values[j]);
        free(selector->items[i].values);
        free(selector->items[i].key);
    }
    free(selector->items);
    free(selector);
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const Requirement *)a)->key, ((const Requirement *)b)->key);
}

static void selector_sort(Selector *selector) {
    if (selector->n > 1)
        qsort(selector->items, selector->n, sizeof(Requirement), compare_keys);
}

/* ---- label keys and values ---- */

static bool is_alnum(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static bool is_label_text(const char *s, size_t n) {
    if (!n || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.')
            return false;
    return true;
}

static bool is_dns_subdomain(const char *s, size_t n) {
    bool start = true;
    for (size_t i = 0; i < n; i++) {
        bool lower = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
        if (s[i] == '.') {
            if (start || s[i - 1] == '-')
                return false;
            start = true;
            continue;
        }
        if (!lower && (s[i] != '-' || start))
            return false;
        start = false;
    }
    return n > 0 && !start && s[n - 1] != '-';
}

#define LABEL_TEXT_WRONG                                                                                               \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " \
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                                      \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define DNS_SUBDOMAIN_WRONG                                                                                            \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "   \
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                        \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_VALUE_WRONG                                                                                              \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "    \
    "and "                                                                                                             \
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "   \
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static void complain(Buf *out, const char *text) {
    if (out->len)
        buf_puts(out, "; ");
    buf_puts(out, text);
}

bool label_key_check(const char *key, Buf *why) {
    size_t before = why->len;
    const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;
    if (slash && strchr(name, '/')) {
        complain(why, "a valid label key " LABEL_TEXT_WRONG
                      " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
        return false;
    }
    if (slash) {
        size_t n = (size_t)(slash - key);
        if (n == 0)
            complain(why, "prefix part must be non-empty");
        if (n > 253)
            complain(why, "prefix part must be no more than 253 bytes");
        if (n && !is_dns_subdomain(key, n))
            complain(why, "prefix part " DNS_SUBDOMAIN_WRONG);
    }
    if (!*name)
        complain(why, "name part must be non-empty");
    else if (strlen(name) > 63)
        complain(why, "name part must be no more than 63 bytes");
    if (!is_label_text(name, strlen(name)))
        complain(why, "name part " LABEL_TEXT_WRONG);
    return why->len == before;
}

bool label_value_check(const char *value, Buf *why) {
    size_t before = why->len;
    if (strlen(value) > 63)
        complain(why, "must be no more than 63 bytes");
    if (*value && !is_label_text(value, strlen(value)))
        complain(why, LABEL_VALUE_WRONG);
    return why->len == before;
}

/* ---- the label selector's parser ---- */

typedef enum Token {
    TOKEN_ERROR,
    TOKEN_END,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_NOT,
    TOKEN_DOUBLE_EQUALS,
    TOKEN_EQUALS,
    TOKEN_GT,
    TOKEN_IDENTIFIER,
    TOKEN_IN,
    TOKEN_LT,
    TOKEN_NOT_EQUALS,
    TOKEN_NOT_IN,
    TOKEN_OPEN
} Token;

typedef struct Lexeme {
    Token token;
    char *text;
} Lexeme;

typedef struct LabelParser {
    const char *p;
    Lexeme now; /* looked at, not consumed */
    Arena *arena;
    char *wrong; /* the message once something failed */
} LabelParser;

static bool is_special(char c) {
    return c && strchr("=!(),><", c);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static Token token_of(const char *s, size_t n) {
    static const struct {
        const char *text;
        Token token;
    } table[] = {{")", TOKEN_CLOSE},       {",", TOKEN_COMMA},      {"!", TOKEN_NOT}, {"==", TOKEN_DOUBLE_EQUALS},
                 {"=", TOKEN_EQUALS},      {">", TOKEN_GT},         {"in", TOKEN_IN}, {"<", TOKEN_LT},
                 {"!=", TOKEN_NOT_EQUALS}, {"notin", TOKEN_NOT_IN}, {"(", TOKEN_OPEN}};
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (strlen(table[i].text) == n && memcmp(table[i].text, s, n) == 0)
            return table[i].token;
    return TOKEN_ERROR;
}

/* The longest operator at p. Symbols that make no operator together end it. */
static Lexeme lex_special(LabelParser *parser) {
    const char *from = parser->p;
    size_t good = 0, n = 0;
    Token token = TOKEN_ERROR;
    while (is_special(from[n])) {
        Token t = token_of(from, n + 1);
        if (t == TOKEN_ERROR && token != TOKEN_ERROR)
            break;
        n++;
        if (t != TOKEN_ERROR) {
            token = t;
            good = n;
        }
    }
    parser->p += n;
    if (token == TOKEN_ERROR)
        return (Lexeme){TOKEN_ERROR, arena_printf(parser->arena, "error expected: keyword found '%.*s'", (int)n, from)};
    return (Lexeme){token, arena_strndup(parser->arena, from, good)};
}

static void advance(LabelParser *parser) {
    while (is_blank(*parser->p))
        parser->p++;
    if (!*parser->p) {
        parser->now = (Lexeme){TOKEN_END, arena_strdup(parser->arena, "")};
        return;
    }
    if (is_special(*parser->p)) {
        parser->now = lex_special(parser);
        return;
    }
    const char *from = parser->p;
    while (*parser->p && !is_special(*parser->p) && !is_blank(*parser->p))
        parser->p++;
    size_t n = (size_t)(parser->p - from);
    Token token = token_of(from, n);
    parser->now = (Lexeme){token == TOKEN_ERROR ? TOKEN_IDENTIFIER : token, arena_strndup(parser->arena, from, n)};
}

/* In a place for values, `in` and `notin` are words like others. */
static Token as_value(Token token) {
    return token == TOKEN_IN || token == TOKEN_NOT_IN ? TOKEN_IDENTIFIER : token;
}

static Token look(LabelParser *parser) {
    return as_value(parser->now.token);
}

static Lexeme consume(LabelParser *parser) {
    Lexeme lexeme = parser->now;
    advance(parser);
    return lexeme;
}

static bool found(LabelParser *parser, const char *text, const char *expected) {
    parser->wrong = arena_printf(parser->arena, "found '%s'%s", text, expected);
    return false;
}

static bool check_key(LabelParser *parser, const char *key) {
    _cleanup_buf_ Buf why = BUF_INIT(BUF_NO_LIMIT);
    if (label_key_check(key, &why))
        return true;
    parser->wrong =
        arena_printf(parser->arena, "<nil>: Invalid value: %s: %s", go_quoted(parser->arena, key), why.data);
    return false;
}

static bool parse_identifiers(LabelParser *parser, Requirement *requirement) {
    for (;;) {
        Lexeme lexeme = consume(parser);
        Token token = as_value(lexeme.token);
        if (token == TOKEN_IDENTIFIER) {
            requirement_add(requirement, lexeme.text);
            if (look(parser) == TOKEN_CLOSE)
                return true;
            if (look(parser) != TOKEN_COMMA)
                return found(parser, parser->now.text, ", expected: ',' or ')'");
        } else if (token == TOKEN_COMMA) {
            if (requirement->n_values == 0)
                requirement_add(requirement, "");
            if (look(parser) == TOKEN_CLOSE || look(parser) == TOKEN_COMMA)
                requirement_add(requirement, "");
            if (look(parser) == TOKEN_CLOSE)
                return true;
        } else
            return found(parser, lexeme.text, ", expected: ',', or identifier");
    }
}

static bool parse_values(LabelParser *parser, Requirement *requirement) {
    Lexeme lexeme = consume(parser);
    if (lexeme.token != TOKEN_OPEN)
        return found(parser, lexeme.text, " expected: '('");
    Token token = look(parser);
    if (token == TOKEN_CLOSE)
        requirement_add(requirement, "");
    else if (token != TOKEN_IDENTIFIER && token != TOKEN_COMMA)
        return found(parser, parser->now.text, ", expected: ',', ')' or identifier");
    else if (!parse_identifiers(parser, requirement))
        return false;
    consume(parser); /* the closing parenthesis both ways end at */
    return true;
}

static bool parse_exact(LabelParser *parser, Requirement *requirement) {
    Token token = look(parser);
    if (token == TOKEN_END || token == TOKEN_COMMA) {
        requirement_add(requirement, "");
        return true;
    }
    Lexeme lexeme = consume(parser);
    if (as_value(lexeme.token) != TOKEN_IDENTIFIER)
        return found(parser, lexeme.text, ", expected: identifier");
    requirement_add(requirement, lexeme.text);
    return true;
}

static bool parse_operator(LabelParser *parser, Requirement *requirement) {
    Lexeme lexeme = consume(parser);
    switch (lexeme.token) {
    case TOKEN_IN:
        requirement->op = OP_IN;
        break;
    case TOKEN_NOT_IN:
        requirement->op = OP_NOT_IN;
        break;
    case TOKEN_EQUALS:
        requirement->op = OP_EQUALS;
        break;
    case TOKEN_DOUBLE_EQUALS:
        requirement->op = OP_DOUBLE_EQUALS;
        break;
    case TOKEN_NOT_EQUALS:
        requirement->op = OP_NOT_EQUALS;
        break;
    case TOKEN_GT:
        requirement->op = OP_GT;
        break;
    case TOKEN_LT:
        requirement->op = OP_LT;
        break;
    default:
        return found(parser, lexeme.text, ", expected: in, notin, =, ==, !=, gt, lt");
    }
    return true;
}

/* NewRequirement's checks of values; several errors are joined as an aggregate. */
static bool check_values(LabelParser *parser, const Requirement *requirement) {
    _cleanup_buf_ Buf all = BUF_INIT(BUF_NO_LIMIT);
    size_t n = 0;
    bool numeric = requirement->op == OP_GT || requirement->op == OP_LT;
    for (size_t i = 0; i < requirement->n_values && numeric; i++) {
        int64_t number;
        const char *value = requirement->values[i];
        if (str_to_int64(*value == '+' ? value + 1 : value, &number) < 0)
            buf_printf(&all, "%svalues[%zu]: Invalid value: %s: for 'Gt', 'Lt' operators, the value must be an integer",
                       n++ ? ", " : "", i, go_quoted(parser->arena, value));
    }
    for (size_t i = 0; i < requirement->n_values; i++) {
        _cleanup_buf_ Buf why = BUF_INIT(BUF_NO_LIMIT);
        if (!label_value_check(requirement->values[i], &why))
            buf_printf(&all, "%svalues[%zu][%s]: Invalid value: %s: %s", n++ ? ", " : "", i, requirement->key,
                       go_quoted(parser->arena, requirement->values[i]), why.data);
    }
    if (n)
        parser->wrong = arena_printf(parser->arena, n > 1 ? "[%s]" : "%s", all.data);
    return n == 0;
}

static bool parse_requirement(LabelParser *parser, Selector *selector) {
    Lexeme lexeme = consume(parser);
    bool negated = lexeme.token == TOKEN_NOT;
    if (negated)
        lexeme = consume(parser);
    if (as_value(lexeme.token) != TOKEN_IDENTIFIER)
        return found(parser, lexeme.text, ", expected: identifier");
    if (!check_key(parser, lexeme.text))
        return false;
    Requirement *requirement = selector_add(selector, lexeme.text, OP_NOT_EXISTS);
    if (negated)
        return true;
    Token next = look(parser);
    if (next == TOKEN_END || next == TOKEN_COMMA) {
        requirement->op = OP_EXISTS;
        return true;
    }
    if (!parse_operator(parser, requirement))
        return false;
    bool ok = requirement->op == OP_IN || requirement->op == OP_NOT_IN ? parse_values(parser, requirement)
                                                                       : parse_exact(parser, requirement);
    return ok && check_values(parser, requirement);
}

static bool parse_requirements(LabelParser *parser, Selector *selector) {
    for (;;) {
        Token token = look(parser);
        if (token == TOKEN_END)
            return true;
        if (token != TOKEN_IDENTIFIER && token != TOKEN_NOT)
            return found(parser, parser->now.text, ", expected: !, identifier, or 'end of string'");
        if (!parse_requirement(parser, selector)) {
            parser->wrong = arena_printf(parser->arena, "unable to parse requirement: %s", parser->wrong);
            return false;
        }
        Lexeme lexeme = consume(parser);
        if (lexeme.token == TOKEN_END)
            return true;
        if (lexeme.token != TOKEN_COMMA)
            return found(parser, lexeme.text, ", expected: ',' or 'end of string'");
        token = look(parser);
        if (token != TOKEN_IDENTIFIER && token != TOKEN_NOT)
            return found(parser, parser->now.text, ", expected: identifier after ','");
    }
}

int label_selector_parse(const char *text, Selector **ret, ApiError *err) {
    if (str_empty(text)) {
        *ret = NULL;
        return 0;
    }
    if (strlen(text) > SELECTOR_TEXT_MAX)
        return api_error_bad_request(err, "selector of %zu bytes is longer than %d", strlen(text), SELECTOR_TEXT_MAX);
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_(selector_freep) Selector *selector = NEW0(Selector);
    LabelParser parser = {.p = text, .arena = arena};
    advance(&parser);
    if (!parse_requirements(&parser, selector))
        return api_error_bad_request(err, "%s", parser.wrong);
    selector_sort(selector);
    *ret = selector->n ? TAKE_PTR(selector) : NULL;
    return 0;
}

Selector *label_selector_from_map(const Value *map) {
    if (value_len(map) == 0)
        return NULL;
    Selector *selector = NEW0(Selector);
    VALUE_FOREACH_MEMBER (m, map) {
        Requirement *requirement = selector_add(selector, m->name, OP_EQUALS);
        requirement_add(requirement, str_or(value_str(m->value), ""));
    }
    selector_sort(selector);
    return selector;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_expression(Selector *selector, const Value *expression) {
    static const struct {
        const char *name;
        Operator op;
    } table[] = {{"In", OP_IN}, {"NotIn", OP_NOT_IN}, {"Exists", OP_EXISTS}, {"DoesNotExist", OP_NOT_EXISTS}};
    const char *key = value_get_str(expression, "key"), *name = value_get_str(expression, "operator");
    if (!key || !name)
        return -EINVAL;
    size_t i = 0;
    while (i < ELEMENTSOF(table) && !streq(table[i].name, name))
        i++;
    if (i == ELEMENTSOF(table))
        return -EINVAL;
    const Value *values = value_get(expression, "values"), *value;
    bool set_based = table[i].op == OP_IN || table[i].op == OP_NOT_IN;
    if (set_based != (value_len(values) > 0))
        return -EINVAL;
    Requirement *requirement = selector_add(selector, key, table[i].op);
    _cleanup_free_ const char **texts = NEWN0(const char *, value_len(values) + 1);
    VALUE_FOREACH (value, values)
        texts[_i_value] = str_or(value_str(value), "");
    qsort(texts, value_len(values), sizeof *texts, compare_texts); /* else each would be put in its place by moving */
    for (i = 0; i < value_len(values); i++)
        requirement_add(requirement, texts[i]);
    return 0;
}

int label_selector_from_value(const Value *label_selector, Selector **ret) {
    if (!label_selector || label_selector->type == VALUE_NULL) {
        *ret = NEW0(Selector);
        (*ret)->nothing = true;
        return 0;
    }
    _cleanup_(selector_freep) Selector *selector = label_selector_from_map(value_get(label_selector, "matchLabels"));
    const Value *expression, *expressions = value_get(label_selector, "matchExpressions");
    if (!selector)
        selector = NEW0(Selector);
    VALUE_FOREACH (expression, expressions) {
        int r = add_expression(selector, expression);
        if (r < 0)
            return r;
    }
    selector_sort(selector);
    *ret = selector->n ? TAKE_PTR(selector) : NULL;
    return 0;
}

/* ---- field selectors ---- */

/* Undoes \\ \, and \= in place; the message when it cannot. */
static char *unescape_field(Arena *arena, char *s) {
    char *to = s;
    for (char *p = s; *p; p++) {
        if (*p == '\\') {
            p++;
            if (!*p)
                return arena_strdup(arena, "invalid field selector: invalid escape sequence: \\");
            if (*p != '\\' && *p != ',' && *p != '=') {
                int width = 1;
                while ((p[width] & 0xC0) == 0x80 && width < 4)
                    width++;
                return arena_printf(arena, "invalid field selector: invalid escape sequence: \\%.*s", width, p);
            }
        } else if (*p == ',' || *p == '=')
            return arena_printf(arena, "invalid field selector: unescaped character in value: %d", *p);
        *to++ = *p;
    }
    *to = 0;
    return NULL;
}

static char **split_terms(Arena *arena, const char *text, size_t *ret_n) {
    size_t n = 1;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    char **terms = arena_alloc(arena, n * sizeof(char *));
    n = 0;
    const char *from = text;
    for (const char *p = text;; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            continue;
        }
        if (*p && *p != ',')
            continue;
        terms[n++] = arena_strndup(arena, from, (size_t)(p - from));
        from = p + 1;
        if (!*p)
            break;
    }
    qsort(terms, n, sizeof(char *), compare_texts);
    *ret_n = n;
    return terms;
}

static char *parse_term(Arena *arena, Selector *selector, const char *text, char *term) {
    size_t at = 0;
    while (term[at] && term[at] != '=' && !(term[at] == '!' && term[at + 1] == '='))
        at++;
    if (!term[at])
        return arena_printf(arena, "invalid selector: '%s'; can't understand '%s'", text, term);
    Operator op = term[at] == '!' ? OP_NOT_EQUALS : OP_EQUALS;
    char *value = term + at + (op == OP_NOT_EQUALS || term[at + 1] == '=' ? 2 : 1);
    term[at] = 0;
    char *wrong = unescape_field(arena, value);
    if (!wrong)
        requirement_add(selector_add(selector, term, op), value);
    return wrong;
}

int field_selector_parse(const char *text, Selector **ret, ApiError *err) {
    if (str_empty(text)) {
        *ret = NULL;
        return 0;
    }
    if (strlen(text) > SELECTOR_TEXT_MAX)
        return api_error_bad_request(err, "selector of %zu bytes is longer than %d", strlen(text), SELECTOR_TEXT_MAX);
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_(selector_freep) Selector *selector = NEW0(Selector);
    size_t n;
    char **terms = split_terms(arena, text, &n);
    for (size_t i = 0; i < n; i++) {
        char *wrong = *terms[i] ? parse_term(arena, selector, text, terms[i]) : NULL;
        if (wrong)
            return api_error_bad_request(err, "%s", wrong);
    }
    *ret = selector->n ? TAKE_PTR(selector) : NULL;
    return 0;
}

/* ---- matching ---- */

static bool has_value(const Requirement *requirement, const char *value) {
    for (size_t i = 0; i < requirement->n_values; i++)
        if (streq(requirement->values[i], value))
            return true;
    return false;
}

static bool requirement_matches(const Requirement *requirement, const char *value) {
    int64_t a, b;
    switch (requirement->op) {
    case OP_IN:
    case OP_EQUALS:
    case OP_DOUBLE_EQUALS:
        return value && has_value(requirement, value);
    case OP_NOT_IN:
    case OP_NOT_EQUALS:
        return !value || !has_value(requirement, value);
    case OP_EXISTS:
        return value != NULL;
    case OP_NOT_EXISTS:
        return value == NULL;
    case OP_GT:
    case OP_LT:
        if (!value || str_to_int64(value, &a) < 0 || requirement->n_values != 1 ||
            str_to_int64(requirement->values[0], &b) < 0)
            return false;
        return requirement->op == OP_GT ? a > b : a < b;
    }
    return false;
}

bool label_selector_matches(const Selector *selector, const Object *object) {
    if (!selector)
        return true;
    for (size_t i = 0; i < selector->n; i++)
        if (!requirement_matches(&selector->items[i], object_label(object, selector->items[i].key)))
            return false;
    return !selector->nothing;
}

bool label_selector_matches_value(const Selector *selector, const Value *labels) {
    if (!selector)
        return true;
    _cleanup_member_index_ MemberIndex by_name = member_index_for(labels, selector->n);
    for (size_t i = 0; i < selector->n; i++)
        if (!requirement_matches(&selector->items[i], value_str(member_index_get(&by_name, selector->items[i].key))))
            return false;
    return !selector->nothing;
}

bool field_selector_matches(const Selector *selector, const Object *object) {
    if (!selector)
        return true;
    for (size_t i = 0; i < selector->n; i++) {
        _cleanup_arena_ Arena *arena = NULL;
        const char *value = object_field(object, selector->items[i].key);
        if (!value && object_resource(object)->custom) {
            arena = arena_new(0);
            value = object_field_parsed(object, selector->items[i].key, arena);
        }
        if (!requirement_matches(&selector->items[i], value ? value : ""))
            return false;
    }
    return !selector->nothing;
}

const char *field_selector_unknown(const Selector *selector, const Resource *resource) {
    for (size_t i = 0; selector && i < selector->n; i++) {
        const char *key = selector->items[i].key;
        bool known = streq(key, "metadata.name") || (streq(key, "metadata.namespace") && resource->namespaced);
        if (!known && !(resource->selectable_fields && str_in(key, resource->selectable_fields)))
            return key;
    }
    return NULL;
}

bool field_selector_is_of_metadata(const Selector *selector) {
    for (size_t i = 0; selector && i < selector->n; i++)
        if (!str_has_prefix(selector->items[i].key, "metadata."))
            return false;
    return true;
}

void field_selector_rename(Selector *selector, const char *from, const char *to) {
    size_t len = strlen(from);
    for (size_t i = 0; selector && i < selector->n; i++) {
        char *key = selector->items[i].key;
        if (!str_has_prefix(key, from) || (key[len] && key[len] != '.'))
            continue;
        selector->items[i].key = xasprintf("%s%s", to, key + len);
        free(key);
    }
}

const char *selector_exact(const Selector *selector, const char *field) {
    for (size_t i = 0; selector && i < selector->n; i++) {
        const Requirement *requirement = &selector->items[i];
        bool exact = requirement->op == OP_IN || requirement->op == OP_EQUALS || requirement->op == OP_DOUBLE_EQUALS;
        if (exact && requirement->n_values == 1 && streq(requirement->key, field))
            return requirement->values[0];
    }
    return NULL;
}

void selector_write(Buf *out, const Selector *selector) {
    static const char *const between[] = {
        [OP_IN] = " in (",      [OP_NOT_IN] = " notin (", [OP_EQUALS] = "=",    [OP_DOUBLE_EQUALS] = "==",
        [OP_NOT_EQUALS] = "!=", [OP_EXISTS] = "",         [OP_NOT_EXISTS] = "", [OP_GT] = ">",
        [OP_LT] = "<"};
    for (size_t i = 0; selector && i < selector->n; i++) {
        const Requirement *requirement = &selector->items[i];
        buf_printf(out, "%s%s%s%s", i ? "," : "", requirement->op == OP_NOT_EXISTS ? "!" : "", requirement->key,
                   between[requirement->op]);
        for (size_t j = 0; j < requirement->n_values; j++)
            buf_printf(out, "%s%s", j ? "," : "", requirement->values[j]);
        if (requirement->op == OP_IN || requirement->op == OP_NOT_IN)
            buf_putc(out, ')');
    }
}
