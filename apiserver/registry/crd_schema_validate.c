#include "apiserver/registry/crd_schema_validate.h"
#include "api/go_regexp.h"
#include "api/schema_format.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/crd_defaults.h"
#include "apiserver/registry/validate_util.h"
#include "base/str.h"

#define DEPTH_MAX 128 /* of schemas; what is deeper is not looked at */

#define PRESERVE "x-kubernetes-preserve-unknown-fields"
#define INT_OR_STRING "x-kubernetes-int-or-string"
#define EMBEDDED "x-kubernetes-embedded-resource"
#define LIST_TYPE "x-kubernetes-list-type"
#define LIST_KEYS "x-kubernetes-list-map-keys"
#define MAP_TYPE "x-kubernetes-map-type"
#define RULES "x-kubernetes-validations"

typedef enum Level { AT_ROOT, AT_ITEM, AT_FIELD } Level;

static const char *text(const Value *v, const char *name) {
    return str_or(value_get_str(v, name), "");
}

static bool flag(const Value *v, const char *name) {
    return value_get_bool(v, name, false);
}

static bool is_schema(const Value *v) {
    return value_is(v, VALUE_OBJECT);
}

/* ---- structural: what stands below allOf, anyOf, oneOf and not ---- */

static void check_nested(const Value *v, bool skip_any_of, FieldErrors *errors, const FieldPath *path, int depth);

static void check_pattern(const Value *v, FieldErrors *errors, const FieldPath *path) {
    const char *pattern = text(v, "pattern");
    FieldPath at = FIELD(path, "pattern");
    _cleanup_free_ char *why = NULL;
    GoRegexp *regexp = NULL;
    if (!*pattern)
        return;
    if (go_regexp_compile(pattern, &regexp, &why) < 0)
        field_invalid_str(errors, &at, pattern, "must be a valid regular expression, but isn't: %s", why);
    go_regexp_free(regexp);
}

static void check_junctors(const Value *v, bool skip_any_of, bool skip_first_all_of, FieldErrors *errors,
                           const FieldPath *path, int depth) {
    static const char *const names[] = {"anyOf", "allOf", "oneOf"};
    FieldPath not_path = FIELD(path, "not");
    for (size_t k = 0; k < ELEMENTSOF(names); k++) {
        const Value *list = value_get(v, names[k]);
        FieldPath list_path = FIELD(path, names[k]);
        if (k == 0 && skip_any_of)
            continue;
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_path, i);
            check_nested(value_at(list, i), k == 1 && i == 0 && skip_first_all_of, errors, &at, depth + 1);
        }
    }
    check_nested(value_get(v, "not"), false, errors, &not_path, depth + 1);
    check_pattern(v, errors, path);
}

static void check_nested_members(const Value *v, FieldErrors *errors, const FieldPath *path) {
    static const struct {
        const char *name, *must;
    } forbidden[] = {{"type", "empty"},     {"default", "undefined"}, {"title", "empty"},      {"description", "empty"},
                     {"nullable", "false"}, {PRESERVE, "false"},      {EMBEDDED, "false"},     {INT_OR_STRING, "false"},
                     {LIST_KEYS, "empty"},  {LIST_TYPE, "undefined"}, {MAP_TYPE, "undefined"}, {RULES, "empty"}};
    for (size_t i = 0; i < ELEMENTSOF(forbidden); i++) {
        const Value *member = value_get(v, forbidden[i].name);
        FieldPath at = FIELD(path, forbidden[i].name);
        if (!value_is_empty(member) && !(value_is(member, VALUE_BOOL) && !member->boolean))
            field_forbidden(errors, &at, "must be %s to be structural", forbidden[i].must);
    }
}

static void check_nested(const Value *v, bool skip_any_of, FieldErrors *errors, const FieldPath *path, int depth) {
    const Value *more = value_get(v, "additionalProperties"), *properties = value_get(v, "properties");
    FieldPath items = FIELD(path, "items"), more_path = FIELD(path, "additionalProperties"),
              properties_path = FIELD(path, "properties"), meta = FIELD_KEY(&properties_path, "metadata");
    if (!is_schema(v) || depth > DEPTH_MAX)
        return;
    check_junctors(v, skip_any_of, false, errors, path, depth);
    check_nested(value_get(v, "items"), false, errors, &items, depth + 1);
    VALUE_FOREACH_MEMBER (m, properties) {
        FieldPath at = FIELD_KEY(&properties_path, m->name);
        check_nested(m->value, false, errors, &at, depth + 1);
    }
    check_nested_members(v, errors, path);
    if (is_schema(more) || (value_is(more, VALUE_BOOL) && more->boolean))
        field_forbidden(errors, &more_path, "must be undefined to be structural");
    if (value_get(properties, "metadata"))
        field_forbidden(errors, &meta, "must not be specified in a nested context");
}

