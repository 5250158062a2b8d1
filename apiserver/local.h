/* The in-process transport: lib/client calls the API server's core as a function, on shared objects. */
#pragma once

#include "client/client.h"

typedef struct ApiServer ApiServer;

/* A client with the given identity, borrowed by the client for its life. */
Client *apiserver_local_client(ApiServer *server, const UserInfo *user, const char *user_agent);
