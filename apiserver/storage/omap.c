#include "apiserver/storage/omap.h"

#include <stdatomic.h>

struct OmapLeaf {
    atomic_uint refs; /* the map's own and one a snapshot; only a leaf with one reference may be changed */
    uint32_t n, cap;
    OmapEntry entries[];
};

typedef struct Position {
    size_t leaf, entry;
} Position;

int omap_key_compare(const char *ns_a, const char *name_a, const char *ns_b, const char *name_b) {
    for (;; ns_a++, ns_b++) {
        if (*ns_a != *ns_b) {
            /* a namespace ends with the key's slash, which sorts after '-' and '.' */
            unsigned char a = *ns_a ? (unsigned char)*ns_a : '/', b = *ns_b ? (unsigned char)*ns_b : '/';
            return a < b ? -1 : 1;
        }
        if (!*ns_a)
            return strcmp(name_a, name_b);
    }
}

static bool entry_is_below(const OmapEntry *entry, const OmapBound *bound) {
    if (bound->side == OMAP_NAMESPACE_END)
        return omap_key_compare(object_namespace(entry->object), "", bound->ns, "") <= 0;
    int c = omap_key_compare(object_namespace(entry->object), object_name(entry->object), bound->ns, bound->name);
    return c < 0 || (c == 0 && bound->side == OMAP_AFTER);
}

/* The first entry that is not below the bound; {n_leaves, 0} when there is none. */
static Position position_of(const Omap *map, const OmapBound *bound) {
    size_t low = 0, high = map->n_leaves;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const OmapLeaf *leaf = map->leaves[middle];
        if (entry_is_below(&leaf->entries[leaf->n - 1], bound))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == map->n_leaves)
        return (Position){low, 0};
    const OmapLeaf *leaf = map->leaves[low];
    size_t first = 0, last = leaf->n;
    while (first < last) {
        size_t middle = (first + last) / 2;
        if (entry_is_below(&leaf->entries[middle], bound))
            first = middle + 1;
        else
            last = middle;
    }
    return (Position){low, first};
}

static OmapLeaf *leaf_new(size_t cap) {
    OmapLeaf *leaf = xmalloc(sizeof(OmapLeaf) + cap * sizeof(OmapEntry));
    atomic_init(&leaf->refs, 1);
    leaf->n = 0;
    leaf->cap = (uint32_t)cap;
    return leaf;
}

