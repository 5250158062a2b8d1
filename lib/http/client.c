#include "http/client_internal.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

#define DIALERS_MAX 8
#define FIELDS_MAX (64 * 1024)

/* ---- exchanges ---- */

static void exchange_unref(HttpExchange *exchange) {
    if (atomic_fetch_sub_explicit(&exchange->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (exchange->fields.data)
        wipe(exchange->fields.data, exchange->fields.cap);
    buf_done(&exchange->fields);
    http_answer_done(&exchange->answer);
    pthread_cond_destroy(&exchange->changed);
    free(exchange->method);
    free(exchange->target);
    free(exchange);
}

static void exchange_link(HttpExchange *exchange, HttpExchange **at) {
    exchange->at = at;
    exchange->next = *at;
    if (exchange->next)
        exchange->next->at = &exchange->next;
    *at = exchange;
}

static void exchange_unlink(HttpExchange *exchange) {
    if (!exchange->at)
        return;
    *exchange->at = exchange->next;
    if (exchange->next)
        exchange->next->at = exchange->at;
    exchange->at = NULL;
    exchange->next = NULL;
    if (exchange->line && --exchange->line->n_exchanges == 0)
        exchange->line->idle_ns = now_monotonic_ns();
    exchange->line = NULL;
}

static void wait_for_line(HttpExchange *exchange) {
    HttpExchange **at = &exchange->client->waiting;
    while (*at)
        at = &(*at)->next;
    exchange_link(exchange, at);
}

static bool is_stopped(HttpExchange *exchange) {
    pthread_mutex_lock(&exchange->client->lock);
    bool stop = exchange->stop;
    pthread_mutex_unlock(&exchange->client->lock);
    return stop;
}

static void release(HttpExchange *exchange) {
    HttpClient *client = exchange->client;
    pthread_mutex_lock(&client->lock);
    exchange->released = true;
    pthread_cond_signal(&exchange->changed);
    pthread_mutex_unlock(&client->lock);
    exchange_unref(exchange); /* the loop's */
}

static void exchange_end(HttpExchange *exchange, int error, const char *why) {
    if (exchange->over)
        return;
    exchange_unlink(exchange);
    exchange->over = true;
    if (!is_stopped(exchange))
        exchange->ops->end(exchange, error, why, exchange->userdata);
    release(exchange);
}

int exchange_data(HttpExchange *exchange, const char *p, size_t n) {
    int r = is_stopped(exchange) ? -ECANCELED : exchange->ops->data(exchange, p, n, exchange->userdata);
    if (r < 0)
        exchange_end(exchange, r, NULL);
    return r;
}

void exchange_done(HttpExchange *exchange) {
    if (exchange->line)
        exchange->line->used = true;
    exchange_end(exchange, 0, NULL);
}

static bool may_repeat(const HttpExchange *exchange, bool untouched) {
    bool safe = streq(exchange->method, "GET") || streq(exchange->method, "HEAD");
    return !exchange->repeated && !exchange->answer.status && (untouched || (safe && exchange->on_used_line)) &&
           !atomic_load(&exchange->client->closing);
}

void exchange_failed(HttpExchange *exchange, int error, const char *why, bool untouched) {
    if (!may_repeat(exchange, untouched)) {
        exchange_end(exchange, error, why);
        return;
    }
    exchange_unlink(exchange);
    exchange->repeated = true;
    http_answer_done(&exchange->answer); /* fields of a head that was cut */
    exchange->body_done = 0;
    exchange->stream_id = 0;
    wait_for_line(exchange);
}

const HttpAnswer *http_exchange_answer(const HttpExchange *exchange) {
    return &exchange->answer;
}

/* ---- lines ---- */

static void client_turn(HttpClient *client);

/* Around what may end a connection: lines stay until the end of it. */
static bool client_enter(HttpClient *client) {
    bool was = client->turning;
    client->turning = true;
    return was;
}

static void client_leave(HttpClient *client, bool was) {
    client->turning = was;
    client_turn(client);
}

void line_break(HttpLine *line, int error) {
    line->leaving = true;
    duplex_abort(line->duplex, error);
}

static void on_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    (void)duplex;
    HttpLine *line = userdata;
    HttpClient *client = line->client;
    bool was = client_enter(client);
    line->heard_ns = now_monotonic_ns();
    line->ops->data(line, p, n);
    client_leave(client, was);
}

static void on_drained(Duplex *duplex, void *userdata) {
    (void)duplex;
    client_turn(((HttpLine *)userdata)->client);
}

static const char *words_of(int error) {
    switch (error) {
    case 0:
    case -ECONNRESET:
        return "EOF";
    case -ETIMEDOUT:
        return "http2: client connection lost";
    case -EPROTO:
        return "malformed HTTP response";
    default:
        return strerror(-error);
    }
}

static void on_closed(Duplex *duplex, int error, void *userdata) {
    (void)duplex;
    HttpLine *line = userdata;
    HttpClient *client = line->client;
    line->leaving = true;
    line->ops->closed(line, error);
    while (line->exchanges) {
        HttpExchange *exchange = line->exchanges;
        exchange_failed(exchange, error ? error : -ECONNRESET,
                        exchange->answer.status && !error ? "unexpected EOF" : words_of(error), false);
    }
    line->dead = true;
    client_turn(client);
}

static void on_tick(Source *source, void *userdata) {
    HttpLine *line = userdata;
    HttpClient *client = line->client;
    bool was = client_enter(client);
    uint64_t now = now_monotonic_ns(), next = line->ops->tick(line, now);
    if (!line->leaving && line->n_exchanges == 0) {
        if (now >= line->idle_ns + client->keep_ns)
            line->leaving = true; /* flushing ends it */
        else
            next = MIN(next, line->idle_ns + client->keep_ns);
    }
    if (!line->leaving)
        timer_set(source, MIN(next, now + client->keep_ns));
    client_leave(client, was);
}

static void line_free(HttpLine *line) {
    source_unref(line->timer);
    duplex_unref(line->duplex);
    line->client->n_lines--;
    line->ops->free(line);
}

static HttpLine *line_with_room(HttpClient *client) {
    for (HttpLine *line = client->lines; line; line = line->next)
        if (!line->leaving && line->ops->has_room(line))
            return line;
    return NULL;
}

static void assign(HttpClient *client) {
    HttpLine *line;
    while (client->waiting && (line = line_with_room(client))) {
        HttpExchange *exchange = client->waiting;
        exchange_unlink(exchange);
        exchange_link(exchange, &line->exchanges);
        exchange->line = line;
        exchange->on_used_line = line->used;
        line->n_exchanges++;
        int r = line->ops->send(line, exchange);
        if (r < 0)
            exchange_end(exchange, r, strerror(-r));
    }
}

static void reap(HttpClient *client) {
    for (HttpLine **at = &client->lines; *at;) {
        HttpLine *line = *at;
        if (line->dead) {
            *at = line->next;
            line_free(line);
        } else
            at = &line->next;
    }
}

/* ---- connecting ---- */

typedef struct Dialed {
    HttpClient *client;
    Duplex *duplex;
    bool h2;
    int error;
    char *why;
} Dialed;

static int on_session(SSL *ssl, SSL_SESSION *session) {
    HttpClient *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!client)
        return 0;
    pthread_mutex_lock(&client->lock);
    SSL_SESSION *before = client->session;
    client->session = session;
    pthread_mutex_unlock(&client->lock);
    SSL_SESSION_free(before);
    return 1; /* kept */
}

