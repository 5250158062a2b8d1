#define LOG_COMPONENT "http"
#include "base/log.h"
#include "base/str.h"
#include "http/conn.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define GZIP_OUT_MAX (1024u * 1024 * 1024) /* bytes of one body, compressed */

void bytes_release(HttpBytes *bytes) {
    if (bytes->release)
        bytes->release(bytes->owner);
    *bytes = (HttpBytes){0};
}

HttpBytes http_bytes_take(Buf *buf) {
    size_t len = buf->len;
    char *data = buf->data;
    buf->data = NULL;
    buf->len = buf->cap = 0;
    return (HttpBytes){.data = data, .len = len, .owner = data, .release = free};
}

HttpBytes http_bytes_copy(const void *data, size_t len) {
    void *copy = len ? xmemdup(data, len) : NULL;
    return (HttpBytes){.data = copy, .len = len, .owner = copy, .release = free};
}

ConnInfo *conn_info_ref(ConnInfo *info) {
    atomic_fetch_add_explicit(&info->refs, 1, memory_order_relaxed);
    return info;
}

void conn_info_unref(ConnInfo *info) {
    if (!info || atomic_fetch_sub_explicit(&info->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < info->n_organizations; i++)
        free(info->organizations[i]);
    free(info->organizations);
    free(info->cn);
    free(info);
}

HttpRequest *request_new(Conn *conn) {
    HttpRequest *request = NEW0(HttpRequest);
    request->refs = 1;
    request->worker = worker_ref(conn->worker);
    request->info = conn_info_ref(conn->info);
    request->conn = conn;
    request->queue_tail = &request->queue;
    request->body = BUF_INIT(conn->worker->server->config.max_body);
    request->next = conn->requests;
    if (request->next)
        request->next->prev = request;
    conn->requests = request;
    conn->n_requests++;
    worker_add_load(conn->worker, CONN_BODY_RESERVE);
    return request;
}

HttpRequest *http_request_ref(HttpRequest *request) {
    atomic_fetch_add_explicit(&request->refs, 1, memory_order_relaxed);
    return request;
}

static void request_drop_queue(HttpRequest *request) {
    for (Chunk *c = request->queue, *next; c; c = next) {
        next = c->next;
        bytes_release(&c->bytes);
        free(c);
    }
    request->queue = NULL;
    request->queue_tail = &request->queue;
    request->queued = request->offset = 0;
}

void http_request_unref(HttpRequest *request) {
    if (!request || atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) != 1)
        return;
    request_drop_queue(request);
    /* The server outlives its connections but not every reference: the charge was given back at request_detach. */
    buf_done(&request->body);
    free(request->head);
    gzip_free(request->gzip);
    conn_info_unref(request->info);
    worker_unref(request->worker);
    free(request);
}

int request_set_head(HttpRequest *request, const char *method, const char *target, const Buf *fields) {
    size_t method_len = strlen(method), target_len = strlen(target);
    const char *question = strchr(target, '?');
    size_t path_len = question ? (size_t)(question - target) : target_len;
    char *p = request->head = xmalloc(method_len + target_len + fields->len + 4);
    memcpy(p, method, method_len + 1);
    request->path = p += method_len + 1;
    memcpy(p, target, path_len);
    p[path_len] = 0;
    p += path_len + 1;
    request->query = p;
    size_t query_len = question ? target_len - path_len - 1 : 0;
    memcpy(p, question ? question + 1 : "", query_len);
    p[query_len] = 0;
    request->fields = p += query_len + 1;
    if (fields->len)
        memcpy(p, fields->data, fields->len);
    request->fields_len = fields->len;
    request->is_head = streq(method, "HEAD");
    return target[0] == '/' || streq(target, "*") ? 0 : -EINVAL;
}

int request_add_body(HttpRequest *request, const void *p, size_t n) {
    HttpServer *server = request->worker->server;
    if (n > request->body.limit - request->body.len)
        return -EFBIG;
    if (atomic_fetch_add(&server->body_bytes, n) + n > CONN_MAX_BODIES &&
        request->conn->body_bytes + n > CONN_BODY_RESERVE) {
        atomic_fetch_sub(&server->body_bytes, n);
        return -ENOBUFS;
    }
    request->charged += n;
    request->conn->body_bytes += n;
    worker_add_load(request->worker, n);
    buf_append(&request->body, p, n);
    return 0;
}

