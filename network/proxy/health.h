/* Health checks of load balancers (healthCheckNodePort): an HTTP port a Service, which answers 200 while endpoints of
 * it are ready on this node and 503 otherwise, in the reference's form. One thread at a time. */
#pragma once

#include "base/mem.h"

#define HEALTH_PORTS_MAX 1024

typedef struct HealthPorts HealthPorts;
HealthPorts *health_ports_new(const char *bind);
void health_ports_free(HealthPorts *ports);
DEFINE_CLEANUP(HealthPorts, health_ports_free)
/* `port` 0: none (any more). A port that cannot be had is logged and asked for again at the next call. */
void health_ports_set(HealthPorts *ports, const char *ns, const char *name, uint16_t port, size_t local_endpoints);
