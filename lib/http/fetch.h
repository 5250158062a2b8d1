/* One GET of a document, blocking: on a connection of its own, HTTP/1.1, over TLS or plain. For threads that may wait;
 * never a loop's. */
#pragma once

#include "http/duplex.h"
#include "http/server.h"

typedef struct HttpFetch {
    DuplexConnect to; /* its timeout_ns is for the whole; ret_error is not used */
    const char *target;
    const HttpHeader *headers; /* Host and Accept among them */
    size_t n_headers;
    size_t max_body; /* bytes; past it -EFBIG */
} HttpFetch;

typedef struct HttpFetched {
    int status;
    Buf body;
    char *content_type, *etag; /* NULL: absent */
} HttpFetched;
void http_fetched_done(HttpFetched *fetched);
#define _cleanup_http_fetched_ _cleanup_(http_fetched_done)

/* 0 with any status, or negative errno and *ret_error (may be NULL; owned by the caller) in the words of Go's net
 * packages. */
int http_fetch(const HttpFetch *fetch, HttpFetched *ret, char **ret_error);