bool request_wants_stream(HttpRequest *request) {
    const HttpServerConfig *config = &request->worker->server->config;
    if (!config->streams || !config->streams(request, config->userdata))
        return false;
    request->streamed = true;
    request->body.limit = BUF_NO_LIMIT; /* flow control bounds it */
    return true;
}

static void body_tell(HttpRequest *request) {
    if (request->body_ready)
        request->body_ready(request, request->body_userdata);
}

void request_body_arrived(HttpRequest *request) {
    body_tell(request);
}

void request_body_ended(HttpRequest *request) {
    request->body_ended = true;
    request->state = REQUEST_HANDLED;
    request->deadline = 0;
    body_tell(request);
}

bool http_body_is_streamed(const HttpRequest *request) {
    return request->streamed;
}

void http_body_on_ready(HttpRequest *request, void (*ready)(HttpRequest *request, void *userdata), void *userdata) {
    request->body_ready = ready;
    request->body_userdata = userdata;
}

HttpBodyState http_body_take(HttpRequest *request, Buf *out) {
    size_t n = request->body.len;
    if (n) {
        buf_append(out, request->body.data, n);
        buf_done(&request->body);
        request->body = BUF_INIT(BUF_NO_LIMIT);
    }
    if (n && request->conn) {
        request->charged -= n;
        request->conn->body_bytes -= n;
        request->worker->load -= n;
        atomic_fetch_sub(&request->worker->server->body_bytes, n);
        request->conn->protocol->body_taken(request, n);
    }
    return request->body_ended ? HTTP_BODY_ENDED : request->conn ? HTTP_BODY_OPEN : HTTP_BODY_BROKEN;
}

void request_dispatch(HttpRequest *request) {
    if (!request->streamed) {
        request->state = REQUEST_HANDLED;
        request->received = true;
        request->deadline = 0;
    }
    HttpServer *server = request->worker->server;
    http_request_ref(request); /* the handler may hand the connection over, and goes on */
    server->config.handler(request, server->config.userdata);
    http_request_unref(request);
}

static void stream_closed(HttpRequest *request) {
    const HttpStreamOps *ops = TAKE_PTR(request->ops);
    if (ops && ops->closed)
        ops->closed(request, request->userdata);
}

void http_request_on_gone(HttpRequest *request, void (*gone)(HttpRequest *request, void *userdata), void *userdata) {
    request->gone = gone;
    request->gone_userdata = userdata;
    if (gone && !request->conn) {
        request->gone = NULL;
        gone(request, userdata);
    }
}

static void on_late(Source *source, void *userdata) {
    HttpRequest *request = userdata;
    (void)source;
    request->late_timer = source_unref(request->late_timer);
    if (atomic_load(&request->replied))
        return;
    void (*gone)(HttpRequest *, void *) = TAKE_PTR(request->gone);
    http_request_ref(request);
    request->is_late = true;
    request->late(request);
    if (gone)
        gone(request, request->gone_userdata);
    http_request_unref(request);
}

void http_request_on_late(HttpRequest *request, uint64_t due_ns, void (*late)(HttpRequest *request)) {
    if (!request->conn || request->late_timer)
        return;
    request->late = late;
    loop_add_timer(request->worker->loop, due_ns, on_late, request, &request->late_timer);
}

void http_request_cut_at(HttpRequest *request, uint64_t due_ns) {
    request->cut_at = due_ns;
}

static void on_cut(Source *source, void *userdata) {
    HttpRequest *request = userdata;
    (void)source;
    request->cut_timer = source_unref(request->cut_timer);
    request->conn->protocol->cut(request);
}

void request_detach(HttpRequest *request) {
    Conn *conn = TAKE_PTR(request->conn);
    if (!conn)
        return;
    void (*gone)(HttpRequest *, void *) = TAKE_PTR(request->gone);
    request->late_timer = source_unref(request->late_timer);
    request->cut_timer = source_unref(request->cut_timer);
    if (request->prev)
        request->prev->next = request->next;
    else
        conn->requests = request->next;
    if (request->next)
        request->next->prev = request->prev;
    conn->n_requests--;
    atomic_fetch_sub(&request->worker->server->body_bytes, request->charged);
    conn->body_bytes -= request->charged;
    request->worker->load -= CONN_BODY_RESERVE + request->charged;
    request->charged = 0;
    request_drop_queue(request);
    stream_closed(request);
    if (gone)
        gone(request, request->gone_userdata);
    http_request_unref(request);
}

