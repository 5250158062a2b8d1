#include "apiserver/handlers/encode.h"
#include "api/codec.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/custom_resources.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

static void release_object(void *owner) {
    object_unref(owner);
}

/* A list's items carry no kind and apiVersion: the bytes after them are the item, with the brace before. */
static size_t type_prefix(const char *json, size_t len) {
    static const char kind[] = "{\"kind\":\"", version[] = "\",\"apiVersion\":\"";
    if (len < sizeof kind || memcmp(json, kind, sizeof kind - 1) != 0)
        return 0;
    const char *at = memchr(json + sizeof kind - 1, '"', len - (sizeof kind - 1));
    if (!at || (size_t)(json + len - at) < sizeof version || memcmp(at, version, sizeof version - 1) != 0)
        return 0;
    at += sizeof version - 1;
    at = memchr(at, '"', (size_t)(json + len - at));
    return at && at[1] == ',' ? (size_t)(at + 2 - json) : 0;
}

static int finish(Buf *out, HttpBytes *ret) {
    if (out->failed) {
        buf_done(out);
        return -EFBIG;
    }
    *ret = http_bytes_take(out);
    return 0;
}

static const char *group_version(const Value *v) {
    return str_or(value_get_str(v, "apiVersion"), "");
}

static int write_value(const Media *media, const Schema *schema, const Value *v, Buf *out) {
    if (media->form == MEDIA_PROTOBUF && schema)
        return protobuf_encode(out, schema, v, group_version(v), str_or(value_get_str(v, "kind"), ""));
    if (media->form == MEDIA_YAML) {
        value_write_yaml(out, v);
        return 0;
    }
    if (media->pretty)
        value_write_json_pretty(out, v, "  ");
    else
        value_write_json(out, v);
    buf_putc(out, '\n');
    return 0;
}

int encode_value(Arena *arena, const Media *media, const Schema *schema, const Value *v, HttpBytes *ret) {
    (void)arena;
    Buf out = BUF_INIT(ENCODE_MAX);
    int r = write_value(media, schema, v, &out);
    if (r < 0) {
        buf_done(&out);
        return r;
    }
    return finish(&out, ret);
}

/* Custom resources never: what is stored may be from before a change of their definition. */
static bool is_stored_form(const Resource *resource) {
    return resource == resource->storage && !resource->custom;
}

/* The tree of an object in the version asked for. */
static Value *tree_of(Arena *arena, const Resource *resource, const Object *object) {
    Value *v = object_value(object, arena);
    if (!resource->custom)
        return convert_object(arena, resource->storage, resource, v);
    custom_resource_read(arena, resource, v);
    return v;
}

static Value *view_of(Arena *arena, const Media *media, const Resource *resource, const Object *object,
                      const Schema **ret_schema) {
    *ret_schema = resource->schema;
    if (media->as == AS_OBJECT)
        return tree_of(arena, resource, object);
    *ret_schema = NULL;
    if (media->as == AS_PARTIAL) {
        *ret_schema = schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata");
        return partial_of(arena, object);
    }
    Value *table = print_table_new(arena, resource, true);
    print_table_add(arena, table, resource, object, media->include_object, now_realtime_ns());
    if (object_revision(object))
        value_set(arena, value_get(table, "metadata"), "resourceVersion",
                  value_printf(arena, "%llu", (unsigned long long)object_revision(object)));
    return table;
}

bool encode_is_stored_protobuf(const Media *media, const Resource *resource) {
    return media->form == MEDIA_PROTOBUF && media->as == AS_OBJECT && is_stored_form(resource) && resource->schema;
}

static int write_stored_protobuf(Arena *arena, const Resource *resource, const Object *object, Buf *out) {
    size_t len;
    const char *json = object_json(object, &len);
    size_t message_len;
    int r = protobuf_encode_stored(out, resource->schema, json, len, resource_api_version(arena, resource),
                                   resource->kind, &message_len);
    if (r == 0)
        object_set_protobuf_len(object, message_len); /* a list will want it */
    return r;
}

int encode_stored_message(MessageCache *cache, Arena *scratch, const Resource *resource, Object *object, Buf *out) {
    size_t len, start = out->len;
    if (message_cache_get(cache, object, out))
        return 0;
    const char *json = object_json(object, &len);
    int r = protobuf_message_of_stored(out, scratch, resource->schema, json, len);
    if (r < 0)
        return r;
    object_set_protobuf_len(object, out->len - start);
    message_cache_put(cache, object, out->data + start, out->len - start);
    return 0;
}

