/* Lists of tolerations (pkg/util/tolerations). */
#pragma once

#include "api/value.h"

/* Both lists, without those that another one covers. In the arena; shares the items. */
Value *tolerations_merge(Arena *arena, const Value *first, const Value *second);
