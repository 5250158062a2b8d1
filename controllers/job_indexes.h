/* Sets of completion indexes as ordered intervals, and their text ("1,3-5,7"). Pure. */
#pragma once

#include "base/arena.h"

typedef struct IndexInterval {
    int64_t first, last;
} IndexInterval;

typedef struct IndexSet {
    Arena *arena;
    IndexInterval *items; /* ordered, apart by at least one */
    size_t n, cap;
} IndexSet;

#define INDEX_SET(a) ((IndexSet){.arena = (a)})
/* Ignores what is not an interval, and indexes of `completions` and more. */
IndexSet index_set_parse(Arena *arena, const char *text, int64_t completions);
void index_set_add(IndexSet *set, int64_t index);
bool index_set_has(const IndexSet *set, int64_t index);
int64_t index_set_total(const IndexSet *set);
char *index_set_text(const IndexSet *set);
/* How many indexes both have. */
int64_t index_set_overlap(const IndexSet *a, const IndexSet *b);
