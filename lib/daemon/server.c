#define LOG_COMPONENT "daemon"
#include "daemon/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "client/informer.h"
#include "daemon/zpages.h"
#include "http/pki.h"
#include "loop/pool.h"

#include <errno.h>

#define TRUST_NAMESPACE "kube-system"
#define TRUST_CONFIG_MAP "extension-apiserver-authentication" /* the API server writes there whom it trusts */
#define TRUST_KEY "client-ca-file"
#define HEADERS_MAX 3

struct DaemonServer {
    DaemonServerConfig config;
    HttpServerConfig http_config; /* its certificates: what a reload changes the clients' CA of */
    char *cert_pem, *key_pem;     /* when no files were given */
    Client *own[2];               /* of kubeconfigs that nobody else has */
    Client *authentication, *authorization;
    Delegate *delegate;
    Zpages *zpages;
    Pool *pool;
    HttpServer *http;
    InformerSet *trust; /* NULL: the clients' CA is a file, or nobody's */
};

/* ---- answers ---- */

typedef struct Job {
    DaemonServer *server;
    HttpRequest *http; /* a reference */
    Arena *arena;
} Job;

static void reply(HttpRequest *http, int status, const char *content_type, bool sniffs, Buf *body) {
    HttpHeader headers[HEADERS_MAX] = {{"cache-control", "no-cache, private"}, {"content-type", content_type}};
    size_t n = 2;
    if (!sniffs)
        headers[n++] = (HttpHeader){"x-content-type-options", "nosniff"};
    http_reply(http, status, headers, n, http_bytes_take(body));
}

static void reply_text(HttpRequest *http, int status, const char *text) {
    Buf body = BUF_INIT(CHECKS_REPLY_MAX);
    buf_puts(&body, text);
    reply(http, status, "text/plain; charset=utf-8", false, &body);
}

static void reply_status(const Job *job, int code, const char *reason, const char *message) {
    _cleanup_api_error_ ApiError err = {0};
    Buf body = BUF_INIT(CHECKS_REPLY_MAX);
    api_error_set(&err, code, reason, "%s", message);
    err.no_details = code == 401;
    err.empty_details = code == 403;
    value_write_json(&body, api_error_to_status(job->arena, &err));
    buf_putc(&body, '\n');
    reply(job->http, code, "application/json", code == 401, &body);
}

bool daemon_path_allowed(const FlagList *list, const char *path) {
    static const FlagList DEFAULT = {.items = {"/healthz,/readyz,/livez"}, .n = 1};
    if (list->n == 0)
        list = &DEFAULT;
    for (size_t i = 0; i < list->n; i++)
        for (const char *p = list->items[i]; *p;) {
            size_t n = strcspn(p, ",");
            bool begins = n > 0 && p[n - 1] == '*';
            size_t fixed = n - begins;
            if (n > 0 && strncmp(path, p, fixed) == 0 && (begins || !path[fixed]))
                return true;
            p += n + (p[n] == ',');
        }
    return false;
}

/* False: an error was replied. */
static bool may(const Job *job) {
    Arena *arena = job->arena;
    DaemonServer *server = job->server;
    const char *path = http_path(job->http), *why = "";
    const Value *user = delegate_identify(server->delegate, job->http, arena);
    bool allowed = false;
    if (!user) {
        reply_status(job, 401, "Unauthorized", "Unauthorized");
        return false;
    }
    if (delegate_is_privileged(user) || daemon_path_allowed(&server->config.serving->always_allow, path))
        return true;
    char *verb = str_lower(arena, http_method(job->http));
    Value *attributes = value_object(arena);
    value_set_str(arena, attributes, "path", path);
    value_set_str(arena, attributes, "verb", verb);
    if (delegate_ask(server->delegate, arena, user, "nonResourceAttributes", attributes, &allowed, &why) < 0)
        reply_text(job->http, 500, arena_printf(arena, "Internal Server Error: \"%s\": %s\n", path, why));
    else if (!allowed)
        reply_status(job, 403, "Forbidden",
                     arena_printf(arena, "forbidden: User \"%s\" cannot %s path \"%s\"%s%s",
                                  value_get_str(user, "username"), verb, path, *why ? ": " : "", why));
    return allowed;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(value_str(*(Value *const *)a), value_str(*(Value *const *)b));
}

