/* /openapi/v2 and /openapi/v3, written from the schema tables when first asked for and kept as bytes. No descriptions:
 * enough for kubectl explain, apply, diff and client-side validation. */
#pragma once

#include "apiserver/handlers/http.h"

typedef struct OpenApi OpenApi;
struct CustomResources; /* registry/custom_resources.h; borrowed, NULL: none */
OpenApi *openapi_new(struct CustomResources *custom);
void openapi_free(OpenApi *openapi);
/* Any thread. */
void openapi_serve(OpenApi *openapi, HttpRequest *http, Arena *arena, const char *path);
