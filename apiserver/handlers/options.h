/* Query parameters of the protocol. */
#pragma once

#include "api/status.h"
#include "client/api.h"

typedef struct Query { /* decoded pairs, in order of the URL */
    Pair *items;
    size_t n;
} Query;
void query_parse(Arena *arena, const char *raw, Query *ret);
const char *query_get(const Query *query, const char *name); /* the first; NULL when absent */
bool query_bool(const Query *query, const char *name);       /* present and neither "false" nor "0" */

/* The options of a verb, checked: 400 or 422 in the reference's words. */
int options_read(Arena *arena, const Query *query, ApiVerb verb, ApiOptions *ret, ApiError *err);
/* After the content type of a patch is known. */
int options_check_patch(Arena *arena, const ApiOptions *options, ApiError *err);
