/* Connections to node agents: logs are streamed, upgraded connections (exec, attach, portforward) are relayed byte by
 * byte.
 *
 * The upstream side is a Duplex of the client request's own loop, so that everything but the connecting happens on one
 * thread. A relay lives until both its sides have ended: `refs` counts them. */
#define LOG_COMPONENT "apiserver"
#include "apiserver/handlers/http.h"
#include "apiserver/handlers/node_target.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "http/duplex.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>

#define CONNECT_TIMEOUT_NS (10 * NS_PER_SEC)
#define RELAY_HIGH_WATER (256 * 1024) /* pending bytes past which the other side is no longer read */
#define HEAD_MAX (64 * 1024)          /* of an agent's reply */
#define ERROR_BODY_MAX (1024 * 1024)  /* of a reply that is no success */
#define UPSTREAM_HEADERS_MAX 32

typedef struct Relay {
    Exchange *exchange;
    NodeTarget target;
    Duplex *up, *down;
    int refs, connect_error;
    http_parser parser;
    Buf head; /* header names and values of the agent's reply, each NUL-terminated */
    size_t header_at[2 * UPSTREAM_HEADERS_MAX + 1];
    size_t n_pieces;
    bool in_value, head_done, answered, streaming, up_ended, message_done;
    Buf body; /* what waits for the client (logs), or an error's body */
} Relay;

static void relay_unref(Relay *relay) {
    if (--relay->refs > 0)
        return;
    duplex_unref(relay->up);
    duplex_unref(relay->down);
    buf_done(&relay->head);
    buf_done(&relay->body);
    if (relay->exchange->done)
        relay->exchange->done(relay->exchange, (int)relay->parser.status_code, relay->exchange->userdata);
    exchange_free(relay->exchange);
    free(relay);
}

static void refuse(Relay *relay, const char *why) {
    ApiError err = {0};
    if (relay->answered)
        return;
    relay->answered = true;
    api_error_set(&err, 500, "InternalError", "error dialing backend: https://%s:%u: %s", relay->target.host,
                  relay->target.port, why);
    http_reply_error(relay->exchange->http, NULL, &err);
    api_error_done(&err);
}

/* The agent's reply, parsed. */

static void begin_piece(Relay *relay) {
    if (relay->n_pieces < ELEMENTSOF(relay->header_at))
        relay->header_at[relay->n_pieces++] = relay->head.len;
}

static int on_piece(http_parser *parser, const char *at, size_t n, bool value) {
    Relay *relay = parser->data;
    if (relay->n_pieces == 0 || relay->in_value != value) {
        if (relay->n_pieces)
            buf_putc(&relay->head, 0);
        begin_piece(relay);
        relay->in_value = value;
    }
    buf_append(&relay->head, at, n);
    return relay->head.failed;
}

static int on_field(http_parser *parser, const char *at, size_t n) {
    return on_piece(parser, at, n, false);
}

static int on_value(http_parser *parser, const char *at, size_t n) {
    return on_piece(parser, at, n, true);
}

static int on_body(http_parser *parser, const char *at, size_t n) {
    Relay *relay = parser->data;
    buf_append(&relay->body, at, n);
    return relay->body.failed;
}