/* ---- structural: the schema itself ---- */

static bool is_type_only(const Value *v, const char *type) {
    return is_schema(v) && v->len == 1 && streq(text(v, "type"), type);
}

static bool is_int_or_string(const Value *any_of) {
    return value_len(any_of) == 2 && is_type_only(value_at(any_of, 0), "integer") &&
           is_type_only(value_at(any_of, 1), "string");
}

static void check_structural_type(const Value *v, Level level, FieldErrors *errors, const FieldPath *path) {
    static const char *const where[] = {"at the root", "for specified array items", "for specified object fields"};
    const char *type = text(v, "type");
    FieldPath at = FIELD(path, "type");
    if (flag(v, EMBEDDED) && !*type)
        field_required(errors, &at, "must be object if x-kubernetes-embedded-resource is true");
    else if (flag(v, EMBEDDED) && !streq(type, "object"))
        field_invalid_str(errors, &at, type, "must be object if x-kubernetes-embedded-resource is true");
    else if (!flag(v, EMBEDDED) && !*type && !flag(v, INT_OR_STRING) && !flag(v, PRESERVE))
        field_required(errors, &at, arena_printf(errors->arena, "must not be empty %s", where[level]));
    if (level == AT_ROOT && *type && !streq(type, "object"))
        field_invalid_str(errors, &at, type, "must be object at the root");
}

static void check_type_is(const Value *properties, const char *name, const char *type, FieldErrors *errors,
                          const FieldPath *properties_path) {
    const Value *v = value_get(properties, name);
    FieldPath at = FIELD_KEY(properties_path, name), type_path = FIELD(&at, "type");
    if (v && !streq(text(v, "type"), type))
        field_invalid_str(errors, &type_path, text(v, "type"), "must be %s", type);
}

/* At the root metadata may restrict the name, and nothing else. */
static void check_root_metadata(const Value *metadata, FieldErrors *errors, const FieldPath *path) {
    const Value *properties = value_get(metadata, "properties");
    bool good = true;
    VALUE_FOREACH_MEMBER (m, metadata)
        good = good && (streq(m->name, "type") || streq(m->name, "default") || streq(m->name, "properties") ||
                        value_is_empty(m->value));
    VALUE_FOREACH_MEMBER (m, properties)
        good = good && (streq(m->name, "name") || streq(m->name, "generateName"));
    if (!good)
        field_forbidden(errors, path,
                        "must not specify anything other than name and generateName, but metadata is implicitly "
                        "specified");
}

static void check_head(const Value *v, Level level, FieldErrors *errors, const FieldPath *path) {
    const Value *properties = value_get(v, "properties"), *more = value_get(v, "additionalProperties");
    FieldPath properties_path = FIELD(path, "properties"), meta = FIELD_KEY(&properties_path, "metadata");
    FieldPath more_path = FIELD(path, "additionalProperties");
    if (flag(v, EMBEDDED) && more)
        field_forbidden(errors, &more_path, "must not be used if x-kubernetes-embedded-resource is set");
    if (level == AT_ROOT || flag(v, EMBEDDED)) {
        check_type_is(properties, "kind", "string", errors, &properties_path);
        check_type_is(properties, "apiVersion", "string", errors, &properties_path);
        check_type_is(properties, "metadata", "object", errors, &properties_path);
    }
    if (level == AT_ROOT && value_get(properties, "metadata"))
        check_root_metadata(value_get(properties, "metadata"), errors, &meta);
    if (flag(v, EMBEDDED) && !flag(v, PRESERVE) && !value_len(properties))
        field_required(errors, &properties_path,
                       "must not be empty if x-kubernetes-embedded-resource is true without "
                       "x-kubernetes-preserve-unknown-fields");
}

