/* An accepted connection whose client has said all that it will say, on a loop of its own without threads. */
#pragma once

#include "http/conn.h"
#include "http/duplex_internal.h"

#include <sys/socket.h>
#include <unistd.h>

#define HTTP_PEER_INPUT_MAX 65536
#define HTTP_PEER_ROUNDS 16 /* of the loop; enough for some pipelined requests */

/* Answers with what it saw, so that every part of a request is read. */
static inline void http_peer_handle(HttpRequest *request, void *userdata) {
    (void)userdata;
    static const HttpHeader header = {"content-type", "text/plain"};
    const char *name, *value;
    size_t n = 0;
    for (size_t i = 0; http_header_at(request, i, &name, &value); i++)
        n += strlen(name) + strlen(value);
    Buf out = BUF_INIT(BUF_NO_LIMIT);
    buf_printf(&out, "%zu %s %s %s", n, http_method(request), http_path(request), http_query(request));
    http_body(request, &n);
    http_reply(request, 200, &header, 1, http_bytes_take(&out));
}

typedef struct HttpPeerRounds {
    Loop *loop;
    int left;
} HttpPeerRounds;

static inline void http_peer_round(void *userdata) {
    HttpPeerRounds *rounds = userdata;
    if (rounds->left-- > 0)
        loop_post(rounds->loop, http_peer_round, rounds);
    else
        loop_exit(rounds->loop, 0);
}

static inline Worker *http_peer_worker(HttpServer *server) {
    Worker *worker = NEW0(Worker);
    worker->refs = 1;
    worker->server = server;
    worker->n_conns = 1;
    pthread_mutex_init(&worker->lock, NULL);
    worker->in = xmalloc(CONN_READ_SIZE);
    worker->out = BUF_INIT(BUF_NO_LIMIT);
    if (loop_new(&worker->loop) < 0 || loop_add_timer(worker->loop, 0, NULL, NULL, &worker->sweep_timer) < 0)
        abort();
    return worker;
}

/* Aborts when anything of the connection is left at its end. Without TLS every connection begins as HTTP/1.1; `h2`
 * gives it the protocol that ALPN would have chosen. */
static inline void http_peer_run(const uint8_t *data, size_t size, bool h2,
                                 void (*handle)(HttpRequest *request, void *userdata), void *userdata) {
    int fds[2];
    if (size > HTTP_PEER_INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return;
    HttpServer server = {.config = {.handler = handle, .userdata = userdata, .max_body = 4096, .max_connections = 10},
                         .n_conns = 1,
                         .tls_lock = PTHREAD_MUTEX_INITIALIZER};
    Worker *worker = http_peer_worker(&server);
    if (send(fds[1], data, size, MSG_NOSIGNAL) >= 0)
        shutdown(fds[1], SHUT_WR);
    conn_accepted(worker, fds[0]);
    if (h2 && worker->conns) {
        Conn *conn = worker->conns;
        conn->protocol->done(conn);
        conn->protocol = &h2_protocol;
        if (h2_start(conn) < 0)
            abort();
    }
    timer_set(worker->sweep_timer, 0);
    HttpPeerRounds rounds = {worker->loop, HTTP_PEER_ROUNDS};
    loop_post(worker->loop, http_peer_round, &rounds);
    loop_run(worker->loop);
    if (worker->conns || worker->duplexes) {
        if (worker->conns)
            conn_break(worker->conns, 0);
        if (worker->duplexes)
            duplex_abort(worker->duplexes, 0);
        rounds.left = 4;
        loop_post(worker->loop, http_peer_round, &rounds);
        loop_run(worker->loop);
    }
    if (worker->conns || worker->duplexes || server.n_conns || server.body_bytes)
        abort();
    close(fds[1]);
    source_unref(worker->sweep_timer);
    worker_unref(worker);
}
