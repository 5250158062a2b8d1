/* An HTTP client of one server: requests over connections that are kept between them. Where the server agrees to it
 * (ALPN), HTTP/2 (RFC 9113): all requests side by side on one connection, or on more where it takes no more streams on
 * one; else HTTP/1.1 (RFC 9112): one request at a time on each. Connections are made on threads of their own, so that
 * nobody waits for a lookup; TLS sessions are resumed. A server that is silent while requests are open is asked (PING)
 * and given up, as Go's http2.Transport does with the settings of client-go.
 *
 * A request that was certainly not looked at (GOAWAY, REFUSED_STREAM), or a GET whose kept connection ended before
 * anything came, is sent once more; all else is the caller's to repeat. No redirects, no proxies, no cookies.
 *
 * Callbacks run on the loop's thread. */
#pragma once

#include "http/answer.h"
#include "http/duplex.h"
#include "http/server.h"

typedef struct HttpClient HttpClient;
typedef struct HttpExchange HttpExchange;

#define HTTP_CLIENT_LINES_MAX 100        /* connections of one client; past it requests wait */
#define HTTP_CLIENT_STREAMS_MAX 250      /* of one connection, as Go's; fewer where the server says so */
#define HTTP_CLIENT_IDLE_SECONDS 90      /* then an unused connection is closed, as Go's transport does */
#define HTTP_CLIENT_SILENCE_SECONDS 30   /* then a PING asks, */
#define HTTP_CLIENT_PING_SECONDS 15      /* and so long is its answer waited for */
#define HTTP_CLIENT_WINDOW (1024 * 1024) /* bytes a server may send ahead on a stream */

typedef struct HttpClientConfig {
    DuplexConnect to;      /* copied; its timeout_ns is for one connection; ret_error and cancel are not used */
    const char *authority; /* as requests name the server, copied; NULL: its name and port */
    bool http1_only;
    unsigned idle_seconds; /* 0: HTTP_CLIENT_IDLE_SECONDS */
} HttpClientConfig;

/* The loop must run until http_client_free has returned. -EINVAL, -ENOENT, -EKEYREJECTED (trust or identity) and
 * *ret_error. */
int http_client_new(Loop *loop, const HttpClientConfig *config, HttpClient **ret, char **ret_error);
/* Every exchange has been freed. Not on the loop's thread. */
void http_client_free(HttpClient *client);
DEFINE_CLEANUP(HttpClient, http_client_free)

/* Copied, but for the body, which is borrowed until the exchange has ended. */
typedef struct HttpCall {
    const char *method, *target;
    const HttpHeader *headers; /* names in lower case; without host, content-length and those of the connection */
    size_t n_headers;
    const void *body;
    size_t body_len;
    bool has_body; /* says how long it is, even if it is empty */
} HttpCall;

typedef struct HttpExchangeOps {
    /* negative errno: no more; the exchange ends with it. http_exchange_answer has the head. */
    int (*data)(HttpExchange *exchange, const char *p, size_t n, void *userdata);
    /* Once, unless it was freed before: 0 when the answer was whole, or negative errno and why (in the words of Go's
     * net packages where it has some; NULL after an error of `data`). */
    void (*end)(HttpExchange *exchange, int error, const char *why, void *userdata);
} HttpExchangeOps;

/* Any thread. `ops` and userdata must outlive it; callbacks may come before it returns: *ret is set before. */
void http_exchange_start(HttpClient *client, const HttpCall *call, const HttpExchangeOps *ops, void *userdata,
                         HttpExchange **ret);
/* Until it has ended or `deadline_ns` (monotonic); has it ended? Any thread but the loop's. */
bool http_exchange_wait(HttpExchange *exchange, uint64_t deadline_ns);
/* Ended or not: no callback runs after it returns. Any thread but the loop's. */
void http_exchange_free(HttpExchange *exchange);
/* The head of the answer (its body is empty); status 0 while there is none. In callbacks, and after the end. */
const HttpAnswer *http_exchange_answer(const HttpExchange *exchange);

/* One call and its whole answer. Any thread but the loop's (-EDEADLK). -ETIMEDOUT, -EFBIG past max_body, or what the
 * connection says, and *ret_error (may be NULL). */
int http_client_call(HttpClient *client, const HttpCall *call, size_t max_body, uint64_t timeout_ns, HttpAnswer *ret,
                     char **ret_error);