static void fail_waiting(HttpClient *client, int error, const char *why) {
    /* A server of HTTP/1.1 was dialled for each; another may be dialled for one in the name of all. */
    bool one = client->speaks_h1;
    do {
        if (client->waiting)
            exchange_end(client->waiting, error, why);
    } while (client->waiting && !one);
}

static void dialed(void *userdata) {
    static const DuplexOps ops = {.data = on_data, .drained = on_drained, .closed = on_closed};
    Dialed *d = userdata;
    HttpClient *client = d->client;
    HttpLine *line = NULL;
    client->dialing--;
    if (d->error == 0 && d->h2)
        d->error = h2_line_new(&line);
    else if (d->error == 0)
        line = h1_line_new();
    if (line) {
        line->client = client;
        line->duplex = d->duplex;
        line->heard_ns = line->idle_ns = now_monotonic_ns();
        line->next = client->lines;
        client->lines = line;
        client->n_lines++;
        client->speaks_h1 = !d->h2;
        loop_add_timer(client->loop, line->idle_ns + NS_PER_SEC, on_tick, line, &line->timer);
        duplex_start(line->duplex, &ops, line);
    } else {
        if (d->duplex)
            duplex_abort(d->duplex, 0);
        duplex_unref(d->duplex);
        fail_waiting(client, d->error, d->why ? d->why : strerror(-d->error));
    }
    free(d->why);
    free(d);
    client_turn(client);
}

static void dial_one(void *userdata) {
    Dialed *d = userdata;
    HttpClient *client = d->client;
    DuplexConnect to = client->to;
    DialTls tls = {.context = client->context, .h2 = !client->http1_only};
    to.ret_error = &d->why;
    to.cancel = &client->closing;
    pthread_mutex_lock(&client->lock);
    tls.session = client->session;
    client->session = NULL; /* a ticket serves once (RFC 8446, appendix C.4) */
    pthread_mutex_unlock(&client->lock);
    d->error = dial(client->loop, &to, &tls, &d->h2, &d->duplex);
    SSL_SESSION_free(tls.session);
    loop_post(client->loop, dialed, d);
}

