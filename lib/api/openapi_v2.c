/* One table for each message. Fields stand in the order of their numbers. */
#include <errno.h>

#include "api/openapi_v2.h"
#include "api/protobuf.h"
#include "base/str.h"

typedef enum RowType {
    ROW_STRING,
    ROW_STRINGS, /* an array, or one string alone */
    ROW_BOOL,
    ROW_INT,
    ROW_DOUBLE,
    ROW_ANY, /* the value as YAML */
    ROW_ANYS,
    ROW_MESSAGE,
    ROW_MESSAGES,     /* an array, or one object alone */
    ROW_NAMED,        /* an object whose members become messages of a name and a value */
    ROW_NAMED_STRINGS /* and the value is a list of strings */
} RowType;

typedef struct Message Message;

typedef struct Row {
    const char *name; /* the member; NULL: the value itself, of messages that only wrap or choose */
    uint8_t number, type;
    const Message *of;
    const char *when, *is; /* only if the value has the member `when` (and it is `is`) */
} Row;

struct Message {
    const Row *rows;
    uint8_t n_rows, extensions; /* the number that members named x-... are under; 0: none */
    bool one_of;                /* the first row that applies */
};

#define MESSAGE(rows_, extensions_)                                                                                    \
    { .rows = (rows_), .n_rows = ELEMENTSOF(rows_), .extensions = (extensions_) }
#define ONE_OF(rows_)                                                                                                  \
    { .rows = (rows_), .n_rows = ELEMENTSOF(rows_), .one_of = true }

static const Message schema;

static const Row external_docs_rows[] = {{"description", 1, ROW_STRING}, {"url", 2, ROW_STRING}};
static const Message external_docs = MESSAGE(external_docs_rows, 3);

static const Row xml_rows[] = {{"name", 1, ROW_STRING},
                               {"namespace", 2, ROW_STRING},
                               {"prefix", 3, ROW_STRING},
                               {"attribute", 4, ROW_BOOL},
                               {"wrapped", 5, ROW_BOOL}};
static const Message xml = MESSAGE(xml_rows, 6);

static const Row reference_rows[] = {{"$ref", 1, ROW_STRING}, {"description", 2, ROW_STRING}};
static const Message reference = MESSAGE(reference_rows, 0);

static const Row additional_rows[] = {{NULL, 1, ROW_MESSAGE, &schema}, {NULL, 2, ROW_BOOL}};
static const Message additional = ONE_OF(additional_rows);

static const Row type_rows[] = {{NULL, 1, ROW_STRINGS}};
static const Message type_item = MESSAGE(type_rows, 0);

static const Row items_rows[] = {{NULL, 1, ROW_MESSAGES, &schema}};
static const Message items_item = MESSAGE(items_rows, 0);

static const Row named_schemas_rows[] = {{NULL, 1, ROW_NAMED, &schema}};
static const Message named_schemas = MESSAGE(named_schemas_rows, 0);

static const Row schema_rows[] = {
    {"$ref", 1, ROW_STRING},
    {"format", 2, ROW_STRING},
    {"title", 3, ROW_STRING},
    {"description", 4, ROW_STRING},
    {"default", 5, ROW_ANY},
    {"multipleOf", 6, ROW_DOUBLE},
    {"maximum", 7, ROW_DOUBLE},
    {"exclusiveMaximum", 8, ROW_BOOL},
    {"minimum", 9, ROW_DOUBLE},
    {"exclusiveMinimum", 10, ROW_BOOL},
    {"maxLength", 11, ROW_INT},
    {"minLength", 12, ROW_INT},
    {"pattern", 13, ROW_STRING},
    {"maxItems", 14, ROW_INT},
    {"minItems", 15, ROW_INT},
    {"uniqueItems", 16, ROW_BOOL},
    {"maxProperties", 17, ROW_INT},
    {"minProperties", 18, ROW_INT},
    {"required", 19, ROW_STRINGS},
    {"enum", 20, ROW_ANYS},
    {"additionalProperties", 21, ROW_MESSAGE, &additional},
    {"type", 22, ROW_MESSAGE, &type_item},
    {"items", 23, ROW_MESSAGE, &items_item},
    {"allOf", 24, ROW_MESSAGES, &schema},
    {"properties", 25, ROW_MESSAGE, &named_schemas},
    {"discriminator", 26, ROW_STRING},
    {"readOnly", 27, ROW_BOOL},
    {"xml", 28, ROW_MESSAGE, &xml},
    {"externalDocs", 29, ROW_MESSAGE, &external_docs},
    {"example", 30, ROW_ANY},
};
static const Message schema = MESSAGE(schema_rows, 31);

