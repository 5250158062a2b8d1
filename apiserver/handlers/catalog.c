#include "apiserver/handlers/catalog.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

/* Nobody registers the group that registers all others: it stands first. */
#define REGISTRATION_GROUP "apiregistration.k8s.io"

/* A row, and its place among all, which its place among those of its version follows. */
typedef struct PlacedRow {
    const Resource *row;
    size_t place;
} PlacedRow;

static int compare_names(const char *group, const char *version, const char *other_group, const char *other_version) {
    int r = strcmp(group, other_group);
    return r ? r : strcmp(version, other_version);
}

static int compare_rows(const void *a, const void *b) {
    const PlacedRow *x = a, *y = b;
    int r = compare_names(x->row->group, x->row->version, y->row->group, y->row->version);
    return r ? r : x->place < y->place ? -1 : 1;
}

static int compare_items(const void *a, const void *b) {
    const CatalogVersion *x = a, *y = b;
    return compare_names(x->group, x->version, y->group, y->version);
}

/* Built-in rows and those of definitions, with the rows of a version together. Returns how many. */
static size_t place_rows(Catalog *catalog, const Resource **customs) {
    size_t builtin = 0, more = 0;
    while (resource_builtin(builtin))
        builtin++;
    while (customs && customs[more])
        more++;
    size_t n = builtin + more;
    PlacedRow *placed = arena_alloc0(catalog->arena, (n + 1) * sizeof *placed);
    for (size_t i = 0; i < n; i++)
        placed[i] = (PlacedRow){i < builtin ? resource_builtin(i) : customs[i - builtin], i};
    qsort(placed, n, sizeof *placed, compare_rows);
    catalog->rows = arena_alloc0(catalog->arena, (n + 1) * sizeof *catalog->rows);
    for (size_t i = 0; i < n; i++)
        catalog->rows[i] = placed[i].row;
    return n;
}

/* An item for each version that has rows, in the order of their names. */
static void add_rows(Catalog *catalog, size_t n_rows) {
    for (size_t i = 0; i < n_rows; i++) {
        const Resource *row = catalog->rows[i];
        CatalogVersion *item = catalog->n ? &catalog->items[catalog->n - 1] : NULL;
        if (item && streq(item->group, row->group) && streq(item->version, row->version)) {
            item->n_rows++;
            continue;
        }
        item = &catalog->items[catalog->n++];
        *item = (CatalogVersion){.group = row->group, .version = row->version, .rows = &catalog->rows[i], .n_rows = 1};
        item->group_priority = API_SERVICE_CUSTOM_GROUP_PRIORITY;
        item->version_priority = API_SERVICE_CUSTOM_VERSION_PRIORITY;
        api_service_builtin_priority(row->group, row->version, &item->group_priority, &item->version_priority);
        if (streq(row->group, REGISTRATION_GROUP))
            item->group_priority = INT64_MAX;
    }
}

/* `n_known`: of the items, which are in the order of their names. */
static void add_service(Catalog *catalog, size_t n_known, const ApiService *service) {
    CatalogVersion wanted = {.group = service->group, .version = service->version};
    CatalogVersion *item = bsearch(&wanted, catalog->items, n_known, sizeof wanted, compare_items);
    if (!item && !service->remote)
        return; /* of this server, which does not serve it (any more) */
    if (!item) {
        item = &catalog->items[catalog->n++];
        *item = wanted;
    }
    if (!streq(service->group, REGISTRATION_GROUP)) {
        item->group_priority = service->group_priority;
        item->version_priority = service->version_priority;
    }
    item->remote = service->remote ? service : NULL;
}

/* The priority of a group is that of its highest version. */
static void level_groups(Catalog *catalog) {
    qsort(catalog->items, catalog->n, sizeof *catalog->items, compare_items);
    for (size_t i = 0, n; i < catalog->n; i += n) {
        CatalogVersion *group = &catalog->items[i];
        int64_t highest = INT64_MIN;
        n = catalog_group_size(catalog, group);
        for (size_t j = 0; j < n; j++)
            highest = MAX(highest, group[j].group_priority);
        for (size_t j = 0; j < n; j++)
            group[j].group_priority = highest;
    }
}

static int compare(const void *a, const void *b) {
    const CatalogVersion *x = a, *y = b;
    if (x->group_priority != y->group_priority)
        return x->group_priority > y->group_priority ? -1 : 1;
    int r = strcmp(x->group, y->group);
    if (r != 0)
        return r;
    if (x->version_priority != y->version_priority)
        return x->version_priority > y->version_priority ? -1 : 1;
    return custom_version_compare(x->version, y->version);
}

Catalog *catalog_make(Arena *arena, struct CustomResources *custom, const ApiServiceList *services) {
    Catalog *catalog = ARENA_NEW0(arena, Catalog);
    catalog->arena = arena;
    size_t n_rows = place_rows(catalog, custom_resources_all(custom, arena)), n_services = services ? services->n : 0;
    catalog->items = arena_alloc0(arena, (n_rows + n_services + 1) * sizeof *catalog->items);
    add_rows(catalog, n_rows);
    size_t n_known = catalog->n;
    for (size_t i = 0; i < n_services; i++)
        add_service(catalog, n_known, &services->items[i]);
    level_groups(catalog);
    qsort(catalog->items, catalog->n, sizeof *catalog->items, compare);
    return catalog;
}

const CatalogVersion *catalog_find(const Catalog *catalog, const char *group, const char *version) {
    for (size_t i = 0; i < catalog->n; i++)
        if (streq(catalog->items[i].group, group) && (!version || streq(catalog->items[i].version, version)))
            return &catalog->items[i];
    return NULL;
}

size_t catalog_group_size(const Catalog *catalog, const CatalogVersion *from) {
    const CatalogVersion *end = catalog->items + catalog->n, *at = from;
    while (at < end && streq(at->group, from->group))
        at++;
    return (size_t)(at - from);
}

const CatalogVersion *catalog_next_group(const Catalog *catalog, const CatalogVersion *after) {
    const CatalogVersion *end = catalog->items + catalog->n;
    const CatalogVersion *next = after ? after + catalog_group_size(catalog, after) : catalog->items;
    if (next < end && !*next->group) /* the core group's versions stand together, too */
        next += catalog_group_size(catalog, next);
    return next < end ? next : NULL;
}

bool catalog_group_is_builtin(const char *group) {
    const Resource *row;
    for (size_t i = 0; (row = resource_builtin(i)); i++)
        if (streq(row->group, group))
            return true;
    return false;
}
