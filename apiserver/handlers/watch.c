/* A stream is a cursor in the store's ring and what the client asked for; it holds no events of its own. */
#include "apiserver/handlers/watch.h"
#include "apiserver/handlers/encode.h"
#include "apiserver/handlers/watch_conversion.h"
#include "apiserver/handlers/watch_hub.h"
#include "apiserver/registry/custom_resources.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>

#define WATCH_BOOKMARK_NS (60 * NS_PER_SEC) /* as the reference's watch cache */
#define WATCH_TIMEOUT_MIN_SECONDS 1800      /* without timeoutSeconds: this to twice this */
#define WATCH_BATCH WATCH_CONVERSION_BATCH  /* events given to the connection before others have their turn */

typedef struct Stream {
    Exchange *exchange;
    int code; /* of the reply */
    ListParameters parameters;
    Watch *watch;
    WatchConversion *conversion; /* NULL: objects are sent without asking a webhook */
    const Selector *fields;      /* that the store looks at: not those of converted objects */
    ObjectList initial;          /* synthetic ADDED events */
    MessageCache *messages;      /* of these; NULL: nobody else will begin with the same objects */
    size_t next_initial;
    bool send_end_bookmark, sent_any, ended;
    uint64_t revision;   /* of the initial list */
    uint64_t skip_until; /* events up to this one are older than what was asked */
    uint64_t next_bookmark_ns, deadline_ns;
    Source *timer;
    WatchSeat seat;
} Stream;

static Store *store_of(const Stream *stream) {
    return registry_store(api_core_registry(api_http_config(stream->exchange->api)->core));
}

static void stream_free(Stream *stream) {
    source_unref(stream->timer);
    watch_close(stream->watch);
    watch_conversion_free(stream->conversion);
    object_list_done(&stream->initial);
    list_parameters_done(&stream->parameters);
    resource_release(stream->exchange->request.resource);
    exchange_finish(stream->exchange, stream->code);
    free(stream);
}

static int encode(Stream *stream, const char *type, Object *object, HttpBytes parts[3], size_t *ret_n) {
    const Media *media = &stream->exchange->media;
    const Resource *resource = stream->exchange->request.resource;
    bool alone = stream->initial.items || watch_seat_is_alone(&stream->seat);
    if (alone || !encode_is_stored_protobuf(media, resource))
        return encode_event(stream->messages, media, resource, type, object, !stream->sent_any, parts, ret_n);
    *ret_n = 1;
    return frames_encode(watch_seat_frames(&stream->seat), media, resource, type, object, &parts[0]);
}

static void send_event(Stream *stream, const char *type, Object *object) {
    HttpBytes parts[3];
    size_t n = 0;
    if (encode(stream, type, object, parts, &n) < 0)
        return;
    stream->sent_any = true;
    for (size_t i = 0; i < n; i++)
        http_stream_write(stream->exchange->http, parts[i]);
}

static void send_value(Stream *stream, const char *type, const Schema *schema, const Value *v, Arena *arena) {
    HttpBytes bytes;
    if (encode_event_value(arena, &stream->exchange->media, schema, type, v, &bytes) == 0)
        http_stream_write(stream->exchange->http, bytes);
}

static void send_error(Stream *stream, const ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    send_value(stream, "ERROR", schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.Status"),
               api_error_to_status(arena, err), arena);
    stream->ended = true;
}

static void send_expired(Stream *stream, uint64_t since) {
    _cleanup_api_error_ ApiError err = {0};
    uint64_t oldest = store_oldest_revision(store_of(stream), stream->exchange->request.resource->storage);
    char *text =
        xasprintf("too old resource version: %llu (%llu)", (unsigned long long)since, (unsigned long long)oldest);
    api_error_expired(&err, text);
    free(text);
    send_error(stream, &err);
}

static void send_bookmark(Stream *stream, uint64_t revision, bool initial_end) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Resource *resource = stream->exchange->request.resource;
    const Schema *schema = resource->schema;
    const Media *media = &stream->exchange->media;
    Value *v = api_value_new(arena, resource_api_version(arena, resource), resource->kind);
    if (media->as == AS_PARTIAL) {
        v = api_value_new(arena, "meta.k8s.io/v1", "PartialObjectMetadata");
        schema = schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata");
    }
    Value *meta = value_ensure_object(arena, v, "metadata");
    value_set(arena, meta, "resourceVersion", value_printf(arena, "%llu", (unsigned long long)revision));
    if (initial_end)
        value_set_str(arena, value_ensure_object(arena, meta, "annotations"), "k8s.io/initial-events-end", "true");
    if (schema)
        schema_normalize(arena, schema, v, NULL, NULL);
    if (media->as == AS_TABLE) {
        Value *table = print_table_new(arena, resource, !stream->sent_any), *row = value_object(arena);
        value_set(arena, value_get(table, "metadata"), "resourceVersion", value_get(meta, "resourceVersion"));
        value_set(arena, row, "cells", value_array(arena));
        value_set(arena, row, "object", v);
        value_append(arena, value_get(table, "rows"), row);
        v = table;
        schema = NULL;
        stream->sent_any = true;
    }
    send_value(stream, "BOOKMARK", schema, v, arena);
}

