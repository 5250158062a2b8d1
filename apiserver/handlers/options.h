/* Query parameters of the protocol. */
#pragma once

#include "api/status.h"
#include "client/api.h"
#include "http/query.h"

/* Left as it is where the query does not name it; 400 in Go's words. */
int options_read_int(const Query *query, const char *name, int64_t *ret, ApiError *err);
/* The options of a verb, checked: 400 or 422 in the reference's words. */
int options_read(Arena *arena, const Query *query, ApiVerb verb, ApiOptions *ret, ApiError *err);
/* After the content type of a patch is known. */
int options_check_patch(Arena *arena, const ApiOptions *options, ApiError *err);
