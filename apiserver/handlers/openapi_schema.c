#include "apiserver/handlers/openapi_schema.h"
#include "api/gen/schemas.h"
#include "api/schema_kinds.h"
#include "apiserver/handlers/openapi_writer.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#define META OPENAPI_META
#define APIEXTENSIONS "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."

typedef OpenApiWriter Writer;

const char *openapi_ref_root(const Writer *w) {
    return w->v3 ? "#/components/schemas/" : "#/definitions/";
}

void openapi_enqueue(Writer *w, const Schema *schema) {
    if (!schema || !schema->name || w->n == OPENAPI_SCHEMAS_MAX || !strmap_put(w->seen, schema->name, (void *)schema))
        return;
    w->queue[w->n++] = schema;
}

/* What the definitions of types with a JSON form of their own say. */
static const struct {
    const char *name, *v2, *v3;
} named[] = {
    {"io.k8s.apimachinery.pkg.api.resource.Quantity", "\"type\":\"string\"",
     "\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]"},
    {"io.k8s.apimachinery.pkg.util.intstr.IntOrString", "\"type\":\"string\",\"format\":\"int-or-string\"",
     "\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]"},
    {META "Time", "\"type\":\"string\",\"format\":\"date-time\"", NULL},
    {META "MicroTime", "\"type\":\"string\",\"format\":\"date-time\"", NULL},
    {META "Duration", "\"type\":\"string\"", NULL},
    {"io.k8s.apimachinery.pkg.runtime.RawExtension", "\"type\":\"object\"", NULL},
    {META "FieldsV1", "\"type\":\"object\"", NULL},
    {APIEXTENSIONS "JSON", "", NULL},
    {APIEXTENSIONS "JSONSchemaPropsOrBool", "", NULL},
    {APIEXTENSIONS "JSONSchemaPropsOrArray", "", NULL},
    {APIEXTENSIONS "JSONSchemaPropsOrStringArray", "", NULL},
};

static const struct {
    const char *name, *format;
} scalars[] = {
    [SCHEMA_STRING] = {"string", NULL},     [SCHEMA_BOOL] = {"boolean", NULL},
    [SCHEMA_INT32] = {"integer", "int32"},  [SCHEMA_INT64] = {"integer", "int64"},
    [SCHEMA_DOUBLE] = {"number", "double"}, [SCHEMA_BYTES] = {"string", "byte"},
};

const char *openapi_scalar_type(const Schema *schema) {
    if (schema->type == SCHEMA_LIST)
        schema = schema->element;
    return schema->type < ELEMENTSOF(scalars) && scalars[schema->type].name ? scalars[schema->type].name : "string";
}

static void write_strings(Buf *out, const char *key, const char *const *strings) {
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; strings[i]; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", strings[i]);
    buf_putc(out, ']');
}

/* What stands beside a type where it is used. Swagger 2 documents have no defaults. */
typedef struct Use {
    const char *text, *default_json;
    bool zero_default, marked; /* marked: with x-kubernetes-... */
} Use;

static void write_type(Writer *w, const Schema *schema, Use use);

static void write_scalar(Writer *w, const Schema *schema) {
    const char *format = schema->format ? schema->format : scalars[schema->type].format;
    buf_printf(w->out, "\"type\":\"%s\"", scalars[schema->type].name);
    if (format)
        buf_printf(w->out, ",\"format\":\"%s\"", format);
    if (schema->enum_values)
        write_strings(w->out, "enum", schema->enum_values);
}

static void write_list_marks(Writer *w, const Schema *schema) {
    static const char *const kinds[] = {[LIST_ATOMIC] = "atomic", [LIST_SET] = "set", [LIST_MAP] = "map"};
    if (schema->list_unmarked)
        return;
    buf_printf(w->out, ",\"x-kubernetes-list-type\":\"%s\"", kinds[schema->list_kind]);
    if (schema->list_kind == LIST_MAP && schema->list_map_keys)
        write_strings(w->out, "x-kubernetes-list-map-keys", schema->list_map_keys);
}

static const char *default_of(const Schema *schema, const Use *use) {
    static const char *const zeros[] = {
        [SCHEMA_STRUCT] = "{}", [SCHEMA_STRING] = "\"\"", [SCHEMA_BOOL] = "false",
        [SCHEMA_INT32] = "0",   [SCHEMA_INT64] = "0",     [SCHEMA_DOUBLE] = "0",
    };
    if (use->default_json || !use->zero_default)
        return use->default_json;
    return schema->type < ELEMENTSOF(zeros) ? zeros[schema->type] : NULL;
}

