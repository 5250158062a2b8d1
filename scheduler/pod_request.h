/* Compiles API objects to what the placement core works on. Names are interned into the snapshot. Scheduler thread
 * only. */
#pragma once

#include "api/object.h"
#include "scheduler/placement/placement.h"

/* Never NULL; what cannot be read (a selector with an unknown operator) matches nothing. */
PlacementRequest *pod_request_new(Placement *placement, const Value *pod);
/* Adds or replaces the node in the snapshot. */
void node_row_set(Placement *placement, const Value *node);
void namespace_row_set(Placement *placement, const Object *ns);
