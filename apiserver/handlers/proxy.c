#include "apiserver/handlers/proxy.h"
#include "apiserver/handlers/connect.h"
#include "apiserver/handlers/forward.h"
#include "apiserver/handlers/node_target.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/service_resolver.h"
#include "base/str.h"

bool proxy_id_parse(Arena *arena, const char *id, ProxyId *ret) {
    static const char *const schemes[] = {"", "http", "https", NULL};
    size_t n;
    char **parts = str_split(arena, id, ':', &n);
    ProxyId out = {.scheme = "", .name = "", .port = ""};
    if (n < 1 || n > 3)
        return false;
    if (n == 3)
        out.scheme = parts[0];
    out.name = parts[n == 3];
    if (n > 1)
        out.port = parts[n - 1];
    if (!*out.name || !str_in(out.scheme, schemes))
        return false;
    *ret = out;
    return true;
}

/* Go's net.IP.IsGlobalUnicast: what a proxy may be sent to. */
static bool is_proxyable(const char *address) {
    static const uint8_t broadcast[] = {255, 255, 255, 255}, zeros[16] = {0}, loopback6[16] = {[15] = 1};
    Ip ip;
    if (str_empty(address) || !ip_parse(address, &ip))
        return false;
    const uint8_t *four = ip.bytes + 12;
    if (!ip.v6)
        return four[0] != 127 && (four[0] & 0xf0) != 0xe0 && !(four[0] == 169 && four[1] == 254) &&
               memcmp(four, broadcast, 4) != 0 && memcmp(four, zeros, 4) != 0;
    return ip.bytes[0] != 0xff && !(ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80) &&
           memcmp(ip.bytes, zeros, 16) != 0 && memcmp(ip.bytes, loopback6, 16) != 0;
}

static int bad_port(ApiError *err, const char *port) {
    return api_error_bad_request(err, "invalid port \"%s\"", port);
}

/* A port in a URL; without one that of the scheme. */
static int read_port(const char *text, bool tls, uint16_t *ret, ApiError *err) {
    int64_t n = tls ? 443 : 80;
    if (*text && (str_to_int64(text, &n) < 0 || n < 1 || n > UINT16_MAX))
        return bad_port(err, text);
    *ret = (uint16_t)n;
    return 0;
}

/* Certificates of pods name nobody that we know: like the reference, none is verified. */
static DuplexConnect connect_to(const char *host, uint16_t port, bool tls) {
    return (DuplexConnect){.host = host, .port = port, .tls = tls};
}

static const char *first_port(Arena *arena, const Value *pod) {
    const Value *container;
    VALUE_FOREACH (container, value_path(pod, "spec", "containers", NULL)) {
        const Value *port = value_at(value_get(container, "ports"), 0);
        if (port)
            return arena_printf(arena, "%lld", (long long)value_get_int(port, "containerPort", 0));
    }
    return "";
}

static int pod_location(Exchange *exchange, const ProxyId *id, DuplexConnect *ret, ApiError *err) {
    Value *pod;
    uint16_t port = 0;
    bool tls = streq(id->scheme, "https");
    int r = core_object_load(exchange, "pods", exchange->route.ns, id->name, &pod, err);
    if (r < 0)
        return r;
    const char *address = value_get_str(value_at(value_path(pod, "status", "podIPs", NULL), 0), "ip");
    if (!is_proxyable(address))
        return api_error_bad_request(err, "address not allowed");
    r = read_port(*id->port ? id->port : first_port(exchange->arena, pod), tls, &port, err);
    if (r < 0)
        return r;
    *ret = connect_to(address, port, tls);
    return 0;
}

static int service_location(Exchange *exchange, const ProxyId *id, DuplexConnect *ret, ApiError *err) {
    const Route *route = &exchange->route;
    Store *store = registry_store(api_core_registry(api_http_config(exchange->api)->core));
    ServiceEndpoint *endpoint = ARENA_NEW0(exchange->arena, ServiceEndpoint);
    int r = service_resolve_pod(store, route->ns, id->name, id->port, route->name, endpoint, err);
    if (r < 0)
        return r;
    *ret = connect_to(endpoint->host, endpoint->port, streq(id->scheme, "https"));
    return 0;
}

/* The agent's own port is asked with our credentials, and must show the node's certificate. */
static int node_location(Exchange *exchange, const ProxyId *id, DuplexConnect *ret, ApiError *err) {
    NodeAgent agent;
    uint16_t port = 0;
    bool tls = streq(id->scheme, "https");
    int r = node_agent_find(exchange, id->name, &agent, err);
    if (r == 0 && *id->port)
        r = read_port(id->port, tls, &port, err);
    if (r < 0)
        return r;
    if (!port || port == agent.port) {
        *ret = node_agent_connect(exchange->api, &agent);
        return 0;
    }
    if (!is_proxyable(agent.host))
        return api_error_bad_request(err, "address not allowed");
    *ret = connect_to(agent.host, port, tls);
    return 0;
}

static const struct {
    const char *plural, *kind;
    int (*locate)(Exchange *exchange, const ProxyId *id, DuplexConnect *ret, ApiError *err);
} locations[] = {
    {"pods", "pod", pod_location},
    {"services", "service", service_location},
    {"nodes", "node", node_location},
};

static int locate(Exchange *exchange, DuplexConnect *ret, ApiError *err) {
    const Route *route = &exchange->route;
    ProxyId id;
    int r = connect_check_dry_run(exchange, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTSOF(locations); i++) {
        if (!streq(locations[i].plural, route->plural))
            continue;
        if (!proxy_id_parse(exchange->arena, route->name, &id))
            return api_error_bad_request(err, "invalid %s request \"%s\"", locations[i].kind, route->name);
        return locations[i].locate(exchange, &id, ret, err);
    }
    return api_error_set(err, 404, "NotFound", "the server could not find the requested resource");
}

/* The request's path up to and with "/proxy", and what follows it as it is asked of the other server. */
static int split_path(Exchange *exchange, Forward *forward, ApiError *err) {
    const char *path = http_path(exchange->http), *rest = exchange->route.rest;
    size_t len = strlen(path), rest_len = strlen(rest);
    size_t prefix = len - rest_len;
    while (prefix && path[prefix - 1] == '/')
        prefix--;
    forward->prefix = arena_strndup(exchange->arena, path, prefix);
    forward->path = rest_len ? forward_clean_path(exchange->arena, rest) : path[len - 1] == '/' ? "/" : "";
    return forward->path ? 0 : api_error_bad_request(err, "the path is malformed");
}

void proxy_serve(Exchange *exchange) {
    ApiError err = {0};
    Forward *forward = ARENA_NEW0(exchange->arena, Forward);
    forward->link_scheme = forward->link_host = "";
    int r = locate(exchange, &forward->to, &err);
    r = r < 0 ? r : split_path(exchange, forward, &err);
    if (r == 0)
        return forward_serve(exchange, forward);
    exchange_fail(exchange, &err);
}