static void check_extensions(const Value *v, FieldErrors *errors, const FieldPath *path) {
    static const char *const others[] = {PRESERVE, EMBEDDED};
    for (size_t i = 0; i < ELEMENTSOF(others); i++) {
        FieldPath at = FIELD(path, others[i]);
        if (flag(v, INT_OR_STRING) && flag(v, others[i]))
            field_invalid(errors, &at, value_bool(errors->arena, true),
                          "must be false if x-kubernetes-int-or-string is true");
    }
}

static void check_invariants(const Value *v, Level level, FieldErrors *errors, const FieldPath *path, int depth) {
    const Value *items = value_get(v, "items"), *more = value_get(v, "additionalProperties");
    FieldPath items_path = FIELD(path, "items"), properties_path = FIELD(path, "properties");
    FieldPath more_path = FIELD(path, "additionalProperties");
    if (!is_schema(v) || depth > DEPTH_MAX)
        return;
    if (streq(text(v, "type"), "array") && !is_schema(items))
        field_required(errors, &items_path, "must be specified");
    check_invariants(items, AT_ITEM, errors, &items_path, depth + 1);
    VALUE_FOREACH_MEMBER (m, value_get(v, "properties")) {
        FieldPath at = FIELD_KEY(&properties_path, m->name);
        check_invariants(m->value, AT_FIELD, errors, &at, depth + 1);
    }
    if (more && level == AT_ROOT)
        field_forbidden(errors, &more_path, "must not be used at the root");
    check_invariants(more, AT_FIELD, errors, &more_path, depth + 1);
    check_extensions(v, errors, path);
    check_junctors(v, is_int_or_string(value_get(v, "anyOf")),
                   is_int_or_string(value_get(value_at(value_get(v, "allOf"), 0), "anyOf")), errors, path, depth);
    check_structural_type(v, level, errors, path);
    check_head(v, level, errors, path);
}

/* What a junctor speaks of must be in the schema proper. `v`: the junctor's part at `v_path`; `s`: what it applies to.
 */
static void check_complete(const Value *v, const Value *s, FieldErrors *errors, const FieldPath *s_path,
                           const FieldPath *v_path, int depth);

static void check_complete_junctors(const Value *v, const Value *s, FieldErrors *errors, const FieldPath *s_path,
                                    const FieldPath *v_path, int depth) {
    static const char *const names[] = {"allOf", "anyOf", "oneOf"};
    FieldPath not_path = FIELD(v_path, "not");
    check_complete(value_get(v, "not"), s, errors, s_path, &not_path, depth + 1);
    for (size_t k = 0; k < ELEMENTSOF(names); k++) {
        const Value *list = value_get(v, names[k]);
        FieldPath list_path = FIELD(v_path, names[k]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_path, i);
            check_complete(value_at(list, i), s, errors, s_path, &at, depth + 1);
        }
    }
}

static void check_complete(const Value *v, const Value *s, FieldErrors *errors, const FieldPath *s_path,
                           const FieldPath *v_path, int depth) {
    FieldPath s_items = FIELD(s_path, "items"), v_items = FIELD(v_path, "items");
    FieldPath s_properties = FIELD(s_path, "properties"), v_properties = FIELD(v_path, "properties");
    if (!is_schema(v) || depth > DEPTH_MAX)
        return;
    if (!is_schema(s)) {
        field_required(
            errors, s_path,
            arena_printf(errors->arena, "because it is defined in %s", field_path_text(errors->arena, v_path)));
        return;
    }
    check_complete_junctors(v, s, errors, s_path, v_path, depth);
    check_complete(value_get(v, "items"), value_get(s, "items"), errors, &s_items, &v_items, depth + 1);
    VALUE_FOREACH_MEMBER (m, value_get(v, "properties")) {
        FieldPath s_at = FIELD_KEY(&s_properties, m->name), v_at = FIELD_KEY(&v_properties, m->name);
        check_complete(m->value, value_get(value_get(s, "properties"), m->name), errors, &s_at, &v_at, depth + 1);
    }
}

static int compare_errors(const void *a, const void *b) {
    const struct FieldError *x = a, *y = b;
    int r = strcmp(x->field, y->field);
    return r ? r : strcmp(x->message, y->message);
}

static bool check_structural(const Value *schema, FieldErrors *errors, const FieldPath *path) {
    FieldErrors found = FIELD_ERRORS_INIT(errors->arena);
    check_invariants(schema, AT_ROOT, &found, path, 0);
    check_complete_junctors(schema, schema, &found, path, path, 0);
    if (found.n > 1)
        qsort(found.items, field_errors_kept(&found), sizeof *found.items, compare_errors);
    field_errors_append(errors, &found);
    return found.n == 0;
}

