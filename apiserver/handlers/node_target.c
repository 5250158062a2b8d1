#include "apiserver/handlers/node_target.h"
#include "api/scalar.h"
#include "apiserver/handlers/options.h"
#include "base/str.h"

#include <errno.h>

#define AGENT_PORT 10250

int core_object_load(Exchange *exchange, const char *plural, const char *ns, const char *name, Value **ret,
                     ApiError *err) {
    _cleanup_object_ Object *object = NULL;
    Store *store = registry_store(api_core_registry(api_http_config(exchange->api)->core));
    int r = store_get(store, resource_find("", "v1", plural), ns, name, &object);
    if (r == -ENOENT)
        return registry_not_found(resource_find("", "v1", plural), name, err);
    if (r < 0)
        return api_error_from_errno(err, r, "reading the object");
    *ret = object_value(object, exchange->arena);
    return 0;
}

static const char *address_of(const Value *node) {
    static const char *const wanted[] = {"InternalIP", "ExternalIP", "Hostname"};
    const Value *a;
    for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
        VALUE_FOREACH (a, value_path(node, "status", "addresses", NULL))
            if (streq_null(value_get_str(a, "type"), wanted[i]) && !str_empty(value_get_str(a, "address")))
                return value_get_str(a, "address");
    return NULL;
}

static bool has_container(const Value *spec, const char *name) {
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    const Value *c;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (c, value_get(spec, lists[i]))
            if (streq_null(value_get_str(c, "name"), name))
                return true;
    return false;
}

static const char *names_in(Arena *arena, const Value *list) {
    const char *out = "";
    const Value *c;
    VALUE_FOREACH (c, list)
        out = *out ? arena_printf(arena, "%s %s", out, value_get_str(c, "name")) : value_get_str(c, "name");
    return out;
}

static int choose_container(Exchange *exchange, const Value *pod, const char **ret, ApiError *err) {
    const Value *spec = value_get(pod, "spec"), *containers = value_get(spec, "containers"),
                *init = value_get(spec, "initContainers");
    const char *name = query_get(&exchange->query, "container"), *pod_name = exchange->route.name;
    if (str_empty(name)) {
        if (value_len(containers) == 1) {
            *ret = value_get_str(value_at(containers, 0), "name");
            return 0;
        }
        if (value_len(init))
            return api_error_bad_request(err,
                                         "a container name must be specified for pod %s, choose one of: [%s] or one of "
                                         "the init containers: [%s]",
                                         pod_name, names_in(exchange->arena, containers),
                                         names_in(exchange->arena, init));
        return api_error_bad_request(err, "a container name must be specified for pod %s, choose one of: [%s]",
                                     pod_name, names_in(exchange->arena, containers));
    }
    if (!has_container(spec, name))
        return api_error_bad_request(err, "container %s is not valid for pod %s", name, pod_name);
    *ret = name;
    return 0;
}

static void add(Buf *out, const char *name, const char *value) {
    buf_printf(out, "%s%s=", strchr(out->data, '?') ? "&" : "?", name);
    percent_encode(out, value, "");
}

static void copy_queries(Exchange *exchange, Buf *out, const char *const *names) {
    for (size_t i = 0; i < exchange->query.n; i++)
        if (str_in(exchange->query.items[i].key, names))
            add(out, exchange->query.items[i].key, exchange->query.items[i].value);
}

static void stream_queries(Exchange *exchange, Buf *out) {
    static const char *const pairs[][2] = {
        {"stdin", "input"}, {"stdout", "output"}, {"stderr", "error"}, {"tty", "tty"}};
    static const char *const command[] = {"command", NULL};
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
        if (query_bool(&exchange->query, pairs[i][0]))
            add(out, pairs[i][1], "1");
    copy_queries(exchange, out, command);
}