static size_t reply_headers(Relay *relay, HttpHeader *out, const char *const *hop) {
    size_t n = 0;
    for (size_t i = 0; i + 1 < relay->n_pieces && n < UPSTREAM_HEADERS_MAX; i += 2) {
        char *name = relay->head.data + relay->header_at[i];
        for (char *p = name; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if (!str_in(name, hop))
            out[n++] = (HttpHeader){name, relay->head.data + relay->header_at[i + 1]};
    }
    return n;
}

/* Both ways after an upgrade. */

static void down_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    if (duplex_write(relay->up, p, n) < 0)
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

static void start_relaying(Relay *relay) {
    static const char *const hop[] = {"content-length", "transfer-encoding", "date", NULL};
    static const DuplexOps ops = {down_data, down_drained, down_closed};
    HttpHeader headers[UPSTREAM_HEADERS_MAX];
    size_t n = reply_headers(relay, headers, hop);
    relay->answered = true;
    int r = http_hijack(relay->exchange->http, headers, n, &relay->down);
    if (r < 0) {
        log_warn("cannot take over the connection of %s: %s", http_peer(relay->exchange->http), strerror(-r));
        duplex_close(relay->up);
        return;
    }
    relay->refs++;
    duplex_start(relay->down, &ops, relay);
}

/* A streamed reply. */

static HttpStreamResult log_pull(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    if (relay->body.len) {
        Buf body = relay->body;
        relay->body = BUF_INIT(BUF_NO_LIMIT);
        http_stream_write(http, http_bytes_take(&body));
        duplex_pause(relay->up, false);
        return HTTP_STREAM_MORE;
    }
    return relay->message_done || relay->up_ended ? HTTP_STREAM_END : HTTP_STREAM_WAIT;
}

static void log_closed(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    (void)http;
    duplex_close(relay->up);
    relay_unref(relay);
}

static void start_streaming(Relay *relay) {
    static const HttpStreamOps ops = {log_pull, log_closed};
    static const char *const hop[] = {"content-length", "transfer-encoding", "connection", "date", "keep-alive", NULL};
    HttpHeader headers[UPSTREAM_HEADERS_MAX];
    size_t n = reply_headers(relay, headers, hop);
    relay->answered = relay->streaming = true;
    relay->body.limit = BUF_NO_LIMIT; /* held down by pausing */
    relay->refs++;
    http_stream_start(relay->exchange->http, 200, headers, n, &ops, relay);
}

static int on_head(http_parser *parser) {
    Relay *relay = parser->data;
    buf_putc(&relay->head, 0);
    relay->head_done = true;
    if (parser->status_code == 101 && relay->target.upgrade)
        start_relaying(relay);
    else if (parser->status_code == 200 && !relay->target.upgrade)
        start_streaming(relay);
    return 0;
}

/* A refused upgrade goes to the client as it is: kubectl words its own message around the text. */
static void pass_refusal_on(Relay *relay) {
    static const char *const hop[] = {"content-length", "transfer-encoding", "connection", "date",
                                      "keep-alive",     "upgrade",           NULL};
    HttpHeader headers[UPSTREAM_HEADERS_MAX];
    size_t n = reply_headers(relay, headers, hop);
    http_reply(relay->exchange->http, (int)relay->parser.status_code, headers, n,
               http_bytes_copy(str_or(relay->body.data, ""), relay->body.len));
}

/* Anything else is an answer to pass on: a Status already, or text that becomes one's message. */
static void pass_error_on(Relay *relay) {
    ApiError err = {0};
    unsigned code = relay->parser.status_code;
    if (relay->answered)
        return;
    relay->answered = true;
    if (relay->target.upgrade && code >= 300) {
        pass_refusal_on(relay);
        return;
    }
    if (relay->body.len && relay->body.data[0] == '{') {
        HttpHeader headers[] = {{"content-type", "application/json"}};
        http_reply(relay->exchange->http, (int)code, headers, 1, http_bytes_copy(relay->body.data, relay->body.len));
        return;
    }
    while (relay->body.len && relay->body.data[relay->body.len - 1] == '\n')
        relay->body.data[--relay->body.len] = 0;
    const char *text = relay->body.len ? relay->body.data : "the node agent answered without a reason";
    if (code == 400)
        api_error_bad_request(&err, "%s", text);
    else if (code == 404)
        api_error_set(&err, 404, "NotFound", "the server could not find the requested resource ( %s %s)",
                      relay->exchange->route.subresource, text);
    else if (code == 500)
        api_error_set(&err, 500, "InternalError", "Internal error occurred: %s", text);
    else
        api_error_set(&err, code < 400 ? 500 : (int)code, "InternalError", "%s", text);
    http_reply_error(relay->exchange->http, NULL, &err);
    api_error_done(&err);
}

static int on_complete(http_parser *parser) {
    Relay *relay = parser->data;
    relay->message_done = true;
    if (relay->streaming)
        http_stream_wake(relay->exchange->http);
    else if (!relay->down)
        pass_error_on(relay);
    return 0;
}

static void up_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    static const http_parser_settings settings = {
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_complete,
    };
    Relay *relay = userdata;
    const char *bytes = p;
    if (!relay->down && !relay->message_done) {
        size_t parsed = http_parser_execute(&relay->parser, &settings, bytes, n);
        if (!relay->parser.upgrade && parsed != n) {
            refuse(relay, "the node agent's answer is not HTTP");
            duplex_close(duplex);
            return;
        }
        bytes += parsed;
        n -= parsed;
    }
    if (relay->streaming) {
        http_stream_wake(relay->exchange->http);
        if (relay->body.len > RELAY_HIGH_WATER)
            duplex_pause(duplex, true);
    }
    if (!relay->down || n == 0)
        return;
    if (duplex_write(relay->down, bytes, n) < 0)
        duplex_close(duplex);
    else if (duplex_pending(relay->down) > RELAY_HIGH_WATER)
        duplex_pause(duplex, true);
}

