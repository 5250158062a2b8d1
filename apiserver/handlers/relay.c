/* The upstream side is a Duplex of the client request's own loop, so that everything but the connecting happens on one
 * thread. A relay lives until both its sides have ended: `refs` counts them. */
#define LOG_COMPONENT "apiserver"
#include "apiserver/handlers/relay.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "http/websocket.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>

typedef struct Relay {
    Exchange *exchange;
    const RelayPlan *plan;
    Duplex *up, *down;
    WebSocket *ws; /* over `down` */
    bool base64;
    Source *timer;
    int refs, connect_error, code;
    char *connect_why; /* owned */
    http_parser parser;
    Buf raw; /* header names and values of the reply, each NUL-terminated */
    size_t piece_at[2 * RELAY_HEADERS_MAX + 1];
    size_t n_pieces;
    bool in_value, head_done, answered, up_ended, message_done, client_gone;
    bool connected; /* `up` is the loop's from then on */
    bool sending;   /* a body that comes while it goes on */
    bool in_chunks; /* which says no length */
    RelayHow how;
    RelayHead head;
    Buf body; /* what waits for the client, or what is collected */
} Relay;

const char *relay_head_get(const RelayHead *head, const char *name) {
    for (size_t i = 0; i < head->n; i++)
        if (streq(head->headers[i].name, name))
            return head->headers[i].value;
    return NULL;
}

void relay_head_drop(RelayHead *head, const char *const *names) {
    size_t kept = 0;
    for (size_t i = 0; i < head->n; i++)
        if (!str_in(head->headers[i].name, names))
            head->headers[kept++] = head->headers[i];
    head->n = kept;
}

void relay_head_set(RelayHead *head, const char *name, const char *value) {
    for (size_t i = 0; i < head->n; i++)
        if (streq(head->headers[i].name, name)) {
            head->headers[i].value = value;
            return;
        }
    if (head->n < RELAY_HEADERS_MAX)
        head->headers[head->n++] = (HttpHeader){name, value};
}

static void relay_unref(Relay *relay) {
    if (--relay->refs > 0)
        return;
    Exchange *exchange = relay->exchange;
    source_unref(relay->timer);
    websocket_free(relay->ws);
    duplex_unref(relay->up);
    duplex_unref(relay->down);
    buf_done(&relay->raw);
    buf_done(&relay->body);
    free(relay->connect_why);
    http_request_on_gone(exchange->http, NULL, NULL);
    http_body_on_ready(exchange->http, NULL, NULL);
    if (exchange->done)
        exchange->done(exchange, relay->code, exchange->userdata);
    exchange_free(exchange);
    free(relay);
}

static void fail(Relay *relay, RelayFault fault, const char *why) {
    if (relay->answered)
        return;
    relay->answered = true;
    http_request_on_gone(relay->exchange->http, NULL, NULL);
    relay->code = relay->plan->ops->failed(relay->exchange, relay->plan, fault, why);
}

/* ---- the reply, parsed ---- */

static void begin_piece(Relay *relay) {
    if (relay->n_pieces < ELEMENTSOF(relay->piece_at))
        relay->piece_at[relay->n_pieces++] = relay->raw.len;
}

static int on_piece(http_parser *parser, const char *at, size_t n, bool value) {
    Relay *relay = parser->data;
    if (relay->head_done)
        return 0; /* a trailer */
    if (relay->n_pieces == 0 || relay->in_value != value) {
        if (relay->n_pieces)
            buf_putc(&relay->raw, 0);
        begin_piece(relay);
        relay->in_value = value;
    }
    buf_append(&relay->raw, at, n);
    return relay->raw.failed;
}

static int on_field(http_parser *parser, const char *at, size_t n) {
    return on_piece(parser, at, n, false);
}

static int on_value(http_parser *parser, const char *at, size_t n) {
    return on_piece(parser, at, n, true);
}

static int send_message(Relay *relay, const char *p, size_t n) {
    if (!relay->base64)
        return websocket_send(relay->ws, false, NULL, 0, p, n);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&text, p, n);
    return websocket_send(relay->ws, true, NULL, 0, text.data, text.len);
}

static int on_body(http_parser *parser, const char *at, size_t n) {
    Relay *relay = parser->data;
    if (relay->ws)
        return send_message(relay, at, n) < 0;
    if (relay->how == RELAY_STREAM && relay->plan->ops->filter)
        relay->plan->ops->filter(relay->exchange, relay->plan, at, n, false, &relay->body);
    else
        buf_append(&relay->body, at, n);
    return relay->body.failed;
}

