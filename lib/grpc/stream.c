/* Calls on a connection: what is sent, what arrives, and how they end. */
#include "grpc/connection.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

/* ---- the end, and news ---- */

static void note_news(GrpcStream *x) {
    GrpcConnection *c = x->connection;
    if (x->ready)
        return;
    x->ready = true;
    x->next_ready = NULL;
    *c->last_ready = x;
    c->last_ready = &x->next_ready;
}

static void finish(GrpcStream *x) {
    x->done = true;
    note_news(x);
}

/* A unary call's answer is worth nothing without its status OK. */
static void drop_messages(GrpcStream *x) {
    for (; x->first < x->n; x->first++)
        buf_done(&x->messages[x->first]);
}

void stream_fail(GrpcStream *x, GrpcCode code, const char *why) {
    grpc_status_set(&x->status, code, "%s", why);
    finish(x);
}

void stream_was_reset(GrpcStream *x, uint32_t error) {
    grpc_status_set(&x->status, grpc_code_of_reset(error), "stream terminated by RST_STREAM with error code: %s",
                    nghttp2_http2_strerror(error));
    finish(x);
}

void stream_broke(GrpcStream *x, int error) {
    if (error == -ECANCELED)
        grpc_status_set(&x->status, GRPC_CANCELED, "context canceled");
    else
        grpc_status_set(&x->status, GRPC_UNAVAILABLE, "error reading from server: %s",
                        error == -ECONNRESET ? "EOF" : strerror(-error));
    x->closed = true;
    finish(x);
}

/* ---- headers ---- */

static void keep(char **where, const uint8_t *value, size_t n) {
    free(*where);
    *where = xstrndup((const char *)value, n);
}

void stream_begin_headers(GrpcStream *x) {
    x->http_status = 0;
}

void stream_header(GrpcStream *x, const char *name, const uint8_t *value, size_t name_len, size_t value_len) {
    x->header_bytes += name_len + value_len;
    if (x->header_bytes > GRPC_HEADERS_MAX)
        stream_fail(x, GRPC_INTERNAL, "peer header list size exceeded limit");
    else if (streq(name, ":status"))
        x->http_status = atoi((const char *)value); /* nghttp2 lets three digits through */
    else if (streq(name, "content-type"))
        keep(&x->content_type, value, value_len);
    else if (streq(name, "grpc-status"))
        keep(&x->grpc_status, value, value_len);
    else if (streq(name, "grpc-message"))
        keep(&x->grpc_message, value, value_len);
}

static bool is_grpc_type(const char *type) {
    static const char grpc[] = "application/grpc";
    if (!type || strncasecmp(type, grpc, sizeof grpc - 1) != 0)
        return false;
    char next = type[sizeof grpc - 1];
    return !next || next == '+' || next == ';';
}

static void not_grpc(GrpcStream *x) {
    static const char unexpected[] = "unexpected HTTP status code received from server";
    if (x->content_type)
        grpc_status_set(&x->status, grpc_code_of_http(x->http_status),
                        "%s: %d; transport: received unexpected content-type \"%s\"", unexpected, x->http_status,
                        x->content_type);
    else
        grpc_status_set(&x->status, grpc_code_of_http(x->http_status),
                        "%s: %d; malformed header: missing HTTP content-type", unexpected, x->http_status);
    finish(x);
}

/* The stream's end came with headers: they carry the status. */
static void take_status(GrpcStream *x) {
    uint32_t code = GRPC_UNKNOWN; /* of a server that sends none */
    if (x->grpc_status && grpc_code_parse(x->grpc_status, &code) < 0) {
        grpc_status_set(&x->status, GRPC_UNKNOWN, "transport: malformed grpc-status: \"%s\"", x->grpc_status);
    } else {
        if (x->grpc_message)
            grpc_message_decode(x->grpc_message);
        grpc_status_set(&x->status, code, "%s", x->grpc_message ? x->grpc_message : "");
        if (code == GRPC_OK && message_reader_finish(&x->reader, &x->status) == 0 && x->kind == GRPC_UNARY &&
            !x->received)
            grpc_status_set(&x->status, GRPC_INTERNAL,
                            "cardinality violation: received no response message from non-server-streaming RPC");
    }
    finish(x);
}

