/* One GET of a document, blocking: on a connection of its own, HTTP/1.1, over TLS or plain. For threads that may wait;
 * never a loop's. */
#pragma once

#include "http/answer.h"
#include "http/duplex.h"
#include "http/server.h"

typedef struct HttpFetch {
    DuplexConnect to; /* its timeout_ns and cancel are for the whole; ret_error is not used */
    const char *target;
    const HttpHeader *headers; /* Host and Accept among them */
    size_t n_headers;
    size_t max_body; /* bytes; past it -EFBIG */
    bool cut_body;   /* past it, what comes is dropped instead */
} HttpFetch;

/* 0 with any status, or negative errno and *ret_error (may be NULL; owned by the caller) in the words of Go's net
 * packages. -EPROTO: before TLS is up, the server speaks something else ("tls: ..."); after, it does not speak HTTP. */
int http_fetch(const HttpFetch *fetch, HttpAnswer *ret, char **ret_error);
