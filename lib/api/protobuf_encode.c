/* Trees to protobuf, byte for byte as the reference's generated code writes them: fields in the order of their numbers,
 * members that are not pointers always (with their zero when absent), maps sorted by key. The tree is one that
 * schema_normalize has passed. */
#include <errno.h>

#include "api/gen/schemas.h"
#include "api/json.h"
#include "api/protobuf.h"
#include "api/scalar.h"
#include "base/str.h"

typedef struct Writer {
    Buf *out;
    int error; /* the first thing that has no encoding */
    int depth;
    const ProtobufItems *items; /* of the list that is the outermost message; NULL: they are in the tree */
} Writer;

static void write_message(Writer *w, const Schema *schema, const Value *v);
static void write_field(Writer *w, uint64_t number, const Schema *schema, const Value *v);

/* A message within. */
static size_t begin_message(Writer *w, uint64_t number) {
    if (++w->depth > PROTOBUF_DEPTH_MAX)
        w->error = -ELOOP;
    return wire_begin(w->out, number);
}

static void end_message(Writer *w, size_t start) {
    w->depth--;
    wire_end(w->out, start);
}

static const char *text_of(Writer *w, const Value *v, size_t *ret_n) {
    *ret_n = 0;
    if (!v || v->type == VALUE_NULL)
        return "";
    if (v->type != VALUE_STRING) {
        w->error = w->error ? w->error : -EINVAL;
        return "";
    }
    *ret_n = v->len;
    return v->string;
}

static int64_t int_of(Writer *w, const Value *v) {
    if (!v || v->type == VALUE_NULL)
        return 0;
    if (v->type == VALUE_INT)
        return v->integer;
    if (v->type == VALUE_BOOL)
        return v->boolean;
    w->error = w->error ? w->error : -EINVAL;
    return 0;
}

static void write_time(Writer *w, const Value *v, bool micro) {
    size_t n;
    const char *text = text_of(w, v, &n);
    if (n == 0)
        return;
    _cleanup_arena_ Arena *scratch = NULL;
    TimePoint t;
    char *message;
    scratch = arena_new(0);
    if (time_point_parse(scratch, text, n, micro, &t, &message) < 0) {
        w->error = -EINVAL;
        return;
    }
    if (t.seconds == TIME_ZERO_SECONDS && t.nanos == 0)
        return;
    wire_put_number(w->out, 1, (uint64_t)t.seconds);
    wire_put_number(w->out, 2, micro ? (uint64_t)(t.nanos / 1000 * 1000) : 0);
}

static void write_int_or_string(Writer *w, const Value *v) {
    bool text = value_is(v, VALUE_STRING);
    wire_put_number(w->out, 1, text);
    wire_put_number(w->out, 2, text ? 0 : (uint64_t)int_of(w, v));
    wire_put_bytes(w->out, 3, text ? v->string : "", text ? v->len : 0);
}

static void write_raw(Writer *w, const Value *v) {
    if (!v || v->type == VALUE_NULL)
        return;
    size_t start = begin_message(w, 1); /* bytes have the shape of a message */
    value_write_json(w->out, v);
    end_message(w, start);
}

static void write_union(Writer *w, const Schema *schema, const Value *v) {
    static const Schema string = {.type = SCHEMA_STRING, .go_type = "string"};
    const Schema *props = &schema_apiextensions_v1_JSONSchemaProps;
    bool or_bool = str_has_suffix(schema->name, "OrBool");
    if (or_bool)
        wire_put_number(w->out, 1, value_is(v, VALUE_OBJECT) || (value_is(v, VALUE_BOOL) && v->boolean));
    if (value_is(v, VALUE_OBJECT))
        write_field(w, or_bool ? 2 : 1, props, v);
    const Value *item;
    VALUE_FOREACH (item, v)
        write_field(w, 2, str_has_suffix(schema->name, "OrStringArray") ? &string : props, item);
}

