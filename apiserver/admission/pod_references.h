/* Which other objects a pod names. Pure. */
#pragma once

#include "api/value.h"

bool pod_names_secrets(const Value *pod);
bool pod_names_config_maps(const Value *pod);
/* What of the API a mirror pod may not name but does ("secrets (via secret volumes)"); NULL: nothing. *ret_why, when
 * the pod has something that cannot be judged: what. */
const char *pod_named_api_objects(Arena *arena, const Value *pod, const char **ret_why);
