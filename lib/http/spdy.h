/* SPDY/3.1, server side, as much of it as Kubernetes clients use (moby/spdystream): streams that the client opens, data
 * both ways, resets, pings. Framing only: bytes in by spdy_input, bytes out by `write`.
 *
 * Flow control: spdystream keeps no windows and sends no WINDOW_UPDATE, so none are waited for; a peer that keeps
 * windows is told at once of what was read. Threads: spdy_input and spdy_free on one thread; the spdy_send_* functions
 * from any (they hold no state). */
#pragma once

#include "base/mem.h"

typedef struct Spdy Spdy;

#define SPDY_CONTROL_MAX (64 * 1024) /* bytes of a control frame */
#define SPDY_HEADERS_MAX (64 * 1024) /* bytes of a header block after inflation */
#define SPDY_DATA_MAX 32768          /* bytes of one data frame that is sent */

typedef enum SpdyReset {
    SPDY_PROTOCOL_ERROR = 1,
    SPDY_INVALID_STREAM = 2,
    SPDY_REFUSED_STREAM = 3,
    SPDY_CANCEL = 5,
} SpdyReset;

typedef struct SpdyOps {
    /* A stream was opened. `headers`: name NUL value NUL ..., names in lower case, `n` bytes. Negative refuses it.
     * `fin`: the client will send nothing on it. */
    int (*opened)(uint32_t stream, const char *headers, size_t n, bool fin, void *userdata);
    void (*data)(uint32_t stream, const void *p, size_t n, bool fin, void *userdata);
    void (*reset)(uint32_t stream, void *userdata);
    void (*goaway)(void *userdata);
    /* Must take both pieces in one; any thread. */
    int (*write)(const void *head, size_t head_len, const void *p, size_t n, void *userdata);
} SpdyOps;

int spdy_new(const SpdyOps *ops, void *userdata, Spdy **ret);
void spdy_free(Spdy *spdy);
DEFINE_CLEANUP(Spdy, spdy_free)
/* Negative errno: the peer broke the protocol; close the connection. */
int spdy_input(Spdy *spdy, const void *p, size_t n);
/* The value of a header in such a block; NULL when absent. */
const char *spdy_header(const char *headers, size_t n, const char *name);

int spdy_send_data(Spdy *spdy, uint32_t stream, const void *p, size_t n, bool fin);
int spdy_send_reset(Spdy *spdy, uint32_t stream, SpdyReset status);
int spdy_send_goaway(Spdy *spdy, uint32_t last_stream);