/* A reference stands alone in OpenAPI 3; with anything beside it, it is wrapped. */
static void write_reference(Writer *w, const Schema *schema, bool alone) {
    openapi_enqueue(w, schema);
    buf_printf(w->out, w->v3 && !alone ? "\"allOf\":[{\"$ref\":\"%s%s\"}]" : "\"$ref\":\"%s%s\"", openapi_ref_root(w),
               schema->name);
}

/* The members of a schema object, without its braces. */
static void write_type(Writer *w, const Schema *schema, Use use) {
    const char *value = w->v3 ? default_of(schema, &use) : NULL;
    const Use element = {.zero_default = schema->element_zero_default};
    if (schema->type == SCHEMA_LIST || schema->type == SCHEMA_MAP) {
        bool list = schema->type == SCHEMA_LIST;
        buf_puts(w->out, list ? "\"type\":\"array\",\"items\":{" : "\"type\":\"object\",\"additionalProperties\":{");
        write_type(w, schema->element, element);
        buf_putc(w->out, '}');
        if (list)
            write_list_marks(w, schema);
        else if (schema->map_atomic)
            buf_puts(w->out, ",\"x-kubernetes-map-type\":\"atomic\"");
    } else if (schema->name)
        write_reference(w, schema, !use.text && !value && !use.marked);
    else if (schema->type < ELEMENTSOF(scalars) && scalars[schema->type].name)
        write_scalar(w, schema);
    else
        buf_puts(w->out, "\"type\":\"object\"");
    if (use.text)
        buf_printf(w->out, ",\"description\":\"%s\"", use.text);
    if (value)
        buf_printf(w->out, ",\"default\":%s", value);
}

static void write_field(Writer *w, const SchemaField *field) {
    Use use = {.text = schema_description(field->description),
               .default_json = field->default_json,
               .zero_default = field->flags & FIELD_ZERO_DEFAULT,
               .marked = field->flags & (FIELD_MERGE | FIELD_RETAIN_KEYS | FIELD_REPLACE | FIELD_GRANULAR)};
    static const struct {
        uint16_t flag;
        const char *name;
    } strategies[] = {{FIELD_MERGE, "merge"}, {FIELD_RETAIN_KEYS, "retainKeys"}, {FIELD_REPLACE, "replace"}};
    size_t n = 0;
    buf_printf(w->out, "\"%s\":{", field->name);
    write_type(w, field->schema, use);
    if (field->patch_merge_key)
        buf_printf(w->out, ",\"x-kubernetes-patch-merge-key\":\"%s\"", field->patch_merge_key);
    for (size_t i = 0; i < ELEMENTSOF(strategies); i++)
        if (field->flags & strategies[i].flag)
            buf_printf(w->out, "%s%s", n++ ? "," : ",\"x-kubernetes-patch-strategy\":\"", strategies[i].name);
    if (n)
        buf_putc(w->out, '"');
    if (field->schema->type == SCHEMA_BYTES && (field->flags & FIELD_ATOMIC))
        buf_puts(w->out, ",\"x-kubernetes-list-type\":\"atomic\"");
    if (field->flags & FIELD_GRANULAR)
        buf_puts(w->out, ",\"x-kubernetes-map-type\":\"granular\"");
    buf_putc(w->out, '}');
}

static void write_required(Writer *w, const Schema *schema) {
    size_t n = 0;
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].flags & FIELD_IS_REQUIRED)
            buf_printf(w->out, "%s\"%s\"", n++ ? "," : ",\"required\":[", schema->fields[i].name);
    if (n)
        buf_putc(w->out, ']');
}

/* Two kinds are known in every group and version: a document of built-in resources names those of its own, and v1 of no
 * group. */
static bool names_kind(const Writer *w, const SchemaKind *kind) {
    static const char *const everywhere[] = {"DeleteOptions", "WatchEvent", NULL};
    if (!w->v3 || w->custom_only || !str_in(kind->kind, everywhere))
        return true;
    return (streq(kind->group, "") && streq(kind->version, "v1")) ||
           (w->group && streq(kind->group, w->group) && streq(kind->version, w->version));
}

static void write_kinds(Writer *w, const Schema *schema) {
    const SchemaKind *kind = schema_kinds_of(schema->name), *end = schema_kinds + schema_kinds_count;
    size_t n = 0;
    for (; kind && kind < end && streq(kind->definition, schema->name); kind++)
        if (names_kind(w, kind))
            buf_printf(w->out, "%s{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}",
                       n++ ? "," : ",\"x-kubernetes-group-version-kind\":[", kind->group, kind->kind, kind->version);
    if (n)
        buf_putc(w->out, ']');
}

