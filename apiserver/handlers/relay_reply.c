/* The head of a reply, and the ways it can go from there: to the client in a stream, to the plan as a whole, or over
 * the client's own connection, as bytes both ways or in messages. */
#define LOG_COMPONENT "apiserver"
#include "apiserver/handlers/relay_internal.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>

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

static void nothing(Relay *relay) {
    (void)relay;
}

/* ---- in a stream ---- */

static HttpStreamResult stream_pull(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    if (relay->body.len) {
        Buf body = relay->body;
        relay->body = BUF_INIT(BUF_NO_LIMIT);
        http_stream_write(http, http_bytes_take(&body));
        duplex_pause(relay->up, false);
        return HTTP_STREAM_MORE;
    }
    return relay->reader.done ? HTTP_STREAM_END : relay->up_ended ? HTTP_STREAM_ABORT : HTTP_STREAM_WAIT;
}

static void stream_closed(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    (void)http;
    relay->client_gone = true;
    duplex_close(relay->up);
    relay_unref(relay);
}

static void stream_begin(Relay *relay) {
    static const HttpStreamOps ops = {stream_pull, stream_closed};
    relay_answering(relay);
    relay->body.limit = BUF_NO_LIMIT; /* held down by pausing */
    relay->refs++;
    http_stream_start(relay->exchange->http, relay->head.status, relay->head.headers, relay->head.n, &ops, relay);
}

static int stream_body(Relay *relay, const char *p, size_t n) {
    const RelayOps *ops = relay->plan->ops;
    if (ops->filter)
        ops->filter(relay->exchange, relay->plan, p, n, false, &relay->body);
    else
        buf_append(&relay->body, p, n);
    return relay->body.failed ? -EFBIG : 0;
}

static void stream_end(Relay *relay) {
    const RelayOps *ops = relay->plan->ops;
    if (ops->filter)
        ops->filter(relay->exchange, relay->plan, "", 0, true, &relay->body);
}

static size_t stream_flush(Relay *relay) {
    if (!relay->client_gone)
        http_stream_wake(relay->exchange->http);
    return relay->body.len;
}

/* ---- as a whole ---- */

static int collect_body(Relay *relay, const char *p, size_t n) {
    buf_append(&relay->body, p, n);
    return relay->body.failed ? -EFBIG : 0;
}

static void collect_end(Relay *relay) {
    relay_answering(relay);
    relay->code = relay->plan->ops->collected(relay->exchange, relay->plan, &relay->head, &relay->body);
}

static size_t collect_flush(Relay *relay) {
    (void)relay;
    return 0;
}

/* ---- over the client's connection ---- */

static void down_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    if (relay->ws) {
        if (websocket_input(relay->ws, p, n) < 0)
            duplex_close(duplex);
    } else if (duplex_write(relay->up, p, n) < 0)
        duplex_close(duplex);
    else if (duplex_pending(relay->up) > RELAY_HIGH_WATER)
        duplex_pause(duplex, true);
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
    relay_answering(relay);
    int r = http_hijack(relay->exchange->http, headers, n, &relay->down);
    if (r < 0) {
        log_warn("cannot take over the connection of %s: %s", http_peer(relay->exchange->http), strerror(-r));
        duplex_close(relay->up);
        return;
    }
    relay->refs++;
    duplex_start(relay->down, &ops, relay);
}

static size_t down_flush(Relay *relay) {
    return relay->down ? duplex_pending(relay->down) : 0;
}

static void tunnel_begin(Relay *relay) {
    static const char *const hop[] = {"content-length", "transfer-encoding", "date", NULL};
    relay_head_drop(&relay->head, hop);
    take_over(relay, relay->head.headers, relay->head.n);
}

static void tunnel_after(Relay *relay, const char *p, size_t n) {
    if (relay->down && duplex_write(relay->down, p, n) < 0)
        duplex_close(relay->up);
}

/* ---- in messages ---- */

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

static void messages_begin(Relay *relay) {
    static const WebSocketOps ops = {peer_says, peer_closes, write_frame};
    const HttpRequest *http = relay->exchange->http;
    HttpHeader headers[WEBSOCKET_HEADERS];
    char accept[WEBSOCKET_ACCEPT_SIZE];
    size_t n = 0;
    bool binary = websocket_offers(http, "binary.k8s.io");
    relay->base64 = !binary && websocket_offers(http, "base64.binary.k8s.io");
    const char *protocol = binary ? "binary.k8s.io" : relay->base64 ? "base64.binary.k8s.io" : NULL;
    if (websocket_handshake(http, protocol, headers, &n, accept) < 0 || websocket_new(&ops, relay, &relay->ws) < 0) {
        relay_fail(relay, RELAY_BROKEN, "not a WebSocket handshake of version 13");
        duplex_close(relay->up);
    } else
        take_over(relay, headers, n);
}

static int messages_body(Relay *relay, const char *p, size_t n) {
    if (!relay->down)
        return -ECANCELED;
    if (!relay->base64)
        return websocket_send(relay->ws, false, NULL, 0, p, n);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&text, p, n);
    return websocket_send(relay->ws, true, NULL, 0, text.data, text.len);
}

static void messages_end(Relay *relay) {
    if (!relay->down)
        return;
    websocket_close(relay->ws, WEBSOCKET_NORMAL);
    duplex_close(relay->down);
}

const RelayWay relay_ways[] = {
    [RELAY_STREAM] = {ANSWER_BODY, stream_begin, stream_body, stream_end, NULL, stream_flush},
    [RELAY_COLLECT] = {ANSWER_BODY, nothing, collect_body, collect_end, NULL, collect_flush},
    [RELAY_TUNNEL] = {ANSWER_SWITCHED, tunnel_begin, NULL, nothing, tunnel_after, down_flush},
    [RELAY_MESSAGES] = {ANSWER_BODY, messages_begin, messages_body, messages_end, NULL, down_flush},
};
