/* What a node runs so that its pods reach Services by address and name: the service proxy and a DNS server, over one
 * client and one set of informers, in the process of the node agent and so in the node's network namespace. */
#pragma once

#include "client/client.h"
#include "network/proxy/rules.h"

typedef struct NetworkAgent NetworkAgent;

typedef struct NetworkAgentConfig { /* strings are copied */
    Client *client;                 /* borrowed; as system:kube-proxy */
    ProxySettings proxy;
    const char *dns_bind;    /* names are answered there, on DNS_SERVER_PORT; NULL: no DNS server */
    const char *dns_address; /* of the DNS Service; NULL with dns_bind NULL */
    const char *domain;      /* NULL: cluster.local */
} NetworkAgentConfig;

/* Starts its own threads and returns; the API server need not be there yet. -EINVAL with a sentence in *ret_error. */
int network_agent_start(const NetworkAgentConfig *config, NetworkAgent **ret, char **ret_error);
/* Rules stay. NULL is fine. */
void network_agent_stop(NetworkAgent *agent);
DEFINE_CLEANUP(NetworkAgent, network_agent_stop)
