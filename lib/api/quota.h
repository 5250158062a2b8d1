/* What an object counts for in resource quotas: a row for each resource that is more than counted, and one for all
 * others (pkg/quota/v1/evaluator/core and generic). Admission charges with it, the quota controller counts with it.
 * Pure. */
#pragma once

#include "api/resource.h"
#include "api/resource_list.h"

typedef struct QuotaKind {
    const char *group, *plural; /* NULL: any other */
    /* Does it account for the resource name of a quota? `resource`: the version asked for. */
    bool (*accounts)(Arena *arena, const Resource *resource, const char *name);
    ResourceList (*usage)(Arena *arena, const Resource *resource, const Value *object, int64_t now_ns);
    /* One scope of a quota; NULL: no scope ever matches. `values` as in a ScopedResourceSelectorRequirement. */
    bool (*in_scope)(const Value *object, const char *scope, const char *op, const Value *values);
    /* What must be said but is not: a text in the arena, or NULL. `names`: those of the quota that are accounted for.
     */
    char *(*missing)(Arena *arena, const Value *object, const ResourceList *names);
} QuotaKind;

/* NULL for what is never counted (events, reviews). */
const QuotaKind *quota_kind_of(const Resource *resource);
/* Whether the object is in every scope of the quota's spec. */
bool quota_has_in_scope(const QuotaKind *kind, const Value *quota_spec, const Value *object);
/* Of `hard`, the names that the kind accounts for. */
ResourceList quota_accounted(const QuotaKind *kind, const Resource *resource, const ResourceList *hard);
