/* An ordered map from namespace/name to objects whose readers take snapshots: leaves of sorted entries, copied when
 * they are changed while a snapshot holds them. The order is that of the storage keys ("ns/name" byte by byte), which
 * is the order of lists in the reference.
 *
 * Thread rules: one thread changes the map; it and those that take snapshots exclude each other with the owner's lock.
 * A snapshot taken is immutable and needs no lock any more. */
#pragma once

#include "api/object.h"

#define OMAP_LEAF_MAX 128 /* entries a leaf; a copy of one costs about a microsecond */

typedef struct OmapEntry {
    Object *object; /* a reference */
    uint64_t create_revision;
} OmapEntry;

typedef struct OmapLeaf OmapLeaf;

typedef struct Omap {
    OmapLeaf **leaves;
    size_t n_leaves, cap;
    size_t count; /* entries in all */
} Omap;

void omap_done(Omap *map);

/* Where a range begins or ends, relative to keys. */
typedef enum OmapSide { OMAP_BEFORE, OMAP_AFTER, OMAP_NAMESPACE_END } OmapSide;
typedef struct OmapBound {
    const char *ns, *name;
    OmapSide side; /* before or after ns/name; OMAP_NAMESPACE_END: after every name of ns */
} OmapBound;

/* The order of storage keys: <0, 0, >0. */
int omap_key_compare(const char *ns_a, const char *name_a, const char *ns_b, const char *name_b);

/* Borrowed from the map; NULL when absent. */
const OmapEntry *omap_find(const Omap *map, const char *ns, const char *name);
/* Takes `object`; returns the entry it replaced (its reference goes to the caller), or {NULL}. */
OmapEntry omap_put(Omap *map, Object *object, uint64_t create_revision);
/* Returns the entry removed (its reference goes to the caller), or {NULL}. */
OmapEntry omap_remove(Omap *map, const char *ns, const char *name);

/* A snapshot of the entries in [from, to). NULL bounds: from the start, to the end. */
typedef struct OmapSlice {
    OmapLeaf **leaves; /* references */
    size_t n_leaves;
    size_t begin, end; /* first entry in the first leaf, end in the last leaf */
    size_t count;
    size_t at_leaf, at_entry; /* the cursor */
} OmapSlice;

void omap_slice(const Omap *map, const OmapBound *from, const OmapBound *to, OmapSlice *ret);
/* The entry under the cursor (borrowed from the slice) and the cursor moves on; NULL at the end. */
const OmapEntry *omap_slice_next(OmapSlice *slice);
void omap_slice_done(OmapSlice *slice);
#define _cleanup_omap_slice_ _cleanup_(omap_slice_done)
