/* The OpenAPI documents themselves. */
#pragma once

#include "api/resource.h"

/* `custom` ends with NULL; NULL: none. In a v2 document they stand beside the built-in kinds. A v3 document is of one
 * part of the API, named by its path without the slash in front: a group and version ("apis/apps/v1", which `like` is a
 * row of), or what lists them and the rest ("apis/apps", "apis", "version"; `like` is NULL); with `custom` it has these
 * rows alone. */
void openapi_write_v2(Buf *out, const Resource **custom);
void openapi_write_v3(Buf *out, const char *path, const Resource *like, const Resource **custom);
