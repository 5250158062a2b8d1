/* Who asks the kubelet's server, and whether they may: daemon/delegate.h with KEP-2862's fine-grained subresources of
 * nodes. Answers of the API server are remembered for as long as the reference's kubelet does. */
#pragma once

#include "kubelet/server_internal.h"

#include "daemon/delegate.h"

#define TOKEN_TTL_NS (120 * NS_PER_SEC)
#define ALLOWED_TTL_NS (300 * NS_PER_SEC)
#define DENIED_TTL_NS (30 * NS_PER_SEC)
#define AUTH_SUBRESOURCES_MAX 2

Delegate *auth_new(Client *client);

/* The subresources of nodes of which one must be allowed for this path; returns how many. */
size_t auth_subresources(const char *path, const char *ret[AUTH_SUBRESOURCES_MAX]);
/* "get" for GET and so on; "" for others. */
const char *auth_verb(const char *method);

/* True: the caller may go on. Otherwise an error (401, 403, 500) was replied. Blocks: on the request pool. */
bool auth_check(Call *call);
