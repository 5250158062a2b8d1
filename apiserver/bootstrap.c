#define LOG_COMPONENT "apiserver"
#include "apiserver/bootstrap.h"
#include "base/log.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
static const UserInfo apiserver_user = {.name = "system:apiserver", .groups = groups};

int service_range_first(const char *range, char out[64]) {
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    const char *slash = strchr(range, '/');
    if (!slash || (size_t)(slash - range) >= sizeof text)
        return -EINVAL;
    memcpy(text, range, (size_t)(slash - range));
    text[slash - range] = 0;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        v4.s_addr = htonl(ntohl(v4.s_addr) + 1);
        return inet_ntop(AF_INET, &v4, out, 64) ? 0 : -errno;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return -EINVAL;
    v6.s6_addr[15]++;
    return inet_ntop(AF_INET6, &v6, out, 64) ? 0 : -errno;
}

static int ensure(ApiCore *core, const char *group, const char *version, const char *plural, const char *ns,
                  const char *name, const char *json, bool replace) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_response_ ApiResponse response = {0};
    _cleanup_api_error_ ApiError err = {0};
    Value *body;
    ApiRequest request = {
        .verb = API_GET,
        .resource = resource_find(group, version, plural),
        .ns = ns,
        .name = name,
        .user = &apiserver_user,
        .user_agent = "kube-apiserver",
        .arena = arena,
    };
    int r = json_parse(arena, json, strlen(json), &body, NULL, NULL);
    if (r < 0 || !request.resource)
        return r < 0 ? r : -EINVAL;
    request.body = body;
    r = api_execute(core, &request, NULL, &response, &err);
    if (r == 0 && !replace)
        return 0;
    request.verb = r == 0 ? API_UPDATE : API_CREATE;
    request.name = r == 0 ? name : NULL;
    api_response_done(&response);
    api_error_done(&err);
    r = api_execute(core, &request, NULL, &response, &err);
    if (r < 0)
        log_error("cannot write %s %s: %s", plural, name, str_or(err.message, strerror(-r)));
    return r;
}

static int namespaces(ApiCore *core) {
    static const char *const names[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(names); i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"}}",
                 names[i]);
        r = ensure(core, "", "v1", "namespaces", NULL, names[i], json, false);
    }
    return r;
}

static int priority_classes(ApiCore *core) {
    static const struct {
        const char *name, *about;
        int value;
    } classes[] = {
        {"system-node-critical", "Used for system critical pods that must not be moved from their current node.",
         2000001000},
        {"system-cluster-critical",
         "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
         2000000000},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(classes); i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"apiVersion\":\"scheduling.k8s.io/"
                 "v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"%s\"},\"value\":%d,\"description\":\"%s\"}",
                 classes[i].name, classes[i].value, classes[i].about);
        r = ensure(core, "scheduling.k8s.io", "v1", "priorityclasses", NULL, classes[i].name, json, false);
    }
    return r;
}

static bool is_loopback(const char *address) {
    return str_has_prefix(address, "127.") || streq(address, "::1");
}

static int kubernetes_service(ApiCore *core, const BootstrapSpec *spec) {
    char *service = xasprintf(
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\",\"labels\":{\"component\":"
        "\"apiserver\",\"provider\":\"kubernetes\"}},"
        "\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"ipFamilies\":[\"%s\"],"
        "\"ipFamilyPolicy\":\"SingleStack\",\"sessionAffinity\":\"None\",\"internalTrafficPolicy\":\"Cluster\","
        "\"ports\":[{\"name\":\"https\",\"protocol\":\"TCP\",\"port\":443,\"targetPort\":%u}]}}",
        spec->service_ip, spec->service_ip, strchr(spec->service_ip, ':') ? "IPv6" : "IPv4", spec->port);
    char *endpoints = xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"kubernetes\","
                                "\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},"
                                "\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":\"https\",\"port\":"
                                "%u,\"protocol\":\"TCP\"}]}]}",
                                spec->advertise, spec->port);
    char *slice = xasprintf("{\"apiVersion\":\"discovery.k8s.io/"
                            "v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"kubernetes\",\"labels\":{"
                            "\"kubernetes.io/service-name\":\"kubernetes\"}},"
                            "\"addressType\":\"%s\",\"endpoints\":[{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":"
                            "true}}],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}",
                            strchr(spec->advertise, ':') ? "IPv6" : "IPv4", spec->advertise, spec->port);
    int r = ensure(core, "", "v1", "services", "default", "kubernetes", service, false);
    /* a loopback address is no endpoint that a pod could reach: the Service stays without any */
    if (r == 0 && !is_loopback(spec->advertise))
        r = ensure(core, "", "v1", "endpoints", "default", "kubernetes", endpoints, true);
    if (r == 0 && !is_loopback(spec->advertise))
        r = ensure(core, "discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes", slice, true);
    free(service);
    free(endpoints);
    free(slice);
    return r;
}

int bootstrap_cluster(ApiCore *core, const BootstrapSpec *spec) {
    int r = namespaces(core);
    r = r < 0 ? r : priority_classes(core);
    return r < 0 ? r : kubernetes_service(core, spec);
}