static size_t lines_wanted(const HttpClient *client) {
    if (!client->speaks_h1)
        return client->waiting ? 1 : 0;
    size_t n = 0;
    for (const HttpExchange *e = client->waiting; e && n < DIALERS_MAX; e = e->next)
        n++;
    return n;
}

static void dial_more(HttpClient *client) {
    size_t wanted = atomic_load(&client->closing) ? 0 : lines_wanted(client);
    while (client->dialing < wanted && client->n_lines + client->dialing < HTTP_CLIENT_LINES_MAX) {
        Dialed *d = NEW0(Dialed);
        d->client = client;
        client->dialing++;
        int r = pool_submit(client->dialers, dial_one, d);
        if (r < 0) {
            d->error = r;
            loop_post(client->loop, dialed, d);
        }
    }
}

/* ---- turning ---- */

static void client_turn(HttpClient *client) {
    client->again = true;
    if (client->turning)
        return;
    client->turning = true;
    while (client->again) {
        client->again = false;
        assign(client);
        for (HttpLine *line = client->lines; line; line = line->next)
            if (!line->dead)
                line->ops->flush(line);
        reap(client);
    }
    dial_more(client);
    client->turning = false;
}

static void start_posted(void *userdata) {
    HttpExchange *exchange = userdata;
    HttpClient *client = exchange->client;
    if (!exchange->over)
        wait_for_line(exchange);
    exchange_unref(exchange);
    client_turn(client);
}

static void stop_posted(void *userdata) {
    HttpExchange *exchange = userdata;
    HttpClient *client = exchange->client;
    bool was = client_enter(client);
    if (!exchange->over) {
        HttpLine *line = exchange->line;
        exchange_end(exchange, -ECANCELED, NULL);
        if (line)
            line->ops->leave(line, exchange);
    }
    exchange_unref(exchange);
    client_leave(client, was);
}

static void post(HttpExchange *exchange, void (*fn)(void *userdata)) {
    atomic_fetch_add_explicit(&exchange->refs, 1, memory_order_relaxed);
    loop_post(exchange->client->loop, fn, exchange);
}

void http_exchange_start(HttpClient *client, const HttpCall *call, const HttpExchangeOps *ops, void *userdata,
                         HttpExchange **ret) {
    HttpExchange *exchange = NEW(HttpExchange);
    pthread_condattr_t attr;
    *exchange = (HttpExchange){.refs = 2, /* the caller's and the loop's */
                               .client = client,
                               .ops = ops,
                               .userdata = userdata,
                               .method = xstrdup(call->method),
                               .target = xstrdup(call->target),
                               .fields = BUF_INIT(FIELDS_MAX),
                               .body = call->body,
                               .body_len = call->body_len,
                               .has_body = call->has_body || call->body_len};
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&exchange->changed, &attr);
    pthread_condattr_destroy(&attr);
    for (size_t i = 0; i < call->n_headers; i++) {
        buf_append(&exchange->fields, call->headers[i].name, strlen(call->headers[i].name) + 1);
        buf_append(&exchange->fields, call->headers[i].value, strlen(call->headers[i].value) + 1);
    }
    *ret = exchange;
    post(exchange, start_posted);
}

void http_exchange_free(HttpExchange *exchange) {
    if (!exchange)
        return;
    HttpClient *client = exchange->client;
    pthread_mutex_lock(&client->lock);
    exchange->stop = true;
    if (!exchange->released)
        post(exchange, stop_posted);
    while (!exchange->released)
        pthread_cond_wait(&exchange->changed, &client->lock);
    pthread_mutex_unlock(&client->lock);
    exchange_unref(exchange);
}

/* ---- one call ---- */

typedef struct Calling {
    Buf body;
    int error;
    char *why;
} Calling;

static int call_data(HttpExchange *exchange, const char *p, size_t n, void *userdata) {
    (void)exchange;
    Calling *calling = userdata;
    buf_append(&calling->body, p, n);
    return calling->body.failed ? -EFBIG : 0;
}

static void call_end(HttpExchange *exchange, int error, const char *why, void *userdata) {
    (void)exchange;
    Calling *calling = userdata;
    calling->error = error;
    calling->why = xstrdup(why);
}

bool http_exchange_wait(HttpExchange *exchange, uint64_t deadline_ns) {
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_SEC), .tv_nsec = (long)(deadline_ns % NS_PER_SEC)};
    int r = 0;
    pthread_mutex_lock(&exchange->client->lock);
    while (!exchange->released && r == 0)
        r = pthread_cond_timedwait(&exchange->changed, &exchange->client->lock, &until);
    bool ended = exchange->released;
    pthread_mutex_unlock(&exchange->client->lock);
    return ended;
}

