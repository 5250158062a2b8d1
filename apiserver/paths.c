#include "apiserver/paths.h"
#include "apiserver/handlers/discovery.h"
#include "apiserver/handlers/openapi.h"
#include "base/str.h"
#include "base/version.h"

#include <stdio.h>
#include <sys/utsname.h>

struct ServerPaths {
    ServerPathsConfig config;
    OpenApi *openapi;
};

static struct CustomResources *custom_of(const ServerPaths *paths) {
    return registry_custom(api_core_registry(api_http_config(paths->config.api)->core));
}

static ApiServiceList *services_of(const ServerPaths *paths) {
    return api_services_get(api_http_config(paths->config.api)->services);
}

ServerPaths *server_paths_new(const ServerPathsConfig *config) {
    ServerPaths *paths = NEW0(ServerPaths);
    paths->config = *config;
    paths->openapi = openapi_new(custom_of(paths), api_http_config(config->api)->services, config->descriptions);
    return paths;
}

void server_paths_free(ServerPaths *paths) {
    if (!paths)
        return;
    openapi_free(paths->openapi);
    free(paths);
}

static void not_found(HttpRequest *http) {
    http_reply_text(http, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

static void serve_version(_unused_ ServerPaths *paths, HttpRequest *http, Arena *arena, _unused_ const char *path) {
    struct utsname host;
    uname(&host);
    Value *v = value_object(arena);
    const char *arch = streq(host.machine, "x86_64")    ? "amd64"
                       : streq(host.machine, "aarch64") ? "arm64"
                                                        : host.machine;
    value_set_str(arena, v, "major", KUBERNETES_MAJOR);
    value_set_str(arena, v, "minor", KUBERNETES_MINOR);
    value_set_str(arena, v, "emulationMajor", KUBERNETES_MAJOR);
    value_set_str(arena, v, "emulationMinor", KUBERNETES_MINOR);
    value_set_str(arena, v, "minCompatibilityMajor", KUBERNETES_MAJOR);
    value_set_str(arena, v, "minCompatibilityMinor", KUBERNETES_OLDEST_MINOR);
    value_set_str(arena, v, "gitVersion", KUBERNETES_VERSION "+lighter");
    value_set_str(arena, v, "gitCommit", "lighter-" LIGHTER_VERSION);
    value_set_str(arena, v, "gitTreeState", "clean");
    value_set_str(arena, v, "buildDate", "1970-01-01T00:00:00Z");
    value_set_str(arena, v, "goVersion", GO_VERSION);
    value_set_str(arena, v, "compiler", "cc");
    value_set(arena, v, "platform", value_printf(arena, "linux/%s", arch));
    Media media = {.form = MEDIA_JSON, .pretty = true};
    http_reply_value(http, &media, 200, NULL, v);
}

static void serve_metrics(ServerPaths *paths, HttpRequest *http, _unused_ Arena *arena, _unused_ const char *path) {
    Buf out = BUF_INIT(64 * 1024 * 1024);
    paths->config.metrics(&out, paths->config.userdata);
    http_reply_text(http, 200, "text/plain; version=0.0.4; charset=utf-8", str_or(out.data, ""));
    buf_done(&out);
}

static void serve_slis(ServerPaths *paths, HttpRequest *http, _unused_ Arena *arena, _unused_ const char *path) {
    _cleanup_buf_ Buf out = BUF_INIT(1024 * 1024);
    health_write_slis(paths->config.health, &out);
    http_reply_text(http, 200, "text/plain; version=0.0.4; charset=utf-8", str_or(out.data, ""));
}

static Value *string_list(Arena *arena, const char *one) {
    Value *list = value_array(arena);
    value_append(arena, list, value_string(arena, one));
    return list;
}

/* For anybody to keep for as long as the reference says. */
static void reply_cacheable(HttpRequest *http, const char *type, const Value *v) {
    Buf out = BUF_INIT(1024 * 1024);
    ReplyHeaders headers;
    value_write_json(&out, v);
    reply_headers_init(&headers, type);
    reply_headers_set(&headers, "cache-control", "public, max-age=3600");
    http_reply(http, 200, headers.items, headers.n, http_bytes_take(&out));
}

static void serve_openid(ServerPaths *paths, HttpRequest *http, Arena *arena, _unused_ const char *path) {
    const JwtKeys *keys = paths->config.token_keys;
    Value *v = value_object(arena);
    value_set_str(arena, v, "issuer", paths->config.issuer);
    value_set_str(arena, v, "jwks_uri", paths->config.jwks_uri);
    value_set(arena, v, "response_types_supported", string_list(arena, "id_token"));
    value_set(arena, v, "subject_types_supported", string_list(arena, "public"));
    value_set(arena, v, "id_token_signing_alg_values_supported", jwt_key_algorithms(arena, keys->items, keys->n));
    reply_cacheable(http, "application/json", v);
}

static void serve_jwks(ServerPaths *paths, HttpRequest *http, Arena *arena, _unused_ const char *path) {
    const JwtKeys *keys = paths->config.token_keys;
    reply_cacheable(http, "application/jwk-set+json", jwt_key_set(arena, keys->items, keys->n));
}

static void serve_openapi(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path) {
    openapi_serve(paths->openapi, http, arena, path);
}

static void serve_discovery(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path) {
    _cleanup_(api_service_list_unrefp) ApiServiceList *services = services_of(paths);
    discovery_serve(http, arena, custom_of(paths), services, path, paths->config.server_address);
}

static void serve_page(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path);

/* Paths that are not resources, besides those of discovery and health. */
static const struct {
    const char *path;
    void (*serve)(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path);
    const char *produces; /* what the Accept header must name, where the reference's router has the path, for GET alone;
                             NULL: other handlers, which mind no method */
} rows[] = {
    {"/.well-known/openid-configuration", serve_openid, "application/json"},
    {"/flagz", serve_page, NULL},
    {"/metrics", serve_metrics, NULL},
    {"/metrics/slis", serve_slis, NULL},
    {"/openapi/v2", serve_openapi, NULL},
    {"/openapi/v3", serve_openapi, NULL},
    {"/openapi/v3/", serve_openapi, NULL},
    {"/openid/v1/jwks", serve_jwks, "application/jwk-set+json"},
    {"/statusz", serve_page, NULL},
    {"/version", serve_version, "application/json"},
};

static bool is_served(const ServerPaths *paths, size_t i) {
    bool of_issuer = rows[i].serve == serve_openid || rows[i].serve == serve_jwks;
    return !of_issuer || paths->config.issuer;
}

static int compare_strings(const void *a, const void *b) {
    return strcmp(value_str(*(Value *const *)a), value_str(*(Value *const *)b));
}

/* All of them, in order. */
static Value *list_paths(ServerPaths *paths, Arena *arena) {
    _cleanup_(api_service_list_unrefp) ApiServiceList *services = services_of(paths);
    Value *list = value_array(arena);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (is_served(paths, i))
            value_append(arena, list, value_string(arena, rows[i].path));
    discovery_list_paths(arena, custom_of(paths), services, list);
    health_list_paths(paths->config.health, arena, list);
    qsort(list->items, list->len, sizeof *list->items, compare_strings);
    return list;
}

static void serve_page(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path) {
    if (!zpages_serve(paths->config.pages, http, arena, path, list_paths(paths, arena)))
        not_found(http);
}

static void serve_root(ServerPaths *paths, HttpRequest *http, Arena *arena) {
    Value *v = value_object(arena);
    value_set(arena, v, "paths", list_paths(paths, arena));
    Media media = {.form = MEDIA_JSON, .pretty = true};
    http_reply_value(http, &media, 200, NULL, v);
}

static bool starts_path(const char *path, const char *root) {
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (!path[n] || path[n] == '/');
}

static void serve_row(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path, size_t i) {
    _cleanup_api_error_ ApiError err = {0};
    if (rows[i].produces && !streq(http_method(http), "GET"))
        http_reply_not_allowed(http);
    else if (rows[i].produces && media_check_produces(http, rows[i].produces, &err) < 0)
        http_reply_error(http, &err);
    else
        rows[i].serve(paths, http, arena, path);
}

void server_paths_serve(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path) {
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (streq(streq(path, "/version/") ? "/version" : path, rows[i].path) && is_served(paths, i))
            return serve_row(paths, http, arena, path, i);
    if (health_serve(paths->config.health, http, path))
        return;
    if (streq(path, "/"))
        serve_root(paths, http, arena);
    else if (starts_path(path, "/openapi"))
        serve_openapi(paths, http, arena, path);
    else if (starts_path(path, "/api") || starts_path(path, "/apis"))
        serve_discovery(paths, http, arena, path);
    else
        not_found(http);
}
