/* Does a pod's nodeSelector and required node affinity admit a node? For DaemonSets, which decide on nodes themselves.
 */
#pragma once

#include "api/object.h"

bool node_affinity_admits(const Value *pod_spec, const Object *node);
