#define LOG_COMPONENT "proxy"
#include "network/proxy/health.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "http/server.h"

#define ANSWER_MAX 2048

typedef struct HealthPort {
    char *ns, *name;
    uint16_t port;
    _Atomic size_t endpoints;
    HttpServer *server;
} HealthPort;

struct HealthPorts {
    char *bind;
    StrMap *by_service; /* "ns/name" -> HealthPort */
};

static void on_request(HttpRequest *request, void *userdata) {
    HealthPort *h = userdata;
    size_t n = atomic_load(&h->endpoints);
    char weight[24];
    Buf body = BUF_INIT(ANSWER_MAX);
    snprintf(weight, sizeof weight, "%zu", n);
    buf_printf(
        &body,
        "{\n\t\"service\": {\n\t\t\"namespace\": \"%s\",\n\t\t\"name\": \"%s\"\n\t},\n\t\"localEndpoints\": %zu,\n"
        "\t\"serviceProxyHealthy\": true\n}",
        h->ns, h->name, n);
    const HttpHeader headers[] = {{"content-type", "application/json"},
                                  {"x-content-type-options", "nosniff"},
                                  {"x-load-balancing-endpoint-weight", weight}};
    http_reply(request, n ? 200 : 503, headers, ELEMENTSOF(headers), http_bytes_take(&body));
}

static void port_free(void *p) {
    HealthPort *h = p;
    if (h->server)
        http_server_stop(h->server, NS_PER_SEC);
    free(h->ns);
    free(h->name);
    free(h);
}

HealthPorts *health_ports_new(const char *bind) {
    HealthPorts *ports = NEW0(HealthPorts);
    ports->bind = xstrdup(bind);
    ports->by_service = strmap_new(port_free);
    return ports;
}

void health_ports_free(HealthPorts *ports) {
    if (!ports)
        return;
    strmap_free(ports->by_service);
    free(ports->bind);
    free(ports);
}

static HealthPort *open_port(HealthPorts *ports, const char *ns, const char *name, uint16_t port) {
    HealthPort *h = NEW0(HealthPort);
    *h = (HealthPort){.ns = xstrdup(ns), .name = xstrdup(name), .port = port};
    const HttpServerConfig config = {
        .bind = ports->bind, .port = port, .threads = 1, .max_body = 1, .handler = on_request, .userdata = h};
    int r = http_server_start(&config, &h->server);
    if (r == 0)
        return h;
    log_warn("no health check of service %s/%s on port %u: %s", ns, name, port, strerror(-r));
    h->server = NULL;
    port_free(h);
    return NULL;
}

void health_ports_set(HealthPorts *ports, const char *ns, const char *name, uint16_t port, size_t local_endpoints) {
    _cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
    HealthPort *h = strmap_get(ports->by_service, key);
    if (h && h->port != port) {
        strmap_remove(ports->by_service, key);
        h = NULL;
    }
    if (!h && port && strmap_size(ports->by_service) < HEALTH_PORTS_MAX && (h = open_port(ports, ns, name, port)))
        strmap_put(ports->by_service, key, h);
    if (h)
        atomic_store(&h->endpoints, local_endpoints);
}
