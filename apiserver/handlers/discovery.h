/* Discovery from the resource table and of aggregated servers: /api, /apis and below, classic and aggregated
 * (apidiscovery.k8s.io/v2). `services` may be NULL: nothing is aggregated. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/registry/api_services.h"

struct CustomResources; /* registry/custom_resources.h; NULL: none */

void discovery_serve(HttpRequest *http, Arena *arena, struct CustomResources *custom, const ApiServiceList *services,
                     const char *path, const char *server_address);
/* Aggregated discovery of /api (`core`) or /apis: an APIGroupDiscoveryList. */
Value *discovery_aggregated(Arena *arena, struct CustomResources *custom, const ApiServiceList *services, bool core);
/* Appends the paths of discovery itself to an array of strings. */
void discovery_list_paths(Arena *arena, struct CustomResources *custom, const ApiServiceList *services, Value *paths);
