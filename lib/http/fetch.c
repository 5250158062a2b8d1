#include "http/fetch.h"

#include "base/clock.h"
#include "base/str.h"
#include "http/duplex_internal.h"

#include <errno.h>
#include <http_parser.h>
#include <strings.h>

#define FETCH_HEAD_MAX (64 * 1024)

typedef struct Fetching {
    Loop *loop;
    Duplex *duplex;
    http_parser parser;
    HttpFetched *result;
    Buf name, value; /* of the header being read */
    char **keep;     /* where its value goes; NULL: nowhere */
    bool in_value, done, over;
    int error;
} Fetching;

void http_fetched_done(HttpFetched *fetched) {
    buf_done(&fetched->body);
    free(fetched->content_type);
    free(fetched->etag);
    *fetched = (HttpFetched){0};
}

static void end_field(Fetching *f) {
    if (f->keep && !*f->keep && f->value.data)
        *f->keep = xstrdup(f->value.data);
    f->keep = NULL;
    buf_clear(&f->name);
    buf_clear(&f->value);
    f->in_value = false;
}

static int on_field(http_parser *parser, const char *at, size_t n) {
    Fetching *f = parser->data;
    if (f->in_value)
        end_field(f);
    buf_append(&f->name, at, n);
    return f->name.failed;
}

static int on_value(http_parser *parser, const char *at, size_t n) {
    Fetching *f = parser->data;
    const char *name = str_or(f->name.data, "");
    if (!f->in_value)
        f->keep = strcasecmp(name, "content-type") == 0 ? &f->result->content_type
                  : strcasecmp(name, "etag") == 0       ? &f->result->etag
                                                        : NULL;
    f->in_value = true;
    buf_append(&f->value, at, n);
    return f->value.failed;
}

static int on_head(http_parser *parser) {
    end_field(parser->data);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t n) {
    Fetching *f = parser->data;
    buf_append(&f->result->body, at, n);
    f->error = f->result->body.failed ? -EFBIG : 0;
    return f->result->body.failed;
}

static int on_complete(http_parser *parser) {
    Fetching *f = parser->data;
    if (parser->status_code < 200)
        return 0; /* another head follows */
    f->done = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void parse(Fetching *f, const char *p, size_t n) {
    if (f->done || f->error)
        return;
    http_parser_execute(&f->parser, &settings, p, n);
    enum http_errno e = HTTP_PARSER_ERRNO(&f->parser);
    if (!f->done && !f->error && e != HPE_OK)
        f->error = -EPROTO;
}

static void on_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Fetching *f = userdata;
    parse(f, p, n);
    if (f->done || f->error)
        duplex_close(duplex);
}

static void on_closed(Duplex *duplex, int error, void *userdata) {
    Fetching *f = userdata;
    (void)duplex;
    if (error == 0)
        parse(f, NULL, 0); /* the end of a body without a length */
    if (f->over)
        return;
    if (!f->done && !f->error)
        f->error = error ? error : -ECONNRESET;
    loop_exit(f->loop, 0);
}

static void on_timeout(Source *source, void *userdata) {
    (void)source;
    Fetching *f = userdata;
    f->error = -ETIMEDOUT;
    loop_exit(f->loop, 0);
}

static int ask(Fetching *f, const HttpFetch *fetch) {
    _cleanup_buf_ Buf out = BUF_INIT(FETCH_HEAD_MAX);
    buf_printf(&out, "GET %s HTTP/1.1\r\n", fetch->target);
    for (size_t i = 0; i < fetch->n_headers; i++)
        buf_printf(&out, "%s: %s\r\n", fetch->headers[i].name, fetch->headers[i].value);
    buf_puts(&out, "Connection: close\r\n\r\n");
    return out.failed ? -EMSGSIZE : duplex_write(f->duplex, out.data, out.len);
}

static void exit_loop(void *userdata) {
    loop_exit(userdata, 0);
}

/* What the duplex still has posted to the loop holds references: it runs before the loop goes. */
static void discard(Fetching *f) {
    f->over = true;
    duplex_abort(f->duplex, 0);
    loop_post(f->loop, exit_loop, f->loop);
    loop_run(f->loop);
    duplex_unref(f->duplex);
}

static const char *why(int error) {
    switch (error) {
    case -ETIMEDOUT:
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    case -ECONNRESET:
        return "EOF";
    case -EPROTO:
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response";
    case -EFBIG:
        return "the answer is too large";
    default:
        return strerror(-error);
    }
}

int http_fetch(const HttpFetch *fetch, HttpFetched *ret, char **ret_error) {
    static const DuplexOps ops = {.data = on_data, .closed = on_closed};
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_(source_unrefp) Source *timer = NULL;
    _cleanup_free_ char *error = NULL;
    HttpFetched result = {.body = BUF_INIT(fetch->max_body)};
    Fetching f = {.result = &result, .name = BUF_INIT(FETCH_HEAD_MAX), .value = BUF_INIT(FETCH_HEAD_MAX)};
    uint64_t deadline = now_monotonic_ns() + fetch->to.timeout_ns;
    DuplexConnect to = fetch->to;
    to.ret_error = &error;
    int r = loop_new(&loop);
    f.loop = loop;
    r = r < 0 ? r : duplex_connect(loop, &to, &f.duplex);
    r = r < 0 ? r : ask(&f, fetch);
    r = r < 0 ? r : loop_add_timer(loop, deadline, on_timeout, &f, &timer);
    if (r == 0) {
        http_parser_init(&f.parser, HTTP_RESPONSE);
        f.parser.data = &f;
        duplex_start(f.duplex, &ops, &f);
        loop_run(loop);
        r = f.done ? 0 : f.error;
        result.status = (int)f.parser.status_code;
    }
    if (f.duplex)
        discard(&f);
    buf_done(&f.name);
    buf_done(&f.value);
    if (r < 0) {
        http_fetched_done(&result);
        if (ret_error)
            *ret_error = error ? TAKE_PTR(error) : xstrdup(why(r));
        return r;
    }
    *ret = result;
    return 0;
}
