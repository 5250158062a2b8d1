#include "http/fetch.h"

#include "base/clock.h"
#include "base/str.h"
#include "http/answer_reader.h"
#include "http/duplex_internal.h"

#include <errno.h>

#define FETCH_HEAD_MAX (64 * 1024)
#define CANCEL_POLL_NS (100 * NS_PER_MS)

typedef struct Fetching {
    Loop *loop;
    Duplex *duplex;
    AnswerReader reader;
    const HttpFetch *fetch;
    HttpAnswer *answer;
    bool over;
    int error;
    uint64_t deadline; /* monotonic ns */
} Fetching;

static void on_header(const char *name, const char *value, void *userdata) {
    Fetching *f = userdata;
    http_answer_take_header(f->answer, name, value);
}

static AnswerRest on_head(int status, void *userdata) {
    Fetching *f = userdata;
    f->answer->status = status;
    return ANSWER_BODY;
}

static int on_body(const char *p, size_t n, void *userdata) {
    Fetching *f = userdata;
    if (f->fetch->cut_body)
        n = MIN(n, f->fetch->max_body - f->answer->body.len); /* the rest is read and dropped */
    buf_append(&f->answer->body, p, n);
    return f->answer->body.failed ? -EFBIG : 0;
}

static void on_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Fetching *f = userdata;
    if (f->over)
        return;
    f->error = answer_read(&f->reader, p, n, NULL);
    if (f->reader.done || f->error)
        duplex_close(duplex);
}

static void on_closed(Duplex *duplex, int error, void *userdata) {
    Fetching *f = userdata;
    (void)duplex;
    if (f->over)
        return;
    if (!f->reader.done && !f->error)
        f->error = error ? error : answer_end(&f->reader);
    loop_exit(f->loop, 0);
}

static void on_time(Source *source, void *userdata) {
    Fetching *f = userdata;
    uint64_t now = now_monotonic_ns();
    const atomic_bool *cancel = f->fetch->to.cancel;
    if (now < f->deadline && !(cancel && atomic_load(cancel))) {
        timer_set(source, cancel ? MIN(f->deadline, now + CANCEL_POLL_NS) : f->deadline);
        return;
    }
    f->error = now < f->deadline ? -ECANCELED : -ETIMEDOUT;
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

static void run(Fetching *f) {
    static const DuplexOps ops = {.data = on_data, .closed = on_closed};
    static const AnswerOps answer_ops = {on_header, on_head, on_body};
    _cleanup_(source_unrefp) Source *timer = NULL;
    f->error = loop_add_timer(f->loop, now_monotonic_ns(), on_time, f, &timer);
    if (f->error < 0)
        return;
    answer_reader_init(&f->reader, false, &answer_ops, f);
    duplex_start(f->duplex, &ops, f);
    loop_run(f->loop);
    answer_reader_done(&f->reader);
}

int http_fetch(const HttpFetch *fetch, HttpAnswer *ret, char **ret_error) {
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_free_ char *error = NULL;
    _cleanup_http_answer_ HttpAnswer answer = {.body = BUF_INIT(fetch->max_body)};
    Fetching f = {.fetch = fetch, .answer = &answer, .deadline = now_monotonic_ns() + fetch->to.timeout_ns};
    DuplexConnect to = fetch->to;
    to.ret_error = &error;
    int r = loop_new(&loop);
    f.loop = loop;
    r = r < 0 ? r : duplex_connect(loop, &to, &f.duplex);
    r = r < 0 ? r : ask(&f, fetch);
    if (r == 0) {
        run(&f);
        r = f.reader.done ? 0 : f.error;
    }
    if (f.duplex)
        discard(&f);
    if (r < 0) {
        if (ret_error)
            *ret_error = error ? TAKE_PTR(error) : xstrdup(why(r));
        return r;
    }
    *ret = answer;
    answer = (HttpAnswer){0};
    return 0;
}
