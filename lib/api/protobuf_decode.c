/* protobuf to trees, by the schema tables. Trees come out as schema_normalize leaves them. Everything read is bounded
 * by the input: a length is checked against what is left before it is believed, the arena's limit is asked for each
 * value, and nesting ends at PROTOBUF_DEPTH_MAX. */
#include <errno.h>
#include <stdio.h>

#include "api/gen/schemas.h"
#include "api/json.h"
#include "api/protobuf.h"
#include "api/scalar.h"
#include "base/str.h"

typedef struct Reader {
    Arena *arena;
    const uint8_t *p, *end;
    int depth;
} Reader;

typedef struct Wire { /* one field as it stands in a message */
    uint64_t number;
    WireType type;
    uint64_t varint; /* or the fixed value */
    Reader bytes;    /* WIRE_BYTES */
} Wire;

static int read_message(Reader reader, const Schema *schema, Value *object);
static int read_value(const Wire *wire, const Schema *schema, Value *into, Value **ret);

static int read_varint(Reader *reader, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->p == reader->end)
            return -EBADMSG;
        uint8_t byte = *reader->p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static int read_fixed(Reader *reader, size_t n, uint64_t *ret) {
    if ((size_t)(reader->end - reader->p) < n)
        return -EBADMSG;
    *ret = 0;
    for (size_t i = 0; i < n; i++)
        *ret |= (uint64_t)reader->p[i] << (8 * i);
    reader->p += n;
    return 0;
}

static int read_wire(Reader *reader, Wire *wire);

/* Groups are a thing of the past, but the reference skips them. */
static int skip_group(Reader *reader, uint64_t number) {
    if (++reader->depth > PROTOBUF_DEPTH_MAX)
        return -EBADMSG;
    for (;;) {
        Wire inner = {0};
        int r = read_wire(reader, &inner);
        if (r < 0)
            return r;
        if (inner.type == WIRE_GROUP_END) {
            reader->depth--;
            return inner.number == number ? 0 : -EBADMSG;
        }
    }
}

static int read_wire(Reader *reader, Wire *wire) {
    uint64_t key, len;
    int r = read_varint(reader, &key);
    if (r < 0)
        return r;
    wire->number = key >> 3;
    wire->type = (WireType)(key & 7);
    if (wire->number == 0 || wire->number > UINT32_MAX >> 3)
        return -EBADMSG;
    switch (wire->type) {
    case WIRE_VARINT:
        return read_varint(reader, &wire->varint);
    case WIRE_FIXED64:
        return read_fixed(reader, 8, &wire->varint);
    case WIRE_FIXED32:
        return read_fixed(reader, 4, &wire->varint);
    case WIRE_GROUP:
        return skip_group(reader, wire->number);
    case WIRE_GROUP_END:
        return 0;
    case WIRE_BYTES:
        if ((r = read_varint(reader, &len)) < 0)
            return r;
        if (len > (size_t)(reader->end - reader->p))
            return -EBADMSG;
        wire->bytes = (Reader){reader->arena, reader->p, reader->p + len, reader->depth + 1};
        reader->p += len;
        return wire->bytes.depth > PROTOBUF_DEPTH_MAX ? -EBADMSG : 0;
    default:
        return -EBADMSG;
    }
}

/* Next field; 0 at the end of the message. */
static int next_wire(Reader *reader, Wire *wire) {
    if (reader->p == reader->end)
        return 0;
    int r = read_wire(reader, wire);
    if (r == 0 && wire->type == WIRE_GROUP_END)
        return -EBADMSG;
    wire->bytes.arena = reader->arena;
    return r < 0 ? r : 1;
}

static int expect(const Wire *wire, WireType type) {
    return wire->type == type ? 0 : -EBADMSG;
}

