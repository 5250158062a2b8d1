/* A hash index of object references by one text (key, uid, controller uid, a field): value to the objects that have it.
 * Holds references only; the text is read from the objects themselves. Not thread-safe. */
#pragma once

#include "api/object.h"

/* The text an object is filed under; NULL: not filed. It lives as long as the object. `ns` may be set for a two-part
 * text. */
typedef struct IndexText {
    const char *ns, *text;
} IndexText;
typedef IndexText (*index_text_fn)(const Object *object, const void *userdata);

typedef struct IndexSlot {
    uint64_t hash;
    uint32_t n, cap; /* n == 0: free; cap == 0: `one` */
    union {
        Object *one;
        Object **many;
    };
} IndexSlot;

typedef struct ObjectIndex {
    IndexSlot *slots;
    size_t n_slots, n_used;
    index_text_fn text;
    const void *userdata;
} ObjectIndex;

void object_index_init(ObjectIndex *index, index_text_fn text, const void *userdata);
void object_index_done(ObjectIndex *index);                         /* drops its references */
void object_index_add(ObjectIndex *index, Object *object);          /* takes a reference of its own */
void object_index_remove(ObjectIndex *index, const Object *object); /* this very object (by address) */
/* The objects filed under the text, borrowed; NULL and 0 when none. */
Object *const *object_index_find(const ObjectIndex *index, IndexText text, size_t *ret_n);
/* Iterates groups: cursor starts at 0; NULL at the end. */
Object *const *object_index_next(const ObjectIndex *index, size_t *cursor, size_t *ret_n);
