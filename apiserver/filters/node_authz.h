/* The Node authorizer: what a node agent may do follows from the pods bound to its node, read from the store. What a
 * request's body decides (whose node, whose pod) is the NodeRestriction admission plugin's. Any thread. */
#pragma once

#include "apiserver/filters/authz.h"

/* The node that this user is; NULL: not a node. */
const char *node_identity(const UserInfo *user);
/* What every node may do, whatever its pods: as in ClusterRole.rules. */
Value *node_rules(Arena *arena);
/* `rules`: node_rules, kept. Not allowed: *ret_reason in the arena. */
bool node_allows(Store *store, const Value *rules, const AuthzAttributes *attributes, Arena *arena,
                 const char **ret_reason);