void schema_by_protobuf_number(const Schema *schema, uint64_t number, const SchemaField **ret_field,
                               const SchemaInline **ret_inline) {
    *ret_field = NULL;
    *ret_inline = NULL;
    size_t low = 0, high = schema->n_by_number;
    while (low < high) {
        size_t middle = (low + high) / 2, i = schema->by_number[middle];
        const SchemaField *field = i < schema->n_fields ? &schema->fields[i] : NULL;
        const SchemaInline *e = field ? NULL : &schema->inlines[i - schema->n_fields];
        uint64_t there = field ? field->number : e->number;
        if (there == number) {
            *ret_field = field;
            *ret_inline = e;
            return;
        }
        if (number < there)
            high = middle;
        else
            low = middle + 1;
    }
}

static Value *string_of(const Reader *bytes) {
    return value_string_n(bytes->arena, (const char *)bytes->p, (size_t)(bytes->end - bytes->p));
}

/* Leaves that are messages: their fields are few and fixed. */

static int read_time(Reader reader, bool micro, Value **ret) {
    Wire wire = {0};
    TimePoint t = {0};
    int r;
    if (reader.p == reader.end) {
        *ret = value_null(reader.arena);
        return 0;
    }
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (wire.number == 1 && wire.type == WIRE_VARINT)
            t.seconds = (int64_t)wire.varint;
        else if (wire.number == 2 && wire.type == WIRE_VARINT && micro)
            t.nanos = (int32_t)wire.varint;
    }
    if (r < 0)
        return r;
    /* Years 1 to 9999, what the message is specified for; the text has no form for others. */
    if (t.seconds < TIME_ZERO_SECONDS || t.seconds > 253402300799 || t.nanos < 0 || t.nanos > 999999999)
        return -EBADMSG;
    char text[TIME_POINT_TEXT_MAX];
    time_point_format(t, micro, text);
    *ret = value_string(reader.arena, text);
    return 0;
}

static int read_quantity(Reader reader, Value **ret) {
    Wire wire = {0};
    int r;
    *ret = value_null(reader.arena);
    while ((r = next_wire(&reader, &wire)) > 0)
        if (wire.number == 1) {
            if (expect(&wire, WIRE_BYTES) < 0)
                return -EBADMSG;
            *ret = string_of(&wire.bytes);
        }
    return r;
}

static int read_int_or_string(Reader reader, Value **ret) {
    Wire wire = {0};
    uint64_t type = 0, number = 0;
    Value *text = NULL;
    int r;
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (wire.number == 1 && wire.type == WIRE_VARINT)
            type = wire.varint;
        else if (wire.number == 2 && wire.type == WIRE_VARINT)
            number = wire.varint;
        else if (wire.number == 3 && wire.type == WIRE_BYTES)
            text = string_of(&wire.bytes);
    }
    if (r < 0 || type > 1)
        return -EBADMSG;
    if (type == 0)
        *ret = value_int(reader.arena, (int32_t)number);
    else
        *ret = text ? text : value_string_n(reader.arena, "", 0);
    return 0;
}

/* An object inside raw bytes may itself be in the protobuf envelope. */
static int read_nested_envelope(const Reader *bytes, Value **ret) {
    const char *api_version, *kind;
    const void *raw;
    size_t n;
    int r = protobuf_decode(bytes->arena, bytes->p, (size_t)(bytes->end - bytes->p), &api_version, &kind, &raw, &n);
    if (r < 0)
        return r;
    const char *slash = strchr(api_version, '/');
    char *group = slash ? arena_strndup(bytes->arena, api_version, (size_t)(slash - api_version))
                        : arena_strdup(bytes->arena, "");
    const Resource *resource = resource_find_kind(group, slash ? slash + 1 : api_version, kind);
    if (!resource)
        return -EBADMSG;
    Value *object = value_object(bytes->arena);
    Reader reader = {bytes->arena, raw, (const uint8_t *)raw + n, bytes->depth + 1};
    value_set_str(bytes->arena, object, "kind", kind);
    value_set_str(bytes->arena, object, "apiVersion", api_version);
    if (reader.depth > PROTOBUF_DEPTH_MAX || (r = read_message(reader, resource->schema, object)) < 0)
        return -EBADMSG;
    if (schema_normalize(bytes->arena, resource->schema, object, NULL, NULL) < 0)
        return -EBADMSG;
    *ret = object;
    return 0;
}

