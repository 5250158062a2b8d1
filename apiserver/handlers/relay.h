/* One exchange answered by another HTTP/1.1 server: a node agent, a pod, an aggregated API server. The request goes out
 * on a connection of its own, its body while it arrives (http/server.h), held down by how fast the other side takes it;
 * the reply comes back in the same way, or the connection becomes a tunnel when the other side switches protocols. What
 * is asked, and what becomes of the reply, is a RelayPlan. Everything but connecting runs on the request's loop thread.
 */
#pragma once

#include "apiserver/handlers/http.h"
#include "http/duplex.h"

#define RELAY_HEADERS_MAX 64
#define RELAY_COLLECT_MAX (1024 * 1024)       /* bytes of a reply that is looked at whole */
#define RELAY_HIGH_WATER (256 * 1024)         /* pending bytes past which the other side is no longer read */
#define RELAY_CONNECT_NS (10ull * 1000000000) /* for the connection and its TLS handshake */

typedef struct RelayHead {
    int status;
    HttpHeader headers[RELAY_HEADERS_MAX]; /* names in lower case */
    size_t n;
} RelayHead;
const char *relay_head_get(const RelayHead *head, const char *name); /* the first; NULL when absent */
void relay_head_drop(RelayHead *head, const char *const *names);
void relay_head_set(RelayHead *head, const char *name, const char *value); /* the first of that name, or a new one */

typedef enum RelayHow {
    RELAY_STREAM,   /* the head goes to the client, and the body as it comes */
    RELAY_COLLECT,  /* the whole reply goes to `collected` */
    RELAY_TUNNEL,   /* 101: bytes both ways from now on */
    RELAY_MESSAGES, /* the client asked for a WebSocket: the body goes to it in messages, as its subprotocol says
                       (binary.k8s.io, the default, or base64.binary.k8s.io) */
} RelayHow;

typedef enum RelayFault { RELAY_UNREACHED, RELAY_BROKEN, RELAY_TIMEOUT } RelayFault;

typedef struct RelayPlan RelayPlan;
typedef struct RelayOps { /* each with the exchange; answers go to exchange->http and their status is returned */
    /* A reply has begun: what is to become of it. May change the head. */
    RelayHow (*head)(Exchange *exchange, const RelayPlan *plan, RelayHead *head);
    int (*collected)(Exchange *exchange, const RelayPlan *plan, const RelayHead *head, Buf *body);
    /* No reply: the server was not reached, ended the connection, spoke something else, or took too long. `why` in the
     * words of Go's net packages. */
    int (*failed)(Exchange *exchange, const RelayPlan *plan, RelayFault fault, const char *why);
    /* Changes a streamed body on its way; `end` with the last bytes. NULL: it goes as it is. */
    void (*filter)(Exchange *exchange, const RelayPlan *plan, const char *p, size_t n, bool end, Buf *out);
} RelayOps;

/* Lives in the exchange's arena, as all it points to does that is not longer lived. */
struct RelayPlan {
    const RelayOps *ops;
    void *data;       /* of the ops */
    DuplexConnect to; /* ret_error is the relay's own */
    const char *method, *target;
    const HttpHeader *headers; /* everything the request says but how long its body is */
    size_t n_headers;
    bool upgrade;
    bool with_body;           /* the client's */
    uint64_t head_timeout_ns; /* until the reply begins, once the request is out; 0: none */
};

/* Takes the exchange, and ends it when the reply is over. On the loop thread. */
void relay_serve(Exchange *exchange, const RelayPlan *plan);