/* ---- what custom resources may use of OpenAPI ---- */

/* What holds for all below a schema. */
typedef struct Scope {
    const char *no_defaults; /* why they are forbidden; NULL: they are not */
    bool in_meta;
} Scope;

static void check_use(const Value *v, Scope scope, bool root, FieldErrors *errors, const FieldPath *path, int depth);

static void check_supported(const Value *v, Scope scope, FieldErrors *errors, const FieldPath *path) {
    static const char *const types[] = {"array", "boolean", "integer", "number", "object", "string", NULL};
    static const char *const unsupported[] = {"id",          "additionalItems", "patternProperties",
                                              "definitions", "dependencies",    "$ref"};
    const Value *fallback = value_get(v, "default");
    FieldPath type = FIELD(path, "type"), default_path = FIELD(path, "default"), items = FIELD(path, "items");
    FieldPath embedded = FIELD(path, EMBEDDED);
    if (*text(v, "type") && !str_in(text(v, "type"), types))
        field_not_supported(errors, &type, value_get(v, "type"), types);
    if (fallback && fallback->type != VALUE_NULL && scope.no_defaults)
        field_forbidden(errors, &default_path, "must not be set %s", scope.no_defaults);
    for (size_t i = 0; i < ELEMENTSOF(unsupported); i++) {
        const Value *member = value_get(v, unsupported[i]);
        FieldPath at = FIELD(path, unsupported[i]);
        if (!value_is_empty(member) || (member && (i == 1 || i == 4 || i == 5)))
            field_forbidden(errors, &at, "%s is not supported", unsupported[i]);
    }
    if (streq(text(v, "type"), "null"))
        field_forbidden(errors, &type, "type cannot be set to null, use nullable as an alternative");
    if (value_is(value_get(v, "items"), VALUE_ARRAY))
        field_forbidden(errors, &items, "items must be a schema object and not an array");
    if (scope.in_meta && flag(v, EMBEDDED))
        field_forbidden(errors, &embedded, "must not be used inside of resource meta");
}

static void check_inner(const Value *v, Scope scope, bool root, FieldErrors *errors, const FieldPath *path, int depth) {
    static const char *const of_meta[] = {"metadata", "kind", "apiVersion", NULL};
    static const char *const junctors[] = {"allOf", "oneOf", "anyOf"};
    FieldPath properties = FIELD(path, "properties"), not_path = FIELD(path, "not"), items = FIELD(path, "items");
    VALUE_FOREACH_MEMBER (m, value_get(v, "properties")) {
        FieldPath at = FIELD_KEY(&properties, m->name);
        Scope inner = scope;
        if ((root || flag(v, EMBEDDED)) && str_in(m->name, of_meta)) {
            inner.in_meta = true;
            if (root)
                inner.no_defaults = arena_printf(errors->arena, "in top-level %s", m->name);
        }
        check_use(m->value, inner, false, errors, &at, depth + 1);
    }
    check_use(value_get(v, "not"), scope, false, errors, &not_path, depth + 1);
    for (size_t k = 0; k < ELEMENTSOF(junctors); k++) {
        const Value *list = value_get(v, junctors[k]);
        FieldPath list_path = FIELD(path, junctors[k]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_path, i);
            check_use(value_at(list, i), scope, false, errors, &at, depth + 1);
        }
    }
    check_use(value_get(v, "items"), scope, false, errors, &items, depth + 1);
}

/* x-kubernetes-map-type and -list-type name the type they go with. */
static void check_type_for(const Value *v, const char *mark, const char *type, FieldErrors *errors,
                           const FieldPath *path) {
    FieldPath at = FIELD(path, "type");
    const char *says = arena_printf(errors->arena, "must be %s if %s is specified", type, mark);
    if (!value_get_str(v, mark) || streq(text(v, "type"), type))
        return;
    if (!*text(v, "type"))
        field_required(errors, &at, says);
    else
        field_invalid_str(errors, &at, text(v, "type"), "%s", says);
}

static void check_map_type(const Value *v, FieldErrors *errors, const FieldPath *path) {
    static const char *const kinds[] = {"atomic", "granular", NULL};
    const char *kind = value_get_str(v, MAP_TYPE);
    FieldPath at = FIELD(path, MAP_TYPE);
    check_type_for(v, MAP_TYPE, "object", errors, path);
    if (kind && !str_in(kind, kinds))
        field_not_supported(errors, &at, value_get(v, MAP_TYPE), kinds);
}

