/* The OpenAPI documents themselves. */
#pragma once

#include "api/resource.h"

void openapi_write_v2(Buf *out);
void openapi_write_v3(Buf *out, const char *group, const char *version);