static const char *type_name(WatchType type) {
    return type == WATCH_ADDED ? "ADDED" : type == WATCH_MODIFIED ? "MODIFIED" : "DELETED";
}

/* Takes the references. */
static void deliver(Stream *stream, const WatchEvent *event) {
    if (stream->conversion) {
        watch_conversion_add(stream->conversion, event);
        return;
    }
    send_event(stream, type_name(event->type), event->object);
    object_unref(event->object);
}

/* Sends what has been converted; false: the stream has to wait for more of it. */
static bool send_converted(Stream *stream) {
    _cleanup_api_error_ ApiError err = {0};
    WatchEvent event;
    int r;
    if (!stream->conversion)
        return true;
    if (watch_conversion_is_busy(stream->conversion))
        return false;
    while ((r = watch_conversion_next(stream->conversion, &event, &err)) > 0) {
        send_event(stream, type_name(event.type), event.object);
        object_unref(event.object);
    }
    if (r < 0)
        send_error(stream, &err);
    return true;
}

/* Has a webhook convert what was collected; true: that is under way (or has failed, and the stream ends). */
static bool start_conversion(Stream *stream) {
    _cleanup_api_error_ ApiError err = {0};
    int r = stream->conversion ? watch_conversion_start(stream->conversion) : 0;
    if (r < 0) {
        api_error_set(&err, 429, "TooManyRequests", "Too many requests, please try again later.");
        send_error(stream, &err);
    }
    return r != 0;
}

static HttpStreamResult pull_initial(Stream *stream) {
    size_t budget = WATCH_BATCH;
    while (stream->next_initial < stream->initial.n && budget--) {
        Object **item = &stream->initial.items[stream->next_initial++];
        WatchEvent event = {.type = WATCH_ADDED, .object = *item, .revision = object_revision(*item)};
        *item = NULL;
        deliver(stream, &event);
    }
    if (start_conversion(stream))
        return stream->ended ? HTTP_STREAM_MORE : HTTP_STREAM_WAIT;
    if (stream->next_initial < stream->initial.n)
        return HTTP_STREAM_MORE;
    object_list_done(&stream->initial);
    stream->initial = (ObjectList){0};
    stream->messages = NULL;
    stream->next_initial = 0;
    if (stream->send_end_bookmark)
        send_bookmark(stream, stream->revision, true);
    stream->send_end_bookmark = false;
    return HTTP_STREAM_MORE;
}

static HttpStreamResult pull_events(Stream *stream) {
    for (size_t i = 0; i < WATCH_BATCH; i++) {
        WatchEvent event;
        int r = watch_next(stream->watch, &event);
        if (r == 0)
            return HTTP_STREAM_WAIT;
        if (r < 0) {
            send_expired(stream, watch_revision(stream->watch));
            return HTTP_STREAM_MORE;
        }
        if (event.object && event.revision > stream->skip_until)
            deliver(stream, &event);
        else {
            object_unref(event.object);
            object_unref(event.before);
        }
    }
    return HTTP_STREAM_MORE;
}

static void arm(Stream *stream) {
    uint64_t due = stream->deadline_ns;
    if (stream->exchange->request.options.allow_watch_bookmarks)
        due = MIN(due, stream->next_bookmark_ns);
    timer_set(stream->timer, due);
}

static HttpStreamResult pull(HttpRequest *http, void *userdata) {
    Stream *stream = userdata;
    (void)http;
    if (!stream->ended && !send_converted(stream))
        return HTTP_STREAM_WAIT;
    if (stream->ended)
        return HTTP_STREAM_END;
    if (stream->initial.items || stream->send_end_bookmark)
        return pull_initial(stream);
    if (!stream->watch) {
        send_expired(stream, stream->revision);
        return HTTP_STREAM_MORE;
    }
    HttpStreamResult result = pull_events(stream);
    uint64_t now = now_monotonic_ns();
    if (start_conversion(stream))
        return stream->ended ? HTTP_STREAM_MORE : HTTP_STREAM_WAIT;
    if (result == HTTP_STREAM_WAIT && now >= stream->next_bookmark_ns) {
        if (stream->exchange->request.options.allow_watch_bookmarks)
            send_bookmark(stream, watch_revision(stream->watch), false);
        stream->next_bookmark_ns = now + WATCH_BOOKMARK_NS;
        arm(stream);
    }
    return now >= stream->deadline_ns ? HTTP_STREAM_END : result;
}

static void closed(HttpRequest *http, void *userdata) {
    Stream *stream = userdata;
    (void)http;
    watch_seat_leave(&stream->seat);
    stream_free(stream);
}

