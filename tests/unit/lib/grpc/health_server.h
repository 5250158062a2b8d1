/* A gRPC server for tests: one thread, one listening socket on loopback or a path, one canned way to answer. */
#pragma once

#include "base/buf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Answer {
    const void *message; /* sent as it is: prefix and all */
    size_t n;
    const char *status, *text; /* the trailers'; NULL: the stream ends without trailers */
    const char *http_status, *content_type;
    bool only_headers; /* the status is in the only HEADERS */
    bool silent;       /* never answers */
    bool mute;         /* not even SETTINGS */
    bool garbage;      /* no HTTP/2 at all */
    bool hang_up;      /* when the request is there */
    uint32_t reset;    /* RST_STREAM instead of an answer */
} Answer;

typedef struct HealthServer {
    const Answer *answer;
    int listen_fd;
    char address[160];
    uint16_t port;
    pthread_t thread;
    atomic_bool stop;
    /* of the last request; to be read when the server has ended or its answer is there */
    Buf request, fields; /* fields: "name: value\n" */
    size_t sent;
    unsigned calls, connections;
    bool hang;
} HealthServer;

static int server_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                            const uint8_t *value, size_t value_len, uint8_t flags, void *userdata) {
    (void)session, (void)frame, (void)name_len, (void)value_len, (void)flags;
    HealthServer *s = userdata;
    buf_printf(&s->fields, "%s: %s\n", (const char *)name, (const char *)value);
    return 0;
}

static int server_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
                          void *userdata) {
    (void)session, (void)flags, (void)id;
    HealthServer *s = userdata;
    buf_append(&s->request, data, n);
    return 0;
}

static nghttp2_nv server_field(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static size_t server_status(const HealthServer *s, nghttp2_nv fields[2]) {
    size_t n = 0;
    fields[n++] = server_field("grpc-status", s->answer->status);
    if (s->answer->text)
        fields[n++] = server_field("grpc-message", s->answer->text);
    return n;
}

static ssize_t server_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *userdata) {
    (void)source;
    HealthServer *s = userdata;
    n = MIN(n, s->answer->n - s->sent);
    if (n)
        memcpy(out, (const char *)s->answer->message + s->sent, n);
    s->sent += n;
    if (s->sent < s->answer->n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->answer->status) {
        nghttp2_nv fields[2];
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, fields, server_status(s, fields));
    }
    return (ssize_t)n;
}

static int server_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    HealthServer *s = userdata;
    const Answer *a = s->answer;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    s->calls++;
    s->sent = 0;
    s->hang = a->hang_up;
    if (a->silent || a->hang_up)
        return 0;
    if (a->reset)
        return nghttp2_submit_rst_stream(session, 0, frame->hd.stream_id, a->reset);
    nghttp2_nv fields[4] = {server_field(":status", a->http_status ? a->http_status : "200"),
                            server_field("content-type", a->content_type ? a->content_type : "application/grpc")};
    nghttp2_data_provider body = {.read_callback = server_read};
    size_t n = 2;
    if (a->only_headers && a->status)
        n += server_status(s, fields + 2);
    return nghttp2_submit_response(session, frame->hd.stream_id, fields, n, a->only_headers ? NULL : &body);
}

static void server_push(nghttp2_session *session, int fd) {
    const uint8_t *p;
    for (ssize_t n; (n = nghttp2_session_mem_send(session, &p)) > 0;)
        if (send(fd, p, (size_t)n, MSG_NOSIGNAL) != n)
            return;
}

static void server_talk(HealthServer *s, int fd) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    uint8_t in[16384];
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, server_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, server_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, server_on_frame);
    nghttp2_session_server_new(&session, callbacks, s);
    nghttp2_session_callbacks_del(callbacks);
    if (s->answer->garbage)
        (void)!write(fd, "SSH-2.0-not_http\r\n", 18);
    else if (!s->answer->mute) {
        nghttp2_submit_settings(session, 0, NULL, 0);
        server_push(session, fd);
    }
    while (!s->stop && !s->hang) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        ssize_t n = read(fd, in, sizeof in);
        if (n <= 0)
            break;
        if (s->answer->mute || s->answer->garbage)
            continue;
        if (nghttp2_session_mem_recv(session, in, (size_t)n) < 0)
            break;
        server_push(session, fd);
    }
    nghttp2_session_del(session);
}

static void *server_main(void *userdata) {
    HealthServer *s = userdata;
    while (!s->stop) {
        struct pollfd p = {.fd = s->listen_fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(s->listen_fd, NULL, NULL);
        if (fd < 0)
            continue;
        s->connections++;
        s->hang = false;
        server_talk(s, fd);
        close(fd);
    }
    return NULL;
}

static void server_run(HealthServer *s, const Answer *answer) {
    s->answer = answer;
    s->request = s->fields = BUF_INIT(16 * 1024 * 1024);
    int r = pthread_create(&s->thread, NULL, server_main, s);
    assert(r == 0);
    (void)r;
}

/* A port of its own that nobody listens on yet; server_listen opens it. */
static int server_bind(HealthServer *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    *s = (HealthServer){.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (bind(s->listen_fd, (struct sockaddr *)&address, n) < 0 ||
        getsockname(s->listen_fd, (struct sockaddr *)&address, &n) < 0)
        return -errno;
    s->port = ntohs(address.sin_port);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
    return 0;
}

static void server_start(HealthServer *s, const Answer *answer) {
    int r = server_bind(s);
    if (r == 0)
        r = listen(s->listen_fd, 8);
    assert(r == 0);
    (void)r;
    server_run(s, answer);
}

/* What the requests said stays to be read until server_stop. */
static void server_end(HealthServer *s) {
    if (s->stop)
        return;
    s->stop = true;
    pthread_join(s->thread, NULL);
}

static void server_stop(HealthServer *s) {
    server_end(s);
    close(s->listen_fd);
    buf_done(&s->request);
    buf_done(&s->fields);
}
