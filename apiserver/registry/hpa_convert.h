/* HorizontalPodAutoscaler between autoscaling/v1 and v2, which is stored. What v1 has no fields for it keeps in
 * annotations: metrics and their last values in the words of the types of v1, the behavior as Go writes a struct
 * without tags. Pure; any thread. */
#pragma once

#include "api/value.h"

/* The tree is changed in place; members of the other version are left for schema_normalize to drop. */
void hpa_to_v1(Arena *arena, Value *object);
/* Annotations that are not what they should be are dropped without a word, as the reference does. */
void hpa_to_v2(Arena *arena, Value *object);
