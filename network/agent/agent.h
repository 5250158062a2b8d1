/* What a node runs so that its pods reach Services: the service proxy, over one client and one set of informers, in the
 * process of the node agent and so in the node's network namespace. */
#pragma once

#include "client/client.h"
#include "network/proxy/rules.h"

typedef struct NetworkAgent NetworkAgent;

typedef struct NetworkAgentConfig { /* strings are copied */
    Client *client;                 /* borrowed; as system:kube-proxy */
    ProxySettings proxy;
} NetworkAgentConfig;

/* Starts its own threads and returns; the API server need not be there yet. -EINVAL with a sentence in *ret_error. */
int network_agent_start(const NetworkAgentConfig *config, NetworkAgent **ret, char **ret_error);
/* Rules stay. NULL is fine. */
void network_agent_stop(NetworkAgent *agent);
DEFINE_CLEANUP(NetworkAgent, network_agent_stop)
