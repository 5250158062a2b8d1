#define LOG_COMPONENT "apiserver"
#include "apiserver/server.h"
#include "apiserver/admission/admission.h"
#include "apiserver/aggregation.h"
#include "apiserver/registry/webhook_client.h"
#include "apiserver/bootstrap.h"
#include "apiserver/cluster_pki.h"
#include "apiserver/custom_definitions.h"
#include "apiserver/event_ttl.h"
#include "apiserver/flow_control.h"
#include "apiserver/flow_schema_status.h"
#include "apiserver/filters/escalation.h"
#include "apiserver/handlers/aggregate.h"
#include "apiserver/handlers/forward.h"
#include "apiserver/handlers/openapi_texts.h"
#include "apiserver/handlers/serve.h"
#include "apiserver/handlers/watch_hub.h"
#include "apiserver/kubernetes_service.h"
#include "apiserver/metrics.h"
#include "apiserver/paths.h"
#include "apiserver/rbac_bootstrap.h"
#include "apiserver/reviews.h"
#include "apiserver/service_ip_repair.h"
#include "apiserver/registry/go_duration.h"
#include "apiserver/storage/driver.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/host_address.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define ETCD_WAIT_SECONDS 60                 /* for a server to answer at start */
#define REQUEST_TIMEOUT_NS (60 * NS_PER_SEC) /* --request-timeout of kube-apiserver */

struct ApiServer {
    char *data_dir, *advertise, *cluster_address, *service_range, *url, *cluster_url, *address, *jwks_uri;
    char service_ip[64];
    Store *store;
    ClusterPki pki;
    TokenIssuer tokens;
    Authenticator *authenticator;
    Authorizer *authorizer;
    Reviews reviews;
    WebhookClient *webhooks;
    Admission *admission;
    CustomResources *custom;
    CustomDefinitions *definitions;
    ApiServices *api_services;
    Aggregation *aggregation;
    ApiCore *core;
    ApiHttp *api;
    Metrics *metrics;
    EventTtl *event_ttl;
    KubernetesService *kubernetes_service;
    Client *own_client; /* as system:apiserver */
    ServiceIpRepair *service_ips;
    FlowSchemaStatus *flow_schemas;
    char *descriptions; /* the file; "": none */
    ServerPaths *paths;
    HttpServer *http;
    Health *health;
    Zpages *pages;
};

static bool is_mutating(const char *method) {
    return !streq(method, "GET") && !streq(method, "HEAD");
}

static void exchange_done(Exchange *exchange, int code, void *userdata) {
    ApiServer *server = userdata;
    const char *method = http_method(exchange->http);
    metrics_end(server->metrics, is_mutating(method), &exchange->route, method, code,
                now_monotonic_ns() - exchange->started_ns);
}

static bool header_at(const void *request, size_t index, const char **ret_name, const char **ret_value) {
    return http_header_at(request, index, ret_name, ret_value);
}

