/* Keeps Services' cluster IPs and IPAddresses in step, as the reference's ipallocator-repair-controller: an address
 * that a Service has gets its IPAddress (again), and an IPAddress that the allocator made goes once no Service has it.
 */
#pragma once

#include "apiserver/health.h"
#include "client/client.h"

#define SERVICE_IP_GRACE_SECONDS                                                                                       \
    60 /* an IPAddress comes before its Service, which a request may take so long to write */
#define SERVICE_IP_RECENT_SECONDS 5 /* the same of a Service that is there already */
#define SERVICE_IP_SYNC_SECONDS 30  /* for the first look, before it counts as failed */

typedef struct ServiceIpRepair ServiceIpRepair;
/* The client is borrowed; its user may do everything. Does not wait: HEALTH_SERVICE_IPS is reported after the first
 * look at all. */
ServiceIpRepair *service_ip_repair_start(Client *client, Health *health);
void service_ip_repair_stop(ServiceIpRepair *repair); /* NULL is fine */
