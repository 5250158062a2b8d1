/* How a hijacked connection becomes a Duplex. Internal to lib/http; on the worker's thread unless said. */
#pragma once

#include "http/conn.h"
#include "http/duplex.h"

/* A duplex that is not connected yet; any thread. The caller's reference. */
Duplex *duplex_new_pending(Worker *worker);
/* Takes the transport and the contents of both buffers: input that came early, output to send first. */
void duplex_attach(Duplex *duplex, Transport transport, Buf *in, Buf *out);
/* A connection that this side opened. */
Duplex *duplex_of(Loop *loop, Transport transport);
/* It will never be connected: `closed` runs with the error once it is started. */
void duplex_fail(Duplex *duplex, int error);
/* Closes at once, without sending what is pending. */
void duplex_abort(Duplex *duplex, int error);
Duplex *duplex_next(Duplex *duplex); /* in its worker's list */