static void write_base64(Writer *w, uint64_t number, const Value *v) {
    size_t n, used = 0, at;
    bool canonical;
    const char *text = text_of(w, v, &n);
    wire_put_key(w->out, number, WIRE_BYTES);
    /* The length goes first: count, then decode into place. */
    if (base64_go_decode(text, n, NULL, &used, &canonical, &at) < 0) {
        w->error = w->error ? w->error : -EINVAL;
        wire_put_varint(w->out, 0);
        return;
    }
    wire_put_varint(w->out, used);
    char *to = buf_reserve(w->out, n / 4 * 3 + 3);
    if (!to)
        return;
    base64_go_decode(text, n, (uint8_t *)to, &used, &canonical, &at);
    w->out->len += used;
    w->out->data[w->out->len] = 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const Member *const *)a)->name, (*(const Member *const *)b)->name);
}

static void write_map(Writer *w, uint64_t number, const Schema *schema, const Value *v) {
    if (!value_len(v))
        return;
    _cleanup_free_ const Member **order = xmalloc(v->len * sizeof(*order));
    for (size_t i = 0; i < v->len; i++)
        order[i] = &v->members[i];
    for (size_t i = 1; i < v->len; i++)
        if (compare_names(&order[i - 1], &order[i]) > 0) {
            qsort(order, v->len, sizeof(*order), compare_names);
            break;
        }
    for (size_t i = 0; i < v->len; i++) {
        size_t start = begin_message(w, number);
        wire_put_bytes(w->out, 1, order[i]->name, strlen(order[i]->name));
        const Value *element = order[i]->value;
        if (schema->element->type != SCHEMA_BYTES || element->type != VALUE_NULL)
            write_field(w, 2, schema->element, element);
        end_message(w, start);
    }
}

static void write_list(Writer *w, uint64_t number, const Schema *schema, const Value *v) {
    const Value *item;
    if (!schema->list_wrapped) {
        VALUE_FOREACH (item, v)
            write_field(w, number, schema->element, item);
        return;
    }
    size_t start = begin_message(w, number);
    VALUE_FOREACH (item, v)
        write_field(w, 1, schema->element, item);
    end_message(w, start);
}

static void write_leaf(Writer *w, const Schema *schema, const Value *v) {
    size_t n;
    switch (schema->type) {
    case SCHEMA_STRUCT:
        write_message(w, schema, v);
        return;
    case SCHEMA_QUANTITY: {
        const char *text = text_of(w, v, &n);
        wire_put_bytes(w->out, 1, n ? text : "0", n ? n : 1);
        return;
    }
    case SCHEMA_INT_OR_STRING:
        write_int_or_string(w, v);
        return;
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        write_time(w, v, schema->type == SCHEMA_MICRO_TIME);
        return;
    case SCHEMA_RAW:
    case SCHEMA_FIELDS_V1:
    case SCHEMA_JSON:
        write_raw(w, v);
        return;
    case SCHEMA_JSON_UNION:
        write_union(w, schema, v);
        return;
    default:
        w->error = w->error ? w->error : -EINVAL;
    }
}

/* v may be NULL or null: the zero value. */
static void write_field(Writer *w, uint64_t number, const Schema *schema, const Value *v) {
    size_t n;
    switch (schema->type) {
    case SCHEMA_STRING: {
        const char *text = text_of(w, v, &n);
        wire_put_bytes(w->out, number, text, n);
        return;
    }
    case SCHEMA_BOOL:
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        wire_put_number(w->out, number, (uint64_t)int_of(w, v));
        return;
    case SCHEMA_DOUBLE:
        wire_put_double(w->out, number, value_is(v, VALUE_DOUBLE) ? v->number : (double)int_of(w, v));
        return;
    case SCHEMA_BYTES:
        write_base64(w, number, v);
        return;
    case SCHEMA_MAP:
        write_map(w, number, schema, v);
        return;
    case SCHEMA_LIST:
        write_list(w, number, schema, v);
        return;
    default: {
        size_t start = begin_message(w, number);
        if (w->error == 0)
            write_leaf(w, schema, v);
        end_message(w, start);
    }
    }
}

