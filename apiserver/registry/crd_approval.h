/* Groups of the Kubernetes community (*.k8s.io, *.kubernetes.io) are not for everybody: a definition in one says in an
 * annotation where it was approved, or that it was not. Pure; any thread. */
#pragma once

#include "api/value.h"

#define CRD_APPROVAL_ANNOTATION "api-approved.kubernetes.io"

typedef enum CrdApproval {
    CRD_APPROVAL_NOT_NEEDED, /* another group */
    CRD_APPROVAL_MISSING,
    CRD_APPROVAL_BYPASSED,
    CRD_APPROVAL_GIVEN,
    CRD_APPROVAL_INVALID,
} CrdApproval;

/* *ret_message: the reference's sentence about it, in the arena; NULL where none is needed. */
CrdApproval crd_approval(Arena *arena, const Value *crd, const char **ret_message);
/* The same of the annotation alone, whatever the group is: never CRD_APPROVAL_NOT_NEEDED. */
CrdApproval crd_approval_state(Arena *arena, const Value *crd, const char **ret_message);
