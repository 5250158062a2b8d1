/* Defaulting: what the reference's SetDefaults functions do beyond the markers in the published API. They are attached
 * to types, not resources, so a probe is defaulted alike in a Pod and in a Deployment's template: one walk of the tree
 * along its schema, parents first, applies the published defaults, the simple rows of defaults.c, and its functions.
 * Pure. */
#pragma once

#include "api/codec.h"

/* `object` is normalised (schema_normalize) and stays so but for the order of members. */
void defaults_apply(Arena *arena, const Schema *schema, Value *object);
