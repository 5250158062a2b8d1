/* The session of a connection and its socket: what comes in, what goes out, and waiting for either. */
#include "grpc/connection.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/version.h"
#include "grpc/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_WINDOW (1024 * 1024)   /* bytes a server may send ahead on one stream */
#define CONN_WINDOW (4 * 1024 * 1024) /* and on the connection */
#define OUR_AGENT "grpc-c-lighter/" LIGHTER_VERSION

/* ---- what arrives ---- */

static GrpcStream *stream_of(nghttp2_session *session, int32_t id) {
    GrpcStream *stream = nghttp2_session_get_stream_user_data(session, id);
    return stream && !stream->done ? stream : NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    (void)userdata;
    GrpcStream *stream = stream_of(session, frame->hd.stream_id);
    if (stream)
        stream_begin_headers(stream);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata) {
    (void)flags, (void)userdata;
    GrpcStream *stream = frame->hd.type == NGHTTP2_HEADERS ? stream_of(session, frame->hd.stream_id) : NULL;
    if (stream) /* nghttp2 ends names and values with a NUL */
        stream_header(stream, (const char *)name, value, name_len, value_len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    GrpcConnection *c = userdata;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM, ack = frame->hd.flags & NGHTTP2_FLAG_ACK;
    if (frame->hd.type == NGHTTP2_SETTINGS && !ack)
        c->settled = true;
    GrpcStream *stream = stream_of(session, frame->hd.stream_id);
    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        stream_headers(stream, end);
    else if (frame->hd.type == NGHTTP2_DATA && end)
        stream_fail(stream, GRPC_INTERNAL, "server closed the stream without sending trailers");
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *userdata) {
    (void)flags, (void)userdata;
    GrpcStream *stream = stream_of(session, id);
    if (stream)
        stream_data(stream, data, n);
    if (!stream || stream->n == stream->first)
        (void)nghttp2_session_consume(session, id, n);
    else {
        (void)nghttp2_session_consume_connection(session, n);
        stream->held += n;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *userdata) {
    (void)userdata;
    GrpcStream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream)
        stream->closed = true;
    if (stream && !stream->done)
        stream_was_reset(stream, error);
    return 0;
}

/* ---- the socket ---- */

static ssize_t write_some(GrpcConnection *c, const void *p, size_t n) {
    if (c->tls)
        return tls_write(c->tls, p, n);
    ssize_t r;
    do
        r = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static ssize_t read_some(GrpcConnection *c) {
    if (c->tls)
        return tls_read(c->tls, c->in, sizeof c->in);
    ssize_t r;
    do
        r = recv(c->fd, c->in, sizeof c->in, MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/* Gathers what the session wants to send. */
static int gather(GrpcConnection *c) {
    while (c->out_len < sizeof c->out) {
        if (!c->chunk_len) {
            ssize_t n = nghttp2_session_mem_send(c->session, &c->chunk);
            if (n <= 0)
                return n < 0 ? -EPROTO : 0;
            c->chunk_len = (size_t)n;
        }
        size_t n = MIN(c->chunk_len, sizeof c->out - c->out_len);
        memcpy(c->out + c->out_len, c->chunk, n);
        c->chunk += n;
        c->chunk_len -= n;
        c->out_len += n;
    }
    return 0;
}

int connection_flush(GrpcConnection *c) {
    for (;;) {
        if (c->out_at == c->out_len) {
            c->out_at = c->out_len = 0;
            int r = gather(c);
            if (r < 0 || !c->out_len)
                return r;
        }
        ssize_t n = write_some(c, c->out + c->out_at, c->out_len - c->out_at);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        c->out_at += (size_t)n;
    }
}

/* Reads what is there, up to the end of what the socket or TLS holds, or to the first news. */
static int drain(GrpcConnection *c, const bool *until) {
    for (;;) {
        ssize_t n = read_some(c);
        if (n <= 0)
            return n == -EAGAIN ? 0 : n < 0 ? (int)n : -ECONNRESET;
        c->heard_ns = now_monotonic_ns();
        c->pinged_ns = 0; /* any sign of life is an answer */
        if (nghttp2_session_mem_recv(c->session, c->in, (size_t)n) < 0)
            return -EPROTO;
        if (c->tls ? !SSL_pending(c->tls) : (size_t)n < sizeof c->in || (until && *until))
            return 0; /* poll says when there is more */
    }
}

/* ---- time ---- */

/* Ends the streams that are past their deadlines; the next instant at which something is due. */
static uint64_t expire(GrpcConnection *c, uint64_t now) {
    static const char late[] = "context deadline exceeded";
    uint64_t next = GRPC_NEVER;
    for (GrpcStream *stream = c->streams; stream; stream = stream->next) {
        if (stream->done)
            continue;
        if (now >= stream->deadline_ns)
            stream_fail(stream, GRPC_DEADLINE_EXCEEDED, late);
        else
            next = MIN(next, stream->deadline_ns);
    }
    return next;
}

/* -ETIMEDOUT: nothing came although a PING asked. Only while there are calls: servers count other PINGs against us. */
static int keep_alive(GrpcConnection *c, uint64_t now, uint64_t *next) {
    if (!c->keepalive_ns || (!c->streams && !c->pinged_ns))
        return 0;
    if (c->pinged_ns && now >= c->pinged_ns + c->keepalive_ns)
        return -ETIMEDOUT;
    if (!c->pinged_ns && now >= c->heard_ns + c->keepalive_ns) {
        if (nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL) != 0)
            return -EPROTO;
        c->pinged_ns = now;
    }
    *next = MIN(*next, (c->pinged_ns ? c->pinged_ns : c->heard_ns) + c->keepalive_ns);
    return 0;
}

/* ---- turning ---- */

static bool has_arrived(const GrpcConnection *c, const bool *until, bool wakes) {
    return (until ? *until : c->ready != NULL) || (wakes && c->woken);
}

static int wait_for_traffic(GrpcConnection *c, uint64_t until_ns) {
    struct pollfd p[2] = {{.fd = c->fd, .events = c->out_at < c->out_len ? POLLIN | POLLOUT : POLLIN},
                          {.fd = c->wake_fd, .events = POLLIN}};
    uint64_t now = now_monotonic_ns();
    int timeout = now >= until_ns ? 0 : (int)MIN((until_ns - now) / NS_PER_MS + 1, (uint64_t)3600000);
    if (poll(p, ELEMENTSOF(p), timeout) < 0)
        return errno == EINTR ? 0 : -errno;
    if (p[1].revents & POLLIN) {
        uint64_t count;
        if (read(c->wake_fd, &count, sizeof count) > 0)
            c->woken = true;
    }
    return 0;
}

static int break_connection(GrpcConnection *c, int error) {
    c->broken = error;
    for (GrpcStream *stream = c->streams; stream; stream = stream->next)
        if (!stream->done)
            stream_broke(stream, error);
    return error;
}

int connection_turn(GrpcConnection *c, const bool *until, bool wakes, uint64_t until_ns) {
    while (!c->broken) {
        uint64_t now = now_monotonic_ns(), next = expire(c, now);
        int r = keep_alive(c, now, &next);
        r = r < 0 ? r : connection_flush(c);
        if (has_arrived(c, until, wakes))
            return 0;
        if (r == 0 && c->out_at == c->out_len && !nghttp2_session_want_read(c->session))
            r = c->settled ? -ECONNRESET : -EPROTO; /* after a GOAWAY of either side nothing more comes */
        if (r == 0 && now >= until_ns)
            return -ETIMEDOUT;
        if (r == 0 && is_cancelled(c->cancelled))
            r = -ECANCELED;
        r = r < 0 ? r : wait_for_traffic(c, cancel_check(c->cancelled, MIN(until_ns, next)));
        int drained = drain(c, until); /* also after a failed write: the server may have said why */
        if (has_arrived(c, until, wakes))
            return 0;
        if (r < 0 || drained < 0)
            break_connection(c, r < 0 ? r : drained);
    }
    return c->broken;
}

int grpc_turn(GrpcConnection *c, uint64_t until_ns) {
    int r = connection_turn(c, NULL, true, until_ns);
    c->woken = false;
    return r == -ETIMEDOUT && !c->broken ? 0 : r;
}

void grpc_wake(GrpcConnection *c) {
    uint64_t one = 1;
    ssize_t n = write(c->wake_fd, &one, sizeof one); /* fails only when a wake is waiting already */
    (void)n;
}

GrpcStream *grpc_next_ready(GrpcConnection *c) {
    GrpcStream *stream = c->ready;
    if (!stream)
        return NULL;
    c->ready = stream->next_ready;
    if (!c->ready)
        c->last_ready = &c->ready;
    stream->ready = false;
    return stream;
}

GrpcStream *grpc_any_stream(GrpcConnection *c) {
    return c->streams;
}

bool grpc_is_usable(const GrpcConnection *c) {
    return !c->broken && nghttp2_session_check_request_allowed(c->session);
}

/* ---- its life ---- */

static int session_new(GrpcConnection *c) {
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int r = nghttp2_option_new(&option);
    if (r == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        r = nghttp2_session_client_new2(&c->session, callbacks, c, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (r != 0)
        return -ENOMEM;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                                         {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADERS_MAX}};
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ELEMENTSOF(settings)) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW) != 0)
        return -ENOMEM;
    return 0;
}

int connection_new(int fd, SSL *tls, const char *authority, const GrpcOptions *options, uint64_t deadline_ns,
                   GrpcConnection **ret) {
    _cleanup_(grpc_closep) GrpcConnection *c = NEW0(GrpcConnection);
    c->fd = fd;
    c->tls = tls;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->last_ready = &c->ready;
    c->authority = xstrdup(authority);
    c->message_max = options->message_max ? options->message_max : GRPC_MESSAGE_MAX;
    c->keepalive_ns = options->keepalive_seconds * NS_PER_SEC;
    c->cancelled = options->cancelled;
    c->heard_ns = now_monotonic_ns();
    c->agent = str_empty(options->user_agent) ? xstrdup(OUR_AGENT) : xasprintf("%s %s", options->user_agent, OUR_AGENT);
    int r = c->wake_fd < 0 ? -errno : session_new(c);
    r = r < 0 ? r : connection_turn(c, &c->settled, false, deadline_ns);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

void grpc_close(GrpcConnection *c) {
    if (!c)
        return;
    while (c->streams)
        grpc_stream_close(c->streams);
    if (c->session && !c->broken && nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR) == 0)
        (void)connection_flush(c);
    nghttp2_session_del(c->session);
    SSL_free(c->tls);
    close(c->fd);
    closep(&c->wake_fd);
    free(c->authority);
    free(c->agent);
    free(c);
}
