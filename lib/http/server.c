#define LOG_COMPONENT "http"
#include "http/server.h"

#include "base/log.h"
#include "http/duplex_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define ACCEPTS_PER_ROUND 32
#define ACCEPT_RETRY_NS (100 * NS_PER_MS) /* after the process ran out of descriptors */

Worker *worker_ref(Worker *worker) {
    atomic_fetch_add_explicit(&worker->refs, 1, memory_order_relaxed);
    return worker;
}

void worker_unref(Worker *worker) {
    if (!worker || atomic_fetch_sub_explicit(&worker->refs, 1, memory_order_acq_rel) != 1)
        return;
    loop_free(worker->loop);
    pthread_mutex_destroy(&worker->lock);
    buf_done(&worker->out);
    free(worker->in);
    free(worker);
}

bool worker_post(Worker *worker, void (*fn)(void *userdata), void *userdata) {
    pthread_mutex_lock(&worker->lock);
    bool running = !worker->stopped;
    if (running)
        loop_post(worker->loop, fn, userdata);
    pthread_mutex_unlock(&worker->lock);
    return running;
}

const char *worker_date(Worker *worker) {
    int64_t second = now_realtime_ns() / (int64_t)NS_PER_SEC;
    if (second != worker->date_second) {
        time_t t = (time_t)second;
        struct tm tm;
        strftime(worker->date, sizeof worker->date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        worker->date_second = second;
    }
    return worker->date;
}

static void worker_exit(void *userdata) {
    Worker *worker = userdata;
    loop_exit(worker->loop, 0);
}

/* Everything it served is gone: refuses further posts, runs those that were made, and ends. */
void worker_check_finished(Worker *worker) {
    if (!worker->stopping || worker->finished || worker->conns || worker->duplexes)
        return;
    worker->finished = true;
    worker->stop_timer = source_unref(worker->stop_timer);
    worker->sweep_timer = source_unref(worker->sweep_timer);
    worker->accept_timer = source_unref(worker->accept_timer);
    pthread_mutex_lock(&worker->lock);
    worker->stopped = true;
    loop_post(worker->loop, worker_exit, worker);
    pthread_mutex_unlock(&worker->lock);
}

/* After a crowd has left, its memory lies about in small pieces that the allocator does not return by itself. */
static void worker_trim(Worker *worker) {
    if (worker->most_load >= WORKER_CROWD && worker->load <= worker->most_load / 4) {
        worker->most_load = worker->load;
        worker->trims = WORKER_TRIMS;
    }
    if (worker->trims) {
        worker->trims--;
        malloc_trim(0);
    }
}

static void worker_sweep(Source *source, void *userdata) {
    Worker *worker = userdata;
    uint64_t now = now_monotonic_ns();
    for (Conn *conn = worker->conns; conn; conn = conn->next) {
        if (conn->broken)
            continue;
        if (conn->write_deadline && now >= conn->write_deadline)
            conn_break(conn, -ETIMEDOUT);
        else if (!conn->protocol || conn->lingering) {
            if (conn->deadline && now >= conn->deadline)
                conn_break(conn, conn->lingering ? 0 : -ETIMEDOUT);
        } else
            conn->protocol->expire(conn, now);
    }
    worker_trim(worker);
    if (worker->conns || worker->trims)
        timer_set(source, now + NS_PER_SEC);
}

typedef struct Accepted {
    Worker *worker;
    int fd;
} Accepted;

static void accepted_arrived(void *userdata) {
    Accepted *accepted = userdata;
    Worker *worker = accepted->worker;
    if (worker->stopping) {
        close(accepted->fd);
        atomic_fetch_sub(&worker->n_conns, 1);
        atomic_fetch_sub(&worker->server->n_conns, 1);
    } else
        conn_accepted(worker, accepted->fd);
    free(accepted);
}

/* Go clients keep one connection for all they do, so few connections must not land on one thread. */
static Worker *least_loaded(HttpServer *server, Worker *self) {
    Worker *best = self;
    for (unsigned i = 0; i < server->n_workers; i++)
        if (atomic_load(&server->workers[i]->n_conns) < atomic_load(&best->n_conns))
            best = server->workers[i];
    return best;
}

static void accept_one(Worker *self, int fd) {
    HttpServer *server = self->server;
    if (atomic_fetch_add(&server->n_conns, 1) >= server->config.max_connections) {
        atomic_fetch_sub(&server->n_conns, 1);
        log_debug("a connection was refused: %zu are open", server->config.max_connections);
        close(fd);
        return;
    }
    Worker *worker = least_loaded(server, self);
    atomic_fetch_add(&worker->n_conns, 1);
    if (worker == self) {
        conn_accepted(self, fd);
        return;
    }
    Accepted *accepted = NEW(Accepted);
    *accepted = (Accepted){worker, fd};
    if (worker_post(worker, accepted_arrived, accepted))
        return;
    close(fd);
    free(accepted);
    atomic_fetch_sub(&server->n_conns, 1);
    atomic_fetch_sub(&worker->n_conns, 1);
}

static void worker_deafen(Worker *worker) {
    for (unsigned i = 0; i < HTTP_LISTEN_MAX; i++)
        worker->listen_sources[i] = source_unref(worker->listen_sources[i]);
}

static void on_listen(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source, (void)revents;
    Worker *worker = userdata;
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            accept_one(worker, client);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warn("cannot accept connections: %s", strerror(errno));
            worker_deafen(worker);
            timer_set(worker->accept_timer, now_monotonic_ns() + ACCEPT_RETRY_NS);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static int worker_listen(Worker *worker) {
    int r = 0;
    for (unsigned i = 0; r == 0 && i < worker->server->n_listen; i++)
        r = loop_add_io(worker->loop, worker->server->listen_fds[i], EPOLLIN | EPOLLEXCLUSIVE, on_listen, worker,
                        &worker->listen_sources[i]);
    if (r < 0)
        worker_deafen(worker);
    return r;
}

static void on_accept_timer(Source *source, void *userdata) {
    Worker *worker = userdata;
    if (!worker->stopping && !worker->listen_sources[0] && worker_listen(worker) < 0)
        timer_set(source, now_monotonic_ns() + ACCEPT_RETRY_NS);
}

static void *worker_run(void *userdata) {
    Worker *worker = userdata;
    pthread_setname_np(pthread_self(), "http");
    loop_run(worker->loop);
    loop_end(worker->loop);
    return NULL;
}

static int worker_new(HttpServer *server, Worker **ret) {
    Worker *worker = NEW0(Worker);
    worker->refs = 1;
    worker->server = server;
    pthread_mutex_init(&worker->lock, NULL);
    worker->in = xmalloc(CONN_READ_SIZE);
    worker->out = BUF_INIT(BUF_NO_LIMIT); /* a fill ends by itself */
    int r = loop_new(&worker->loop);
    if (r == 0)
        r = loop_add_timer(worker->loop, 0, worker_sweep, worker, &worker->sweep_timer);
    if (r == 0)
        r = loop_add_timer(worker->loop, 0, on_accept_timer, worker, &worker->accept_timer);
    if (r == 0)
        r = worker_listen(worker);
    *ret = worker;
    return r;
}

static int worker_start(Worker *worker) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the main thread */
    int r = pthread_create(&worker->thread, NULL, worker_run, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    worker->started = r == 0;
    return -r;
}

static int server_listen(HttpServer *server, const char *bind_to, uint16_t port) {
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    socklen_t len = sizeof *in;
    if (inet_pton(AF_INET, bind_to, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
    } else if (inet_pton(AF_INET6, bind_to, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        len = sizeof *in6;
    } else
        return -EINVAL;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0)
        return -errno;
    server->listen_fds[server->n_listen++] = fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return -errno;
    len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    server->port = ntohs(address.ss_family == AF_INET ? in->sin_port : in6->sin6_port);
    return 0;
}

static void worker_discard(Worker *worker) {
    worker_deafen(worker);
    source_unref(worker->sweep_timer);
    source_unref(worker->stop_timer);
    source_unref(worker->accept_timer);
    worker_unref(worker);
}

static void server_free(HttpServer *server) {
    for (unsigned i = 0; i < server->n_workers; i++)
        worker_discard(server->workers[i]);
    free(server->workers);
    for (unsigned i = 0; i < server->n_listen; i++)
        close(server->listen_fds[i]);
    SSL_CTX_free(server->tls);
    pthread_mutex_destroy(&server->tls_lock);
    free(server);
}

static int context_of(const HttpServerConfig *config, SSL_CTX **ret) {
    const TlsIdentity identity = {config->cert_file, config->key_file, config->cert_pem, config->key_pem};
    const TlsClients clients = {config->client_ca_file, config->client_ca_pem, config->front_ca_file};
    return tls_server_context(&identity, &clients, ret);
}

int http_server_start(const HttpServerConfig *config, HttpServer **ret) {
    HttpServer *server = NEW0(HttpServer);
    server->config = *config;
    pthread_mutex_init(&server->tls_lock, NULL);
    HttpServerConfig *c = &server->config;
    c->max_body = c->max_body ? c->max_body : HTTP_MAX_BODY;
    c->max_connections = c->max_connections ? c->max_connections : HTTP_MAX_CONNECTIONS;
    if (c->threads == 0)
        c->threads = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    int r = c->cert_file || c->cert_pem ? context_of(c, &server->tls) : 0;
    if (r == 0)
        r = server_listen(server, c->bind ? c->bind : "127.0.0.1", c->port);
    if (r == 0 && c->also)
        r = server_listen(server, c->also, server->port);
    server->workers = NEWN0(Worker *, c->threads);
    for (unsigned i = 0; i < c->threads && r == 0; i++)
        r = worker_new(server, &server->workers[server->n_workers++]);
    if (r == 0 && c->listening)
        c->listening(server->port, c->userdata);
    for (unsigned i = 0; i < server->n_workers && r == 0; i++)
        r = worker_start(server->workers[i]);
    /* The files are not needed any more, and the strings are the caller's. */
    c->bind = c->also = c->cert_file = c->key_file = c->client_ca_file = c->front_ca_file = NULL;
    if (r == 0) {
        *ret = server;
        return 0;
    }
    bool running = false;
    for (unsigned i = 0; i < server->n_workers; i++)
        running |= server->workers[i]->started;
    if (running)
        http_server_stop(server, 0);
    else
        server_free(server);
    return r;
}

int http_server_reload(HttpServer *server, const HttpServerConfig *config) {
    SSL_CTX *fresh = NULL;
    int r = context_of(config, &fresh);
    if (r < 0)
        return r;
    pthread_mutex_lock(&server->tls_lock);
    SSL_CTX *old = server->tls;
    server->tls = fresh;
    pthread_mutex_unlock(&server->tls_lock);
    SSL_CTX_free(old);
    return 0;
}

uint16_t http_server_port(const HttpServer *server) {
    return server->port;
}

static void worker_kill(Source *source, void *userdata) {
    (void)source;
    Worker *worker = userdata;
    for (Conn *conn = worker->conns; conn; conn = conn->next)
        conn_break(conn, 0);
    while (worker->duplexes)
        duplex_abort(worker->duplexes, -ESHUTDOWN);
}

static void worker_stop(void *userdata) {
    Worker *worker = userdata;
    worker->stopping = true;
    worker_deafen(worker);
    for (Conn *conn = worker->conns; conn; conn = conn->next) {
        conn->stopping = true;
        if (conn->broken || conn->lingering)
            continue;
        if (conn->protocol)
            conn->protocol->stop(conn);
        else
            conn_break(conn, 0);
    }
    for (Duplex *duplex = worker->duplexes; duplex; duplex = duplex_next(duplex))
        duplex_close(duplex);
    loop_add_timer(worker->loop, now_monotonic_ns() + worker->stop_timeout, worker_kill, worker, &worker->stop_timer);
    worker_check_finished(worker);
}

void http_server_stop(HttpServer *server, uint64_t timeout_ns) {
    if (!server)
        return;
    for (unsigned i = 0; i < server->n_workers; i++) {
        Worker *worker = server->workers[i];
        worker->stop_timeout = timeout_ns;
        if (worker->started)
            worker_post(worker, worker_stop, worker);
    }
    for (unsigned i = 0; i < server->n_workers; i++)
        if (server->workers[i]->started)
            pthread_join(server->workers[i]->thread, NULL);
    server_free(server);
}

void http_server_broadcast(HttpServer *server, void (*fn)(void *userdata), void *userdata) {
    for (unsigned i = 0; i < server->n_workers; i++)
        worker_post(server->workers[i], fn, userdata);
}

typedef struct PostedHijack {
    HttpRequest *request;
    Duplex *duplex;
    Buf head;
} PostedHijack;

static void hijack_arrived(void *userdata) {
    PostedHijack *posted = userdata;
    int r = h1_hijack(posted->request, &posted->head, posted->duplex);
    if (r < 0)
        duplex_fail(posted->duplex, r);
    buf_done(&posted->head);
    duplex_unref(posted->duplex);
    http_request_unref(posted->request);
    free(posted);
}

int http_hijack(HttpRequest *request, const HttpHeader *headers, size_t n_headers, Duplex **ret) {
    if (request->h2)
        return -EPROTONOSUPPORT;
    if (atomic_exchange(&request->replied, true))
        return -EALREADY;
    PostedHijack *posted = NEW0(PostedHijack);
    posted->request = http_request_ref(request);
    posted->duplex = duplex_new_pending(request->worker);
    posted->head = BUF_INIT(HTTP_MAX_HEADERS);
    buf_puts(&posted->head, "HTTP/1.1 101 Switching Protocols\r\n");
    for (size_t i = 0; i < n_headers; i++)
        buf_printf(&posted->head, "%s: %s\r\n", headers[i].name, headers[i].value);
    buf_puts(&posted->head, "\r\n");
    *ret = duplex_ref(posted->duplex);
    if (loop_is_current(request->worker->loop) || !worker_post(request->worker, hijack_arrived, posted))
        hijack_arrived(posted);
    return 0;
}
