/* The Service default/kubernetes, by which pods reach the API, its endpoints, this server and those that share its
 * store (server_leases.h), and the ServiceCIDR kubernetes that says what range Services have: written when the server
 * starts and put right every KUBERNETES_SERVICE_SECONDS, as the reference's controllers do. */
#pragma once

#include "apiserver/bootstrap.h"

#define KUBERNETES_SERVICE_SECONDS 10

typedef struct KubernetesService KubernetesService;
/* The first write happens before it returns; its error is the caller's to report. Strings of `spec` are copied. */
int kubernetes_service_start(ApiCore *core, const BootstrapSpec *spec, KubernetesService **ret);
void kubernetes_service_stop(KubernetesService *service); /* NULL is fine */
