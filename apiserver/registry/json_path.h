/* JSONPath as printer columns of custom resources use it (k8s.io/client-go/util/jsonpath, without ranges and text):
 * members, ['name'], indexes from either end, slices with steps, wildcards, "..", unions, and filters [?(@.a=="b")]
 * with == != < <= > >= or mere existence. Members that are missing lead nowhere; anything else that does not fit (an
 * index out of bounds, a filter on what is no list, values of two types compared) is an error. Pure. */
#pragma once

#include "api/value.h"

#define JSON_PATH_NODES_MAX 4096 /* found by one step */
#define JSON_PATH_DEPTH_MAX 32   /* filters and unions within each other; levels that ".." goes down */

typedef struct JsonPathNodes {
    const Value **items; /* in the arena, of the tree */
    size_t n;
} JsonPathNodes;

/* `path` starts with "." or "[" ("" is the root itself). -EINVAL: wrong path; -ENOENT: what does not fit; -E2BIG. */
int json_path_find(Arena *arena, const Value *root, const char *path, JsonPathNodes *ret);
