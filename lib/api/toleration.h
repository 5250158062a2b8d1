/* Tolerations of pods and taints of nodes. Pure. */
#pragma once

#include "api/value.h"

/* v1.Toleration.ToleratesTaint: the key, effect and value match. */
bool toleration_tolerates(const Value *toleration, const Value *taint);
/* The first taint of that effect that no toleration of the list tolerates; NULL: there is none. */
const Value *taint_untolerated(const Value *taints, const Value *tolerations, const char *effect);
