#include "api/go_text.h"
#include "api/json_schema.h"
#include "api/go_regexp.h"
#include "api/member_index.h"
#include "api/typed.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"
#include "api/schema_format.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct JsonSchema {
    const Value *root;
    StrMap *patterns; /* pattern to GoRegexp */
    bool has_rules, has_embedded;
};

typedef struct Check {
    const JsonSchema *schema;
    Arena *arena;
    const FieldPath *prefix;
    FieldErrors *errors;
    size_t matches; /* checks that passed, as the reference counts them: says which of several choices is nearest */
    int depth;
} Check;

static void free_regexp(void *p) {
    go_regexp_free(p);
}

/* The members of a schema that hold schemas. */
static int visit(JsonSchema *schema, const Value *node, int depth, const char **ret_pattern);

static int visit_all(JsonSchema *schema, const Value *nodes, int depth, const char **ret_pattern) {
    const Value *item;
    VALUE_FOREACH (item, nodes) {
        int r = visit(schema, item, depth, ret_pattern);
        if (r < 0)
            return r;
    }
    VALUE_FOREACH_MEMBER (m, nodes) {
        int r = visit(schema, m->value, depth, ret_pattern);
        if (r < 0)
            return r;
    }
    return 0;
}

static int visit(JsonSchema *schema, const Value *node, int depth, const char **ret_pattern) {
    static const char *const single[] = {"items", "not", "additionalProperties"};
    static const char *const several[] = {"properties", "allOf", "anyOf", "oneOf", "patternProperties"};
    const char *pattern = value_get_str(node, "pattern");
    int r = 0;
    if (!value_is(node, VALUE_OBJECT) || depth > JSON_SCHEMA_DEPTH_MAX)
        return 0;
    if (value_len(value_get(node, "x-kubernetes-validations")))
        schema->has_rules = true;
    if (value_get_bool(node, "x-kubernetes-embedded-resource", false))
        schema->has_embedded = true;
    if (!str_empty(pattern) && !strmap_get(schema->patterns, pattern)) {
        GoRegexp *regexp = NULL;
        r = go_regexp_compile(pattern, &regexp, NULL);
        if (r < 0) {
            *ret_pattern = pattern;
            return r;
        }
        strmap_put(schema->patterns, pattern, regexp);
    }
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(single); i++)
        r = visit(schema, value_get(node, single[i]), depth + 1, ret_pattern);
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(several); i++)
        r = visit_all(schema, value_get(node, several[i]), depth + 1, ret_pattern);
    return r;
}

int json_schema_new(const Value *root, JsonSchema **ret, const char **ret_pattern) {
    _cleanup_(json_schema_freep) JsonSchema *schema = NEW0(JsonSchema);
    schema->root = root;
    schema->patterns = strmap_new(free_regexp);
    int r = visit(schema, root, 0, ret_pattern);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(schema);
    return 0;
}

void json_schema_free(JsonSchema *schema) {
    if (!schema)
        return;
    strmap_free(schema->patterns);
    free(schema);
}

bool json_schema_has_rules(const JsonSchema *schema) {
    return schema->has_rules;
}

bool json_schema_has_embedded(const JsonSchema *schema) {
    return schema->has_embedded;
}

/* ---- errors ---- */

/* Paths are texts here, as in the reference: "spec.list[3].k"; "" is the value itself. */
static FieldPath at_path(const Check *check, const char *path) {
    return FIELD(check->prefix, path);
}

#define REPORT_PATH(check, path) (*(path) ? &(FieldPath){.parent = (check)->prefix, .name = (path)} : (check)->prefix)

static const char *in_body(const Check *check, const char *path) {
    return arena_printf(check->arena, "%s in body", path);
}

static void invalid(const Check *check, const char *path, const Value *v, const char *what) {
    field_invalid(check->errors, REPORT_PATH(check, path), v, "%s %s", in_body(check, path), what);
}