static void begin_definition(Writer *w, const char *name) {
    buf_printf(w->out, "%s\"%s\":", w->comma ? "," : "", name);
    w->comma = true;
}

/* Of a type with a JSON form of its own. */
static void write_leaf(Writer *w, const Schema *schema) {
    const char *text = schema_description(schema->description), *body = "";
    for (size_t i = 0; i < ELEMENTSOF(named); i++)
        if (streq(named[i].name, schema->name))
            body = w->v3 && named[i].v3 ? named[i].v3 : named[i].v2;
    buf_printf(w->out, "{%s", body);
    if (text)
        buf_printf(w->out, "%s\"description\":\"%s\"", *body ? "," : "", text);
    buf_putc(w->out, '}');
}

static void write_definition(Writer *w, const Schema *schema) {
    const char *text = schema_description(schema->description);
    begin_definition(w, schema->name);
    if (schema->type != SCHEMA_STRUCT) {
        write_leaf(w, schema);
        return;
    }
    buf_puts(w->out, "{\"type\":\"object\"");
    if (text)
        buf_printf(w->out, ",\"description\":\"%s\"", text);
    for (size_t i = 0; i < schema->n_fields; i++) {
        buf_puts(w->out, i ? "," : ",\"properties\":{");
        write_field(w, &schema->fields[i]);
    }
    if (schema->n_fields)
        buf_putc(w->out, '}');
    write_required(w, schema);
    write_kinds(w, schema);
    if (schema->map_atomic)
        buf_puts(w->out, ",\"x-kubernetes-map-type\":\"atomic\"");
    if (schema->unions)
        buf_printf(w->out, ",\"x-kubernetes-unions\":%s", schema->unions);
    buf_putc(w->out, '}');
}

/* com.example.v1.Widget, from the group example.com. */
const char *openapi_definition_name(Writer *w, const Resource *r) {
    if (!r->custom) {
        openapi_enqueue(w, r->schema);
        return r->schema->name;
    }
    size_t n = 0;
    char **parts = str_split(w->arena, r->group, '.', &n);
    const char *name = "";
    for (size_t i = n; i-- > 0;)
        name = arena_printf(w->arena, "%s%s.", name, parts[i]);
    return arena_printf(w->arena, "%s%s.%s", name, r->version, r->kind);
}

static bool marked(const Value *v, const char *mark) {
    return value_get_bool(v, mark, false);
}

/* The schemas within a schema. */
static void each_part(Writer *w, Value *v, void (*visit)(Writer *w, Value *part)) {
    Value *items = value_get(v, "items"), *more = value_get(v, "additionalProperties");
    VALUE_FOREACH_MEMBER (m, value_get(v, "properties"))
        if (value_is(m->value, VALUE_OBJECT))
            visit(w, m->value);
    if (value_is(items, VALUE_OBJECT))
        visit(w, items);
    if (value_is(more, VALUE_OBJECT))
        visit(w, more);
}

/* What Swagger 2 has no words for goes, and what kubectl misreads in it: parts of values that may be null or hold more.
 */
static void simplify(Writer *w, Value *v) {
    static const char *const beyond[] = {"oneOf", "anyOf", "allOf", "not", "nullable", "default"};
    bool nullable = marked(v, "nullable"), open = marked(v, "x-kubernetes-preserve-unknown-fields");
    Value *required = value_get(v, "required"), *kept = value_array(w->arena);
    for (size_t i = 0; i < ELEMENTSOF(beyond); i++)
        value_remove(v, beyond[i]);
    if (nullable || open) {
        value_remove(v, "items");
        value_remove(v, "properties");
    }
    const char *type = value_get_str(v, "type");
    if (nullable || (open && streq_null(type, "object")) || (!value_get(v, "items") && streq_null(type, "array")))
        value_remove(v, "type");
    for (size_t i = 0; i < value_len(required); i++)
        if (!marked(value_get(value_get(v, "properties"), required->items[i]->string), "nullable"))
            value_append(w->arena, kept, required->items[i]);
    value_set(w->arena, v, "required", kept->len ? kept : NULL);
    each_part(w, v, simplify);
}

static Value *kind_mark(Writer *w, const Resource *r, const char *kind) {
    Value *list = value_array(w->arena), *mark = value_object(w->arena);
    value_set_str(w->arena, mark, "group", r->group);
    value_set_str(w->arena, mark, "kind", kind);
    value_set_str(w->arena, mark, "version", r->version);
    value_append(w->arena, list, mark);
    return list;
}

