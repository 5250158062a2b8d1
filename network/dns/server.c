/* A client's question is answered at once, or becomes a Forward: a copy of what is needed to answer later, with a
 * socket of its own to the resolver (so that a forged answer has to guess port and id). Clients over TCP are asked for
 * over TCP. Forwards and connections refer to each other; a connection that ends leaves its forwards without a client.
 */
#define LOG_COMPONENT "dns"
#include "network/dns/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "loop/loop.h"
#include "network/dns/resolvers.h"

#define UDP_READS_PER_ROUND 64
#define QUERY_MAX 4096 /* of a client; longer ones are no questions */
#define BACKLOG 128

typedef struct Connection Connection;
typedef struct Forward Forward;

struct DnsServer {
    DnsZone *zone;
    Resolvers resolvers;
    struct sockaddr_in address;
    Loop *loop;
    pthread_t thread;
    bool running;
    int udp, tcp;
    Source *udp_source, *tcp_source;
    Forward *forwards;
    size_t n_forwards;
    Connection *connections;
    size_t n_connections;
    uint8_t out[DNS_MESSAGE_MAX]; /* one message at a time is written */
    uint8_t in[DNS_MESSAGE_MAX];
};

/* A client over TCP: messages with their length in front, answered in any order. */
struct Connection {
    DnsServer *server;
    Connection *next, **self;
    int fd;
    Source *io, *timer;
    uint8_t in[2 + QUERY_MAX];
    size_t have;
    uint8_t *out; /* what waits to be written */
    size_t out_len;
};

struct Forward {
    DnsServer *server;
    Forward *next, **self;
    /* The client: over UDP an address, over TCP a connection, NULL when it has gone. */
    bool over_tcp;
    struct sockaddr_in client;
    Connection *connection;
    uint8_t query[QUERY_MAX]; /* as it came: answered with its own id and question */
    size_t query_len;
    /* The question sent on: the query itself under another id, or that for an alias. */
    uint8_t asked[2 + QUERY_MAX]; /* with the length of TCP in front */
    size_t asked_len;
    bool for_alias;
    uint16_t id;
    size_t resolver; /* which of them is asked */
    int fd;
    Source *io, *timer;
    uint8_t *answer; /* over TCP: what has come so far */
    size_t answer_len;
    size_t sent;
};

static void forward_ask(Forward *f);
static void connection_close(Connection *c);

/* ---- to the client ---- */

static void connection_flush(Connection *c) {
    while (c->out_len) {
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            connection_close(c);
            return;
        }
        c->out_len -= (size_t)n;
        memmove(c->out, c->out + n, c->out_len);
    }
    source_set_events(c->io, EPOLLIN | (c->out_len ? EPOLLOUT : 0));
}

static void connection_send(Connection *c, const uint8_t *message, size_t n) {
    if (c->out_len + 2 + n > 2 * (2 + (size_t)DNS_MESSAGE_MAX)) { /* a client that does not read */
        connection_close(c);
        return;
    }
    c->out = xrealloc(c->out, c->out_len + 2 + n);
    c->out[c->out_len] = (uint8_t)(n >> 8);
    c->out[c->out_len + 1] = (uint8_t)n;
    memcpy(c->out + c->out_len + 2, message, n);
    c->out_len += 2 + n;
    timer_set(c->timer, now_monotonic_ns() + DNS_CONNECTION_IDLE_NS);
    connection_flush(c);
}

typedef struct Asker {      /* who is answered */
    Connection *connection; /* NULL: over UDP */
    struct sockaddr_in address;
} Asker;

static void send_to(DnsServer *s, const Asker *to, const uint8_t *message, size_t n) {
    if (to->connection)
        connection_send(to->connection, message, n);
    else
        (void)sendto(s->udp, message, n, MSG_DONTWAIT, (const struct sockaddr *)&to->address, sizeof to->address);
}

static size_t limit_for(const DnsQuery *query, bool over_tcp) {
    if (over_tcp)
        return DNS_MESSAGE_MAX;
    return query->edns ? MIN(MAX((size_t)query->udp_size, (size_t)DNS_UDP_PLAIN), (size_t)DNS_UDP_EDNS) : DNS_UDP_PLAIN;
}

static void send_code(DnsServer *s, const Asker *to, const DnsQuery *query, DnsCode code) {
    DnsReply reply;
    dns_reply_begin(&reply, query, s->out, DNS_UDP_PLAIN);
    send_to(s, to, s->out, dns_reply_end(&reply, code, false));
}

/* ---- asking others ---- */

static void forward_free(Forward *f) {
    f->io = source_unref(f->io);
    f->timer = source_unref(f->timer);
    closep(&f->fd);
    *f->self = f->next;
    if (f->next)
        f->next->self = f->self;
    f->server->n_forwards--;
    free(f->answer);
    free(f);
}

