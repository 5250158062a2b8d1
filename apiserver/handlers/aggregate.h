/* Requests that another API server answers, as the APIService of their group and version says: they go on with the
 * user's name in X-Remote-* headers, which the other server believes because of our certificate
 * (k8s.io/kube-aggregator/pkg/apiserver, proxyHandler). */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/registry/api_services.h"
#include "apiserver/registry/service_resolver.h"
#include "http/duplex.h"

#define AGGREGATE_TIMEOUT_NS (60ull * 1000000000) /* for a reply to begin, watches aside: --request-timeout */

/* Takes the exchange, authorized; copies what it needs of the service. On the loop thread. */
void aggregate_serve(Exchange *exchange, const ApiService *service);
/* A connection to that endpoint of the service with our front-proxy certificate; strings are borrowed. */
DuplexConnect aggregate_connect(const ApiHttpConfig *config, const ApiService *service,
                                const ServiceEndpoint *endpoint);
/* "host:port", IPv6 in brackets; in the arena. */
char *aggregate_host(Arena *arena, const ServiceEndpoint *endpoint);
