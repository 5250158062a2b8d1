/* The roles and bindings that every cluster has, as objects that people can read and bind (the reference's
 * rbac/bootstrap-roles). At each start what is missing is made, and what is there is given what it lacks
 * (rbac_reconcile.h). */
#pragma once

#include "apiserver/handlers/api.h"

/* Rows of apiserver/gen/rbac_tables.c, each table ending with a NULL name; ns NULL: cluster-wide. Lists are separated
 * by commas; NULL is none, and "" the core group. */
typedef struct RbacRole {
    const char *name, *ns;
    const char *aggregate_to; /* the role that gathers this one's rules: its label; NULL: none */
    const char *gathers;      /* the label of the roles whose rules this one gathers; NULL: its own rules */
} RbacRole;
typedef struct RbacRule { /* in the order of the roles */
    const char *role, *ns, *verbs, *groups, *resources, *names, *urls;
} RbacRule;
typedef struct RbacBinding { /* one subject; those of a binding stand together */
    const char *name, *ns, *role_kind, *role, *subject_kind, *subject, *subject_ns;
} RbacBinding;
extern const RbacRole rbac_roles[];
extern const RbacRule rbac_rules[];
extern const RbacBinding rbac_bindings[];

/* Blocks until all are durable. The first error. */
int rbac_bootstrap(ApiCore *core);
