/* Who asks the kubelet's server, and whether they may: client certificates, bearer tokens by TokenReview, access by
 * SubjectAccessReview, as the reference's delegating authenticator and authorizer with KEP-2862's fine-grained
 * subresources of nodes. Answers of the API server are remembered for as long as the reference remembers them. */
#pragma once

#include "kubelet/server_internal.h"

#define AUTH_CACHE_MAX 1024 /* of each kind; past it those that have run out go, then all */
#define TOKEN_TTL_NS (120 * NS_PER_SEC)
#define ALLOWED_TTL_NS (300 * NS_PER_SEC)
#define DENIED_TTL_NS (30 * NS_PER_SEC)
#define AUTH_SUBRESOURCES_MAX 2

typedef struct AuthCache AuthCache; /* thread-safe */

AuthCache *auth_cache_new(void);
void auth_cache_free(AuthCache *cache);
DEFINE_CLEANUP(AuthCache, auth_cache_free)

/* The subresources of nodes of which one must be allowed for this path; returns how many. */
size_t auth_subresources(const char *path, const char *ret[AUTH_SUBRESOURCES_MAX]);
/* "get" for GET and so on; "" for others. */
const char *auth_verb(const char *method);

/* True: the caller may go on. Otherwise an error (401, 403, 500) was replied. Blocks: on the request pool. */
bool auth_check(Call *call);
