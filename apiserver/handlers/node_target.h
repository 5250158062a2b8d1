/* Where a connection subresource leads: the node agent that runs the pod, and the request it is to be asked. */
#pragma once

#include "apiserver/handlers/http.h"

typedef struct NodeTarget {
    const char *host; /* address of the agent; in the arena */
    uint16_t port;
    const char *server_name; /* the node's name, for its certificate */
    const char *path;        /* with query */
    bool upgrade;            /* exec, attach, portforward */
} NodeTarget;

/* For pods/log, exec, attach, portforward. 400, 404, 501 in *err. On the loop thread (reads the store only). */
int node_target_find(Exchange *exchange, NodeTarget *ret, ApiError *err);