void request_enqueue(HttpRequest *request, HttpBytes bytes) {
    if (bytes.len == 0) {
        bytes_release(&bytes);
        return;
    }
    Chunk *chunk = NEW0(Chunk);
    chunk->bytes = bytes;
    *request->queue_tail = chunk;
    request->queue_tail = &chunk->next;
    request->queued += bytes.len;
}

void request_take(HttpRequest *request, Buf *out, size_t n) {
    request->queued -= n;
    while (n > 0) {
        Chunk *chunk = request->queue;
        size_t part = MIN(n, chunk->bytes.len - request->offset);
        buf_append(out, (const char *)chunk->bytes.data + request->offset, part);
        request->offset += part;
        n -= part;
        if (request->offset < chunk->bytes.len)
            continue;
        request->offset = 0;
        request->queue = chunk->next;
        if (!request->queue)
            request->queue_tail = &request->queue;
        bytes_release(&chunk->bytes);
        free(chunk);
    }
}

static void stream_gzip(HttpRequest *request, const void *p, size_t n, bool last) {
    Buf out = BUF_INIT(GZIP_OUT_MAX);
    if (gzip_write(request->gzip, p, n, last, &out) < 0)
        request->aborted = true;
    if (out.len == 0)
        buf_done(&out);
    else
        request_enqueue(request, http_bytes_take(&out));
}

void request_pull(HttpRequest *request, size_t want) {
    while (!request->stream_ended && request->ops && request->queued < MIN(want, (size_t)HTTP_STREAM_BUFFER)) {
        size_t before = request->queued;
        if (request->waits && !atomic_load(&request->woken))
            return;
        atomic_store(&request->woken, false);
        request->in_pull = true;
        request->wrote = false;
        HttpStreamResult result = request->ops->pull(request, request->userdata);
        if (result == HTTP_STREAM_END && request->gzip)
            stream_gzip(request, "", 0, true);
        request->in_pull = false;
        size_t came = request->queued - before;
        if (request->sized)
            request->left -= MIN((uint64_t)came, request->left);
        if (result == HTTP_STREAM_END || result == HTTP_STREAM_ABORT || request->aborted) {
            request->stream_ended = true;
            request->aborted |= result == HTTP_STREAM_ABORT || (request->sized && request->left > 0);
        } else if ((request->waits = result == HTTP_STREAM_WAIT))
            return;
        else if (!request->wrote) {
            http_stream_wake(request); /* said more and gave none: others first */
            return;
        }
    }
}

void request_end_stream(HttpRequest *request) {
    if (!request->ops || request->stream_ended || request->ops->is_body)
        return;
    request->stream_ended = true;
    request->conn->protocol->resume(request);
    conn_mark_dirty(request->conn);
}

static void reply_apply(HttpRequest *request, Reply *reply) {
    request->gone = NULL;
    request->late_timer = source_unref(request->late_timer);
    if (request->conn) {
        request->status = reply->status;
        request->sized = reply->sized;
        request->left = reply->length;
        request->conn->protocol->respond(request, reply);
        if (request->cut_at)
            loop_add_timer(request->worker->loop, request->cut_at, on_cut, request, &request->cut_timer);
        conn_mark_dirty(request->conn);
    } else {
        bytes_release(&reply->body);
        request->ops = reply->ops;
        request->userdata = reply->userdata;
        stream_closed(request);
    }
    buf_done(&reply->fields);
}

typedef struct PostedReply {
    HttpRequest *request;
    Reply reply;
} PostedReply;

static void reply_arrived(void *userdata) {
    PostedReply *posted = userdata;
    reply_apply(posted->request, &posted->reply);
    http_request_unref(posted->request);
    free(posted);
}

static void reply_send(HttpRequest *request, Reply *reply) {
    if (loop_is_current(request->worker->loop)) {
        reply_apply(request, reply);
        return;
    }
    PostedReply *posted = NEW(PostedReply);
    *posted = (PostedReply){.request = http_request_ref(request), .reply = *reply};
    if (!worker_post(request->worker, reply_arrived, posted))
        reply_arrived(posted); /* the server has stopped: every connection is gone */
}

