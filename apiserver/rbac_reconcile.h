/* What a role or binding that every cluster has lacks beside what it should be (k8s.io/component-helpers/auth/rbac/
 * reconciliation): what is missing is added, what people added stays. Pure. */
#pragma once

#include "api/value.h"

typedef enum RbacChange {
    RBAC_SAME,
    RBAC_PROTECTED, /* it differs, and its annotation rbac.authorization.kubernetes.io/autoupdate says "false" */
    RBAC_UPDATE,
    RBAC_RECREATE, /* a binding to another role, which cannot be changed */
} RbacChange;

/* `have` becomes what is to be written with RBAC_UPDATE. */
RbacChange rbac_reconcile_role(Arena *arena, const Value *wanted, Value *have);
RbacChange rbac_reconcile_binding(Arena *arena, const Value *wanted, Value *have);
