/* Objects at rest. The bytes are written once, with resourceVersion in its place (where Go's struct order puts it); the
 * place is remembered, so that the stored form and the same object at another revision are made by copying bytes. What
 * is parsed beside them (`Meta`) is one block shared by all revisions of the same bytes. */
#include "api/object.h"
#include "api/json.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct Meta { /* one allocation with everything it points to */
    atomic_uint refs;
    const char *name, *namespace, *uid;
    Pair *labels;
    OwnerRef *owners;
    const char **fields; /* values of resource->selectable_fields */
    size_t n_labels, n_owners;
    int64_t created_ns;
    bool deleting, finalizers;
} Meta;

struct Object {
    atomic_uint refs;
    uint32_t len, rv_at, rv_len; /* rv_at 0: the object has no metadata */
    uint64_t revision;
    const Resource *resource;
    Meta *meta;
    atomic_uint protobuf_len;
    char json[]; /* NUL-terminated */
};

/* Writes Meta twice: first to count the bytes, then to fill the block. */
typedef struct Packer {
    char *block; /* NULL while counting */
    size_t used;
} Packer;

static void *pack(Packer *packer, size_t size, size_t align) {
    packer->used = (packer->used + align - 1) & ~(align - 1);
    void *p = packer->block ? packer->block + packer->used : NULL;
    packer->used += size;
    return p;
}

static const char *pack_str(Packer *packer, const char *s) {
    size_t n = strlen(s ? s : "") + 1;
    char *p = pack(packer, n, 1);
    return p ? memcpy(p, s ? s : "", n) : "";
}

static void pack_labels(Packer *packer, const Value *labels, Meta *meta) {
    meta->n_labels = 0;
    if (!value_is(labels, VALUE_OBJECT) || !labels->len)
        return;
    Pair *pairs = pack(packer, labels->len * sizeof(Pair), _Alignof(Pair));
    VALUE_FOREACH_MEMBER (m, labels) {
        Pair pair = {.key = pack_str(packer, m->name), .value = pack_str(packer, value_str(m->value))};
        if (pairs)
            pairs[meta->n_labels] = pair;
        meta->n_labels++;
    }
    meta->labels = pairs;
}

static void pack_owners(Packer *packer, const Value *owners, Meta *meta) {
    meta->n_owners = 0;
    size_t n = value_is(owners, VALUE_ARRAY) ? owners->len : 0;
    if (!n)
        return;
    OwnerRef *refs = pack(packer, n * sizeof(OwnerRef), _Alignof(OwnerRef));
    const Value *owner;
    VALUE_FOREACH (owner, owners) {
        OwnerRef ref = {
            .api_version = pack_str(packer, value_get_str(owner, "apiVersion")),
            .kind = pack_str(packer, value_get_str(owner, "kind")),
            .name = pack_str(packer, value_get_str(owner, "name")),
            .uid = pack_str(packer, value_get_str(owner, "uid")),
            .controller = value_get_bool(owner, "controller", false),
            .block_owner_deletion = value_get_bool(owner, "blockOwnerDeletion", false),
        };
        if (refs)
            refs[meta->n_owners] = ref;
        meta->n_owners++;
    }
    meta->owners = refs;
}

/* Fields whose name is not their path, and what Go's zero value prints where the member is absent. */
static const struct {
    const char *field, *path, *absent;
} special_fields[] = {
    {"spec.unschedulable", NULL, "false"},          {"spec.hostNetwork", NULL, "false"}, {"status.replicas", NULL, "0"},
    {"status.successful", "status.succeeded", "0"}, {"source", "source.component", ""},
};

static const Value *follow(const Value *v, const char *path) {
    while (v && *path) {
        size_t n = strcspn(path, ".");
        char name[64];
        if (n >= sizeof(name))
            return NULL;
        memcpy(name, path, n);
        name[n] = 0;
        v = value_get(v, name);
        path += n + (path[n] == '.');
    }
    return v;
}

static const char *field_text(const Value *object, const char *field, char number[24]) {
    const char *path = field, *absent = "";
    for (size_t i = 0; i < ELEMENTSOF(special_fields); i++)
        if (streq(special_fields[i].field, field)) {
            path = special_fields[i].path ? special_fields[i].path : field;
            absent = special_fields[i].absent;
        }
    const Value *v = follow(object, path);
    /* events.k8s.io and core/v1 name the same members differently */
    if (!v && streq(field, "reportingComponent"))
        v = value_get(object, "reportingController");
    if (!v && streq(field, "source"))
        v = value_get(object, "reportingComponent");
    if (value_is(v, VALUE_STRING))
        return v->string;
    if (value_is(v, VALUE_BOOL))
        return v->boolean ? "true" : "false";
    if (value_is(v, VALUE_INT)) {
        snprintf(number, 24, "%" PRId64, v->integer);
        return number;
    }
    return absent;
}

