/* Discovery from the resource table: /api, /apis and below, classic and aggregated (apidiscovery.k8s.io/v2). */
#pragma once

#include "apiserver/handlers/http.h"

struct CustomResources; /* registry/custom_resources.h; NULL: none */

void discovery_serve(HttpRequest *http, Arena *arena, struct CustomResources *custom, const char *path,
                     const char *server_address);
/* The list at /, sorted. */
Value *discovery_root_paths(Arena *arena, struct CustomResources *custom);
