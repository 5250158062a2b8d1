/* An API object at rest: immutable, reference-counted bytes. It holds its canonical JSON once (complete: apiVersion,
 * kind, resourceVersion), with the metadata that the store, selectors and controllers ask for parsed beside it. Any
 * thread may hold and read it; a write makes a new one. */
#pragma once

#include "api/resource.h"

typedef struct Object Object;

typedef struct OwnerRef {
    const char *api_version, *kind, *name, *uid;
    bool controller, block_owner_deletion;
} OwnerRef;

typedef struct Pair {
    const char *key, *value;
} Pair;

/* From a tree of kind resource->kind, in the form that is stored (resource->storage). metadata.resourceVersion in the
 * tree is ignored; the object has revision 0 until object_with_revision. Never NULL. */
Object *object_from_value(const Resource *resource, const Value *v);
/* From stored JSON, which has no resourceVersion, and the revision. -EBADMSG when it does not parse. */
int object_from_json(const Resource *resource, const char *json, size_t len, uint64_t revision, Object **ret);
/* The same object at another revision (what the writer thread publishes). */
Object *object_with_revision(const Object *object, uint64_t revision);

Object *object_ref(Object *object);
Object *object_unref(Object *object); /* NULL is fine; returns NULL */
static inline void object_unrefp(Object **o) {
    object_unref(*o);
}
#define _cleanup_object_ _cleanup_(object_unrefp)

const Resource *object_resource(const Object *object);          /* the storage row */
const char *object_json(const Object *object, size_t *ret_len); /* with resourceVersion when revision is not 0 */
/* The JSON as the storage driver keeps it, without resourceVersion. */
void object_stored_json(const Object *object, Buf *out);
/* Bytes of the object as a protobuf message, which whoever has made one remembers here; 0: nobody has. Any thread. */
size_t object_protobuf_len(const Object *object);
void object_set_protobuf_len(const Object *object, size_t n);
uint64_t object_revision(const Object *object);
const char *object_namespace(const Object *object); /* "" when cluster-scoped */
const char *object_name(const Object *object);
const char *object_uid(const Object *object);
const char *object_label(const Object *object, const char *key); /* NULL when absent */
const Pair *object_labels(const Object *object, size_t *ret_n);
const OwnerRef *object_owners(const Object *object, size_t *ret_n);
const OwnerRef *object_controller(const Object *object); /* the owner with controller: true, or NULL */
bool object_is_deleting(const Object *object);           /* has deletionTimestamp */
bool object_has_finalizers(const Object *object);
int64_t object_created_ns(const Object *object); /* creationTimestamp */
/* One of resource->selectable_fields, metadata.name or metadata.namespace; "" when the object has no value there, NULL
 * when the field is not selectable. */
const char *object_field(const Object *object, const char *path);
/* The same for any path of names, by parsing the object: for one made before its definition made the field selectable.
 * In the arena. */
const char *object_field_parsed(const Object *object, const char *path, Arena *arena);
/* Parses into a tree the caller may change. Never NULL: stored bytes parse. */
Value *object_value(const Object *object, Arena *arena);
/* "apps/v1/Deployment" text helpers for logs: namespace/name or name, into the arena. */
char *object_key(Arena *arena, const Object *object);
