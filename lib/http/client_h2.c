/* A connection of HTTP/2, by nghttp2: exchanges are its streams. nghttp2 knows an exchange as the user data of its
 * stream, which is NULL once the exchange is off the line: nothing of the session points at what is gone. */
#include "http/client_internal.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>

#define CONNECTION_WINDOW (4 * HTTP_CLIENT_WINDOW)
#define HEAD_MAX (64 * 1024) /* bytes of an answer's fields, which the server is told */
#define FIELDS_OF_OURS 5     /* the four pseudo-headers and content-length */

typedef struct H2Line {
    HttpLine base;
    nghttp2_session *session;
    uint64_t pinged_ns; /* 0: no PING is out */
} H2Line;

static H2Line *h2_of(const HttpLine *line) {
    return CONTAINER_OF((HttpLine *)(uintptr_t)line, H2Line, base);
}

/* ---- what arrives ---- */

static HttpExchange *exchange_of(nghttp2_session *session, int32_t id) {
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata) {
    (void)flags, (void)userdata, (void)name_len, (void)value_len;
    HttpExchange *exchange = exchange_of(session, frame->hd.stream_id);
    if (frame->hd.type != NGHTTP2_HEADERS || !exchange || frame->headers.cat == NGHTTP2_HCAT_PUSH_RESPONSE)
        return 0;
    /* nghttp2 ends names and values with a NUL, and has checked :status. A head of 1xx is followed by another. */
    if (streq((const char *)name, ":status")) {
        int status = atoi((const char *)value);
        exchange->answer.status = status >= 200 ? status : 0;
    } else if (exchange->answer.status)
        http_answer_take_header(&exchange->answer, (const char *)name, (const char *)value);
    return 0;
}

static void drop(nghttp2_session *session, int32_t id) {
    nghttp2_session_set_stream_user_data(session, id, NULL);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
                    void *userdata) {
    (void)flags, (void)userdata;
    HttpExchange *exchange = exchange_of(session, id);
    if (exchange && exchange_data(exchange, (const char *)data, n) < 0)
        drop(session, id);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *userdata) {
    (void)userdata;
    HttpExchange *exchange = exchange_of(session, id);
    if (!exchange)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (error == NGHTTP2_NO_ERROR && exchange->answer.status) {
        exchange_done(exchange);
        return 0;
    }
    char why[96];
    snprintf(why, sizeof why, "stream error: stream ID %d; %s; received from peer", id, nghttp2_http2_strerror(error));
    exchange_failed(exchange, error == NGHTTP2_CANCEL ? -ECONNRESET : -EPROTO, why, error == NGHTTP2_REFUSED_STREAM);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    (void)session;
    H2Line *h2 = userdata;
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
        h2->pinged_ns = 0;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        h2->base.leaving = true;
    return 0;
}

/* ---- what is asked ---- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                         nghttp2_data_source *source, void *userdata) {
    (void)source, (void)userdata;
    HttpExchange *exchange = exchange_of(session, id);
    if (!exchange)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    n = MIN(n, exchange->body_len - exchange->body_done);
    if (n)
        memcpy(out, exchange->body + exchange->body_done, n);
    exchange->body_done += n;
    if (exchange->body_done == exchange->body_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value) {
    /* A credential is in no table of the connection, and no intermediary may put it into one (RFC 7541, 7.1.3). */
    uint8_t flags = streq(name, "authorization") ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), flags};
}

static int h2_send(HttpLine *line, HttpExchange *exchange) {
    const nghttp2_data_provider body = {.read_callback = read_body};
    const Buf *own = &exchange->fields;
    const char *name, *value;
    char length[24];
    size_t n = FIELDS_OF_OURS;
    for (size_t at = 0; fields_next(own->data, own->len, &at, &name, &value);)
        n++;
    _cleanup_free_ nghttp2_nv *fields = NEWN0(nghttp2_nv, n);
    n = 0;
    fields[n++] = field(":method", exchange->method);
    fields[n++] = field(":scheme", line->client->to.tls ? "https" : "http");
    fields[n++] = field(":authority", line->client->authority);
    fields[n++] = field(":path", exchange->target);
    for (size_t at = 0; fields_next(own->data, own->len, &at, &name, &value);)
        fields[n++] = field(name, value);
    if (exchange->has_body) {
        snprintf(length, sizeof length, "%zu", exchange->body_len);
        fields[n++] = field("content-length", length);
    }
    int32_t id =
        nghttp2_submit_request(h2_of(line)->session, NULL, fields, n, exchange->body_len ? &body : NULL, exchange);
    if (id < 0) {
        line->leaving = true;
        return -EPROTO;
    }
    exchange->stream_id = id;
    return 0;
}

