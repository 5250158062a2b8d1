/* The wire format that the protobuf codec shares between its directions. Inside lib/api only; the codec is in codec.h.
 */
#pragma once

#include "api/codec.h"

typedef enum WireType {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5
} WireType;

void wire_put_varint(Buf *out, uint64_t value);
void wire_put_key(Buf *out, uint64_t number, WireType type);
void wire_put_bytes(Buf *out, uint64_t number, const void *data, size_t n);
void wire_put_number(Buf *out, uint64_t number, uint64_t value);
void wire_put_double(Buf *out, uint64_t number, double value);
/* A message within: its fields are written between these two. */
size_t wire_begin(Buf *out, uint64_t number);
void wire_end(Buf *out, size_t start);

#define PROTOBUF_MAGIC "k8s"
#define PROTOBUF_MAGIC_LEN 4   /* with its NUL */
#define PROTOBUF_DEPTH_MAX 200 /* as JSON_DEPTH_MAX */

/* One field of a message, from a tree; v NULL: the zero value. Negative errno. */
int protobuf_write_field(Buf *out, uint64_t number, const Schema *schema, const Value *v);
/* Does Go leave the field out for this value? */
static inline bool protobuf_is_left_out(const SchemaField *field, const Value *v) {
    bool nil = !v || v->type == VALUE_NULL;
    return nil && (field->flags & FIELD_POINTER || field->schema->type == SCHEMA_LIST ||
                   field->schema->type == SCHEMA_MAP || (field->schema->type == SCHEMA_BYTES));
}
/* The content of the message `schema`, appended, from the JSON of an object at rest: NUL-terminated text that
 * value_write_json wrote of a normalised tree. -EOPNOTSUPP: only by way of a tree, nothing was written; -EFBIG. Strings
 * wait in the scratch arena, which is the caller's to reset. */
int protobuf_transcode_message(Buf *out, Arena *scratch, const Schema *schema, const char *json, size_t n);

/* The field of a message, or the embedded struct, with this number; both NULL when there is none. */
void schema_by_protobuf_number(const Schema *schema, uint64_t number, const SchemaField **ret_field,
                               const SchemaInline **ret_inline);
