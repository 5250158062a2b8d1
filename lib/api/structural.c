#include "api/structural.h"

#include "api/gen/schemas.h"
#include "api/member_index.h"
#include "base/str.h"

static const Schema any = {.type = SCHEMA_JSON};
static const Schema string = {.type = SCHEMA_STRING};

/* Where a schema stands in the definition's. */
typedef struct Place {
    int depth;
    bool resource;  /* an object with metadata */
    bool free_form; /* something above preserves unknown fields */
} Place;

static const Schema *node(Arena *arena, const Value *schema, Place place);

static Place below(Place place) {
    return (Place){.depth = place.depth + 1, .free_form = place.free_form};
}

static bool flag(const Value *schema, const char *name) {
    return value_get_bool(schema, name, false);
}

static const char *default_of(Arena *arena, const Value *schema) {
    const Value *v = value_get(schema, "default");
    if (!v || v->type == VALUE_NULL)
        return NULL;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&text, v);
    return arena_strndup(arena, text.data, text.len);
}

static int compare_fields(const void *a, const void *b) {
    return strcmp(((const SchemaField *)a)->name, ((const SchemaField *)b)->name);
}

static const char *const of_every_resource[] = {"apiVersion", "kind", "metadata", NULL};

static void add_properties(Arena *arena, const Value *properties, Place place, SchemaField *fields, uint16_t *n) {
    VALUE_FOREACH_MEMBER (m, properties) {
        if ((place.resource && str_in(m->name, of_every_resource)) || *n == UINT16_MAX)
            continue;
        fields[(*n)++] = (SchemaField){
            .name = m->name,
            .schema = node(arena, m->value, below(place)),
            .default_json = default_of(arena, m->value),
        };
    }
}

static void fill_struct(Arena *arena, const Value *schema, Place place, Schema *out) {
    const Value *properties = value_get(schema, "properties");
    SchemaField *fields = arena_alloc0(arena, (value_len(properties) + 3) * sizeof *fields);
    uint16_t n = 0;
    if (place.resource) {
        fields[n++] = (SchemaField){.name = "apiVersion", .schema = &string};
        fields[n++] = (SchemaField){.name = "kind", .schema = &string};
        fields[n++] = (SchemaField){.name = "metadata", .schema = &schema_meta_v1_ObjectMeta};
    }
    add_properties(arena, properties, place, fields, &n);
    qsort(fields, n, sizeof *fields, compare_fields);
    uint16_t *by_name = arena_alloc(arena, (n + 1u) * sizeof *by_name);
    for (uint16_t i = 0; i < n; i++)
        by_name[i] = i;
    out->type = SCHEMA_STRUCT;
    out->fields = fields;
    out->by_name = by_name;
    out->n_fields = n;
    out->free_form = place.free_form || !value_len(properties);
    out->map_atomic = streq_null(value_get_str(schema, "x-kubernetes-map-type"), "atomic");
}

static void fill_list(Arena *arena, const Value *schema, Place place, Schema *out) {
    const char *kind = value_get_str(schema, "x-kubernetes-list-type");
    const Value *keys = value_get(schema, "x-kubernetes-list-map-keys");
    out->type = SCHEMA_LIST;
    out->element = node(arena, value_get(schema, "items"), below(place));
    out->element_pointer = true;
    out->list_kind = streq_null(kind, "set") ? LIST_SET : streq_null(kind, "map") ? LIST_MAP : LIST_ATOMIC;
    if (out->list_kind != LIST_MAP)
        return;
    const char **names = arena_alloc0(arena, (value_len(keys) + 1) * sizeof *names);
    for (size_t i = 0; i < value_len(keys); i++)
        names[i] = str_or(value_str(value_at(keys, i)), "");
    out->list_map_keys = names;
}

static void fill_object(Arena *arena, const Value *schema, Place place, Schema *out) {
    const Value *more = value_get(schema, "additionalProperties");
    bool map = value_is(more, VALUE_OBJECT) || (value_is(more, VALUE_BOOL) && more->boolean);
    if (!map || place.resource) {
        fill_struct(arena, schema, place, out);
        return;
    }
    out->type = SCHEMA_MAP;
    out->element = value_is(more, VALUE_OBJECT) ? node(arena, more, below(place)) : &any;
    out->element_pointer = true;
    out->map_atomic = streq_null(value_get_str(schema, "x-kubernetes-map-type"), "atomic");
}

