/* HTTP/1.1: http-parser reads, we write. One request at a time: input that arrives while one is answered waits in
 * `pending` (at most about H1_PIPELINE_MAX, then reading stops), so pipelined requests are answered in order. */
#define LOG_COMPONENT "http"
#include "base/log.h"
#include "base/str.h"
#include "http/conn.h"
#include "http/duplex_internal.h"

#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
#include <strings.h>

typedef enum Collecting { COLLECT_NOTHING, COLLECT_TARGET, COLLECT_NAME, COLLECT_VALUE } Collecting;

typedef struct H1 {
    http_parser parser;
    Conn *conn;
    Collecting collecting;
    Buf head;    /* target NUL, then name NUL value NUL ... */
    Buf pending; /* input after the request being answered */
    Buf lines;   /* status lines and header fields to go out */
    HttpRequest *request;
    int reject_status;
    bool complete; /* the request is there as a whole */
    bool keep_alive, chunked, responded, closing, parsing;
} H1;

const char *status_text(int status) {
    return http_status_str((enum http_status)status);
}

static void collect_until(H1 *h1, Collecting next) {
    if (h1->collecting == next)
        return;
    if (h1->collecting != COLLECT_NOTHING)
        buf_putc(&h1->head, 0);
    if (h1->collecting == COLLECT_NAME && next != COLLECT_VALUE)
        buf_putc(&h1->head, 0); /* a name without a value */
    h1->collecting = next;
}

/* After appending n bytes. http-parser lets a NUL through at the start of a value, which would end our strings early.
 */
static int head_limit(H1 *h1, const char *p, size_t n) {
    if (h1->head.failed)
        h1->reject_status = 431;
    else if (n > 0 && memchr(p, 0, n))
        h1->reject_status = 400;
    return h1->reject_status ? -1 : 0;
}

static int on_message_begin(http_parser *parser) {
    H1 *h1 = parser->data;
    h1->head = BUF_INIT(HTTP_MAX_HEADERS);
    h1->collecting = COLLECT_NOTHING;
    conn_set_deadline(h1->conn, HTTP_HEAD_TIMEOUT_SECONDS);
    return 0;
}

static int on_url(http_parser *parser, const char *p, size_t n) {
    H1 *h1 = parser->data;
    collect_until(h1, COLLECT_TARGET);
    buf_append(&h1->head, p, n);
    return head_limit(h1, p, n);
}

static int on_header_field(http_parser *parser, const char *p, size_t n) {
    H1 *h1 = parser->data;
    if (h1->request)
        return 0; /* a trailer */
    collect_until(h1, COLLECT_NAME);
    for (size_t i = 0; i < n; i++)
        buf_putc(&h1->head, (char)tolower((unsigned char)p[i]));
    return head_limit(h1, p, n);
}

static int on_header_value(http_parser *parser, const char *p, size_t n) {
    H1 *h1 = parser->data;
    if (h1->request)
        return 0;
    collect_until(h1, COLLECT_VALUE);
    buf_append(&h1->head, p, n);
    return head_limit(h1, p, n);
}

/* The target is a path, or a whole URL as proxies send it. */
static const char *origin_form(const char *target) {
    const char *scheme = strncasecmp(target, "https://", 8) == 0  ? target + 8
                         : strncasecmp(target, "http://", 7) == 0 ? target + 7
                                                                  : NULL;
    if (!scheme)
        return target;
    const char *slash = strchr(scheme, '/');
    return slash ? slash : "/";
}