static int write_cached_protobuf(MessageCache *cache, Arena *arena, const Resource *resource, Object *object,
                                 Buf *out) {
    _cleanup_buf_ Buf message = BUF_INIT(ENCODE_MAX);
    int r = encode_stored_message(cache, arena, resource, object, &message);
    return r < 0 ? r
                 : protobuf_encode_message(out, message.data, message.len, resource_api_version(arena, resource),
                                           resource->kind);
}

int encode_object(Arena *arena, const Media *media, const Resource *resource, Object *object, HttpBytes *ret) {
    size_t len;
    const char *json = object_json(object, &len);
    if (media->form == MEDIA_JSON && media->as == AS_OBJECT && !media->pretty && is_stored_form(resource)) {
        Buf out = BUF_INIT(ENCODE_MAX);
        buf_append(&out, json, len);
        buf_putc(&out, '\n');
        return finish(&out, ret);
    }
    if (encode_is_stored_protobuf(media, resource)) {
        Buf out = BUF_INIT(ENCODE_MAX);
        int r = write_stored_protobuf(arena, resource, object, &out);
        if (r < 0)
            buf_done(&out);
        return r < 0 ? r : finish(&out, ret);
    }
    const Schema *schema;
    Value *v = view_of(arena, media, resource, object, &schema);
    return encode_value(arena, media, schema, v, ret);
}

bool encode_list_is_stored(const Media *media, const Resource *resource) {
    return media->form == MEDIA_JSON && media->as == AS_OBJECT && !media->pretty && is_stored_form(resource);
}

void encode_list_head(Buf *out, const Resource *resource, const ObjectList *list) {
    const char *slash = *resource->group ? "/" : "";
    buf_printf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s%s%s\",\"metadata\":{", resource->list_kind, resource->group,
               slash, resource->version);
    if (list->revision) /* what is computed has none */
        buf_printf(out, "\"resourceVersion\":\"%llu\"", (unsigned long long)list->revision);
    if (list->continue_token) {
        buf_puts(out, ",\"continue\":\"");
        buf_puts(out, list->continue_token);
        buf_putc(out, '"');
        if (list->remaining > 0)
            buf_printf(out, ",\"remainingItemCount\":%lld", (long long)list->remaining);
    }
    buf_puts(out, "},\"items\":[");
}

const char *encode_list_item(const Object *object, size_t *ret_len, bool *ret_brace) {
    size_t len;
    const char *json = object_json(object, &len);
    size_t skip = type_prefix(json, len);
    *ret_brace = skip > 0;
    *ret_len = len - skip;
    return json + skip;
}

static int encode_list_by_bytes(const Resource *resource, const ObjectList *list, HttpBytes *ret) {
    Buf out = BUF_INIT(ENCODE_MAX);
    size_t total = 256;
    for (size_t i = 0; i < list->n; i++) {
        size_t len;
        object_json(list->items[i], &len);
        total += len;
    }
    buf_reserve(&out, total);
    encode_list_head(&out, resource, list);
    for (size_t i = 0; i < list->n; i++) {
        size_t len;
        bool brace;
        const char *item = encode_list_item(list->items[i], &len, &brace);
        if (i)
            buf_putc(&out, ',');
        if (brace)
            buf_putc(&out, '{');
        buf_append(&out, item, len);
    }
    buf_puts(&out, ENCODE_LIST_END);
    return finish(&out, ret);
}

static Value *list_meta(Arena *arena, const ObjectList *list) {
    Value *meta = value_object(arena);
    if (list->revision)
        value_set(arena, meta, "resourceVersion", value_printf(arena, "%llu", (unsigned long long)list->revision));
    if (list->continue_token) {
        value_set_str(arena, meta, "continue", list->continue_token);
        if (list->remaining > 0)
            value_set_int(arena, meta, "remainingItemCount", list->remaining);
    }
    return meta;
}

/* An item within a list names no kind, except of a custom resource. */
static Value *item_tree(Arena *arena, const Resource *resource, const Object *object) {
    Value *item = tree_of(arena, resource, object);
    if (!resource->custom) {
        value_remove(item, "kind");
        value_remove(item, "apiVersion");
    }
    return item;
}

