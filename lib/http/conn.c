#define LOG_COMPONENT "http"
#include "http/conn.h"

#include "base/log.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/socket.h>

/* A dead peer of an idle watch is noticed after 30 + 3 * 10 seconds, much as Go's servers do. */
#define KEEPALIVE_IDLE_SECONDS 30
#define KEEPALIVE_INTERVAL_SECONDS 10
#define KEEPALIVE_PROBES 3

static void conn_read(Conn *conn);

static void worker_flush(void *userdata) {
    Worker *worker = userdata;
    worker->flush_posted = false;
    Conn *list = TAKE_PTR(worker->dirty);
    while (list) {
        Conn *conn = list;
        list = conn->next_dirty;
        conn->next_dirty = NULL;
        conn->dirty = false;
        if (!conn->broken && conn->unread)
            conn_read(conn);
        if (!conn->broken)
            conn_flush(conn);
        if (conn->broken && !conn->dirty)
            conn_free(conn);
    }
}

void conn_mark_dirty(Conn *conn) {
    if (conn->dirty)
        return;
    Worker *worker = conn->worker;
    conn->dirty = true;
    conn->next_dirty = worker->dirty;
    worker->dirty = conn;
    if (!worker->flush_posted) {
        worker->flush_posted = true;
        loop_post(worker->loop, worker_flush, worker);
    }
}

void conn_break(Conn *conn, int error) {
    if (conn->broken)
        return;
    conn->broken = true;
    conn->source = source_unref(conn->source);
    if (error && error != -ECONNRESET && error != -EPIPE)
        log_debug("%s: %s", conn->info->peer, strerror(-error));
    conn_mark_dirty(conn);
}

void conn_set_deadline(Conn *conn, unsigned seconds) {
    conn->deadline = seconds ? now_monotonic_ns() + seconds * NS_PER_SEC : 0;
}

static void conn_update_events(Conn *conn) {
    if (!conn->source)
        return;
    bool blocked = conn->out.len > conn->out_done || conn->transport.read_wants_write;
    uint32_t events = (conn->read_paused ? 0 : EPOLLIN) | (blocked ? EPOLLOUT : 0);
    int r = source_set_events(conn->source, events);
    if (r < 0)
        conn_break(conn, r);
}

void conn_pause_reading(Conn *conn, bool paused) {
    if (conn->read_paused == paused)
        return;
    conn->read_paused = paused;
    conn_update_events(conn);
}

/* Writes what the socket would not take before; true when nothing is left. */
static bool conn_write_rest(Conn *conn) {
    while (conn->out_done < conn->out.len) {
        ssize_t n = transport_write(&conn->transport, conn->out.data + conn->out_done, conn->out.len - conn->out_done);
        if (n == -EAGAIN) {
            conn_update_events(conn);
            return false;
        }
        if (n < 0) {
            conn_break(conn, (int)n);
            return false;
        }
        conn->out_done += (size_t)n;
        conn->write_deadline = now_monotonic_ns() + CONN_WRITE_STALL_SECONDS * NS_PER_SEC;
    }
    if (conn->out.data) {
        buf_done(&conn->out);
        conn->out = BUF_INIT(BUF_NO_LIMIT); /* bounded by the worker's scratch */
        conn->out_done = 0;
        conn_update_events(conn);
    }
    conn->write_deadline = 0;
    return true;
}