static void read_head(Relay *relay) {
    RelayHead *head = &relay->head;
    buf_putc(&relay->raw, 0);
    head->status = (int)relay->parser.status_code;
    for (size_t i = 0; i + 1 < relay->n_pieces && head->n < RELAY_HEADERS_MAX; i += 2) {
        char *name = relay->raw.data + relay->piece_at[i];
        for (char *p = name; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        head->headers[head->n++] = (HttpHeader){name, relay->raw.data + relay->piece_at[i + 1]};
    }
}

/* ---- both ways after an upgrade ---- */

static void down_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    if (relay->ws) {
        if (websocket_input(relay->ws, p, n) < 0)
            duplex_close(relay->down);
    } else if (duplex_write(relay->up, p, n) < 0)
        duplex_close(relay->down);
    else if (duplex_pending(relay->up) > RELAY_HIGH_WATER)
        duplex_pause(relay->down, true);
}

static void down_drained(Duplex *duplex, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    duplex_pause(relay->up, false);
}

static void down_closed(Duplex *duplex, int error, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    (void)error;
    duplex_close(relay->up);
    relay_unref(relay);
}

static void take_over(Relay *relay, const HttpHeader *headers, size_t n) {
    static const DuplexOps ops = {down_data, down_drained, down_closed};
    relay->answered = true;
    http_request_on_gone(relay->exchange->http, NULL, NULL);
    int r = http_hijack(relay->exchange->http, headers, n, &relay->down);
    if (r < 0) {
        log_warn("cannot take over the connection of %s: %s", http_peer(relay->exchange->http), strerror(-r));
        websocket_free(relay->ws);
        relay->ws = NULL;
        duplex_close(relay->up);
        return;
    }
    relay->refs++;
    duplex_start(relay->down, &ops, relay);
}

static void start_tunnel(Relay *relay) {
    static const char *const hop[] = {"content-length", "transfer-encoding", "date", NULL};
    relay_head_drop(&relay->head, hop);
    take_over(relay, relay->head.headers, relay->head.n);
}

/* ---- a reply in messages ---- */

static void peer_closes(unsigned code, void *userdata) {
    Relay *relay = userdata;
    (void)code;
    duplex_close(relay->down);
}

static int write_frame(const void *head, size_t head_len, const void *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    return duplex_write2(relay->down, head, head_len, p, n);
}

static void peer_says(bool text, const void *p, size_t n, void *userdata) { /* nothing is asked of it */
    (void)text, (void)p, (void)n, (void)userdata;
}

static void start_messages(Relay *relay) {
    static const WebSocketOps ops = {peer_says, peer_closes, write_frame};
    const HttpRequest *http = relay->exchange->http;
    HttpHeader headers[WEBSOCKET_HEADERS];
    char accept[WEBSOCKET_ACCEPT_SIZE];
    size_t n = 0;
    bool binary = websocket_offers(http, "binary.k8s.io");
    relay->base64 = !binary && websocket_offers(http, "base64.binary.k8s.io");
    const char *protocol = binary ? "binary.k8s.io" : relay->base64 ? "base64.binary.k8s.io" : NULL;
    if (websocket_handshake(http, protocol, headers, &n, accept) < 0 || websocket_new(&ops, relay, &relay->ws) < 0) {
        fail(relay, RELAY_BROKEN, "not a WebSocket handshake of version 13");
        duplex_close(relay->up);
        return;
    }
    take_over(relay, headers, n);
}

/* ---- a streamed reply ---- */

static HttpStreamResult stream_pull(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    if (relay->body.len) {
        Buf body = relay->body;
        relay->body = BUF_INIT(BUF_NO_LIMIT);
        http_stream_write(http, http_bytes_take(&body));
        duplex_pause(relay->up, false);
        return HTTP_STREAM_MORE;
    }
    return relay->message_done ? HTTP_STREAM_END : relay->up_ended ? HTTP_STREAM_ABORT : HTTP_STREAM_WAIT;
}

static void stream_closed(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    (void)http;
    relay->client_gone = true;
    duplex_close(relay->up);
    relay_unref(relay);
}

static void start_stream(Relay *relay) {
    static const HttpStreamOps ops = {stream_pull, stream_closed};
    relay->answered = true;
    relay->body.limit = BUF_NO_LIMIT; /* held down by pausing */
    relay->refs++;
    http_stream_start(relay->exchange->http, relay->head.status, relay->head.headers, relay->head.n, &ops, relay);
}

/* ---- the upstream connection ---- */

static int on_head(http_parser *parser) {
    Relay *relay = parser->data;
    if (parser->status_code < 200 && parser->status_code != 101)
        return 1; /* another head follows, and no body comes between them */
    relay->timer = source_unref(relay->timer);
    read_head(relay);
    relay->head_done = true;
    relay->code = relay->head.status;
    relay->how = relay->plan->ops->head(relay->exchange, relay->plan, &relay->head);
    if (relay->how == RELAY_TUNNEL)
        start_tunnel(relay);
    else if (relay->how == RELAY_STREAM)
        start_stream(relay);
    else if (relay->how == RELAY_MESSAGES)
        start_messages(relay);
    return streq(relay->plan->method, "HEAD"); /* 1: no body follows, whatever the head says */
}

