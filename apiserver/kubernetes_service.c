#include "apiserver/kubernetes_service.h"
#include "base/clock.h"
#include "base/str.h"
#include "client/workqueue.h"

struct KubernetesService {
    ApiCore *core;
    BootstrapSpec spec; /* strings owned */
    WorkQueue *queue;
};

static const char *family(const char *address) {
    return strchr(address, ':') ? "IPv6" : "IPv4";
}

static bool is_loopback(const char *address) {
    return str_has_prefix(address, "127.") || streq(address, "::1");
}

static int write_service(ApiCore *core, const BootstrapSpec *spec) {
    _cleanup_free_ char *json = xasprintf(
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\",\"labels\":{\"component\":"
        "\"apiserver\",\"provider\":\"kubernetes\"}},"
        "\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"ipFamilies\":[\"%s\"],"
        "\"ipFamilyPolicy\":\"SingleStack\",\"sessionAffinity\":\"None\",\"internalTrafficPolicy\":\"Cluster\","
        "\"ports\":[{\"name\":\"https\",\"protocol\":\"TCP\",\"port\":443,\"targetPort\":%u}]}}",
        spec->service_ip, spec->service_ip, family(spec->service_ip), spec->port);
    return bootstrap_ensure(core, "", "v1", "services", "default", "kubernetes", json, false);
}

static int write_endpoints(ApiCore *core, const BootstrapSpec *spec) {
    _cleanup_free_ char *endpoints =
        xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"kubernetes\","
                  "\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},"
                  "\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":\"https\",\"port\":"
                  "%u,\"protocol\":\"TCP\"}]}]}",
                  spec->advertise, spec->port);
    _cleanup_free_ char *slice =
        xasprintf("{\"apiVersion\":\"discovery.k8s.io/"
                  "v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"kubernetes\",\"labels\":{"
                  "\"kubernetes.io/service-name\":\"kubernetes\"}},"
                  "\"addressType\":\"%s\",\"endpoints\":[{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":"
                  "true}}],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}",
                  family(spec->advertise), spec->advertise, spec->port);
    int r = bootstrap_ensure(core, "", "v1", "endpoints", "default", "kubernetes", endpoints, true);
    return r < 0 ? r
                 : bootstrap_ensure(core, "discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes", slice,
                                    true);
}

static int sync_service(_unused_ const char *key, void *userdata) {
    KubernetesService *service = userdata;
    int r = write_service(service->core, &service->spec);
    /* a loopback address is no endpoint that a pod could reach: the Service stays without any */
    if (r == 0 && !is_loopback(service->spec.advertise))
        r = write_endpoints(service->core, &service->spec);
    workqueue_add_after(service->queue, "kubernetes", KUBERNETES_SERVICE_SECONDS * NS_PER_SEC);
    return r;
}

int kubernetes_service_start(ApiCore *core, const BootstrapSpec *spec, KubernetesService **ret) {
    KubernetesService *service = NEW0(KubernetesService);
    *service = (KubernetesService){
        .core = core,
        .spec = {.advertise = xstrdup(spec->advertise), .service_ip = xstrdup(spec->service_ip), .port = spec->port}};
    service->queue = workqueue_new("kubernetes-service", 1, sync_service, service);
    int r = sync_service(NULL, service);
    if (r < 0)
        kubernetes_service_stop(service);
    else
        *ret = service;
    return r;
}

void kubernetes_service_stop(KubernetesService *service) {
    if (!service)
        return;
    workqueue_free(service->queue);
    free((char *)(uintptr_t)service->spec.advertise);
    free((char *)(uintptr_t)service->spec.service_ip);
    free(service);
}