/* Writes the scratch; what does not go out is kept in conn->out. False when blocked or broken. */
static bool conn_write_scratch(Conn *conn, Buf *scratch) {
    size_t done = 0;
    while (done < scratch->len) {
        ssize_t n = transport_write(&conn->transport, scratch->data + done, scratch->len - done);
        if (n == -EAGAIN) {
            buf_append(&conn->out, scratch->data + done, scratch->len - done);
            conn->write_deadline = now_monotonic_ns() + CONN_WRITE_STALL_SECONDS * NS_PER_SEC;
            conn_update_events(conn);
            return false;
        }
        if (n < 0) {
            conn_break(conn, (int)n);
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* The last bytes are out. Closing now with input unread would reset the connection under the reply, so input is read
 * and dropped for a moment. */
static void conn_linger(Conn *conn) {
    if (conn->lingering)
        return;
    conn->lingering = true;
    transport_shutdown(&conn->transport);
    conn_set_deadline(conn, CONN_LINGER_SECONDS);
    conn_pause_reading(conn, false);
}

void conn_flush(Conn *conn) {
    if (conn->broken || !conn->protocol || conn->lingering || !conn_write_rest(conn))
        return;
    Buf *scratch = &conn->worker->out;
    for (int i = 0; i < CONN_FILLS_PER_ROUND; i++) {
        buf_clear(scratch);
        int r = conn->protocol->fill(conn, scratch);
        bool went = conn_write_scratch(conn, scratch);
        if (r < 0)
            conn_break(conn, r);
        if (!went || conn->broken)
            return;
        if (scratch->len == 0) {
            if (conn->protocol->finished(conn))
                conn_linger(conn);
            return;
        }
    }
    conn_mark_dirty(conn); /* more to come; others first */
}

static void conn_read(Conn *conn) {
    char *in = conn->worker->in;
    bool more = true; /* without reading ahead, only the socket knows */
    conn->unread = false;
    for (size_t taken = 0; more && taken < CONN_ROUND_BYTES && !conn->broken && !conn->read_paused;) {
        ssize_t n = transport_read(&conn->transport, in, CONN_READ_SIZE);
        taken += MAX(n > 0 ? (size_t)n : 0, (size_t)CONN_RECORD_BYTES);
        more = n > 0 && (!conn->transport.reads_ahead || transport_has_pending(&conn->transport));
        if (n == -EAGAIN) /* half a record may be pending, of whose rest the socket will tell */
            break;
        if (conn->lingering) {
            if (n <= 0)
                conn_break(conn, 0);
            continue;
        }
        if (n < 0)
            conn_break(conn, (int)n);
        else if (n == 0) {
            conn->protocol->eof(conn);
            break;
        } else {
            int r = conn->protocol->input(conn, in, (size_t)n);
            if (r < 0)
                conn_break(conn, r);
        }
    }
    if (conn->broken)
        return;
    conn_update_events(conn);
    if (more && transport_has_pending(&conn->transport)) {
        conn->unread = true;
        conn_mark_dirty(conn);
    }
}

static void info_add_name(ConnInfo *info, X509_NAME *name, int nid) {
    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
        unsigned char *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        if (n < 0)
            continue;
        if (strlen((char *)text) != (size_t)n) { /* a NUL inside would hide the rest of the name */
            OPENSSL_free(text);
            continue;
        }
        if (nid == NID_commonName) {
            free(info->cn); /* the last one counts, as in Go's pkix.Name */
            info->cn = xstrdup((char *)text);
        } else {
            info->organizations = xreallocn(info->organizations, info->n_organizations + 1, sizeof(char *));
            info->organizations[info->n_organizations++] = xstrdup((char *)text);
        }
        OPENSSL_free(text);
    }
}

static void info_read_certificate(ConnInfo *info, SSL *ssl) {
    X509 *cert = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    info->is_unknown = cert && SSL_get_verify_result(ssl) != X509_V_OK;
    if (!cert || info->is_unknown)
        return;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &n) != 1)
        return;
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(info->fingerprint + 2 * i, 3, "%02x", digest[i]);
    info->is_front = tls_peer_is_front(ssl);
    X509_NAME *subject = X509_get_subject_name(cert);
    info_add_name(info, subject, NID_commonName);
    info_add_name(info, subject, NID_organizationName);
    if (!info->cn)
        info->cn = xstrdup("");
}

