/* Roles and bindings as authorization looks for them: rules by their role, bindings by whom they name, so that what one
 * request costs does not grow with how many there are. One thread at a time changes it; any number read. */
#pragma once

#include "api/object.h"
#include "client/api.h"

typedef struct RbacIndex RbacIndex;

typedef struct RbacBinding {
    const char *ns, *name; /* ns: "" when it holds everywhere */
    const Value *role;     /* roleRef */
    const Value *subjects;
} RbacBinding;

RbacIndex *rbac_index_new(void);
void rbac_index_free(RbacIndex *index);
/* A role or binding, cluster-wide or not, in place of an older state of it. */
void rbac_index_put(RbacIndex *index, const Object *object);
void rbac_index_remove(RbacIndex *index, const Object *object);
/* Replaced and removed ones keep their memory: more than half of it is theirs, so that a new index would be smaller. */
bool rbac_index_is_wasteful(const RbacIndex *index);

/* Of a Role, or with ns "" of a ClusterRole; NULL: there is none. */
const Value *rbac_index_rules(const RbacIndex *index, Arena *arena, const char *ns, const char *name);
/* The bindings in `ns` (or those that hold everywhere) that name the user or one of the groups, by their names, each
 * once: an array in the arena of pointers that hold until the index changes. */
size_t rbac_index_bindings(const RbacIndex *index, Arena *arena, const char *ns, const UserInfo *user,
                           const RbacBinding ***ret);
