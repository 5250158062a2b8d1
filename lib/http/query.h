/* The query of a URL ("a=1&b"), decoded. */
#pragma once

#include "base/arena.h"

typedef struct QueryItem {
    const char *key, *value;
} QueryItem;
typedef struct Query { /* decoded pairs, in order of the URL; in the arena */
    QueryItem *items;
    size_t n;
} Query;
/* A pair that is not well-formed is left out. */
void query_parse(Arena *arena, const char *raw, Query *ret);
const char *query_get(const Query *query, const char *name); /* the first; NULL when absent */
bool query_bool(const Query *query, const char *name);       /* present and neither "false" nor "0" */
