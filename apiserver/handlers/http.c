#include "apiserver/registry/custom_resources.h"
#include "apiserver/handlers/http.h"
#include "apiserver/handlers/catalog.h"
#include "apiserver/handlers/connect_admission.h"
#include "apiserver/handlers/encode.h"
#include "apiserver/handlers/list_stream.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define WARNINGS_MAX 4096                    /* characters of all warnings of a reply, as the reference; past it */
#define WARNING_CUT_MAX 256                  /* each is cut to this many */
#define WARNING_BYTES_MAX (8 * WARNINGS_MAX) /* of one, quoted */
#define HEADERS_MAX 80

struct ApiHttp {
    ApiHttpConfig config;
    Pool *pool, *connect_pool;
    WatchHub *hub;
    atomic_size_t large_bodies; /* bytes */
};

ApiHttp *api_http_new(const ApiHttpConfig *config) {
    ApiHttp *api = NEW0(ApiHttp);
    api->config = *config;
    api->pool = pool_new("api", API_POOL_THREADS, API_POOL_QUEUE);
    api->connect_pool = pool_new("connect", API_CONNECT_THREADS, API_CONNECT_QUEUE);
    api->hub = watch_hub_new(registry_store(api_core_registry(config->core)));
    return api;
}

void api_http_free(ApiHttp *api) {
    if (!api)
        return;
    pool_free(api->connect_pool);
    pool_free(api->pool);
    watch_hub_free(api->hub);
    free(api);
}

Pool *api_http_pool(ApiHttp *api) {
    return api->pool;
}

Pool *api_http_connect_pool(ApiHttp *api) {
    return api->connect_pool;
}

WatchHub *api_http_watch_hub(ApiHttp *api) {
    return api->hub;
}

const ApiHttpConfig *api_http_config(const ApiHttp *api) {
    return &api->config;
}

Exchange *exchange_new(ApiHttp *api, HttpRequest *http, Arena *arena) {
    Exchange *exchange = ARENA_NEW0(arena, Exchange);
    exchange->api = api;
    exchange->http = http_request_ref(http);
    exchange->arena = arena;
    exchange->started_ns = now_monotonic_ns();
    return exchange;
}

void exchange_free(Exchange *exchange) {
    atomic_fetch_sub(&exchange->api->large_bodies, exchange->large);
    http_request_unref(exchange->http);
    arena_free(exchange->arena);
}

typedef struct Headers {
    HttpHeader items[HEADERS_MAX];
    size_t n;
    char audit_id[UUID_LEN + 1];
} Headers;

static void add_header(Headers *headers, const char *name, const char *value) {
    if (headers->n < HEADERS_MAX)
        headers->items[headers->n++] = (HttpHeader){name, value};
}

static void common_headers(Headers *headers, const char *content_type) {
    headers->n = 0;
    add_header(headers, "audit-id", random_uuid(headers->audit_id));
    add_header(headers, "cache-control", "no-cache, private");
    add_header(headers, "content-type", content_type);
}

/* RFC 7234 warn-text, as k8s.io/apimachinery/pkg/util/net.NewWarningHeader. */
static char *warning_text(Arena *arena, const char *text, size_t len) {
    _cleanup_buf_ Buf out = BUF_INIT(WARNING_BYTES_MAX);
    buf_puts(&out, "299 - \"");
    for (const char *end = text + len; text < end; text++) {
        if (*text == '"' || *text == '\\')
            buf_putc(&out, '\\');
        buf_putc(&out, (unsigned char)*text < 0x20 ? ' ' : *text);
    }
    buf_putc(&out, '"');
    return arena_strndup(arena, str_or(out.data, ""), out.len);
}

/* Bytes of the first `max` characters of `text`, and how many these are. */
static size_t characters(const char *text, size_t max, size_t *ret_n) {
    size_t len = 0, n = 0;
    for (; text[len]; len++)
        if (((unsigned char)text[len] & 0xc0) != 0x80 && n++ == max) {
            n--;
            break;
        }
    *ret_n = n;
    return len;
}

static bool said_before(char *const *warnings, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (streq(warnings[i], warnings[j]))
            return true;
    return false;
}

