/* Flows of UDP have no end of their own: those that were sent to an endpoint that is gone would go there for as long as
 * the client keeps sending. In the network namespace of the calling thread; blocking. */
#pragma once

#include "network/services/view.h"

typedef struct UdpFrontend { /* where clients send, and who may answer */
    const char *ip;          /* NULL: any address (a NodePort) */
    uint16_t port;
    EndpointViews endpoints; /* those that serve count */
} UdpFrontend;

#define CONNTRACK_DELETE_MAX 65536 /* flows deleted in one call; the rest times out by itself */

/* Deletes the tracked UDP flows to a frontend that its serving endpoints do not answer. A frontend without serving
 * endpoints is left alone, as the reference does. Returns how many were deleted, or negative errno. */
int conntrack_clear(const UdpFrontend *frontends, size_t n);
