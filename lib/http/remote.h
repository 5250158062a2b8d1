/* Remote command and port-forward streams, server side, as kubectl 1.27 to 1.36 opens them: WebSocket
 * (v5.channel.k8s.io, v4.channel.k8s.io, base64.* variants, and SPDY/3.1+portforward.k8s.io tunnelled in it) and
 * SPDY/3.1 (v4.channel.k8s.io and before; portforward.k8s.io). One interface over all of them: numbered channels of
 * bytes. Used by the node agent's server; the API server only relays bytes. On the request's loop thread unless said.
 */
#pragma once

#include "http/server.h"

typedef struct Remote Remote;
typedef enum RemoteChannel {
    REMOTE_STDIN = 0,
    REMOTE_STDOUT = 1,
    REMOTE_STDERR = 2,
    REMOTE_ERROR = 3,
    REMOTE_RESIZE = 4
} RemoteChannel;

typedef struct RemoteOps {
    /* exec and attach. stdin bytes; n == 0: the client closed stdin (v5 close signal, SPDY FIN). */
    void (*stdin_data)(Remote *remote, const void *p, size_t n, void *userdata);
    void (*resize)(Remote *remote, uint16_t width, uint16_t height, void *userdata);
    /* port-forward: a pair of streams was opened for `port`; `stream` names it in the calls below. */
    void (*port_open)(Remote *remote, uint32_t stream, uint16_t port, void *userdata);
    void (*port_data)(Remote *remote, uint32_t stream, const void *p, size_t n,
                      void *userdata); /* n == 0: half-closed */
    void (*closed)(Remote *remote,
                   void *userdata); /* once; the remote is freed afterwards, unless references are held */
    void (*drained)(Remote *remote, void *userdata); /* everything written has left; may be NULL */
} RemoteOps;

typedef struct RemoteOptions {
    bool port_forward;
    bool stdin_, stdout_, stderr_, tty; /* exec and attach: which streams the client asked for */
    const uint16_t *ports;              /* websocket portforward v4: ports from the query */
    size_t n_ports;
} RemoteOptions;

/* Is this an upgrade request that remote_accept understands? */
bool remote_is_upgrade(const HttpRequest *request);
/* Negotiates, replies 101 (or 400/403 with a Status body and returns negative errno). For SPDY exec, `ready` streams
 * are awaited inside; writes before that are kept. Call on the loop thread or any. */
int remote_accept(HttpRequest *request, const RemoteOptions *options, const RemoteOps *ops, void *userdata,
                  Remote **ret);
/* For other threads that write: keeps the struct (not the connection) after `closed`. */
Remote *remote_ref(Remote *remote);
void remote_unref(Remote *remote);
/* Any thread. -EPIPE when closed; -EAGAIN when DUPLEX_WRITE_MAX is pending: wait for room with remote_pending. */
int remote_write(Remote *remote, RemoteChannel channel, const void *p, size_t n);
int remote_port_write(Remote *remote, uint32_t stream, const void *p, size_t n); /* n == 0: close this direction */
int remote_port_error(Remote *remote, uint32_t stream, const char *message);
size_t remote_pending(Remote *remote);
void remote_pause_stdin(Remote *remote, bool paused);
/* Ends exec/attach with the outcome: exit code (metav1.Status on the error channel, as v4 and v5 word it; plain text
 * before v4), then closes. Any thread. */
void remote_finish(Remote *remote, int exit_code, const char *error_message);
/* Ends a session (port-forward too) without an outcome. Any thread. */
void remote_close(Remote *remote);

#define REMOTE_STREAMS_SECONDS 30 /* for the client to open the streams it asked for, as the reference waits */
#define REMOTE_PAIRS_MAX 1024     /* connections forwarded at once over one port-forward */