static void pack_fields(Packer *packer, const Resource *resource, const Value *v, Meta *meta) {
    size_t n = 0;
    while (resource->selectable_fields && resource->selectable_fields[n])
        n++;
    if (!n)
        return;
    meta->fields = pack(packer, n * sizeof(char *), _Alignof(char *));
    for (size_t i = 0; i < n; i++) {
        char number[24];
        const char *text = pack_str(packer, field_text(v, resource->selectable_fields[i], number));
        if (meta->fields)
            meta->fields[i] = text;
    }
}

static void pack_meta(Packer *packer, const Resource *resource, const Value *v) {
    const Value *metadata = value_get(v, "metadata");
    Meta on_stack = {0}, *meta = pack(packer, sizeof(Meta), _Alignof(Meta));
    if (!meta)
        meta = &on_stack;
    *meta = (Meta){0};
    atomic_init(&meta->refs, 1);
    pack_labels(packer, value_get(metadata, "labels"), meta);
    pack_owners(packer, value_get(metadata, "ownerReferences"), meta);
    pack_fields(packer, resource, v, meta);
    meta->name = pack_str(packer, value_get_str(metadata, "name"));
    meta->namespace = pack_str(packer, value_get_str(metadata, "namespace"));
    meta->uid = pack_str(packer, value_get_str(metadata, "uid"));
    const char *created = value_get_str(metadata, "creationTimestamp");
    if (created)
        (void)rfc3339_parse(created, &meta->created_ns);
    meta->deleting = !value_is_empty(value_get(metadata, "deletionTimestamp"));
    meta->finalizers = value_len(value_get(metadata, "finalizers")) > 0;
}

static Meta *meta_new(const Resource *resource, const Value *v) {
    Packer packer = {0};
    pack_meta(&packer, resource, v);
    packer = (Packer){.block = xmalloc(packer.used)};
    pack_meta(&packer, resource, v);
    return (Meta *)(void *)packer.block;
}

static bool goes_before_revision(const char *name) {
    static const char *const before[] = {"name", "generateName", "namespace", "selfLink", "uid", NULL};
    return str_in(name, before);
}

/* Writes the object without resourceVersion; *ret_at is where that member goes (0: nowhere). */
static void write_stored(Buf *out, const Value *v, size_t *ret_at) {
    buf_putc(out, '{');
    *ret_at = 0;
    for (size_t i = 0; i < v->len; i++) {
        const Member *m = &v->members[i];
        if (i)
            buf_putc(out, ',');
        json_write_string(out, m->name, strlen(m->name));
        buf_putc(out, ':');
        if (!streq(m->name, "metadata") || !value_is(m->value, VALUE_OBJECT)) {
            value_write_json(out, m->value);
            continue;
        }
        buf_putc(out, '{');
        *ret_at = out->len;
        bool first = true;
        VALUE_FOREACH_MEMBER (inner, m->value) {
            if (streq(inner->name, "resourceVersion"))
                continue;
            if (!first)
                buf_putc(out, ',');
            first = false;
            json_write_string(out, inner->name, strlen(inner->name));
            buf_putc(out, ':');
            value_write_json(out, inner->value);
            if (goes_before_revision(inner->name))
                *ret_at = out->len;
        }
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

/* `stored` has no resourceVersion. Takes the reference to meta. */
static Object *object_make(const Resource *resource, Meta *meta, const char *stored, size_t len, size_t rv_at,
                           uint64_t revision) {
    char rv[64];
    int rv_len = 0;
    if (revision && rv_at) {
        bool first = stored[rv_at - 1] == '{', alone = first && stored[rv_at] == '}';
        rv_len = snprintf(rv, sizeof(rv), "%s\"resourceVersion\":\"%" PRIu64 "\"%s", first ? "" : ",", revision,
                          first && !alone ? "," : "");
    }
    Object *object = xmalloc(sizeof(Object) + len + (size_t)rv_len + 1);
    *object = (Object){.len = (uint32_t)(len + (size_t)rv_len),
                       .rv_at = (uint32_t)rv_at,
                       .rv_len = (uint32_t)rv_len,
                       .revision = revision,
                       .resource = resource,
                       .meta = meta};
    atomic_init(&object->refs, 1);
    atomic_init(&object->protobuf_len, 0);
    resource_hold(resource);
    memcpy(object->json, stored, rv_at);
    memcpy(object->json + rv_at, rv, (size_t)rv_len);
    memcpy(object->json + rv_at + rv_len, stored + rv_at, len - rv_at);
    object->json[object->len] = 0;
    return object;
}

Object *object_from_value(const Resource *resource, const Value *v) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    size_t rv_at = 0;
    if (value_is(v, VALUE_OBJECT))
        write_stored(&buf, v, &rv_at);
    else
        buf_puts(&buf, "{}");
    return object_make(resource, meta_new(resource, v), buf.data, buf.len, rv_at, 0);
}

int object_from_json(const Resource *resource, const char *json, size_t len, uint64_t revision, Object **ret) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v;
    int r = json_parse(arena, json, len, &v, NULL, NULL);
    if (r < 0)
        return r;
    if (!value_is(v, VALUE_OBJECT))
        return -EBADMSG;
    /* Stored bytes were written by write_stored: writing them again finds the place of resourceVersion. */
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    size_t rv_at;
    write_stored(&buf, v, &rv_at);
    *ret = object_make(resource, meta_new(resource, v), buf.data, buf.len, rv_at, revision);
    return 0;
}

