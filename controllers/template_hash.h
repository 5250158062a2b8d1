/* The hashes in the names that the reference's controllers give: a client that knows them from another cluster finds
 * the same ones here. Pure. */
#pragma once

#include "api/value.h"

/* pod-template-hash of a ReplicaSet, controller-revision-hash of a DaemonSet's pods: FNV-1a of the template's print and
 * of the owner's status.collisionCount; -1: it has none. */
char *pod_template_hash(Arena *arena, const Value *template, int64_t collisions);
/* controller.kubernetes.io/hash of a StatefulSet's revision: FNV-1 of its data's bytes and of the count (0: none). */
char *revision_data_hash(Arena *arena, const Value *data, int64_t collisions);