/* What parameters in a header, the query and the path (and the items of each) say of their type, from a number on. */
#define PRIMITIVE_ROWS(first)                                                                                          \
    {"type", first, ROW_STRING}, {"format", first + 1, ROW_STRING}, {"items", first + 2, ROW_MESSAGE, &primitive},     \
        {"collectionFormat", first + 3, ROW_STRING}, {"default", first + 4, ROW_ANY},                                  \
        {"maximum", first + 5, ROW_DOUBLE}, {"exclusiveMaximum", first + 6, ROW_BOOL},                                 \
        {"minimum", first + 7, ROW_DOUBLE}, {"exclusiveMinimum", first + 8, ROW_BOOL},                                 \
        {"maxLength", first + 9, ROW_INT}, {"minLength", first + 10, ROW_INT}, {"pattern", first + 11, ROW_STRING},    \
        {"maxItems", first + 12, ROW_INT}, {"minItems", first + 13, ROW_INT}, {"uniqueItems", first + 14, ROW_BOOL},   \
        {"enum", first + 15, ROW_ANYS}, {                                                                              \
        "multipleOf", first + 16, ROW_DOUBLE                                                                           \
    }
static const Message primitive;
static const Row primitive_rows[] = {PRIMITIVE_ROWS(1)};
static const Message primitive = MESSAGE(primitive_rows, 18);

#define PARAMETER_ROWS                                                                                                 \
    {"required", 1, ROW_BOOL}, {"in", 2, ROW_STRING}, {"description", 3, ROW_STRING}, {                                \
        "name", 4, ROW_STRING                                                                                          \
    }
static const Row parameter_rows[] = {PARAMETER_ROWS, PRIMITIVE_ROWS(5)};
static const Message bare_parameter = MESSAGE(parameter_rows, 22);
static const Row emptiable_rows[] = {PARAMETER_ROWS, {"allowEmptyValue", 5, ROW_BOOL}, PRIMITIVE_ROWS(6)};
static const Message emptiable_parameter = MESSAGE(emptiable_rows, 23);

static const Row other_parameter_rows[] = {{NULL, 1, ROW_MESSAGE, &bare_parameter, "in", "header"},
                                           {NULL, 2, ROW_MESSAGE, &emptiable_parameter, "in", "formData"},
                                           {NULL, 3, ROW_MESSAGE, &emptiable_parameter, "in", "query"},
                                           {NULL, 4, ROW_MESSAGE, &bare_parameter, "in", "path"}};
static const Message other_parameter = ONE_OF(other_parameter_rows);

static const Row body_parameter_rows[] = {{"description", 1, ROW_STRING},
                                          {"name", 2, ROW_STRING},
                                          {"in", 3, ROW_STRING},
                                          {"required", 4, ROW_BOOL},
                                          {"schema", 5, ROW_MESSAGE, &schema}};
static const Message body_parameter = MESSAGE(body_parameter_rows, 6);

static const Row any_parameter_rows[] = {{NULL, 1, ROW_MESSAGE, &body_parameter, "in", "body"},
                                         {NULL, 2, ROW_MESSAGE, &other_parameter}};
static const Message any_parameter = ONE_OF(any_parameter_rows);

