/* The resource table: the only place a resource is named. Routes, discovery, OpenAPI, RBAC, storage keys and printing
 * derive from its rows. Built-in rows are generated into gen/resources.c and immutable; a CustomResourceDefinition
 * makes a row at run time (apiserver/registry owns those, and frees them when nobody holds them any more). */
#pragma once

#include "api/schema.h"

#include <stdatomic.h>

enum {
    VERB_GET = 1 << 0,
    VERB_LIST = 1 << 1,
    VERB_WATCH = 1 << 2,
    VERB_CREATE = 1 << 3,
    VERB_UPDATE = 1 << 4,
    VERB_PATCH = 1 << 5,
    VERB_DELETE = 1 << 6,
    VERB_DELETE_COLLECTION = 1 << 7,
};
#define VERBS_ALL 0xFF

typedef struct Subresource {
    const char *name;                   /* "status" */
    const char *group, *version, *kind; /* the kind it takes and gives; group NULL: the resource's own */
    uint16_t verbs;
    const Schema *schema;
} Subresource;

/* A column of the Table form. Values come from a printer function in apiserver/registry (built-in) or a JSONPath (CRD).
 */
typedef struct Column {
    const char *name, *type, *format;
    int priority;
    const char *json_path; /* CRD only */
} Column;

/* How many hold a row that was made at run time beyond a request: objects and watches. */
typedef struct ResourceHolders {
    _Atomic size_t n;
} ResourceHolders;

typedef struct Resource {
    const char *group; /* "" for core */
    const char *version;
    const char *plural, *singular, *kind, *list_kind;
    const char *const *short_names; /* NULL-terminated; may be NULL */
    const char *const *categories;
    bool namespaced;
    uint16_t verbs;
    const Subresource *subresources;
    size_t n_subresources;
    const Schema *schema;
    /* Where objects are kept. Versions of one resource, and one kind served by two groups (events), share a storage
     * row; `storage` points to it (to itself when it is that row). */
    const struct Resource *storage;
    const char *storage_prefix; /* as in etcd below /registry: "pods", "services/specs", "apps.example.com/things" */
    const char *const *selectable_fields; /* beyond metadata.name and metadata.namespace: "spec.nodeName", ... */
    const char *storage_version_hash;
    void *custom; /* the registry's own data for a custom resource; NULL for built-in ones */
    /* A client's row (client/discovery.h): names only, no schema. An API server in the same process looks its own row
     * up. */
    bool discovered;
    ResourceHolders *holders; /* NULL: the row lives for ever */
} Resource;

static inline void resource_hold(const Resource *resource) {
    if (resource->holders)
        atomic_fetch_add_explicit(&resource->holders->n, 1, memory_order_relaxed);
}
static inline void resource_release(const Resource *resource) {
    if (resource->holders)
        atomic_fetch_sub_explicit(&resource->holders->n, 1, memory_order_release);
}

const Resource *resource_builtin(size_t index); /* NULL past the end; in the order of discovery */
const Resource *resource_find(const char *group, const char *version, const char *plural);    /* built-in only */
const Resource *resource_find_kind(const char *group, const char *version, const char *kind); /* built-in only */
const Subresource *resource_subresource(const Resource *resource, const char *name);
/* "apps/v1" or "v1". */
char *resource_api_version(Arena *arena, const Resource *resource);
