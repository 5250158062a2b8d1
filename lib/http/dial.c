/* From a host and a port to a Duplex: names, connecting, TLS, and the words for what fails. */
#define LOG_COMPONENT "http"
#include "http/dial.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/duplex_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_SECONDS 30 /* then the kernel asks a silent peer, every */
#define KEEPALIVE_INTERVAL_SECONDS 15
#define CANCEL_POLL_NS (100 * NS_PER_MS)

static int wait_for(int fd, short events, uint64_t deadline, const atomic_bool *cancel) {
    for (;;) {
        uint64_t now = now_monotonic_ns();
        if (cancel && atomic_load(cancel))
            return -ECANCELED;
        if (now >= deadline)
            return -ETIMEDOUT;
        struct pollfd p = {.fd = fd, .events = events};
        uint64_t wait = cancel ? MIN(deadline - now, (uint64_t)CANCEL_POLL_NS) : deadline - now;
        int n = poll(&p, 1, (int)MIN(wait / NS_PER_MS + 1, (uint64_t)INT32_MAX));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int connect_one(const struct addrinfo *address, uint64_t deadline, const atomic_bool *cancel) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, address->ai_addr, address->ai_addrlen) < 0 ? -errno : 0;
    if (r == -EINPROGRESS) {
        r = wait_for(fd, POLLOUT, deadline, cancel);
        int error = 0;
        socklen_t len = sizeof error;
        if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0)
            r = -error;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    int on = 1, idle = KEEPALIVE_IDLE_SECONDS, interval = KEEPALIVE_INTERVAL_SECONDS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    return fd;
}

static int connect_any(const DuplexConnect *to, uint64_t deadline, bool *ret_unknown) {
    char service[8];
    snprintf(service, sizeof service, "%u", to->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int r = getaddrinfo(to->host, service, &hints, &list);
    *ret_unknown = r != 0;
    if (r != 0)
        return r == EAI_SYSTEM ? -errno : -EHOSTUNREACH;
    r = -EHOSTUNREACH;
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        r = connect_one(a, deadline, to->cancel);
        if (r >= 0 || r == -ETIMEDOUT || r == -ECANCELED)
            break;
    }
    freeaddrinfo(list);
    return r;
}

/* As Go's resolver, net.OpError and crypto/tls say it: clients and people search for these words. */
static char *dial_error(const DuplexConnect *to, int error, bool unknown) {
    bool six = strchr(to->host, ':') != NULL;
    if (unknown)
        return xasprintf("dial tcp: lookup %s: no such host", to->host);
    if (error == -ETIMEDOUT)
        return xasprintf("dial tcp %s%s%s:%u: i/o timeout", six ? "[" : "", to->host, six ? "]" : "", to->port);
    char *text = xasprintf("dial tcp %s%s%s:%u: connect: %s", six ? "[" : "", to->host, six ? "]" : "", to->port,
                           strerror(-error));
    char *why = text + strlen(text) - strlen(strerror(-error));
    if (*why >= 'A' && *why <= 'Z')
        *why = (char)(*why + 32);
    return text;
}

static char *handshake_error(const DuplexConnect *to, int error, long verify) {
    static const char prefix[] = "tls: failed to verify certificate: x509:";
    switch (verify) {
    case X509_V_OK:
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return xasprintf("%s certificate signed by unknown authority", prefix);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return xasprintf("%s certificate has expired or is not yet valid", prefix);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return xasprintf("%s certificate is not valid for %s", prefix, to->server_name ? to->server_name : to->host);
    default:
        return xasprintf("%s %s", prefix, X509_verify_cert_error_string(verify));
    }
    return error == -ETIMEDOUT    ? xstrdup("net/http: TLS handshake timeout")
           : error == -ECONNRESET ? xstrdup("EOF")
           : error == -EPROTO     ? xstrdup("tls: first record does not look like a TLS handshake")
                                  : xasprintf("tls: %s", strerror(-error));
}

