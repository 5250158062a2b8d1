/* What the schema tables do to trees. All by table; no kind is named here. */
#pragma once

#include "api/resource.h"
#include "api/status.h"

/* Checks types and normalises as a Go decode and encode would: unknown members dropped (unless preserve_unknown), nulls
 * dropped, names interned, quantities and times put in canonical form, empty omitempty members dropped, members that Go
 * always writes added, members put in the order of the Go struct. Wrong types give 400 with the reference's message.
 * `unknown`: when not NULL, dropped members are listed there as the strict decoder words them
 * (unknown field "spec.foo"). */
typedef struct UnknownFields {
    char **messages; /* in the arena */
    uint32_t *at;    /* Value.at of each */
    size_t n;
} UnknownFields;
#define UNKNOWN_FIELDS_MAX 100 /* as the reference: further ones are not listed */
/* Objects are changed in place. A schema without go_type (custom resources) knows no Go struct: there types are not
 * checked (the validator does that), nulls stay, nothing is added, and members are put in alphabetical order, as the
 * reference encodes maps; typed parts inside (metadata) are still normalised as theirs. On failure: -EINVAL, and err
 * has the decoder's message alone ("json: cannot unmarshal ..."). */
int schema_normalize(Arena *arena, const Schema *schema, Value *v, UnknownFields *unknown, ApiError *err);
/* The same for what a client sent, until it is stored: empty lists and maps stay where Go leaves them out only when it
 * writes (Value.unset). */
int schema_decode(Arena *arena, const Schema *schema, Value *v, UnknownFields *unknown, ApiError *err);
/* The same for what strategic_merge_apply gave, which the reference converts without going through JSON: other messages
 * ("unrecognized type: int32", without a place), integral doubles become integers, unknown members in alphabetical
 * order. */
int schema_from_unstructured(Arena *arena, const Schema *schema, Value *v, UnknownFields *unknown, ApiError *err);
/* What a trip through protobuf storage changes besides: lists and maps that Go always writes become null when empty,
 * null bytes in maps become "". For a normalised tree. */
void schema_as_stored(const Schema *schema, Value *v);
/* The OpenAPI defaults of the tables (apiserver/registry adds those that the published API does not carry). */
void schema_default(Arena *arena, const Schema *schema, Value *v);

/* The reference's protobuf envelope (magic "k8s\0" and runtime.Unknown) around a kind, both ways. */
int protobuf_decode(Arena *arena, const void *data, size_t n, const char **ret_api_version, const char **ret_kind,
                    const void **ret_raw, size_t *ret_raw_len);
int protobuf_decode_message(Arena *arena, const Schema *schema, const void *data, size_t n, Value **ret);
int protobuf_encode(Buf *out, const Schema *schema, const Value *v, const char *api_version, const char *kind);
/* The same from the JSON of an object at rest (object_json), without a tree where that can be. *ret_message_len: bytes
 * of the message within (for object_set_protobuf_len), or NULL. */
int protobuf_encode_stored(Buf *out, const Schema *schema, const char *json, size_t n, const char *api_version,
                           const char *kind, size_t *ret_message_len);
/* The envelope around a message that was made before (protobuf_message_of_stored). */
int protobuf_encode_message(Buf *out, const void *message, size_t n, const char *api_version, const char *kind);
/* The items of a list, one at a time, so that a long list never stands as one tree: `next` gives an item, valid until
 * the next call, and NULL after the last; or, when it is set, next_json gives the JSON of objects at rest. */
typedef struct ProtobufItems {
    const Value *(*next)(void *userdata);
    const char *(*next_json)(void *userdata, size_t *ret_len);
    void *userdata;
} ProtobufItems;
/* As protobuf_encode, of a list whose `v` holds everything but its items. `items` NULL: they are in `v` too. */
int protobuf_encode_list(Buf *out, const Schema *schema, const Value *v, const ProtobufItems *items,
                         const char *api_version, const char *kind);

/* A token of a JSON pointer without ~1 and ~0. */
char *json_pointer_token(Arena *arena, const char *s, size_t n);
/* A list in parts, for whom all of it at once is too much: what goes before the items of `v` (a list without any),
 * their fields, and what goes after. A length precedes the whole, so those of the items must be known: items_len is the
 * sum of protobuf_list_item_len. -EOPNOTSUPP: the items of this list are not its last field. */
int protobuf_list_head(Buf *out, const Schema *schema, const Value *v, uint64_t items_len, const char *api_version,
                       const char *kind);
void protobuf_list_tail(Buf *out);
uint64_t protobuf_list_item_len(const Schema *schema, uint64_t message_len);
/* What goes before the message of one item, which has message_len bytes. */
void protobuf_list_item(Buf *out, const Schema *schema, size_t message_len);
/* Appends the message alone of an object at rest; `schema` is the object's. */
int protobuf_message_of_stored(Buf *out, Arena *scratch, const Schema *schema, const char *json, size_t n);

/* Patches: each returns a new tree in *ret; `original` is not changed. */
int json_patch_apply(Arena *arena, const Value *original, const Value *patch, Value **ret,
                     ApiError *err);                                                         /* RFC 6902 */
int merge_patch_apply(Arena *arena, const Value *original, const Value *patch, Value **ret); /* RFC 7396 */
/* consume: the patch is changed as the reference changes its own, which it shows when the result is none of the kind;
 * the result shares what is left of it. */
int strategic_merge_consume(Arena *arena, const Schema *schema, const Value *original, Value *patch, Value **ret,
                            ApiError *err);
int strategic_merge_apply(Arena *arena, const Schema *schema, const Value *original, const Value *patch, Value **ret,
                          ApiError *err);
#define JSON_PATCH_OPERATIONS_MAX 10000 /* as the reference */
