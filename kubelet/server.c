/* The kubelet's HTTPS server: who may ask, and which path is whose. Every answer is made on k->request_pool. */
#include "kubelet/server_auth.h"
#include "kubelet/server_internal.h"

#include "api/json.h"
#include "base/clock.h"

#include <errno.h>
#include <time.h>

#define SERVER_THREADS 2
#define BODY_MAX (64 * 1024 * 1024)

/* ---- simple answers ---- */

static void serve_pods(Call *call) {
    Kubelet *k = call->k;
    Buf out = BUF_INIT(BODY_MAX);
    const char *uid;
    Pod *p;
    bool first = true;
    buf_puts(&out, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
    pthread_mutex_lock(&k->lock);
    size_t n = 0;
    Object **objects = NEWN0(Object *, strmap_size(k->pods) + 1);
    STRMAP_FOREACH (k->pods, uid, p)
        if (!p->removed)
            objects[n++] = object_ref(p->object);
    pthread_mutex_unlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *json = object_json(objects[i], &len);
        buf_puts(&out, first ? "" : ",");
        buf_append(&out, json, len);
        first = false;
        object_unref(objects[i]);
    }
    free(objects);
    buf_puts(&out, "]}");
    if (out.failed) {
        buf_done(&out);
        call_error(call, 500, "the list of pods is too long");
    } else
        call_reply(call, 200, "application/json", &out);
    call_free(call);
}

static void serve_health(Call *call) {
    call_error(call, 200, "ok");
    call_free(call);
}

/* ---- routes ---- */

typedef struct Route {
    const char *name;
    bool post; /* also by POST */
    bool only_post;
    size_t least, most; /* parts of the path, its name included */
    void (*serve)(Call *call);
} Route;

static const Route routes[] = {
    {"healthz", false, false, 1, 2, serve_health},
    {"pods", false, false, 1, 1, serve_pods},
    {"metrics", false, false, 1, 1, serve_metrics},
    {"containerLogs", false, false, 4, 4, serve_logs},
    {"exec", true, false, 4, 5, serve_exec},
    {"attach", true, false, 4, 5, serve_attach},
    {"run", true, true, 4, 5, serve_run},
    {"logs", false, false, 1, CALL_PARTS_MAX, serve_node_logs},
    {"portForward", true, false, 3, 4, serve_forward},
    {"configz", false, false, 1, 1, serve_configz},
    {"runningpods", false, false, 1, 1, serve_running},
    {"checkpoint", true, true, 4, 4, serve_checkpoint},
};

/* Of two words. */
static const struct {
    const char *first, *second;
    Route route;
} pairs[] = {
    {"stats", "summary", {"stats", false, false, 2, 2, serve_summary}},
    {"metrics", "resource", {"metrics", false, false, 2, 2, serve_resources}},
    {"metrics", "cadvisor", {"metrics", false, false, 2, 2, serve_cadvisor}},
    {"metrics", "probes", {"metrics", false, false, 2, 2, serve_probes}},
};

static const Route *route_find(const Call *call) {
    for (size_t i = 0; call->n_parts == 2 && i < ELEMENTSOF(pairs); i++)
        if (streq(call->parts[0], pairs[i].first) && streq(call->parts[1], pairs[i].second))
            return &pairs[i].route;
    for (size_t i = 0; i < ELEMENTSOF(routes); i++)
        if (call->n_parts >= routes[i].least && call->n_parts <= routes[i].most &&
            streq(call->parts[0], routes[i].name))
            return &routes[i];
    return NULL;
}

static bool split_path(Call *call) {
    const char *path = http_path(call->http);
    call->parts = str_split(call->arena, path + (*path == '/'), '/', &call->n_parts);
    if (call->n_parts && !*call->parts[call->n_parts - 1]) /* "/pods/" */
        call->n_parts--;
    if (call->n_parts > CALL_PARTS_MAX)
        return false;
    for (size_t i = 0; i < call->n_parts; i++)
        if (percent_decode(call->parts[i], false) < 0 || !*call->parts[i])
            return false;
    return true;
}

static bool split_query(Call *call) {
    size_t n;
    char **pairs = str_split(call->arena, http_query(call->http), '&', &n);
    if (n > CALL_QUERY_MAX)
        return false;
    call->query = arena_alloc0(call->arena, (n + 1) * sizeof *call->query);
    for (size_t i = 0; i < n; i++) {
        char *value = strchr(pairs[i], '=');
        if (value)
            *value++ = 0;
        if (percent_decode(pairs[i], true) < 0 || (value && percent_decode(value, true) < 0))
            return false;
        call->query[call->n_query++] = (CallQuery){pairs[i], value ? value : ""};
    }
    return true;
}

/* The row that answers; NULL: an error was replied. */
static const Route *route_of(Call *call) {
    const char *method = http_method(call->http);
    const Route *route = NULL;
    if (!split_path(call) || !split_query(call))
        call_error(call, 400, "the path or the query is not well-formed");
    else if (!(route = route_find(call)))
        call_error(call, 404, "404 page not found\n");
    else if (!(streq(method, "POST") ? route->post : streq(method, "GET") && !route->only_post)) {
        call_error(call, 405, "405: Method Not Allowed");
        route = NULL;
    }
    return route;
}

/* On the request pool: the API server may have to be asked who this is. */
static void answer(void *userdata) {
    Call *call = userdata;
    const Route *route = auth_check(call) ? route_of(call) : NULL;
    if (route)
        route->serve(call);
    else
        call_free(call);
}

static void handle(HttpRequest *request, void *userdata) {
    Call *call = NEW0(Call);
    *call = (Call){.k = userdata, .http = http_request_ref(request), .arena = arena_new(0)};
    if (server_submit(call->k, answer, call) < 0) {
        call_error(call, 503, "too many requests are waiting");
        call_free(call);
    }
}

int kubelet_server_start(Kubelet *k, char **ret_error) {
    const KubeletConfig *config = &k->config;
    int port = config->port < 0 ? 0 : config->port ? config->port : KUBELET_PORT;
    if (!config->client_ca_file) {
        *ret_error = xstrdup("the kubelet's server needs the CA of its clients");
        return -EINVAL;
    }
    HttpServerConfig server = {
        .bind = str_or(config->bind, "0.0.0.0"),
        .port = (uint16_t)port,
        .cert_file = config->cert_file,
        .key_file = config->key_file,
        .client_ca_file = config->client_ca_file,
        .threads = SERVER_THREADS,
        .handler = handle,
        .userdata = k,
    };
    k->auth = auth_new(k->client);
    int r = http_server_start(&server, &k->server);
    if (r < 0)
        *ret_error = xasprintf("cannot serve on %s:%d: %s", server.bind, port, strerror(-r));
    return r;
}

/* Work on the pool posts to the server's loops: they go when it has ended. */
void kubelet_server_stop(Kubelet *k) {
    while (atomic_load(&k->requests) > 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    http_server_stop(k->server, NS_PER_SEC);
    k->server = NULL;
}
