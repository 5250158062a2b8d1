/* Does a pod's nodeSelector and required node affinity admit a node? For those who decide without the scheduler. */
#pragma once

#include "api/object.h"

bool node_affinity_admits(const Value *pod_spec, const Object *node);
