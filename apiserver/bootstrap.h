/* What a cluster has from its first start: namespaces, priority classes, the Service of the API itself. Written through
 * the core as system:apiserver, and only what is missing (the Service's endpoints follow the server's address). */
#pragma once

#include "apiserver/handlers/api.h"

typedef struct BootstrapSpec {
    const char *advertise;
    uint16_t port;
    const char *service_ip; /* the first of the service range */
} BootstrapSpec;
int bootstrap_cluster(ApiCore *core, const BootstrapSpec *spec);
/* The first address of a range such as 10.96.0.0/16: 10.96.0.1. -EINVAL. */
int service_range_first(const char *range, char out[64]);
