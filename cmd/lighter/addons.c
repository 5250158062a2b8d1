#define LOG_COMPONENT "lighter"
#include "cmd/lighter/addons.h"

#include "apiserver/bootstrap.h"
#include "network/dns/server.h"

#define DNS_NAME "kube-dns"
#define DNS_NAMESPACE "kube-system"

int addons_dns_address(const Cluster *cluster, char ret[64]) {
    return service_range_address(cluster->service_cidr, DNS_SERVICE_INDEX, ret);
}

static int install_service(const Cluster *cluster, ApiServer *server) {
    char address[64];
    int r = addons_dns_address(cluster, address);
    if (r < 0)
        return r;
    _cleanup_free_ char *json = xasprintf(
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"" DNS_NAME "\",\"labels\":{"
        "\"k8s-app\":\"kube-dns\",\"kubernetes.io/cluster-service\":\"true\",\"kubernetes.io/name\":\"CoreDNS\"}},"
        "\"spec\":{\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"ports\":["
        "{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\",\"targetPort\":%u},"
        "{\"name\":\"dns-tcp\",\"port\":53,\"protocol\":\"TCP\",\"targetPort\":%u}]}}",
        address, address, DNS_SERVER_PORT, DNS_SERVER_PORT);
    return bootstrap_ensure(apiserver_core(server), "", "v1", "services", DNS_NAMESPACE, DNS_NAME, json, false);
}

static int install_slice(const Cluster *cluster, const LocalNode *nodes, ApiServer *server) {
    _cleanup_buf_ Buf json = BUF_INIT(65536);
    buf_printf(&json,
               "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"" DNS_NAME
               "\",\"labels\":{\"kubernetes.io/service-name\":\"" DNS_NAME
               "\",\"endpointslice.kubernetes.io/managed-by\":\"lighter\"}},\"addressType\":\"IPv4\",\"ports\":["
               "{\"name\":\"dns\",\"port\":%u,\"protocol\":\"UDP\"},"
               "{\"name\":\"dns-tcp\",\"port\":%u,\"protocol\":\"TCP\"}],\"endpoints\":[",
               DNS_SERVER_PORT, DNS_SERVER_PORT);
    for (int64_t i = 0; i < cluster->nodes; i++) {
        char address[CIDR_TEXT_MAX];
        int r = cluster_network_gateway(nodes[i].pod_cidr, address);
        if (r < 0)
            return r;
        buf_printf(&json,
                   "%s{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true,\"serving\":true,\"terminating\":false},"
                   "\"nodeName\":\"%s\",\"hints\":{\"forNodes\":[{\"name\":\"%s\"}]}}",
                   i ? "," : "", address, nodes[i].name, nodes[i].name);
    }
    buf_puts(&json, "]}");
    return bootstrap_ensure(apiserver_core(server), "discovery.k8s.io", "v1", "endpointslices", DNS_NAMESPACE, DNS_NAME,
                            json.data, true);
}

int addons_install(const Cluster *cluster, const LocalNode *nodes, ApiServer *server) {
    int r = install_service(cluster, server);
    return r < 0 ? r : install_slice(cluster, nodes, server);
}