void stream_headers(GrpcStream *x, bool end) {
    if (!x->grpc && x->http_status >= 100 && x->http_status < 200)
        return;
    if (x->grpc && !end) {
        stream_fail(x, GRPC_INTERNAL, "a HEADERS frame cannot appear in the middle of a stream");
        return;
    }
    x->grpc = x->grpc || is_grpc_type(x->content_type);
    if (!x->grpc)
        not_grpc(x);
    else if (end)
        take_status(x);
}

/* ---- messages ---- */

static void keep_message(GrpcStream *x) {
    if (x->first == x->n)
        x->first = x->n = 0;
    if (x->n == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 4;
        x->messages = xreallocn(x->messages, x->cap, sizeof *x->messages);
    }
    x->messages[x->n++] = message_reader_take(&x->reader);
    x->received++;
    if (x->kind != GRPC_UNARY) /* the news of a unary call is its end */
        note_news(x);
}

void stream_data(GrpcStream *x, const uint8_t *data, size_t n) {
    int r;
    while (n && (r = message_reader_feed(&x->reader, &data, &n, &x->status)) != 0) {
        if (r < 0) {
            finish(x);
            return;
        }
        keep_message(x);
        if (x->kind == GRPC_UNARY && n) {
            stream_fail(x, GRPC_INTERNAL,
                        "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another "
                        "message");
            return;
        }
    }
}

int grpc_stream_take(GrpcStream *x, Buf *ret) {
    if (x->first == x->n)
        return 0;
    *ret = x->messages[x->first++];
    if (x->first == x->n && x->held && !x->closed && !x->connection->broken) {
        (void)nghttp2_session_consume_stream(x->connection->session, x->id, x->held);
        x->held = 0;
    }
    return 1;
}

const GrpcStatus *grpc_stream_status(const GrpcStream *x) {
    return x->done && x->first == x->n ? &x->status : NULL;
}

void *grpc_stream_userdata(const GrpcStream *x) {
    return x->userdata;
}

