/* Where a connection subresource leads: the node agent that runs the pod, and the request it is to be asked. */
#pragma once

#include "apiserver/handlers/http.h"
#include "http/duplex.h"

typedef struct NodeAgent {
    const char *host; /* in the arena */
    uint16_t port;
    const char *server_name; /* the node's name, for its certificate */
} NodeAgent;

typedef struct NodeTarget {
    NodeAgent agent;
    const char *path; /* with query */
    bool upgrade;     /* exec, attach, portforward */
} NodeTarget;

/* The agent of the node of this name, as the node's status says. 404, 500 in *err. */
int node_agent_find(Exchange *exchange, const char *name, NodeAgent *ret, ApiError *err);
/* A connection to it with this server's own credentials. */
DuplexConnect node_agent_connect(ApiHttp *api, const NodeAgent *agent);
/* Reads an object of the core group into the exchange's arena; 404 in *err. */
int core_object_load(Exchange *exchange, const char *plural, const char *ns, const char *name, Value **ret,
                     ApiError *err);

/* For pods/log, exec, attach, portforward. 400, 404 in *err. Without a host: the log of a pod that no node has. On the
 * loop thread (reads the store only). */
int node_target_find(Exchange *exchange, NodeTarget *ret, ApiError *err);
