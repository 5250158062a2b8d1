#include <errno.h>

#include "api/openapi_messages.h"
#include "api/protobuf.h"
#include "api/yaml_write.h"
#include "base/str.h"

static const OpenApiRow external_docs_rows[] = {{"description", 1, ROW_STRING}, {"url", 2, ROW_STRING}};
const OpenApiMessage openapi_external_docs = OPENAPI_MESSAGE(external_docs_rows, 3);

static const OpenApiRow xml_rows[] = {{"name", 1, ROW_STRING},
                                      {"namespace", 2, ROW_STRING},
                                      {"prefix", 3, ROW_STRING},
                                      {"attribute", 4, ROW_BOOL},
                                      {"wrapped", 5, ROW_BOOL}};
const OpenApiMessage openapi_xml = OPENAPI_MESSAGE(xml_rows, 6);

static const OpenApiRow contact_rows[] = {{"name", 1, ROW_STRING}, {"url", 2, ROW_STRING}, {"email", 3, ROW_STRING}};
const OpenApiMessage openapi_contact = OPENAPI_MESSAGE(contact_rows, 4);

static const OpenApiRow license_rows[] = {{"name", 1, ROW_STRING}, {"url", 2, ROW_STRING}};
const OpenApiMessage openapi_license = OPENAPI_MESSAGE(license_rows, 3);

static const OpenApiRow tag_rows[] = {
    {"name", 1, ROW_STRING}, {"description", 2, ROW_STRING}, {"externalDocs", 3, ROW_MESSAGE, &openapi_external_docs}};
const OpenApiMessage openapi_tag = OPENAPI_MESSAGE(tag_rows, 4);

static const OpenApiRow requirement_rows[] = {{NULL, 1, ROW_NAMED_STRINGS}};
const OpenApiMessage openapi_security_requirement = OPENAPI_MESSAGE(requirement_rows, 0);

typedef struct Writer {
    Buf *out;
    int depth, error;
} Writer;

static void write_message(Writer *w, const OpenApiMessage *message, const Value *v);

/* Of another value than the message around it, which may be deeper. */
static void write_nested(Writer *w, const OpenApiMessage *message, const Value *v) {
    if (w->depth == PROTOBUF_DEPTH_MAX) {
        w->error = -ELOOP;
        return;
    }
    w->depth++;
    write_message(w, message, v);
    w->depth--;
}

static void write_inner(Writer *w, const OpenApiRow *row, const Value *v) {
    size_t start = wire_begin(w->out, row->number);
    if (row->name)
        write_nested(w, row->of, v);
    else
        write_message(w, row->of, v);
    wire_end(w->out, start);
}

static void write_string(Writer *w, uint64_t number, const Value *v) {
    if (value_is(v, VALUE_STRING))
        wire_put_bytes(w->out, number, v->string, v->len);
}

/* A field that is not repeated: empty, it is its zero, which this format does not write. */
static void write_text(Writer *w, uint64_t number, const Value *v) {
    if (value_is(v, VALUE_STRING) && v->len)
        write_string(w, number, v);
}

static void write_strings(Writer *w, uint64_t number, const Value *v) {
    const Value *item;
    write_string(w, number, v);
    VALUE_FOREACH (item, v)
        write_string(w, number, item);
}

static void write_any(Writer *w, uint64_t number, const Value *v) {
    size_t start = wire_begin(w->out, number), text = wire_begin(w->out, 2);
    value_write_yaml_node(w->out, v);
    wire_end(w->out, text);
    wire_end(w->out, start);
}

static void write_name(Writer *w, const char *name) {
    wire_put_bytes(w->out, 1, name, strlen(name));
}

static bool is_extension(const Member *member) {
    return str_has_prefix(member->name, "x-");
}

/* Does the member stand under another number than those without a row of their own? */
static bool is_elsewhere(const OpenApiMessage *message, const Member *member) {
    if (message->extensions && is_extension(member))
        return true;
    for (size_t i = 0; i < message->n_rows; i++)
        if (streq_null(message->rows[i].name, member->name))
            return true;
    return false;
}