static void wrong_type(const Check *check, const char *path, const char *wanted, const char *have) {
    _cleanup_buf_ Buf quoted = BUF_INIT(BUF_NO_LIMIT);
    go_quote(&quoted, have);
    field_type_invalid(
        check->errors, REPORT_PATH(check, path), value_string(check->arena, have),
        arena_printf(check->arena, "%s must be of type %s: %s", in_body(check, path), wanted, quoted.data));
}

static const char *number_text(const Check *check, double n) {
    _cleanup_buf_ Buf text = BUF_INIT(128);
    go_write(&text, value_double(check->arena, n), GO_PLAIN);
    return arena_strdup(check->arena, text.data);
}

/* ---- values ---- */

static void validate(Check *check, const Value *schema, const char *path, const Value *v, const Value *old);

static const char *type_of(const Value *v) {
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    return names[v->type];
}

#define INTEGERS_END 0x1.fffffffffffffp52 /* JSON's: 2^53 - 1 */
#define NEARLY 1e-9

/* swag.IsFloat64AJSONInteger, which forgives positive numbers what they are above an integer. */
static bool is_integer(double n) {
    double whole = trunc(n);
    if (!(fabs(n) <= INTEGERS_END))
        return false;
    return n == whole || (whole > 0 && (n - whole) / (n + whole) < NEARLY);
}

static bool type_fits(const char *type, const Value *v) {
    if (streq(type, type_of(v)) || (streq(type, "number") && v->type == VALUE_INT))
        return true;
    return streq(type, "integer") && v->type == VALUE_DOUBLE && is_integer(v->number);
}

/* The format, if values of the schema's type are checked against it; else "". */
static const char *format_of(const Value *schema, const char *type) {
    const char *format = str_or(value_get_str(schema, "format"), "");
    bool known = false;
    if (streq(type, "integer"))
        known = streq(format, "int32") || streq(format, "int64");
    else if (streq(type, "number"))
        known = streq(format, "float") || streq(format, "double");
    else if (!*type || streq(type, "string"))
        known = schema_format_known(format);
    return known ? format : "";
}

static bool fits_type(Check *check, const Value *schema, const char *path, const Value *v) {
    const char *type = str_or(value_get_str(schema, "type"), ""), *format = format_of(schema, type);
    bool either = value_get_bool(schema, "x-kubernetes-int-or-string", false);
    bool numeric = streq(type, "integer") || streq(type, "number");
    bool fits = either ? type_fits("integer", v) || type_fits("string", v) : type_fits(type, v);
    if (v->type == VALUE_NULL)
        fits = (!*type && !either) || value_get_bool(schema, "nullable", false);
    else if (v->type == VALUE_STRING || v->type == VALUE_ARRAY)
        fits = fits || (*format ? !numeric : !*type && !either);
    else if (*format && !fits) { /* told by formats, which of JSON's types only numbers have */
        wrong_type(check, path, format, v->type == VALUE_INT ? "int64" : v->type == VALUE_DOUBLE ? "float64" : "");
        return false;
    } else
        fits = fits || (!*type && !either);
    if (!fits)
        wrong_type(check, path, either ? "integer,string" : type, type_of(v));
    return fits;
}

static void check_type(Check *check, const Value *schema, const char *path, const Value *v) {
    const char *type = str_or(value_get_str(schema, "type"), "");
    bool fits = fits_type(check, schema, path, v);
    if (v->type == VALUE_NULL)
        check->matches += fits;
    else if (*type || *format_of(schema, type) || value_get_bool(schema, "x-kubernetes-int-or-string", false))
        check->matches += fits ? 2 : 1;
}

static size_t rune_count(const Value *v) {
    size_t n = 0;
    for (uint32_t i = 0; i < v->len; i++)
        n += ((unsigned char)v->string[i] & 0xC0) != 0x80;
    return n;
}

static bool limit_of(const Value *schema, const char *name, int64_t *ret) {
    const Value *v = value_get(schema, name);
    if (value_is(v, VALUE_INT))
        *ret = v->integer;
    return value_is(v, VALUE_INT);
}

