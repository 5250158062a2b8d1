/* Nobody gives away by roles and bindings what they may not do themselves (pkg/registry/rbac/.../policybased): a role
 * is written by who holds all of its rules or may `escalate` it, a binding by who holds those of its role or may `bind`
 * it. */
#pragma once

#include "apiserver/filters/authz.h"
#include "apiserver/registry/registry.h"

/* Of a role or binding that is created or updated: 0, -EACCES with the 403 Status, or -ENOENT with the 404 of a role
 * that is not there. Other requests: 0. For AdmissionHooks.guard; `userdata` is the Authorizer. */
int escalation_guard(void *userdata, AdmissionRequest *request, ApiError *err);
