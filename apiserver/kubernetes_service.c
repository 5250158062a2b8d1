#include "apiserver/kubernetes_service.h"
#include "apiserver/server_leases.h"
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

/* `addresses`: of the servers there are, one at least; all of one family. */
static int write_endpoints(ApiCore *core, const char *const *addresses, uint16_t port) {
    _cleanup_buf_ Buf endpoints = BUF_INIT(BUF_NO_LIMIT), slice = BUF_INIT(BUF_NO_LIMIT);
    buf_puts(&endpoints,
             "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"kubernetes\","
             "\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},\"subsets\":[{\"addresses\":[");
    buf_printf(&slice,
               "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":"
               "\"kubernetes\",\"labels\":{\"kubernetes.io/service-name\":\"kubernetes\"}},\"addressType\":\"%s\","
               "\"endpoints\":[",
               family(addresses[0]));
    for (size_t i = 0; addresses[i]; i++) {
        buf_printf(&endpoints, "%s{\"ip\":\"%s\"}", i ? "," : "", addresses[i]);
        buf_printf(&slice, "%s{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}", i ? "," : "", addresses[i]);
    }
    buf_printf(&endpoints, "],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}]}", port);
    buf_printf(&slice, "],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}", port);
    int r = bootstrap_ensure(core, "", "v1", "endpoints", "default", "kubernetes", endpoints.data, true);
    return r < 0 ? r
                 : bootstrap_ensure(core, "discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes",
                                    slice.data, true);
}

/* All that share the store; when there is none left the endpoints stay as they are. */
static int write_shared_endpoints(ApiCore *core) {
    const char *const *all;
    uint16_t port;
    _cleanup_arena_ Arena *arena = arena_new(0);
    int r = server_leases_read(api_core_config(core)->store, arena, &all, &port);
    return r < 0 ? r : all[0] ? write_endpoints(core, all, port) : 0;
}

/* This server, or all that share its store. */
static int write_all_endpoints(ApiCore *core, const BootstrapSpec *spec) {
    const char *const own[] = {spec->advertise, NULL};
    Store *store = api_core_config(core)->store;
    if (!store_is_shared(store))
        return write_endpoints(core, own, spec->port);
    int r = server_lease_renew(store, spec->advertise, spec->port);
    return r < 0 ? r : write_shared_endpoints(core);
}

static int write_range(ApiCore *core, const BootstrapSpec *spec) {
    char now[RFC3339_MAX];
    rfc3339_format(now_realtime_ns(), now);
    _cleanup_free_ char *range =
        xasprintf("{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":"
                  "\"kubernetes\"},\"spec\":{\"cidrs\":[\"%s\"]}}",
                  spec->service_range);
    _cleanup_free_ char *status =
        xasprintf("{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"%s\","
                  "\"reason\":\"\",\"message\":\"Kubernetes default Service CIDR is ready\"}]}",
                  now);
    int r = bootstrap_ensure(core, "networking.k8s.io", "v1", "servicecidrs", NULL, "kubernetes", range, false);
    return r < 0 ? r
                 : bootstrap_ensure_status(core, "networking.k8s.io", "v1", "servicecidrs", NULL, "kubernetes", status);
}

static int sync_service(_unused_ const char *key, void *userdata) {
    KubernetesService *service = userdata;
    int r = write_range(service->core, &service->spec);
    health_report(service->spec.health, HEALTH_SERVICE_RANGE, r == 0);
    r = r < 0 ? r : write_service(service->core, &service->spec);
    /* a loopback address is no endpoint that a pod could reach: the Service stays without any */
    if (r == 0 && !is_loopback(service->spec.advertise))
        r = write_all_endpoints(service->core, &service->spec);
    health_report(service->spec.health, HEALTH_KUBERNETES_SERVICE, r == 0);
    workqueue_add_after(service->queue, "kubernetes", KUBERNETES_SERVICE_SECONDS * NS_PER_SEC);
    return r;
}

int kubernetes_service_start(ApiCore *core, const BootstrapSpec *spec, KubernetesService **ret) {
    KubernetesService *service = NEW0(KubernetesService);
    *service = (KubernetesService){.core = core,
                                   .spec = {.advertise = xstrdup(spec->advertise),
                                            .service_range = xstrdup(spec->service_range),
                                            .service_ip = xstrdup(spec->service_ip),
                                            .port = spec->port,
                                            .health = spec->health}};
    server_leases_set_up(api_core_config(core)->store);
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
    Store *store = api_core_config(service->core)->store;
    if (store_is_shared(store) && !is_loopback(service->spec.advertise) &&
        server_lease_end(store, service->spec.advertise, service->spec.port) == 0)
        (void)write_shared_endpoints(service->core); /* else the others do it, a little later */
    free((char *)(uintptr_t)service->spec.advertise);
    free((char *)(uintptr_t)service->spec.service_range);
    free((char *)(uintptr_t)service->spec.service_ip);
    free(service);
}
