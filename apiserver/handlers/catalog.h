/* All groups and versions that clients find here, in the order of discovery: this server's own rows, those that
 * definitions make, and those of aggregated servers. Lives in the arena of a request; borrows the list of services. */
#pragma once

#include "api/resource.h"
#include "apiserver/registry/api_services.h"

struct CustomResources; /* registry/custom_resources.h; NULL: none */

typedef struct CatalogVersion {
    const char *group, *version;
    int64_t group_priority, version_priority;
    const ApiService *remote;    /* another server's; NULL: ours */
    const Resource *const *rows; /* ours, in the order of discovery */
    size_t n_rows;
} CatalogVersion;

typedef struct Catalog {
    Arena *arena;
    const Resource **rows;
    CatalogVersion *items; /* the versions of a group stand together */
    size_t n;
} Catalog;

/* Groups come by their priority, apiregistration.k8s.io before all; versions of a group by theirs, then as versions. */
Catalog *catalog_make(Arena *arena, struct CustomResources *custom, const ApiServiceList *services);
/* The first item of a group, or that of a version of it; NULL: there is none. */
const CatalogVersion *catalog_find(const Catalog *catalog, const char *group, const char *version);
/* The first item of the next group that has a name; after NULL, of the first. NULL: there are no more. */
const CatalogVersion *catalog_next_group(const Catalog *catalog, const CatalogVersion *after);
/* How many items from this one on are of its group. */
size_t catalog_group_size(const Catalog *catalog, const CatalogVersion *from);
/* Is a kind of this group built in? */
bool catalog_group_is_builtin(const char *group);
