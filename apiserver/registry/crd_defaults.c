#include "apiserver/registry/crd_defaults.h"
#include "api/codec.h"
#include "api/json_schema.h"
#include "api/structural.h"
#include "apiserver/registry/custom_checks.h"
#include "base/str.h"

#define DEPTH_MAX 128 /* of schemas; what is deeper is not looked at */
#define EMBEDDED "x-kubernetes-embedded-resource"

/* The way down to a default from the resource around it. */
typedef struct Step {
    const struct Step *up;
    const char *member; /* NULL: an item */
} Step;

typedef struct Place {
    const Value *resource; /* the schema of the resource around it */
    const Step *step;      /* NULL: it is that resource */
    bool in_meta;          /* in its apiVersion, kind or metadata */
} Place;

static bool is_schema(const Value *v) {
    return value_is(v, VALUE_OBJECT);
}

static const Value *default_of(const Value *schema) {
    const Value *v = value_get(schema, "default");
    return v && v->type != VALUE_NULL ? v : NULL;
}

/* A resource that holds the default where the schema has it, and nothing else. */
static Value *surround(Arena *arena, const Value *fallback, const Step *step) {
    Value *v = value_copy(arena, fallback);
    for (; step; step = step->up) {
        Value *outer = step->member ? value_object(arena) : value_array(arena);
        if (step->member)
            value_set(arena, outer, step->member, v);
        else
            value_append(arena, outer, v);
        v = outer;
    }
    if (!value_get(v, "kind"))
        value_set_str(arena, v, "kind", "Validation");
    if (!value_get(v, "apiVersion"))
        value_set_str(arena, v, "apiVersion", "validation/v1");
    return v;
}

/* One error is told as it is, several in brackets, as by k8s.io/apimachinery/pkg/util/errors.Aggregate. */
static char *aggregate(Arena *arena, const FieldErrors *errors) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    size_t n = field_errors_kept(errors);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%s: %s", i ? ", " : n > 1 ? "[" : "", errors->items[i].field, errors->items[i].message);
    return arena_printf(arena, "%s%s", str_or(text.data, ""), n > 1 ? "]" : "");
}

static bool check_meta(const Value *fallback, const Place *place, FieldErrors *errors, const FieldPath *at) {
    FieldErrors found = FIELD_ERRORS_INIT(errors->arena);
    if (custom_check_undecoded(place->resource, surround(errors->arena, fallback, place->step), NULL, &found))
        return true;
    field_invalid(errors, at, fallback, "must result in valid metadata: %s", aggregate(errors->arena, &found));
    return false;
}

static void check_pruned(const Value *schema, const Value *fallback, FieldErrors *errors, const FieldPath *at) {
    Value *pruned = value_copy(errors->arena, fallback);
    UnknownFields unknown = {0};
    if (value_get_bool(schema, EMBEDDED, false)) /* metadata is not pruned */
        value_remove(pruned, "metadata");
    const Schema *table = structural_part(errors->arena, schema);
    if (schema_normalize(errors->arena, table, pruned, &unknown, NULL) == 0 && unknown.n)
        field_invalid(errors, at, fallback, "must not have unknown fields");
}

static void check_default(const Value *schema, const Place *place, FieldErrors *errors, const FieldPath *path) {
    const Value *fallback = default_of(schema);
    FieldPath at = FIELD(path, "default");
    _cleanup_(json_schema_freep) JsonSchema *validator = NULL;
    const char *ignored;
    if (!fallback || json_schema_new(schema, &validator, &ignored) < 0)
        return;
    if (!place->in_meta)
        check_pruned(schema, fallback, errors, &at);
    if (place->in_meta ? check_meta(fallback, place, errors, &at)
                       : custom_check_undecoded(schema, fallback, &at, errors))
        json_schema_validate(validator, NULL, &at, fallback, NULL, errors);
}

static void check_all(const Value *schema, Place place, FieldErrors *errors, const FieldPath *path, int depth) {
    static const char *const of_every_resource[] = {"apiVersion", "kind", "metadata", NULL};
    FieldPath items = FIELD(path, "items"), properties = FIELD(path, "properties");
    bool embedded = value_get_bool(schema, EMBEDDED, false);
    if (!is_schema(schema) || depth > DEPTH_MAX)
        return;
    if (embedded)
        place = (Place){.resource = schema};
    check_default(schema, &place, errors, path);
    Place below = place;
    Step step = {.up = place.step};
    below.step = &step;
    check_all(value_get(schema, "items"), below, errors, &items, depth + 1);
    VALUE_FOREACH_MEMBER (m, value_get(schema, "properties")) {
        FieldPath at = FIELD_KEY(&properties, m->name);
        step.member = m->name;
        below.in_meta = place.in_meta || (embedded && str_in(m->name, of_every_resource));
        check_all(m->value, below, errors, &at, depth + 1);
    }
}

void crd_defaults_validate(const Value *schema, FieldErrors *errors, const FieldPath *path) {
    if (!crd_defaults_any(schema))
        return;
    Value *resource = value_copy(errors->arena, schema); /* what a custom resource is, is not said in its schema */
    value_set(errors->arena, resource, EMBEDDED, value_bool(errors->arena, true));
    check_all(resource, (Place){.resource = resource}, errors, path, 0);
}

static bool any_below(const Value *schema, int depth) {
    /* Schemas, lists of them, and objects of them. */
    static const char *const members[] = {"items",
                                          "allOf",
                                          "anyOf",
                                          "oneOf",
                                          "not",
                                          "properties",
                                          "additionalProperties",
                                          "patternProperties",
                                          "additionalItems",
                                          "definitions",
                                          "dependencies"};
    static const char *const objects[] = {"properties", "patternProperties", "definitions", "dependencies", NULL};
    if (!is_schema(schema) || depth > DEPTH_MAX)
        return false;
    if (default_of(schema))
        return true;
    for (size_t i = 0; i < ELEMENTSOF(members); i++) {
        const Value *v = value_get(schema, members[i]), *item;
        if (is_schema(v) && !str_in(members[i], objects) && any_below(v, depth + 1))
            return true;
        VALUE_FOREACH (item, v)
            if (any_below(item, depth + 1))
                return true;
        VALUE_FOREACH_MEMBER (m, str_in(members[i], objects) ? v : NULL)
            if (any_below(m->value, depth + 1))
                return true;
    }
    return false;
}

bool crd_defaults_any(const Value *schema) {
    return any_below(schema, 0);
}