static const char *call_words(int error) {
    return error == -ETIMEDOUT ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
           : error == -EFBIG   ? "the answer is too large"
                               : strerror(-error);
}

int http_client_call(HttpClient *client, const HttpCall *call, size_t max_body, uint64_t timeout_ns, HttpAnswer *ret,
                     char **ret_error) {
    static const HttpExchangeOps ops = {.data = call_data, .end = call_end};
    Calling calling = {.body = BUF_INIT(max_body)};
    HttpExchange *exchange = NULL;
    if (loop_is_current(client->loop)) {
        if (ret_error)
            *ret_error = xstrdup("a call from the thread that answers calls");
        return -EDEADLK;
    }
    http_exchange_start(client, call, &ops, &calling, &exchange);
    bool ended = http_exchange_wait(exchange, now_monotonic_ns() + timeout_ns);
    HttpAnswer head = exchange->answer;
    if (ended)
        exchange->answer = (HttpAnswer){0};
    http_exchange_free(exchange);
    int r = ended ? calling.error : -ETIMEDOUT;
    if (r == 0) {
        *ret = head;
        ret->body = calling.body;
    } else {
        if (ended)
            http_answer_done(&head);
        buf_done(&calling.body);
        if (ret_error)
            *ret_error = ended && calling.why ? TAKE_PTR(calling.why) : xstrdup(call_words(r));
    }
    free(calling.why);
    return r;
}

/* ---- its life ---- */

static void copy_where(DuplexConnect *to, const DuplexConnect *from) {
    *to = (DuplexConnect){.host = xstrdup(from->host),
                          .port = from->port,
                          .tls = from->tls,
                          .server_name = xstrdup(from->server_name),
                          .timeout_ns = from->timeout_ns};
}

static void free_where(DuplexConnect *to) {
    free((char *)(uintptr_t)to->host);
    free((char *)(uintptr_t)to->server_name);
}

static void destroy(HttpClient *client) {
    pool_free(client->dialers);
    SSL_SESSION_free(client->session);
    SSL_CTX_free(client->context);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free_where(&client->to);
    free(client->authority);
    free(client);
}

int http_client_new(Loop *loop, const HttpClientConfig *config, HttpClient **ret, char **ret_error) {
    HttpClient *client = NEW0(HttpClient);
    const DuplexConnect *to = &config->to;
    DuplexConnect trust = *to;
    const char *name = to->server_name ? to->server_name : to->host;
    pthread_condattr_t attr;
    client->loop = loop;
    copy_where(&client->to, to);
    client->authority = config->authority ? xstrdup(config->authority)
                                          : xasprintf(strchr(name, ':') ? "[%s]:%u" : "%s:%u", name, to->port);
    client->http1_only = config->http1_only;
    client->speaks_h1 = config->http1_only || !to->tls;
    client->keep_ns = (config->idle_seconds ? config->idle_seconds : HTTP_CLIENT_IDLE_SECONDS) * NS_PER_SEC;
    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&client->changed, &attr);
    pthread_condattr_destroy(&attr);
    client->dialers = pool_new("dial", DIALERS_MAX, HTTP_CLIENT_LINES_MAX);
    trust.ret_error = ret_error;
    int r = dial_context(&trust, &client->context);
    if (r < 0) {
        destroy(client);
        return r;
    }
    if (client->context) {
        SSL_CTX_set_app_data(client->context, client);
        SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(client->context, on_session);
    }
    *ret = client;
    return 0;
}

static void tell_closed(void *userdata) {
    HttpClient *client = userdata;
    client_turn(client); /* frees the lines, whose connections have all ended by now */
    if (client->context)
        SSL_CTX_set_app_data(client->context, NULL); /* what lingers may still be given a session */
    pthread_mutex_lock(&client->lock);
    client->closed = true;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void close_posted(void *userdata) {
    HttpClient *client = userdata;
    client->turning = true; /* the list stays as it is */
    for (HttpLine *line = client->lines; line; line = line->next)
        if (!line->dead)
            line_break(line, 0);
    client->turning = false;
    loop_post(client->loop, tell_closed, client); /* after what was posted for connections just made */
}

void http_client_free(HttpClient *client) {
    if (!client)
        return;
    atomic_store(&client->closing, true);
    pool_free(TAKE_PTR(client->dialers)); /* what they found is posted */
    loop_post(client->loop, close_posted, client);
    pthread_mutex_lock(&client->lock);
    while (!client->closed)
        pthread_cond_wait(&client->changed, &client->lock);
    pthread_mutex_unlock(&client->lock);
    destroy(client);
}