static Value *bare_reference(Writer *w, const char *name) {
    Value *ref = value_object(w->arena);
    value_set(w->arena, ref, "$ref", value_printf(w->arena, "%s%s", openapi_ref_root(w), name));
    return ref;
}

static Value *reference_to(Writer *w, const char *name) {
    Value *v = value_object(w->arena), *ref = bare_reference(w, name), *all = value_array(w->arena);
    if (!w->v3)
        return ref;
    value_append(w->arena, all, ref);
    value_set(w->arena, v, "allOf", all);
    return v;
}

/* Described as the same field of a built-in kind. */
static void add_property(Writer *w, Value *properties, const Schema *like, const char *name, Value *v) {
    const SchemaField *field = schema_field(like, name, strlen(name));
    value_set_str(w->arena, v, "description", field ? schema_description(field->description) : NULL);
    value_set(w->arena, properties, name, v);
}

static Value *text_property(Writer *w) {
    Value *v = value_object(w->arena);
    value_set_str(w->arena, v, "type", "string");
    return v;
}

/* The head and metadata that `like`, a built-in kind, has too. */
static Value *custom_properties(Writer *w, Value *schema, const Schema *like) {
    const SchemaField *meta = schema_field(like, "metadata", strlen("metadata"));
    Value *properties = value_ensure_object(w->arena, schema, "properties");
    value_set_str(w->arena, schema, "type", "object");
    add_property(w, properties, like, "apiVersion", text_property(w));
    add_property(w, properties, like, "kind", text_property(w));
    add_property(w, properties, like, "metadata", reference_to(w, meta->schema->name));
    openapi_enqueue(w, meta->schema);
    return properties;
}

static bool is_integer_or_string(const Value *any_of) {
    return value_len(any_of) == 2 && streq_null(value_get_str(any_of->items[0], "type"), "integer") &&
           streq_null(value_get_str(any_of->items[1], "type"), "string");
}

/* x-kubernetes-int-or-string in OpenAPI's own words, beside what the definition says. */
static void unfold_integer_or_string(Writer *w, Value *v) {
    static const char *const types[] = {"integer", "string"};
    Value *any_of = value_get(v, "anyOf"), *all_of = value_get(v, "allOf"), *choice = value_array(w->arena);
    if (is_integer_or_string(any_of) ||
        (value_len(all_of) && is_integer_or_string(value_get(all_of->items[0], "anyOf"))))
        return;
    for (size_t i = 0; i < ELEMENTSOF(types); i++) {
        Value *type = value_object(w->arena);
        value_set_str(w->arena, type, "type", types[i]);
        value_append(w->arena, choice, type);
    }
    if (!any_of) {
        value_set(w->arena, v, "anyOf", choice);
        return;
    }
    Value *first = value_object(w->arena);
    value_set(w->arena, first, "anyOf", choice);
    value_insert_at(w->arena, value_ensure_array(w->arena, v, "allOf"), 0, first);
}

static void require(Writer *w, Value *v, const char *name) {
    Value *required = value_ensure_array(w->arena, v, "required");
    for (size_t i = 0; i < required->len; i++)
        if (streq_null(value_str(required->items[i]), name))
            return;
    value_append(w->arena, required, value_string(w->arena, name));
}

/* Adds what marks of Kubernetes mean. Of an embedded object that may hold more, Swagger 2 names nothing (see simplify).
 */
static void unfold(Writer *w, Value *v) {
    each_part(w, v, unfold);
    if (w->v3 && marked(v, "x-kubernetes-int-or-string"))
        unfold_integer_or_string(w, v);
    if (!marked(v, "x-kubernetes-embedded-resource") || (!w->v3 && marked(v, "x-kubernetes-preserve-unknown-fields")))
        return;
    custom_properties(w, v, &schema_meta_v1_PartialObjectMetadata);
    require(w, v, "kind");
    require(w, v, "apiVersion");
}

static void mark_custom(Writer *w, const Resource *r, Value *schema, const char *kind) {
    Value *selectable = value_array(w->arena);
    for (size_t i = 0; r->selectable_fields && r->selectable_fields[i]; i++) {
        Value *field = value_object(w->arena);
        value_set_str(w->arena, field, "fieldPath", r->selectable_fields[i]);
        value_append(w->arena, selectable, field);
    }
    value_set(w->arena, schema, "x-kubernetes-group-version-kind", kind_mark(w, r, kind));
    value_set(w->arena, schema, "x-kubernetes-selectable-fields", selectable->len ? selectable : NULL);
}