static void fields_add(Buf *fields, const char *name, const char *value) {
    for (const char *p = name; *p; p++)
        buf_putc(fields, (char)tolower((unsigned char)*p)); /* HTTP/2 knows no others */
    buf_putc(fields, 0);
    buf_append(fields, value, strlen(value) + 1);
}

/* A value from an object (a redirect, a warning) must not split the header. */
static bool field_is_safe(const HttpHeader *header) {
    return header->name && header->value && !strpbrk(header->value, "\r\n") && !strpbrk(header->name, "\r\n :");
}

/* The framing and the connection are ours to describe; a handler that relays another server's fields may pass them all.
 */
static bool field_is_ours(const HttpHeader *header) {
    static const char *const ours[] = {"content-length", "transfer-encoding", "connection", "keep-alive", "date", NULL};
    for (size_t i = 0; ours[i]; i++)
        if (strcasecmp(header->name, ours[i]) == 0)
            return true;
    return false;
}

static void reply_set_fields(Reply *reply, const HttpHeader *headers, size_t n_headers) {
    reply->fields = BUF_INIT(HTTP_MAX_HEADERS);
    for (size_t i = 0; i < n_headers; i++) {
        if (!field_is_safe(&headers[i]))
            log_warn("a reply header was dropped: it has a line break or no name");
        else if (reply->is_stream && strcasecmp(headers[i].name, "content-length") == 0)
            reply->sized = str_to_uint64(headers[i].value, &reply->length) == 0;
        else if (!field_is_ours(&headers[i]))
            fields_add(&reply->fields, headers[i].name, headers[i].value);
    }
}

static bool accepts_gzip(const HttpRequest *request) {
    const char *accept = http_header(request, "accept-encoding");
    return accept && strstr(accept, "gzip") && !strstr(accept, "gzip;q=0,") && !str_has_suffix(accept, "gzip;q=0");
}

static bool may_compress(const HttpRequest *request, const HttpHeader *headers, size_t n_headers) {
    for (size_t i = 0; i < n_headers; i++)
        if (streq(headers[i].name, "content-encoding"))
            return false;
    return accepts_gzip(request);
}

static void fields_add_gzip(Buf *fields) {
    fields_add(fields, "content-encoding", "gzip");
    fields_add(fields, "vary", "Accept-Encoding");
}

static void reply_compress(const HttpRequest *request, Reply *reply, const HttpHeader *headers, size_t n_headers) {
    if (reply->body.len < HTTP_GZIP_MIN || !may_compress(request, headers, n_headers))
        return;
    Buf out = BUF_INIT(GZIP_OUT_MAX);
    _cleanup_(gzip_freep) Gzip *gzip = gzip_new();
    if (gzip_write(gzip, reply->body.data, reply->body.len, true, &out) < 0) {
        buf_done(&out);
        return;
    }
    bytes_release(&reply->body);
    reply->body = http_bytes_take(&out);
    fields_add_gzip(&reply->fields);
}

static bool reply_is_first(HttpRequest *request) {
    if (!atomic_exchange(&request->replied, true))
        return true;
    if (request->state != REQUEST_REJECTED && !request->is_late)
        log_error("a second reply to %s %s was dropped", http_method(request), http_path(request));
    return false;
}

void http_reply(HttpRequest *request, int status, const HttpHeader *headers, size_t n_headers, HttpBytes body) {
    if (!reply_is_first(request)) {
        bytes_release(&body);
        return;
    }
    Reply reply = {.status = status, .body = body};
    reply_set_fields(&reply, headers, n_headers);
    reply_compress(request, &reply, headers, n_headers);
    reply_send(request, &reply);
}

void http_stream_start(HttpRequest *request, int status, const HttpHeader *headers, size_t n_headers,
                       const HttpStreamOps *ops, void *userdata) {
    Reply reply = {.status = status, .is_stream = true, .ops = ops, .userdata = userdata};
    if (!reply_is_first(request)) {
        if (ops->closed)
            ops->closed(request, userdata);
        return;
    }
    reply_set_fields(&reply, headers, n_headers);
    if (ops->is_body && !reply.sized && may_compress(request, headers, n_headers)) {
        request->gzip = gzip_new();
        fields_add_gzip(&reply.fields);
    }
    reply_send(request, &reply);
}