static int build_path(Exchange *exchange, const Value *pod, NodeTarget *ret, ApiError *err) {
    static const char *const log_names[] = {"follow",     "previous",  "sinceSeconds", "sinceTime",
                                            "timestamps", "tailLines", "limitBytes",   "insecureSkipTLSVerifyBackend",
                                            NULL};
    static const char *const port_names[] = {"port", "ports", NULL};
    const char *subresource = exchange->route.subresource, *ns = exchange->route.ns, *pod_name = exchange->route.name,
               *container = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(64 * 1024);
    bool log = streq(subresource, "log"), forward = streq(subresource, "portforward");
    int r = forward ? 0 : choose_container(exchange, pod, &container, err);
    if (r < 0)
        return r;
    if (log)
        buf_printf(&out, "/containerLogs/%s/%s/%s", ns, pod_name, container);
    else if (forward)
        buf_printf(&out, "/portForward/%s/%s", ns, pod_name);
    else
        buf_printf(&out, "/%s/%s/%s/%s", subresource, ns, pod_name, container);
    if (log)
        copy_queries(exchange, &out, log_names);
    else if (forward)
        copy_queries(exchange, &out, port_names);
    else
        stream_queries(exchange, &out);
    if (out.failed)
        return api_error_bad_request(err, "the query is too long");
    ret->path = arena_strdup(exchange->arena, out.data);
    ret->upgrade = !log;
    return 0;
}

/* LogLocation and its like validate their options first. */
static int check_log_options(Exchange *exchange, ApiError *err) {
    static const char *const numbers[] = {"tailLines", "limitBytes", "sinceSeconds"};
    const Query *query = &exchange->query;
    FieldErrors errors = FIELD_ERRORS_INIT(exchange->arena);
    FieldPath both = FIELD_KEY(NULL, ""), stream = FIELD(NULL, "stream");
    const char *since = query_get(query, "sinceTime");
    TimePoint ignored;
    char *why;
    for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
        FieldPath at = FIELD(NULL, numbers[i]);
        int64_t n = 1;
        int r = options_read_int(query, numbers[i], &n, err);
        if (r < 0)
            return r;
        if (n < 0 || (n == 0 && i > 0))
            field_invalid(&errors, &at, value_int(exchange->arena, n),
                          i == 0 ? "must be greater than or equal to 0" : "must be greater than 0");
    }
    if (!str_empty(since) && time_point_parse(exchange->arena, since, strlen(since), false, &ignored, &why) < 0)
        return api_error_bad_request(err, "%s", why);
    if (query_get(query, "sinceSeconds") && !str_empty(since))
        field_forbidden(&errors, &both, "at most one of `sinceTime` or `sinceSeconds` may be specified");
    if (query_get(query, "stream")) /* a feature that is off in the reference, too */
        field_forbidden(&errors, &stream, "may not be specified");
    return api_error_invalid(err, "", "PodLogOptions", exchange->route.name, &errors);
}

int node_agent_find(Exchange *exchange, const char *name, NodeAgent *ret, ApiError *err) {
    Value *node;
    int r = core_object_load(exchange, "nodes", "", name, &node, err);
    if (r < 0)
        return r;
    const char *host = address_of(node);
    if (!host)
        return api_error_set(err, 500, "", "no preferred addresses found; known addresses: []");
    int64_t port =
        value_get_int(value_path(node, "status", "daemonEndpoints", "kubeletEndpoint", NULL), "Port", AGENT_PORT);
    *ret = (NodeAgent){host, (uint16_t)(port > 0 && port < 65536 ? port : AGENT_PORT), name};
    return 0;
}

DuplexConnect node_agent_connect(ApiHttp *api, const NodeAgent *agent) {
    const ApiHttpConfig *config = api_http_config(api);
    return (DuplexConnect){
        .host = agent->host,
        .port = agent->port,
        .tls = true,
        .server_name = agent->server_name,
        .ca_file = config->node_ca_file,
        .cert_file = config->node_cert_file,
        .key_file = config->node_key_file,
    };
}

int node_target_find(Exchange *exchange, NodeTarget *ret, ApiError *err) {
    const Route *route = &exchange->route;
    Value *pod;
    NodeTarget target = {0};
    bool log = streq(route->subresource, "log");
    int r = log ? check_log_options(exchange, err) : 0;
    r = r < 0 ? r : core_object_load(exchange, "pods", route->ns, route->name, &pod, err);
    r = r < 0 ? r : build_path(exchange, pod, &target, err);
    if (r < 0)
        return r;
    const char *name = value_get_str(value_get(pod, "spec"), "nodeName");
    if (str_empty(name) && !log)
        return api_error_bad_request(err, "pod %s does not have a host assigned", route->name);
    if (str_empty(name)) { /* nobody has written anything yet */
        *ret = target;
        return 0;
    }
    r = node_agent_find(exchange, name, &target.agent, err);
    if (r < 0 && err->code == 404) { /* the reference words what it does not find as of the pod's kind */
        api_error_done(err);
        return api_error_not_found(err, "", "pods", name);
    }
    if (r < 0)
        return r;
    *ret = target;
    return 0;
}