/* Connections are authorized by their method, as if they were requests for the object. "": no verb has it. */
static const char *connect_verb(const char *method) {
    static const char *const verbs[][2] = {{"GET", "get"},    {"HEAD", "get"},    {"POST", "create"},
                                           {"PUT", "update"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
    for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
        if (streq(verbs[i][0], method))
            return verbs[i][1];
    return "";
}

/* Authentication, impersonation, authorization: what a request must pass before anything looks at it. */
static int filter(ApiServer *server, Exchange *exchange, ApiError *err) {
    const Route *route = &exchange->route;
    UserInfo *user = NULL, *as = NULL;
    Arena *arena = exchange->arena;
    _cleanup_(selector_freep) Selector *fields = NULL;
    int r = authenticate_request(server->authenticator, exchange->http, arena, &user, err);
    r = r < 0 ? r : authz_impersonate(server->authorizer, user, header_at, exchange->http, arena, &as, err);
    if (r < 0)
        return r;
    user = as ? as : user;
    exchange->request.user = user;
    bool resource = route->kind == ROUTE_RESOURCE;
    const char *method = http_method(exchange->http), *selector = query_get(&exchange->query, "fieldSelector");
    if (resource && !str_empty(selector))
        field_selector_parse(selector, &fields, NULL);
    AuthzAttributes a = {
        .user = user,
        .is_resource = resource,
        .path = route->path,
        .verb = !resource                                                       ? str_lower(arena, method)
                : route->verb == API_CONNECT || str_empty(connect_verb(method)) ? connect_verb(method)
                                                                                : authz_verb(route->verb),
        .group = route->group,
        .version = route->version,
        .resource = route->plural,
        .subresource = route->subresource,
        .ns = route->ns,
        .name = route->name,
        .fields = fields,
    };
    return authorize(server->authorizer, &a, err);
}

/* The group and version whose OpenAPI document is asked for; false for other paths. */
static bool is_openapi_of(Arena *arena, const char *path, const char **ret_group, const char **ret_version) {
    static const char root[] = "/openapi/v3/apis/";
    if (!str_has_prefix(path, root))
        return false;
    size_t n;
    char **parts = str_split(arena, path + strlen(root), '/', &n);
    if (n != 2)
        return false;
    *ret_group = parts[0];
    *ret_version = parts[1];
    return true;
}

/* What is passed on goes while it comes: to what stands behind a proxy subresource, or to another API server. */
static bool streams_body(const HttpRequest *http, void *userdata) {
    ApiServer *server = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const ApiService *service;
    Route route = {0};
    route_parse(arena, http_method(http), http_path(http), false, &route);
    if (route.kind != ROUTE_RESOURCE || forward_is_upgrade(http))
        return false;
    if (route.resource)
        return route.verb == API_CONNECT && streq_null(route.subresource, "proxy");
    _cleanup_(api_service_list_unrefp) ApiServiceList *list =
        api_services_find_remote(server->api_services, route.group, route.version, &service);
    return list != NULL;
}

/* It was chosen to be passed on, and there is nobody any more to whom it could be. */
static void refuse_streamed(Exchange *exchange) {
    ApiError err = {0};
    api_error_set(&err, 503, "ServiceUnavailable", "service unavailable");
    http_reply_error(exchange->http, &err);
    api_error_done(&err);
    if (exchange->done)
        exchange->done(exchange, 503, exchange->userdata);
    exchange_free(exchange);
}

/* Passes the request on when another server answers its group and version. */
static bool serve_elsewhere(ApiServer *server, Exchange *exchange) {
    const Route *route = &exchange->route;
    const char *group = route->group, *version = route->version;
    const ApiService *service;
    if (!*route->prefix && !is_openapi_of(exchange->arena, http_path(exchange->http), &group, &version))
        return false;
    _cleanup_(api_service_list_unrefp) ApiServiceList *list =
        api_services_find_remote(server->api_services, group, version, &service);
    if (!list)
        return false;
    exchange_arm(exchange);
    aggregate_serve(exchange, service);
    return true;
}

/* As the reference's filter does, before anybody asks who it is: what may last has no deadline, all else the one that
 * the client names, a minute at most. */
static int read_deadline(Exchange *exchange, ApiError *err) {
    const Route *route = &exchange->route;
    const char *text = query_get(&exchange->query, "timeout"), *wrong;
    int64_t ns = 0;
    if (route->kind == ROUTE_RESOURCE ? route->verb == API_WATCH || route->verb == API_CONNECT
                                      : str_has_prefix(route->path, "/debug/pprof/"))
        return 0;
    if (!str_empty(text) && (wrong = go_duration_parse(exchange->arena, text, &ns)))
        return api_error_bad_request(err, "invalid timeout specified in the request URL - %s", wrong);
    if (ns <= 0 || (uint64_t)ns > REQUEST_TIMEOUT_NS)
        ns = (int64_t)REQUEST_TIMEOUT_NS;
    exchange->request.deadline_ns = exchange->started_ns + (uint64_t)ns;
    return 0;
}

static void on_request(HttpRequest *http, void *userdata) {
    ApiServer *server = userdata;
    const char *method = http_method(http);
    Arena *arena = arena_new(API_TREE_MAX);
    Exchange *exchange = exchange_new(server->api, http, arena);
    ApiError err = {0};
    metrics_begin(server->metrics, is_mutating(method));
    exchange->done = exchange_done;
    exchange->userdata = server;
    query_parse(arena, http_query(http), &exchange->query);
    route_parse(arena, method, http_path(http), query_bool(&exchange->query, "watch"), &exchange->route);
    Route *route = &exchange->route;
    if (route->kind == ROUTE_RESOURCE && !route->resource)
        route_resolve(route, method,
                      custom_resources_find(server->custom, route->group, route->version, route->plural));
    if (read_deadline(exchange, &err) < 0)
        exchange_fail(exchange, &err);
    else if (exchange_is_late(exchange))
        exchange_finish(exchange, 504);
    else if (filter(server, exchange, &err) < 0)
        exchange_fail(exchange, &err);
    else if (serve_elsewhere(server, exchange))
        return;
    else if (http_body_is_streamed(http) && route->verb != API_CONNECT)
        refuse_streamed(exchange);
    else if (exchange->route.kind == ROUTE_RESOURCE)
        exchange_serve(exchange);
    else {
        server_paths_serve(server->paths, http, arena, exchange->route.path);
        exchange_done(exchange, 200, server);
        exchange_free(exchange);
    }
}

static void write_metrics(Buf *out, void *userdata) {
    ApiServer *server = userdata;
    metrics_write(server->metrics, out, watch_hub_count(api_http_watch_hub(server->api)));
    admission_metrics_write(server->admission, out);
    custom_resources_metrics_write(server->custom, out);
}

bool apiserver_etcd_flags_ok(const char *program, ApiServerEtcd *etcd, const FlagList *servers) {
    const char *wrong = NULL;
    etcd->servers = servers->n ? servers->items : NULL;
    if (!etcd->servers && (etcd->ca_file || etcd->cert_file || etcd->key_file || etcd->prefix))
        wrong = "--etcd-servers is missing";
    else if (!etcd->cert_file != !etcd->key_file)
        wrong = "--etcd-certfile and --etcd-keyfile go together";
    else if (etcd->compaction_ns < 0 || etcd->compaction_ns / (int64_t)NS_PER_SEC > UINT32_MAX ||
             (etcd->compaction_ns && etcd->compaction_ns < (int64_t)NS_PER_SEC))
        wrong = "--etcd-compaction-interval is 0 or a second at least";
    if (wrong)
        fprintf(stderr, "%s: %s\n", program, wrong);
    return !wrong;
}

static int open_etcd(const ApiServerEtcd *etcd, StoreDriver **ret) {
    _cleanup_free_ char *why = NULL;
    EtcdDriverConfig config = {.servers = etcd->servers,
                               .ca_file = etcd->ca_file,
                               .cert_file = etcd->cert_file,
                               .key_file = etcd->key_file,
                               .prefix = etcd->prefix,
                               .compaction_seconds = (uint32_t)(etcd->compaction_ns / (int64_t)NS_PER_SEC),
                               .start_wait_seconds = ETCD_WAIT_SECONDS};
    int r = etcd_driver_open(&config, ret, &why);
    if (r < 0)
        log_error("%s", why);
    return r;
}

static int open_store(ApiServer *server, const ApiServerEtcd *etcd) {
    _cleanup_free_ char *path = xasprintf("%s/store.db", server->data_dir);
    StoreDriver *driver;
    int r = fs_mkdir_p(server->data_dir, 0700);
    if (r == 0)
        r = etcd->servers ? open_etcd(etcd, &driver) : sqlite_driver_open(path, &driver);
    r = r < 0 ? r : store_open(driver, registry_set_defaults, &server->store);
    if (r < 0)
        log_error("cannot open the store %s: %s", etcd->servers ? "in etcd" : path, strerror(-r));
    return r;
}

/* Where the store does it by itself, each server's clock has no say in when events go. */
static void expire_events(ApiServer *server) {
    if (store_set_ttl(server->store, resource_find("", "v1", "events"), EVENT_TTL_SECONDS) < 0)
        server->event_ttl = event_ttl_start(server->store);
}

/* They are read when OpenAPI is first asked for; of a file that was named, whether it will do is told now. */
static int check_descriptions(const char *path) {
    _cleanup_(openapi_texts_freep) OpenApiTexts *texts = NULL;
    _cleanup_free_ char *why = NULL;
    int r = str_empty(path) ? 0 : openapi_texts_read(path, &texts, &why);
    if (r < 0)
        log_error("--openapi-descriptions %s", why);
    return r;
}

static int open_filters(ApiServer *server, const ApiServerConfig *config) {
    int r = token_issuer_open(config->tokens, server->pki.token_key, &server->tokens);
    AuthnConfig authn = {
        .store = server->store,
        .token_file = config->token_auth_file,
        .issuers = server->tokens.issuers,
        .audiences = server->tokens.audiences,
        .keys = &server->tokens.keys,
        .front_name = CLUSTER_PKI_FRONT_NAME,
    };
    r = r < 0 ? r : authenticator_new(&authn, &server->authenticator);
    r = r < 0 ? r : authorizer_new(server->store, &server->authorizer);
    server->reviews = (Reviews){server->authenticator, server->authorizer};
    return r;
}

static bool admission_question(void *userdata, const AdmissionQuestion *question, Arena *arena) {
    ApiServer *server = userdata;
    const char *reason;
    AuthzAttributes a = {
        .user = question->user,
        .verb = question->verb,
        .is_resource = true,
        .group = question->group,
        .version = question->version,
        .resource = question->resource,
        .ns = question->ns,
        .name = question->name,
    };
    return authorizer_allows(server->authorizer, &a, arena, &reason);
}

int apiserver_authorize(ApiServer *server, const ApiRequest *request, ApiError *err) {
    AuthzAttributes a = {
        .user = request->user,
        .verb = authz_verb(request->verb),
        .is_resource = !request->document,
        .path = request->document,
        .group = request->resource ? request->resource->group : NULL,
        .version = request->resource ? request->resource->version : NULL,
        .resource = request->resource ? request->resource->plural : NULL,
        .subresource = request->subresource,
        .ns = request->ns,
        .name = request->name,
    };
    return authorize(server->authorizer, &a, err);
}

static int open_admission(ApiServer *server, const ApiServerConfig *config) {
    _cleanup_free_ char *why = NULL;
    AdmissionConfig admission = {
        .enabled = config->enabled_admission,
        .disabled = config->disabled_admission,
        .allows = admission_question,
        .userdata = server,
        .store = server->store,
        .webhook_client = server->webhooks = webhook_client_new(server->store),
    };
    int r = admission_open(&admission, &server->admission, &why);
    if (r < 0)
        log_error("%s", why);
    return r;
}

static AdmissionHooks hooks_of(ApiServer *server) {
    AdmissionHooks hooks = admission_hooks(server->admission);
    hooks.guard = escalation_guard;
    hooks.guard_userdata = server->authorizer;
    return hooks;
}

static void open_core(ApiServer *server) {
    server->custom = custom_resources_new(server->webhooks);
    ApiCoreConfig core = {
        .store = server->store,
        .custom = server->custom,
        .settings = {.service_cluster_ip_range = server->service_range,
                     .node_port_first = 30000,
                     .node_port_last = 32767},
        .admission = hooks_of(server),
        .token_key = server->tokens.signing_key,
        .issuer = server->tokens.issuers[0],
        .audiences = server->tokens.audiences,
        .max_expiration_seconds = server->tokens.max_expiration_seconds,
        .extend_expiration = server->tokens.extend_expiration,
        .review_check = reviews_check,
        .review = reviews_answer,
        .review_userdata = &server->reviews,
    };
    server->core = api_core_new(&core);
    server->metrics = metrics_new(server->core);
    server->api_services = api_services_new();
    ApiHttpConfig api = {
        .core = server->core,
        .services = server->api_services,
        .front_cert_file = server->pki.front_client_cert,
        .front_key_file = server->pki.front_client_key,
        .node_ca_file = server->pki.ca_file,
        .node_cert_file = server->pki.node_client_cert,
        .node_key_file = server->pki.node_client_key,
    };
    server->api = api_http_new(&api);
}

static bool is_wildcard(const char *address) {
    return streq(address, "0.0.0.0") || streq(address, "::");
}

/* Between listening and the first request: with port 0 the kernel has chosen. */
static void open_paths(uint16_t port, void *userdata) {
    ApiServer *server = userdata;
    server->address = xasprintf("%s:%u", server->advertise, port);
    server->jwks_uri = xasprintf("https://%s:%u/openid/v1/jwks", server->cluster_address, port); /* pods read it */
    ServerPathsConfig paths = {
        .api = server->api,
        .issuer = server->tokens.is_discoverable ? server->tokens.issuers[0] : NULL,
        .jwks_uri = str_or(server->tokens.jwks_uri, server->jwks_uri),
        .server_address = server->address,
        .token_keys = &server->tokens.keys,
        .descriptions = server->descriptions,
        .health = server->health,
        .pages = server->pages,
        .metrics = write_metrics,
        .userdata = server,
    };
    server->paths = server_paths_new(&paths);
}

static int open_door(ApiServer *server, const ApiServerConfig *config) {
    const char *bind = str_or(config->bind, "127.0.0.1");
    HttpServerConfig http = {
        .bind = bind,
        .also = is_wildcard(bind) || streq(bind, server->cluster_address) ? NULL : config->cluster_address,
        .port = config->port,
        .cert_file = server->pki.server_cert,
        .key_file = server->pki.server_key,
        .client_ca_file = server->pki.ca_file,
        .front_ca_file = server->pki.front_ca_file,
        .threads = config->threads,
        .handler = on_request,
        .streams = streams_body,
        .listening = open_paths,
        .userdata = server,
    };
    int r = http_server_start(&http, &server->http);
    if (r < 0)
        log_error("cannot listen on %s%s%s port %u: %s", bind, http.also ? " and " : "", str_or(http.also, ""),
                  config->port, strerror(-r));
    return r;
}

static int write_kubeconfigs(ApiServer *server, const ApiServerConfig *config) {
    static const char *const masters[] = {"system:masters", NULL};
    static const struct {
        const char *name, *user;
        bool on_nodes; /* it runs where the nodes are */
    } components[] = {
        {"scheduler", "system:kube-scheduler", false},
        {"controllers", "system:kube-controller-manager", false},
        {"proxy", "system:kube-proxy", true},
    };
    _cleanup_free_ char *dir = xasprintf("%s/kubeconfigs", server->data_dir),
                        *admin = xasprintf("%s/kubeconfig", server->data_dir);
    int r = fs_mkdir_p(dir, 0700);
    r = r < 0 ? r : cluster_pki_kubeconfig(&server->pki, server->url, "admin", "kubernetes-admin", masters, admin);
    if (r == 0 && config->kubeconfig)
        r = cluster_pki_kubeconfig(&server->pki, server->url, "admin", "kubernetes-admin", masters, config->kubeconfig);
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(components); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s.kubeconfig", dir, components[i].name);
        r = cluster_pki_kubeconfig(&server->pki, components[i].on_nodes ? server->cluster_url : server->url,
                                   components[i].name, components[i].user, NULL, path);
    }
    return r;
}

static char *url_of(const ApiServer *server, const char *address) {
    bool v6 = strchr(address, ':') != NULL;
    return xasprintf("https://%s%s%s:%u", v6 ? "[" : "", address, v6 ? "]" : "", apiserver_port(server));
}

static void start_controllers(ApiServer *server) {
    static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
    static const UserInfo self = {.name = "system:apiserver", .groups = groups};
    server->own_client = apiserver_local_client(server, &self, "kube-apiserver");
    server->service_ips = service_ip_repair_start(server->own_client, server->health);
    server->flow_schemas = flow_schema_status_start(server->own_client);
}

static int start(ApiServer *server, const ApiServerConfig *config) {
    const char *bind = str_or(config->bind, "127.0.0.1");
    server->data_dir = xstrdup(config->data_dir);
    server->advertise = xstrdup(config->advertise ? config->advertise : is_wildcard(bind) ? "127.0.0.1" : bind);
    bool everywhere = is_wildcard(bind) && !config->advertise && !config->cluster_address; /* then pods know one too */
    server->cluster_address = everywhere ? host_address() : xstrdup(str_or(config->cluster_address, server->advertise));
    server->service_range = xstrdup(str_or(config->service_cluster_ip_range, APISERVER_SERVICE_RANGE));
    server->descriptions =
        xstrdup(config->openapi_descriptions ? config->openapi_descriptions : APISERVER_DESCRIPTIONS_FILE);
    int r = service_range_address(server->service_range, 1, server->service_ip);
    if (r < 0) {
        log_error("the service range %s is not an address range such as 10.96.0.0/16", server->service_range);
        return r;
    }
    ClusterPkiSpec pki = {.data_dir = server->data_dir,
                          .cluster_dir = config->cluster_pki_dir,
                          .advertise = server->advertise,
                          .cluster_address = server->cluster_address,
                          .service_ip = server->service_ip,
                          .extra_names = config->extra_names};
    r = check_descriptions(config->openapi_descriptions);
    r = r < 0 ? r : open_store(server, &config->etcd);
    if (r == 0)
        expire_events(server);
    r = r < 0 ? r : cluster_pki_open(&pki, &server->pki);
    r = r < 0 ? r : open_filters(server, config);
    r = r < 0 ? r : open_admission(server, config);
    if (r < 0)
        return r;
    open_core(server);
    server->health = health_new(server->store, server->pki.server_cert);
    server->pages = zpages_new("apiserver", config->flags, config->n_flags);
    server->definitions = custom_definitions_start(api_core_registry(server->core), server->custom, server->health);
    r = open_door(server, config);
    if (r < 0)
        return r;
    server->url = url_of(server, server->advertise);
    server->cluster_url = url_of(server, server->cluster_address);
    BootstrapSpec bootstrap = {.advertise = server->cluster_address,
                               .port = apiserver_port(server),
                               .service_range = server->service_range,
                               .service_ip = server->service_ip,
                               .health = server->health};
    AggregationConfig aggregation = {.api = server->api,
                                     .health = server->health,
                                     .client_ca_file = server->pki.ca_file,
                                     .front_ca_file = server->pki.front_ca_file,
                                     .front_name = CLUSTER_PKI_FRONT_NAME};
    r = bootstrap_cluster(server->core, server->health);
    r = r < 0 ? r : rbac_bootstrap(server->core);
    health_report(server->health, HEALTH_ROLES, r == 0);
    r = r < 0 ? r : flow_control_bootstrap(server->core);
    health_report(server->health, HEALTH_FLOW_CONTROL, r == 0);
    if (r == 0)
        server->aggregation = aggregation_start(&aggregation);
    r = r < 0 ? r : kubernetes_service_start(server->core, &bootstrap, &server->kubernetes_service);
    if (r == 0)
        start_controllers(server);
    return r < 0 ? r : write_kubeconfigs(server, config);
}

int apiserver_start(const ApiServerConfig *config, ApiServer **ret) {
    ApiServer *server = NEW0(ApiServer);
    int r = start(server, config);
    if (r < 0) {
        apiserver_stop(server);
        return r;
    }
    *ret = server;
    return 0;
}

void apiserver_stop(ApiServer *server) {
    if (!server)
        return;
    health_shut_down(server->health);
    if (server->http)
        http_server_stop(server->http, APISERVER_STOP_NS);
    event_ttl_stop(server->event_ttl);
    service_ip_repair_stop(server->service_ips);
    flow_schema_status_stop(server->flow_schemas);
    client_free(server->own_client);
    kubernetes_service_stop(server->kubernetes_service);
    aggregation_stop(server->aggregation);
    custom_definitions_stop(server->definitions);
    api_http_free(server->api);
    server_paths_free(server->paths);
    free(server->descriptions);
    zpages_free(server->pages);
    health_free(server->health);
    metrics_free(server->metrics);
    api_core_free(server->core);
    api_services_free(server->api_services);
    admission_free(server->admission);
    webhook_client_free(server->webhooks);
    authorizer_free(server->authorizer);
    authenticator_free(server->authenticator);
    token_issuer_done(&server->tokens);
    if (server->store)
        store_close(server->store);
    custom_resources_free(server->custom);
    cluster_pki_done(&server->pki);
    free(server->data_dir);
    free(server->advertise);
    free(server->service_range);
    free(server->url);
    free(server->cluster_url);
    free(server->cluster_address);
    free(server->address);
    free(server->jwks_uri);
    free(server);
}

uint16_t apiserver_port(const ApiServer *server) {
    return http_server_port(server->http);
}

ApiHttp *apiserver_http(ApiServer *server) {
    return server->api;
}

ApiCore *apiserver_core(ApiServer *server) {
    return server->core;
}

ApiServices *apiserver_api_services(ApiServer *server) {
    return server->api_services;
}

int apiserver_own_kubeconfig(ApiServer *server, const UserInfo *user, Kubeconfig *ret) {
    Kubeconfig config = {0};
    PkiCertSpec spec = {.common_name = user->name, .organizations = user->groups, .client = true};
    int r = pki_cert_issue(server->pki.ca, &spec, &config.cert_pem, &config.key_pem);
    if (r < 0)
        return r;
    config.server = xstrdup(server->url);
    config.ca_pem = xstrdup(pki_ca_cert_pem(server->pki.ca));
    *ret = config;
    return 0;
}

void node_credentials_done(NodeCredentials *credentials) {
    free(credentials->kubeconfig);
    free(credentials->cert_file);
    free(credentials->key_file);
    free(credentials->ca_file);
    *credentials = (NodeCredentials){0};
}

int apiserver_node_credentials(ApiServer *server, const char *node, const char *const *addresses,
                               NodeCredentials *ret) {
    static const char *const nodes[] = {"system:nodes", NULL};
    const char *names[] = {node, NULL};
    _cleanup_free_ char *user = xasprintf("system:node:%s", node);
    NodeCredentials c = {
        .kubeconfig = xasprintf("%s/kubeconfigs/node-%s.kubeconfig", server->data_dir, node),
        .cert_file = xasprintf("%s/nodes/%s.crt", server->pki.dir, node),
        .key_file = xasprintf("%s/nodes/%s.key", server->pki.dir, node),
        .ca_file = xstrdup(server->pki.ca_file),
    };
    PkiCertSpec spec = {.common_name = user,
                        .organizations = nodes,
                        .dns_names = names,
                        .ip_addresses = addresses,
                        .server = true,
                        .client = true};
    int r = pki_cert_ensure(server->pki.ca, c.cert_file, c.key_file, &spec, NULL);
    r = r < 0 ? r
              : cluster_pki_write_kubeconfig(&server->pki, server->cluster_url, user, c.cert_file, c.key_file,
                                             c.kubeconfig);
    if (r < 0) {
        node_credentials_done(&c);
        return r;
    }
    *ret = c;
    return 0;
}
