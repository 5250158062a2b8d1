#include "apiserver/handlers/list_stream.h"
#include "apiserver/handlers/encode.h"
#include "base/log.h"

#include <errno.h>

struct ListStream {
    Exchange *exchange;
    ObjectList list;
    size_t next;
    int code;
    const Schema *schema; /* of the list, in protobuf; NULL: JSON */
    uint64_t items_len;   /* of protobuf: the fields of all items */
    Arena *scratch;       /* of one item */
};

static bool is_large(const ObjectList *list) {
    size_t total = 0;
    for (size_t i = 0; i < list->n && total < LIST_STREAM_MIN; i++) {
        size_t len;
        object_json(list->items[i], &len);
        total += len;
    }
    return total >= LIST_STREAM_MIN;
}

static int write_message(ListStream *stream, Object *object, Buf *out) {
    MessageCache *cache = api_http_message_cache(stream->exchange->api);
    arena_reset(stream->scratch);
    return encode_stored_message(cache, stream->scratch, stream->exchange->request.resource, object, out);
}

/* The length of all items; 0 when that cannot be known. */
static uint64_t items_len(ListStream *stream, const ObjectList *list) {
    _cleanup_buf_ Buf out = BUF_INIT(ENCODE_MAX);
    uint64_t total = 0;
    for (size_t i = 0; i < list->n; i++) {
        buf_clear(&out);
        if (object_protobuf_len(list->items[i]) == 0 && write_message(stream, list->items[i], &out) < 0)
            return 0;
        total += protobuf_list_item_len(stream->schema, object_protobuf_len(list->items[i]));
    }
    return total <= ENCODE_MAX ? total : 0;
}

static void stream_free(ListStream *stream) {
    object_list_done(&stream->list);
    arena_free(stream->scratch);
    free(stream);
}

ListStream *list_stream_new(Exchange *exchange, ObjectList *list) {
    const Resource *resource = exchange->request.resource;
    const Media *media = &exchange->media;
    bool json = encode_list_is_stored(media, resource);
    if ((!json && !encode_is_stored_protobuf(media, resource)) || !is_large(list))
        return NULL;
    ListStream *stream = NEW0(ListStream);
    stream->exchange = exchange;
    if (!json) {
        stream->scratch = arena_new(0);
        stream->schema = encode_list_schema(exchange->arena, resource);
        if (stream->schema)
            stream->items_len = items_len(stream, list);
        if (stream->items_len == 0) {
            stream_free(stream);
            return NULL;
        }
    }
    stream->list = *list;
    *list = (ObjectList){0};
    return stream;
}

static void release_object(void *owner) {
    object_unref(owner);
}

static HttpBytes literal(const char *text) {
    return (HttpBytes){.data = text, .len = strlen(text)};
}

/* The list's reference goes with the bytes. */
static size_t write_json_item(ListStream *stream) {
    size_t i = stream->next++, len;
    bool brace;
    Object *object = TAKE_PTR(stream->list.items[i]);
    const char *item = encode_list_item(object, &len, &brace);
    HttpRequest *http = stream->exchange->http;
    if (i > 0 || brace)
        http_stream_write(http, literal(i == 0 ? "{" : brace ? ",{" : ","));
    http_stream_write(http, (HttpBytes){.data = item, .len = len, .owner = object, .release = release_object});
    return len;
}

static HttpStreamResult pull_json(HttpRequest *http, void *userdata) {
    ListStream *stream = userdata;
    size_t written = 0;
    if (stream->next == 0) {
        Buf head = BUF_INIT(BUF_NO_LIMIT);
        encode_list_head(&head, stream->exchange->request.resource, &stream->list);
        http_stream_write(http, http_bytes_take(&head));
    }
    while (stream->next < stream->list.n && written < LIST_STREAM_PART)
        written += write_json_item(stream);
    if (stream->next < stream->list.n)
        return HTTP_STREAM_MORE;
    http_stream_write(http, literal(ENCODE_LIST_END));
    return HTTP_STREAM_END;
}

static int write_protobuf_head(ListStream *stream, Buf *out) {
    Arena *arena = stream->exchange->arena;
    const Resource *resource = stream->exchange->request.resource;
    return protobuf_list_head(out, stream->schema, encode_list_own(arena, &stream->list), stream->items_len,
                              resource_api_version(arena, resource), resource->list_kind);
}

static int write_protobuf_item(ListStream *stream, Buf *out) {
    _cleanup_object_ Object *object = TAKE_PTR(stream->list.items[stream->next++]);
    size_t len = object_protobuf_len(object);
    protobuf_list_item(out, stream->schema, len);
    size_t start = out->len;
    int r = write_message(stream, object, out);
    return r < 0 ? r : out->len - start == len ? 0 : -EINVAL;
}

static HttpStreamResult pull_protobuf(HttpRequest *http, void *userdata) {
    ListStream *stream = userdata;
    Buf out = BUF_INIT(ENCODE_MAX);
    buf_reserve(&out, LIST_STREAM_PART + LIST_STREAM_PART / 4); /* one item more than the part, mostly */
    int r = stream->next == 0 ? write_protobuf_head(stream, &out) : 0;
    while (r == 0 && stream->next < stream->list.n && out.len < LIST_STREAM_PART)
        r = write_protobuf_item(stream, &out);
    bool last = stream->next == stream->list.n;
    if (last)
        protobuf_list_tail(&out);
    if (r < 0 || out.failed) {
        log_error("a list of %s broke off: %s", stream->exchange->request.resource->plural, strerror(-r));
        buf_done(&out);
        return HTTP_STREAM_ABORT;
    }
    http_stream_write(http, http_bytes_take(&out));
    return last ? HTTP_STREAM_END : HTTP_STREAM_MORE;
}

static void closed(HttpRequest *http, void *userdata) {
    (void)http;
    ListStream *stream = userdata;
    exchange_finish(stream->exchange, stream->code);
    stream_free(stream);
}

void list_stream_start(ListStream *stream, int code, const HttpHeader *headers, size_t n_headers) {
    static const HttpStreamOps json = {.pull = pull_json, .closed = closed, .is_body = true},
                               protobuf = {.pull = pull_protobuf, .closed = closed, .is_body = true};
    stream->code = code;
    http_stream_start(stream->exchange->http, code, headers, n_headers, stream->schema ? &protobuf : &json, stream);
}