static const Row parameters_item_rows[] = {{NULL, 2, ROW_MESSAGE, &reference, "$ref", NULL},
                                           {NULL, 1, ROW_MESSAGE, &any_parameter}};
static const Message parameters_item = ONE_OF(parameters_item_rows);

static const Row named_parameters_rows[] = {{NULL, 1, ROW_NAMED, &any_parameter}};
static const Message named_parameters = MESSAGE(named_parameters_rows, 0);

static const Row header_rows[] = {PRIMITIVE_ROWS(1), {"description", 18, ROW_STRING}};
static const Message header = MESSAGE(header_rows, 19);
static const Row headers_rows[] = {{NULL, 1, ROW_NAMED, &header}};
static const Message headers = MESSAGE(headers_rows, 0);

static const Row schema_item_rows[] = {{NULL, 1, ROW_MESSAGE, &schema}};
static const Message schema_item = MESSAGE(schema_item_rows, 0);

static const Row response_rows[] = {
    {"description", 1, ROW_STRING}, {"schema", 2, ROW_MESSAGE, &schema_item}, {"headers", 3, ROW_MESSAGE, &headers}};
static const Message response = MESSAGE(response_rows, 5);

static const Row response_value_rows[] = {{NULL, 2, ROW_MESSAGE, &reference, "$ref", NULL},
                                          {NULL, 1, ROW_MESSAGE, &response}};
static const Message response_value = ONE_OF(response_value_rows);

static const Row responses_rows[] = {{NULL, 1, ROW_NAMED, &response_value}};
static const Message responses = MESSAGE(responses_rows, 2);
static const Row named_responses_rows[] = {{NULL, 1, ROW_NAMED, &response}};
static const Message named_responses = MESSAGE(named_responses_rows, 0);

static const Row requirement_rows[] = {{NULL, 1, ROW_NAMED_STRINGS}};
static const Message requirement = MESSAGE(requirement_rows, 0);

static const Row operation_rows[] = {{"tags", 1, ROW_STRINGS},
                                     {"summary", 2, ROW_STRING},
                                     {"description", 3, ROW_STRING},
                                     {"externalDocs", 4, ROW_MESSAGE, &external_docs},
                                     {"operationId", 5, ROW_STRING},
                                     {"produces", 6, ROW_STRINGS},
                                     {"consumes", 7, ROW_STRINGS},
                                     {"parameters", 8, ROW_MESSAGES, &parameters_item},
                                     {"responses", 9, ROW_MESSAGE, &responses},
                                     {"schemes", 10, ROW_STRINGS},
                                     {"deprecated", 11, ROW_BOOL},
                                     {"security", 12, ROW_MESSAGES, &requirement}};
static const Message operation = MESSAGE(operation_rows, 13);

static const Row path_item_rows[] = {{"$ref", 1, ROW_STRING},
                                     {"get", 2, ROW_MESSAGE, &operation},
                                     {"put", 3, ROW_MESSAGE, &operation},
                                     {"post", 4, ROW_MESSAGE, &operation},
                                     {"delete", 5, ROW_MESSAGE, &operation},
                                     {"options", 6, ROW_MESSAGE, &operation},
                                     {"head", 7, ROW_MESSAGE, &operation},
                                     {"patch", 8, ROW_MESSAGE, &operation},
                                     {"parameters", 9, ROW_MESSAGES, &parameters_item}};
static const Message path_item = MESSAGE(path_item_rows, 10);

static const Row paths_rows[] = {{NULL, 2, ROW_NAMED, &path_item}};
static const Message paths = MESSAGE(paths_rows, 1);

static const Row basic_rows[] = {{"type", 1, ROW_STRING}, {"description", 2, ROW_STRING}};
static const Message basic_security = MESSAGE(basic_rows, 3);
static const Row api_key_rows[] = {
    {"type", 1, ROW_STRING}, {"name", 2, ROW_STRING}, {"in", 3, ROW_STRING}, {"description", 4, ROW_STRING}};