int protobuf_write_field(Buf *out, uint64_t number, const Schema *schema, const Value *v) {
    Writer w = {.out = out, .depth = 1};
    write_field(&w, number, schema, v);
    return w.error == 0 && out->failed ? -EFBIG : w.error;
}

/* Finds the member of each field: values[i] is of schema->fields[i], or NULL. Members stand in the order of the struct,
 * or nearly, so each search goes on where the last one ended, and all of them together pass the fields about once. */
static void place_members(const Schema *schema, const Value *object, const Value **values) {
    size_t n = schema->n_fields, at = 0;
    memset(values, 0, n * sizeof(*values));
    for (size_t m = 0; m < value_len(object); m++) {
        const char *name = object->members[m].name;
        for (size_t k = 0; k < n; k++, at = at + 1 < n ? at + 1 : 0) {
            const char *field = schema->fields[at].name;
            if (field == name || (field[0] == name[0] && streq(field, name))) {
                values[at] = object->members[m].value;
                break;
            }
        }
    }
}

/* The message of an object at rest. */
static void write_object(Writer *w, const Schema *schema, const char *json, size_t n, Arena *scratch) {
    Value *v;
    int r = protobuf_transcode_message(w->out, scratch, schema, json, n);
    if (r == -EOPNOTSUPP) {
        r = json_parse(scratch, json, n, &v, NULL, NULL);
        if (r == 0)
            write_message(w, schema, v);
    }
    if (r < 0 && w->error == 0)
        w->error = r;
}

static void write_stored_items(Writer *w, const SchemaField *field, const ProtobufItems *items) {
    _cleanup_arena_ Arena *scratch = arena_new(0);
    const char *json;
    size_t n;
    while (w->error == 0 && !w->out->failed && (json = items->next_json(items->userdata, &n))) {
        size_t start = begin_message(w, field->number);
        write_object(w, field->schema->element, json, n, scratch);
        end_message(w, start);
        arena_reset(scratch);
    }
}

static void write_items(Writer *w, const SchemaField *field) {
    const ProtobufItems *items = w->items;
    const Value *item;
    w->items = NULL; /* an item's own members are in its tree */
    if (items->next_json) {
        write_stored_items(w, field, items);
        return;
    }
    while (w->error == 0 && !w->out->failed && (item = items->next(items->userdata)))
        write_field(w, field->number, field->schema->element, item);
}

static void write_message(Writer *w, const Schema *schema, const Value *v) {
    const Value *values[SCHEMA_FIELDS_MAX];
    if ((v && v->type != VALUE_OBJECT && v->type != VALUE_NULL) || schema->n_fields > SCHEMA_FIELDS_MAX) {
        w->error = w->error ? w->error : -EINVAL;
        return;
    }
    place_members(schema, v && v->type == VALUE_OBJECT ? v : NULL, values);
    for (size_t i = 0; i < schema->n_by_number && w->error == 0; i++) {
        size_t index = schema->by_number[i];
        if (index >= schema->n_fields) {
            const SchemaInline *e = &schema->inlines[index - schema->n_fields];
            write_field(w, e->number, e->schema, v);
            continue;
        }
        const SchemaField *field = &schema->fields[index];
        if (w->items && w->depth == 1 && streq(field->name, "items"))
            write_items(w, field);
        else if (!protobuf_is_left_out(field, values[index]))
            write_field(w, field->number, field->schema, values[index]);
    }
}

static size_t begin_envelope(Writer *w, const char *api_version, const char *kind) {
    buf_append(w->out, PROTOBUF_MAGIC, PROTOBUF_MAGIC_LEN);
    size_t meta = begin_message(w, 1);
    wire_put_bytes(w->out, 1, api_version, strlen(api_version));
    wire_put_bytes(w->out, 2, kind, strlen(kind));
    end_message(w, meta);
    return begin_message(w, 2);
}

/* `before`: where the envelope began; a failure leaves nothing of it. */
static int end_envelope(Writer *w, size_t raw, size_t before) {
    Buf *out = w->out;
    end_message(w, raw);
    protobuf_list_tail(out);
    if (w->error == 0 && out->failed)
        w->error = -EFBIG;
    if (w->error < 0 && out->data && !out->failed) {
        out->len = before;
        out->data[before] = 0;
    }
    return w->error;
}

