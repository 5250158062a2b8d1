#include "apiserver/handlers/discovery.h"
#include "apiserver/handlers/catalog.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#include <stdio.h>

static const struct {
    uint16_t bit;
    const char *name;
} verb_names[] = {
    /* in alphabetical order, as the reference lists them */
    {VERB_CREATE, "create"}, {VERB_DELETE, "delete"}, {VERB_DELETE_COLLECTION, "deletecollection"},
    {VERB_GET, "get"},       {VERB_LIST, "list"},     {VERB_PATCH, "patch"},
    {VERB_UPDATE, "update"}, {VERB_WATCH, "watch"},
};

static Value *verbs_of(Arena *arena, uint16_t verbs) {
    Value *list = value_array(arena);
    for (size_t i = 0; i < ELEMENTSOF(verb_names); i++)
        if (verbs & verb_names[i].bit)
            value_append(arena, list, value_string(arena, verb_names[i].name));
    return list;
}

/* Custom resources list them in an order of their own. */
static Value *verbs_of_row(Arena *arena, const Resource *resource) {
    static const char *const custom[] = {"delete", "deletecollection", "get",    "list",
                                         "patch",  "create",           "update", "watch"};
    if (!resource->custom)
        return verbs_of(arena, resource->verbs);
    Value *list = value_array(arena);
    for (size_t i = 0; i < ELEMENTSOF(custom); i++)
        value_append(arena, list, value_string(arena, custom[i]));
    return list;
}

static void set_strings(Arena *arena, Value *v, const char *name, const char *const *strings) {
    if (!strings)
        return;
    Value *list = value_array(arena);
    for (; *strings; strings++)
        value_append(arena, list, value_string(arena, *strings));
    value_set(arena, v, name, list);
}

static Value *subresource_entry(Arena *arena, const Resource *resource, const Subresource *sub) {
    Value *v = value_object(arena);
    value_set(arena, v, "name", value_printf(arena, "%s/%s", resource->plural, sub->name));
    value_set_str(arena, v, "singularName", "");
    value_set_bool(arena, v, "namespaced", resource->namespaced);
    if (sub->group) {
        value_set_str(arena, v, "group", sub->group);
        value_set_str(arena, v, "version", sub->version);
    }
    value_set_str(arena, v, "kind", sub->kind);
    value_set(arena, v, "verbs", verbs_of(arena, sub->verbs));
    return v;
}

static Value *resource_entry(Arena *arena, const Resource *resource) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "name", resource->plural);
    value_set_str(arena, v, "singularName", resource->singular);
    value_set_bool(arena, v, "namespaced", resource->namespaced);
    value_set_str(arena, v, "kind", resource->kind);
    value_set(arena, v, "verbs", verbs_of_row(arena, resource));
    set_strings(arena, v, "shortNames", resource->short_names);
    set_strings(arena, v, "categories", resource->categories);
    if (resource->storage_version_hash)
        value_set_str(arena, v, "storageVersionHash", resource->storage_version_hash);
    return v;
}

/* NULL: none of it is ours. */
static Value *resource_list(Arena *arena, const Catalog *catalog, const char *group, const char *version) {
    const CatalogVersion *item = catalog_find(catalog, group, version);
    if (!item || !item->n_rows)
        return NULL;
    Value *list = value_object(arena), *resources = value_array(arena);
    value_set_str(arena, list, "kind", "APIResourceList");
    if (*group)
        value_set_str(arena, list, "apiVersion", "v1");
    value_set(arena, list, "groupVersion",
              *group ? value_printf(arena, "%s/%s", group, version) : value_string(arena, version));
    for (size_t i = 0; i < item->n_rows; i++) {
        const Resource *resource = item->rows[i];
        value_append(arena, resources, resource_entry(arena, resource));
        for (size_t j = 0; j < resource->n_subresources; j++)
            value_append(arena, resources, subresource_entry(arena, resource, &resource->subresources[j]));
    }
    value_set(arena, list, "resources", resources);
    return list;
}

/* `first`: the first item of the group; NULL: there is none. */
static Value *group_entry(Arena *arena, const Catalog *catalog, const CatalogVersion *first, bool alone) {
    if (!first)
        return NULL;
    Value *v = value_object(arena), *versions = value_array(arena);
    for (size_t i = 0, n = catalog_group_size(catalog, first); i < n; i++) {
        Value *version = value_object(arena);
        value_set(arena, version, "groupVersion", value_printf(arena, "%s/%s", first->group, first[i].version));
        value_set_str(arena, version, "version", first[i].version);
        value_append(arena, versions, version);
    }
    if (alone) {
        value_set_str(arena, v, "kind", "APIGroup");
        value_set_str(arena, v, "apiVersion", "v1");
    }
    value_set_str(arena, v, "name", first->group);
    value_set(arena, v, "versions", versions);
    value_set(arena, v, "preferredVersion", value_at(versions, 0));
    return v;
}

