#define LOG_COMPONENT "http"
#include "http/tls.h"

#include "base/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Forward secrecy and authenticated encryption only; these are also what Go offers by default. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

char *tls_errors(char *out, size_t size) {
    size_t used = 0;
    if (size)
        out[0] = 0;
    for (unsigned long e; (e = ERR_get_error()) != 0;) {
        char one[256];
        ERR_error_string_n(e, one, sizeof one);
        int n = snprintf(out + used, size - used, "%s%s", used ? "; " : "", one);
        if (n > 0)
            used = MIN(used + (size_t)n, size - 1);
    }
    return out;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *userdata) {
    (void)ssl, (void)userdata;
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301: no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context_new(const SSL_METHOD *method) {
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* RELEASE_BUFFERS: an idle connection keeps no record buffers (2 x 17 KB). */
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static int context_failed(SSL_CTX *ctx, const char *what) {
    char reason[512];
    log_error("%s: %s", what, tls_errors(reason, sizeof reason));
    SSL_CTX_free(ctx);
    return -EINVAL;
}

static int context_use_cert(SSL_CTX *ctx, const char *cert_file, const char *key_file) {
    if (access(cert_file, R_OK) < 0 || access(key_file, R_OK) < 0) {
        int r = -errno;
        log_error("cannot read %s or %s: %s", cert_file, key_file, strerror(-r));
        SSL_CTX_free(ctx);
        return r;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return context_failed(ctx, cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return context_failed(ctx, key_file);
    return 0;
}

int tls_server_context(const char *cert_file, const char *key_file, const char *client_ca_file, SSL_CTX **ret) {
    SSL_CTX *ctx = context_new(TLS_server_method());
    if (!ctx)
        return context_failed(ctx, "TLS");
    int r = context_use_cert(ctx, cert_file, key_file);
    if (r < 0)
        return r;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    /* Sessions live in the client's ticket only: no memory here. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    static const unsigned char session_context[] = "lighter";
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    if (client_ca_file) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca_file);
        if (!names || SSL_CTX_load_verify_locations(ctx, client_ca_file, NULL) != 1) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            return context_failed(ctx, client_ca_file);
        }
        SSL_CTX_set_client_CA_list(ctx, names);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    *ret = ctx;
    return 0;
}

int tls_client_context(const char *ca_file, const char *cert_file, const char *key_file, SSL_CTX **ret) {
    SSL_CTX *ctx = context_new(TLS_client_method());
    if (!ctx)
        return context_failed(ctx, "TLS");
    if (cert_file && key_file) {
        int r = context_use_cert(ctx, cert_file, key_file);
        if (r < 0)
            return r;
    }
    if (ca_file) {
        if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1)
            return context_failed(ctx, ca_file);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    *ret = ctx;
    return 0;
}

int transport_init(Transport *t, int fd, SSL_CTX *ctx, bool server) {
    *t = (Transport){.fd = fd};
    if (!ctx)
        return 0;
    t->ssl = SSL_new(ctx);
    if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1) {
        ERR_clear_error();
        transport_done(t);
        return -ENOMEM;
    }
    if (server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return 0;
}

/* SSL_get_error looks at the queue of the thread, which must not hold another connection's errors. */
static int transport_error(Transport *t, int result) {
    int saved = errno;
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        return saved ? -saved : -ECONNRESET;
    default:
        return -EPROTO;
    }
}

int transport_handshake(Transport *t, uint32_t *ret_events) {
    if (!t->ssl)
        return 0;
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(t->ssl);
    if (n == 1)
        return 0;
    int r = transport_error(t, n);
    if (r == -EAGAIN)
        *ret_events = SSL_want_write(t->ssl) ? EPOLLOUT : EPOLLIN;
    return r == 0 ? -ECONNRESET : r;
}

ssize_t transport_read(Transport *t, void *p, size_t n) {
    if (!t->ssl) {
        ssize_t got = recv(t->fd, p, n, MSG_DONTWAIT);
        if (got < 0 && errno == ENOTSOCK)
            got = read(t->fd, p, n);
        return got >= 0 ? got : errno == EINTR ? -EAGAIN : -errno;
    }
    ERR_clear_error();
    errno = 0;
    size_t got = 0;
    int r = SSL_read_ex(t->ssl, p, n, &got);
    if (r == 1)
        return (ssize_t)got;
    t->read_wants_write = SSL_want_write(t->ssl);
    return transport_error(t, r);
}

ssize_t transport_write(Transport *t, const void *p, size_t n) {
    if (n == 0)
        return 0;
    if (!t->ssl) {
        ssize_t put = send(t->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && errno == ENOTSOCK)
            put = write(t->fd, p, n);
        return put >= 0 ? put : errno == EINTR ? -EAGAIN : -errno;
    }
    ERR_clear_error();
    errno = 0;
    size_t put = 0;
    int r = SSL_write_ex(t->ssl, p, n, &put);
    if (r == 1)
        return (ssize_t)put;
    r = transport_error(t, r);
    return r == 0 ? -EPIPE : r;
}

void transport_shutdown(Transport *t) {
    if (t->ssl && SSL_is_init_finished(t->ssl)) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
    if (t->fd >= 0)
        shutdown(t->fd, SHUT_WR);
}

void transport_done(Transport *t) {
    SSL_free(t->ssl);
    t->ssl = NULL;
    closep(&t->fd);
    t->fd = -1;
}