static Value *list_paths(const Job *job) {
    const DaemonServerConfig *config = &job->server->config;
    Value *list = value_array(job->arena);
    for (size_t i = 0; i < config->n_pages; i++)
        value_append(job->arena, list, value_string(job->arena, config->pages[i].path));
    value_append(job->arena, list, value_string(job->arena, "/flagz")); /* not /statusz itself, as the reference */
    checks_list_paths(config->checks, job->arena, list);
    qsort(list->items, list->len, sizeof *list->items, compare_paths);
    return list;
}

static void answer(const Job *job) {
    const DaemonServerConfig *config = &job->server->config;
    const char *path = http_path(job->http);
    ChecksPath which;
    if (checks_find(config->checks, path, &which) == 0) {
        Buf out = BUF_INIT(CHECKS_REPLY_MAX);
        int status = checks_answer(config->checks, &which, http_query(job->http), &out);
        return reply(job->http, status, "text/plain; charset=utf-8", which.one != NULL, &out);
    }
    for (size_t i = 0; i < config->n_pages; i++)
        if (streq(config->pages[i].path, path)) {
            Buf out = BUF_INIT(DAEMON_PAGE_MAX);
            config->pages[i].write(&out, config->userdata);
            if (out.failed) {
                buf_done(&out);
                return reply_text(job->http, 500, "the page is longer than this server makes it\n");
            }
            return reply(job->http, 200, config->pages[i].content_type, config->pages[i].sniffs, &out);
        }
    if (streq(path, "/metrics/slis")) {
        Buf out = BUF_INIT(DAEMON_PAGE_MAX);
        checks_write_slis(config->checks, &out);
        return reply(job->http, 200, DAEMON_METRICS_TYPE, true, &out);
    }
    const Zpage *zpage = zpages_find(path);
    if (!zpage)
        return reply_text(job->http, 404, "404 page not found\n");
    Buf out = BUF_INIT(ZPAGE_MAX);
    zpage_write(job->server->zpages, zpage, list_paths(job), &out);
    reply(job->http, 200, "text/plain; charset=utf-8", true, &out);
}

static void job_run(void *userdata) {
    Job *job = userdata;
    if (may(job))
        answer(job);
    http_request_unref(job->http);
    arena_free(job->arena);
    free(job);
}

static void handle(HttpRequest *http, void *userdata) {
    DaemonServer *server = userdata;
    Job *job = NEW(Job);
    *job = (Job){server, http_request_ref(http), arena_new(0)};
    if (pool_submit(server->pool, job_run, job) == 0)
        return;
    reply_status(job, 429, "TooManyRequests", "Too many requests, please try again later.");
    http_request_unref(job->http);
    arena_free(job->arena);
    free(job);
}

/* ---- whom to trust ---- */

/* On the informers' thread, the only one that reloads. */
static void trust_changed(Object *object, void *userdata) {
    DaemonServer *server = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *pem = value_get_str(value_get(object_value(object, arena), "data"), TRUST_KEY);
    HttpServerConfig config = server->http_config;
    config.client_ca_pem = str_empty(pem) ? NULL : pem;
    int r = http_server_reload(server->http, &config);
    if (r < 0)
        log_warn("%s: the CA of clients in the config map " TRUST_NAMESPACE "/" TRUST_CONFIG_MAP ": %s",
                 server->config.component, strerror(-r));
}

static void trust_updated(_unused_ Object *old, Object *object, void *userdata) {
    trust_changed(object, userdata);
}

static void trust_deleted(_unused_ Object *object, _unused_ void *userdata) {
    /* as the reference: what was read last goes on to hold */
}

static void follow_trust(DaemonServer *server) {
    static const InformerHandler handler = {trust_changed, trust_updated, trust_deleted};
    server->trust = informer_set_new(server->authentication);
    Informer *informer = informer_get(server->trust, resource_find("", "v1", "configmaps"), TRUST_NAMESPACE,
                                      "metadata.name=" TRUST_CONFIG_MAP);
    informer_add_handler(informer, &handler, server);
    informer_set_start(server->trust);
}

/* ---- its life ---- */

static int client_of(DaemonServer *server, const char *kubeconfig, Client *given, size_t at, Client **ret) {
    _cleanup_free_ char *error = NULL;
    *ret = given;
    if (!kubeconfig)
        return 0;
    if (server->config.kubeconfig && streq(kubeconfig, server->config.kubeconfig)) {
        *ret = server->config.client;
        return 0;
    }
    int r = client_http_from_kubeconfig(kubeconfig, server->config.component, &server->own[at], &error);
    if (r < 0)
        log_error("cannot use kubeconfig %s: %s", kubeconfig, error);
    *ret = server->own[at];
    return r;
}

