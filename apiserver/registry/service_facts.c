/* What the spec of a Service says of it. */
#include "apiserver/registry/services.h"
#include "base/str.h"

bool service_has_type(const Value *spec, const char *type) {
    return text_is(spec, "type", type);
}

bool service_needs_cluster_ip(const Value *spec) {
    return !service_has_type(spec, "ExternalName");
}

bool service_needs_health_check(const Value *spec) {
    return service_has_type(spec, "LoadBalancer") && text_is(spec, "externalTrafficPolicy", "Local");
}

bool service_is_reachable(const Value *spec) {
    return service_has_type(spec, "LoadBalancer") || service_has_type(spec, "NodePort") ||
           (service_has_type(spec, "ClusterIP") && value_len(value_get(spec, "externalIPs")));
}

bool service_is_headless(const Value *spec) {
    const Value *ips = value_get(spec, "clusterIPs");
    return value_len(ips) == 1 && streq(str_or(value_str(value_at(ips, 0)), ""), "None");
}