void http_stream_write(HttpRequest *request, HttpBytes bytes) {
    request->wrote = true;
    if (request->in_pull && request->conn && !request->gzip) {
        request_enqueue(request, bytes);
        return;
    }
    if (request->in_pull && request->conn)
        stream_gzip(request, bytes.data, bytes.len, false);
    bytes_release(&bytes);
}

static void stream_woken(HttpRequest *request) {
    if (!request->conn || !request->ops)
        return;
    request->conn->protocol->resume(request);
    conn_mark_dirty(request->conn);
}

static void stream_woken_posted(void *userdata) {
    HttpRequest *request = userdata;
    stream_woken(request);
    http_request_unref(request);
}

void http_stream_wake(HttpRequest *request) {
    if (atomic_exchange(&request->woken, true))
        return; /* told already; the next pull sees what is new */
    if (loop_is_current(request->worker->loop)) {
        stream_woken(request);
        return;
    }
    http_request_ref(request);
    if (!worker_post(request->worker, stream_woken_posted, request))
        http_request_unref(request);
}

typedef struct Rejection {
    int status;
    const char *reason, *message;
} Rejection;

static const Rejection rejections[] = {
    {400, "BadRequest", "the request is not well-formed HTTP"},
    {408, "Timeout", "the request did not arrive in time"},
    {413, "RequestEntityTooLarge", "Request entity too large: limit is %zu"},
    {429, "TooManyRequests", "Too many requests, please try again later."},
    {431, "BadRequest", "Request header fields too large: limit is %zu"},
    {501, "NotImplemented", "this transfer coding is not supported"},
    {505, "BadRequest", "this HTTP version is not supported"},
};

void request_reject(HttpRequest *request, int status) {
    const Rejection *rejection = &rejections[0];
    for (size_t i = 0; i < ELEMENTSOF(rejections); i++)
        if (rejections[i].status == status)
            rejection = &rejections[i];
    char message[128];
    size_t limit = status == 413 ? request->worker->server->config.max_body : HTTP_MAX_HEADERS;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(message, sizeof message, rejection->message, limit);
#pragma GCC diagnostic pop
    Buf body = BUF_INIT(1024);
    buf_printf(&body,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"%s\","
               "\"reason\":\"%s\",%s\"code\":%d}\n",
               message, rejection->reason, status == 429 ? "\"details\":{\"retryAfterSeconds\":1}," : "", status);
    request->state = REQUEST_REJECTED;
    request->deadline = 0;
    static const HttpHeader headers[] = {{"content-type", "application/json"}, {"retry-after", "1"}};
    http_reply(request, status, headers, status == 429 ? 2 : 1, http_bytes_take(&body));
}

const char *http_method(const HttpRequest *request) {
    return request->head ? request->head : "";
}

const char *http_path(const HttpRequest *request) {
    return request->path ? request->path : "";
}

const char *http_query(const HttpRequest *request) {
    return request->query ? request->query : "";
}

const char *http_header(const HttpRequest *request, const char *lower_case_name) {
    const char *name, *value;
    for (size_t at = 0; fields_next(request->fields, request->fields_len, &at, &name, &value);)
        if (streq(name, lower_case_name))
            return value;
    return NULL;
}

bool http_header_at(const HttpRequest *request, size_t index, const char **ret_name, const char **ret_value) {
    for (size_t at = 0; fields_next(request->fields, request->fields_len, &at, ret_name, ret_value);)
        if (index-- == 0)
            return true;
    return false;
}

const char *http_body(const HttpRequest *request, size_t *ret_len) {
    *ret_len = request->body.len;
    return request->body.data ? request->body.data : "";
}

bool http_is_h2(const HttpRequest *request) {
    return request->h2;
}

const char *http_peer(const HttpRequest *request) {
    return request->info->peer;
}

const char *http_peer_cn(const HttpRequest *request) {
    return request->info->cn;
}

const char *const *http_peer_organizations(const HttpRequest *request, size_t *ret_n) {
    *ret_n = request->info->n_organizations;
    return (const char *const *)request->info->organizations;
}

bool http_peer_is_front(const HttpRequest *request) {
    return request->info->is_front;
}

bool http_peer_is_unknown(const HttpRequest *request) {
    return request->info->is_unknown;
}

const char *http_peer_fingerprint(const HttpRequest *request) {
    return request->info->fingerprint[0] ? request->info->fingerprint : NULL;
}

Loop *http_request_loop(const HttpRequest *request) {
    return request->worker->loop;
}
