/* k8s.io/kube-aggregator/pkg/controllers/status/remote, and what pkg/apiserver, pkg/controllers/openapi and openapiv3
 * fetch of aggregated servers. */
#define LOG_COMPONENT "aggregation"
#include "apiserver/aggregation_check.h"
#include "apiserver/aggregation.h"
#include "apiserver/handlers/aggregate.h"
#include "apiserver/handlers/openapi_merge.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "http/fetch.h"

#include <errno.h>

#define ATTEMPTS 5 /* each at an endpoint chosen anew */
#define ATTEMPTS_NS (6 * NS_PER_SEC)
#define WRITE_ATTEMPTS 5 /* of a status that others write too */
#define ACCEPT_AGGREGATED                                                                                              \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                                            \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

typedef struct Verdict {
    const char *status, *reason, *message; /* in the arena */
} Verdict;

/* ---- questions to the server ---- */

typedef struct Question {
    const char *path, *accept, *user;
    bool master; /* asks as a member of system:masters */
} Question;

/* *ret_url: what was asked, for messages. Errors in *ret_error, in the arena. */
static int ask(const AggregationCheck *check, Arena *arena, const Question *question, HttpAnswer *ret,
               const char **ret_url, const char **ret_error) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_free_ char *why = NULL;
    ServiceEndpoint endpoint;
    const ApiService *service = check->service;
    int r = service_resolve(check->store, service->ns, service->service, service->port, &endpoint, &err);
    if (r < 0) {
        *ret_error = arena_strdup(arena, str_or(err.message, strerror(-r)));
        return r;
    }
    const char *host = aggregate_host(arena, &endpoint);
    const HttpHeader headers[] = {
        {"Host", host},
        {"Accept", question->accept},
        {"User-Agent", "kube-apiserver"},
        {"X-Remote-User", question->user},
        {"X-Remote-Group", "system:masters"},
    };
    HttpFetch fetch = {
        .to = aggregate_connect(check->config, service, &endpoint),
        .target = question->path,
        .headers = headers,
        .n_headers = ELEMENTSOF(headers) - !question->master,
        .max_body = AGGREGATION_DOCUMENT_MAX,
    };
    fetch.to.timeout_ns = AGGREGATION_CHECK_SECONDS * NS_PER_SEC;
    *ret_url = arena_printf(arena, "https://%s%s", host, question->path);
    r = http_fetch(&fetch, ret, &why);
    if (r < 0)
        *ret_error =
            arena_printf(arena, "failing or missing response from %s: Get \"%s\": %s", *ret_url, *ret_url, why);
    return r;
}

static const char *version_path(Arena *arena, const ApiService *service) {
    return *service->group ? arena_printf(arena, "/apis/%s/%s", service->group, service->version)
                           : arena_printf(arena, "/api/%s", service->version);
}

/* NULL: it answered. */
static const char *try_discovery(const AggregationCheck *check, Arena *arena) {
    Question question = {version_path(arena, check->service), "*/*", "system:kube-aggregator", true};
    uint64_t deadline = now_monotonic_ns() + ATTEMPTS_NS;
    const char *error = NULL, *url = "";
    for (int i = 0; i < ATTEMPTS && now_monotonic_ns() < deadline && !atomic_load(check->stopping); i++) {
        _cleanup_http_answer_ HttpAnswer fetched = {0};
        if (ask(check, arena, &question, &fetched, &url, &error) < 0)
            continue;
        if (fetched.status >= 200 && fetched.status < 300)
            return NULL;
        error = arena_printf(arena, "failing or missing response from %s: bad status from %s: %d", url, url,
                             fetched.status);
    }
    return str_or(error, "the server is stopping");
}

/* ---- is it there? ---- */

static const Value *find_port(const Value *service, uint16_t number) {
    const Value *port;
    VALUE_FOREACH (port, value_path(service, "spec", "ports", NULL))
        if (value_get_int(port, "port", 0) == number)
            return port;
    return NULL;
}

static int list_slices(Store *store, Arena *arena, const ApiService *service, ObjectList *ret) {
    _cleanup_(selector_freep) Selector *labels = NULL;
    _cleanup_api_error_ ApiError err = {0};
    Value *wanted = value_object(arena);
    value_set_str(arena, wanted, "kubernetes.io/service-name", service->service);
    labels = label_selector_from_map(wanted);
    ListQuery query = {
        .resource = resource_find("discovery.k8s.io", "v1", "endpointslices"), .ns = service->ns, .labels = labels};
    return store_list(store, &query, ret, &err);
}