/* The first of these that fails is the one that is told. */
static void check_text(Check *check, const Value *schema, const char *path, const Value *v) {
    const char *pattern = value_get_str(schema, "pattern");
    const GoRegexp *regexp = str_empty(pattern) ? NULL : strmap_get(check->schema->patterns, pattern);
    int64_t limit;
    if (limit_of(schema, "maxLength", &limit) && (int64_t)rune_count(v) > limit)
        field_too_long(check->errors, REPORT_PATH(check, path), limit);
    else if (limit_of(schema, "minLength", &limit) && (int64_t)rune_count(v) < limit)
        invalid(check, path, v, arena_printf(check->arena, "should be at least %" PRId64 " chars long", limit));
    else if (regexp && !go_regexp_matches(regexp, v->string, v->len))
        invalid(check, path, v, arena_printf(check->arena, "should match '%s'", pattern));
}

static void check_string(Check *check, const Value *schema, const char *path, const Value *v) {
    const char *format = value_get_str(schema, "format");
    check_text(check, schema, path, v);
    check->matches += 1 + (!str_empty(format) && schema_format_known(format));
    if (str_empty(format) || schema_format_fits(format, v->string))
        return;
    _cleanup_buf_ Buf quoted = BUF_INIT(BUF_NO_LIMIT);
    go_quote_n(&quoted, v->string, v->len);
    field_type_invalid(
        check->errors, REPORT_PATH(check, path), v,
        arena_printf(check->arena, "%s must be of type %s: %s", in_body(check, path), format, quoted.data));
}

static bool number_of(const Value *v, double *ret) {
    if (!value_is(v, VALUE_INT) && !value_is(v, VALUE_DOUBLE))
        return false;
    *ret = v->type == VALUE_INT ? (double)v->integer : v->number;
    return true;
}

/* Numbers and limits that the schema's type, or its format, cannot hold are told in words of their own. */
static bool check_range(Check *check, const Value *schema, const char *path, const Value *v, const char *what) {
    const char *type = str_or(value_get_str(schema, "type"), ""), *format = format_of(schema, type);
    double n = 0;
    bool holds = true;
    number_of(v, &n);
    if (streq(format, "int32"))
        holds = n >= INT32_MIN && n <= INT32_MAX && n == floor(n);
    else if (streq(type, "integer"))
        holds = v->type == VALUE_INT || (n >= -0x1p63 && n < 0x1p63 && n == floor(n));
    else if (streq(format, "float"))
        holds = fabs(n) <= FLT_MAX;
    if (!holds)
        field_invalid_str(check->errors, check->prefix, "", "%s value must be of type %s %s%s in %s", what, type,
                          *format ? "with format " : "(default format)", format, path);
    return holds;
}

/* What a number is compared with: an integer with the limit's integer part, if the schema's type holds the limit. */
typedef struct Limit {
    double number;
    int64_t integer;
    bool whole;
    const char *text;
} Limit;

static int64_t go_truncated(double n) {
    return fabs(n) < 0x1p63 ? (int64_t)n : INT64_MIN; /* as Go's conversion on amd64 */
}

static bool read_limit(Check *check, const Value *schema, const char *path, const Value *v, const char *name,
                       const char *what, Limit *ret) {
    const Value *limit = value_get(schema, name);
    if (!number_of(limit, &ret->number))
        return false;
    ret->whole = check_range(check, schema, path, limit, what) && v->type == VALUE_INT;
    ret->integer = go_truncated(ret->number);
    ret->text = ret->whole ? arena_printf(check->arena, "%" PRId64, ret->integer) : number_text(check, ret->number);
    return true;
}

static int compare_with(const Limit *limit, const Value *v) {
    double n = 0;
    number_of(v, &n);
    if (limit->whole)
        return (v->integer > limit->integer) - (v->integer < limit->integer);
    return (n > limit->number) - (n < limit->number);
}

