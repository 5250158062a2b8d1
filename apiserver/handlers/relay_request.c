/* The request as it goes to the other side, and the client's body after it. */
#include "apiserver/handlers/relay_internal.h"
#include "base/clock.h"
#include "base/str.h"

static void on_timeout(Source *source, void *userdata) {
    (void)source;
    Relay *relay = userdata;
    relay_fail(relay, RELAY_TIMEOUT, "context deadline exceeded");
    duplex_close(relay->up);
}

/* The other side has all of the request: its time to answer begins. */
static void await_reply(Relay *relay) {
    if (relay->plan->head_timeout_ns && !relay->way && !relay->timer)
        loop_add_timer(http_request_loop(relay->exchange->http), now_monotonic_ns() + relay->plan->head_timeout_ns,
                       on_timeout, relay, &relay->timer);
}

/* As far as the other side takes it. */
void relay_request_pump(Relay *relay) {
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
        await_reply(relay);
}

static void on_body_ready(HttpRequest *http, void *userdata) {
    (void)http;
    relay_request_pump(userdata);
}

/* The body that is there already. */
static const char *whole_body(const Relay *relay, size_t *ret_len) {
    *ret_len = 0;
    if (!relay->plan->with_body || http_body_is_streamed(relay->exchange->http))
        return "";
    return http_body(relay->exchange->http, ret_len);
}

/* How long the body is. One that comes as it likes goes on in the same way: as long as the client said, or in chunks.
 */
static void write_framing(Relay *relay, size_t whole, Buf *out) {
    static const char *const with_body[] = {"POST", "PUT", "PATCH", NULL};
    const HttpRequest *http = relay->exchange->http;
    uint64_t n;
    relay->sending = relay->plan->with_body && http_body_is_streamed(http);
    const char *length = relay->sending ? http_header(http, "content-length") : NULL;
    relay->in_chunks = relay->sending && (!length || str_to_uint64(length, &n) < 0);
    if (relay->in_chunks)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else if (relay->sending)
        buf_printf(out, "Content-Length: %s\r\n", length);
    else if (whole || str_in(relay->plan->method, with_body))
        buf_printf(out, "Content-Length: %zu\r\n", whole);
}

void relay_request_send(Relay *relay) {
    const RelayPlan *plan = relay->plan;
    _cleanup_buf_ Buf out = BUF_INIT(2 * HTTP_MAX_HEADERS);
    size_t len;
    const char *body = whole_body(relay, &len);
    buf_printf(&out, "%s %s HTTP/1.1\r\n", plan->method, plan->target);
    for (size_t i = 0; i < plan->n_headers; i++)
        buf_printf(&out, "%s: %s\r\n", plan->headers[i].name, plan->headers[i].value);
    if (!plan->upgrade)
        buf_puts(&out, "Connection: close\r\n");
    write_framing(relay, len, &out);
    buf_puts(&out, "\r\n");
    if (out.failed || duplex_write2(relay->up, out.data, out.len, body, len) < 0) {
        relay_fail(relay, RELAY_BROKEN, "the request is too large");
        duplex_close(relay->up);
    } else if (relay->sending) {
        http_body_on_ready(relay->exchange->http, on_body_ready, relay);
        relay_request_pump(relay);
    } else
        await_reply(relay);
}
