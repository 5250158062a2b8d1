#include "network/agent/agent.h"

#include <errno.h>

#include "base/str.h"
#include "network/dns/server.h"
#include "network/proxy/proxy.h"

struct NetworkAgent {
    InformerSet *informers;
    ServiceIndex *index;
    ServiceProxy *proxy;
    DnsZone *zone;
    DnsServer *dns;
};

static int start_dns(NetworkAgent *agent, const NetworkAgentConfig *config, char **ret_error) {
    agent->zone = dns_zone_new(agent->index, str_or(config->domain, "cluster.local"), str_or(config->dns_address, ""));
    const DnsServerConfig dns = {.zone = agent->zone, .bind = config->dns_bind, .port = DNS_SERVER_PORT};
    int r = dns_server_start(&dns, &agent->dns);
    if (r < 0)
        *ret_error = xasprintf("DNS cannot listen on %s port %u: %s", config->dns_bind, DNS_SERVER_PORT, strerror(-r));
    return r;
}

int network_agent_start(const NetworkAgentConfig *config, NetworkAgent **ret, char **ret_error) {
    NetworkAgent *agent = NEW0(NetworkAgent);
    agent->informers = informer_set_new(config->client);
    agent->index = service_index_new(agent->informers);
    const ServiceProxyConfig proxy = {.informers = agent->informers, .index = agent->index, .settings = config->proxy};
    int r = service_proxy_new(&proxy, &agent->proxy);
    if (r < 0) {
        *ret_error = xasprintf("the service proxy refuses its settings: table %s, node %s at %s, pods %s, services %s",
                               config->proxy.table, config->proxy.node_name, config->proxy.node_ip,
                               config->proxy.cluster_cidr ? config->proxy.cluster_cidr : "anywhere",
                               config->proxy.service_cidr ? config->proxy.service_cidr : "anywhere");
    }
    if (r == 0 && config->dns_bind)
        r = start_dns(agent, config, ret_error);
    if (r < 0) {
        network_agent_stop(agent);
        return r;
    }
    informer_set_start(agent->informers);
    *ret = agent;
    return 0;
}

void network_agent_stop(NetworkAgent *agent) {
    if (!agent)
        return;
    informer_set_stop(agent->informers);
    dns_server_stop(agent->dns);
    dns_zone_free(agent->zone);
    service_proxy_free(agent->proxy);
    informer_set_free(agent->informers);
    service_index_free(agent->index);
    free(agent);
}
