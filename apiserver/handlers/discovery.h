/* Discovery from the resource table: /api, /apis and below, classic and aggregated (apidiscovery.k8s.io/v2). */
#pragma once

#include "apiserver/handlers/http.h"

void discovery_serve(HttpRequest *http, Arena *arena, const char *path, const char *server_address);
/* The list at /, sorted. */
Value *discovery_root_paths(Arena *arena);
