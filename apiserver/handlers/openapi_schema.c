#include "apiserver/handlers/openapi_schema.h"
#include "apiserver/handlers/openapi_text.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"
#include "base/strmap.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."
#define SCHEMAS_MAX 8192

typedef struct Writer {
    Buf *out;
    bool v3;
    StrMap *seen;         /* definition names written or queued */
    const Schema **queue; /* SCHEMAS_MAX */
    size_t n, next;
    bool comma;
    const Resource **custom; /* rows of definitions to be written; ends with NULL */
    bool custom_only;
    Arena *arena;
} Writer;

static const char *ref_root(const Writer *w) {
    return w->v3 ? "#/components/schemas/" : "#/definitions/";
}

static void enqueue(Writer *w, const Schema *schema) {
    if (!schema || !schema->name || w->n == SCHEMAS_MAX || !strmap_put(w->seen, schema->name, (void *)schema))
        return;
    w->queue[w->n++] = schema;
}

/* Scalars of the API that OpenAPI names as definitions of their own. */
static const struct {
    SchemaType type;
    const char *name, *v2, *v3;
} named[] = {
    {SCHEMA_QUANTITY, "io.k8s.apimachinery.pkg.api.resource.Quantity", "{\"type\":\"string\"}",
     "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}"},
    {SCHEMA_INT_OR_STRING, "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
     "{\"type\":\"string\",\"format\":\"int-or-string\"}",
     "{\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}"},
    {SCHEMA_TIME, META "Time", "{\"type\":\"string\",\"format\":\"date-time\"}",
     "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {SCHEMA_MICRO_TIME, META "MicroTime", "{\"type\":\"string\",\"format\":\"date-time\"}",
     "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {SCHEMA_DURATION, META "Duration", "{\"type\":\"string\"}", "{\"type\":\"string\"}"},
    {SCHEMA_RAW, "io.k8s.apimachinery.pkg.runtime.RawExtension", "{\"type\":\"object\"}", "{\"type\":\"object\"}"},
    {SCHEMA_FIELDS_V1, META "FieldsV1", "{\"type\":\"object\"}", "{\"type\":\"object\"}"},
    {SCHEMA_JSON, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "{}", "{}"},
};

static bool write_named(Writer *w, SchemaType type) {
    for (size_t i = 0; i < ELEMENTSOF(named); i++)
        if (named[i].type == type) {
            strmap_put(w->seen, named[i].name, (void *)&named[i]);
            if (w->v3)
                buf_printf(w->out, "\"allOf\":[{\"$ref\":\"%s%s\"}]", ref_root(w), named[i].name);
            else
                buf_printf(w->out, "\"$ref\":\"%s%s\"", ref_root(w), named[i].name);
            return true;
        }
    return false;
}

static void write_scalar(Writer *w, const Schema *schema) {
    static const char *const texts[] = {
        [SCHEMA_STRING] = "\"type\":\"string\"",
        [SCHEMA_BOOL] = "\"type\":\"boolean\"",
        [SCHEMA_INT32] = "\"type\":\"integer\",\"format\":\"int32\"",
        [SCHEMA_INT64] = "\"type\":\"integer\",\"format\":\"int64\"",
        [SCHEMA_DOUBLE] = "\"type\":\"number\",\"format\":\"double\"",
        [SCHEMA_BYTES] = "\"type\":\"string\",\"format\":\"byte\"",
    };
    if (schema->type < ELEMENTSOF(texts) && texts[schema->type])
        buf_puts(w->out, texts[schema->type]);
    else if (!write_named(w, schema->type))
        buf_puts(w->out, "\"x-kubernetes-preserve-unknown-fields\":true");
}

static void write_strings(Buf *out, const char *key, const char *const *strings) {
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; strings[i]; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", strings[i]);
    buf_putc(out, ']');
}

static void write_type(Writer *w, const Schema *schema);

static void write_list_marks(Writer *w, const Schema *schema) {
    static const char *const kinds[] = {[LIST_ATOMIC] = "atomic", [LIST_SET] = "set", [LIST_MAP] = "map"};
    buf_printf(w->out, ",\"x-kubernetes-list-type\":\"%s\"", kinds[schema->list_kind]);
    if (schema->list_kind == LIST_MAP && schema->list_map_keys)
        write_strings(w->out, "x-kubernetes-list-map-keys", schema->list_map_keys);
}

/* The members of a schema object, without its braces. */
static void write_type(Writer *w, const Schema *schema) {
    switch (schema->type) {
    case SCHEMA_STRUCT:
        if (!schema->name) {
            buf_puts(w->out, "\"type\":\"object\"");
            return;
        }
        enqueue(w, schema);
        if (w->v3)
            buf_printf(w->out, "\"allOf\":[{\"$ref\":\"%s%s\"}]", ref_root(w), schema->name);
        else
            buf_printf(w->out, "\"$ref\":\"%s%s\"", ref_root(w), schema->name);
        return;
    case SCHEMA_LIST:
        buf_puts(w->out, "\"type\":\"array\",\"items\":{");
        write_type(w, schema->element);
        buf_putc(w->out, '}');
        write_list_marks(w, schema);
        return;
    case SCHEMA_MAP:
        buf_puts(w->out, "\"type\":\"object\",\"additionalProperties\":{");
        write_type(w, schema->element);
        buf_putc(w->out, '}');
        if (schema->map_atomic)
            buf_puts(w->out, ",\"x-kubernetes-map-type\":\"atomic\"");
        return;
    default:
        write_scalar(w, schema);
    }
}

static void write_text(Writer *w, const char *text) {
    if (text)
        buf_printf(w->out, ",\"description\":\"%s\"", text);
}

/* apiVersion and kind as the head of an object, and its metadata; elsewhere fields of these names mean other things. */
static const char *text_of_field(const Schema *owner, const SchemaField *field) {
    static const char *const head[] = {"apiVersion", "kind", NULL};
    bool is_meta = field->schema->name && str_has_suffix(field->schema->name, "Meta");
    if (str_in(field->name, head) ? !(field->flags & FIELD_INLINE) : streq(field->name, "metadata") && !is_meta)
        return NULL;
    return openapi_field_text(owner->name, field->name);
}

static void write_field(Writer *w, const Schema *owner, const SchemaField *field) {
    buf_printf(w->out, "\"%s\":{", field->name);
    write_type(w, field->schema);
    write_text(w, text_of_field(owner, field));
    if (field->default_json)
        buf_printf(w->out, ",\"default\":%s", field->default_json);
    if (field->patch_merge_key)
        buf_printf(w->out, ",\"x-kubernetes-patch-merge-key\":\"%s\"", field->patch_merge_key);
    if (field->flags & (FIELD_MERGE | FIELD_RETAIN_KEYS))
        buf_printf(w->out, ",\"x-kubernetes-patch-strategy\":\"%s%s%s\"", field->flags & FIELD_MERGE ? "merge" : "",
                   (field->flags & FIELD_MERGE) && (field->flags & FIELD_RETAIN_KEYS) ? "," : "",
                   field->flags & FIELD_RETAIN_KEYS ? "retainKeys" : "");
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

static void write_kinds(Writer *w, const Schema *schema) {
    size_t n = 0;
    for (size_t i = 0; resource_builtin(i); i++) {
        const Resource *r = resource_builtin(i);
        if (r->schema == schema)
            buf_printf(w->out, "%s{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}",
                       n++ ? "," : ",\"x-kubernetes-group-version-kind\":[", r->group, r->kind, r->version);
        for (size_t j = 0; j < r->n_subresources; j++) {
            const Subresource *s = &r->subresources[j];
            if (s->schema == schema && s->group && !n)
                buf_printf(w->out, "%s{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}",
                           n++ ? "," : ",\"x-kubernetes-group-version-kind\":[", s->group, s->kind, s->version);
        }
    }
    if (n)
        buf_putc(w->out, ']');
}

static void begin_definition(Writer *w, const char *name) {
    buf_printf(w->out, "%s\"%s\":", w->comma ? "," : "", name);
    w->comma = true;
}

static void write_definition(Writer *w, const Schema *schema) {
    begin_definition(w, schema->name);
    if (schema->type != SCHEMA_STRUCT) {
        buf_putc(w->out, '{');
        write_type(w, schema);
        buf_putc(w->out, '}');
        return;
    }
    buf_puts(w->out, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < schema->n_fields; i++) {
        if (i)
            buf_putc(w->out, ',');
        write_field(w, schema, &schema->fields[i]);
    }
    buf_putc(w->out, '}');
    write_text(w, openapi_type_text(schema->name));
    write_required(w, schema);
    write_kinds(w, schema);
    if (schema->map_atomic)
        buf_puts(w->out, ",\"x-kubernetes-map-type\":\"atomic\"");
    buf_putc(w->out, '}');
}

/* com.example.v1.Widget, from the group example.com. */
static const char *definition_name(Writer *w, const Resource *r) {
    if (!r->custom)
        return r->schema->name;
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

/* What Swagger 2 has no words for goes, and what kubectl misreads in it: parts of values that may be null or hold more.
 */
static void simplify(Writer *w, Value *v) {
    static const char *const beyond[] = {"oneOf", "anyOf", "allOf", "not", "nullable"};
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
    VALUE_FOREACH_MEMBER (m, value_get(v, "properties"))
        if (value_is(m->value, VALUE_OBJECT))
            simplify(w, m->value);
    Value *items = value_get(v, "items"), *more = value_get(v, "additionalProperties");
    if (value_is(items, VALUE_OBJECT))
        simplify(w, items);
    if (value_is(more, VALUE_OBJECT))
        simplify(w, more);
}

static Value *kind_mark(Writer *w, const Resource *r, const char *kind) {
    Value *list = value_array(w->arena), *mark = value_object(w->arena);
    value_set_str(w->arena, mark, "group", r->group);
    value_set_str(w->arena, mark, "kind", kind);
    value_set_str(w->arena, mark, "version", r->version);
    value_append(w->arena, list, mark);
    return list;
}

static Value *reference_to(Writer *w, const char *name) {
    Value *v = value_object(w->arena), *ref = value_object(w->arena), *all = value_array(w->arena);
    value_set(w->arena, ref, "$ref", value_printf(w->arena, "%s%s", ref_root(w), name));
    if (!w->v3)
        return ref;
    value_append(w->arena, all, ref);
    value_set(w->arena, v, "allOf", all);
    return v;
}

static void add_property(Writer *w, Value *properties, const char *name, Value *v) {
    value_set_str(w->arena, v, "description", openapi_field_text("", name));
    value_set(w->arena, properties, name, v);
}

static Value *text_property(Writer *w) {
    Value *v = value_object(w->arena);
    value_set_str(w->arena, v, "type", "string");
    return v;
}

static Value *custom_properties(Writer *w, Value *schema, const char *meta) {
    Value *properties = value_ensure_object(w->arena, schema, "properties");
    value_set_str(w->arena, schema, "type", "object");
    add_property(w, properties, "apiVersion", text_property(w));
    add_property(w, properties, "kind", text_property(w));
    add_property(w, properties, "metadata", reference_to(w, meta));
    enqueue(w, schema_by_name(meta));
    return properties;
}

static void write_custom_kind(Writer *w, const Resource *r) {
    const char *name = definition_name(w, r);
    Value *schema = value_copy(w->arena, custom_version(r)->schema), *list = value_object(w->arena);
    Value *items = value_object(w->arena), *required = value_array(w->arena);
    schema = schema ? schema : value_object(w->arena);
    if (!w->v3 && marked(schema, "x-kubernetes-preserve-unknown-fields")) {
        /* Any property named would make kubectl refuse all others. */
        schema = value_object(w->arena);
        value_set_str(w->arena, schema, "type", "object");
    } else {
        if (!w->v3)
            simplify(w, schema);
        custom_properties(w, schema, META "ObjectMeta");
    }
    value_set(w->arena, schema, "x-kubernetes-group-version-kind", kind_mark(w, r, r->kind));
    begin_definition(w, name);
    value_write_json(w->out, schema);
    value_set_str(w->arena, items, "type", "array");
    value_set(w->arena, items, "items", reference_to(w, name));
    value_set(w->arena, custom_properties(w, list, META "ListMeta"), "items", items);
    value_append(w->arena, required, value_string(w->arena, "items"));
    value_set(w->arena, list, "required", required);
    value_set(w->arena, list, "x-kubernetes-group-version-kind", kind_mark(w, r, r->list_kind));
    begin_definition(w, arena_printf(w->arena, "%sList", name));
    value_write_json(w->out, list);
    for (size_t i = 0; i < r->n_subresources; i++)
        if (r->subresources[i].group)
            enqueue(w, r->subresources[i].schema);
}

/* PodList and its like: made of the item's schema. */
static void write_list_kind(Writer *w, const Resource *r) {
    const Schema *list_meta = schema_by_name(META "ListMeta");
    char *name = xasprintf("%sList", r->schema->name);
    if (r->list_kind && strmap_put(w->seen, name, (void *)r)) {
        begin_definition(w, name);
        buf_puts(w->out, "{\"type\":\"object\",\"properties\":{\"apiVersion\":{\"type\":\"string\"},\"items\":{"
                         "\"type\":\"array\",\"items\":{");
        write_type(w, r->schema);
        buf_puts(w->out, "}},\"kind\":{\"type\":\"string\"},\"metadata\":{");
        if (list_meta)
            write_type(w, list_meta);
        buf_printf(w->out,
                   "}},\"required\":[\"items\"],\"x-kubernetes-group-version-kind\":[{\"group\":\"%s\",\"kind\":\"%s\","
                   "\"version\":\"%s\"}]}",
                   r->group, r->list_kind, r->version);
    }
    free(name);
}

static void write_schemas(Writer *w, const char *group, const char *version) {
    static const char *const always[] = {META "DeleteOptions", META "Status", META "APIResourceList", META "WatchEvent",
                                         NULL};
    for (size_t i = 0; always[i] && !(w->custom_only && i == 2); i++)
        enqueue(w, schema_by_name(always[i]));
    for (size_t i = 0; !w->custom_only && resource_builtin(i); i++) {
        const Resource *r = resource_builtin(i);
        if (group && (!streq(r->group, group) || !streq(r->version, version)))
            continue;
        enqueue(w, r->schema);
        write_list_kind(w, r);
        for (size_t j = 0; j < r->n_subresources; j++)
            enqueue(w, r->subresources[j].schema);
    }
    for (size_t i = 0; w->custom[i]; i++)
        write_custom_kind(w, w->custom[i]);
    for (; w->next < w->n; w->next++)
        write_definition(w, w->queue[w->next]);
    begin_definition(w, META "Patch"); /* any JSON: it has no Go struct */
    buf_puts(w->out, "{\"type\":\"object\"}");
    for (size_t i = 0; i < ELEMENTSOF(named); i++)
        if (strmap_get(w->seen, named[i].name) == (void *)&named[i]) {
            begin_definition(w, named[i].name);
            buf_puts(w->out, w->v3 ? named[i].v3 : named[i].v2);
        }
}

typedef struct Operation {
    uint16_t verb;
    const char *method, *action;
} Operation;

static const Operation on_one[] = {{VERB_GET, "get", "get"},
                                   {VERB_UPDATE, "put", "put"},
                                   {VERB_PATCH, "patch", "patch"},
                                   {VERB_DELETE, "delete", "delete"},
                                   {VERB_CREATE, "post", "connect"}};
static const Operation on_many[] = {
    {VERB_LIST, "get", "list"}, {VERB_CREATE, "post", "post"}, {VERB_DELETE_COLLECTION, "delete", "deletecollection"}};

static void write_parameters(Writer *w, const Operation *op) {
    static const char *const dry[] = {"dryRun", "fieldManager", "fieldValidation", NULL};
    bool writes = op->verb & (VERB_CREATE | VERB_UPDATE | VERB_PATCH);
    buf_puts(w->out, ",\"parameters\":[");
    for (size_t i = 0; writes && dry[i]; i++)
        if (w->v3)
            buf_printf(w->out,
                       "%s{\"name\":\"%s\",\"in\":\"query\",\"schema\":{\"type\":\"string\",\"uniqueItems\":true}}",
                       i ? "," : "", dry[i]);
        else
            buf_printf(w->out, "%s{\"name\":\"%s\",\"in\":\"query\",\"type\":\"string\",\"uniqueItems\":true}",
                       i ? "," : "", dry[i]);
    buf_putc(w->out, ']');
}

static void write_operations(Writer *w, const Resource *r, const char *kind, const char *group, const char *version,
                             uint16_t verbs, const Operation *operations, size_t n) {
    size_t written = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(verbs & operations[i].verb))
            continue;
        buf_printf(w->out,
                   "%s\"%s\":{\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":{\"group\":\"%s\","
                   "\"kind\":\"%s\",\"version\":\"%s\"}",
                   written++ ? "," : "", operations[i].method, operations[i].action, group, kind, version);
        write_parameters(w, &operations[i]);
        buf_printf(w->out, ",\"responses\":{\"200\":{\"description\":\"OK\"%s",
                   w->v3 ? ",\"content\":{\"application/json\":{\"schema\":{" : ",\"schema\":{");
        const char *name = definition_name(w, r);
        if (name)
            buf_printf(w->out, "\"$ref\":\"%s%s%s\"", ref_root(w), name, operations[i].verb == VERB_LIST ? "List" : "");
        buf_puts(w->out, w->v3 ? "}}}}}}" : "}}}}");
    }
}

static void begin_path(Writer *w, const char *prefix, const char *rest) {
    buf_printf(w->out, "%s\"%s%s\":{", w->comma ? "," : "", prefix, rest);
    w->comma = true;
}

static void write_resource_paths(Writer *w, const Resource *r, const char *root) {
    Arena *arena = arena_new(0);
    const char *inside = r->namespaced ? arena_printf(arena, "%s/namespaces/{namespace}", root) : root;
    char *one = arena_printf(arena, "/%s/{name}", r->plural), *many = arena_printf(arena, "/%s", r->plural);
    if (r->verbs & (VERB_LIST | VERB_CREATE)) {
        begin_path(w, inside, many);
        write_operations(w, r, r->kind, r->group, r->version, r->verbs, on_many, ELEMENTSOF(on_many));
        buf_putc(w->out, '}');
    }
    if (r->namespaced && (r->verbs & VERB_LIST)) {
        begin_path(w, root, many);
        write_operations(w, r, r->kind, r->group, r->version, VERB_LIST, on_many, 1);
        buf_putc(w->out, '}');
    }
    if (r->verbs & VERB_GET) {
        begin_path(w, inside, one);
        write_operations(w, r, r->kind, r->group, r->version, r->verbs & (uint16_t)~VERB_CREATE, on_one,
                         ELEMENTSOF(on_one));
        buf_putc(w->out, '}');
    }
    for (size_t i = 0; i < r->n_subresources; i++) {
        const Subresource *s = &r->subresources[i];
        begin_path(w, inside, arena_printf(arena, "%s/%s", one, s->name));
        write_operations(w, r, s->kind, s->group ? s->group : r->group, s->group ? s->version : r->version, s->verbs,
                         on_one, ELEMENTSOF(on_one));
        buf_putc(w->out, '}');
    }
    if ((r->verbs & VERB_WATCH) && !r->custom) {
        static const char *const forms[] = {"", "/{name}"};
        for (size_t i = 0; i < 2; i++) {
            begin_path(w, root, arena_printf(arena, "/watch%s/%s%s", inside + strlen(root), r->plural, forms[i]));
            buf_putc(w->out, '}');
        }
        if (r->namespaced) {
            begin_path(w, root, arena_printf(arena, "/watch/%s", r->plural));
            buf_putc(w->out, '}');
        }
    }
    arena_free(arena);
}

static void write_paths(Writer *w, const char *group, const char *version) {
    Arena *arena = arena_new(0);
    const char *last = "";
    for (size_t i = 0; !w->custom_only && resource_builtin(i); i++) {
        const Resource *r = resource_builtin(i);
        if (group && (!streq(r->group, group) || !streq(r->version, version)))
            continue;
        const char *root = *r->group ? arena_printf(arena, "/apis/%s/%s", r->group, r->version)
                                     : arena_printf(arena, "/api/%s", r->version);
        if (!streq(root, last)) {
            begin_path(w, root, "/");
            buf_putc(w->out, '}');
            last = root;
        }
        write_resource_paths(w, r, root);
    }
    for (size_t i = 0; w->custom[i]; i++)
        write_resource_paths(w, w->custom[i],
                             arena_printf(arena, "/apis/%s/%s", w->custom[i]->group, w->custom[i]->version));
    arena_free(arena);
}

static void write_document(Buf *out, bool v3, const char *group, const char *version, const Resource **custom) {
    static const Resource *none[] = {NULL};
    Writer w = {.out = out,
                .v3 = v3,
                .seen = strmap_new(NULL),
                .queue = xcalloc(SCHEMAS_MAX, sizeof(const Schema *)),
                .custom = custom ? custom : none,
                .custom_only = v3 && custom,
                .arena = arena_new(0)};
    buf_printf(out, "{\"%s\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"v1.36.3\"},\"paths\":{",
               v3 ? "openapi\":\"3.0.0" : "swagger\":\"2.0");
    write_paths(&w, group, version);
    buf_puts(out, v3 ? "},\"components\":{\"schemas\":{" : "},\"definitions\":{");
    w.comma = false;
    write_schemas(&w, group, version);
    buf_puts(out, v3 ? "},\"securitySchemes\":{\"BearerToken\":{\"type\":\"apiKey\",\"name\":\"authorization\",\"in\":"
                       "\"header\"}}}}"
                     : "},\"securityDefinitions\":{\"BearerToken\":{\"type\":\"apiKey\",\"name\":\"authorization\","
                       "\"in\":\"header\"}},\"security\":[{\"BearerToken\":[]}]}");
    strmap_free(w.seen);
    free(w.queue);
    arena_free(w.arena);
}

void openapi_write_v2(Buf *out, const Resource **custom) {
    write_document(out, false, NULL, NULL, custom);
}

void openapi_write_v3(Buf *out, const char *group, const char *version, const Resource **custom) {
    write_document(out, true, group, version, custom);
}