static void leaf_unref(OmapLeaf *leaf) {
    if (atomic_fetch_sub_explicit(&leaf->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < leaf->n; i++)
        object_unref(leaf->entries[i].object);
    free(leaf);
}

/* The leaf at `i`, changeable and with room for `room` more entries (of at most OMAP_LEAF_MAX in all). */
static OmapLeaf *leaf_writable(Omap *map, size_t i, size_t room) {
    OmapLeaf *leaf = map->leaves[i];
    size_t cap = leaf->cap;
    while (cap < leaf->n + room)
        cap = MIN(cap * 2, (size_t)OMAP_LEAF_MAX);
    if (atomic_load_explicit(&leaf->refs, memory_order_acquire) > 1) {
        OmapLeaf *copy = leaf_new(cap);
        copy->n = leaf->n;
        for (size_t k = 0; k < leaf->n; k++) {
            copy->entries[k] = leaf->entries[k];
            object_ref(copy->entries[k].object);
        }
        leaf_unref(leaf);
        leaf = copy;
    } else if (cap > leaf->cap) {
        leaf = xrealloc(leaf, sizeof(OmapLeaf) + cap * sizeof(OmapEntry));
        leaf->cap = (uint32_t)cap;
    }
    return map->leaves[i] = leaf;
}

static void leaves_insert(Omap *map, size_t i, OmapLeaf *leaf) {
    if (map->n_leaves == map->cap) {
        map->cap = map->cap ? map->cap * 2 : 4;
        map->leaves = xreallocn(map->leaves, map->cap, sizeof(OmapLeaf *));
    }
    memmove(&map->leaves[i + 1], &map->leaves[i], (map->n_leaves - i) * sizeof(OmapLeaf *));
    map->leaves[i] = leaf;
    map->n_leaves++;
}

static void leaves_remove(Omap *map, size_t i) {
    memmove(&map->leaves[i], &map->leaves[i + 1], (map->n_leaves - i - 1) * sizeof(OmapLeaf *));
    map->n_leaves--;
}

static void leaf_insert(OmapLeaf *leaf, size_t at, OmapEntry entry) {
    memmove(&leaf->entries[at + 1], &leaf->entries[at], (leaf->n - at) * sizeof(OmapEntry));
    leaf->entries[at] = entry;
    leaf->n++;
}

const OmapEntry *omap_find(const Omap *map, const char *ns, const char *name) {
    Position at = position_of(map, &(OmapBound){ns, name, OMAP_BEFORE});
    if (at.leaf == map->n_leaves)
        return NULL;
    const OmapEntry *entry = &map->leaves[at.leaf]->entries[at.entry];
    return omap_key_compare(object_namespace(entry->object), object_name(entry->object), ns, name) == 0 ? entry : NULL;
}

/* Splits the full leaf that `at` lies in, so that an insertion at the returned position has room. */
static Position split(Omap *map, Position at) {
    OmapLeaf *leaf = leaf_writable(map, at.leaf, 0);
    size_t keep = leaf->n / 2;
    OmapLeaf *right = leaf_new(OMAP_LEAF_MAX);
    right->n = (uint32_t)(leaf->n - keep);
    memcpy(right->entries, &leaf->entries[keep], right->n * sizeof(OmapEntry));
    leaf->n = (uint32_t)keep;
    leaves_insert(map, at.leaf + 1, right);
    return at.entry > keep ? (Position){at.leaf + 1, at.entry - keep} : at;
}

OmapEntry omap_put(Omap *map, Object *object, uint64_t create_revision) {
    OmapEntry entry = {object, create_revision};
    OmapBound bound = {object_namespace(object), object_name(object), OMAP_BEFORE};
    Position at = position_of(map, &bound);
    if (at.leaf < map->n_leaves) {
        OmapEntry *there = &map->leaves[at.leaf]->entries[at.entry];
        if (omap_key_compare(object_namespace(there->object), object_name(there->object), bound.ns, bound.name) == 0) {
            OmapLeaf *leaf = leaf_writable(map, at.leaf, 0);
            OmapEntry old = leaf->entries[at.entry];
            leaf->entries[at.entry] = entry;
            return old;
        }
    } else if (map->n_leaves > 0) {
        at = (Position){map->n_leaves - 1, map->leaves[map->n_leaves - 1]->n};
    }
    map->count++;
    if (map->n_leaves == 0 || (at.leaf == map->n_leaves - 1 && at.entry == OMAP_LEAF_MAX)) {
        /* ascending insertion, as when loading, leaves full leaves behind */
        leaves_insert(map, map->n_leaves, leaf_new(4));
        at = (Position){map->n_leaves - 1, 0};
    } else if (map->leaves[at.leaf]->n == OMAP_LEAF_MAX) {
        at = split(map, at);
    }
    leaf_insert(leaf_writable(map, at.leaf, 1), at.entry, entry);
    return (OmapEntry){0};
}

/* Joins leaf i + 1 into leaf i when both are nearly empty, so that deletions do not leave a trail of tiny leaves. */
static void join(Omap *map, size_t i) {
    if (i + 1 >= map->n_leaves || map->leaves[i]->n + map->leaves[i + 1]->n > OMAP_LEAF_MAX / 2)
        return;
    OmapLeaf *right = leaf_writable(map, i + 1, 0);
    OmapLeaf *leaf = leaf_writable(map, i, right->n);
    memcpy(&leaf->entries[leaf->n], right->entries, right->n * sizeof(OmapEntry));
    leaf->n += right->n;
    right->n = 0;
    leaf_unref(right);
    leaves_remove(map, i + 1);
}

OmapEntry omap_remove(Omap *map, const char *ns, const char *name) {
    Position at = position_of(map, &(OmapBound){ns, name, OMAP_BEFORE});
    if (at.leaf == map->n_leaves)
        return (OmapEntry){0};
    const OmapEntry *there = &map->leaves[at.leaf]->entries[at.entry];
    if (omap_key_compare(object_namespace(there->object), object_name(there->object), ns, name) != 0)
        return (OmapEntry){0};
    OmapLeaf *leaf = leaf_writable(map, at.leaf, 0);
    OmapEntry old = leaf->entries[at.entry];
    memmove(&leaf->entries[at.entry], &leaf->entries[at.entry + 1], (leaf->n - at.entry - 1) * sizeof(OmapEntry));
    leaf->n--;
    map->count--;
    if (leaf->n == 0) {
        leaf_unref(leaf);
        leaves_remove(map, at.leaf);
    } else if (leaf->n < OMAP_LEAF_MAX / 4) {
        join(map, at.leaf);
        if (at.leaf > 0)
            join(map, at.leaf - 1);
    }
    return old;
}

void omap_done(Omap *map) {
    for (size_t i = 0; i < map->n_leaves; i++)
        leaf_unref(map->leaves[i]);
    free(map->leaves);
    *map = (Omap){0};
}

void omap_slice(const Omap *map, const OmapBound *from, const OmapBound *to, OmapSlice *ret) {
    Position begin = from ? position_of(map, from) : (Position){0, 0};
    Position end = to ? position_of(map, to) : (Position){map->n_leaves, 0};
    *ret = (OmapSlice){0};
    if (begin.leaf > end.leaf || (begin.leaf == end.leaf && begin.entry >= end.entry))
        return;
    size_t last = end.entry > 0 ? end.leaf : end.leaf - 1;
    ret->n_leaves = last - begin.leaf + 1;
    ret->leaves = xreallocn(NULL, ret->n_leaves, sizeof(OmapLeaf *));
    for (size_t i = 0; i < ret->n_leaves; i++) {
        OmapLeaf *leaf = map->leaves[begin.leaf + i];
        atomic_fetch_add_explicit(&leaf->refs, 1, memory_order_relaxed);
        ret->leaves[i] = leaf;
        ret->count += leaf->n;
    }
    ret->begin = ret->at_entry = begin.entry;
    ret->end = end.entry > 0 ? end.entry : map->leaves[last]->n;
    ret->count -= begin.entry + (map->leaves[last]->n - ret->end);
}

const OmapEntry *omap_slice_next(OmapSlice *slice) {
    if (slice->at_leaf >= slice->n_leaves)
        return NULL;
    const OmapLeaf *leaf = slice->leaves[slice->at_leaf];
    const OmapEntry *entry = &leaf->entries[slice->at_entry++];
    size_t end = slice->at_leaf == slice->n_leaves - 1 ? slice->end : leaf->n;
    if (slice->at_entry >= end) {
        slice->at_leaf++;
        slice->at_entry = 0;
    }
    return entry;
}

void omap_slice_done(OmapSlice *slice) {
    for (size_t i = 0; i < slice->n_leaves; i++)
        leaf_unref(slice->leaves[i]);
    free(slice->leaves);
    *slice = (OmapSlice){0};
}
