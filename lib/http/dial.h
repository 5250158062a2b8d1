/* Connecting for who connects to one server again and again: its TLS context is made once, sessions are resumed, and
 * HTTP/2 may be offered. Internal to lib/http. */
#pragma once

#include "http/duplex.h"
#include "http/tls.h"

typedef struct DialTls {
    SSL_CTX *context;     /* borrowed; NULL: plain */
    SSL_SESSION *session; /* to resume, borrowed; NULL: none */
    bool h2;              /* offered, before HTTP/1.1 */
} DialTls;

/* What `to` says of trust and identity; nothing when it is plain. -EINVAL, -EKEYREJECTED and *to->ret_error. */
int dial_context(const DuplexConnect *to, SSL_CTX **ret);
/* As duplex_connect. *ret_h2: the server chose HTTP/2. */
int dial(Loop *loop, const DuplexConnect *to, const DialTls *tls, bool *ret_h2, Duplex **ret);
