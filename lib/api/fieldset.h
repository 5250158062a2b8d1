/* Sets of field paths: what a manager owns (fieldpath.Set of sigs.k8s.io/structured-merge-diff). A set is a tree of
 * path elements; an element may be a member itself, have children, or both. In an arena, never changed once made except
 * by fieldset_add and fieldset_sort; sets share parts freely. NULL is the empty set everywhere. */
#pragma once

#include "api/value.h"

typedef struct FieldSet FieldSet;
typedef struct FieldNode FieldNode;

typedef enum ElementKind { ELEMENT_FIELD, ELEMENT_KEY, ELEMENT_VALUE, ELEMENT_INDEX } ElementKind;

struct FieldNode {
    const char *text; /* a field's name; of the others the JSON: {"name":"c"}, "x", 3 */
    ElementKind kind;
    bool member;
    FieldSet *children; /* NULL or not empty */
};

struct FieldSet {
    FieldNode *nodes; /* sorted by element_compare, no element twice */
    uint32_t n, cap;
};

/* Fields by name, then keys, values and indexes, each by its own order (numbers by value). */
int element_compare(ElementKind a_kind, const char *a, ElementKind b_kind, const char *b);

/* FieldsV1 JSON in and out. Elements of unknown kinds are left out, as the reference does; -EBADMSG for what is no set.
 */
int fieldset_from_value(Arena *arena, const Value *fields_v1, FieldSet **ret);
Value *fieldset_to_value(Arena *arena, const FieldSet *set);
/* From dotted paths of plain fields ("metadata.labels"); NULL-terminated. */
FieldSet *fieldset_from_paths(Arena *arena, const char *const *paths);

static inline bool fieldset_empty(const FieldSet *set) {
    return !set || set->n == 0;
}
bool fieldset_equal(const FieldSet *a, const FieldSet *b);
const FieldNode *fieldset_find(const FieldSet *set, ElementKind kind, const char *text);

FieldSet *fieldset_union(Arena *arena, FieldSet *a, FieldSet *b);
/* Of many, in halves: adding one after the other would copy the whole for each. */
FieldSet *fieldset_union_all(Arena *arena, FieldSet *const *sets, size_t n);
FieldSet *fieldset_intersection(Arena *arena, FieldSet *a, FieldSet *b);
/* Elements of `a` that `b` has not; children of what `b` has stay. */
FieldSet *fieldset_difference(Arena *arena, FieldSet *a, FieldSet *b);
/* The same, and all below an element that `b` has goes too. */
FieldSet *fieldset_difference_deep(Arena *arena, FieldSet *a, FieldSet *b);

/* Building: add in any order, each element once, then sort. */
void fieldset_add(Arena *arena, FieldSet *set, FieldNode node);
void fieldset_sort(FieldSet *set);

/* Every member in order, with its path as the reference prints it: .spec.containers[name="c"].image */
typedef void (*fieldset_each_fn)(void *user, const char *path);
void fieldset_each(const FieldSet *set, fieldset_each_fn each, void *user);
/* The text of one element as it stands in paths: .name, [name="c"], [="x"], [3] */
void element_write(Buf *out, ElementKind kind, const char *text);
