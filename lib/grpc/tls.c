#define LOG_COMPONENT "grpc"
#include "grpc/tls.h"

#include "base/log.h"
#include "grpc/wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <poll.h>

static void log_reason(const char *doing) {
    char why[256];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, why, sizeof why);
    log_warn("%s: %s", doing, code ? why : "the other side hung up");
    ERR_clear_error();
}

static int refuse(const char *doing) {
    log_reason(doing);
    return -EKEYREJECTED;
}

static int load_files(SSL_CTX *context, const GrpcTls *files) {
    if (files->ca_file ? SSL_CTX_load_verify_locations(context, files->ca_file, NULL) != 1
                       : SSL_CTX_set_default_verify_paths(context) != 1)
        return refuse(files->ca_file ? files->ca_file : "the system's authorities");
    if (files->cert_file && SSL_CTX_use_certificate_chain_file(context, files->cert_file) != 1)
        return refuse(files->cert_file);
    if (files->key_file && SSL_CTX_use_PrivateKey_file(context, files->key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(files->key_file);
    return 0;
}

static int context_new(const GrpcTls *files, SSL_CTX **ret) {
    static const unsigned char protocols[] = {2, 'h', '2'};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return -ENOMEM;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int r = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
                    SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols) == 0
                ? 0
                : -ENOMEM;
    r = r < 0 ? r : load_files(context, files);
    if (r < 0)
        SSL_CTX_free(context);
    else
        *ret = context;
    return r;
}

/* The certificate must be for this host; a name (not an address) is also told to the server. */
static int expect_host(SSL *ssl, const char *host) {
    unsigned char raw[16];
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : -EINVAL;
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -EINVAL;
}

static int shake_hands(SSL *ssl, int fd, const char *host, const atomic_bool *cancelled, uint64_t deadline_ns) {
    for (;;) {
        int done = SSL_connect(ssl), why = SSL_get_error(ssl, done);
        if (done == 1)
            return 0;
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return refuse(host);
        int r = socket_wait(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, cancelled, deadline_ns);
        if (r < 0)
            return r;
    }
}

int tls_connect(int fd, const GrpcOptions *options, const char *host, uint64_t deadline_ns, SSL **ret) {
    SSL_CTX *context;
    ERR_clear_error();
    int r = context_new(options->tls, &context);
    if (r < 0)
        return r;
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context); /* ssl holds it */
    if (!ssl)
        return -ENOMEM;
    r = SSL_set_fd(ssl, fd) == 1 ? expect_host(ssl, host) : -ENOMEM;
    r = r < 0 ? r : shake_hands(ssl, fd, host, options->cancelled, deadline_ns);
    if (r == 0) {
        const unsigned char *protocol;
        unsigned n;
        SSL_get0_alpn_selected(ssl, &protocol, &n);
        r = n == 2 && memcmp(protocol, "h2", 2) == 0 ? 0 : -EPROTO;
    }
    if (r < 0)
        SSL_free(ssl);
    else
        *ret = ssl;
    return r;
}

static ssize_t result(SSL *ssl, int n) {
    switch (SSL_get_error(ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        log_reason("a TLS connection broke");
        return -ECONNRESET;
    }
}

ssize_t tls_read(SSL *ssl, void *p, size_t n) {
    ERR_clear_error();
    int got = SSL_read(ssl, p, (int)MIN(n, (size_t)INT_MAX));
    return got > 0 ? got : result(ssl, got);
}

ssize_t tls_write(SSL *ssl, const void *p, size_t n) {
    ERR_clear_error();
    int got = SSL_write(ssl, p, (int)MIN(n, (size_t)INT_MAX));
    ssize_t r = got > 0 ? got : result(ssl, got);
    return r == 0 ? -ECONNRESET : r;
}
