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

Admission *admission_new(void); /* all plugins that are on by default */
void admission_free(Admission *admission);
AdmissionHooks admission_hooks(Admission *admission);

/* Is this request about the resource itself (no subresource)? */
bool admission_is(const AdmissionRequest *request, const char *group, const char *plural);

extern const AdmissionPlugin admission_namespace_lifecycle;