static int on_headers_complete(http_parser *parser) {
    H1 *h1 = parser->data;
    /* The last value may be empty, and then no callback came for it. */
    if (h1->collecting == COLLECT_NAME)
        collect_until(h1, COLLECT_VALUE);
    collect_until(h1, COLLECT_NOTHING);
    if (head_limit(h1, NULL, 0) < 0)
        return -1;
    HttpRequest *request = h1->request = request_new(h1->conn);
    const char *target = h1->head.data ? h1->head.data : "";
    size_t target_len = strlen(target);
    Buf fields = {.data = h1->head.data + target_len + 1, .len = h1->head.len - MIN(target_len + 1, h1->head.len)};
    int r = request_set_head(request, http_method_str((enum http_method)parser->method), origin_form(target), &fields);
    buf_done(&h1->head);
    h1->head = BUF_INIT(HTTP_MAX_HEADERS);
    request->state = REQUEST_BODY;
    conn_set_deadline(h1->conn, HTTP_BODY_TIMEOUT_SECONDS);
    bool sized = (parser->flags & F_CONTENTLENGTH) != 0, chunked = (parser->flags & F_CHUNKED) != 0;
    const char *expect = http_header(request, "expect");
    if (parser->http_major != 1)
        h1->reject_status = 505;
    else if (r < 0 || (parser->http_minor >= 1 && !http_header(request, "host")))
        h1->reject_status = 400;
    else if (http_header(request, "transfer-encoding") && !chunked)
        h1->reject_status = 501;
    bool with_body = chunked || (sized && parser->content_length > 0);
    if (!h1->reject_status && !(with_body && request_wants_stream(request)) && sized &&
        parser->content_length > request->body.limit)
        h1->reject_status = 413;
    if (h1->reject_status)
        return -1;
    if (expect && strcasecmp(expect, "100-continue") == 0 && parser->http_minor >= 1)
        buf_puts(&h1->lines, "HTTP/1.1 100 Continue\r\n\r\n");
    if (request->streamed)
        request_dispatch(request);
    return 0;
}

static int on_body(http_parser *parser, const char *p, size_t n) {
    H1 *h1 = parser->data;
    HttpRequest *request = h1->request;
    int r = request_add_body(request, p, n);
    if (r < 0)
        h1->reject_status = r == -EFBIG ? 413 : 429;
    if (r < 0 || !request->streamed)
        return r < 0 ? -1 : 0;
    conn_set_deadline(h1->conn, 0); /* it is ours to take */
    request_body_arrived(request);
    if (request->body.len > HTTP_BODY_HIGH_WATER)
        conn_pause_reading(h1->conn, true);
    return 0;
}

static void h1_body_taken(HttpRequest *request, size_t n) {
    (void)n;
    if (request->body_ended)
        return;
    conn_set_deadline(request->conn, HTTP_BODY_TIMEOUT_SECONDS);
    conn_pause_reading(request->conn, false);
}