static Value *list_tree(Arena *arena, const Media *media, const Resource *resource, const ObjectList *list) {
    bool partial = media->as == AS_PARTIAL;
    Value *v = partial ? api_value_new(arena, "meta.k8s.io/v1", "PartialObjectMetadataList")
                       : api_value_new(arena, resource_api_version(arena, resource), resource->list_kind);
    Value *items = value_array(arena);
    value_set(arena, v, "metadata", list_meta(arena, list));
    if (resource->custom && !list->continue_token)
        value_set_str(arena, value_get(v, "metadata"), "continue", "");
    for (size_t i = 0; i < list->n; i++)
        value_append(arena, items,
                     partial ? partial_of(arena, list->items[i]) : item_tree(arena, resource, list->items[i]));
    value_set(arena, v, "items", items);
    return v;
}

static Value *list_table(Arena *arena, const Media *media, const Resource *resource, const ObjectList *list) {
    Value *table = print_table_new(arena, resource, true);
    int64_t now = now_realtime_ns();
    value_set(arena, table, "metadata", list_meta(arena, list));
    for (size_t i = 0; i < list->n; i++)
        print_table_add(arena, table, resource, list->items[i], media->include_object, now);
    return table;
}

typedef struct ListItems {
    const Resource *resource;
    const ObjectList *list;
    size_t next;
    Arena *scratch; /* of one item */
} ListItems;

static const Value *next_item(void *userdata) {
    ListItems *items = userdata;
    if (items->next == items->list->n)
        return NULL;
    arena_reset(items->scratch);
    return item_tree(items->scratch, items->resource, items->list->items[items->next++]);
}

static const char *next_stored_item(void *userdata, size_t *ret_len) {
    ListItems *items = userdata;
    return items->next == items->list->n ? NULL : object_json(items->list->items[items->next++], ret_len);
}

/* The schema of the list stands beside its items' in the tables: io.k8s.api.core.v1.Pod has io.k8s.api.core.v1.PodList.
 */
const Schema *encode_list_schema(Arena *arena, const Resource *resource) {
    const char *name = str_or(resource->schema ? resource->schema->name : NULL, ""), *dot = strrchr(name, '.');
    return dot ? schema_by_name(arena_printf(arena, "%.*s.%s", (int)(dot - name), name, resource->list_kind)) : NULL;
}

Value *encode_list_own(Arena *arena, const ObjectList *list) {
    Value *v = value_object(arena);
    value_set(arena, v, "metadata", list_meta(arena, list));
    return v;
}

static int encode_list_protobuf(Arena *arena, const Resource *resource, const ObjectList *list, HttpBytes *ret) {
    const Schema *schema = encode_list_schema(arena, resource);
    if (!schema)
        return -EPROTONOSUPPORT;
    _cleanup_arena_ Arena *scratch = arena_new(0);
    Buf out = BUF_INIT(ENCODE_MAX);
    ListItems items = {.resource = resource, .list = list, .scratch = scratch};
    ProtobufItems source = {.next = next_item, .userdata = &items};
    if (is_stored_form(resource))
        source.next_json = next_stored_item;
    int r = protobuf_encode_list(&out, schema, encode_list_own(arena, list), &source,
                                 resource_api_version(arena, resource), resource->list_kind);
    if (r < 0) {
        buf_done(&out);
        return r;
    }
    return finish(&out, ret);
}

int encode_list(Arena *arena, const Media *media, const Resource *resource, const ObjectList *list, HttpBytes *ret) {
    if (encode_list_is_stored(media, resource))
        return encode_list_by_bytes(resource, list, ret);
    if (media->as == AS_TABLE) {
        Media json = *media;
        json.form = media->form == MEDIA_PROTOBUF ? MEDIA_JSON : media->form;
        return encode_value(arena, &json, NULL, list_table(arena, media, resource, list), ret);
    }
    if (media->form == MEDIA_PROTOBUF && media->as == AS_OBJECT)
        return encode_list_protobuf(arena, resource, list, ret);
    return encode_value(arena, media, NULL, list_tree(arena, media, resource, list), ret);
}

