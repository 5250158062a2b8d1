#include "apiserver/handlers/serve.h"
#include "apiserver/handlers/catalog.h"
#include "apiserver/handlers/connect.h"
#include "apiserver/handlers/connect_admission.h"
#include "apiserver/handlers/encode.h"
#include "apiserver/handlers/list_stream.h"
#include "apiserver/handlers/request_body.h"
#include "apiserver/handlers/watch.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#include <errno.h>

static ApiCore *core_of(const Exchange *exchange) {
    return api_http_config(exchange->api)->core;
}

/* Versions that the API has left behind, in the words of its life cycle markers. */
static const char *deprecation_of(const Resource *resource) {
    static const struct {
        const char *group, *version, *plural, *text;
    } deprecated[] = {
        {"", "v1", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"},
        {"", "v1", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"},
    };
    for (size_t i = 0; i < ELEMENTSOF(deprecated); i++)
        if (streq(resource->plural, deprecated[i].plural) && streq(resource->group, deprecated[i].group) &&
            streq(resource->version, deprecated[i].version))
            return deprecated[i].text;
    return NULL;
}

static void warn_deprecated(Exchange *exchange, ApiResponse *response) {
    const Resource *resource = exchange->request.resource;
    const char *text = resource->custom ? custom_version(resource)->deprecation : deprecation_of(resource);
    if (!text)
        return;
    char **warnings = arena_alloc(exchange->arena, (response->n_warnings + 1) * sizeof *warnings);
    warnings[0] = arena_strdup(exchange->arena, text);
    if (response->n_warnings)
        memcpy(warnings + 1, response->warnings, response->n_warnings * sizeof *warnings);
    response->warnings = warnings;
    response->n_warnings++;
}

static int encode_response(Exchange *exchange, ApiResponse *response, HttpBytes *ret) {
    const Media *media = &exchange->media;
    if (response->is_list)
        return encode_list(exchange->arena, media, exchange->request.resource, &response->list, ret);
    if (response->object)
        return encode_object(exchange->arena, media, exchange->request.resource, response->object, ret);
    const Schema *schema = response->schema;
    if (!schema && streq_null(value_get_str(response->value, "kind"), "Status"))
        schema = schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.Status");
    return encode_value(exchange->arena, media, schema, response->value, ret);
}

/* Metadata is asked for of a list or of an object, and must be of what there is. */
static int check_view(Exchange *exchange, const ApiResponse *response, ApiError *err) {
    const Media *media = &exchange->media;
    const Resource *resource = exchange->request.resource;
    bool list = response->is_list;
    if (media->as != AS_PARTIAL || (!list && !response->object) || list == media->of_list)
        return 0;
    const char *type = resource->custom ? (list ? "unstructured.UnstructuredList" : "unstructured.Unstructured")
                                        : registry_internal_type(exchange->arena, resource->group,
                                                                 list ? resource->list_kind : resource->kind);
    return api_error_set(err, 406, "NotAcceptable",
                         list ? "you requested PartialObjectMetadata, but the requested object is a list (*%s)"
                              : "you requested PartialObjectMetadataList, but the requested object is not a list (*%s)",
                         type);
}

static void respond(Exchange *exchange, int r, ApiResponse *response, ApiError *err) {
    ReplyHeaders headers;
    HttpBytes body;
    Media media = exchange->media;
    int code = response->code;
    warn_deprecated(exchange, response);
    r = r < 0 ? r : check_view(exchange, response, err);
    ListStream *in_parts = r == 0 && response->is_list ? list_stream_new(exchange, &response->list) : NULL;
    if (r == 0 && !in_parts)
        r = encode_response(exchange, response, &body);
    if (r < 0 && exchange_is_late(exchange)) /* that is why, mostly */
        code = 504;
    else if (r < 0) {
        if (!err->code)
            api_error_from_errno(err, r, "encoding the answer");
        code = err->code;
        http_reply_error_with(exchange->http, err, response->warnings, response->n_warnings);
    } else {
        reply_headers_init(&headers, media_content_type(&media, false));
        reply_headers_warn(&headers, exchange->arena, response->warnings, response->n_warnings);
        if (in_parts || body.len >= LIST_STREAM_PART) /* it may take the client a while */
            http_request_cut_at(exchange->http, exchange->request.deadline_ns);
        if (in_parts)
            list_stream_start(in_parts, code, headers.items, headers.n);
        else
            http_reply(exchange->http, code, headers.items, headers.n, body);
    }
    api_response_done(response);
    api_error_done(err);
    if (!in_parts)
        exchange_finish(exchange, code);
}

/* What is refused before it is done. Where the request came to a handler, with the warning of its version. */
static void refuse(Exchange *exchange, ApiError *err) {
    ApiResponse response = {0};
    respond(exchange, -EINVAL, &response, err);
}

static void execute(Exchange *exchange) {
    ApiError err = {0};
    ApiResponse response = {0};
    DuplicateFields duplicates = {0};
    ApiInput input = {.duplicates = &duplicates};
    ApiRequest *request = &exchange->request;
    bool reads = request->verb == API_GET || request->verb == API_LIST;
    int r = reads ? 0 : request_body_read(exchange, &duplicates, &err);
    r = r < 0 ? r : api_execute(core_of(exchange), request, &input, &response, &err);
    respond(exchange, r, &response, &err);
}

static void run_exchange(void *userdata) {
    execute(userdata);
}

static void begin_watch(void *userdata) {
    watch_serve(userdata);
}

/* A watch lives on its connection's loop, which must not wait for other servers' news. */
static void catch_up_and_watch(void *userdata) {
    Exchange *exchange = userdata;
    ApiError err = {0};
    if (api_catch_up(core_of(exchange), &exchange->request, &err) < 0)
        exchange_fail(exchange, &err);
    else
        loop_post(http_request_loop(exchange->http), begin_watch, exchange);
}

static void run_on_pool(Exchange *exchange, void (*fn)(void *userdata)) {
    ApiError err = {0};
    exchange_arm(exchange);
    if (exchange_admit_body(exchange) && pool_submit(api_http_pool(exchange->api), fn, exchange) == 0)
        return;
    api_error_set(&err, 429, "TooManyRequests", "Too many requests, please try again later.");
    err.retry_after = 1;
    exchange_fail(exchange, &err);
}

static void not_found(Exchange *exchange) {
    ApiError err = {0};
    if (!catalog_group_is_builtin(exchange->route.group)) { /* paths below it come and go with definitions */
        http_reply_text(exchange->http, 404, "text/plain; charset=utf-8", "404 page not found\n");
        exchange_finish(exchange, 404);
        return;
    }
    api_error_set(&err, 404, "NotFound", "the server could not find the requested resource");
    api_error_details(&err, "", "", "", "");
    exchange_fail(exchange, &err);
}

/* All methods of custom resources come to one handler of theirs. */
static void not_allowed_of_custom(Exchange *exchange) {
    static const char *const names[] = {
        [API_GET] = "get",       [API_LIST] = "list",       [API_WATCH] = "watch",
        [API_CREATE] = "create", [API_UPDATE] = "update",   [API_PATCH] = "patch",
        [API_DELETE] = "delete", [API_CONNECT] = "connect", [API_DELETE_COLLECTION] = "deletecollection",
    };
    const Route *route = &exchange->route;
    static const char *const no_verbs[] = {"OPTIONS", "TRACE", NULL};
    bool no_verb = str_in(http_method(exchange->http), no_verbs);
    ApiError err = {0};
    if (route->subresource && !resource_subresource(route->resource, route->subresource))
        api_error_not_found(&err, route->group, route->plural, route->name);
    else if (!route->name && (route->verb == API_UPDATE || route->verb == API_PATCH))
        api_error_bad_request(&err, "name must be provided");
    else
        api_error_method_not_supported(&err, route->group, route->plural, no_verb ? "" : names[route->verb]);
    exchange->request.resource = route->resource;
    refuse(exchange, &err);
}

static void not_allowed(Exchange *exchange) {
    ApiError err = {0};
    const Route *route = &exchange->route;
    if (route->resource->custom)
        return not_allowed_of_custom(exchange);
    if (route->verb == API_WATCH && streq(http_method(exchange->http), "GET") && (route->resource->verbs & VERB_LIST) &&
        !route->subresource) {
        api_error_method_not_supported(&err, route->group, route->plural, "watch");
        return exchange_fail(exchange, &err);
    }
    api_error_not_allowed(&err);
    exchange_fail(exchange, &err);
}

static void connect_on_loop(void *userdata) {
    connect_serve(userdata);
}

static void admit_connection(void *userdata) {
    Exchange *exchange = userdata;
    ApiError err = {0};
    if (connect_admit(exchange, &err) < 0)
        exchange_fail(exchange, &err);
    else
        loop_post(http_request_loop(exchange->http), connect_on_loop, exchange);
}

/* The types that the reference's router knows a path of a built-in kind by; NULL: any. */
static const char *produces(const Route *route, const char *method) {
    if (route->verb == API_CONNECT)
        return streq(route->subresource, "log") && streq(method, "GET") ? "text/plain, " MEDIA_TYPES : NULL;
    return route->verb == API_LIST || route->verb == API_WATCH ? MEDIA_TYPES ", " MEDIA_STREAM_TYPES : MEDIA_TYPES;
}

/* In the reference's order: what a patch is, what the router knows, what the verb can write. */
static int negotiate(Exchange *exchange, ApiError *err) {
    const Route *route = &exchange->route;
    const Resource *resource = route->resource;
    const char *types = resource->custom ? NULL : produces(route, http_method(exchange->http));
    bool reads_log = route->verb == API_CONNECT && types;
    int r = 0;
    if (route->verb == API_PATCH)
        r = patch_type_read(exchange->http, resource, &exchange->patch_type, err);
    if (r == 0 && types)
        r = media_check_produces(exchange->http, types, err);
    if (r < 0 || (route->verb == API_CONNECT && !reads_log))
        return r;
    /* What is answered and not kept (reviews) has no other views. */
    unsigned endpoint = (route->verb == API_WATCH ? MEDIA_STREAM : 0u) | (resource->custom ? MEDIA_NO_MESSAGES : 0u) |
                        (resource->verbs == VERB_CREATE ? 0u : MEDIA_VIEWS);
    return media_negotiate(exchange->arena, exchange->http, &exchange->query, endpoint, &exchange->media, err);
}

void exchange_serve(Exchange *exchange) {
    ApiError err = {0};
    Route *route = &exchange->route;
    ApiRequest *request = &exchange->request;
    if (!route->resource)
        return not_found(exchange);
    if (!route->method_ok)
        return not_allowed(exchange);
    request->verb = route->verb;
    request->resource = route->resource;
    request->ns = route->ns;
    request->name = route->name;
    request->subresource = route->subresource;
    request->arena = exchange->arena;
    request->user_agent = http_header(exchange->http, "user-agent");
    if (negotiate(exchange, &err) < 0) /* of a built-in kind the router does it, not a handler */
        return route->resource->custom ? refuse(exchange, &err) : exchange_fail(exchange, &err);
    if (route->verb == API_CONNECT)
        return connect_is_admitted(route) ? run_on_pool(exchange, admit_connection) : connect_serve(exchange);
    bool stream = route->verb == API_WATCH;
    if (options_read(exchange->arena, &exchange->query, route->verb, &request->options, &err) < 0)
        return refuse(exchange, &err);
    request->options.patch_type = exchange->patch_type;
    bool waits = api_must_catch_up(core_of(exchange), request);
    if (stream && waits && str_empty(request->options.resource_version))
        return run_on_pool(exchange, catch_up_and_watch);
    if (stream)
        return watch_serve(exchange);
    bool reads = route->verb == API_GET || route->verb == API_LIST;
    if (reads && !waits && !custom_resources_converts(request->resource) &&
        !api_read_blocks(request)) /* a webhook would block the loop */
        return execute(exchange);
    run_on_pool(exchange, run_exchange);
}