static int on_complete(http_parser *parser) {
    Relay *relay = parser->data;
    if (!relay->head_done) {
        relay->n_pieces = 0;
        buf_clear(&relay->raw);
        return 0;
    }
    relay->message_done = true;
    if (relay->how == RELAY_STREAM) {
        if (relay->plan->ops->filter)
            relay->plan->ops->filter(relay->exchange, relay->plan, "", 0, true, &relay->body);
        if (!relay->client_gone)
            http_stream_wake(relay->exchange->http);
    } else if (relay->ws && relay->down) {
        websocket_close(relay->ws, WEBSOCKET_NORMAL);
        duplex_close(relay->down);
    } else if (relay->how == RELAY_COLLECT && !relay->answered) {
        relay->answered = true;
        http_request_on_gone(relay->exchange->http, NULL, NULL);
        relay->code = relay->plan->ops->collected(relay->exchange, relay->plan, &relay->head, &relay->body);
    }
    http_parser_pause(parser, 1); /* nothing after it is a reply to us */
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void parse(Relay *relay, const char **bytes, size_t *n) {
    size_t parsed = http_parser_execute(&relay->parser, &settings, *bytes, *n);
    enum http_errno e = HTTP_PARSER_ERRNO(&relay->parser);
    *bytes += parsed;
    *n -= parsed;
    if (e != HPE_OK && e != HPE_PAUSED) {
        char why[128];
        snprintf(why, sizeof why, "net/http: malformed HTTP response: %s", http_errno_description(e));
        fail(relay, RELAY_BROKEN, why);
        duplex_close(relay->up);
    } else if (relay->message_done && relay->how != RELAY_TUNNEL)
        duplex_close(relay->up);
}

static void up_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    const char *bytes = p;
    if (relay->how != RELAY_TUNNEL && !relay->message_done)
        parse(relay, &bytes, &n);
    if (relay->how == RELAY_STREAM && relay->head_done && !relay->client_gone) {
        http_stream_wake(relay->exchange->http);
        if (relay->body.len > RELAY_HIGH_WATER)
            duplex_pause(duplex, true);
    }
    if (relay->ws && relay->down && duplex_pending(relay->down) > RELAY_HIGH_WATER)
        duplex_pause(duplex, true);
    if (relay->how != RELAY_TUNNEL || !relay->down || n == 0)
        return;
    if (duplex_write(relay->down, bytes, n) < 0)
        duplex_close(duplex);
    else if (duplex_pending(relay->down) > RELAY_HIGH_WATER)
        duplex_pause(duplex, true);
}

static void pump(Relay *relay);

static void up_drained(Duplex *duplex, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    if (relay->down)
        duplex_pause(relay->down, false);
    pump(relay);
}

static void up_closed(Duplex *duplex, int error, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    /* The end of the connection is the end of a body that has no length. */
    if (relay->how != RELAY_TUNNEL && !relay->message_done && relay->head_done && error == 0)
        http_parser_execute(&relay->parser, &settings, NULL, 0);
    relay->up_ended = true;
    relay->timer = source_unref(relay->timer);
    if (relay->down)
        duplex_close(relay->down);
    else if (relay->how == RELAY_STREAM && relay->head_done) {
        if (!relay->client_gone)
            http_stream_wake(relay->exchange->http);
    } else {
        char why[128] = "EOF";
        if (error) {
            snprintf(why, sizeof why, "read tcp %s:%u: read: %s", relay->plan->to.host, relay->plan->to.port,
                     error == -ECONNRESET ? "connection reset by peer" : strerror(-error));
        }
        fail(relay, RELAY_BROKEN, why);
    }
    relay_unref(relay);
}

static void on_timeout(Source *source, void *userdata) {
    (void)source;
    Relay *relay = userdata;
    fail(relay, RELAY_TIMEOUT, "context deadline exceeded");
    duplex_close(relay->up);
}

static void on_gone(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    (void)http;
    relay->client_gone = true;
    if (relay->connected)
        duplex_close(relay->up);
}

static bool has_body(const Relay *relay, const char **ret, size_t *ret_len) {
    static const char *const always[] = {"POST", "PUT", "PATCH", NULL};
    *ret = "";
    *ret_len = 0;
    if (relay->plan->with_body && !http_body_is_streamed(relay->exchange->http))
        *ret = http_body(relay->exchange->http, ret_len);
    return *ret_len > 0 || str_in(relay->plan->method, always);
}