static const Schema *node(Arena *arena, const Value *schema, Place place) {
    static const struct {
        const char *type;
        SchemaType schema;
    } scalars[] = {
        {"string", SCHEMA_STRING}, {"boolean", SCHEMA_BOOL}, {"integer", SCHEMA_INT64}, {"number", SCHEMA_DOUBLE}};
    const char *type = str_or(value_get_str(schema, "type"), "");
    if (place.depth > STRUCTURAL_DEPTH_MAX)
        return &any;
    bool preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
    place.free_form |= preserve;
    Schema *out = ARENA_NEW0(arena, Schema);
    out->type = SCHEMA_JSON;
    place.resource |= streq(type, "object") && flag(schema, "x-kubernetes-embedded-resource");
    if (place.resource || streq(type, "object"))
        fill_object(arena, schema, place, out);
    else if (streq(type, "array"))
        fill_list(arena, schema, place, out);
    else if (flag(schema, "x-kubernetes-int-or-string"))
        out->type = SCHEMA_INT_OR_STRING;
    for (size_t i = 0; i < ELEMENTSOF(scalars); i++)
        if (streq(scalars[i].type, type))
            out->type = scalars[i].schema;
    /* Texts of a format are scalars of any type to structured-merge-diff, as times are. */
    const char *format = str_or(value_get_str(schema, "format"), "");
    if (out->type == SCHEMA_STRING && *format && !streq(format, "byte"))
        out->type = SCHEMA_TIME;
    out->preserve_unknown = preserve;
    return out;
}

const Schema *structural_part(Arena *arena, const Value *schema) {
    return node(arena, schema, (Place){0});
}

const Schema *structural_schema(Arena *arena, const Value *schema) {
    const Schema *root = node(arena, schema, (Place){.resource = true});
    if (!schema)
        ((Schema *)(uintptr_t)root)->preserve_unknown = true;
    return root;
}

static bool is_stray_null(const Value *schema, const Value *v) {
    return value_is(v, VALUE_NULL) && value_is(schema, VALUE_OBJECT) && !flag(schema, "nullable");
}

static const Value *default_value(const Value *schema) {
    const Value *v = value_get(schema, "default");
    return v && v->type != VALUE_NULL ? v : NULL;
}

/* `arena` NULL: stray nulls without a default go; else those with one become it. */
static void settle_nulls(Arena *arena, const Value *schema, Value *v, int depth) {
    const Value *properties = value_get(schema, "properties"), *more = value_get(schema, "additionalProperties");
    const Value *items = value_get(schema, "items");
    uint32_t kept = 0;
    if (depth > STRUCTURAL_DEPTH_MAX || !value_is(schema, VALUE_OBJECT))
        return;
    _cleanup_member_index_ MemberIndex by_name = member_index_for(properties, value_is(v, VALUE_OBJECT) ? v->len : 0);
    for (uint32_t i = 0; value_is(v, VALUE_OBJECT) && i < v->len; i++) {
        Member m = v->members[i];
        const Value *inner = member_index_get(&by_name, m.name);
        inner = inner ? inner : more;
        bool stray = is_stray_null(inner, m.value), has_default = stray && default_value(inner);
        if (stray && !arena && !has_default)
            continue;
        if (arena && has_default)
            m.value = value_copy(arena, default_value(inner));
        settle_nulls(arena, inner, m.value, depth + 1);
        v->members[kept++] = m;
    }
    if (value_is(v, VALUE_OBJECT))
        v->len = kept;
    for (uint32_t i = 0; value_is(v, VALUE_ARRAY) && i < v->len; i++) {
        if (arena && is_stray_null(items, v->items[i]) && default_value(items))
            v->items[i] = value_copy(arena, default_value(items));
        settle_nulls(arena, items, v->items[i], depth + 1);
    }
}

void structural_drop_nulls(const Value *schema, Value *v) {
    settle_nulls(NULL, schema, v, 0);
}

void structural_default_nulls(Arena *arena, const Value *schema, Value *v) {
    settle_nulls(arena, schema, v, 0);
}
