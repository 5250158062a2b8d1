/* Looking through long lists again and again in time that does not grow with their square: the first items of each
 * text, sorted, made when a long list is first asked about. Lists must not change while they are indexed. Not
 * thread-safe. */
#pragma once

#include "api/value.h"

typedef struct ListIndex ListIndex;
typedef struct ListIndexes { /* zero but for the arena, which holds everything */
    Arena *arena;
    ListIndex *first;
} ListIndexes;

#define LIST_INDEX_NONE SIZE_MAX
/* The place of the first item whose member `name` is `text` (absent counts as ""); `name` NULL: of the first text in a
 * list of texts. LIST_INDEX_NONE: there is none. */
size_t list_index_find(ListIndexes *indexes, const Value *list, const char *name, const char *text);
