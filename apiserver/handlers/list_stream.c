#include "apiserver/handlers/list_stream.h"
#include "apiserver/handlers/encode.h"

typedef struct ListStream {
    Exchange *exchange;
    ObjectList list;
    size_t next;
    int code;
} ListStream;

bool list_stream_suits(const Media *media, const Resource *resource, const ObjectList *list) {
    size_t total = 0;
    if (!encode_list_is_stored(media, resource))
        return false;
    for (size_t i = 0; i < list->n && total < LIST_STREAM_MIN; i++) {
        size_t len;
        bool brace;
        encode_list_item(list->items[i], &len, &brace);
        total += len;
    }
    return total >= LIST_STREAM_MIN;
}

static void release_object(void *owner) {
    object_unref(owner);
}

static HttpBytes literal(const char *text) {
    return (HttpBytes){.data = text, .len = strlen(text)};
}

/* The list's reference goes with the bytes. */
static size_t write_item(ListStream *stream) {
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

static HttpStreamResult pull(HttpRequest *http, void *userdata) {
    ListStream *stream = userdata;
    size_t written = 0;
    if (stream->next == 0) {
        Buf head = BUF_INIT(BUF_NO_LIMIT);
        encode_list_head(&head, stream->exchange->request.resource, &stream->list);
        http_stream_write(http, http_bytes_take(&head));
    }
    while (stream->next < stream->list.n && written < LIST_STREAM_PART)
        written += write_item(stream);
    if (stream->next < stream->list.n)
        return HTTP_STREAM_MORE;
    http_stream_write(http, literal(ENCODE_LIST_END));
    return HTTP_STREAM_END;
}

static void closed(HttpRequest *http, void *userdata) {
    (void)http;
    ListStream *stream = userdata;
    object_list_done(&stream->list);
    exchange_finish(stream->exchange, stream->code);
    free(stream);
}

void list_stream_start(Exchange *exchange, int code, const HttpHeader *headers, size_t n_headers, ObjectList *list) {
    static const HttpStreamOps ops = {.pull = pull, .closed = closed, .is_body = true};
    ListStream *stream = NEW(ListStream);
    *stream = (ListStream){.exchange = exchange, .list = *list, .code = code};
    *list = (ObjectList){0};
    http_stream_start(exchange->http, code, headers, n_headers, &ops, stream);
}
