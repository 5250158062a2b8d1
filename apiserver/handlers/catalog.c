#include "apiserver/handlers/catalog.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

/* Nobody registers the group that registers all others: it stands first. */
#define REGISTRATION_GROUP "apiregistration.k8s.io"

static CatalogVersion *find(const Catalog *catalog, const char *group, const char *version) {
    for (size_t i = 0; i < catalog->n; i++)
        if (streq(catalog->items[i].group, group) && streq(catalog->items[i].version, version))
            return &catalog->items[i];
    return NULL;
}

static CatalogVersion *add(Catalog *catalog, const char *group, const char *version) {
    CatalogVersion *item = find(catalog, group, version);
    if (item)
        return item;
    item = &catalog->items[catalog->n++];
    *item = (CatalogVersion){.group = group, .version = version};
    return item;
}

static void add_row(Catalog *catalog, const Resource *row) {
    CatalogVersion *item = add(catalog, row->group, row->version);
    if (item->group_priority)
        return;
    item->group_priority = API_SERVICE_CUSTOM_GROUP_PRIORITY;
    item->version_priority = API_SERVICE_CUSTOM_VERSION_PRIORITY;
    api_service_builtin_priority(row->group, row->version, &item->group_priority, &item->version_priority);
    if (streq(row->group, REGISTRATION_GROUP))
        item->group_priority = INT64_MAX;
}

static void add_service(Catalog *catalog, const ApiService *service) {
    CatalogVersion *item = find(catalog, service->group, service->version);
    if (!item && !service->remote)
        return; /* of this server, which does not serve it (any more) */
    if (!item)
        item = add(catalog, service->group, service->version);
    if (!streq(service->group, REGISTRATION_GROUP)) {
        item->group_priority = service->group_priority;
        item->version_priority = service->version_priority;
    }
    item->remote = service->remote ? service : NULL;
}

/* The priority of a group is that of its highest version. */
static void level_groups(Catalog *catalog) {
    for (size_t i = 0; i < catalog->n; i++)
        for (size_t j = 0; j < catalog->n; j++)
            if (streq(catalog->items[i].group, catalog->items[j].group))
                catalog->items[i].group_priority =
                    MAX(catalog->items[i].group_priority, catalog->items[j].group_priority);
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
    const Resource **customs = custom_resources_all(custom, arena), *row;
    size_t builtin = 0, more = 0;
    while (resource_builtin(builtin))
        builtin++;
    while (customs && customs[more])
        more++;
    catalog->arena = arena;
    catalog->rows = arena_alloc0(arena, (builtin + more + 1) * sizeof *catalog->rows);
    catalog->items = arena_alloc0(arena, (builtin + more + (services ? services->n : 0) + 1) * sizeof *catalog->items);
    for (size_t i = 0; i < builtin; i++)
        catalog->rows[i] = resource_builtin(i);
    for (size_t i = 0; i < more; i++)
        catalog->rows[builtin + i] = customs[i];
    for (size_t i = 0; (row = catalog->rows[i]); i++)
        add_row(catalog, row);
    for (size_t i = 0; services && i < services->n; i++)
        add_service(catalog, &services->items[i]);
    level_groups(catalog);
    qsort(catalog->items, catalog->n, sizeof *catalog->items, compare);
    return catalog;
}

const Resource *catalog_next_row(const Catalog *catalog, size_t *cursor, const char *group, const char *version) {
    const Resource *row;
    while ((row = catalog->rows[*cursor])) {
        ++*cursor;
        if (streq(row->group, group) && (!version || streq(row->version, version)))
            return row;
    }
    return NULL;
}

bool catalog_group_is_builtin(const char *group) {
    const Resource *row;
    for (size_t i = 0; (row = resource_builtin(i)); i++)
        if (streq(row->group, group))
            return true;
    return false;
}