void object_stored_json(const Object *object, Buf *out) {
    buf_append(out, object->json, object->rv_at);
    size_t rest = (size_t)object->rv_at + object->rv_len;
    buf_append(out, object->json + rest, object->len - rest);
}

Object *object_with_revision(const Object *object, uint64_t revision) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    const char *stored = object->json;
    size_t len = object->len;
    if (object->rv_len) {
        object_stored_json(object, &buf);
        stored = buf.data;
        len = buf.len;
    }
    atomic_fetch_add_explicit(&object->meta->refs, 1, memory_order_relaxed);
    return object_make(object->resource, object->meta, stored, len, object->rv_at, revision);
}

Object *object_ref(Object *object) {
    atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    return object;
}

Object *object_unref(Object *object) {
    if (!object || atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    if (atomic_fetch_sub_explicit(&object->meta->refs, 1, memory_order_acq_rel) == 1)
        free(object->meta);
    resource_release(object->resource);
    free(object);
    return NULL;
}

const Resource *object_resource(const Object *object) {
    return object->resource;
}

const char *object_json(const Object *object, size_t *ret_len) {
    if (ret_len)
        *ret_len = object->len;
    return object->json;
}

size_t object_protobuf_len(const Object *object) {
    return atomic_load_explicit(&object->protobuf_len, memory_order_relaxed);
}

void object_set_protobuf_len(const Object *object, size_t n) {
    Object *own = (Object *)(uintptr_t)object; /* the one thing that may change, and always to the same */
    if (n <= UINT32_MAX)
        atomic_store_explicit(&own->protobuf_len, (unsigned)n, memory_order_relaxed);
}

uint64_t object_revision(const Object *object) {
    return object->revision;
}

const char *object_namespace(const Object *object) {
    return object->meta->namespace;
}

const char *object_name(const Object *object) {
    return object->meta->name;
}

const char *object_uid(const Object *object) {
    return object->meta->uid;
}

const char *object_label(const Object *object, const char *key) {
    for (size_t i = 0; i < object->meta->n_labels; i++)
        if (streq(object->meta->labels[i].key, key))
            return object->meta->labels[i].value;
    return NULL;
}

const Pair *object_labels(const Object *object, size_t *ret_n) {
    *ret_n = object->meta->n_labels;
    return object->meta->labels;
}

const OwnerRef *object_owners(const Object *object, size_t *ret_n) {
    *ret_n = object->meta->n_owners;
    return object->meta->owners;
}

const OwnerRef *object_controller(const Object *object) {
    for (size_t i = 0; i < object->meta->n_owners; i++)
        if (object->meta->owners[i].controller)
            return &object->meta->owners[i];
    return NULL;
}

bool object_is_deleting(const Object *object) {
    return object->meta->deleting;
}

bool object_has_finalizers(const Object *object) {
    return object->meta->finalizers;
}

int64_t object_created_ns(const Object *object) {
    return object->meta->created_ns;
}

const char *object_field(const Object *object, const char *path) {
    if (streq(path, "metadata.name"))
        return object->meta->name;
    if (streq(path, "metadata.namespace"))
        return object->meta->namespace;
    const char *const *fields = object->resource->selectable_fields;
    for (size_t i = 0; fields && fields[i]; i++)
        if (streq(fields[i], path))
            return object->meta->fields[i];
    return NULL;
}

const char *object_field_parsed(const Object *object, const char *path, Arena *arena) {
    char number[24];
    const char *text = field_text(object_value(object, arena), path, number);
    return arena_strdup(arena, text ? text : "");
}

Value *object_value(const Object *object, Arena *arena) {
    Value *v = NULL;
    if (json_parse(arena, object->json, object->len, &v, NULL, NULL) < 0)
        abort(); /* the bytes were written by this program from a tree */
    return v;
}

char *object_key(Arena *arena, const Object *object) {
    if (*object->meta->namespace)
        return arena_printf(arena, "%s/%s", object->meta->namespace, object->meta->name);
    return arena_strdup(arena, object->meta->name);
}