static void wake(void *userdata) {
    http_stream_wake(((Stream *)userdata)->exchange->http);
}

static void on_timer(Source *source, void *userdata) {
    Stream *stream = userdata;
    (void)source;
    http_stream_wake(stream->exchange->http);
}

static void fail(Stream *stream, ApiError *err) {
    stream->code = err->code;
    http_reply_error(stream->exchange->http, err);
    api_error_done(err);
    stream_free(stream);
}

static int load_initial(Stream *stream, ApiError *err) {
    const ApiRequest *request = &stream->exchange->request;
    ListQuery query = {
        .resource = request->resource->storage,
        .ns = request->ns,
        .labels = stream->parameters.labels,
        .fields = stream->fields,
    };
    int r = store_list(store_of(stream), &query, &stream->initial, err);
    if (r < 0)
        return r;
    stream->revision = stream->initial.revision;
    if (!stream->initial.n) {
        object_list_done(&stream->initial);
        stream->initial = (ObjectList){0};
    } else if (!query.labels && !query.fields)
        stream->messages = api_http_message_cache(stream->exchange->api);
    return 0;
}

/* From where: the newest state with synthetic events (no revision, "0", or asked for), or after a revision. */
static int begin(Stream *stream, ApiError *err) {
    const ApiRequest *request = &stream->exchange->request;
    const ApiOptions *o = &request->options;
    Store *store = store_of(stream);
    uint64_t since = stream->parameters.revision;
    bool initial = o->send_initial_events_set ? o->send_initial_events : since == 0;
    if (initial) {
        int r = load_initial(stream, err);
        if (r < 0)
            return r;
        stream->send_end_bookmark = o->send_initial_events && o->allow_watch_bookmarks;
        since = stream->revision;
    } else if (since == 0)
        since = store_revision(store);
    WatchQuery query = {
        .resource = request->resource->storage,
        .ns = request->ns,
        .labels = stream->parameters.labels,
        .fields = stream->fields,
        .since = since,
        .with_before = stream->parameters.fields && !stream->fields,
    };
    int r = store_watch(store, &query, &stream->watch);
    if (r == -ERANGE) {
        stream->skip_until = since;
        query.since = store_revision(store);
        r = store_watch(store, &query, &stream->watch);
    }
    if (r == -EKEYEXPIRED)
        stream->revision = since;
    return r == -EKEYEXPIRED ? 0 : r < 0 ? api_error_from_errno(err, r, "watch") : 0;
}

static void plan_conversion(Stream *stream) {
    const Exchange *exchange = stream->exchange;
    const Resource *resource = exchange->request.resource;
    const Selector *fields = stream->parameters.fields;
    bool converted = custom_resources_selects_converted(resource, fields);
    stream->fields = converted ? NULL : fields;
    WatchConversionConfig config = {
        .pool = api_http_pool(exchange->api),
        .loop = http_request_loop(exchange->http),
        .resource = resource,
        .fields = converted ? fields : NULL,
        .ready = wake,
        .userdata = stream,
    };
    if (custom_resources_converts(resource))
        stream->conversion = watch_conversion_new(&config);
}

void watch_serve(Exchange *exchange) {
    Stream *stream = NEW0(Stream);
    resource_hold(exchange->request.resource);
    ApiError err = {0};
    ApiRequest *request = &exchange->request;
    Loop *loop = http_request_loop(exchange->http);
    static const HttpStreamOps ops = {pull, closed};
    stream->exchange = exchange;
    stream->code = 200;
    if (request->name && !request->options.field_selector)
        request->options.field_selector = arena_printf(exchange->arena, "metadata.name=%s", request->name);
    int r = list_parameters_read(request, true, &stream->parameters, &err);
    if (r == 0)
        plan_conversion(stream);
    r = r < 0 ? r : begin(stream, &err);
    if (r < 0)
        return fail(stream, &err);
    uint64_t now = now_monotonic_ns();
    int64_t seconds = request->options.timeout_seconds > 0
                          ? request->options.timeout_seconds
                          : WATCH_TIMEOUT_MIN_SECONDS + (int64_t)random_below(WATCH_TIMEOUT_MIN_SECONDS);
    stream->deadline_ns = now + (uint64_t)seconds * NS_PER_SEC;
    stream->next_bookmark_ns = now + WATCH_BOOKMARK_NS;
    loop_add_timer(loop, stream->deadline_ns, on_timer, stream, &stream->timer);
    arm(stream);
    watch_seat_take(&stream->seat, api_http_watch_hub(exchange->api), exchange->http,
                    store_row_bit(request->resource->storage));
    ReplyHeaders headers;
    reply_headers_init(&headers, media_content_type(&exchange->media, true));
    http_stream_start(exchange->http, 200, headers.items, headers.n, &ops, stream);
}