static bool forward_client(const Forward *f, Asker *ret) {
    *ret = (Asker){.connection = f->connection, .address = f->client};
    return !f->over_tcp || f->connection;
}

static void forward_fail(Forward *f) {
    DnsQuery query;
    Asker to;
    if (forward_client(f, &to) && dns_query_parse(f->query, f->query_len, &query) == 0)
        send_code(f->server, &to, &query, DNS_SERVFAIL);
    forward_free(f);
}

/* This resolver did not help: the next one. */
static void forward_next(Forward *f) {
    f->io = source_unref(f->io);
    closep(&f->fd);
    f->fd = -1;
    f->resolver++;
    forward_ask(f);
}

/* Our alias with the addresses that the resolver has for its target. */
static void answer_alias(Forward *f, const Asker *to, const uint8_t *message, size_t n) {
    DnsServer *s = f->server;
    DnsQuery query;
    DnsReply reply;
    DnsCode code = DNS_SERVFAIL;
    char alias[DNS_NAME_TEXT];
    if (dns_query_parse(f->query, f->query_len, &query) < 0)
        return;
    dns_reply_begin(&reply, &query, s->out, limit_for(&query, f->over_tcp));
    if (dns_zone_answer(s->zone, &query, &reply, &code, alias) == DNS_CHASE && dns_reply_copy(&reply, message, n) < 0)
        code = DNS_SERVFAIL;
    send_to(s, to, s->out, dns_reply_end(&reply, code, code == DNS_NOERROR));
}

static void forward_answered(Forward *f, uint8_t *message, size_t n) {
    Asker to;
    DnsCode code = dns_response_code(message);
    if ((code == DNS_SERVFAIL || code == DNS_REFUSED || code == DNS_NOTIMP) &&
        f->resolver + 1 < f->server->resolvers.n) {
        forward_next(f);
        return;
    }
    if (forward_client(f, &to)) {
        if (f->for_alias)
            answer_alias(f, &to, message, n);
        else {
            message[0] = f->query[0];
            message[1] = f->query[1];
            send_to(f->server, &to, message, n);
        }
    }
    forward_free(f);
}

static bool is_answer(const Forward *f, const uint8_t *message, size_t n) {
    DnsQuery asked;
    return dns_query_parse(f->asked + 2, f->asked_len - 2, &asked) == 0 &&
           dns_response_matches(message, n, f->id, asked.question, asked.question_len);
}

static void on_udp_answer(_unused_ Source *source, int fd, _unused_ uint32_t revents, void *userdata) {
    Forward *f = userdata;
    uint8_t *in = f->server->in;
    ssize_t n = recv(fd, in, DNS_MESSAGE_MAX, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) /* nobody listens there */
        forward_next(f);
    else if (is_answer(f, in, (size_t)n))
        forward_answered(f, in, (size_t)n);
}

static void on_tcp_answer(Source *source, int fd, uint32_t revents, void *userdata) {
    Forward *f = userdata;
    while (f->sent < f->asked_len && revents & EPOLLOUT) {
        ssize_t n = send(fd, f->asked + f->sent, f->asked_len - f->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            forward_next(f);
            return;
        }
        if (n < 0)
            return;
        f->sent += (size_t)n;
    }
    if (f->sent == f->asked_len)
        source_set_events(source, EPOLLIN);
    if (!(revents & ~(uint32_t)EPOLLOUT))
        return;
    size_t want = f->answer_len < 2 ? 2 : 2 + ((size_t)f->answer[0] << 8 | f->answer[1]);
    ssize_t n = recv(fd, f->answer + f->answer_len, want - f->answer_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        forward_next(f);
        return;
    }
    f->answer_len += (size_t)n;
    if (f->answer_len < 2 || f->answer_len < 2 + ((size_t)f->answer[0] << 8 | f->answer[1]))
        return;
    if (!is_answer(f, f->answer + 2, f->answer_len - 2)) {
        forward_next(f);
        return;
    }
    uint8_t *message = f->server->in;
    size_t len = f->answer_len - 2;
    memcpy(message, f->answer + 2, len);
    forward_answered(f, message, len);
}

static void on_forward_timeout(_unused_ Source *source, void *userdata) {
    forward_next(userdata);
}

