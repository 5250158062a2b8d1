/* WebSocket (RFC 6455), server side: the handshake, and messages over any byte pipe. Frames are read by wslay, which
 * answers pings and closes by itself. Threads: websocket_input and websocket_free on one thread, websocket_send and
 * websocket_close from any. */
#pragma once

#include "http/server.h"

typedef struct WebSocket WebSocket;

#define WEBSOCKET_MESSAGE_MAX (1024 * 1024)
#define WEBSOCKET_NORMAL 1000 /* close codes of RFC 6455 section 7.4.1 */
#define WEBSOCKET_GOING_AWAY 1001
#define WEBSOCKET_PROTOCOL_ERROR 1002

/* Does the request ask for it? */
bool websocket_is_request(const HttpRequest *request);
/* Does the request offer this subprotocol? */
bool websocket_offers(const HttpRequest *request, const char *protocol);
/* Fills the header fields of a 101 reply, at least WEBSOCKET_HEADERS of them; `protocol` NULL or "": none. -EINVAL when
 * the key or the version is not good (answer 400). `accept` holds a value. */
#define WEBSOCKET_HEADERS 4
#define WEBSOCKET_ACCEPT_SIZE 32
int websocket_handshake(const HttpRequest *request, const char *protocol, HttpHeader headers[WEBSOCKET_HEADERS],
                        size_t *ret_n, char accept[WEBSOCKET_ACCEPT_SIZE]);

typedef struct WebSocketOps {
    void (*message)(bool text, const void *p, size_t n, void *userdata);
    void (*close)(unsigned code, void *userdata); /* the peer wants to end; a close frame was sent back */
    int (*write)(const void *head, size_t head_len, const void *p, size_t n,
                 void *userdata); /* both in one; any thread */
} WebSocketOps;

int websocket_new(const WebSocketOps *ops, void *userdata, WebSocket **ret);
void websocket_free(WebSocket *ws);
DEFINE_CLEANUP(WebSocket, websocket_free)
/* Negative errno: the peer broke the protocol (a close frame was sent); close the connection. */
int websocket_input(WebSocket *ws, const void *p, size_t n);
/* One message of prefix and data. */
int websocket_send(WebSocket *ws, bool text, const void *prefix, size_t prefix_len, const void *p, size_t n);
int websocket_close(WebSocket *ws, unsigned code);
