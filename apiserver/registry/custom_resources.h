/* Custom resources: the rows that CustomResourceDefinitions make. A row is immutable; a definition that did not change
 * keeps its rows. Who is served now is the current set, swapped under a lock. Any thread.
 *
 * What is found here is borrowed, for a request at most: rows of a state that was replaced go at a later change of any
 * definition, when no object and no watch holds them (resource_hold) and CUSTOM_ROWS_GRACE_SECONDS have passed, which
 * is longer than any request takes. */
#pragma once

#include "api/json_schema.h"
#include "apiserver/registry/custom_conversion.h"

#define CUSTOM_ROWS_GRACE_SECONDS 600

typedef struct CustomResources CustomResources;

/* Resource.custom of a row that a definition made. */
typedef struct CustomVersion {
    Resource resource;
    const Value *schema;       /* openAPIV3Schema; NULL: none */
    JsonSchema *validator;     /* of schema */
    Column *columns;           /* beside Name; without any: Age */
    const char **descriptions; /* one a column */
    size_t n_columns;
    const char *spec_replicas, *status_replicas, *label_selector; /* ".spec.replicas"; NULL: no scale, no selector */
    const char *deprecation;                                      /* the warning; NULL: not deprecated */
    bool has_status;
    const CustomConversion *conversion; /* by webhook; NULL: the same object by another name */
    const struct CustomVersion *all; /* versions of its definition */
    size_t n_all;
} CustomVersion;

static inline const CustomVersion *custom_version(const Resource *resource) {
    return resource->custom;
}

/* `webhooks`: whom conversions are asked through, borrowed; NULL: none can be. */
CustomResources *custom_resources_new(WebhookClient *webhooks);
void custom_resources_free(CustomResources *set); /* after every object and watch is gone */
DEFINE_CLEANUP(CustomResources, custom_resources_free)

/* Serves exactly these definitions (trees of CustomResourceDefinition) that are established. Borrows nothing. */
void custom_resources_serve(CustomResources *set, const Value *const *definitions, size_t n, uint64_t now_ns);
/* NULL when it is not served. `set` may be NULL. */
const Resource *custom_resources_find(CustomResources *set, const char *group, const char *version, const char *plural);
/* The storage row of a definition that is there, served or not, by its storage_prefix ("group/plural"); NULL: unknown.
 */
const Resource *custom_resources_stored(CustomResources *set, const char *storage_prefix);
/* The row of the same definition at a version ("example.com/v1"), served or not; NULL: it has no such version. */
const Resource *custom_resource_at_version(const Resource *resource, const char *api_version);
/* What is served, in the order of discovery: by group, versions of a group by priority. The array is in the arena and
 * ends with NULL. */
const Resource **custom_resources_all(CustomResources *set, Arena *arena);
/* The states of definitions that are kept. */
size_t custom_resources_states(CustomResources *set);
/* Grows with every change of what is served. */
uint64_t custom_resources_generation(CustomResources *set);

/* Whether objects in another version than `resource` are converted by a webhook, which blocks. */
bool custom_resources_converts(const Resource *resource);
/* Objects of any version of it to that of `resource`, in place; those that are of it already are left alone. */
int custom_resources_convert(Arena *arena, const Resource *resource, Value **objects, size_t n, ApiError *err);
/* The same for objects as they are stored: those of another version are replaced. */
int custom_resources_convert_objects(const Resource *resource, Object **objects, size_t n, ApiError *err);
/* Whether what `fields` says of an object of `resource` is only known once a webhook has converted it. */
bool custom_resources_selects_converted(const Resource *resource, const Selector *fields);
/* store_list of the objects of `resource` (query->resource is its storage row), with the fields they have in that
 * version. Those that a selector over converted fields lets through come converted. May block. */
int custom_resources_list(Store *store, const Resource *resource, const ListQuery *query, ObjectList *ret,
                          ApiError *err);
/* Figures of conversion webhooks. */
void custom_resources_metrics_write(CustomResources *set, Buf *out);

/* An object, converted where a webhook does that, to the form of `resource`: its version, pruned by its schema. What is
 * read gets the defaults of the version that is stored, never those of another. In place. */
void custom_resource_read(Arena *arena, const Resource *resource, Value *object);
void custom_resource_default(Arena *arena, const Resource *resource, Value *object);
/* What is at a simple JSON path (".spec.list[0].name", ".metadata.labels['a.b/c']"); NULL: nothing. */
Value *custom_resource_at(const Value *object, const char *path);
/* Negative when `a` comes before `b`: kube-aware order, v2, v1, v1beta1, v1alpha1, others. */
int custom_version_compare(const char *a, const char *b);
