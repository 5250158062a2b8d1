/* Rules of roles, compared: which actions of one set another does not cover (k8s.io/component-helpers/auth/rbac/
 * validation). Pure; any thread. */
#pragma once

#include "api/value.h"

/* What `wanted` allows and `have` (both as in ClusterRole.rules) does not: an array in the arena of rules with one
 * verb, one group and resource, and at most one name each, or one verb and one URL. Empty: all is covered. */
Value *rbac_missing_rules(Arena *arena, const Value *have, const Value *wanted);
/* Rules that differ in their verbs alone become one. */
Value *rbac_compact_rules(Arena *arena, const Value *rules);
/* {APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]} */
char *rbac_rule_text(Arena *arena, const Value *rule);