static void check_set_items(const Value *items, FieldErrors *errors, const FieldPath *path) {
    static const char says[] = "must be atomic as item of a list with x-kubernetes-list-type=set";
    const char *type = text(items, "type"), *list = value_get_str(items, LIST_TYPE);
    FieldPath at = FIELD(path, "items"), list_path = FIELD(&at, LIST_TYPE), map_path = FIELD(&at, MAP_TYPE);
    if (streq(type, "array") && list && !streq(list, "atomic"))
        field_invalid(errors, &list_path, value_get(items, LIST_TYPE), says);
    if (streq(type, "object") && !streq(text(items, MAP_TYPE), "atomic"))
        field_invalid(errors, &map_path, value_get(items, LIST_TYPE), says);
}

static void check_keys(const Value *v, const Value *items, FieldErrors *errors, const FieldPath *path) {
    const Value *keys = value_get(v, LIST_KEYS);
    FieldPath keys_path = FIELD(path, LIST_KEYS), items_path = FIELD(path, "items");
    FieldPath properties = FIELD(&items_path, "properties");
    for (size_t i = 0; i < value_len(keys); i++) {
        const char *key = str_or(value_str(value_at(keys, i)), "");
        const Value *property = value_get(value_get(items, "properties"), key);
        FieldPath at = FIELD_KEY(&properties, key), type = FIELD(&at, "type");
        bool twice = seen_before(errors, keys, i, NULL, key);
        if (!property)
            field_invalid(errors, &keys_path, keys, "entries must all be names of item properties");
        else if (streq(text(property, "type"), "array") || streq(text(property, "type"), "object"))
            field_invalid_str(errors, &type, text(items, "type"),
                              "must be a scalar type if parent array's x-kubernetes-list-type is map");
        if (twice)
            field_invalid(errors, &keys_path, keys, "must not contain duplicate entries");
    }
}

static void check_map_list(const Value *v, FieldErrors *errors, const FieldPath *path) {
    const Value *items = value_get(v, "items");
    FieldPath keys_path = FIELD(path, LIST_KEYS), items_path = FIELD(path, "items"), type = FIELD(&items_path, "type");
    if (!value_len(value_get(v, LIST_KEYS)))
        field_required(errors, &keys_path, "must not be empty if x-kubernetes-list-type is map");
    if (!items)
        field_required(errors, &items_path, "must have a schema if x-kubernetes-list-type is map");
    else if (!is_schema(items))
        field_invalid(errors, &items_path, items, "must only have a single schema if x-kubernetes-list-type is map");
    else if (!streq(text(items, "type"), "object"))
        field_invalid_str(errors, &type, text(items, "type"),
                          "must be object if parent array's x-kubernetes-list-type is map");
    else
        check_keys(v, items, errors, path);
}

static void check_list_type(const Value *v, FieldErrors *errors, const FieldPath *path) {
    static const char *const kinds[] = {"atomic", "set", "map", NULL};
    const char *kind = value_get_str(v, LIST_TYPE);
    FieldPath at = FIELD(path, LIST_TYPE);
    check_type_for(v, LIST_TYPE, "array", errors, path);
    if (streq(text(v, "type"), "array") && kind && streq(kind, "set") && is_schema(value_get(v, "items")))
        check_set_items(value_get(v, "items"), errors, path);
    if (kind && !str_in(kind, kinds))
        field_not_supported(errors, &at, value_get(v, LIST_TYPE), kinds);
    if (value_len(value_get(v, LIST_KEYS)) && !kind)
        field_required(errors, &at, "must be map if x-kubernetes-list-map-keys is non-empty");
    else if (value_len(value_get(v, LIST_KEYS)) && !streq(kind, "map"))
        field_invalid_str(errors, &at, kind, "must be map if x-kubernetes-list-map-keys is non-empty");
    if (kind && streq(kind, "map"))
        check_map_list(v, errors, path);
}

