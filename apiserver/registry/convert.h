/* Between the versions of a resource and the one that is stored. Most resources have one version and pass unchanged. */
#pragma once

#include "api/codec.h"

/* What the conversions of the reference fill in besides: a pod's serviceAccount is another name of serviceAccountName.
 */
void convert_aliases(Arena *arena, const Resource *resource, Value *object);

/* `object` is normalised in the form of `from`; the result is in the form of `to` (same storage row), in the arena; the
 * object itself when nothing differs. */
Value *convert_object(Arena *arena, const Resource *from, const Resource *to, Value *object);
