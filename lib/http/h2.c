/* HTTP/2 by nghttp2: one session a connection, a request a stream. Reply bytes go from the queue of the stream straight
 * into the worker's scratch (NO_COPY), as far as flow control lets them; a stream with nothing to say is deferred and
 * comes back through the `ready` list. */
#define LOG_COMPONENT "http"
#include "base/log.h"
#include "base/str.h"
#include "http/conn.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>

#define H2_STREAM_WINDOW (1024 * 1024)    /* bytes a client may send ahead on one stream */
#define H2_CONN_WINDOW (16 * 1024 * 1024) /* and on all of one connection */
#define H2_MAX_FIELDS 64                  /* of a reply */
#define H2_FILL (4 * CONN_SCRATCH)        /* bytes of data frames, and one frame more, made in one go */

typedef struct H2 {
    nghttp2_session *session;
    Conn *conn;
    HttpRequest *ready;
    Buf *out; /* during fill */
    bool goaway;
    unsigned n_receiving; /* requests not yet received whole */
} H2;

static HttpRequest *h2_request(nghttp2_session *session, int32_t stream_id) {
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static void set_idle(H2 *h2) {
    conn_set_deadline(h2->conn, h2->conn->n_requests == 0 ? HTTP_IDLE_TIMEOUT_SECONDS : 0);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    H2 *h2 = userdata;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    HttpRequest *request = request_new(h2->conn);
    request->h2 = true;
    request->stream_id = frame->hd.stream_id;
    request->deadline = now_monotonic_ns() + HTTP_HEAD_TIMEOUT_SECONDS * NS_PER_SEC;
    request->body.limit = HTTP_MAX_HEADERS; /* the body's buffer holds the head until it is whole */
    h2->n_receiving++;
    conn_set_deadline(h2->conn, 0);
    nghttp2_session_set_stream_user_data(session, request->stream_id, request);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata) {
    (void)flags, (void)userdata;
    HttpRequest *request = h2_request(session, frame->hd.stream_id);
    if (!request || request->state != REQUEST_HEAD)
        return 0;
    if (memchr(value, 0, value_len) || memchr(name, 0, name_len))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    buf_append(&request->body, name, name_len);
    buf_putc(&request->body, 0);
    buf_append(&request->body, value, value_len);
    buf_putc(&request->body, 0);
    return 0;
}

/* Sorts the pseudo fields from the others. */
static int request_finish_head(HttpRequest *request) {
    _cleanup_buf_ Buf fields = BUF_INIT(HTTP_MAX_HEADERS);
    const char *method = "", *target = "", *name, *value;
    for (size_t at = 0; fields_next(request->body.data, request->body.len, &at, &name, &value);) {
        if (streq(name, ":method"))
            method = value;
        else if (streq(name, ":path"))
            target = value;
        else if (streq(name, ":authority") || name[0] != ':') {
            name = name[0] == ':' ? "host" : name;
            buf_append(&fields, name, strlen(name) + 1);
            buf_append(&fields, value, strlen(value) + 1);
        }
    }
    int r = request_set_head(request, method, target, &fields);
    buf_done(&request->body);
    request->body = BUF_INIT(request->worker->server->config.max_body);
    return r;
}

static void request_received(H2 *h2, HttpRequest *request) {
    if (request->received)
        return;
    request->received = true;
    h2->n_receiving--;
    if (request->state == REQUEST_REJECTED)
        return;
    if (request->streamed)
        request_body_ended(request);
    else
        request_dispatch(request);
}

static void head_received(H2 *h2, HttpRequest *request, bool end_stream) {
    if (request->body.failed) {
        static const Buf none = {0};
        request_set_head(request, "GET", "/", &none);
        request_reject(request, 431);
        return;
    }
    int r = request_finish_head(request);
    request->state = REQUEST_BODY;
    request->deadline = now_monotonic_ns() + HTTP_BODY_TIMEOUT_SECONDS * NS_PER_SEC;
    const char *length = http_header(request, "content-length"), *expect = http_header(request, "expect");
    uint64_t n = 0;
    bool streamed = r == 0 && !end_stream && request_wants_stream(request);
    if (r < 0)
        request_reject(request, 400);
    else if (!streamed && length && str_to_uint64(length, &n) == 0 && n > request->body.limit)
        request_reject(request, 413);
    else if (expect && streq(expect, "100-continue") && !end_stream) {
        nghttp2_nv status = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "100", 7, 3, 0};
        nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, request->stream_id, NULL, &status, 1, NULL);
    }
    if (streamed)
        request_dispatch(request);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    H2 *h2 = userdata;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    HttpRequest *request = h2_request(session, frame->hd.stream_id);
    if (!request)
        return 0;
    bool end_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && request->state == REQUEST_HEAD)
        head_received(h2, request, end_stream);
    if (end_stream)
        request_received(h2, request);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t n,
                         void *userdata) {
    (void)flags, (void)userdata;
    HttpRequest *request = h2_request(session, stream_id);
    bool wanted = request && request->state == REQUEST_BODY, streamed = wanted && request->streamed;
    int r = wanted ? request_add_body(request, data, n) : 0;
    nghttp2_session_consume_connection(session, n);
    if (!streamed || r < 0) /* else what is not taken closes the stream's window */
        nghttp2_session_consume_stream(session, stream_id, n);
    if (r < 0 && streamed)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
    else if (r < 0)
        request_reject(request, r == -EFBIG ? 413 : 429);
    else if (streamed) {
        request->deadline = 0; /* it is ours to take */
        request_body_arrived(request);
    }
    return 0;
}