static int make_delegate(DaemonServer *server) {
    const DaemonServing *serving = server->config.serving;
    int r = client_of(server, serving->authentication_kubeconfig, server->config.authentication, 0,
                      &server->authentication);
    if (r == 0)
        r = client_of(server, serving->authorization_kubeconfig, server->config.authorization, 1,
                      &server->authorization);
    if (r < 0)
        return r;
    if (!server->authorization)
        log_warn("no --authorization-kubeconfig: %s lets nobody see more than what is always allowed",
                 server->config.component);
    server->delegate = delegate_new(&(DelegateConfig){.authentication = server->authentication,
                                                      .authorization = server->authorization,
                                                      .anonymous = true,
                                                      .token_ttl_ns = DAEMON_REVIEW_TTL_NS,
                                                      .allowed_ttl_ns = DAEMON_REVIEW_TTL_NS,
                                                      .denied_ttl_ns = DAEMON_REVIEW_TTL_NS});
    return 0;
}

static int make_identity(DaemonServer *server) {
    const DaemonServing *serving = server->config.serving;
    if (!serving->cert_file != !serving->key_file) {
        log_error("--tls-cert-file and --tls-private-key-file go together");
        return -EINVAL;
    }
    return serving->cert_file ? 0 : pki_self_signed(&server->cert_pem, &server->key_pem);
}

static int listen_on(DaemonServer *server, uint16_t port) {
    const DaemonServing *serving = server->config.serving;
    server->http_config =
        (HttpServerConfig){.bind = str_or(serving->bind, str_or(server->config.default_bind, "0.0.0.0")),
                           .port = port,
                           .cert_file = serving->cert_file,
                           .key_file = serving->key_file,
                           .cert_pem = server->cert_pem,
                           .key_pem = server->key_pem,
                           .client_ca_file = serving->client_ca_file,
                           .threads = 1,
                           .max_connections = DAEMON_CONNECTIONS,
                           .handler = handle,
                           .userdata = server};
    return http_server_start(&server->http_config, &server->http);
}

int daemon_server_start(const DaemonServerConfig *config, DaemonServer **ret) {
    int64_t asked = config->serving->port;
    uint16_t port = asked == DAEMON_ANY_PORT       ? 0
                    : asked == DAEMON_DEFAULT_PORT ? config->default_port
                                                   : (uint16_t)asked;
    *ret = NULL;
    if (asked == 0)
        return 0;
    if (asked < DAEMON_ANY_PORT || asked > UINT16_MAX) {
        log_error("a port of %s is from 0 to %d", config->component, UINT16_MAX);
        return -EINVAL;
    }
    _cleanup_(daemon_server_stopp) DaemonServer *server = NEW0(DaemonServer);
    server->config = *config;
    int r = make_delegate(server);
    if (r == 0)
        r = make_identity(server);
    if (r < 0)
        return r;
    server->zpages = zpages_new(config->component, config->flags, config->n_flags);
    server->pool = pool_new("daemon", DAEMON_THREADS, DAEMON_QUEUE);
    r = listen_on(server, port);
    if (r == -EADDRINUSE && asked == DAEMON_DEFAULT_PORT) {
        log_warn("%s serves no health checks and metrics: port %u is taken", config->component, port);
        return 0;
    }
    if (r < 0) {
        log_error("%s cannot serve on %s:%u: %s", config->component, server->http_config.bind, port, strerror(-r));
        return r;
    }
    if (!config->serving->client_ca_file && server->authentication)
        follow_trust(server);
    *ret = TAKE_PTR(server);
    return 0;
}

uint16_t daemon_server_port(const DaemonServer *server) {
    return http_server_port(server->http);
}

void daemon_server_stop(DaemonServer *server) {
    if (!server)
        return;
    informer_set_free(server->trust);
    if (server->pool) /* answers post to the server's loop: they go when they have ended */
        http_server_stop(server->http, DAEMON_STOP_NS);
    pool_free(server->pool);
    delegate_free(server->delegate);
    zpages_free(server->zpages);
    for (size_t i = 0; i < ELEMENTSOF(server->own); i++)
        client_free(server->own[i]);
    free(server->cert_pem);
    wipe_freep(&server->key_pem);
    free(server);
}
