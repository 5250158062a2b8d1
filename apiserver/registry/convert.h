/* Between the versions of a built-in resource and the one that is stored. Most have one version and pass unchanged. */
#pragma once

#include "api/codec.h"
#include "api/selector.h"

/* What the conversions of the reference fill in besides: a pod's serviceAccount is another name of serviceAccountName,
 * a node's podCIDR one of podCIDRs' first. */
void convert_aliases(Arena *arena, const Resource *resource, Value *object);

/* `object` is normalised in the form of `from`; the result is in the form of `to` (same storage row), in the arena; the
 * object itself when nothing differs. */
Value *convert_object(Arena *arena, const Resource *from, const Resource *to, Value *object);
/* A selector over the fields of `from` becomes one over those of the stored form. */
void convert_field_selector(const Resource *from, Selector *fields);
