/* The service proxy of a node: keeps the packet filter of the network namespace it runs in as the Services and their
 * EndpointSlices want it, by small transactions soon after each change. Rules outlive the process: traffic goes on
 * while the agent is away, and the next one takes over what is there. */
#pragma once

#include "network/proxy/rules.h"
#include "network/services/index.h"

typedef struct ServiceProxy ServiceProxy;

typedef struct ServiceProxyConfig {
    InformerSet *informers; /* borrowed; stopped before service_proxy_free */
    ServiceIndex *index;    /* borrowed; over the same set */
    ProxySettings settings; /* copied; zone is found by the proxy itself */
} ServiceProxyConfig;

#define PROXY_COALESCE_NS (20 * 1000000ull) /* changes that come together are written together */
/* And with many Services, whose table takes libnftables longer to look through, after so many times what the last round
 * took, to leave the processor to others. */
#define PROXY_PAUSE_FACTOR 4
#define PROXY_PAUSE_MAX_NS (1 * 1000000000ull) /* the reference's --min-sync-period */
/* Is the table still there? Firewalls flush everything. Looked at soon after somebody else changed the packet filter,
 * and now and then, should that have gone unheard; in all no more than one part in so many of the time. */
#define PROXY_CHECK_NS (30 * 1000000000ull)
#define PROXY_CHECK_SOON_NS (1 * 1000000000ull)
#define PROXY_CHECK_SHARE 50
#define PROXY_RETRY_FIRST_NS (1 * 1000000000ull) /* after a refused transaction, doubling */
#define PROXY_RETRY_MAX_NS (30 * 1000000000ull)

/* Before informer_set_start, in the network namespace to serve. -EINVAL when a setting is no address or name. */
int service_proxy_new(const ServiceProxyConfig *config, ServiceProxy **ret);
/* Leaves the rules in place. */
void service_proxy_free(ServiceProxy *proxy);
DEFINE_CLEANUP(ServiceProxy, service_proxy_free)
