/* A relay's life: the connection to the other side, which is a Duplex of the client request's own loop, so that
 * everything but the connecting happens on one thread. */
#include "apiserver/handlers/relay_internal.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

void relay_unref(Relay *relay) {
    if (--relay->refs > 0)
        return;
    Exchange *exchange = relay->exchange;
    source_unref(relay->timer);
    websocket_free(relay->ws);
    duplex_unref(relay->up);
    duplex_unref(relay->down);
    answer_reader_done(&relay->reader);
    buf_done(&relay->body);
    free(relay->connect_why);
    http_body_on_ready(exchange->http, NULL, NULL);
    http_request_on_gone(exchange->http, NULL, NULL);
    exchange_finish(exchange, relay->code);
    free(relay);
}

void relay_answering(Relay *relay) {
    relay->answered = true;
    http_request_on_gone(relay->exchange->http, NULL, NULL);
}

void relay_fail(Relay *relay, RelayFault fault, const char *why) {
    if (relay->answered)
        return;
    relay_answering(relay);
    relay->code = relay->plan->ops->failed(relay->exchange, relay->plan, fault, why);
}

/* ---- the reply ---- */

static void on_header(const char *name, const char *value, void *userdata) {
    Relay *relay = userdata;
    Arena *arena = relay->exchange->arena;
    if (relay->head.n < RELAY_HEADERS_MAX)
        relay->head.headers[relay->head.n++] = (HttpHeader){arena_strdup(arena, name), arena_strdup(arena, value)};
}

static AnswerRest on_head(int status, void *userdata) {
    Relay *relay = userdata;
    relay->timer = source_unref(relay->timer);
    relay->code = relay->head.status = status;
    relay->way = &relay_ways[relay->plan->ops->head(relay->exchange, relay->plan, &relay->head)];
    relay->way->begin(relay);
    return relay->way->rest;
}

static int on_body(const char *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    return relay->way->body(relay, p, n);
}

static int read_reply(Relay *relay, const char *p, size_t n, size_t *ret_used) {
    int r = answer_read(&relay->reader, p, n, ret_used);
    if (r == 0 && relay->reader.done) {
        relay->way->end(relay);
        if (!relay->way->after)
            duplex_close(relay->up);
    }
    return r;
}

static void break_off(Relay *relay, int error) {
    char why[128] = "the answer is too large";
    if (error == -EPROTO)
        snprintf(why, sizeof why, "net/http: malformed HTTP response: %s", answer_fault(&relay->reader));
    relay_fail(relay, RELAY_BROKEN, why);
    duplex_close(relay->up);
}

static void up_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Relay *relay = userdata;
    size_t used = 0;
    if (relay->answered && !relay->way)
        return; /* the reply comes too late */
    int r = relay->reader.done ? 0 : read_reply(relay, p, n, &used);
    if (r < 0)
        return break_off(relay, r);
    if (!relay->way)
        return;
    if (relay->way->after && used < n)
        relay->way->after(relay, (const char *)p + used, n - used);
    if (relay->way->flush(relay) > RELAY_HIGH_WATER)
        duplex_pause(duplex, true);
}

static void up_drained(Duplex *duplex, void *userdata) {
    Relay *relay = userdata;
    (void)duplex;
    if (relay->down)
        duplex_pause(relay->down, false);
    relay_request_pump(relay);
}

static void up_closed(Duplex *duplex, int error, void *userdata) {
    Relay *relay = userdata;
    char why[128] = "EOF";
    (void)duplex;
    /* The end of the connection is the end of a body that has no length. */
    if (error == 0 && relay->way && !relay->reader.done && answer_end(&relay->reader) == 0)
        relay->way->end(relay);
    relay->up_ended = true;
    relay->timer = source_unref(relay->timer);
    if (relay->way)
        relay->way->flush(relay);
    if (relay->down)
        duplex_close(relay->down);
    if (error)
        snprintf(why, sizeof why, "read tcp %s:%u: read: %s", relay->plan->to.host, relay->plan->to.port,
                 error == -ECONNRESET ? "connection reset by peer" : strerror(-error));
    relay_fail(relay, RELAY_BROKEN, why);
    relay_unref(relay);
}

static void on_gone(HttpRequest *http, void *userdata) {
    Relay *relay = userdata;
    (void)http;
    relay->client_gone = true;
    if (relay->connected)
        duplex_close(relay->up);
}

/* ---- the connection ---- */

static void connected(void *userdata) {
    static const DuplexOps ops = {up_data, up_drained, up_closed};
    static const AnswerOps answer_ops = {on_header, on_head, on_body};
    Relay *relay = userdata;
    if (relay->connect_error < 0) {
        if (!relay->client_gone)
            relay_fail(relay, RELAY_UNREACHED, str_or(relay->connect_why, strerror(-relay->connect_error)));
        relay_unref(relay);
        return;
    }
    relay->connected = true;
    answer_reader_init(&relay->reader, streq(relay->plan->method, "HEAD"), &answer_ops, relay);
    relay_request_send(relay);
    if (relay->client_gone)
        duplex_close(relay->up);
    duplex_start(relay->up, &ops, relay);
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
    relay->body = BUF_INIT(RELAY_COLLECT_MAX);
    http_request_on_gone(exchange->http, on_gone, relay);
    if (pool_submit(api_http_connect_pool(exchange->api), connect_on_pool, relay) < 0) {
        relay_fail(relay, RELAY_UNREACHED, "too many connections are being made");
        relay_unref(relay);
    }
}
