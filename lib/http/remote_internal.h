/* The parts of a Remote that remote.c and remote_port.c share. `lock` guards everything but the loop's own fields; no
 * callback runs under it. Internal to lib/http. */
#pragma once

#include "http/conn.h"
#include "http/duplex.h"
#include "http/remote.h"
#include "http/spdy.h"
#include "http/websocket.h"

#define REMOTE_CHANNELS 5

typedef struct PortPair {
    struct PortPair *next;
    uint32_t number; /* the name of the pair in the interface */
    uint16_t port;
    char *request_id;
    uint32_t data_stream, error_stream; /* SPDY; 0: not opened yet */
    bool opened, data_ended, error_ended, peer_ended;
    uint64_t deadline; /* until both streams are there */
} PortPair;

struct Remote {
    atomic_uint refs;
    pthread_mutex_t lock;
    Duplex *duplex;
    WebSocket *ws; /* NULL: SPDY straight on the connection */
    Spdy *spdy;    /* NULL: channels of WebSocket messages */
    const RemoteOps *ops;
    void *userdata;
    RemoteOptions options;
    uint16_t *ports;
    unsigned version; /* of channel.k8s.io, 1 to 5 */
    bool base64;
    Source *timer; /* loop */
    bool closed, ending;
    /* exec and attach */
    uint32_t streams[REMOTE_CHANNELS]; /* SPDY */
    bool ready, finished;
    Buf early;        /* channel, 4 bytes of length, data: written before the streams were there */
    Buf status;       /* the outcome, on the error channel */
    Buf resize;       /* loop */
    bool stdin_ended; /* loop */
    /* port-forward */
    PortPair *pairs;
    size_t n_pairs;
    uint32_t next_pair;
};

extern const SpdyOps remote_port_spdy_ops;
int remote_write_bytes(const void *head, size_t head_len, const void *p, size_t n, void *userdata); /* SpdyOps.write */
/* Room for n more bytes? -EPIPE, -EAGAIN. Under the lock. */
int remote_room(Remote *remote, size_t n);
int remote_ws_send(Remote *remote, unsigned channel, const void *p, size_t n);
/* Says goodbye in the connection's own way and closes it. Under the lock. */
void remote_end(Remote *remote);
void remote_ports_begin(Remote *remote); /* loop */
void remote_port_message(Remote *remote, unsigned channel, const void *p, size_t n);
void remote_ports_expire(Remote *remote);
void remote_ports_done(Remote *remote);