static void conn_handshake(Conn *conn) {
    uint32_t events = EPOLLIN;
    int r = transport_handshake(&conn->transport, &events);
    if (r == -EAGAIN) {
        if (source_set_events(conn->source, events) < 0)
            conn_break(conn, -EIO);
        return;
    }
    if (r < 0) {
        conn_break(conn, r);
        return;
    }
    SSL *ssl = conn->transport.ssl;
    info_read_certificate(conn->info, ssl);
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    if (ssl)
        SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    bool h2 = alpn_len == 2 && memcmp(alpn, "h2", 2) == 0;
    if (h2) /* it never pauses, and nobody takes its transport over */
        transport_read_ahead(&conn->transport);
    conn->protocol = h2 ? &h2_protocol : &h1_protocol;
    r = h2 ? h2_start(conn) : h1_start(conn);
    if (r < 0)
        conn_break(conn, r);
    else
        conn_update_events(conn);
}

static void conn_on_io(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source, (void)fd;
    Conn *conn = userdata;
    if (conn->broken)
        return;
    if (!conn->protocol) {
        conn_handshake(conn);
        if (conn->broken || !conn->protocol)
            return;
    }
    if ((revents & (EPOLLHUP | EPOLLERR)) && conn->read_paused) {
        conn_break(conn, -ECONNRESET);
        return;
    }
    conn_read(conn);
    if (!conn->broken)
        conn_flush(conn);
}

static void info_read_peer(ConnInfo *info, int fd) {
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char text[INET6_ADDRSTRLEN] = "";
    if (getpeername(fd, (struct sockaddr *)&address, &len) < 0)
        return;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        snprintf(info->peer, sizeof info->peer, "%s:%u", text, ntohs(in->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        snprintf(info->peer, sizeof info->peer, "[%s]:%u", text, ntohs(in6->sin6_port));
    }
}

static void socket_tune(int fd) {
    int on = 1, idle = KEEPALIVE_IDLE_SECONDS, interval = KEEPALIVE_INTERVAL_SECONDS, probes = KEEPALIVE_PROBES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void conn_accepted(Worker *worker, int fd) {
    socket_tune(fd);
    Conn *conn = NEW0(Conn);
    conn->worker = worker;
    conn->out = BUF_INIT(BUF_NO_LIMIT);
    conn->info = NEW0(ConnInfo);
    conn->info->refs = 1;
    info_read_peer(conn->info, fd);
    conn->next = worker->conns;
    if (conn->next)
        conn->next->prev = conn;
    worker->conns = conn;
    worker_add_load(worker, CONN_BODY_RESERVE);
    if (!conn->next)
        timer_set(worker->sweep_timer, now_monotonic_ns() + NS_PER_SEC);
    conn_set_deadline(conn, HTTP_HEAD_TIMEOUT_SECONDS);
    pthread_mutex_lock(&worker->server->tls_lock);
    int r = transport_init(&conn->transport, fd, worker->server->tls, true);
    pthread_mutex_unlock(&worker->server->tls_lock);
    if (r == 0)
        r = loop_add_io(worker->loop, fd, EPOLLIN, conn_on_io, conn, &conn->source);
    if (r < 0)
        conn_break(conn, r);
    else if (!conn->transport.ssl)
        conn_handshake(conn);
}

Transport conn_take_transport(Conn *conn) {
    conn->source = source_unref(conn->source);
    Transport transport = conn->transport;
    conn->transport = (Transport){.fd = -1};
    conn->hijacked = true;
    conn_break(conn, 0);
    return transport;
}

void conn_free(Conn *conn) {
    Worker *worker = conn->worker;
    while (conn->requests)
        request_detach(conn->requests);
    if (conn->protocol && conn->state)
        conn->protocol->done(conn);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        worker->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    worker->load -= CONN_BODY_RESERVE;
    source_unref(conn->source);
    if (!conn->hijacked) { /* a hijacked one still counts until its duplex ends */
        atomic_fetch_sub(&worker->n_conns, 1);
        atomic_fetch_sub(&worker->server->n_conns, 1);
    }
    if (conn->transport.fd >= 0 && !conn->lingering)
        transport_shutdown(&conn->transport);
    transport_done(&conn->transport);
    buf_done(&conn->out);
    conn_info_unref(conn->info);
    free(conn);
    worker_check_finished(worker);
}
