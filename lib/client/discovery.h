/* What an API server serves, read from its aggregated discovery (apidiscovery.k8s.io/v2): for controllers that work on
 * every resource, custom and aggregated ones included.
 *
 * Built-in resources are the rows of api/resource.h. Others get a row of names here (Resource.discovered), one for each
 * group, version and plural ever seen, which stays as long as the Discovery: informers, objects and keys may hold it.
 * So what grows is the number of different resources a server ever had. Objects of such a row are for who reads
 * metadata: without a schema there are no selectable fields and no strategic merge. Thread-safe. */
#pragma once

#include "client/client.h"

#define DISCOVERY_RESOURCES_MAX 16384 /* rows of its own */

typedef struct Discovery Discovery;

Discovery *discovery_new(Client *client); /* knows the built-in resources until the first refresh */
void discovery_free(Discovery *discovery);
DEFINE_CLEANUP(Discovery, discovery_free)

/* Asks the server. On failure what was known stays. Groups whose server does not answer keep what they had, and are
 * told of by discovery_failure. */
int discovery_refresh(Discovery *discovery, ApiError *err);

/* Each resource once, in the version the server prefers, built-in ones as their storage row: an array in the arena that
 * ends with NULL. */
const Resource **discovery_preferred(Discovery *discovery, Arena *arena);
/* Of any version that is served; NULL: none. */
const Resource *discovery_find_kind(Discovery *discovery, const char *group, const char *version, const char *kind);
/* The row of discovery_preferred that holds the objects of `resource`, whatever its version; NULL: none. */
const Resource *discovery_preferred_of(Discovery *discovery, const Resource *resource);

/* The group versions that the last refresh could not look into, in client-go's words, and their number; NULL: none. */
const char *discovery_failure(Discovery *discovery, Arena *arena, size_t *ret_groups);