static void up_drained(Duplex *duplex, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    if (relay->down)
        duplex_pause(relay->down, false);
}

static void up_closed(Duplex *duplex, int error, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    relay->up_ended = true;
    if (relay->down)
        duplex_close(relay->down);
    else if (relay->streaming)
        http_stream_wake(relay->exchange->http);
    else if (relay->head_done && !relay->answered)
        pass_error_on(relay);
    else
        refuse(relay, error ? strerror(-error) : "the node agent closed the connection");
    relay_unref(relay);
}

static void write_request(Relay *relay) {
    static const char *const passed[] = {"sec-websocket-key",
                                         "sec-websocket-version",
                                         "sec-websocket-protocol",
                                         "sec-websocket-extensions",
                                         "x-stream-protocol-version",
                                         "origin",
                                         NULL};
    const HttpRequest *http = relay->exchange->http;
    _cleanup_buf_ Buf out = BUF_INIT(HTTP_MAX_HEADERS * 2);
    const char *name, *value, *upgrade = http_header(http, "upgrade");
    buf_printf(&out, "%s %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: kube-apiserver\r\n",
               relay->target.upgrade ? http_method(http) : "GET", relay->target.path, relay->target.host,
               relay->target.port);
    if (relay->target.upgrade)
        buf_printf(&out, "Connection: Upgrade\r\nUpgrade: %s\r\n", str_or(upgrade, ""));
    else
        buf_puts(&out, "Connection: close\r\nAccept: */*\r\n");
    for (size_t i = 0; relay->target.upgrade && http_header_at(http, i, &name, &value); i++)
        if (str_in(name, passed))
            buf_printf(&out, "%s: %s\r\n", name, value);
    if (streq(http_method(http), "POST"))
        buf_puts(&out, "Content-Length: 0\r\n");
    buf_puts(&out, "\r\n");
    duplex_write(relay->up, out.data, out.len);
}

static void connected(void *userdata) {
    static const DuplexOps ops = {up_data, up_drained, up_closed};
    Relay *relay = userdata;
    if (relay->connect_error < 0) {
        refuse(relay, strerror(-relay->connect_error));
        relay_unref(relay);
        return;
    }
    http_parser_init(&relay->parser, HTTP_RESPONSE);
    relay->parser.data = relay;
    write_request(relay);
    duplex_start(relay->up, &ops, relay);
}

static void connect_on_pool(void *userdata) {
    Relay *relay = userdata;
    const ApiHttpConfig *config = api_http_config(relay->exchange->api);
    Loop *loop = http_request_loop(relay->exchange->http);
    DuplexConnect to = {
        .host = relay->target.host,
        .port = relay->target.port,
        .tls = true,
        .server_name = relay->target.server_name,
        .ca_file = config->node_ca_file,
        .cert_file = config->node_cert_file,
        .key_file = config->node_key_file,
        .timeout_ns = CONNECT_TIMEOUT_NS,
    };
    relay->connect_error = duplex_connect(loop, &to, &relay->up);
    loop_post(loop, connected, relay);
}

void connect_serve(Exchange *exchange) {
    ApiError err = {0};
    NodeTarget target;
    int r = node_target_find(exchange, &target, &err);
    if (r == 0 && target.upgrade && str_empty(http_header(exchange->http, "upgrade")))
        r = api_error_bad_request(&err, "Upgrade request required");
    if (r < 0) {
        http_reply_error(exchange->http, NULL, &err);
        if (exchange->done)
            exchange->done(exchange, err.code, exchange->userdata);
        api_error_done(&err);
        exchange_free(exchange);
        return;
    }
    Relay *relay = NEW0(Relay);
    relay->exchange = exchange;
    relay->target = target;
    relay->refs = 1;
    relay->head = BUF_INIT(HEAD_MAX);
    relay->body = BUF_INIT(ERROR_BODY_MAX);
    if (pool_submit(api_http_pool(exchange->api), connect_on_pool, relay) < 0) {
        refuse(relay, "too many requests are waiting");
        relay_unref(relay);
    }
}