static Value *group_list(Arena *arena, const Catalog *catalog) {
    Value *list = value_object(arena), *groups = value_array(arena);
    value_set_str(arena, list, "kind", "APIGroupList");
    value_set_str(arena, list, "apiVersion", "v1");
    for (const CatalogVersion *first = NULL; (first = catalog_next_group(catalog, first));)
        value_append(arena, groups, group_entry(arena, catalog, first, false));
    value_set(arena, list, "groups", groups);
    return list;
}

static Value *api_versions(Arena *arena, const char *server_address) {
    Value *v = value_object(arena), *versions = value_array(arena), *addresses = value_array(arena),
          *address = value_object(arena);
    value_append(arena, versions, value_string(arena, "v1"));
    value_set_str(arena, address, "clientCIDR", "0.0.0.0/0");
    value_set_str(arena, address, "serverAddress", server_address);
    value_append(arena, addresses, address);
    value_set_str(arena, v, "kind", "APIVersions");
    value_set(arena, v, "versions", versions);
    value_set(arena, v, "serverAddressByClientCIDRs", addresses);
    return v;
}

static Value *response_kind(Arena *arena, const char *group, const char *version, const char *kind) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "group", str_or(group, ""));
    value_set_str(arena, v, "version", str_or(version, ""));
    value_set_str(arena, v, "kind", kind);
    return v;
}

static Value *aggregated_resource(Arena *arena, const Resource *resource) {
    Value *v = value_object(arena), *subresources = value_array(arena);
    value_set_str(arena, v, "resource", resource->plural);
    value_set(arena, v, "responseKind", response_kind(arena, NULL, NULL, resource->kind));
    value_set_str(arena, v, "scope", resource->namespaced ? "Namespaced" : "Cluster");
    value_set_str(arena, v, "singularResource", resource->singular);
    value_set(arena, v, "verbs", verbs_of_row(arena, resource));
    set_strings(arena, v, "shortNames", resource->short_names);
    set_strings(arena, v, "categories", resource->categories);
    for (size_t i = 0; i < resource->n_subresources; i++) {
        const Subresource *sub = &resource->subresources[i];
        Value *s = value_object(arena);
        value_set_str(arena, s, "subresource", sub->name);
        value_set(arena, s, "responseKind", response_kind(arena, sub->group, sub->version, sub->kind));
        value_set(arena, s, "verbs", verbs_of(arena, sub->verbs));
        value_append(arena, subresources, s);
    }
    if (subresources->len)
        value_set(arena, v, "subresources", subresources);
    return v;
}

static Value *aggregated_version(Arena *arena, const CatalogVersion *item) {
    Value *entry = value_object(arena), *resources = value_array(arena);
    for (size_t i = 0; i < item->n_rows; i++)
        value_append(arena, resources, aggregated_resource(arena, item->rows[i]));
    value_set_str(arena, entry, "version", item->version);
    value_set(arena, entry, "resources", resources);
    value_set_str(arena, entry, "freshness", "Current");
    return entry;
}

/* What the other server said, or that it says nothing now. */
static Value *remote_version(Arena *arena, const CatalogVersion *item) {
    const ApiDocuments *documents = item->remote->documents;
    const Value *said = item->remote->available && documents ? documents->discovery : NULL;
    Value *entry = said ? value_copy(arena, said) : value_object(arena);
    value_set_str(arena, entry, "version", item->version);
    value_set_str(arena, entry, "freshness", said ? "Current" : "Stale");
    return entry;
}

static Value *aggregated_group(Arena *arena, const Catalog *catalog, const CatalogVersion *first) {
    Value *v = value_object(arena), *meta = value_object(arena), *versions = value_array(arena);
    if (*first->group)
        value_set_str(arena, meta, "name", first->group);
    for (size_t i = 0, n = catalog_group_size(catalog, first); i < n; i++)
        value_append(arena, versions,
                     first[i].remote ? remote_version(arena, &first[i]) : aggregated_version(arena, &first[i]));
    value_set(arena, v, "metadata", meta);
    value_set(arena, v, "versions", versions);
    return v;
}

static Value *aggregated(Arena *arena, const Catalog *catalog, bool core) {
    Value *v = api_value_new(arena, "apidiscovery.k8s.io/v2", "APIGroupDiscoveryList"), *items = value_array(arena);
    value_set(arena, v, "metadata", value_object(arena));
    if (core)
        value_append(arena, items, aggregated_group(arena, catalog, catalog_find(catalog, "", NULL)));
    else
        for (const CatalogVersion *first = NULL; (first = catalog_next_group(catalog, first));)
            value_append(arena, items, aggregated_group(arena, catalog, first));
    value_set(arena, v, "items", items);
    return v;
}

Value *discovery_aggregated(Arena *arena, struct CustomResources *custom, const ApiServiceList *services, bool core) {
    return aggregated(arena, catalog_make(arena, custom, services), core);
}