static const Message api_key_security = MESSAGE(api_key_rows, 5);
static const Row security_rows[] = {{NULL, 1, ROW_MESSAGE, &basic_security, "type", "basic"},
                                    {NULL, 2, ROW_MESSAGE, &api_key_security, "type", "apiKey"}};
static const Message security_item = ONE_OF(security_rows);
static const Row security_definitions_rows[] = {{NULL, 1, ROW_NAMED, &security_item}};
static const Message security_definitions = MESSAGE(security_definitions_rows, 0);

static const Row contact_rows[] = {{"name", 1, ROW_STRING}, {"url", 2, ROW_STRING}, {"email", 3, ROW_STRING}};
static const Message contact = MESSAGE(contact_rows, 4);
static const Row license_rows[] = {{"name", 1, ROW_STRING}, {"url", 2, ROW_STRING}};
static const Message license = MESSAGE(license_rows, 3);
static const Row info_rows[] = {{"title", 1, ROW_STRING},
                                {"version", 2, ROW_STRING},
                                {"description", 3, ROW_STRING},
                                {"termsOfService", 4, ROW_STRING},
                                {"contact", 5, ROW_MESSAGE, &contact},
                                {"license", 6, ROW_MESSAGE, &license}};
static const Message info = MESSAGE(info_rows, 7);

static const Row tag_rows[] = {
    {"name", 1, ROW_STRING}, {"description", 2, ROW_STRING}, {"externalDocs", 3, ROW_MESSAGE, &external_docs}};
static const Message tag = MESSAGE(tag_rows, 4);

static const Row document_rows[] = {{"swagger", 1, ROW_STRING},
                                    {"info", 2, ROW_MESSAGE, &info},
                                    {"host", 3, ROW_STRING},
                                    {"basePath", 4, ROW_STRING},
                                    {"schemes", 5, ROW_STRINGS},
                                    {"consumes", 6, ROW_STRINGS},
                                    {"produces", 7, ROW_STRINGS},
                                    {"paths", 8, ROW_MESSAGE, &paths},
                                    {"definitions", 9, ROW_MESSAGE, &named_schemas},
                                    {"parameters", 10, ROW_MESSAGE, &named_parameters},
                                    {"responses", 11, ROW_MESSAGE, &named_responses},
                                    {"security", 12, ROW_MESSAGES, &requirement},
                                    {"securityDefinitions", 13, ROW_MESSAGE, &security_definitions},
                                    {"tags", 14, ROW_MESSAGES, &tag},
                                    {"externalDocs", 15, ROW_MESSAGE, &external_docs}};
static const Message document_message = MESSAGE(document_rows, 16);

typedef struct Writer {
    Buf *out;
    int depth, error;
} Writer;

static void write_message(Writer *w, const Message *message, const Value *v);

static void write_inner(Writer *w, uint64_t number, const Message *message, const Value *v) {
    size_t start = wire_begin(w->out, number);
    write_message(w, message, v);
    wire_end(w->out, start);
}

static void write_string(Writer *w, uint64_t number, const Value *v) {
    if (value_is(v, VALUE_STRING))
        wire_put_bytes(w->out, number, v->string, v->len);
}

static void write_strings(Writer *w, uint64_t number, const Value *v) {
    const Value *item;
    write_string(w, number, v);
    VALUE_FOREACH (item, v)
        write_string(w, number, item);
}

static void write_any(Writer *w, uint64_t number, const Value *v) {
    size_t start = wire_begin(w->out, number), text = wire_begin(w->out, 2);
    value_write_yaml(w->out, v);
    wire_end(w->out, text);
    wire_end(w->out, start);
}

static void write_name(Writer *w, const char *name) {
    wire_put_bytes(w->out, 1, name, strlen(name));
}

static bool is_extension(const Member *member) {
    return str_has_prefix(member->name, "x-");
}