/* Tells the server the name it is asked under and what we speak, and expects a certificate for that name. */
static int prepare(SSL *ssl, const DuplexConnect *to, const DialTls *tls) {
    static const unsigned char both[] = "\x02h2\x08http/1.1", old[] = "\x08http/1.1";
    const char *name = to->server_name ? to->server_name : to->host;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1) {
        SSL_set_tlsext_host_name(ssl, name);
        if (SSL_set1_host(ssl, name) != 1)
            return -EINVAL;
    }
    if (tls->session)
        SSL_set_session(ssl, tls->session);
    if (tls->h2)
        SSL_set_alpn_protos(ssl, both, sizeof both - 1);
    else
        SSL_set_alpn_protos(ssl, old, sizeof old - 1);
    return 0;
}

static int client_handshake(Transport *t, const DuplexConnect *to, const DialTls *tls, uint64_t deadline) {
    int r = prepare(t->ssl, to, tls);
    while (r == 0) {
        uint32_t events = EPOLLIN;
        r = transport_handshake(t, &events);
        if (r != -EAGAIN) {
            long verify = SSL_get_verify_result(t->ssl);
            if (r < 0 && verify != X509_V_OK && !to->ret_error)
                log_warn("TLS to %s:%u: %s", to->host, to->port, X509_verify_cert_error_string(verify));
            return r < 0 && verify != X509_V_OK ? -EACCES : r;
        }
        r = wait_for(t->fd, events & EPOLLOUT ? POLLOUT : POLLIN, deadline, to->cancel);
    }
    return r;
}

static bool chose_h2(SSL *ssl) {
    const unsigned char *protocol = NULL;
    unsigned n = 0;
    if (ssl)
        SSL_get0_alpn_selected(ssl, &protocol, &n);
    return n == 2 && memcmp(protocol, "h2", 2) == 0;
}

int dial_context(const DuplexConnect *to, SSL_CTX **ret) {
    TlsTrust trust = {.ca_file = to->ca_file, .ca_pem = to->ca_pem, .system = to->system_ca};
    TlsIdentity own = {to->cert_file, to->key_file, to->cert_pem, to->key_pem};
    int r = to->tls ? tls_client_context(&trust, &own, ret) : 0;
    if (r < 0 && to->ret_error)
        *to->ret_error = xstrdup(r == -EKEYREJECTED ? "tls: failed to find any PEM data in certificate or key input"
                                                    : "unable to load root certificates");
    return r;
}

int dial(Loop *loop, const DuplexConnect *to, const DialTls *tls, bool *ret_h2, Duplex **ret) {
    uint64_t deadline = to->timeout_ns ? now_monotonic_ns() + to->timeout_ns : UINT64_MAX;
    bool unknown;
    int fd = connect_any(to, deadline, &unknown);
    Transport transport = {.fd = -1};
    int r = fd < 0 ? fd : transport_init(&transport, fd, tls->context, false);
    if (r < 0 && to->ret_error)
        *to->ret_error = dial_error(to, r, unknown);
    if (r == 0 && to->tls) {
        r = client_handshake(&transport, to, tls, deadline);
        if (r < 0 && to->ret_error)
            *to->ret_error = handshake_error(to, r, SSL_get_verify_result(transport.ssl));
    }
    ERR_clear_error();
    if (r < 0) {
        transport_done(&transport);
        return r;
    }
    *ret_h2 = chose_h2(transport.ssl);
    *ret = duplex_of(loop, transport);
    return 0;
}

int duplex_connect(Loop *loop, const DuplexConnect *to, Duplex **ret) {
    DialTls tls = {0}; /* no HTTP/2: upgrades are of HTTP/1.1 */
    bool h2;
    int r = dial_context(to, &tls.context);
    r = r < 0 ? r : dial(loop, to, &tls, &h2, ret);
    SSL_CTX_free(tls.context);
    return r;
}