/* Clients keep it, and ask whether what they have is still it. */
static void serve_aggregated(HttpRequest *http, Arena *arena, const Catalog *catalog, bool core) {
    Buf out = BUF_INIT(16 * 1024 * 1024);
    char hash[HTTP_HASH_MAX], etag[HTTP_ETAG_MAX];
    value_write_json(&out, aggregated(arena, catalog, core));
    buf_putc(&out, '\n');
    http_hash_of(out.data, out.len, hash);
    http_etag_of(hash, etag);
    HttpHeader headers[] = {
        {"cache-control", "public"},
        {"etag", etag},
        {"vary", "Accept"},
        {"content-type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"},
    };
    if (http_has_etag(http, etag)) {
        http_reply(http, 304, headers, ELEMENTSOF(headers) - 1, (HttpBytes){0});
        buf_done(&out);
    } else
        http_reply(http, 200, headers, ELEMENTSOF(headers), http_bytes_take(&out));
}

static Value *classic(Arena *arena, const Catalog *catalog, const char *path, const char *server_address) {
    size_t n = 0;
    char **parts = str_split(arena, path + 1, '/', &n);
    if (n && !*parts[n - 1])
        n--;
    if (streq(parts[0], "api"))
        return n == 1   ? api_versions(arena, server_address)
               : n == 2 ? resource_list(arena, catalog, "", parts[1])
                        : NULL;
    return n == 1   ? group_list(arena, catalog)
           : n == 2 ? group_entry(arena, catalog, catalog_find(catalog, parts[1], NULL), true)
           : n == 3 ? resource_list(arena, catalog, parts[1], parts[2])
                    : NULL;
}

/* Below a group of our own there is always a server that says what is missing. */
static bool is_own_group(Arena *arena, const char *path) {
    size_t n = 0;
    char **parts = str_split(arena, path + 1, '/', &n);
    return streq(parts[0], "api") || (n > 1 && catalog_group_is_builtin(parts[1]));
}

/* The reference's router has these paths, for GET alone: not the groups, nor what definitions have made. */
static bool is_routed(Arena *arena, const char *path) {
    size_t n = 0;
    char **parts = str_split(arena, path + 1, '/', &n);
    return streq(parts[0], "api") || (n > 2 && *parts[2] && catalog_group_is_builtin(parts[1]));
}

static void reply_classic(HttpRequest *http, const Media *media, const Value *v) {
    char name[96];
    snprintf(name, sizeof name, "io.k8s.apimachinery.pkg.apis.meta.v1.%s", value_get_str(v, "kind"));
    http_reply_value(http, media, 200, schema_by_name(name), v);
}

void discovery_serve(HttpRequest *http, Arena *arena, struct CustomResources *custom, const ApiServiceList *services,
                     const char *path, const char *server_address) {
    const Catalog *catalog = catalog_make(arena, custom, services);
    bool core = streq(path, "/api") || streq(path, "/api/");
    _cleanup_api_error_ ApiError err = {0};
    Media media;
    Query query;
    bool root = core || streq(path, "/apis") || streq(path, "/apis/"), of_router = is_routed(arena, path);
    bool at_once = root && media_wants_aggregated(http);
    const Value *v = at_once ? NULL : classic(arena, catalog, path, server_address);
    if ((at_once || v) && of_router && !streq(http_method(http), "GET"))
        return http_reply_not_allowed(http);
    if (at_once)
        return serve_aggregated(http, arena, catalog, core);
    query_parse(arena, http_query(http), &query);
    if (!v && !is_own_group(arena, path))
        return http_reply_text(http, 404, "text/plain; charset=utf-8", "404 page not found\n");
    int r = v ? 0 : api_error_set(&err, 404, "NotFound", "the server could not find the requested resource");
    if (r < 0)
        api_error_details(&err, "", "", "", "");
    if (r == 0 && of_router)
        r = media_check_produces(http, MEDIA_TYPES, &err);
    r = r < 0 ? r : media_negotiate(arena, http, &query, 0, &media, &err);
    if (r < 0)
        http_reply_error(http, &err);
    else
        reply_classic(http, &media, v);
}

void discovery_list_paths(Arena *arena, struct CustomResources *custom, const ApiServiceList *services, Value *paths) {
    static const char *const fixed[] = {"/api", "/api/v1", "/apis", "/apis/"};
    const Catalog *catalog = catalog_make(arena, custom, services);
    for (size_t i = 0; i < ELEMENTSOF(fixed); i++)
        value_append(arena, paths, value_string(arena, fixed[i]));
    for (const CatalogVersion *first = NULL; (first = catalog_next_group(catalog, first));) {
        value_append(arena, paths, value_printf(arena, "/apis/%s", first->group));
        for (size_t i = 0, n = catalog_group_size(catalog, first); i < n; i++)
            value_append(arena, paths, value_printf(arena, "/apis/%s/%s", first[i].group, first[i].version));
    }
}