static void check_multiple(Check *check, const char *path, const Value *v, const Limit *factor) {
    double n = 0;
    number_of(v, &n);
    if (factor->whole ? factor->integer <= 0 : factor->number <= 0) {
        const Value *bad =
            factor->whole ? value_int(check->arena, factor->integer) : value_double(check->arena, factor->number);
        field_invalid(check->errors, REPORT_PATH(check, path), bad,
                      "factor MultipleOf declared for %s must be positive: %s", path, factor->text);
    } else if (factor->whole ? v->integer % factor->integer != 0
                             : !is_integer(factor->number < 1 ? 1 / factor->number * n : n / factor->number))
        invalid(check, path, v, arena_printf(check->arena, "should be a multiple of %s", factor->text));
}

static void check_number(Check *check, const Value *schema, const char *path, const Value *v) {
    static const struct {
        const char *name, *exclusive, *what, *than;
        int sign;
    } BOUNDS[] = {{"minimum", "exclusiveMinimum", "Minimum boundary", "greater", -1},
                  {"maximum", "exclusiveMaximum", "Maximum boundary", "less", 1}};
    Limit limit;
    check->matches += 2;
    check_range(check, schema, path, v, "Checked");
    if (read_limit(check, schema, path, v, "multipleOf", "MultipleOf", &limit))
        check_multiple(check, path, v, &limit);
    for (size_t i = 0; i < ELEMENTSOF(BOUNDS); i++) {
        bool exclusive = value_get_bool(schema, BOUNDS[i].exclusive, false);
        if (!read_limit(check, schema, path, v, BOUNDS[i].name, BOUNDS[i].what, &limit))
            continue;
        int beyond = compare_with(&limit, v) * BOUNDS[i].sign;
        if (beyond > 0 || (exclusive && beyond == 0))
            invalid(check, path, v,
                    arena_printf(check->arena, "should be %s than %s%s", BOUNDS[i].than,
                                 exclusive ? "" : "or equal to ", limit.text));
    }
}

static bool has_twice(const Value *list) {
    for (size_t i = 0; i < list->len; i++)
        for (size_t j = 0; j < i; j++)
            if (typed_equal(list->items[i], list->items[j]))
                return true;
    return false;
}

static void keys_text(Buf *out, const Value *keys, const Value *item) {
    const Value *key;
    VALUE_FOREACH (key, keys) {
        const Value *v = value_get(item, str_or(value_str(key), ""));
        if (v)
            value_write_json(out, v);
        buf_putc(out, '\n'); /* which no JSON has */
    }
}

/* The items of a keyed list by the text of their keys: looking each up in turn would take the square of a long list. */
static StrMap *by_keys(const Value *schema, const Value *list) {
    const Value *keys = value_get(schema, "x-kubernetes-list-map-keys"), *item;
    if (!value_is(list, VALUE_ARRAY) || !value_len(keys))
        return NULL;
    StrMap *items = strmap_new(NULL);
    VALUE_FOREACH (item, list) {
        _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
        keys_text(&text, keys, item);
        if (!strmap_get(items, text.data))
            strmap_put(items, text.data, (void *)(uintptr_t)item);
    }
    return items;
}

/* An item as it was before; NULL: it is new. */
static const Value *item_before(const Value *schema, const StrMap *before, const Value *item) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    if (!before)
        return NULL;
    keys_text(&text, value_get(schema, "x-kubernetes-list-map-keys"), item);
    return strmap_get(before, text.data);
}

static void check_list(Check *check, const Value *schema, const char *path, const Value *v, const Value *old) {
    const Value *items = value_get(schema, "items");
    _cleanup_(strmap_freep) StrMap *before = by_keys(schema, old);
    int64_t limit;
    for (size_t i = 0; value_is(items, VALUE_OBJECT) && i < v->len; i++)
        validate(check, items, arena_printf(check->arena, "%s[%zu]", path, i), v->items[i],
                 item_before(schema, before, v->items[i]));
    if (limit_of(schema, "minItems", &limit) && (int64_t)v->len < limit)
        invalid(check, path, value_int(check->arena, v->len),
                arena_printf(check->arena, "should have at least %" PRId64 " items", limit));
    if (limit_of(schema, "maxItems", &limit) && (int64_t)v->len > limit)
        field_too_many(check->errors, REPORT_PATH(check, path), v->len, limit);
    if (value_get_bool(schema, "uniqueItems", false) && has_twice(v))
        invalid(check, path, v, "shouldn't contain duplicates");
}