/* Items of sets and maps are never null, nor are their keys ever absent. */
static void check_identity(const Value *v, FieldErrors *errors, const FieldPath *path) {
    const char *kind = text(v, LIST_TYPE);
    const Value *items = value_get(v, "items"), *key;
    FieldPath items_path = FIELD(path, "items"), nullable = FIELD(&items_path, "nullable");
    FieldPath properties = FIELD(&items_path, "properties");
    if (!is_schema(items) || (!streq(kind, "set") && !streq(kind, "map")))
        return;
    if (flag(items, "nullable"))
        field_forbidden(errors, &nullable, "cannot be nullable when x-kubernetes-list-type is %s", kind);
    if (!streq(kind, "map"))
        return;
    VALUE_FOREACH (key, value_get(v, LIST_KEYS)) {
        const char *name = str_or(value_str(key), "");
        const Value *property = value_get(value_get(items, "properties"), name);
        const Value *otherwise = value_get(property, "default");
        FieldPath at = FIELD_KEY(&properties, name), default_path = FIELD(&at, "default"),
                  null_path = FIELD(&at, "nullable");
        if (property && !list_has(value_get(items, "required"), name) && (!otherwise || otherwise->type == VALUE_NULL))
            field_required(errors, &default_path,
                           "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required "
                           "property");
        if (flag(property, "nullable"))
            field_forbidden(errors, &null_path,
                            "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
    }
}

static bool is_blank(const char *s) {
    return !s[strspn(s, " \t\n\v\f\r")];
}

static bool has_line_break(const char *s) {
    return strpbrk(s, "\n\r") != NULL;
}

/* Line breaks inside, not around. */
static bool breaks_inside(Arena *arena, const char *s) {
    s += strspn(s, " \t\n\v\f\r");
    char *copy = arena_strdup(arena, s);
    for (size_t n = strlen(copy); n && strchr(" \t\n\v\f\r", copy[n - 1]); n--)
        copy[n - 1] = 0;
    return has_line_break(copy);
}

static void check_rule(const Value *schema, const Value *rule, FieldErrors *errors, const FieldPath *path) {
    static const char *const reasons[] = {"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid",
                                          "FieldValueRequired", NULL};
    const char *expression = text(rule, "rule"), *message = text(rule, "message"), *where = text(rule, "fieldPath");
    FieldPath rule_path = FIELD(path, "rule"), message_path = FIELD(path, "message"), at = FIELD(path, "fieldPath");
    FieldPath message_expression = FIELD(path, "messageExpression"), reason = FIELD(path, "reason");
    const char *ignored;
    if (is_blank(expression))
        field_required(errors, &rule_path, "rule is not specified");
    else if (*message && is_blank(message))
        field_invalid_str(errors, &message_path, message, "must be non-empty if specified");
    else if (breaks_inside(errors->arena, message))
        field_invalid_str(errors, &message_path, message, "must not contain line breaks");
    else if (breaks_inside(errors->arena, expression) && !*message)
        field_required(errors, &message_path, "message must be specified if rule contains line breaks");
    if (*text(rule, "messageExpression") && is_blank(text(rule, "messageExpression")))
        field_required(errors, &message_expression, "messageExpression must be non-empty if specified");
    if (value_get_str(rule, "reason") && !str_in(text(rule, "reason"), reasons))
        field_not_supported(errors, &reason, value_get(rule, "reason"), reasons);
    if (*where && is_blank(where))
        field_invalid_str(errors, &at, where, "must be non-empty if specified");
    if (has_line_break(where))
        field_invalid_str(errors, &at, where, "must not contain line breaks");
    if (*where && !crd_schema_field(errors->arena, schema, where, true, &ignored, &ignored))
        field_invalid_str(errors, &at, where, "must be a valid path");
}

static void check_use(const Value *v, Scope scope, bool root, FieldErrors *errors, const FieldPath *path, int depth) {
    const Value *more = value_get(v, "additionalProperties"), *preserve = value_get(v, PRESERVE),
                *rules = value_get(v, RULES);
    FieldPath unique = FIELD(path, "uniqueItems"), more_path = FIELD(path, "additionalProperties");
    FieldPath preserve_path = FIELD(path, PRESERVE), rules_path = FIELD(path, RULES);
    if (!is_schema(v) || depth > DEPTH_MAX)
        return;
    check_supported(v, scope, errors, path);
    if (flag(v, "uniqueItems"))
        field_forbidden(errors, &unique,
                        "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    if (more && value_len(value_get(v, "properties")) && !(value_is(more, VALUE_BOOL) && more->boolean))
        field_forbidden(errors, &more_path, "additionalProperties and properties are mutual exclusive");
    Scope inner = scope;
    if (scope.in_meta)
        inner.no_defaults = "inside additionalProperties applying to object metadata";
    check_use(more, inner, false, errors, &more_path, depth + 1);
    check_inner(v, scope, root, errors, path, depth);
    if (value_is(preserve, VALUE_BOOL) && !preserve->boolean)
        field_invalid(errors, &preserve_path, preserve, "must be true or undefined");
    check_map_type(v, errors, path);
    check_list_type(v, errors, path);
    check_identity(v, errors, path);
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath at = FIELD_INDEX(&rules_path, i);
        check_rule(v, value_at(rules, i), errors, &at);
    }
}

/* ---- the whole ---- */

/* What no structural schema can hold; NULL: there is nothing of the kind. */
static const char *unstructured(Arena *arena, const Value *v, int depth) {
    static const struct {
        const char *member, *name;
    } unsupported[] = {{"id", "id"},
                       {"$schema", "schema"},
                       {"$ref", "$ref"},
                       {"patternProperties", "patternProperties"},
                       {"dependencies", "dependencies"},
                       {"additionalItems", "additionalItems"},
                       {"definitions", "definitions"}};
    const Value *preserve = value_get(v, PRESERVE);
    const char *why = NULL;
    if (depth > DEPTH_MAX)
        return NULL;
    for (size_t i = 0; is_schema(v) && i < ELEMENTSOF(unsupported); i++)
        if (!value_is_empty(value_get(v, unsupported[i].member)))
            return arena_printf(arena, "OpenAPIV3Schema '%s' is not supported", unsupported[i].name);
    if (value_is(preserve, VALUE_BOOL) && !preserve->boolean)
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
    if (value_is(value_get(v, "items"), VALUE_ARRAY))
        return "OpenAPIV3Schema 'items' must be a schema, but is an array";
    static const char *const single[] = {"items", "not", "additionalProperties"};
    static const char *const several[] = {"properties", "allOf", "anyOf", "oneOf"};
    for (size_t i = 0; is_schema(v) && i < ELEMENTSOF(single) && !why; i++)
        why = is_schema(value_get(v, single[i])) ? unstructured(arena, value_get(v, single[i]), depth + 1) : NULL;
    for (size_t i = 0; is_schema(v) && i < ELEMENTSOF(several) && !why; i++) {
        const Value *list = value_get(v, several[i]), *item;
        VALUE_FOREACH (item, list)
            why = why ? why : unstructured(arena, item, depth + 1);
        VALUE_FOREACH_MEMBER (m, list)
            why = why ? why : unstructured(arena, m->value, depth + 1);
    }
    return why;
}

/* With a status subresource the schema of status is taken out alone, so the root may hold nothing that would be lost.
 */
static void check_status_root(const Value *schema, FieldErrors *errors, const FieldPath *path) {
    static const char *const before[] = {"id", "$schema", "$ref", NULL};
    static const char *const allowed[] = {"description",
                                          "type",
                                          "format",
                                          "title",
                                          "maximum",
                                          "exclusiveMaximum",
                                          "minimum",
                                          "exclusiveMinimum",
                                          "maxLength",
                                          "minLength",
                                          "pattern",
                                          "maxItems",
                                          "minItems",
                                          "uniqueItems",
                                          "multipleOf",
                                          "required",
                                          "items",
                                          "properties",
                                          "externalDocs",
                                          "example",
                                          PRESERVE,
                                          RULES,
                                          NULL};
    FieldPath type = FIELD(path, "type");
    bool other = false, early = false;
    VALUE_FOREACH_MEMBER (m, schema) {
        bool zero = value_is_empty(m->value) || (value_is(m->value, VALUE_BOOL) && !m->value->boolean);
        other = other || (!zero && !str_in(m->name, allowed));
        early = early || (!zero && str_in(m->name, before));
    }
    if (!early && *text(schema, "type") && !streq(text(schema, "type"), "object"))
        field_invalid_str(errors, &type, text(schema, "type"),
                          "only \"object\" is allowed as the type at the root of the schema if the status subresource "
                          "is enabled");
    else if (other)
        field_invalid(
            errors, path, schema,
            "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength "
            "MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs "
            "Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the "
            "status subresource is enabled");
}

void crd_schema_validate(const Value *validation, bool status, FieldErrors *errors, const FieldPath *path) {
    const Value *schema = value_get(validation, "openAPIV3Schema");
    FieldPath at = FIELD(path, "openAPIV3Schema"), nullable = FIELD(&at, "nullable");
    size_t from = errors->n;
    if (!is_schema(schema))
        return;
    if (status)
        check_status_root(schema, errors, &at);
    if (flag(schema, "nullable"))
        field_forbidden(errors, &nullable, "nullable cannot be true at the root");
    const char *why = unstructured(errors->arena, schema, 0);
    if (!why && check_structural(schema, errors, &at))
        crd_defaults_validate(schema, errors, &at);
    check_use(schema, (Scope){0}, true, errors, &at, 0);
    if (why && errors->n == from)
        field_invalid_str(errors, &at, "", "%s", why);
}

/* ---- formats ---- */

static bool is_known_format(const char *type, const char *format) {
    if (streq(type, "integer"))
        return streq(format, "int32") || streq(format, "int64");
    if (streq(type, "number"))
        return streq(format, "float") || streq(format, "double");
    return (!*type || streq(type, "string")) && schema_format_known(format);
}

static void find_formats(Arena *arena, const Value *v, Value *found, int depth) {
    static const char *const single[] = {"not", "additionalProperties"};
    static const char *const several[] = {"allOf", "anyOf", "oneOf"};
    const char *format = text(v, "format");
    if (!is_schema(v) || depth > DEPTH_MAX)
        return;
    if (*format && !is_known_format(text(v, "type"), format))
        value_append(arena, found, value_string(arena, format));
    find_formats(arena, value_get(v, "items"), found, depth + 1);
    for (size_t k = 0; k < ELEMENTSOF(several); k++)
        for (size_t i = 0; i < value_len(value_get(v, several[k])); i++)
            find_formats(arena, value_at(value_get(v, several[k]), i), found, depth + 1);
    VALUE_FOREACH_MEMBER (m, value_get(v, "properties"))
        find_formats(arena, m->value, found, depth + 1);
    for (size_t k = 0; k < ELEMENTSOF(single); k++)
        find_formats(arena, value_get(v, single[k]), found, depth + 1);
}

void crd_schema_formats(Arena *arena, const Value *schema, Value *found) {
    find_formats(arena, schema, found, 0);
}

/* ---- paths ---- */

static size_t token_length(const char *p) {
    if (*p == '\'') {
        for (size_t i = 1; p[i]; i++)
            if (p[i] == '\'' && p[i - 1] != '\\')
                return i + 1;
        return strlen(p);
    }
    size_t n = strcspn(p, ".[]");
    return n ? n : *p != 0;
}

static const Value *step_into(const Value *schema, const char *name, bool *ret_key) {
    const Value *properties = value_get(schema, "properties"), *more = value_get(schema, "additionalProperties");
    *ret_key = !properties;
    return properties ? value_get(properties, name) : is_schema(more) ? more : NULL;
}

const Value *crd_schema_field(Arena *arena, const Value *schema, const char *path, bool allow_brackets,
                              const char **ret_text, const char **ret_error) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    for (const char *p = path; *p;) {
        char kind = *p;
        size_t n = token_length(p);
        bool key;
        if (n != 1 || (kind != '.' && kind != '[')) {
            *ret_error = arena_printf(arena, "expected [ or . but got: %.*s", (int)n, p);
            return NULL;
        }
        if (kind == '[' && !allow_brackets) {
            *ret_error = "array notation is not allowed";
            return NULL;
        }
        n = token_length(++p);
        if (!n) {
            *ret_error = "unexpected end of JSON path";
            return NULL;
        }
        if (kind == '[' && (n < 2 || *p != '\'' || p[n - 1] != '\'')) {
            *ret_error = arena_printf(arena, "expected single quoted string but got %.*s", (int)n, p);
            return NULL;
        }
        char *name = kind == '[' ? arena_strndup(arena, p + 1, n - 2) : arena_strndup(arena, p, n);
        p += n;
        if (kind == '[' && *p++ != ']') {
            *ret_error = p[-1] ? "expected ]" : "unexpected end of JSON path";
            return NULL;
        }
        schema = step_into(schema, name, &key);
        if (!schema) {
            *ret_error = "does not refer to a valid field";
            return NULL;
        }
        buf_printf(&out, key ? "[%s]" : out.len ? ".%s" : "%s", name);
    }
    *ret_text = arena_strdup(arena, str_or(out.data, ""));
    return schema;
}