/* The other side has all of the request: its time to answer begins. */
static void await_head(Relay *relay) {
    if (relay->plan->head_timeout_ns && !relay->head_done && !relay->timer)
        loop_add_timer(http_request_loop(relay->exchange->http), now_monotonic_ns() + relay->plan->head_timeout_ns,
                       on_timeout, relay, &relay->timer);
}

/* Passes on what came of the body, as far as the other side takes it. */
static void pump(Relay *relay) {
    _cleanup_buf_ Buf body = BUF_INIT(BUF_NO_LIMIT), size = BUF_INIT(32);
    if (!relay->sending || relay->up_ended || duplex_pending(relay->up) > RELAY_HIGH_WATER)
        return;
    HttpBodyState state = http_body_take(relay->exchange->http, &body);
    if (body.len && relay->in_chunks) {
        buf_printf(&size, "%zx\r\n", body.len);
        buf_puts(&body, "\r\n");
    }
    if (state == HTTP_BODY_ENDED && relay->in_chunks)
        buf_puts(&body, "0\r\n\r\n");
    relay->sending = state == HTTP_BODY_OPEN;
    if (duplex_write2(relay->up, size.data, size.len, body.data, body.len) < 0 || state == HTTP_BODY_BROKEN)
        duplex_close(relay->up);
    else if (state == HTTP_BODY_ENDED)
        await_head(relay);
}

static void on_body_ready(HttpRequest *http, void *userdata) {
    (void)http;
    pump(userdata);
}

/* A body that comes as it likes goes on in the same way: as long as the client said, or in chunks. */
static void write_streamed_head(Relay *relay, Buf *out) {
    const char *length = http_header(relay->exchange->http, "content-length");
    uint64_t n;
    relay->sending = true;
    relay->in_chunks = !length || str_to_uint64(length, &n) < 0;
    if (relay->in_chunks)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else
        buf_printf(out, "Content-Length: %s\r\n", length);
}

static void write_request(Relay *relay) {
    const RelayPlan *plan = relay->plan;
    _cleanup_buf_ Buf out = BUF_INIT(2 * HTTP_MAX_HEADERS);
    const char *body;
    size_t len;
    bool with_length = has_body(relay, &body, &len);
    buf_printf(&out, "%s %s HTTP/1.1\r\n", plan->method, plan->target);
    for (size_t i = 0; i < plan->n_headers; i++)
        buf_printf(&out, "%s: %s\r\n", plan->headers[i].name, plan->headers[i].value);
    if (!plan->upgrade)
        buf_puts(&out, "Connection: close\r\n");
    if (plan->with_body && http_body_is_streamed(relay->exchange->http))
        write_streamed_head(relay, &out);
    else if (with_length)
        buf_printf(&out, "Content-Length: %zu\r\n", len);
    buf_puts(&out, "\r\n");
    if (out.failed || duplex_write2(relay->up, out.data, out.len, body, len) < 0) {
        fail(relay, RELAY_BROKEN, "the request is too large");
        duplex_close(relay->up);
    }
}

static void connected(void *userdata) {
    static const DuplexOps ops = {up_data, up_drained, up_closed};
    Relay *relay = userdata;
    if (relay->connect_error < 0) {
        if (!relay->client_gone)
            fail(relay, RELAY_UNREACHED, str_or(relay->connect_why, strerror(-relay->connect_error)));
        relay_unref(relay);
        return;
    }
    relay->connected = true;
    http_parser_init(&relay->parser, HTTP_RESPONSE);
    relay->parser.data = relay;
    write_request(relay);
    if (relay->client_gone)
        duplex_close(relay->up);
    else if (!relay->sending)
        await_head(relay);
    duplex_start(relay->up, &ops, relay);
    if (relay->sending) {
        http_body_on_ready(relay->exchange->http, on_body_ready, relay);
        pump(relay);
    }
}

static void connect_on_pool(void *userdata) {
    Relay *relay = userdata;
    Loop *loop = http_request_loop(relay->exchange->http);
    DuplexConnect to = relay->plan->to;
    to.ret_error = &relay->connect_why;
    to.timeout_ns = RELAY_CONNECT_NS;
    relay->connect_error = duplex_connect(loop, &to, &relay->up);
    loop_post(loop, connected, relay);
}

void relay_serve(Exchange *exchange, const RelayPlan *plan) {
    Relay *relay = NEW0(Relay);
    relay->exchange = exchange;
    relay->plan = plan;
    relay->refs = 1;
    relay->raw = BUF_INIT(RELAY_HEAD_MAX);
    relay->body = BUF_INIT(RELAY_COLLECT_MAX);
    http_request_on_gone(exchange->http, on_gone, relay);
    if (pool_submit(api_http_connect_pool(exchange->api), connect_on_pool, relay) < 0) {
        fail(relay, RELAY_UNREACHED, "too many connections are being made");
        relay_unref(relay);
    }
}
