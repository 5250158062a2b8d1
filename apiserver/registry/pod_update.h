/* What of a pod may change, and through which subresource (the reference's ValidatePodUpdate and its siblings). Objects
 * are whole pods, versioned, normalised and defaulted. Pure; errors in the reference's words and order. */
#pragma once

#include "apiserver/registry/pod_validate.h"

/* All that is said about a pod whatever is done to it: annotations and spec. */
void pod_whole_validate(FieldErrors *errors, const Value *pod);
void pod_create_validate(FieldErrors *errors, const Value *pod);
void pod_main_update_validate(FieldErrors *errors, const Value *pod, const Value *old);
void pod_ephemeral_update_validate(FieldErrors *errors, const Value *pod, const Value *old);
void pod_resize_validate(FieldErrors *errors, const Value *pod, const Value *old); /* pod_resize.c */
void pod_status_validate(FieldErrors *errors, const Value *pod, const Value *old); /* pod_status_validate.c */
/* Annotations that may not be added, changed or removed; at metadata.annotations. */
void pod_annotations_update_validate(FieldErrors *errors, const Value *pod, const Value *old);
