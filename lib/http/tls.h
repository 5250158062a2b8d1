/* TLS contexts, and one transport over them: a connected descriptor with or without TLS. Internal to lib/http. */
#pragma once

#include "base/mem.h"

#include <openssl/ssl.h>

/* Who one is: a certificate (chain) and its key, in files or as PEM text; the text counts when there are both. All
 * NULL: nobody. */
typedef struct TlsIdentity {
    const char *cert_file, *key_file;
    const char *cert_pem, *key_pem;
} TlsIdentity;
/* Whose certificates clients may show: of these CAs, in a file or as PEM text, and of those in front_ca_file. All NULL:
 * none is asked for. */
typedef struct TlsClients {
    const char *ca_file, *ca_pem, *front_ca_file;
} TlsClients;
/* Server side: TLS 1.2 and later, ALPN h2 and http/1.1, stateless session tickets; asks for client certificates,
 * and goes on with any: SSL_get_verify_result must be looked at.
 * -ENOENT, -EINVAL, -EKEYREJECTED (the text of the identity); logged with OpenSSL's reason. */
int tls_server_context(const TlsIdentity *identity, const TlsClients *clients, SSL_CTX **ret);
/* The peer's certificate, which was verified, is of front_ca_file. Holds for resumed sessions too. */
bool tls_peer_is_front(SSL *ssl);

/* Whom a client trusts. None of them: the peer is not verified. */
typedef struct TlsTrust {
    const char *ca_file;
    const char *ca_pem; /* the certificates themselves */
    bool system;        /* what the system trusts */
} TlsTrust;
/* Client side. -ENOENT, -EINVAL (the trust), -EKEYREJECTED (the text of the identity); logged. */
int tls_client_context(const TlsTrust *trust, const TlsIdentity *identity, SSL_CTX **ret);
/* OpenSSL's queued errors as one text, for logs. Empties the queue. */
char *tls_errors(char *out, size_t size);

typedef struct Transport {
    int fd;                /* owned; -1: none */
    SSL *ssl;              /* owned; NULL: plain */
    bool read_wants_write; /* TLS has to write before it can read on */
    bool reads_ahead;
} Transport;

/* Takes fd. ctx NULL: plain. */
int transport_init(Transport *t, int fd, SSL_CTX *ctx, bool server);
/* 0 done, -EAGAIN (with *ret_events to wait for), other negative errno: failed. */
int transport_handshake(Transport *t, uint32_t *ret_events);
/* Bytes read (0: orderly end), -EAGAIN or negative errno. */
ssize_t transport_read(Transport *t, void *p, size_t n);
/* From now on TLS takes from the socket all that it has, many records in one call, instead of one record in two. The
 * reader must then read on while transport_has_pending: the socket may have nothing more to wake it with. */
void transport_read_ahead(Transport *t);
bool transport_has_pending(const Transport *t); /* bytes were taken from the socket and not yet read */
/* Bytes written, maybe fewer than n; -EAGAIN; negative errno. */
ssize_t transport_write(Transport *t, const void *p, size_t n);
/* Sends close_notify if it fits and ends our direction. */
void transport_shutdown(Transport *t);
void transport_done(Transport *t);
