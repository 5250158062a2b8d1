#define LOG_COMPONENT "http"
#include "http/tls.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Forward secrecy and authenticated encryption only; these are also what Go offers by default. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static void bio_freep(BIO **bio) {
    BIO_free(*bio);
}

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

static int use_pem(SSL_CTX *ctx, const char *cert_pem, const char *key_pem) {
    _cleanup_(bio_freep) BIO *certs = BIO_new_mem_buf(cert_pem, -1), *keys = BIO_new_mem_buf(key_pem, -1);
    X509 *cert = certs ? PEM_read_bio_X509(certs, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = keys ? PEM_read_bio_PrivateKey(keys, NULL, NULL, (void *)"") : NULL;
    bool fine = cert && key && SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
                SSL_CTX_check_private_key(ctx) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
    for (X509 *more; fine && (more = PEM_read_bio_X509(certs, NULL, NULL, NULL));)
        if (SSL_CTX_add0_chain_cert(ctx, more) != 1) {
            X509_free(more);
            fine = false;
        }
    if (!fine)
        return -EKEYREJECTED;
    ERR_clear_error(); /* the end of the text is one */
    return 0;
}

static int use_identity(SSL_CTX *ctx, const TlsIdentity *identity, const char *whose) {
    if (identity->cert_pem && identity->key_pem) {
        if (use_pem(ctx, identity->cert_pem, identity->key_pem) == 0)
            return 0;
        context_failed(ctx, whose);
        return -EKEYREJECTED;
    }
    return identity->cert_file && identity->key_file ? context_use_cert(ctx, identity->cert_file, identity->key_file)
                                                     : 0;
}

/* Adds the certificates of the text to what `ctx` verifies by, and their names to `names`. */
static int trust_pem_names(SSL_CTX *ctx, const char *pem, STACK_OF(X509_NAME) * names) {
    _cleanup_(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    int n = 0;
    for (X509 *cert; bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)); n++) {
        X509_NAME *name = names ? X509_NAME_dup(X509_get_subject_name(cert)) : NULL;
        bool added = X509_STORE_add_cert(store, cert) == 1 && (!names || (name && sk_X509_NAME_push(names, name) > 0));
        X509_free(cert);
        if (!added) {
            X509_NAME_free(name);
            return -EINVAL;
        }
    }
    ERR_clear_error(); /* the end of the text is one */
    return n > 0 ? 0 : -EINVAL;
}

static int trust_file_names(SSL_CTX *ctx, const char *path, STACK_OF(X509_NAME) * names) {
    STACK_OF(X509_NAME) *some = SSL_load_client_CA_file(path);
    int r = some && SSL_CTX_load_verify_locations(ctx, path, NULL) == 1 ? 0 : -EINVAL;
    while (r == 0 && sk_X509_NAME_num(some) > 0)
        sk_X509_NAME_push(names, sk_X509_NAME_shift(some));
    sk_X509_NAME_pop_free(some, X509_NAME_free);
    return r;
}

/* A certificate that none of the CAs vouches for ends no handshake, as in Go's servers: SSL_get_verify_result tells. */
static int go_on(_unused_ int verified, _unused_ X509_STORE_CTX *store) {
    return 1;
}

/* The names of the CAs, those of clients first; how many these are is the context's app data, which needs no freeing. A
 * name that the front has too counts as the front's, which trusts less. */
static int trust_client_cas(SSL_CTX *ctx, const TlsClients *clients) {
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    const char *of = str_or(clients->ca_file, "the CAs of clients");
    int r = clients->ca_file ? trust_file_names(ctx, clients->ca_file, names) : 0;
    if (r == 0 && clients->ca_pem)
        r = trust_pem_names(ctx, clients->ca_pem, names);
    if (r == 0)
        SSL_CTX_set_app_data(ctx, (void *)(intptr_t)sk_X509_NAME_num(names));
    if (r == 0 && clients->front_ca_file)
        r = trust_file_names(ctx, of = clients->front_ca_file, names);
    if (r < 0) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return context_failed(ctx, of);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, go_on);
    return 0;
}

static bool root_is_front(SSL *ssl) {
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(ctx);
    int own = (int)(intptr_t)SSL_CTX_get_app_data(ctx);
    if (!chain || sk_X509_num(chain) == 0)
        return true;
    X509_NAME *root = X509_get_subject_name(sk_X509_value(chain, sk_X509_num(chain) - 1));
    bool of_clients = false;
    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        if (X509_NAME_cmp(sk_X509_NAME_value(names, i), root) == 0) {
            if (i >= own)
                return true;
            of_clients = true;
        }
    return !of_clients;
}

bool tls_peer_is_front(SSL *ssl) {
    void *data = NULL;
    size_t n = 0;
    if (!SSL_session_reused(ssl))
        return root_is_front(ssl);
    return SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &n) != 1 || n != 1 || *(char *)data;
}

/* A resumed session has no chain any more: what was found goes into its ticket, and on into those made from it. */
static int ticket_made(SSL *ssl, void *userdata) {
    (void)userdata;
    char front = SSL_get0_peer_certificate(ssl) && tls_peer_is_front(ssl);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &front, 1);
}

static SSL_TICKET_RETURN ticket_read(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                     SSL_TICKET_STATUS status, void *userdata) {
    (void)ssl, (void)session, (void)name, (void)name_len, (void)userdata;
    switch (status) {
    case SSL_TICKET_SUCCESS:
        return SSL_TICKET_RETURN_USE;
    case SSL_TICKET_SUCCESS_RENEW:
        return SSL_TICKET_RETURN_USE_RENEW;
    default:
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
}

int tls_server_context(const TlsIdentity *identity, const TlsClients *clients, SSL_CTX **ret) {
    SSL_CTX *ctx = context_new(TLS_server_method());
    if (!ctx)
        return context_failed(ctx, "TLS");
    int r = use_identity(ctx, identity, "the server's certificate and its key");
    if (r < 0)
        return r;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    /* Sessions live in the client's ticket only: no memory here. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    static const unsigned char session_context[] = "lighter";
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_session_ticket_cb(ctx, ticket_made, ticket_read, NULL);
    if (clients->ca_file || clients->ca_pem || clients->front_ca_file) {
        r = trust_client_cas(ctx, clients);
        if (r < 0)
            return r;
    }
    *ret = ctx;
    return 0;
}

int tls_client_context(const TlsTrust *trust, const TlsIdentity *identity, SSL_CTX **ret) {
    SSL_CTX *ctx = context_new(TLS_client_method());
    if (!ctx)
        return context_failed(ctx, "TLS");
    int r = use_identity(ctx, identity, "the client certificate and its key");
    if (r < 0)
        return r;
    if (trust->ca_file && SSL_CTX_load_verify_locations(ctx, trust->ca_file, NULL) != 1)
        return context_failed(ctx, trust->ca_file);
    if (trust->ca_pem && trust_pem_names(ctx, trust->ca_pem, NULL) < 0)
        return context_failed(ctx, "the CA bundle");
    if (trust->system && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return context_failed(ctx, "the system's CAs");
    if (trust->ca_file || trust->ca_pem || trust->system)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
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

void transport_read_ahead(Transport *t) {
    if (!t->ssl)
        return;
    SSL_set_read_ahead(t->ssl, 1);
    t->reads_ahead = true;
}

bool transport_has_pending(const Transport *t) {
    return t->reads_ahead && SSL_has_pending(t->ssl);
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