/* RawExtension, FieldsV1, JSON: { bytes raw = 1; } */
static int read_raw(Reader reader, Value **ret) {
    Wire wire = {0};
    int r;
    *ret = value_null(reader.arena);
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (wire.number != 1 || wire.type != WIRE_BYTES)
            continue;
        size_t n = (size_t)(wire.bytes.end - wire.bytes.p);
        if (n >= PROTOBUF_MAGIC_LEN && memcmp(wire.bytes.p, PROTOBUF_MAGIC, PROTOBUF_MAGIC_LEN) == 0)
            r = read_nested_envelope(&wire.bytes, ret);
        else if (n)
            r = json_parse(reader.arena, (const char *)wire.bytes.p, n, ret, NULL, NULL);
        if (r < 0)
            return -EBADMSG;
    }
    return r;
}

/* JSONSchemaPropsOrBool { bool allows = 1; JSONSchemaProps schema = 2; }, OrArray { schema = 1; repeated schemas = 2;
 * }, OrStringArray { schema = 1; repeated string = 2; }. */
static int read_union(Reader reader, const Schema *schema, Value **ret) {
    static const Schema string = {.type = SCHEMA_STRING, .go_type = "string"};
    bool or_bool = str_has_suffix(schema->name, "OrBool"), strings = str_has_suffix(schema->name, "OrStringArray");
    Value *props = NULL, *list = NULL;
    bool allows = false;
    Wire wire = {0};
    int r;
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (or_bool && wire.number == 1 && wire.type == WIRE_VARINT)
            allows = wire.varint != 0;
        else if (wire.type != WIRE_BYTES)
            continue;
        else if (wire.number == (or_bool ? 2 : 1))
            r = read_value(&wire, &schema_apiextensions_v1_JSONSchemaProps, NULL, &props);
        else if (wire.number == 2 && !or_bool) {
            Value *item;
            list = list ? list : value_array(reader.arena);
            r = read_value(&wire, strings ? &string : &schema_apiextensions_v1_JSONSchemaProps, NULL, &item);
            if (r == 0)
                value_append(reader.arena, list, item);
        }
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    *ret = list ? list : props ? props : or_bool ? value_bool(reader.arena, allows) : value_null(reader.arena);
    return 0;
}

static int read_bytes(const Reader *bytes, Value **ret) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&text, bytes->p, (size_t)(bytes->end - bytes->p));
    *ret = value_string_n(bytes->arena, text.data ? text.data : "", text.len);
    return 0;
}

/* Without looking for the key: normalising sorts the map and keeps the last of equal keys, so that a hostile map costs
 * n log n. */
static void map_append(Arena *arena, Value *map, Member member) {
    if (map->len == map->cap) {
        map->cap = map->cap ? map->cap * 2 : 4;
        Member *members = arena_alloc(arena, map->cap * sizeof(Member));
        if (map->len)
            memcpy(members, map->members, map->len * sizeof(Member));
        map->members = members;
    }
    map->members[map->len++] = member;
}

static int read_map_entry(Reader reader, const Schema *element, Value *map) {
    Wire wire = {0};
    Value *key = value_string_n(reader.arena, "", 0), *value = NULL;
    int r;
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (wire.number == 1)
            r = read_value(&wire, &(Schema){.type = SCHEMA_STRING}, NULL, &key);
        else if (wire.number == 2)
            r = read_value(&wire, element, NULL, &value);
        if (r < 0)
            return r;
    }
    if (r == 0)
        map_append(reader.arena, map, (Member){key->string, value ? value : value_null(reader.arena)});
    return r;
}

