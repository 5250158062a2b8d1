#define LOG_COMPONENT "client"
#include "client/http_watch.h"

#include "api/json.h"
#include "base/log.h"
#include "base/str.h"
#include "client/http_request.h"
#include "client/http_transport.h"
#include "client/transport_call.h"

#include <errno.h>

#define WATCH_ERROR_BODY_MAX (64 * 1024)

struct ClientWatch {
    const Resource *resource;
    bool metadata_only;
    void (*event)(const char *type, Object *object, uint64_t revision, void *userdata);
    void (*end)(int error, void *userdata);
    void *userdata;
    HttpExchange *exchange;
    RequestMetrics *metrics;
    bool counted;
    Buf pending; /* an incomplete line, or the body of an error */
    Arena *arena;
    int stream_error; /* from an ERROR event; ends the watch */
};

/* One line of the stream: {"type": ..., "object": ...}. */
static void deliver_line(ClientWatch *watch, const char *line, size_t n) {
    Value *v = NULL;
    arena_reset(watch->arena);
    if (json_parse(watch->arena, line, n, &v, NULL, NULL) < 0) {
        watch->stream_error = -EBADMSG;
        return;
    }
    const char *type = value_get_str(v, "type");
    Value *object = value_get(v, "object");
    if (!type || !value_is(object, VALUE_OBJECT)) {
        watch->stream_error = -EBADMSG;
        return;
    }
    if (streq(type, "ERROR")) {
        _cleanup_api_error_ ApiError err = {0};
        watch->stream_error = api_error_from_status(&err, object, (int)value_get_int(object, "code", 500));
        return;
    }
    uint64_t revision = http_answer_revision(object);
    if (streq(type, "BOOKMARK")) {
        watch->event(type, NULL, revision, watch->userdata);
        return;
    }
    _cleanup_object_ Object *whole = http_answer_object(watch->arena, watch->resource, object, watch->metadata_only);
    watch->event(type, whole, revision, watch->userdata);
}

/* The whole lines of what has come; how far they go. */
static size_t deliver_lines(ClientWatch *watch, const char *p, size_t n) {
    size_t from = 0;
    const char *newline;
    while (from < n && !watch->stream_error && (newline = memchr(p + from, '\n', n - from))) {
        size_t line = (size_t)(newline - p) - from;
        if (line > 0)
            deliver_line(watch, p + from, line);
        from += line + 1;
    }
    return from;
}

/* A watch is a request that was answered when its first bytes came. */
static void count_once(ClientWatch *watch, int status) {
    if (!watch->counted)
        request_metrics_count(watch->metrics, "GET", status, 0);
    watch->counted = true;
}

static int on_data(HttpExchange *exchange, const char *p, size_t n, void *userdata) {
    ClientWatch *watch = userdata;
    count_once(watch, http_exchange_answer(exchange)->status);
    bool refused = http_exchange_answer(exchange)->status >= 400;
    if (!refused && !watch->pending.len) { /* the common case: an event arrives whole */
        size_t taken = deliver_lines(watch, p, n);
        p += taken;
        n -= taken;
    }
    if (n > 0)
        buf_append(&watch->pending, p, n);
    if (watch->pending.failed)
        return -EFBIG;
    if (refused)
        return watch->pending.len > WATCH_ERROR_BODY_MAX ? -EFBIG : 0;
    size_t taken = watch->pending.len ? deliver_lines(watch, watch->pending.data, watch->pending.len) : 0;
    if (taken == watch->pending.len)
        buf_done(&watch->pending); /* an idle watch holds no buffer */
    else
        buf_consume(&watch->pending, taken);
    watch->pending.limit = HTTP_TRANSPORT_EVENT_MAX;
    return watch->stream_error;
}

static int watch_result(ClientWatch *watch, int status, int error, const char *why) {
    _cleanup_api_error_ ApiError err = {0};
    Value *v;
    if (watch->stream_error)
        return watch->stream_error;
    if (status >= 400) {
        int r = transport_answer(watch->arena, &watch->pending, status, &v, &err);
        log_debug("watch of %s: %s", watch->resource->plural, err.message);
        return r;
    }
    if (error == 0)
        return 0;
    int r = transport_failure(&err, error, why);
    log_debug("watch of %s: %s", watch->resource->plural, err.message);
    return r;
}

static void on_end(HttpExchange *exchange, int error, const char *why, void *userdata) {
    ClientWatch *watch = userdata;
    count_once(watch, http_exchange_answer(exchange)->status);
    watch->end(watch_result(watch, http_exchange_answer(exchange)->status, error, why), watch->userdata);
}

int http_watch_start(HttpClient *http, RequestMetrics *metrics, char *bearer, const char *base,
                     const ApiRequest *request,
                     void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                     void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret) {
    static const HttpExchangeOps ops = {.data = on_data, .end = on_end};
    _cleanup_(transport_call_done) TransportCall call;
    ClientWatch *watch = NEW0(ClientWatch);
    *watch = (ClientWatch){.resource = request->resource,
                           .metadata_only = request->options.metadata_only,
                           .metrics = metrics,
                           .event = event,
                           .end = end,
                           .userdata = userdata,
                           .pending = BUF_INIT(HTTP_TRANSPORT_EVENT_MAX),
                           .arena = arena_new(0)};
    transport_call_init(&call, bearer, base, request);
    *ret = watch; /* before the thread may call back */
    http_exchange_start(http, &call.call, &ops, watch, &watch->exchange);
    return 0;
}

void http_watch_stop(ClientWatch *watch) {
    if (!watch)
        return;
    http_exchange_free(watch->exchange);
    buf_done(&watch->pending);
    arena_free(watch->arena);
    free(watch);
}
