/* Role based access control: the roles and bindings of the store, followed as they change. Any thread. */
#pragma once

#include "apiserver/filters/authz.h"

typedef struct Rbac Rbac;

Rbac *rbac_new(Store *store);
void rbac_free(Rbac *rbac);
/* true: some rule allows it. *ret_reason, in the arena: whose rule (attributes->explain), or else what kept roles from
 * being found, "" mostly. */
bool rbac_allows(Rbac *rbac, const AuthzAttributes *attributes, Arena *arena, const char **ret_reason);
/* All rules that hold for the user in `ns`, as in ClusterRole.rules: an array in the arena. What kept roles from being
 * found is appended to `problems`, joined by ", ". */
Value *rbac_user_rules(Rbac *rbac, const UserInfo *user, const char *ns, Arena *arena, Buf *problems);
/* Does one of the rules (as in ClusterRole.rules) allow it? */
bool rbac_rules_allow(const Value *rules, const AuthzAttributes *attributes);