static bool slice_has(const Value *slice, const char *port_name) {
    const Value *endpoint, *port;
    bool ready = false, named = false;
    VALUE_FOREACH (endpoint, value_get(slice, "endpoints"))
        ready |= value_get_bool(value_get(endpoint, "conditions"), "ready", true);
    VALUE_FOREACH (port, value_get(slice, "ports"))
        named |=
            streq(str_or(value_get_str(port, "name"), ""), port_name) && value_is(value_get(port, "port"), VALUE_INT);
    return ready && named;
}

static Verdict no(const char *reason, const char *message) {
    return (Verdict){"False", reason, message};
}

static bool endpoints_fail(const AggregationCheck *check, Arena *arena, const char *port_name, Verdict *ret) {
    const ApiService *service = check->service;
    _cleanup_object_list_ ObjectList slices = {0};
    if (list_slices(check->store, arena, service, &slices) < 0 || slices.n == 0) {
        *ret = no("EndpointsNotFound", arena_printf(arena, "cannot find endpointslices for service/%s in \"%s\"",
                                                    service->service, service->ns));
        return true;
    }
    for (size_t i = 0; i < slices.n; i++)
        if (slice_has(object_value(slices.items[i], arena), port_name))
            return false;
    *ret = no("MissingEndpoints",
              arena_printf(arena, "endpointslices for service/%s in \"%s\" have no addresses with port name \"%s\"",
                           service->service, service->ns, port_name));
    return true;
}

static Verdict judge(const AggregationCheck *check, Arena *arena) {
    const ApiService *service = check->service;
    _cleanup_object_ Object *object = NULL;
    Verdict verdict;
    int r = store_get(check->store, resource_find("", "v1", "services"), service->ns, service->service, &object);
    if (r == -ENOENT)
        return no("ServiceNotFound",
                  arena_printf(arena, "service/%s in \"%s\" is not present", service->service, service->ns));
    if (r < 0)
        return (Verdict){"Unknown", "ServiceAccessError",
                         arena_printf(arena, "service/%s in \"%s\" cannot be checked due to: %s", service->service,
                                      service->ns, strerror(-r))};
    const Value *v = object_value(object, arena);
    if (streq(str_or(value_get_str(value_get(v, "spec"), "type"), "ClusterIP"), "ClusterIP")) {
        const Value *port = find_port(v, service->port);
        if (!port)
            return no("ServicePortError", arena_printf(arena, "service/%s in \"%s\" is not listening on port %u",
                                                       service->service, service->ns, service->port));
        if (endpoints_fail(check, arena, str_or(value_get_str(port, "name"), ""), &verdict))
            return verdict;
    }
    const char *error = try_discovery(check, arena);
    if (error)
        return no("FailedDiscoveryCheck", error);
    return (Verdict){"True", "Passed", "all checks passed"};
}

/* ---- the condition ---- */

static void set_condition(Arena *arena, Value *object, const Verdict *verdict) {
    Value *conditions = value_ensure_array(arena, value_ensure_object(arena, object, "status"), "conditions");
    Value *item, *condition = NULL;
    char now[RFC3339_MAX];
    VALUE_FOREACH (item, conditions)
        if (streq_null(value_get_str(item, "type"), "Available"))
            condition = item;
    if (!condition) {
        condition = value_object(arena);
        value_append(arena, conditions, condition);
        value_set_str(arena, condition, "type", "Available");
    }
    if (!streq_null(value_get_str(condition, "status"), verdict->status)) {
        value_set_str(arena, condition, "status", verdict->status);
        value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(now_realtime_ns(), now));
        log_info("APIService %s: available: %s (%s: %s)",
                 str_or(value_get_str(value_get(object, "metadata"), "name"), ""), verdict->status, verdict->reason,
                 verdict->message);
    }
    value_set_str(arena, condition, "reason", verdict->reason);
    value_set_str(arena, condition, "message", verdict->message);
}

