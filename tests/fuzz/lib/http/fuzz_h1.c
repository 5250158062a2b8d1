/* Bytes of an HTTP/1.1 client through the whole connection code, on a loop of its own without threads. */
#include "http/conn.h"
#include "http/duplex_internal.h"

#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 65536
#define ROUNDS 16 /* of the loop; enough for some pipelined requests */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(HttpRequest *request, void *userdata) {
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

typedef struct Rounds {
    Loop *loop;
    int left;
} Rounds;

static void next_round(void *userdata) {
    Rounds *rounds = userdata;
    if (rounds->left-- > 0)
        loop_post(rounds->loop, next_round, rounds);
    else
        loop_exit(rounds->loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fds[2];
    if (size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    HttpServer server = {.config = {.handler = handle, .max_body = 4096, .max_connections = 10},
                         .listen_fd = -1,
                         .n_conns = 1,
                         .tls_lock = PTHREAD_MUTEX_INITIALIZER};
    Worker *worker = NEW0(Worker);
    worker->refs = 1;
    worker->server = &server;
    worker->n_conns = 1;
    pthread_mutex_init(&worker->lock, NULL);
    worker->in = xmalloc(CONN_READ_SIZE);
    worker->out = BUF_INIT(BUF_NO_LIMIT);
    if (loop_new(&worker->loop) < 0 || loop_add_timer(worker->loop, 0, NULL, NULL, &worker->sweep_timer) < 0)
        abort();
    if (send(fds[1], data, size, MSG_NOSIGNAL) >= 0)
        shutdown(fds[1], SHUT_WR);
    conn_accepted(worker, fds[0]);
    timer_set(worker->sweep_timer, 0);
    Rounds rounds = {worker->loop, ROUNDS};
    loop_post(worker->loop, next_round, &rounds);
    loop_run(worker->loop);
    if (worker->conns) {
        conn_break(worker->conns, 0);
        rounds.left = 2;
        loop_post(worker->loop, next_round, &rounds);
        loop_run(worker->loop);
    }
    if (worker->conns || server.n_conns || server.body_bytes)
        abort();
    close(fds[1]);
    source_unref(worker->sweep_timer);
    worker_unref(worker);
    return 0;
}
