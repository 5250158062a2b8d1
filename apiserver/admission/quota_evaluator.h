/* What an object counts for in quotas: one evaluator a resource that is more than counted, and one for all others
 * (pkg/quota/v1/evaluator/core and generic). Pure. */
#pragma once

#include "apiserver/admission/admission.h"
#include "apiserver/admission/resource_list.h"

typedef struct QuotaEvaluator {
    const char *group, *plural; /* NULL: any other */
    bool (*handles)(const AdmissionRequest *request);
    /* Does this evaluator account for the resource name of a quota? */
    bool (*accounts)(const AdmissionRequest *request, const char *name);
    ResourceList (*usage)(const AdmissionRequest *request, const Value *object);
    /* One scope of a quota; NULL: no scope ever matches. `values` as in a ScopedResourceSelectorRequirement. */
    bool (*in_scope)(const Value *object, const char *scope, const char *op, const Value *values);
    /* What must be said but is not: a text in the arena, or NULL. `names`: those of the quota that are accounted for.
     */
    char *(*missing)(Arena *arena, const Value *object, const ResourceList *names);
} QuotaEvaluator;

/* NULL for what is never counted (events, reviews). */
const QuotaEvaluator *quota_evaluator_of(const Resource *resource);