static int forward_connect(Forward *f) {
    const struct sockaddr_in *to = &f->server->resolvers.servers[f->resolver];
    f->fd = socket(AF_INET, (f->over_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->fd < 0 || (connect(f->fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS))
        return -errno;
    f->sent = f->answer_len = 0;
    if (f->over_tcp) {
        if (!f->answer)
            f->answer = xmalloc(2 + DNS_MESSAGE_MAX);
        return loop_add_io(f->server->loop, f->fd, EPOLLIN | EPOLLOUT, on_tcp_answer, f, &f->io);
    }
    if (send(f->fd, f->asked + 2, f->asked_len - 2, MSG_DONTWAIT) < 0)
        return -errno;
    return loop_add_io(f->server->loop, f->fd, EPOLLIN, on_udp_answer, f, &f->io);
}

static void forward_ask(Forward *f) {
    while (f->resolver < f->server->resolvers.n) {
        if (forward_connect(f) == 0) {
            timer_set(f->timer, now_monotonic_ns() + DNS_UPSTREAM_TIMEOUT_NS);
            return;
        }
        closep(&f->fd);
        f->fd = -1;
        f->resolver++;
    }
    forward_fail(f);
}

/* `alias` NULL: the client's own question. */
static void forward(DnsServer *s, const Asker *from, const uint8_t *message, size_t n, const DnsQuery *query,
                    const char *alias) {
    resolvers_refresh(&s->resolvers, &s->address);
    if (s->n_forwards >= DNS_FORWARDS_MAX || !s->resolvers.n || !query->recursion_desired) {
        send_code(s, from, query, query->recursion_desired ? DNS_SERVFAIL : DNS_REFUSED);
        return;
    }
    Forward *f = NEW0(Forward);
    f->server = s;
    f->fd = -1;
    f->over_tcp = from->connection != NULL;
    f->client = from->address;
    f->connection = from->connection;
    memcpy(f->query, message, n);
    f->query_len = n;
    random_bytes(&f->id, sizeof f->id);
    size_t len = n;
    if (alias) {
        f->for_alias = true;
        len = dns_query_write(f->asked + 2, QUERY_MAX, f->id, alias, query->type);
    } else {
        memcpy(f->asked + 2, message, n);
        f->asked[2] = (uint8_t)(f->id >> 8);
        f->asked[3] = (uint8_t)f->id;
    }
    f->asked[0] = (uint8_t)(len >> 8);
    f->asked[1] = (uint8_t)len;
    f->asked_len = 2 + len;
    f->next = s->forwards;
    f->self = &s->forwards;
    if (f->next)
        f->next->self = &f->next;
    s->forwards = f;
    s->n_forwards++;
    if (!len || loop_add_timer(s->loop, 0, on_forward_timeout, f, &f->timer) < 0)
        forward_fail(f);
    else
        forward_ask(f);
}

/* ---- from the client ---- */

static void answer(DnsServer *s, const Asker *from, const uint8_t *message, size_t n) {
    DnsQuery query;
    DnsReply reply;
    DnsCode code = DNS_NOERROR;
    char alias[DNS_NAME_TEXT];
    int r = dns_query_parse(message, n, &query);
    if (r == -EINVAL)
        return;
    if (r < 0 || query.opcode != 0 || query.class != DNS_CLASS_IN) {
        send_code(s, from, &query, r < 0 ? DNS_FORMERR : query.opcode != 0 ? DNS_NOTIMP : DNS_REFUSED);
        return;
    }
    dns_reply_begin(&reply, &query, s->out, limit_for(&query, from->connection != NULL));
    switch (dns_zone_answer(s->zone, &query, &reply, &code, alias)) {
    case DNS_DONE:
        send_to(s, from, s->out, dns_reply_end(&reply, code, true));
        break;
    case DNS_FORWARD:
        forward(s, from, message, n, &query, NULL);
        break;
    case DNS_CHASE:
        forward(s, from, message, n, &query, alias);
        break;
    }
}

static void on_udp(_unused_ Source *source, int fd, _unused_ uint32_t revents, void *userdata) {
    DnsServer *s = userdata;
    for (int i = 0; i < UDP_READS_PER_ROUND; i++) {
        Asker from = {0};
        socklen_t len = sizeof from.address;
        uint8_t message[QUERY_MAX];
        ssize_t n =
            recvfrom(fd, message, sizeof message, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from.address, &len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        if ((size_t)n <= sizeof message)
            answer(s, &from, message, (size_t)n);
    }
}

static void connection_close(Connection *c) {
    DnsServer *s = c->server;
    for (Forward *f = s->forwards; f; f = f->next)
        if (f->connection == c)
            f->connection = NULL;
    c->io = source_unref(c->io);
    c->timer = source_unref(c->timer);
    closep(&c->fd);
    *c->self = c->next;
    if (c->next)
        c->next->self = c->self;
    s->n_connections--;
    free(c->out);
    free(c);
}

static bool connection_is_open(const DnsServer *s, const Connection *c) {
    for (const Connection *at = s->connections; at; at = at->next)
        if (at == c)
            return true;
    return false;
}

/* One message; false when more is to come, or the connection has ended. */
static bool connection_take(Connection *c) {
    DnsServer *s = c->server;
    size_t len = c->have < 2 ? 0 : (size_t)c->in[0] << 8 | c->in[1];
    if (len > QUERY_MAX) {
        connection_close(c);
        return false;
    }
    if (c->have < 2 || c->have < 2 + len)
        return false;
    uint8_t message[QUERY_MAX];
    memcpy(message, c->in + 2, len);
    c->have -= 2 + len;
    memmove(c->in, c->in + 2 + len, c->have);
    answer(s, &(Asker){.connection = c}, message, len);
    return connection_is_open(s, c);
}

static void on_connection(_unused_ Source *source, int fd, uint32_t revents, void *userdata) {
    Connection *c = userdata;
    DnsServer *s = c->server;
    if (revents & EPOLLOUT)
        connection_flush(c);
    if (!(revents & ~(uint32_t)EPOLLOUT) || !connection_is_open(s, c))
        return;
    ssize_t n = recv(fd, c->in + c->have, sizeof c->in - c->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        connection_close(c);
        return;
    }
    c->have += (size_t)n;
    timer_set(c->timer, now_monotonic_ns() + DNS_CONNECTION_IDLE_NS);
    while (connection_take(c)) {
    }
}

static void on_connection_idle(_unused_ Source *source, void *userdata) {
    connection_close(userdata);
}

static void on_tcp(_unused_ Source *source, int fd, _unused_ uint32_t revents, void *userdata) {
    DnsServer *s = userdata;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    if (s->n_connections >= DNS_CONNECTIONS_MAX) {
        close(client);
        return;
    }
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection *c = NEW0(Connection);
    *c = (Connection){.server = s, .fd = client, .next = s->connections, .self = &s->connections};
    if (c->next)
        c->next->self = &c->next;
    s->connections = c;
    s->n_connections++;
    if (loop_add_io(s->loop, client, EPOLLIN, on_connection, c, &c->io) < 0 ||
        loop_add_timer(s->loop, now_monotonic_ns() + DNS_CONNECTION_IDLE_NS, on_connection_idle, c, &c->timer) < 0)
        connection_close(c);
}

/* ---- life ---- */

static int open_socket(DnsServer *s, int type, int *ret) {
    int on = 1;
    _cleanup_close_ int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) < 0 ||
        (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        bind(fd, (struct sockaddr *)&s->address, sizeof s->address) < 0)
        return -errno;
    socklen_t len = sizeof s->address;
    if (getsockname(fd, (struct sockaddr *)&s->address, &len) < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return -errno;
    *ret = fd;
    fd = -1;
    return 0;
}

static void *run(void *userdata) {
    DnsServer *s = userdata;
    pthread_setname_np(pthread_self(), "dns");
    loop_run(s->loop);
    return NULL;
}

static int start(DnsServer *s) {
    int r = loop_new(&s->loop);
    r = r < 0 ? r : open_socket(s, SOCK_STREAM, &s->tcp);
    r = r < 0 ? r : open_socket(s, SOCK_DGRAM, &s->udp);
    r = r < 0 ? r : loop_add_io(s->loop, s->udp, EPOLLIN, on_udp, s, &s->udp_source);
    r = r < 0 ? r : loop_add_io(s->loop, s->tcp, EPOLLIN, on_tcp, s, &s->tcp_source);
    r = r < 0 ? r : -pthread_create(&s->thread, NULL, run, s);
    s->running = r == 0;
    return r;
}

int dns_server_start(const DnsServerConfig *config, DnsServer **ret) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(config->port)};
    if (inet_pton(AF_INET, config->bind, &address.sin_addr) != 1)
        return -EINVAL;
    DnsServer *s = NEW0(DnsServer);
    s->zone = config->zone;
    s->address = address;
    s->udp = s->tcp = -1;
    resolvers_init(&s->resolvers, config->resolv_conf);
    int r = start(s);
    if (r < 0)
        dns_server_stop(s);
    else
        *ret = s;
    return r;
}

void dns_server_stop(DnsServer *s) {
    if (!s)
        return;
    if (s->running) {
        loop_exit(s->loop, 0);
        pthread_join(s->thread, NULL);
    }
    while (s->forwards)
        forward_free(s->forwards);
    while (s->connections)
        connection_close(s->connections);
    s->udp_source = source_unref(s->udp_source);
    s->tcp_source = source_unref(s->tcp_source);
    closep(&s->udp);
    closep(&s->tcp);
    loop_free(s->loop);
    free(s);
}

uint16_t dns_server_port(const DnsServer *s) {
    return ntohs(s->address.sin_port);
}