static void write_named_value(Writer *w, const OpenApiRow *row, const Value *v) {
    if (row->type == ROW_NAMED_ANY) {
        write_any(w, 2, v);
        return;
    }
    if (row->type == ROW_NAMED_STRING) {
        write_text(w, 2, v);
        return;
    }
    size_t start = wire_begin(w->out, 2);
    if (row->type == ROW_NAMED)
        write_nested(w, row->of, v);
    else
        write_strings(w, 1, v);
    wire_end(w->out, start);
}

static void write_named(Writer *w, const OpenApiMessage *message, const OpenApiRow *row, const Value *v) {
    VALUE_FOREACH_MEMBER (member, v) {
        if (is_elsewhere(message, member))
            continue;
        size_t start = wire_begin(w->out, row->number);
        write_name(w, member->name);
        write_named_value(w, row, member->value);
        wire_end(w->out, start);
    }
}

static void write_messages(Writer *w, const OpenApiRow *row, const Value *v) {
    const Value *item;
    if (value_is(v, VALUE_OBJECT))
        write_inner(w, row, v);
    VALUE_FOREACH (item, v) {
        size_t start = wire_begin(w->out, row->number);
        write_nested(w, row->of, item);
        wire_end(w->out, start);
    }
}

static bool is_number(const Value *v) {
    return value_is(v, VALUE_INT) || value_is(v, VALUE_DOUBLE);
}

static double number_of(const Value *v) {
    return v->type == VALUE_DOUBLE ? v->number : (double)v->integer;
}

/* The zero of a type is not written in this format; within a choice it is. */
static void write_row(Writer *w, const OpenApiMessage *message, const OpenApiRow *row, const Value *v) {
    const Value *item;
    switch ((OpenApiRowType)row->type) {
    case ROW_STRING:
        if (message->one_of)
            write_string(w, row->number, v);
        else
            write_text(w, row->number, v);
        return;
    case ROW_STRINGS:
        write_strings(w, row->number, v);
        return;
    case ROW_BOOL:
        if (value_is(v, VALUE_BOOL) && (v->boolean || message->one_of))
            wire_put_number(w->out, row->number, v->boolean);
        return;
    case ROW_INT:
        if (value_is(v, VALUE_INT) && (v->integer || message->one_of))
            wire_put_number(w->out, row->number, (uint64_t)v->integer);
        return;
    case ROW_DOUBLE:
        if (is_number(v) && (number_of(v) != 0 || message->one_of))
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
        write_inner(w, row, v);
        return;
    case ROW_MESSAGES:
        write_messages(w, row, v);
        return;
    case ROW_NAMED:
    case ROW_NAMED_STRING:
    case ROW_NAMED_STRINGS:
    case ROW_NAMED_ANY:
        write_named(w, message, row, v);
        return;
    }
}

/* Is a value of this type one that the row, of no member's name, is for? */
static bool is_for(const OpenApiRow *row, const Value *v) {
    switch (row->type) {
    case ROW_STRING:
        return value_is(v, VALUE_STRING);
    case ROW_BOOL:
        return value_is(v, VALUE_BOOL);
    case ROW_DOUBLE:
        return is_number(v);
    case ROW_MESSAGE:
        return value_is(v, VALUE_OBJECT);
    default:
        return true;
    }
}

static bool applies(const OpenApiRow *row, const Value *v) {
    if (row->when && row->is)
        return streq_null(value_get_str(v, row->when), row->is);
    if (row->when)
        return value_get(v, row->when) != NULL;
    return row->name || is_for(row, v);
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

static void write_message(Writer *w, const OpenApiMessage *message, const Value *v) {
    bool extensions_due = message->extensions != 0;
    for (size_t i = 0; i < message->n_rows && !w->error; i++) {
        const OpenApiRow *row = &message->rows[i];
        if (extensions_due && row->number > message->extensions) {
            write_extensions(w, message->extensions, v);
            extensions_due = false;
        }
        const Value *member = row->name ? value_get(v, row->name) : v;
        if (!member || !applies(row, v))
            continue;
        write_row(w, message, row, member);
        if (message->one_of)
            break;
    }
    if (extensions_due)
        write_extensions(w, message->extensions, v);
}

int openapi_message_encode(Buf *out, const OpenApiMessage *message, const Value *v) {
    Writer w = {.out = out};
    write_nested(&w, message, v);
    return w.error ? w.error : out->failed ? -EFBIG : 0;
}
