#include "apiserver/handlers/aggregate.h"
#include "apiserver/handlers/forward.h"
#include "base/log.h"
#include "base/str.h"

#define KEY_MAX 1024

char *aggregate_host(Arena *arena, const ServiceEndpoint *endpoint) {
    bool six = strchr(endpoint->host, ':') != NULL;
    return arena_printf(arena, "%s%s%s:%u", six ? "[" : "", endpoint->host, six ? "]" : "", endpoint->port);
}

DuplexConnect aggregate_connect(const ApiHttpConfig *config, const ApiService *service,
                                const ServiceEndpoint *endpoint) {
    return (DuplexConnect){
        .host = endpoint->host,
        .port = endpoint->port,
        .tls = true,
        .server_name = service->server_name,
        .ca_pem = service->insecure ? NULL : service->ca_pem,
        .system_ca = !service->insecure && !service->ca_pem,
        .cert_file = config->front_cert_file,
        .key_file = config->front_key_file,
    };
}

/* What may not stand in a header's name is percent-coded (k8s.io/client-go/transport, headerKeyEscape). */
static const char *extra_header(Arena *arena, const char *key) {
    _cleanup_buf_ Buf out = BUF_INIT(KEY_MAX);
    buf_puts(&out, "X-Remote-Extra-");
    percent_encode(&out, key, "!#$&'*+^`|");
    return out.failed ? NULL : arena_strndup(arena, out.data, out.len);
}

static bool is_one_line(const char *value) {
    for (; *value; value++)
        if ((unsigned char)*value < 0x20 && *value != '\t')
            return false;
    return true;
}

typedef struct HeaderList {
    HttpHeader *items;
    size_t n;
    bool bad;
} HeaderList;

static void add(HeaderList *list, const char *name, const char *value) {
    if (!name || !is_one_line(value))
        list->bad = true; /* rather nobody than somebody else */
    else
        list->items[list->n++] = (HttpHeader){name, value};
}

static int add_user(Arena *arena, const UserInfo *user, Forward *forward) {
    size_t groups = 0;
    while (user->groups && user->groups[groups])
        groups++;
    HeaderList list = {.items = arena_alloc0(arena, (groups + user->n_extra + 2) * sizeof(HttpHeader))};
    add(&list, "X-Remote-User", str_or(user->name, ""));
    if (!str_empty(user->uid))
        add(&list, "X-Remote-Uid", user->uid);
    for (size_t i = 0; i < groups; i++)
        add(&list, "X-Remote-Group", user->groups[i]);
    for (size_t i = 0; i < user->n_extra; i++)
        add(&list, extra_header(arena, user->extra[i].key), str_or(user->extra[i].value, ""));
    forward->headers = list.items;
    forward->n_headers = list.n;
    return list.bad ? -1 : 0;
}

static void unavailable(Exchange *exchange) {
    http_reply_text(exchange->http, 503, "text/plain; charset=utf-8", "service unavailable\n");
    exchange_finish(exchange, 503);
}

/* The list of services may go while the request is under way. */
static const ApiService *copy_service(Arena *arena, const ApiService *service) {
    ApiService *copy = ARENA_NEW0(arena, ApiService);
    *copy = *service;
    copy->server_name = arena_strdup(arena, service->server_name);
    copy->ca_pem = arena_strdup(arena, service->ca_pem);
    copy->documents = NULL;
    return copy;
}

static bool is_long(const Route *route) {
    return route->kind == ROUTE_RESOURCE && (route->verb == API_WATCH || route->verb == API_CONNECT);
}

void aggregate_serve(Exchange *exchange, const ApiService *service) {
    _cleanup_api_error_ ApiError err = {0};
    Arena *arena = exchange->arena;
    const ApiHttpConfig *config = api_http_config(exchange->api);
    ServiceEndpoint *endpoint = ARENA_NEW0(arena, ServiceEndpoint);
    if (!service->available)
        return unavailable(exchange);
    if (service_resolve(registry_store(api_core_registry(config->core)), service->ns, service->service, service->port,
                        endpoint, &err) < 0) {
        log_debug("%s: %s", service->name, str_or(err.message, ""));
        return unavailable(exchange);
    }
    Forward *forward = ARENA_NEW0(arena, Forward);
    char *host = aggregate_host(arena, endpoint);
    *forward = (Forward){
        .to = aggregate_connect(config, copy_service(arena, service), endpoint),
        .path = arena_strdup(arena, http_path(exchange->http)),
        .host = host,
        .prefix = "",
        .link_scheme = "https",
        .link_host = host,
        .plain_errors = true,
        .head_timeout_ns = is_long(&exchange->route) ? 0 : AGGREGATE_TIMEOUT_NS,
    };
    if (add_user(arena, exchange->request.user, forward) < 0)
        return unavailable(exchange);
    forward_serve(exchange, forward);
}