static int event_by_bytes(const char *type, Object *object, HttpBytes ret[3], size_t *ret_n) {
    static const struct {
        const char *type, *head;
    } heads[] = {
        {"ADDED", "{\"type\":\"ADDED\",\"object\":"},
        {"MODIFIED", "{\"type\":\"MODIFIED\",\"object\":"},
        {"DELETED", "{\"type\":\"DELETED\",\"object\":"},
    };
    size_t len;
    const char *json = object_json(object, &len);
    for (size_t i = 0; i < ELEMENTSOF(heads); i++)
        if (streq(heads[i].type, type)) {
            ret[0] = (HttpBytes){.data = heads[i].head, .len = strlen(heads[i].head)};
            ret[1] = (HttpBytes){.data = json, .len = len, .owner = object_ref(object), .release = release_object};
            ret[2] = (HttpBytes){.data = "}\n", .len = 2};
            *ret_n = 3;
            return 0;
        }
    return -EINVAL;
}

static void put_be32(Buf *out, uint32_t n) {
    unsigned char b[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                          (unsigned char)n};
    buf_append(out, b, 4);
}

/* The key and length of a field of bytes; how many bytes these are. */
#define FIELD_HEAD_MAX 11
static size_t field_head(unsigned char to[FIELD_HEAD_MAX], int number, size_t n) {
    size_t used = 0;
    to[used++] = (unsigned char)(number << 3 | 2);
    for (; n > 0x7f; n >>= 7)
        to[used++] = (unsigned char)(n | 0x80);
    to[used++] = (unsigned char)n;
    return used;
}

/* metav1.WatchEvent {type = 1; object = 2 {raw = 1}}, length in front; the object's envelope is in `raw`. */
static int frame_protobuf(const char *type, const Buf *object, HttpBytes *ret) {
    unsigned char of_type[FIELD_HEAD_MAX], of_extension[FIELD_HEAD_MAX], of_raw[FIELD_HEAD_MAX];
    size_t type_len = strlen(type), n_type = field_head(of_type, 1, type_len),
           n_raw = field_head(of_raw, 1, object->len), n_extension = field_head(of_extension, 2, n_raw + object->len),
           total = n_type + type_len + n_extension + n_raw + object->len;
    Buf out = BUF_INIT(ENCODE_MAX);
    buf_reserve(&out, 4 + total);
    put_be32(&out, (uint32_t)total);
    buf_append(&out, of_type, n_type);
    buf_append(&out, type, type_len);
    buf_append(&out, of_extension, n_extension);
    buf_append(&out, of_raw, n_raw);
    buf_append(&out, object->data, object->len);
    return finish(&out, ret);
}

int encode_event_value(Arena *arena, const Media *media, const Schema *schema, const char *type, const Value *v,
                       HttpBytes *ret) {
    (void)arena;
    if (media->form == MEDIA_PROTOBUF && schema) {
        _cleanup_buf_ Buf object = BUF_INIT(ENCODE_MAX);
        int r = write_value(media, schema, v, &object);
        return r < 0 ? r : frame_protobuf(type, &object, ret);
    }
    Buf out = BUF_INIT(ENCODE_MAX);
    buf_printf(&out, "{\"type\":\"%s\",\"object\":", type);
    value_write_json(&out, v);
    buf_puts(&out, "}\n");
    return finish(&out, ret);
}

int encode_event(MessageCache *cache, const Media *media, const Resource *resource, const char *type, Object *object,
                 bool first_of_watch, HttpBytes ret[3], size_t *ret_n) {
    if (media->form == MEDIA_JSON && media->as == AS_OBJECT && is_stored_form(resource))
        return event_by_bytes(type, object, ret, ret_n);
    _cleanup_arena_ Arena *arena = arena_new(0);
    *ret_n = 1;
    if (encode_is_stored_protobuf(media, resource)) {
        _cleanup_buf_ Buf out = BUF_INIT(ENCODE_MAX);
        int r = cache ? write_cached_protobuf(cache, arena, resource, object, &out)
                      : write_stored_protobuf(arena, resource, object, &out);
        return r < 0 ? r : frame_protobuf(type, &out, &ret[0]);
    }
    const Schema *schema;
    Value *v;
    if (media->as == AS_TABLE) {
        schema = NULL;
        v = print_table_new(arena, resource, first_of_watch);
        value_set(arena, value_get(v, "metadata"), "resourceVersion",
                  value_printf(arena, "%llu", (unsigned long long)object_revision(object)));
        print_table_add(arena, v, resource, object, media->include_object, now_realtime_ns());
    } else
        v = view_of(arena, media, resource, object, &schema);
    return encode_event_value(arena, media, schema, type, v, &ret[0]);
}
