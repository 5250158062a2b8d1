/* The proxy subresources of pods, services and nodes: /api/v1/namespaces/N/pods/[scheme:]NAME[:port]/proxy/PATH. Takes
 * the exchange, authorized. On the loop thread. */
#pragma once

#include "apiserver/handlers/http.h"

void proxy_serve(Exchange *exchange);

/* "name", "name:port" or "scheme:name:port" (k8s.io/apimachinery/pkg/util/net, SplitSchemeNamePort); absent parts are
 * "". In the arena; false when it is none of these. */
typedef struct ProxyId {
    const char *scheme, *name, *port;
} ProxyId;
bool proxy_id_parse(Arena *arena, const char *id, ProxyId *ret);
