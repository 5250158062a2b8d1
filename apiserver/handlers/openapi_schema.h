/* The OpenAPI documents themselves. */
#pragma once

#include "api/resource.h"

/* `custom` ends with NULL; NULL: none. In a v2 document they stand beside the built-in kinds; a v3 document is of one
 * group and version, and of these rows alone when they are given. */
void openapi_write_v2(Buf *out, const Resource **custom);
void openapi_write_v3(Buf *out, const char *group, const char *version, const Resource **custom);