int protobuf_encode_list(Buf *out, const Schema *schema, const Value *v, const ProtobufItems *items,
                         const char *api_version, const char *kind) {
    Writer w = {.out = out, .items = items};
    size_t before = out->len, raw = begin_envelope(&w, api_version, kind);
    write_message(&w, schema, v);
    return end_envelope(&w, raw, before);
}

int protobuf_encode(Buf *out, const Schema *schema, const Value *v, const char *api_version, const char *kind) {
    return protobuf_encode_list(out, schema, v, NULL, api_version, kind);
}

int protobuf_message_of_stored(Buf *out, Arena *scratch, const Schema *schema, const char *json, size_t n) {
    Writer w = {.out = out};
    write_object(&w, schema, json, n, scratch);
    return w.error == 0 && out->failed ? -EFBIG : w.error;
}

static const SchemaField *items_of(const Schema *list) {
    size_t last = list->n_by_number ? list->by_number[list->n_by_number - 1] : list->n_fields;
    const SchemaField *field = last < list->n_fields ? &list->fields[last] : NULL;
    bool good = field && streq(field->name, "items") && field->schema->type == SCHEMA_LIST && field->schema->element;
    return good && field->schema->element->type == SCHEMA_STRUCT ? field : NULL;
}

int protobuf_list_head(Buf *out, const Schema *schema, const Value *v, uint64_t items_len, const char *api_version,
                       const char *kind) {
    _cleanup_buf_ Buf own = BUF_INIT(out->limit), envelope = BUF_INIT(out->limit);
    Writer whole = {.out = &own}, w = {.out = &envelope};
    if (!items_of(schema))
        return -EOPNOTSUPP;
    write_message(&whole, schema, v);
    begin_envelope(&w, api_version, kind); /* ends with an empty length, for wire_end */
    if (whole.error < 0 || own.failed || envelope.failed)
        return whole.error < 0 ? whole.error : -EFBIG;
    buf_append(out, envelope.data, envelope.len - 1);
    wire_put_varint(out, own.len + items_len);
    buf_append(out, own.data, own.len);
    return out->failed ? -EFBIG : 0;
}

/* contentEncoding and contentType of runtime.Unknown */
void protobuf_list_tail(Buf *out) {
    wire_put_bytes(out, 3, "", 0);
    wire_put_bytes(out, 4, "", 0);
}

static uint64_t varint_len(uint64_t value) {
    return value > 0x7f ? 1 + varint_len(value >> 7) : 1;
}

static uint64_t items_number(const Schema *list) {
    return list->fields[list->by_number[list->n_by_number - 1]].number;
}

uint64_t protobuf_list_item_len(const Schema *schema, uint64_t message_len) {
    return varint_len(items_number(schema) << 3) + varint_len(message_len) + message_len;
}

void protobuf_list_item(Buf *out, const Schema *schema, size_t message_len) {
    wire_put_key(out, items_number(schema), WIRE_BYTES);
    wire_put_varint(out, message_len);
}

int protobuf_encode_stored(Buf *out, const Schema *schema, const char *json, size_t n, const char *api_version,
                           const char *kind, size_t *ret_message_len) {
    _cleanup_arena_ Arena *scratch = arena_new(0);
    Writer w = {.out = out};
    size_t before = out->len, raw = begin_envelope(&w, api_version, kind);
    write_object(&w, schema, json, n, scratch);
    size_t len = out->len - raw;
    int r = end_envelope(&w, raw, before);
    if (r == 0 && ret_message_len)
        *ret_message_len = len;
    return r;
}

int protobuf_encode_message(Buf *out, const void *message, size_t n, const char *api_version, const char *kind) {
    Writer w = {.out = out};
    size_t before = out->len, raw = begin_envelope(&w, api_version, kind);
    buf_append(out, message, n);
    return end_envelope(&w, raw, before);
}