static const char *below(const Check *check, const char *path, const char *name) {
    return *path ? arena_printf(check->arena, "%s.%s", path, name) : name;
}

static void check_object(Check *check, const Value *schema, const char *path, const Value *v, const Value *old) {
    const Value *properties = value_get(schema, "properties"), *more = value_get(schema, "additionalProperties"), *name;
    int64_t limit;
    if (limit_of(schema, "minProperties", &limit) && (int64_t)v->len < limit)
        invalid(check, path, value_int(check->arena, v->len),
                arena_printf(check->arena, "should have at least %" PRId64 " properties", limit));
    if (limit_of(schema, "maxProperties", &limit) && (int64_t)v->len > limit)
        field_too_many(check->errors, REPORT_PATH(check, path), v->len, limit);
    _cleanup_member_index_ MemberIndex by_name = member_index_for(properties, v->len),
                                       before = member_index_for(old, v->len),
                                       present = member_index_for(v, value_len(value_get(schema, "required")));
    VALUE_FOREACH_MEMBER (m, v) {
        const Value *inner = member_index_get(&by_name, m->name);
        if (!inner && value_is(more, VALUE_BOOL) && !more->boolean)
            field_invalid_str(check->errors, REPORT_PATH(check, path), m->name, "%s.%s in body is a forbidden property",
                              path, m->name);
        inner = inner ? inner : more;
        if (value_is(inner, VALUE_OBJECT))
            validate(check, inner, below(check, path, m->name), m->value, member_index_get(&before, m->name));
    }
    VALUE_FOREACH (name, value_get(schema, "required"))
        if (value_str(name) && !member_index_get(&present, value_str(name))) {
            FieldPath at = at_path(check, below(check, path, value_str(name)));
            field_required(check->errors, &at, "");
        }
}

/* ---- combinations ---- */

typedef struct Outcome {
    FieldErrors errors;
    size_t matches;
} Outcome;

/* Whether `v` is of this schema too. */
static bool passes(const Check *check, const Value *schema, const char *path, const Value *v, Outcome *ret) {
    *ret = (Outcome){.errors = FIELD_ERRORS_INIT(check->arena)};
    Check inner = *check;
    inner.errors = &ret->errors;
    inner.matches = 0;
    validate(&inner, schema, path, v, NULL);
    ret->matches = inner.matches;
    return ret->errors.n == 0;
}

static void merge(Check *check, const Outcome *outcome) {
    check->matches += outcome->matches;
    field_errors_merge(check->errors, &outcome->errors);
}

static void not_met(Check *check, const char *path, const char *what) {
    _cleanup_buf_ Buf quoted = BUF_INIT(BUF_NO_LIMIT);
    go_quote(&quoted, path);
    field_invalid_str(check->errors, check->prefix, "", "%s %s", quoted.data, what);
}

/* Of choices that all fail, the one with the most matches is told. */
static void check_some(Check *check, const Value *schema, const char *path, const Value *v, const char *name,
                       bool exactly_one) {
    const Value *choices = value_get(schema, name), *choice;
    Outcome nearest = {0}, first = {0}, outcome;
    size_t passed = 0, failed = 0;
    if (!value_len(choices))
        return;
    VALUE_FOREACH (choice, choices) {
        if (passed && !exactly_one)
            break;
        if (passes(check, choice, path, v, &outcome)) {
            if (!passed++)
                first = outcome;
        } else if (!failed++ || outcome.matches > nearest.matches)
            nearest = outcome;
    }
    if (passed == 1) {
        merge(check, &first);
        return;
    }
    if (!exactly_one)
        not_met(check, path, "must validate at least one schema (anyOf)");
    else if (passed)
        not_met(check, path,
                arena_printf(check->arena,
                             "must validate one and only one schema (oneOf). Found %zu valid alternatives", passed));
    else
        not_met(check, path, "must validate one and only one schema (oneOf). Found none valid");
    if (!passed)
        merge(check, &nearest);
}