/* All of them whole, or else as many as the limit takes, each cut. */
static void add_warnings(Headers *headers, Arena *arena, char *const *warnings, size_t n) {
    size_t total = 0, written = 0, count;
    for (size_t i = 0; i < n; i++)
        if (!said_before(warnings, i)) {
            characters(warnings[i], SIZE_MAX, &count);
            total += count;
        }
    for (size_t i = 0; i < n && written < WARNINGS_MAX; i++) {
        if (said_before(warnings, i))
            continue;
        size_t len = characters(warnings[i], total > WARNINGS_MAX ? WARNING_CUT_MAX : SIZE_MAX, &count);
        add_header(headers, "warning", warning_text(arena, warnings[i], len));
        written += count;
    }
}

void http_reply_text(HttpRequest *http, int status, const char *content_type, const char *text) {
    Headers headers;
    common_headers(&headers, content_type);
    add_header(&headers, "x-content-type-options", "nosniff");
    http_reply(http, status, headers.items, headers.n, http_bytes_copy(text, strlen(text)));
}

void http_reply_value(HttpRequest *http, const Media *media, int status, const Schema *schema, const Value *v) {
    static const Media json = {.form = MEDIA_JSON};
    Headers headers;
    HttpBytes body;
    if (!media || (media->form == MEDIA_PROTOBUF && !schema))
        media = &json;
    if (encode_value(NULL, media, schema, v, &body) < 0 && encode_value(NULL, media = &json, NULL, v, &body) < 0)
        body = (HttpBytes){0};
    common_headers(&headers, media_content_type(media, false));
    http_reply(http, status, headers.items, headers.n, body);
}

