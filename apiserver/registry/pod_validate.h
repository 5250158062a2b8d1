/* Semantic validation of pod specs (the reference's pkg/apis/core/validation), for pods and for the templates of every
 * kind that makes them. Pure; errors in the reference's words, types and order. */
#pragma once

#include "api/names.h"

typedef struct PodValidation {
    FieldErrors *errors;
    const Value *spec;
    const Value *metadata; /* of the pod or the template; may be NULL */
    bool is_template;
    /* The volumes that are as they should be, a list: of pod_spec_validate. Nothing finds others. NULL: all. */
    Value *volumes;
} PodValidation;

void pod_spec_validate(const PodValidation *v, const FieldPath *path);
/* A PodTemplateSpec at `path`: labels, annotations and spec; no ephemeral containers. */
void pod_template_validate(FieldErrors *errors, const Value *template, const FieldPath *path);

/* Annotations that mean something for a pod, at the path of the map. */
void pod_annotations_validate(FieldErrors *errors, const Value *metadata, const Value *spec, const FieldPath *path);
/* Seccomp and AppArmor: annotations, where there are any, say what the fields say. `path` is the spec's. */
void pod_profiles_match_validate(FieldErrors *errors, const Value *metadata, const Value *spec, const FieldPath *path);

/* Removes what this version of the API serves only behind feature gates that are off by default. `old`: what the spec
 * was, whose use of such a field keeps it; NULL. */
void pod_drop_disabled(Value *spec, const Value *old);           /* pod_drop.c */
void os_validate(const PodValidation *v, const FieldPath *spec); /* os_validate.c: spec.os and what it rules out */
void host_process_validate(const PodValidation *v, const FieldPath *spec); /* Windows host process containers */
void host_users_validate(const PodValidation *v, const FieldPath *spec);
void windows_options_validate(FieldErrors *errors, const Value *context,
                              const FieldPath *path);                    /* of a security context */
void pod_claims_validate(const PodValidation *v, const FieldPath *spec); /* claims_validate.c */
void container_claims_validate(const PodValidation *v, const Value *resources, const FieldPath *path);
void pod_resources_validate(const PodValidation *v,
                            const FieldPath *spec); /* pod_resources_validate.c: of the pod as a whole */
void container_restart_validate(FieldErrors *errors, const Value *container,
                                const FieldPath *path); /* container_rules.c */
void container_resize_policy_validate(const PodValidation *v, const Value *container, const FieldPath *path);
/* What environment variables and files may take from the pod: `volume` is downward API volumes. field_refs.c */
void field_ref_validate(FieldErrors *errors, const Value *ref, bool volume, const FieldPath *path);
void resource_ref_validate(FieldErrors *errors, const Value *ref, bool volume, const FieldPath *path);

/* A PersistentVolumeClaimSpec, of a claim or of a template of claims; kinds_volumes.c. */
void claim_spec_validate(FieldErrors *errors, const Value *spec, const FieldPath *spec_at);

/* The parts, one file each. */
void pod_volumes_validate(const PodValidation *v, const FieldPath *path); /* volume_validate.c */
void volume_kind_validate(FieldErrors *errors, const char *kind, const Value *source,
                          const FieldPath *path);                            /* volume_kinds_validate.c */
void pod_containers_validate(const PodValidation *v, const FieldPath *spec); /* container_validate.c */
void container_handlers_validate(const PodValidation *v, const Value *container,
                                 const FieldPath *path); /* probe_validate.c */
void container_security_validate(const PodValidation *v, const Value *container,
                                 const FieldPath *path); /* security_validate.c */
void pod_security_validate(const PodValidation *v, const FieldPath *path);
void pod_affinity_validate(FieldErrors *errors, const Value *affinity, const FieldPath *path); /* affinity_validate.c */
void pod_spread_validate(FieldErrors *errors, const Value *constraints, const FieldPath *path);
/* resources: requests and limits of a container (`container`) or of the pod. resources_validate.c */
void resource_requirements_validate(FieldErrors *errors, const Value *resources, const FieldPath *path);
void resource_lists_validate(FieldErrors *errors, const Value *resources, bool of_pod, const FieldPath *path);
void tolerations_validate(FieldErrors *errors, const Value *list, const FieldPath *path);
void node_selector_term_validate(FieldErrors *errors, const Value *term, bool allow_invalid_values,
                                 const FieldPath *path);
void node_selector_validate(FieldErrors *errors, const Value *selector, const FieldPath *path);
void port_number_or_name_validate(FieldErrors *errors, const Value *port, const FieldPath *path);
void relative_path_validate(FieldErrors *errors, const char *text, const FieldPath *path); /* no "..", not absolute */
void backsteps_validate(FieldErrors *errors, const char *text, const FieldPath *path);     /* no ".." */
const Value *pod_volume(const PodValidation *v, const char *name);                         /* NULL: no such volume */