static int write_verdict(const AggregationCheck *check, Arena *arena, const Verdict *verdict) {
    static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
    static const UserInfo user = {.name = "system:apiserver", .groups = groups};
    int r = -ESTALE;
    for (int i = 0; i < WRITE_ATTEMPTS && r == -ESTALE; i++) {
        _cleanup_api_response_ ApiResponse got = {0}, put = {0};
        _cleanup_api_error_ ApiError err = {0};
        ApiRequest request = {
            .verb = API_GET,
            .resource = resource_find("apiregistration.k8s.io", "v1", "apiservices"),
            .name = check->service->name,
            .user = &user,
            .user_agent = "kube-apiserver",
            .arena = arena,
        };
        r = api_execute(check->config->core, &request, NULL, &got, &err);
        if (r < 0)
            return r;
        Value *object = object_value(got.object, arena), *before = value_copy(arena, object);
        if (!value_path(object, "spec", "service", NULL))
            return 0; /* it became this server's own meanwhile */
        set_condition(arena, object, verdict);
        if (value_equal(before, object))
            return 0;
        request.verb = API_UPDATE;
        request.subresource = "status";
        request.body = object;
        r = api_execute(check->config->core, &request, NULL, &put, &err);
    }
    return r;
}

/* ---- what it says of itself ---- */

static int fetch_json(const AggregationCheck *check, Arena *arena, const Question *question, Value **ret,
                      bool *ret_aggregated) {
    _cleanup_http_answer_ HttpAnswer fetched = {0};
    const char *url, *error = "";
    int r = ask(check, arena, question, &fetched, &url, &error);
    if (r < 0)
        return r;
    if (fetched.status != 200)
        return -ENOENT;
    const char *type = str_or(fetched.content_type, "");
    *ret_aggregated = strstr(type, "g=apidiscovery.k8s.io") && strstr(type, "as=APIGroupDiscoveryList");
    r = json_parse(arena, str_or(fetched.body.data, ""), fetched.body.len, ret, NULL, NULL);
    return r < 0 ? r : value_is(*ret, VALUE_OBJECT) ? 0 : -EBADMSG;
}

static const Value *find_by(const Value *list, const char *name, const char *text) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq(str_or(value_get_str(item, name), ""), text))
            return item;
    return NULL;
}

static const Value *find_version(const Value *groups, const ApiService *service) {
    const Value *group;
    VALUE_FOREACH (group, value_get(groups, "items"))
        if (streq(str_or(value_path(group, "metadata", "name", NULL)
                             ? value_get_str(value_get(group, "metadata"), "name")
                             : "",
                         ""),
                  service->group))
            return find_by(value_get(group, "versions"), "version", service->version);
    return NULL;
}

static Value *response_kind(Arena *arena, const Value *entry) {
    Value *kind = value_object(arena);
    value_set_str(arena, kind, "group", str_or(value_get_str(entry, "group"), ""));
    value_set_str(arena, kind, "version", str_or(value_get_str(entry, "version"), ""));
    value_set_str(arena, kind, "kind", str_or(value_get_str(entry, "kind"), ""));
    return kind;
}

static void add_resource(Arena *arena, Value *resources, const Value *entry, const char *name) {
    static const char *const copied[] = {"verbs", "shortNames", "categories"};
    Value *v = value_object(arena);
    value_set_str(arena, v, "resource", name);
    value_set(arena, v, "responseKind", response_kind(arena, entry));
    value_set_str(arena, v, "scope", value_get_bool(entry, "namespaced", false) ? "Namespaced" : "Cluster");
    value_set_str(arena, v, "singularResource", str_or(value_get_str(entry, "singularName"), ""));
    for (size_t i = 0; i < ELEMENTSOF(copied); i++)
        if (value_get(entry, copied[i]))
            value_set(arena, v, copied[i], value_copy(arena, value_get(entry, copied[i])));
    value_append(arena, resources, v);
}

static void add_subresource(Arena *arena, Value *resources, const Value *entry, const char *plural, const char *sub) {
    Value *parent = (Value *)(uintptr_t)find_by(resources, "resource", plural), *v = value_object(arena);
    if (!parent) {
        parent = value_object(arena);
        value_set_str(arena, parent, "resource", plural);
        value_set_str(arena, parent, "scope", value_get_bool(entry, "namespaced", false) ? "Namespaced" : "Cluster");
        value_append(arena, resources, parent);
    }
    value_set_str(arena, v, "subresource", sub);
    value_set(arena, v, "responseKind", response_kind(arena, entry));
    value_set(arena, v, "verbs", value_copy(arena, value_get(entry, "verbs")));
    value_append(arena, value_ensure_array(arena, parent, "subresources"), v);
}

