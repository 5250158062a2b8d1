/* Query parameters of the protocol. */
#pragma once

#include "api/status.h"
#include "client/api.h"
#include "http/query.h"

/* The options of a verb, checked: 400 or 422 in the reference's words. */
int options_read(Arena *arena, const Query *query, ApiVerb verb, ApiOptions *ret, ApiError *err);
/* After the content type of a patch is known. */
int options_check_patch(Arena *arena, const ApiOptions *options, ApiError *err);
