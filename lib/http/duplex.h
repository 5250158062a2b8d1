/* A two-way byte stream on a loop: the raw connection after an upgrade, or a client connection (TLS or plain) that this
 * side opened. All functions on its loop's thread, except duplex_write and duplex_close (any thread). */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

#include <stdatomic.h>

typedef struct Duplex Duplex;

typedef struct DuplexOps {
    void (*data)(Duplex *duplex, const void *p, size_t n, void *userdata);
    void (*drained)(Duplex *duplex, void *userdata);           /* everything written has left; may be NULL */
    void (*closed)(Duplex *duplex, int error, void *userdata); /* once; error 0 at an orderly end */
} DuplexOps;

#define DUPLEX_WRITE_MAX (4 * 1024 * 1024) /* pending bytes; past it -ENOBUFS and the connection closes */

/* Starts delivering in the loop's next round; bytes that came before are delivered first. Any thread. `ops` must
 * outlive it. */
void duplex_start(Duplex *duplex, const DuplexOps *ops, void *userdata);
int duplex_write(Duplex *duplex, const void *p, size_t n);
/* Both pieces in one, unmixed with what other threads write. */
int duplex_write2(Duplex *duplex, const void *a, size_t a_len, const void *b, size_t b_len);
size_t duplex_pending(const Duplex *duplex);
/* Stops and restarts reading (back-pressure). */
void duplex_pause(Duplex *duplex, bool paused);
/* Sends what is pending, then closes; `closed` runs (error 0). Call it before dropping the last reference. Any thread.
 */
void duplex_close(Duplex *duplex);
/* Sends what is pending, then ends our direction only: the peer reads our end and may still write. Any thread. */
void duplex_end(Duplex *duplex);
Duplex *duplex_ref(Duplex *duplex);
void duplex_unref(Duplex *duplex);
Loop *duplex_loop(const Duplex *duplex);
/* Takes a connected descriptor (plain TCP, unix socket, pipe pair is not one). */
int duplex_from_fd(Loop *loop, int fd, Duplex **ret);

/* Connects (blocking, call from a pool thread, `timeout_ns`), with TLS when `tls`; verifies the peer against ca_file,
 * ca_pem or what the system trusts, unless none is given; presents the client certificate when given. The duplex
 * belongs to `loop`. -EACCES: the peer is not who it should be. */
typedef struct DuplexConnect {
    const char *host;
    uint16_t port;
    bool tls;
    const char *server_name; /* for verification; NULL: host */
    const char *ca_file, *cert_file, *key_file;
    const char *ca_pem, *cert_pem, *key_pem; /* the same as text; a certificate in both: the text's */
    bool system_ca;
    uint64_t timeout_ns;
    const atomic_bool *cancel; /* once set, -ECANCELED within a moment (but not from within a lookup); may be NULL */
    char **ret_error; /* why it failed, in the words of Go's net and crypto/tls; owned by the caller; may be NULL */
} DuplexConnect;
int duplex_connect(Loop *loop, const DuplexConnect *to, Duplex **ret);
