/* Admission: a table of plugins that see every write before it is stored, in the reference's order: all that change objects,
 * then (after the strategy) all that only refuse. One plugin a file. */
#pragma once

#include "apiserver/registry/registry.h"

typedef struct Admission Admission;

typedef struct AdmissionPlugin {
    const char *name;
    int (*mutate)(AdmissionRequest *request, ApiError *err);   /* may be NULL */
    int (*validate)(AdmissionRequest *request, ApiError *err); /* may be NULL */
} AdmissionPlugin;

/* All plugins that are on by default but those named in `disabled` (NULL-terminated; NULL: none). */
Admission *admission_new(const char *const *disabled);
void admission_free(Admission *admission);
AdmissionHooks admission_hooks(Admission *admission);

/* Is this request about the resource itself (no subresource)? */
bool admission_is(const AdmissionRequest *request, const char *group, const char *plural);
/* 403 in the words of admission.NewForbidden. */
int admission_forbid(const AdmissionRequest *request, ApiError *err, const char *format, ...) _printf_(3, 4);
/* Every object of a resource in a namespace (NULL: all). */
int admission_list(const AdmissionRequest *request, const char *group, const char *version, const char *plural,
                   const char *ns, ObjectList *ret, ApiError *err);

extern const AdmissionPlugin admission_namespace_lifecycle, admission_limit_ranger, admission_service_account,
    admission_taint_nodes_by_condition, admission_priority, admission_default_toleration_seconds,
    admission_default_storage_class, admission_resource_quota;
