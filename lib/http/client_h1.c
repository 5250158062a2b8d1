/* A connection of HTTP/1.1: one exchange at a time. */
#include "http/client_internal.h"

#include "base/str.h"
#include "http/answer_reader.h"

#include <errno.h>

#define HEAD_MAX (128 * 1024)

typedef struct H1Line {
    HttpLine base;
    AnswerReader reader; /* of the exchange, while there is one */
    bool reading;
} H1Line;

static H1Line *h1_of(HttpLine *line) {
    return CONTAINER_OF(line, H1Line, base);
}

static bool h1_has_room(const HttpLine *line) {
    return line->n_exchanges == 0;
}

static void on_header(const char *name, const char *value, void *userdata) {
    HttpExchange *exchange = userdata;
    http_answer_take_header(&exchange->answer, name, value);
}

static AnswerRest on_head(int status, void *userdata) {
    HttpExchange *exchange = userdata;
    exchange->answer.status = status;
    return ANSWER_BODY;
}

static int on_body(const char *p, size_t n, void *userdata) {
    return exchange_data(userdata, p, n);
}

static void write_head(Buf *out, const HttpLine *line, const HttpExchange *exchange) {
    buf_printf(out, "%s %s HTTP/1.1\r\nhost: %s\r\n", exchange->method, exchange->target, line->client->authority);
    const char *name, *value;
    for (size_t at = 0; fields_next(exchange->fields.data, exchange->fields.len, &at, &name, &value);)
        buf_printf(out, "%s: %s\r\n", name, value);
    if (exchange->has_body)
        buf_printf(out, "content-length: %zu\r\n", exchange->body_len);
    buf_puts(out, "\r\n");
}

static int h1_send(HttpLine *line, HttpExchange *exchange) {
    static const AnswerOps ops = {on_header, on_head, on_body};
    H1Line *h1 = h1_of(line);
    Buf out = BUF_INIT(HEAD_MAX);
    write_head(&out, line, exchange);
    int r = out.failed ? -EMSGSIZE : duplex_write(line->duplex, out.data, out.len);
    if (out.data)
        wipe(out.data, out.cap);
    buf_done(&out);
    if (r < 0)
        return r == -EMSGSIZE ? r : 0; /* a connection that ended meanwhile says so itself */
    answer_reader_init(&h1->reader, streq(exchange->method, "HEAD"), &ops, exchange);
    h1->reading = true;
    return 0;
}

static void stop_reading(H1Line *h1) {
    if (h1->reading)
        answer_reader_done(&h1->reader);
    h1->reading = false;
}

static void h1_leave(HttpLine *line, HttpExchange *exchange) {
    (void)exchange;
    stop_reading(h1_of(line));
    line_break(line, -ECANCELED); /* the rest of the answer is still on its way */
}

static void answered(H1Line *h1) {
    HttpLine *line = &h1->base;
    HttpExchange *exchange = line->exchanges;
    /* An answer that came before the whole request was sent leaves the connection in its middle. */
    bool keep = h1->reader.keeps_alive && exchange->body_done == exchange->body_len;
    stop_reading(h1);
    if (!keep)
        line->leaving = true;
    exchange_done(exchange);
}

static void h1_data(HttpLine *line, const void *p, size_t n) {
    H1Line *h1 = h1_of(line);
    if (!h1->reading) {
        line_break(line, -EPROTO); /* nothing was asked */
        return;
    }
    int r = answer_read(&h1->reader, p, n, NULL);
    if (r < 0) {
        stop_reading(h1);
        if (line->exchanges)
            exchange_failed(line->exchanges, r,
                            "net/http: HTTP/1.x transport connection broken: malformed HTTP response", false);
        line_break(line, r);
    } else if (h1->reader.done)
        answered(h1);
}

static void h1_flush(HttpLine *line) {
    HttpExchange *exchange = line->exchanges;
    while (exchange && exchange->body_done < exchange->body_len && duplex_pending(line->duplex) < LINE_HIGH_WATER) {
        size_t n = MIN(exchange->body_len - exchange->body_done, (size_t)LINE_HIGH_WATER);
        if (duplex_write(line->duplex, exchange->body + exchange->body_done, n) < 0)
            return;
        exchange->body_done += n;
    }
    if (line->leaving && !exchange)
        duplex_close(line->duplex);
}

static void h1_closed(HttpLine *line, int error) {
    H1Line *h1 = h1_of(line);
    if (h1->reading && error == 0 && answer_end(&h1->reader) == 0)
        answered(h1);
    stop_reading(h1);
}

static uint64_t h1_tick(HttpLine *line, uint64_t now) {
    (void)line, (void)now;
    return UINT64_MAX; /* the kernel asks a silent peer */
}

static void h1_free(HttpLine *line) {
    stop_reading(h1_of(line));
    free(h1_of(line));
}

HttpLine *h1_line_new(void) {
    static const LineOps ops = {
        h1_has_room, h1_send, h1_leave, h1_data, h1_flush, h1_closed, h1_tick, h1_free,
    };
    H1Line *h1 = NEW0(H1Line);
    h1->base.ops = &ops;
    return &h1->base;
}
