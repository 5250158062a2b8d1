/* TLS of a client connection: ALPN "h2", TLS 1.2 at least, the server's certificate checked. Inside lib/grpc only. */
#pragma once

#include "grpc/client.h"

#include <openssl/ssl.h>

/* Shakes hands over a connected socket that does not block. `host` is the name or address the certificate must be for.
 * *ret is freed with SSL_free; the socket stays the caller's. -EKEYREJECTED with a line in the log, -EPROTO: the server
 * does not speak h2, -ETIMEDOUT, -ECANCELED, or the socket's error. */
int tls_connect(int fd, const GrpcOptions *options, const char *host, uint64_t deadline_ns, SSL **ret);
/* As recv(2) and send(2) with MSG_DONTWAIT: bytes, 0 at the end of what comes in, or a negative errno (-EAGAIN). */
ssize_t tls_read(SSL *ssl, void *p, size_t n);
ssize_t tls_write(SSL *ssl, const void *p, size_t n);
