/* The node agents of `lighter up`: with one node in this process, on the API server's own objects; with several, a
 * lighter-kubelet process each in its node's network namespace. */
#pragma once

#include "apiserver/server.h"
#include "cmd/lighter/node.h"

typedef struct Agents Agents;

/* Starts what the plan says; returns once all are started (not ready). */
int agents_start(const Cluster *cluster, LocalNode *nodes, ApiServer *server, Loop *loop, Agents **ret,
                 char **ret_error);
/* Ends the agents; containers stay. */
void agents_stop(Agents *agents);
DEFINE_CLEANUP(Agents, agents_stop)
