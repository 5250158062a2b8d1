/* All groups and versions that clients find here, in the order of discovery: this server's own rows, those that
 * definitions make, and those of aggregated servers. Lives in the arena of a request; borrows the list of services. */
#pragma once

#include "api/resource.h"
#include "apiserver/registry/api_services.h"

struct CustomResources; /* registry/custom_resources.h; NULL: none */

typedef struct CatalogVersion {
    const char *group, *version;
    int64_t group_priority, version_priority;
    const ApiService *remote; /* another server's; NULL: ours */
} CatalogVersion;

typedef struct Catalog {
    Arena *arena;
    const Resource **rows; /* ours; ends with NULL */
    CatalogVersion *items; /* the versions of a group stand together */
    size_t n;
} Catalog;

/* Groups come by their priority, apiregistration.k8s.io before all; versions of a group by theirs, then as versions. */
Catalog *catalog_make(Arena *arena, struct CustomResources *custom, const ApiServiceList *services);
/* The next row of a group (and version, unless NULL) from *cursor, which starts at 0; NULL: no more. */
const Resource *catalog_next_row(const Catalog *catalog, size_t *cursor, const char *group, const char *version);
/* Is a kind of this group built in? */
bool catalog_group_is_builtin(const char *group);