static bool h2_has_room(const HttpLine *line) {
    nghttp2_session *session = h2_of(line)->session;
    uint32_t most = nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return line->n_exchanges < MIN(most, (uint32_t)HTTP_CLIENT_STREAMS_MAX) &&
           nghttp2_session_check_request_allowed(session);
}

static void h2_leave(HttpLine *line, HttpExchange *exchange) {
    drop(h2_of(line)->session, exchange->stream_id);
}

static void h2_data(HttpLine *line, const void *p, size_t n) {
    if (nghttp2_session_mem_recv(h2_of(line)->session, p, n) < 0)
        line_break(line, -EPROTO);
}

static void h2_flush(HttpLine *line) {
    nghttp2_session *session = h2_of(line)->session;
    while (duplex_pending(line->duplex) < LINE_HIGH_WATER) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(session, &p);
        if (n < 0) {
            line_break(line, -EPROTO);
            return;
        }
        if (n == 0 || duplex_write(line->duplex, p, (size_t)n) < 0)
            break;
    }
    bool wants = nghttp2_session_want_read(session) || nghttp2_session_want_write(session);
    if (!wants || (line->leaving && !line->exchanges))
        duplex_close(line->duplex);
}

static void h2_closed(HttpLine *line, int error) {
    (void)error;
    for (HttpExchange *exchange = line->exchanges; exchange; exchange = exchange->next)
        nghttp2_session_set_stream_user_data(h2_of(line)->session, exchange->stream_id, NULL);
}

static uint64_t h2_tick(HttpLine *line, uint64_t now) {
    H2Line *h2 = h2_of(line);
    if (h2->pinged_ns && line->heard_ns > h2->pinged_ns)
        h2->pinged_ns = 0;
    if (h2->pinged_ns && now >= h2->pinged_ns + HTTP_CLIENT_PING_SECONDS * NS_PER_SEC) {
        line_break(line, -ETIMEDOUT);
        return UINT64_MAX;
    }
    uint64_t due = line->heard_ns + HTTP_CLIENT_SILENCE_SECONDS * NS_PER_SEC;
    if (!h2->pinged_ns && line->n_exchanges && now >= due) {
        nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
        h2->pinged_ns = now;
    }
    if (h2->pinged_ns)
        return h2->pinged_ns + HTTP_CLIENT_PING_SECONDS * NS_PER_SEC;
    return line->n_exchanges ? due : now + HTTP_CLIENT_SILENCE_SECONDS * NS_PER_SEC;
}

static void h2_free(HttpLine *line) {
    nghttp2_session_del(h2_of(line)->session);
    free(h2_of(line));
}

/* ---- its session ---- */

static int session_new(H2Line *h2) {
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int r = nghttp2_session_client_new(&h2->session, callbacks, h2);
    nghttp2_session_callbacks_del(callbacks);
    if (r != 0)
        return -ENOMEM;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP_CLIENT_WINDOW},
                                         {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX}};
    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ELEMENTSOF(settings)) == 0 &&
                   nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0
               ? 0
               : -ENOMEM;
}

int h2_line_new(HttpLine **ret) {
    static const LineOps ops = {
        h2_has_room, h2_send, h2_leave, h2_data, h2_flush, h2_closed, h2_tick, h2_free,
    };
    H2Line *h2 = NEW0(H2Line);
    h2->base.ops = &ops;
    int r = session_new(h2);
    if (r < 0) {
        nghttp2_session_del(h2->session);
        free(h2);
        return r;
    }
    *ret = &h2->base;
    return 0;
}
