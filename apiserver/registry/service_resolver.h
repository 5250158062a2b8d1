/* Where a Service that an APIService or a webhook names is reached: the API server asks the Service's endpoints itself
 * and needs no service proxy (k8s.io/apiserver/pkg/util/proxy, ResolveEndpoint; an ExternalName as in ResolveCluster).
 * Reads the store, never the network. Any thread. */
#pragma once

#include "apiserver/storage/store.h"

#define SERVICE_HOST_MAX 256 /* a DNS name and its NUL */

typedef struct ServiceEndpoint {
    char host[SERVICE_HOST_MAX]; /* an address (IPv6 without brackets) or the external name */
    uint16_t port;               /* of the endpoint, not of the Service */
} ServiceEndpoint;

/* One of the ready endpoints behind port `port` of a Service, chosen at random, of the Service's first address family
 * when it has any there. Errors, in the reference's words: 404 `service "x" not found`, 503 `no service port 1 found
 * for service "x"` and `no endpoints available for service "x"`, 500 `unsupported service type "x"`. */
int service_resolve(Store *store, const char *ns, const char *name, uint16_t port, ServiceEndpoint *ret, ApiError *err);

/* The same for services/proxy (pkg/registry/core/service/storage, ResourceLocation): `port` is the name of a port, a
 * port's number, or "" for the port without a name; only addresses that are those of pods of the namespace count, so
 * that nobody reaches other hosts by writing endpoints. `id` is what the request named, for messages. 404 `endpoints
 * "x" not found` (with a number: `services "x" not found`), 503 as above. */
int service_resolve_pod(Store *store, const char *ns, const char *name, const char *port, const char *id,
                        ServiceEndpoint *ret, ApiError *err);