static void h2_body_taken(HttpRequest *request, size_t n) {
    H2 *h2 = request->conn->state;
    if (!request->body_ended)
        request->deadline = now_monotonic_ns() + HTTP_BODY_TIMEOUT_SECONDS * NS_PER_SEC;
    nghttp2_session_consume_stream(h2->session, request->stream_id, n);
    conn_mark_dirty(request->conn);
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *userdata) {
    (void)error;
    H2 *h2 = userdata;
    HttpRequest *request = h2_request(session, stream_id);
    if (!request)
        return 0;
    nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    if (!request->received) {
        request->received = true;
        h2->n_receiving--;
    }
    if (request->ready) {
        HttpRequest **p = &h2->ready;
        while (*p != request)
            p = &(*p)->next_ready;
        *p = request->next_ready;
        request->ready = false;
    }
    request_detach(request);
    set_idle(h2);
    return 0;
}

/* A reply that ends before its request (a body that is too large): the client may see it and stop by itself; curl 7.88
 * loses the reply when it is told to by RST_STREAM at once. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    (void)userdata;
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    HttpRequest *request = h2_request(session, frame->hd.stream_id);
    if (request && !request->received) {
        request->deadline = now_monotonic_ns() + CONN_LINGER_SECONDS * NS_PER_SEC;
        if (request->streamed)
            request->state = REQUEST_REJECTED; /* nobody takes what still comes */
    }
    return 0;
}

static ssize_t read_data(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *userdata) {
    (void)session, (void)stream_id, (void)buf, (void)userdata;
    HttpRequest *request = source->ptr;
    request_pull(request, length);
    size_t n = MIN(request->queued, length);
    if (n == 0 && !request->stream_ended) {
        request->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n == 0 && request->aborted)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* the stream is reset */
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!request->aborted && request->stream_ended && n == request->queued)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
                     nghttp2_data_source *source, void *userdata) {
    (void)session, (void)frame;
    H2 *h2 = userdata;
    buf_append(h2->out, frame_head, 9); /* the size of a frame header, RFC 9113 section 4.1 */
    request_take(source->ptr, h2->out, length);
    return h2->out->len < H2_FILL ? 0 : NGHTTP2_ERR_PAUSE; /* else nghttp2 goes on until the windows are full */
}

static int session_new(H2 *h2) {
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return -ENOMEM;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_option_set_no_closed_streams(option, 1); /* no memory for streams that are over */
    nghttp2_option_set_no_auto_window_update(option, 1);
    int r = nghttp2_session_server_new2(&h2->session, callbacks, h2, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r == 0 ? 0 : -ENOMEM;
}

int h2_start(Conn *conn) {
    H2 *h2 = NEW0(H2);
    h2->conn = conn;
    conn->state = h2;
    int r = session_new(h2);
    if (r < 0)
        return r;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP_MAX_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_MAX_HEADERS},
    };
    if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ELEMENTSOF(settings)) != 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW) != 0)
        return -ENOMEM;
    conn_set_deadline(conn, HTTP_HEAD_TIMEOUT_SECONDS);
    conn_mark_dirty(conn);
    if (conn->stopping)
        conn->protocol->stop(conn);
    return 0;
}

static int h2_input(Conn *conn, const char *p, size_t n) {
    H2 *h2 = conn->state;
    ssize_t used = nghttp2_session_mem_recv(h2->session, (const uint8_t *)p, n);
    if (used < 0) {
        log_debug("%s: %s", conn->info->peer, nghttp2_strerror((int)used));
        return -EPROTO;
    }
    if (conn->deadline && conn->n_requests == 0)
        set_idle(h2);
    return 0;
}

static void h2_eof(Conn *conn) {
    conn_break(conn, 0);
}

static void resume_ready(H2 *h2) {
    while (h2->ready) {
        HttpRequest *request = h2->ready;
        h2->ready = TAKE_PTR(request->next_ready);
        request->ready = false;
        if (request->deferred) {
            request->deferred = false;
            nghttp2_session_resume_data(h2->session, request->stream_id);
        }
    }
}