static void write_named(Writer *w, const Row *row, bool has_extensions, const Value *v) {
    VALUE_FOREACH_MEMBER (member, v) {
        if (has_extensions && is_extension(member))
            continue;
        size_t start = wire_begin(w->out, row->number);
        write_name(w, member->name);
        size_t value = wire_begin(w->out, 2);
        if (row->type == ROW_NAMED)
            write_message(w, row->of, member->value);
        else
            write_strings(w, 1, member->value);
        wire_end(w->out, value);
        wire_end(w->out, start);
    }
}

static double number_of(const Value *v) {
    return v->type == VALUE_DOUBLE ? v->number : (double)v->integer;
}

static void write_row(Writer *w, const Row *row, bool has_extensions, const Value *v) {
    const Value *item;
    switch ((RowType)row->type) {
    case ROW_STRING:
        write_string(w, row->number, v);
        return;
    case ROW_STRINGS:
        write_strings(w, row->number, v);
        return;
    case ROW_BOOL: /* false is the zero of this format, which is not written; within a choice it is */
        if (value_is(v, VALUE_BOOL) && (v->boolean || !row->name))
            wire_put_number(w->out, row->number, v->boolean);
        return;
    case ROW_INT:
        if (value_is(v, VALUE_INT) && v->integer)
            wire_put_number(w->out, row->number, (uint64_t)v->integer);
        return;
    case ROW_DOUBLE:
        if ((value_is(v, VALUE_INT) || value_is(v, VALUE_DOUBLE)) && number_of(v) != 0)
            wire_put_double(w->out, row->number, number_of(v));
        return;
    case ROW_ANY:
        write_any(w, row->number, v);
        return;
    case ROW_ANYS:
        VALUE_FOREACH (item, v)
            write_any(w, row->number, item);
        return;
    case ROW_MESSAGE:
        write_inner(w, row->number, row->of, v);
        return;
    case ROW_MESSAGES:
        if (value_is(v, VALUE_OBJECT))
            write_inner(w, row->number, row->of, v);
        VALUE_FOREACH (item, v)
            write_inner(w, row->number, row->of, item);
        return;
    case ROW_NAMED:
    case ROW_NAMED_STRINGS:
        write_named(w, row, has_extensions, v);
        return;
    }
}

static bool applies(const Row *row, const Value *v) {
    if (row->when && row->is)
        return streq_null(value_get_str(v, row->when), row->is);
    if (row->when)
        return value_get(v, row->when) != NULL;
    return row->name || row->type != ROW_MESSAGE || value_is(v, VALUE_OBJECT);
}

static void write_extensions(Writer *w, uint64_t number, const Value *v) {
    VALUE_FOREACH_MEMBER (member, v) {
        if (!is_extension(member))
            continue;
        size_t start = wire_begin(w->out, number);
        write_name(w, member->name);
        write_any(w, 2, member->value);
        wire_end(w->out, start);
    }
}

static void write_message(Writer *w, const Message *message, const Value *v) {
    if (w->error)
        return;
    if (++w->depth > PROTOBUF_DEPTH_MAX) {
        w->error = -ELOOP;
        return;
    }
    bool extensions_first = message->extensions < message->rows[0].number;
    if (message->extensions && extensions_first)
        write_extensions(w, message->extensions, v);
    for (size_t i = 0; i < message->n_rows; i++) {
        const Row *row = &message->rows[i];
        const Value *member = row->name ? value_get(v, row->name) : v;
        if (!member || !applies(row, v))
            continue;
        write_row(w, row, message->extensions != 0, member);
        if (message->one_of)
            break;
    }
    if (message->extensions && !extensions_first)
        write_extensions(w, message->extensions, v);
    w->depth--;
}

int openapi_v2_encode(Buf *out, const Value *document) {
    Writer w = {.out = out};
    write_message(&w, &document_message, document);
    return w.error ? w.error : out->failed ? -EFBIG : 0;
}