static int on_message_complete(http_parser *parser) {
    H1 *h1 = parser->data;
    h1->complete = true;
    if (!h1->responded) /* a reply to a streamed body may have said otherwise already */
        h1->keep_alive = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings h1_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

int h1_start(Conn *conn) {
    H1 *h1 = NEW0(H1);
    http_parser_init(&h1->parser, HTTP_REQUEST);
    h1->parser.data = h1;
    h1->conn = conn;
    h1->pending = BUF_INIT(H1_PIPELINE_MAX + CONN_READ_SIZE);
    h1->lines = BUF_INIT(2 * HTTP_MAX_HEADERS);
    conn->state = h1;
    if (conn->stopping)
        h1->closing = true;
    return 0;
}

static void h1_reject(H1 *h1, int status) {
    static const Buf none = {0};
    if (!h1->request) {
        h1->request = request_new(h1->conn);
        request_set_head(h1->request, "GET", "/", &none);
    }
    h1->complete = true; /* what still comes is dropped */
    h1->keep_alive = false;
    h1->closing = true;
    conn_set_deadline(h1->conn, 0);
    request_reject(h1->request, status);
}

static void h1_parse(H1 *h1, const char *p, size_t n) {
    size_t used = http_parser_execute(&h1->parser, &h1_settings, p, n);
    enum http_errno e = HTTP_PARSER_ERRNO(&h1->parser);
    if (h1->reject_status || (e != HPE_OK && e != HPE_PAUSED)) {
        log_debug("%s: bad request: %s", h1->conn->info->peer, http_errno_description(e));
        if (h1->request && h1->request->streamed) { /* who handles it must be told */
            conn_break(h1->conn, -EPROTO);
            return;
        }
        h1_reject(h1, h1->reject_status ? h1->reject_status : e == HPE_HEADER_OVERFLOW ? 431 : 400);
        return;
    }
    if (!h1->complete)
        return;
    http_parser_pause(&h1->parser, 0);
    if (used < n)
        buf_append(&h1->pending, p + used, n - used);
    conn_set_deadline(h1->conn, 0);
    if (h1->request->streamed)
        request_body_ended(h1->request);
    else
        request_dispatch(h1->request);
}

static int h1_input(Conn *conn, const char *p, size_t n) {
    H1 *h1 = conn->state;
    if (h1->closing)
        return 0;
    if (!h1->complete) {
        h1_parse(h1, p, n);
        return 0;
    }
    buf_append(&h1->pending, p, n);
    if (h1->pending.len >= H1_PIPELINE_MAX)
        conn_pause_reading(conn, true);
    return h1->pending.failed ? -ENOBUFS : 0;
}

static void h1_eof(Conn *conn) {
    H1 *h1 = conn->state;
    /* A client may close its half after a whole request and still read the reply; a watch is over, and so is what asked
     * to be told. */
    if (h1->complete && h1->request && !h1->request->ops && !h1->request->gone) {
        h1->keep_alive = false;
        conn_pause_reading(conn, true);
    } else
        conn_break(conn, 0);
}

static void h1_respond(HttpRequest *request, Reply *reply) {
    H1 *h1 = request->conn->state;
    bool body = status_has_body(reply->status), sized = !reply->is_stream || reply->sized;
    bool old = h1->parser.http_minor == 0 && h1->parser.http_major == 1;
    if (request->conn->stopping || (!sized && old) || !h1->complete) /* a streamed body that nobody may read */
        h1->keep_alive = false;
    Buf *out = &h1->lines;
    buf_printf(out, "HTTP/1.1 %d %s\r\n", reply->status, status_text(reply->status));
    const char *name, *value;
    for (size_t at = 0; fields_next(reply->fields.data, reply->fields.len, &at, &name, &value);)
        buf_printf(out, "%s: %s\r\n", name, value);
    buf_printf(out, "date: %s\r\n", worker_date(request->worker));
    if (body && sized)
        buf_printf(out, "content-length: %llu\r\n",
                   (unsigned long long)(reply->sized ? reply->length : reply->body.len));
    h1->chunked = body && !sized && !old;
    if (h1->chunked)
        buf_puts(out, "transfer-encoding: chunked\r\n");
    if (!h1->keep_alive)
        buf_puts(out, "connection: close\r\n");
    else if (old)
        buf_puts(out, "connection: keep-alive\r\n");
    buf_puts(out, "\r\n");
    h1->responded = true;
    request->ops = reply->ops;
    request->userdata = reply->userdata;
    if (request->is_head || !body) {
        h1->chunked = false;
        request->stream_ended = true;
    } else if (!reply->is_stream)
        request->stream_ended = true;
    if (!reply->is_stream && body && !request->is_head)
        request_enqueue(request, reply->body);
    else
        bytes_release(&reply->body);
}

/* The reply is out: the next request, if it is here already. */
static void h1_next(H1 *h1) {
    Conn *conn = h1->conn;
    request_detach(TAKE_PTR(h1->request));
    h1->responded = h1->chunked = h1->complete = false;
    if (!h1->keep_alive || conn->stopping) {
        h1->closing = true;
        return;
    }
    conn_set_deadline(conn, HTTP_IDLE_TIMEOUT_SECONDS);
    conn_pause_reading(conn, false);
    if (h1->pending.len == 0) {
        buf_done(&h1->pending); /* an idle connection keeps no buffers */
        h1->pending = BUF_INIT(H1_PIPELINE_MAX + CONN_READ_SIZE);
    } else
        conn_mark_dirty(conn);
}

/* Only while the scratch is empty: the next request may take the connection over. */
static void h1_parse_pending(H1 *h1) {
    if (h1->complete || h1->closing || h1->pending.len == 0)
        return;
    _cleanup_buf_ Buf input = h1->pending;
    h1->pending = BUF_INIT(input.limit);
    h1_parse(h1, input.data, input.len);
}

static int h1_fill(Conn *conn, Buf *out) {
    H1 *h1 = conn->state;
    h1_parse_pending(h1);
    while (!conn->broken && out->len < CONN_SCRATCH) {
        if (h1->lines.len) {
            if (h1->lines.failed)
                return -ENOBUFS;
            buf_append(out, h1->lines.data, h1->lines.len);
            buf_done(&h1->lines);
            h1->lines = BUF_INIT(2 * HTTP_MAX_HEADERS);
        }
        HttpRequest *request = h1->request;
        if (!request || !h1->responded)
            break;
        request_pull(request, CONN_SCRATCH);
        if (request->queued > 0) {
            size_t n = MIN(request->queued, (size_t)CONN_SCRATCH);
            if (h1->chunked)
                buf_printf(out, "%zx\r\n", n);
            request_take(request, out, n);
            if (h1->chunked)
                buf_puts(out, "\r\n");
        } else if (request->aborted) {
            return -ECONNABORTED;
        } else if (request->stream_ended) {
            if (h1->chunked)
                buf_puts(out, "0\r\n\r\n");
            h1_next(h1);
        } else
            break;
    }
    return out->failed ? -ENOBUFS : 0;
}

static void h1_resume(HttpRequest *request) {
    (void)request; /* fill asks it */
}

static void h1_cut(HttpRequest *request) {
    conn_break(request->conn, -ETIMEDOUT);
}

static bool h1_finished(Conn *conn) {
    H1 *h1 = conn->state;
    return h1->closing && !h1->request;
}

static void h1_stop(Conn *conn) {
    H1 *h1 = conn->state;
    if (!h1->request)
        h1->closing = true;
    else if (h1->request->ops)
        request_end_stream(h1->request);
    conn_mark_dirty(conn);
}

static void h1_expire(Conn *conn, uint64_t now) {
    H1 *h1 = conn->state;
    if (!conn->deadline || now < conn->deadline)
        return;
    if (h1->request && h1->request->streamed)
        conn_break(conn, -ETIMEDOUT);
    else if (h1->request || h1->head.len > 0)
        h1_reject(h1, 408);
    else
        conn_break(conn, 0);
}

static void h1_done(Conn *conn) {
    H1 *h1 = conn->state;
    buf_done(&h1->head);
    buf_done(&h1->pending);
    buf_done(&h1->lines);
    free(h1);
    conn->state = NULL;
}

const Protocol h1_protocol = {
    .input = h1_input,
    .eof = h1_eof,
    .fill = h1_fill,
    .respond = h1_respond,
    .resume = h1_resume,
    .cut = h1_cut,
    .body_taken = h1_body_taken,
    .finished = h1_finished,
    .stop = h1_stop,
    .expire = h1_expire,
    .done = h1_done,
};

/* The request becomes a raw connection: its 101, what is left to send, and what came early go with it. */
int h1_hijack(HttpRequest *request, Buf *head, Duplex *duplex) {
    Conn *conn = request->conn;
    if (!conn || request->h2 || conn->broken)
        return -ECONNRESET;
    H1 *h1 = conn->state;
    Buf out = BUF_INIT(BUF_NO_LIMIT);
    if (conn->out.len > conn->out_done)
        buf_append(&out, conn->out.data + conn->out_done, conn->out.len - conn->out_done);
    if (h1->lines.len)
        buf_append(&out, h1->lines.data, h1->lines.len);
    buf_append(&out, head->data, head->len);
    Buf in = h1->pending;
    h1->pending = BUF_INIT(0);
    h1->request = NULL;
    duplex_attach(duplex, conn_take_transport(conn), &in, &out);
    request_detach(request);
    return 0;
}