/* An APIResourceList in the form of aggregated discovery. */
static Value *convert_classic(Arena *arena, const Value *list) {
    Value *out = value_object(arena), *resources = value_array(arena);
    const Value *entry;
    VALUE_FOREACH (entry, value_get(list, "resources")) {
        char *name = arena_strdup(arena, str_or(value_get_str(entry, "name"), "")), *slash = strchr(name, '/');
        if (!slash)
            add_resource(arena, resources, entry, name);
        else {
            *slash = 0;
            add_subresource(arena, resources, entry, name, slash + 1);
        }
    }
    value_set(arena, out, "resources", resources);
    return out;
}

static const Value *fetch_discovery(const AggregationCheck *check, Arena *arena) {
    Question modern = {"/apis", ACCEPT_AGGREGATED, "system:kube-aggregator", true};
    Question classic = {version_path(arena, check->service), "application/json", "system:kube-aggregator", false};
    Value *v = NULL;
    bool aggregated = false;
    if (fetch_json(check, arena, &modern, &v, &aggregated) == 0 && aggregated)
        return find_version(v, check->service);
    if (fetch_json(check, arena, &classic, &v, &aggregated) == 0)
        return convert_classic(arena, v);
    return NULL;
}

static const Value *fetch_openapi_v2(const AggregationCheck *check, Arena *arena) {
    Question question = {"/openapi/v2", "application/json", "system:aggregator", false};
    Value *v = NULL;
    bool ignored;
    if (fetch_json(check, arena, &question, &v, &ignored) < 0)
        return NULL;
    return openapi_filter(arena, v, arena_printf(arena, "%s/", version_path(arena, check->service)));
}

static const Value *fetch_openapi_v3(const AggregationCheck *check, Arena *arena) {
    Question question = {"/openapi/v3", "*/*", "system:aggregator", false};
    Value *v = NULL;
    bool ignored;
    return fetch_json(check, arena, &question, &v, &ignored) == 0 ? value_get(v, "paths") : NULL;
}

static bool same_documents(const ApiDocuments *a, const Value *discovery, const Value *v2, const Value *v3) {
    return a && value_equal(a->discovery, discovery) && value_equal(a->openapi_v2, v2) &&
           value_equal(a->openapi_v3, v3);
}

static void fetch_documents(AggregationCheck *check) {
    _cleanup_arena_ Arena *scratch = arena_new(0);
    const Value *discovery = fetch_discovery(check, scratch), *v2 = fetch_openapi_v2(check, scratch),
                *v3 = fetch_openapi_v3(check, scratch);
    if (same_documents(check->documents, discovery, v2, v3))
        return;
    Arena *arena = arena_new(0);
    ApiDocuments *documents = ARENA_NEW0(arena, ApiDocuments);
    documents->refs = 1;
    documents->arena = arena;
    documents->discovery = discovery ? value_copy(arena, discovery) : NULL;
    documents->openapi_v2 = v2 ? value_copy(arena, v2) : NULL;
    documents->openapi_v3 = v3 ? value_copy(arena, v3) : NULL;
    api_documents_unref(check->documents);
    check->documents = documents;
}

bool aggregation_check(AggregationCheck *check) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Verdict verdict = judge(check, arena);
    bool available = streq(verdict.status, "True");
    if (available && !atomic_load(check->stopping))
        fetch_documents(check); /* before clients are told that it is there */
    int r = atomic_load(check->stopping) ? 0 : write_verdict(check, arena, &verdict);
    if (r < 0 && r != -ENOENT)
        log_warn("APIService %s: cannot write its status: %s", check->service->name, strerror(-r));
    return available && r == 0;
}

uint64_t aggregation_service_hash(Store *store, const ApiService *service) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    _cleanup_object_list_ ObjectList slices = {0};
    _cleanup_buf_ Buf all = BUF_INIT(BUF_NO_LIMIT);
    buf_printf(&all, "%s/%s:%u %d %s", service->ns, service->service, service->port, service->insecure,
               str_or(service->ca_pem, ""));
    if (store_get(store, resource_find("", "v1", "services"), service->ns, service->service, &object) == 0)
        buf_printf(&all, " %llu", (unsigned long long)object_revision(object));
    if (list_slices(store, arena, service, &slices) == 0)
        for (size_t i = 0; i < slices.n; i++)
            buf_printf(&all, " %llu", (unsigned long long)object_revision(slices.items[i]));
    return hash_bytes(all.data, all.len);
}