/* ---- sending ---- */

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                            nghttp2_data_source *source, void *userdata) {
    (void)source, (void)userdata;
    GrpcStream *x = nghttp2_session_get_stream_user_data(session, id);
    if (!x)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* closed here: its reset is on the way */
    n = MIN(n, x->out.len - x->sent);
    if (n)
        memcpy(out, x->out.data + x->sent, n);
    x->sent += n;
    if (x->sent == x->out.len) {
        buf_done(&x->out);
        x->out = BUF_INIT(GRPC_SEND_MAX);
        x->sent = 0;
        if (x->no_more)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (!n) {
            x->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)n;
}

static void resume(GrpcStream *x) {
    if (!x->deferred || x->closed)
        return;
    x->deferred = false;
    (void)nghttp2_session_resume_data(x->connection->session, x->id);
}

int grpc_stream_send(GrpcStream *x, const void *message, size_t n) {
    if (x->done || x->no_more)
        return -EPIPE;
    if (n > GRPC_SEND_MAX - GRPC_PREFIX_SIZE || x->out.len > GRPC_SEND_MAX - GRPC_PREFIX_SIZE - n)
        return -EMSGSIZE;
    int r = message_frame(&x->out, message, n);
    if (r == 0)
        resume(x);
    return r;
}

void grpc_stream_end(GrpcStream *x) {
    x->no_more = true;
    resume(x);
}

static nghttp2_nv field(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static int submit(GrpcConnection *c, GrpcStream *x, const GrpcRequest *request) {
    uint64_t now = now_monotonic_ns();
    char timeout[GRPC_TIMEOUT_MAX];
    nghttp2_nv fields[8 + GRPC_METADATA_MAX] = {field(":method", "POST"),
                                                field(":scheme", c->tls ? "https" : "http"),
                                                field(":path", request->path),
                                                field(":authority", c->authority),
                                                field("content-type", "application/grpc"),
                                                field("user-agent", c->agent),
                                                field("te", "trailers")};
    size_t n = 7;
    if (request->deadline_ns != GRPC_NEVER) {
        grpc_timeout_format(request->deadline_ns > now ? request->deadline_ns - now : 0, timeout);
        fields[n++] = field("grpc-timeout", timeout);
    }
    for (size_t i = 0; i < request->n_metadata; i++)
        fields[n++] = field(request->metadata[i].name, request->metadata[i].value);
    nghttp2_data_provider body = {.read_callback = read_request};
    x->id = nghttp2_submit_request(c->session, NULL, fields, n, &body, x);
    return x->id < 0 ? -EPROTO : 0;
}

static void start(GrpcConnection *c, GrpcStream *x, const GrpcRequest *request) {
    if (!grpc_is_usable(c))
        stream_fail(x, GRPC_UNAVAILABLE, "the connection is closed");
    else if (now_monotonic_ns() >= request->deadline_ns)
        stream_fail(x, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    else if (request->n_metadata > GRPC_METADATA_MAX ||
             (request->message && message_frame(&x->out, request->message, request->n) < 0))
        stream_fail(x, GRPC_RESOURCE_EXHAUSTED, "the request is over the client's limits");
    else if (submit(c, x, request) < 0)
        stream_fail(x, GRPC_INTERNAL, "the request cannot be sent");
}

/* ---- its life ---- */

GrpcStream *grpc_stream_open(GrpcConnection *c, GrpcStreamKind kind, const GrpcRequest *request, void *userdata) {
    GrpcStream *x = NEW0(GrpcStream);
    x->connection = c;
    x->kind = kind;
    x->userdata = userdata;
    x->id = -1;
    x->deadline_ns = request->deadline_ns;
    x->out = BUF_INIT(GRPC_SEND_MAX);
    x->no_more = kind != GRPC_BIDIRECTIONAL;
    x->reader = MESSAGE_READER_INIT(c->message_max);
    x->next = c->streams;
    x->previous = &c->streams;
    if (x->next)
        x->next->previous = &x->next;
    c->streams = x;
    start(c, x, request);
    return x;
}

static void forget_news(GrpcStream *x) {
    GrpcConnection *c = x->connection;
    if (!x->ready)
        return;
    GrpcStream **at = &c->ready;
    while (*at != x)
        at = &(*at)->next_ready;
    *at = x->next_ready;
    if (!*at)
        c->last_ready = at;
    x->ready = false;
}

int grpc_stream_receive(GrpcStream *x, uint64_t until_ns, Buf *ret) {
    for (;;) {
        forget_news(x);
        if (grpc_stream_take(x, ret))
            return 1;
        if (x->done)
            return 0;
        GrpcConnection *c = x->connection;
        /* a connection that breaks ends the stream, and that is news */
        int r = connection_turn(c, &x->ready, true, until_ns);
        if (x->ready)
            continue;
        if (c->woken) {
            c->woken = false;
            return -EINTR;
        }
        if (r == -ETIMEDOUT)
            return r;
    }
}

static void unlist(GrpcStream *x) {
    forget_news(x);
    *x->previous = x->next;
    if (x->next)
        x->next->previous = x->previous;
}

void grpc_stream_close(GrpcStream *x) {
    if (!x)
        return;
    GrpcConnection *c = x->connection;
    if (x->id >= 0 && !x->closed && !c->broken) {
        (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, x->id, NGHTTP2_CANCEL);
        (void)nghttp2_session_set_stream_user_data(c->session, x->id, NULL);
    }
    unlist(x);
    drop_messages(x);
    free(x->messages);
    message_reader_done(&x->reader);
    buf_done(&x->out);
    free(x->content_type);
    free(x->grpc_status);
    free(x->grpc_message);
    grpc_status_done(&x->status);
    free(x);
}

void grpc_call(GrpcConnection *c, const GrpcRequest *request, Buf *ret_message, GrpcStatus *ret_status) {
    GrpcRequest whole = *request;
    whole.message = request->message ? request->message : "";
    GrpcStream *x = grpc_stream_open(c, GRPC_UNARY, &whole, NULL);
    while (!x->done && connection_turn(c, &x->done, false, GRPC_NEVER) == 0)
        ;
    *ret_status = x->status;
    x->status = (GrpcStatus){0};
    if (ret_status->code == GRPC_OK)
        (void)grpc_stream_take(x, ret_message);
    grpc_stream_close(x);
    if (!c->broken)
        (void)connection_flush(c); /* the reset, when there is one */
}
