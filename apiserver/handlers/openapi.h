/* /openapi/v2 and /openapi/v3, written from the schema tables: v2 is kept once it has been asked for, as are v3
 * documents of custom resources; of the others the hashes are. With what aggregated servers say of theirs: v2 merged,
 * v3 named in the index (the requests for it are theirs to answer). */
#pragma once

#include "apiserver/handlers/http.h"

typedef struct OpenApi OpenApi;
struct CustomResources; /* registry/custom_resources.h; borrowed, NULL: none */
struct ApiServices;     /* registry/api_services.h; borrowed, NULL: none */
/* `descriptions`: the file of openapi_texts.h, borrowed; it is read with the first document. NULL, or nothing there:
 * the descriptions are this project's. */
OpenApi *openapi_new(struct CustomResources *custom, struct ApiServices *services, const char *descriptions);
void openapi_free(OpenApi *openapi);
/* Any thread. */
void openapi_serve(OpenApi *openapi, HttpRequest *http, Arena *arena, const char *path);
