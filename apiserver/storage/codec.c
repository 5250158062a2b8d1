#include "apiserver/storage/codec.h"

#include "api/codec.h"
#include "api/json.h"
#include "apiserver/storage/definitions.h"
#include "base/str.h"

#include <errno.h>

#define PROTOBUF_MAGIC "k8s" /* with its NUL */

/* Built-in kinds that the reference does not store as protobuf of the version the resource table says. */
static const struct {
    const char *prefix;
    bool json;
    const char *version; /* that it writes, and reads like ours; NULL: the table's */
} exceptions[] = {
    {"apiextensions.k8s.io/customresourcedefinitions", true, NULL},
    {"apiregistration.k8s.io/apiservices", true, NULL},
    {"mutatingadmissionpolicies", false, "v1beta1"},
    {"mutatingadmissionpolicybindings", false, "v1beta1"},
};

static const char *version_of(const Resource *row, bool *ret_json) {
    *ret_json = !row->schema;
    for (size_t i = 0; i < ELEMENTSOF(exceptions); i++)
        if (streq(exceptions[i].prefix, row->storage_prefix)) {
            *ret_json = exceptions[i].json;
            return exceptions[i].version ? exceptions[i].version : row->version;
        }
    return row->version;
}

static const char *api_version(Arena *arena, const char *group, const char *version) {
    return *group ? arena_printf(arena, "%s/%s", group, version) : version;
}

/* ---- writing ---- */

int stored_encode(StoreEncoding encoding, const Object *object, Buf *out) {
    const Resource *row = object_resource(object);
    bool json = true;
    const char *version = row->custom || encoding == STORE_JSON ? NULL : version_of(row, &json);
    if (json) {
        object_stored_json(object, out);
        return out->failed ? -EFBIG : 0;
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    Value *v;
    object_stored_json(object, &text);
    int r = json_parse(arena, text.data, text.len, &v, NULL, NULL);
    if (r < 0)
        return -EINVAL;
    return protobuf_encode(out, row->schema, v, api_version(arena, row->group, version), row->kind);
}

/* ---- reading ---- */

/* Is a stored object of this version and kind one of the row's? */
static bool is_of(Arena *arena, const Resource *row, const char *stored_version, const char *kind) {
    bool json;
    return streq(kind, row->kind) && (streq(stored_version, api_version(arena, row->group, row->version)) ||
                                      streq(stored_version, api_version(arena, row->group, version_of(row, &json))));
}

/* The tree with kind and apiVersion in front, as the row has them. */
static Value *with_type(Arena *arena, const Resource *row, const Value *v) {
    Value *out = value_object(arena);
    value_set_str(arena, out, "kind", row->kind);
    value_set_str(arena, out, "apiVersion", resource_api_version(arena, row));
    VALUE_FOREACH_MEMBER (m, v)
        if (!streq(m->name, "kind") && !streq(m->name, "apiVersion"))
            value_set(arena, out, m->name, m->value);
    return out;
}

static int read_protobuf(Arena *arena, const Resource *row, const void *value, size_t len, Value **ret) {
    const char *version, *kind;
    const void *raw;
    size_t raw_len;
    Value *v;
    int r = row->schema ? protobuf_decode(arena, value, len, &version, &kind, &raw, &raw_len) : -EBADMSG;
    if (r == 0 && !is_of(arena, row, version, kind))
        r = -EBADMSG;
    r = r < 0 ? r : protobuf_decode_message(arena, row->schema, raw, raw_len, &v);
    if (r == 0)
        *ret = with_type(arena, row, v);
    return r;
}

static int read_json(Arena *arena, const Resource *row, const void *value, size_t len, Value **ret) {
    Value *v;
    int r = json_parse(arena, value, len, &v, NULL, NULL);
    if (r < 0 || !value_is(v, VALUE_OBJECT))
        return -EBADMSG;
    const char *version = str_or(value_get_str(v, "apiVersion"), ""), *kind = str_or(value_get_str(v, "kind"), "");
    if (definition_is_old(version, kind)) {
        v = definition_from_old(arena, v);
        version = "apiextensions.k8s.io/v1";
    }
    if (row->custom || !row->schema) { /* another version of a custom resource is the same object by another name */
        *ret = with_type(arena, row, v);
        return 0;
    }
    if (!is_of(arena, row, version, kind) || schema_normalize(arena, row->schema, v, NULL, NULL) < 0)
        return -EBADMSG;
    *ret = with_type(arena, row, v);
    return 0;
}

int stored_decode(StoreEncoding encoding, const Resource *storage,
                  void (*complete)(Arena *arena, const Resource *storage, Value *object), const void *value, size_t len,
                  uint64_t revision, Object **ret) {
    if (encoding == STORE_JSON)
        return object_from_json(storage, value, len, revision, ret);
    _cleanup_arena_ Arena *arena = arena_new(0);
    bool protobuf = len >= sizeof PROTOBUF_MAGIC && memcmp(value, PROTOBUF_MAGIC, sizeof PROTOBUF_MAGIC) == 0;
    Value *v = NULL;
    int r = protobuf ? read_protobuf(arena, storage, value, len, &v) : read_json(arena, storage, value, len, &v);
    if (r < 0)
        return -EBADMSG;
    if (complete)
        complete(arena, storage, v);
    if (storage->schema && !storage->custom) {
        if (complete && schema_normalize(arena, storage->schema, v, NULL, NULL) < 0)
            return -EBADMSG;
        schema_as_stored(storage->schema, v);
    }
    _cleanup_object_ Object *object = object_from_value(storage, v);
    *ret = object_with_revision(object, revision);
    return 0;
}