/* Scalars may also come packed, several in one run of bytes. */
static int read_packed(Reader reader, const Schema *element, Value *list) {
    while (reader.p < reader.end) {
        Wire item = {.type = element->type == SCHEMA_DOUBLE ? WIRE_FIXED64 : WIRE_VARINT, .bytes.arena = reader.arena};
        int r =
            element->type == SCHEMA_DOUBLE ? read_fixed(&reader, 8, &item.varint) : read_varint(&reader, &item.varint);
        Value *v;
        if (r == 0)
            r = read_value(&item, element, NULL, &v);
        if (r < 0)
            return r;
        value_append(reader.arena, list, v);
    }
    return 0;
}

static bool is_packable(const Schema *element) {
    return element->type == SCHEMA_BOOL || element->type == SCHEMA_INT32 || element->type == SCHEMA_INT64 ||
           element->type == SCHEMA_DOUBLE;
}

static int read_list_item(const Wire *wire, const Schema *schema, Value *list) {
    const Schema *element = schema->element;
    if (wire->type == WIRE_BYTES && is_packable(element))
        return read_packed(wire->bytes, element, list);
    Value *item;
    int r = read_value(wire, element, NULL, &item);
    if (r == 0)
        value_append(wire->bytes.arena, list, item);
    return r;
}

static int read_wrapped_list(Reader reader, const Schema *schema, Value *list) {
    Wire wire = {0};
    int r;
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (wire.number == 1 && (r = read_list_item(&wire, schema, list)) < 0)
            return r;
    }
    return r;
}

static int read_leaf_message(const Wire *wire, const Schema *schema, Value **ret) {
    if (expect(wire, WIRE_BYTES) < 0)
        return -EBADMSG;
    switch (schema->type) {
    case SCHEMA_BYTES:
        return read_bytes(&wire->bytes, ret);
    case SCHEMA_QUANTITY:
        return read_quantity(wire->bytes, ret);
    case SCHEMA_INT_OR_STRING:
        return read_int_or_string(wire->bytes, ret);
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return read_time(wire->bytes, schema->type == SCHEMA_MICRO_TIME, ret);
    case SCHEMA_JSON_UNION:
        return read_union(wire->bytes, schema, ret);
    case SCHEMA_RAW:
    case SCHEMA_FIELDS_V1:
    case SCHEMA_JSON:
        return read_raw(wire->bytes, ret);
    default: /* SCHEMA_DURATION stands in no message of the tables */
        return -EBADMSG;
    }
}

/* `into`: what an earlier occurrence of the field gave; lists and maps grow, messages are merged. */
static int read_value(const Wire *wire, const Schema *schema, Value *into, Value **ret) {
    Arena *arena = wire->bytes.arena;
    if (!arena_try_alloc(arena, 0))
        return -ENOMEM;
    switch (schema->type) {
    case SCHEMA_STRING:
        if (expect(wire, WIRE_BYTES) < 0)
            return -EBADMSG;
        *ret = string_of(&wire->bytes);
        return 0;
    case SCHEMA_STRUCT:
        if (expect(wire, WIRE_BYTES) < 0)
            return -EBADMSG;
        *ret = into ? into : value_object(arena);
        return read_message(wire->bytes, schema, *ret);
    case SCHEMA_MAP:
        if (expect(wire, WIRE_BYTES) < 0)
            return -EBADMSG;
        *ret = into ? into : value_object(arena);
        return read_map_entry(wire->bytes, schema->element, *ret);
    case SCHEMA_LIST:
        *ret = into ? into : value_array(arena);
        if (!schema->list_wrapped)
            return read_list_item(wire, schema, *ret);
        return expect(wire, WIRE_BYTES) < 0 ? -EBADMSG : read_wrapped_list(wire->bytes, schema, *ret);
    case SCHEMA_BOOL:
        *ret = value_bool(arena, wire->varint != 0);
        return expect(wire, WIRE_VARINT);
    case SCHEMA_INT32:
        *ret = value_int(arena, (int32_t)wire->varint);
        return expect(wire, WIRE_VARINT);
    case SCHEMA_INT64:
        *ret = value_int(arena, (int64_t)wire->varint);
        return expect(wire, WIRE_VARINT);
    case SCHEMA_DOUBLE: {
        double number;
        memcpy(&number, &wire->varint, sizeof(number));
        *ret = value_double(arena, number);
        return number - number == 0 ? expect(wire, WIRE_FIXED64) : -EBADMSG; /* JSON has no infinities */
    }
    default:
        return read_leaf_message(wire, schema, ret);
    }
}

