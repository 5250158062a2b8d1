/* Semantic validation of pod specs (the reference's pkg/apis/core/validation), for pods and for the templates of every
 * kind that makes them. Pure; errors in the reference's words, types and order. */
#pragma once

#include "api/names.h"

typedef struct PodValidation {
    FieldErrors *errors;
    const Value *spec;
    const Value *metadata; /* of the pod or the template; may be NULL */
    bool is_template;
} PodValidation;

void pod_spec_validate(const PodValidation *v, const FieldPath *path);
/* A PodTemplateSpec at `path`: labels, annotations and spec; no ephemeral containers. */
void pod_template_validate(FieldErrors *errors, const Value *template, const FieldPath *path);

/* Annotations that mean something for a pod, at the path of the map. */
void pod_annotations_validate(FieldErrors *errors, const Value *metadata, const Value *spec, const FieldPath *path);

/* The parts, one file each. */
void pod_volumes_validate(const PodValidation *v, const FieldPath *path);    /* volume_validate.c */
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
void tolerations_validate(FieldErrors *errors, const Value *list, const FieldPath *path);
void node_selector_term_validate(FieldErrors *errors, const Value *term, bool allow_invalid_values,
                                 const FieldPath *path);
void node_selector_validate(FieldErrors *errors, const Value *selector, const FieldPath *path);
void port_number_or_name_validate(FieldErrors *errors, const Value *port, const FieldPath *path);
void relative_path_validate(FieldErrors *errors, const char *text, const FieldPath *path); /* no "..", not absolute */
void backsteps_validate(FieldErrors *errors, const char *text, const FieldPath *path);     /* no ".." */
const Value *pod_volume(const PodValidation *v, const char *name); /* NULL: no such volume */