static void check_combinations(Check *check, const Value *schema, const char *path, const Value *v) {
    const Value *all = value_get(schema, "allOf"), *not = value_get(schema, "not"), *part;
    Outcome outcome;
    size_t failed = 0;
    check->matches += 2;
    check_some(check, schema, path, v, "anyOf", false);
    check_some(check, schema, path, v, "oneOf", true);
    VALUE_FOREACH (part, all) {
        failed += !passes(check, part, path, v, &outcome);
        merge(check, &outcome);
    }
    if (failed)
        not_met(check, path,
                failed == value_len(all) ? "must validate all the schemas (allOf). None validated"
                                         : "must validate all the schemas (allOf)");
    if (value_is(not, VALUE_OBJECT) && passes(check, not, path, v, &outcome))
        not_met(check, path, "must not validate the schema (not)");
}

/* A number is converted to the type of the choice before they are compared, as in Go. */
static bool is_choice(const Value *choice, const Value *v) {
    if (choice->type == VALUE_INT && v->type == VALUE_DOUBLE)
        return go_truncated(v->number) == choice->integer;
    if (choice->type == VALUE_DOUBLE && v->type == VALUE_INT)
        return (double)v->integer == choice->number;
    return typed_equal(choice, v);
}

static void check_enum(Check *check, const Value *schema, const char *path, const Value *v) {
    const Value *allowed = value_get(schema, "enum"), *item;
    if (!value_len(allowed))
        return;
    const char **names = arena_alloc0(check->arena, (allowed->len + 1u) * sizeof *names);
    VALUE_FOREACH (item, allowed) {
        if (is_choice(item, v))
            return;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
        value_write_json(&text, item);
        names[_i_item] = value_str(item) ? value_str(item) : arena_strdup(check->arena, text.data);
    }
    field_not_supported(check->errors, REPORT_PATH(check, path), v, names);
}

static void validate(Check *check, const Value *schema, const char *path, const Value *v, const Value *old) {
    if (!value_is(schema, VALUE_OBJECT) || check->depth > JSON_SCHEMA_DEPTH_MAX || (old && typed_equal(old, v)))
        return;
    check->depth++;
    check_type(check, schema, path, v);
    if (v->type != VALUE_NULL)
        check_combinations(check, schema, path, v);
    if (v->type == VALUE_STRING)
        check_string(check, schema, path, v);
    else if (v->type == VALUE_INT || v->type == VALUE_DOUBLE)
        check_number(check, schema, path, v);
    else if (v->type == VALUE_ARRAY)
        check_list(check, schema, path, v, old);
    if (v->type != VALUE_NULL || !value_get_bool(schema, "nullable", false))
        check_enum(check, schema, path, v);
    if (v->type == VALUE_OBJECT)
        check_object(check, schema, path, v, old);
    if (v->type != VALUE_NULL) /* the enum and the whole, and what lists and objects count for themselves */
        check->matches += 2 + (v->type == VALUE_ARRAY ? 2 : v->type == VALUE_OBJECT);
    check->depth--;
}

void json_schema_validate(const JsonSchema *schema, const char *property, const FieldPath *prefix, const Value *v,
                          const Value *old, FieldErrors *errors) {
    const Value *root = property ? value_get(value_get(schema->root, "properties"), property) : schema->root;
    Check check = {.schema = schema, .arena = errors->arena, .prefix = prefix, .errors = errors};
    if (!root || !v)
        return;
    validate(&check, root, "", v, old);
}