/* What an earlier occurrence of the field gave, NULL when there was none. Members of messages bear the tables' own
 * names, so no name needs comparing; repeated fields come in runs, so it is most likely the last one. */
static Member *find_member(const Value *object, const SchemaField *field) {
    for (size_t i = object->len; i-- > 0;)
        if (object->members[i].name == field->name)
            return &object->members[i];
    return NULL;
}

static int read_field(const Wire *wire, const SchemaField *field, Value *object) {
    Member *there = find_member(object, field);
    bool merges =
        field->schema->type == SCHEMA_LIST || field->schema->type == SCHEMA_MAP || field->schema->type == SCHEMA_STRUCT;
    Value *v;
    int r = read_value(wire, field->schema, merges && there ? there->value : NULL, &v);
    if (r < 0)
        return r;
    if (there)
        there->value = v;
    else
        value_add(wire->bytes.arena, object, field->name, v);
    return 0;
}

static int read_message(Reader reader, const Schema *schema, Value *object) {
    Wire wire = {0};
    int r;
    while ((r = next_wire(&reader, &wire)) > 0) {
        const SchemaField *field;
        const SchemaInline *embedded;
        schema_by_protobuf_number(schema, wire.number, &field, &embedded);
        if (field)
            r = read_field(&wire, field, object);
        else if (embedded)
            r = expect(&wire, WIRE_BYTES) < 0 ? -EBADMSG : read_message(wire.bytes, embedded->schema, object);
        if (r < 0)
            return r;
    }
    return r;
}

int protobuf_decode_message(Arena *arena, const Schema *schema, const void *data, size_t n, Value **ret) {
    Value *object = value_object(arena);
    Reader reader = {arena, data, n ? (const uint8_t *)data + n : data, 0};
    int r = read_message(reader, schema, object);
    if (r < 0)
        return r;
    if (schema_normalize(arena, schema, object, NULL, NULL) < 0)
        return -EBADMSG;
    *ret = object;
    return 0;
}

static int read_type_meta(Reader reader, const char **api_version, const char **kind) {
    Wire wire = {0};
    int r;
    while ((r = next_wire(&reader, &wire)) > 0)
        if (wire.type == WIRE_BYTES && (wire.number == 1 || wire.number == 2)) {
            char *text =
                arena_strndup(reader.arena, (const char *)wire.bytes.p, (size_t)(wire.bytes.end - wire.bytes.p));
            *(wire.number == 1 ? api_version : kind) = text;
        }
    return r;
}

int protobuf_decode(Arena *arena, const void *data, size_t n, const char **ret_api_version, const char **ret_kind,
                    const void **ret_raw, size_t *ret_raw_len) {
    if (n < PROTOBUF_MAGIC_LEN || memcmp(data, PROTOBUF_MAGIC, PROTOBUF_MAGIC_LEN) != 0)
        return -EBADMSG;
    Reader reader = {arena, (const uint8_t *)data + PROTOBUF_MAGIC_LEN, (const uint8_t *)data + n, 0};
    const char *api_version = "", *kind = "";
    const void *raw = "";
    size_t raw_len = 0;
    Wire wire = {0};
    int r;
    while ((r = next_wire(&reader, &wire)) > 0) {
        if (wire.number == 1 && wire.type == WIRE_BYTES)
            r = read_type_meta(wire.bytes, &api_version, &kind);
        else if (wire.number == 2 && wire.type == WIRE_BYTES) {
            raw = wire.bytes.p;
            raw_len = (size_t)(wire.bytes.end - wire.bytes.p);
        }
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    *ret_api_version = api_version;
    *ret_kind = kind;
    *ret_raw = raw;
    *ret_raw_len = raw_len;
    return 0;
}