static void write_custom_list(Writer *w, const Resource *r, const char *name) {
    const Schema *like = &schema_meta_v1_PartialObjectMetadataList;
    Value *list = value_object(w->arena), *items = value_object(w->arena), *required = value_array(w->arena);
    value_set_str(w->arena, items, "type", "array");
    value_set(w->arena, items, "items", bare_reference(w, name));
    add_property(w, custom_properties(w, list, like), like, "items", items);
    value_append(w->arena, required, value_string(w->arena, "items"));
    value_set_str(w->arena, list, "description", arena_printf(w->arena, "A list of objects: %s.", r->kind));
    value_set(w->arena, list, "required", required);
    mark_custom(w, r, list, r->list_kind);
    begin_definition(w, arena_printf(w->arena, "%sList", name));
    value_write_json(w->out, list);
}

static void write_custom_kind(Writer *w, const Resource *r) {
    const char *name = openapi_definition_name(w, r);
    Value *schema = value_copy(w->arena, custom_version(r)->schema);
    schema = schema ? schema : value_object(w->arena);
    if (!w->v3 && marked(schema, "x-kubernetes-preserve-unknown-fields")) {
        /* Any property named would make kubectl refuse all others. */
        schema = value_object(w->arena);
        value_set_str(w->arena, schema, "type", "object");
    } else {
        if (!w->v3)
            simplify(w, schema);
        unfold(w, schema);
        custom_properties(w, schema, &schema_meta_v1_PartialObjectMetadata);
    }
    mark_custom(w, r, schema, r->kind);
    begin_definition(w, name);
    value_write_json(w->out, schema);
    write_custom_list(w, r, name);
}

static void write_schemas(Writer *w) {
    for (size_t i = 0; w->custom[i]; i++)
        write_custom_kind(w, w->custom[i]);
    for (; w->next < w->n; w->next++)
        write_definition(w, w->queue[w->next]);
    if (!w->patches)
        return;
    begin_definition(w, META "Patch"); /* any JSON: it has no Go struct */
    buf_puts(w->out, "{\"type\":\"object\",\"description\":\"A patch, in the form that its media type names.\"}");
}

#define SECURITY                                                                                                       \
    "{\"BearerToken\":{\"description\":\"A token in the header authorization: Bearer TOKEN.\",\"type\":\"apiKey\","    \
    "\"name\":\"authorization\",\"in\":\"header\"}}"

static void write_document(Writer *w) {
    static const Resource *none[] = {NULL};
    w->custom_only = w->v3 && w->custom;
    w->custom = w->custom ? w->custom : none;
    w->seen = strmap_new(NULL);
    w->queue = xcalloc(OPENAPI_SCHEMAS_MAX, sizeof(const Schema *));
    w->arena = arena_new(0);
    buf_printf(w->out, "{\"%s\",\"info\":{\"title\":\"%s\",\"version\":\"%s\"},\"paths\":{",
               w->v3 ? "openapi\":\"3.0.0" : "swagger\":\"2.0",
               w->custom_only ? "Kubernetes CRD Swagger" : "Kubernetes", w->custom_only ? "v0.1.0" : "1.36");
    openapi_write_paths(w);
    buf_puts(w->out, w->v3 ? "},\"components\":{" : "},\"definitions\":{");
    w->comma = false;
    if (w->v3 && w->n)
        buf_puts(w->out, "\"schemas\":{");
    write_schemas(w);
    if (w->v3 && w->comma)
        buf_puts(w->out, "}");
    if (w->v3)
        buf_printf(w->out, "%s%s}}", w->comma && !w->custom_only ? "," : "",
                   w->custom_only ? "" : "\"securitySchemes\":" SECURITY);
    else {
        buf_puts(w->out, "},\"parameters\":{");
        openapi_write_shared_parameters(w);
        buf_puts(w->out, "},\"securityDefinitions\":" SECURITY ",\"security\":[{\"BearerToken\":[]}]}");
    }
    strmap_free(w->seen);
    free(w->queue);
    arena_free(w->arena);
}

void openapi_write_v2(Buf *out, const Resource **custom) {
    Writer w = {.out = out, .custom = custom};
    write_document(&w);
}

void openapi_write_v3(Buf *out, const char *path, const Resource *like, const Resource **custom) {
    Writer w = {.out = out,
                .v3 = true,
                .document = path,
                .group = like ? like->group : NULL,
                .version = like ? like->version : NULL,
                .custom = custom};
    write_document(&w);
}