static int h2_fill(Conn *conn, Buf *out) {
    H2 *h2 = conn->state;
    resume_ready(h2);
    h2->out = out;
    ssize_t n = 0;
    while (out->len < CONN_SCRATCH) {
        const uint8_t *data = NULL;
        size_t before = out->len;
        n = nghttp2_session_mem_send(h2->session, &data);
        if (n < 0)
            break;
        if (n > 0)
            buf_append(out, data, (size_t)n);
        else if (out->len == before)
            break;
    }
    h2->out = NULL;
    return n < 0 || out->failed ? -EPROTO : 0;
}

static size_t reply_headers(HttpRequest *request, const Reply *reply, nghttp2_nv *nv, char *status, char *length) {
    size_t n = 0;
#define ADD(name_, value_)                                                                                             \
    do {                                                                                                               \
        const char *_n = (name_), *_v = (value_);                                                                      \
        if (n < H2_MAX_FIELDS)                                                                                         \
            nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)_n, (uint8_t *)(uintptr_t)_v, strlen(_n), strlen(_v), 0};     \
    } while (0)
    snprintf(status, 16, "%d", reply->status);
    ADD(":status", status);
    const char *name, *value;
    for (size_t at = 0; fields_next(reply->fields.data, reply->fields.len, &at, &name, &value);)
        ADD(name, value);
    ADD("date", worker_date(request->worker));
    if ((!reply->is_stream || reply->sized) && status_has_body(reply->status)) {
        snprintf(length, 32, "%llu", (unsigned long long)(reply->sized ? reply->length : reply->body.len));
        ADD("content-length", length);
    }
#undef ADD
    return n;
}

static void h2_respond(HttpRequest *request, Reply *reply) {
    H2 *h2 = request->conn->state;
    nghttp2_nv nv[H2_MAX_FIELDS];
    char status[16], length[32];
    size_t n = reply_headers(request, reply, nv, status, length);
    bool body = status_has_body(reply->status) && !request->is_head && (reply->is_stream || reply->body.len > 0);
    request->ops = reply->ops;
    request->userdata = reply->userdata;
    request->stream_ended = !reply->is_stream || !body;
    if (body)
        request_enqueue(request, reply->body);
    else
        bytes_release(&reply->body);
    nghttp2_data_provider provider = {.source.ptr = request, .read_callback = read_data};
    int r = nghttp2_submit_response(h2->session, request->stream_id, nv, n, body ? &provider : NULL);
    if (r != 0)
        nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, request->stream_id, NGHTTP2_INTERNAL_ERROR);
}

static void h2_resume(HttpRequest *request) {
    H2 *h2 = request->conn->state;
    if (request->ready)
        return;
    request->ready = true;
    request->next_ready = h2->ready;
    h2->ready = request;
}

static void h2_cut(HttpRequest *request) {
    H2 *h2 = request->conn->state;
    request->aborted = request->stream_ended = true;
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, request->stream_id, NGHTTP2_INTERNAL_ERROR);
    conn_mark_dirty(request->conn);
}

static bool h2_finished(Conn *conn) {
    H2 *h2 = conn->state;
    if (h2->goaway && conn->n_requests == 0)
        return true;
    return !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
}

static void h2_stop(Conn *conn) {
    H2 *h2 = conn->state;
    if (!h2->goaway) {
        h2->goaway = true;
        nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
    }
    for (HttpRequest *request = conn->requests; request; request = request->next)
        request_end_stream(request);
    conn_mark_dirty(conn);
}

static void h2_expire(Conn *conn, uint64_t now) {
    H2 *h2 = conn->state;
    if (conn->deadline && now >= conn->deadline && conn->n_requests == 0) {
        conn_set_deadline(conn, CONN_LINGER_SECONDS);
        if (h2->goaway)
            conn_break(conn, 0);
        else
            h2_stop(conn);
        return;
    }
    if (h2->n_receiving == 0)
        return;
    for (HttpRequest *request = conn->requests; request; request = request->next) {
        if (!request->deadline || now < request->deadline)
            continue;
        if (request->state == REQUEST_HEAD) { /* its header block blocks all others: RFC 9113 section 4.3 */
            conn_break(conn, -ETIMEDOUT);
            return;
        }
        if (request->state == REQUEST_REJECTED || request->streamed) { /* who handles it sees the stream end */
            request->deadline = 0;
            nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, request->stream_id, NGHTTP2_NO_ERROR);
            conn_mark_dirty(conn);
        } else
            request_reject(request, 408);
    }
}

static void h2_done(Conn *conn) {
    H2 *h2 = conn->state;
    nghttp2_session_del(h2->session);
    free(h2);
    conn->state = NULL;
}

const Protocol h2_protocol = {
    .input = h2_input,
    .eof = h2_eof,
    .fill = h2_fill,
    .respond = h2_respond,
    .resume = h2_resume,
    .cut = h2_cut,
    .body_taken = h2_body_taken,
    .finished = h2_finished,
    .stop = h2_stop,
    .expire = h2_expire,
    .done = h2_done,
};