void http_reply_page(HttpRequest *http, Arena *arena, const PageMedia *page, const char *kind, const Value *v) {
    Media media = {.form = page->form, .pretty = true};
    Headers headers;
    HttpBytes body;
    if (encode_value(arena, &media, NULL, v, &body) < 0)
        body = (HttpBytes){0};
    common_headers(&headers, arena_printf(arena, "%s;g=" PAGE_GROUP ";v=%s;as=%s", media_content_type(&media, false),
                                          page->version, kind));
    if (streq(page->version, "v1alpha1")) {
        char *name = arena_strdup(arena, kind);
        for (char *p = name; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        char *warning =
            arena_printf(arena, "This version of the %s endpoint is deprecated. Please use a newer version.", name);
        add_warnings(&headers, arena, &warning, 1);
    }
    http_reply(http, 200, headers.items, headers.n, body);
}

static void reply_error_with(HttpRequest *http, const ApiError *err, char *const *warnings, size_t n) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char retry[16];
    Headers headers;
    HttpBytes body;
    Media media = media_of_error(arena, http);
    Value *status = api_error_to_status(arena, err);
    if (encode_value(arena, &media, schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.Status"), status, &body) < 0)
        body = (HttpBytes){0};
    common_headers(&headers, media_content_type(&media, false));
    if (err->retry_after) {
        snprintf(retry, sizeof retry, "%d", err->retry_after);
        add_header(&headers, "retry-after", retry);
    }
    if (err->code == 401)
        add_header(&headers, "www-authenticate", "Bearer realm=\"kubernetes-master\"");
    add_warnings(&headers, arena, warnings, n);
    http_reply(http, err->code, headers.items, headers.n, body);
}

void http_reply_error(HttpRequest *http, const ApiError *err) {
    reply_error_with(http, err, NULL, 0);
}

void exchange_finish(Exchange *exchange, int code) {
    if (exchange->done)
        exchange->done(exchange, code, exchange->userdata);
    exchange_free(exchange);
}

static void fail(Exchange *exchange, ApiError *err) {
    int code = err->code;
    http_reply_error(exchange->http, err);
    api_error_done(err);
    exchange_finish(exchange, code);
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

static void respond(Exchange *exchange, int r, ApiResponse *response, ApiError *err) {
    Headers headers;
    HttpBytes body;
    Media media = exchange->media;
    int code = response->code;
    warn_deprecated(exchange, response);
    ListStream *in_parts = r == 0 && response->is_list ? list_stream_new(exchange, &response->list) : NULL;
    if (r == 0 && !in_parts)
        r = encode_response(exchange, response, &body);
    if (r < 0) {
        if (!err->code)
            api_error_from_errno(err, r, "encoding the answer");
        code = err->code;
        reply_error_with(exchange->http, err, response->warnings, response->n_warnings);
    } else {
        common_headers(&headers, media_content_type(&media, false));
        add_warnings(&headers, exchange->arena, response->warnings, response->n_warnings);
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

#define SUMMARY_BYTES 30

/* What the reference shows of a body that it cannot read. */
static const char *summary_of(Arena *arena, const char *data, size_t len) {
    _cleanup_buf_ Buf out = BUF_INIT(256);
    if (!len)
        return "<empty>";
    if (*data == '{')
        buf_append(&out, data, MIN(len, (size_t)SUMMARY_BYTES));
    else
        hex_encode(&out, data, MIN(len, (size_t)SUMMARY_BYTES));
    return arena_printf(arena, "%.*s%s", (int)out.len, out.data, len > SUMMARY_BYTES ? " ..." : "");
}

/* Whom the reference's decoders of patches blame depends on the patch, and on whether fields are looked at. */
static int unreadable_patch(Exchange *exchange, const char *message, ApiError *err) {
    const ApiOptions *options = &exchange->request.options;
    bool plain = field_validation_of(options->field_validation) == FIELD_VALIDATION_IGNORE;
    const char *prefix = options->patch_type == PATCH_APPLY ? "error decoding YAML: error converting YAML to JSON: "
                         : plain || options->patch_type == PATCH_STRATEGIC ? ""
                                                                           : "error decoding patch: ";
    return api_error_bad_request(err, "%s%s", prefix, message);
}

/* What a decoder says of a body that is no object at all. */
static int unreadable(Exchange *exchange, MediaForm form, ApiError *err) {
    static const char *const prefixes[] = {
        [MEDIA_JSON] = "couldn't get version/kind; json parse error: ", [MEDIA_YAML] = "", [MEDIA_PROTOBUF] = ""};
    if (err->code != 400)
        return -EINVAL;
    size_t len;
    ApiVerb verb = exchange->request.verb;
    const char *data = http_body(exchange->http, &len), *kind = exchange->request.resource->kind;
    char *message = err->message ? arena_strdup(exchange->arena, err->message) : (char *)"";
    api_error_done(err);
    if (verb == API_PATCH)
        return unreadable_patch(exchange, message, err);
    if (verb == API_DELETE || verb == API_DELETE_COLLECTION)
        return api_error_bad_request(err, "%s%s", prefixes[form], message);
    return api_error_bad_request(err, "the object provided is unrecognized (must be of type %s): %s%s (%s)", kind,
                                 prefixes[form], message, summary_of(exchange->arena, data, len));
}

/* Go's decoder takes null for an object without members, and no other value. */
static int check_object(Exchange *exchange, Value **body, ApiError *err) {
    ApiVerb verb = exchange->request.verb;
    PatchType type = exchange->request.options.patch_type;
    bool patch = verb == API_PATCH;
    if (patch && (type == PATCH_JSON || type == PATCH_MERGE))
        return 0; /* theirs to say */
    if (!*body || (*body)->type == VALUE_NULL)
        *body = value_object(exchange->arena);
    if ((*body)->type == VALUE_OBJECT || (patch && type == PATCH_STRATEGIC))
        return 0;
    const char *what = value_json_kind(*body);
    if (patch)
        return api_error_bad_request(err,
                                     "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                                     "unmarshal %s into Go value of type map[string]interface {}",
                                     what);
    api_error_bad_request(err,
                          "json: cannot unmarshal %s into Go value of type struct { APIVersion string "
                          "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
                          what);
    return unreadable(exchange, MEDIA_JSON, err);
}

static void set_option(Arena *arena, Value *options, const Query *query, const char *name) {
    const char *text = query_get(query, name);
    int64_t n;
    if (!text)
        return;
    if (streq(name, "gracePeriodSeconds")) {
        if (str_to_int64(text, &n) == 0)
            value_set_int(arena, options, name, n);
    } else if (streq(name, "orphanDependents"))
        value_set_bool(arena, options, name, query_bool(query, name));
    else if (streq(name, "dryRun"))
        value_append(arena, value_ensure_array(arena, options, name), value_string(arena, text));
    else
        value_set_str(arena, options, name, text);
}

/* The body's DeleteOptions, or else the query's. */
static int delete_body(Exchange *exchange, Value *body, Value **ret, ApiError *err) {
    static const char *const names[] = {"gracePeriodSeconds", "orphanDependents", "propagationPolicy", "dryRun"};
    Arena *arena = exchange->arena;
    if (body) {
        const char *kind = str_or(value_get_str(body, "kind"), "DeleteOptions"),
                   *version = str_or(value_get_str(body, "apiVersion"), "v1");
        if (!streq(kind, "DeleteOptions"))
            return api_error_bad_request(
                err, "no kind \"%s\" is registered for version \"%s\" in scheme \"pkg/runtime/scheme.go:111\"", kind,
                version);
        const Schema *schema = schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
        int r = schema ? schema_normalize(arena, schema, body, NULL, err) : 0;
        if (r < 0)
            return r;
        exchange->request.options.dry_run = value_len(value_get(body, "dryRun")) > 0; /* not the query's */
        *ret = body;
        return 0;
    }
    Value *options = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        set_option(arena, options, &exchange->query, names[i]);
    *ret = options;
    return 0;
}

static int read_body(Exchange *exchange, DuplicateFields *duplicates, ApiError *err) {
    ApiRequest *request = &exchange->request;
    MediaForm form = MEDIA_JSON;
    Value *body = NULL;
    int r = 0;
    if (request->verb == API_PATCH) {
        r = options_check_patch(exchange->arena, &request->options, err);
        if (r < 0)
            return r;
    }
    bool deletes = request->verb == API_DELETE || request->verb == API_DELETE_COLLECTION;
    size_t len;
    (void)http_body(exchange->http, &len);
    if (!deletes || len) {
        r = body_decode(exchange->arena, exchange->http, &form, &body, duplicates, err);
        r = r < 0 ? unreadable(exchange, form, err) : check_object(exchange, &body, err);
    }
    if (r == 0 && deletes)
        r = delete_body(exchange, body, &body, err);
    request->body = body;
    return r;
}

static void execute(Exchange *exchange) {
    ApiError err = {0};
    ApiResponse response = {0};
    DuplicateFields duplicates = {0};
    ApiInput input = {.duplicates = &duplicates};
    ApiRequest *request = &exchange->request;
    bool reads = request->verb == API_GET || request->verb == API_LIST;
    int r = reads ? 0 : read_body(exchange, &duplicates, &err);
    r = r < 0 ? r : api_execute(exchange->api->config.core, request, &input, &response, &err);
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
    if (api_catch_up(exchange->api->config.core, &exchange->request, &err) < 0)
        fail(exchange, &err);
    else
        loop_post(http_request_loop(exchange->http), begin_watch, exchange);
}

/* Memory is bounded by how much of large bodies is worked on at once; small ones never wait for them. */
static bool admit_body(Exchange *exchange) {
    size_t n;
    (void)http_body(exchange->http, &n);
    if (n < API_LARGE_BODY)
        return true;
    exchange->large = n;
    return atomic_fetch_add(&exchange->api->large_bodies, n) + n <= API_LARGE_BODIES;
}

static void run_on_pool(Exchange *exchange, void (*fn)(void *userdata)) {
    ApiError err = {0};
    if (admit_body(exchange) && pool_submit(exchange->api->pool, fn, exchange) == 0)
        return;
    api_error_set(&err, 429, "TooManyRequests", "Too many requests, please try again later.");
    err.retry_after = 1;
    fail(exchange, &err);
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
    fail(exchange, &err);
}

static void not_allowed(Exchange *exchange) {
    ApiError err = {0};
    api_error_set(&err, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    api_error_details(&err, "", "", "", "");
    fail(exchange, &err);
}

static void connect_on_loop(void *userdata) {
    connect_serve(userdata);
}

static void admit_connection(void *userdata) {
    Exchange *exchange = userdata;
    ApiError err = {0};
    if (connect_admit(exchange, &err) < 0)
        fail(exchange, &err);
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

void api_http_serve(Exchange *exchange) {
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
    if (negotiate(exchange, &err) < 0)
        return fail(exchange, &err);
    if (route->verb == API_CONNECT)
        return connect_is_admitted(route) ? run_on_pool(exchange, admit_connection) : connect_serve(exchange);
    bool stream = route->verb == API_WATCH;
    if (options_read(exchange->arena, &exchange->query, route->verb, &request->options, &err) < 0)
        return fail(exchange, &err);
    request->options.patch_type = exchange->patch_type;
    bool waits = api_must_catch_up(exchange->api->config.core, request);
    if (stream && waits && str_empty(request->options.resource_version))
        return run_on_pool(exchange, catch_up_and_watch);
    if (stream)
        return watch_serve(exchange);
    bool reads = route->verb == API_GET || route->verb == API_LIST;
    if (reads && !waits && !custom_resources_converts(request->resource)) /* a webhook would block the loop */
        return execute(exchange);
    run_on_pool(exchange, run_exchange);
}
