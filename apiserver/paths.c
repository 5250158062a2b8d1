#include "apiserver/paths.h"
#include "apiserver/handlers/discovery.h"
#include "apiserver/handlers/openapi.h"
#include "base/str.h"

#include <stdio.h>
#include <sys/utsname.h>

#ifndef LIGHTER_VERSION
#define LIGHTER_VERSION "0.1.0"
#endif
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "36"
#define KUBERNETES_VERSION "v1.36.3+lighter"

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
    paths->openapi = openapi_new(custom_of(paths), api_http_config(config->api)->services);
    return paths;
}

void server_paths_free(ServerPaths *paths) {
    if (!paths)
        return;
    openapi_free(paths->openapi);
    free(paths);
}

static const char *const health_roots[] = {"/healthz", "/livez", "/readyz", NULL};
static const char *const health_checks[] = {"ping", "log", "etcd", "poststarthook/bootstrap-controller", NULL};

static const char *health_root(const char *path) {
    for (size_t i = 0; health_roots[i]; i++)
        if (str_has_prefix(path, health_roots[i]) &&
            (!path[strlen(health_roots[i])] || path[strlen(health_roots[i])] == '/'))
            return health_roots[i];
    return NULL;
}

bool server_path_is_public(const char *path) {
    return health_root(path) || streq(path, "/version") || streq(path, "/version/");
}

static void not_found(HttpRequest *http) {
    http_reply_text(http, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

static void serve_health(ServerPaths *paths, HttpRequest *http, const Query *query, const char *path,
                         const char *root) {
    bool ready = !streq(root, "/readyz") || paths->config.ready(paths->config.userdata);
    const char *one = path[strlen(root)] ? path + strlen(root) + 1 : NULL;
    if (one && *one && !str_in(one, health_checks))
        return not_found(http);
    if (!query_get(query, "verbose") || (one && *one)) {
        if (ready)
            return http_reply_text(http, 200, "text/plain; charset=utf-8", "ok");
    }
    Buf out = BUF_INIT(64 * 1024);
    for (size_t i = 0; health_checks[i]; i++)
        buf_printf(&out, "[+]%s ok\n", health_checks[i]);
    if (!ready)
        buf_puts(&out, "[-]poststarthook/bootstrap-controller failed: reason withheld\n");
    buf_printf(&out, "%s check %s\n", root + 1, ready ? "passed" : "failed");
    http_reply_text(http, ready ? 200 : 500, "text/plain; charset=utf-8", out.data);
    buf_done(&out);
}

static void serve_version(HttpRequest *http, Arena *arena) {
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
    value_set_str(arena, v, "minCompatibilityMinor", "35");
    value_set_str(arena, v, "gitVersion", KUBERNETES_VERSION);
    value_set_str(arena, v, "gitCommit", "lighter-" LIGHTER_VERSION);
    value_set_str(arena, v, "gitTreeState", "clean");
    value_set_str(arena, v, "buildDate", "1970-01-01T00:00:00Z");
    value_set_str(arena, v, "goVersion", "none");
    value_set_str(arena, v, "compiler", "cc");
    value_set(arena, v, "platform", value_printf(arena, "linux/%s", arch));
    Media media = {.form = MEDIA_JSON, .pretty = true};
    http_reply_value(http, &media, 200, NULL, v);
}

static void serve_metrics(ServerPaths *paths, HttpRequest *http) {
    Buf out = BUF_INIT(64 * 1024 * 1024);
    paths->config.metrics(&out, paths->config.userdata);
    http_reply_text(http, 200, "text/plain; version=0.0.4; charset=utf-8", str_or(out.data, ""));
    buf_done(&out);
}

static Value *string_list(Arena *arena, const char *one) {
    Value *list = value_array(arena);
    value_append(arena, list, value_string(arena, one));
    return list;
}

static void serve_openid(ServerPaths *paths, HttpRequest *http, Arena *arena) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "issuer", paths->config.issuer);
    value_set_str(arena, v, "jwks_uri", paths->config.jwks_uri);
    value_set(arena, v, "response_types_supported", string_list(arena, "id_token"));
    value_set(arena, v, "subject_types_supported", string_list(arena, "public"));
    value_set(arena, v, "id_token_signing_alg_values_supported",
              jwt_key_algorithms(arena, paths->config.token_keys, paths->config.n_token_keys));
    http_reply_value(http, NULL, 200, NULL, v);
}

static void serve_jwks(ServerPaths *paths, HttpRequest *http, Arena *arena) {
    const char *accept = str_or(http_header(http, "accept"), "*/*");
    if (!strstr(accept, "application/jwk-set+json") && !strstr(accept, "*/*") && !strstr(accept, "application/*")) {
        ApiError err = {0};
        api_error_set(&err, 406, "NotAcceptable",
                      "406: Not Acceptable\n\nAvailable representations: application/jwk-set+json");
        api_error_details(&err, "", "", "", "");
        http_reply_error(http, NULL, &err);
        api_error_done(&err);
        return;
    }
    _cleanup_buf_ Buf out = BUF_INIT(1024 * 1024);
    value_write_json(&out, jwt_key_set(arena, paths->config.token_keys, paths->config.n_token_keys));
    http_reply_text(http, 200, "application/jwk-set+json", str_or(out.data, ""));
}

static void serve_root(ServerPaths *paths, HttpRequest *http, Arena *arena) {
    _cleanup_(api_service_list_unrefp) ApiServiceList *services = services_of(paths);
    Value *v = value_object(arena), *list = discovery_root_paths(arena, custom_of(paths), services);
    value_set(arena, v, "paths", list);
    Media media = {.form = MEDIA_JSON, .pretty = true};
    http_reply_value(http, &media, 200, NULL, v);
}

static void serve_discovery(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path) {
    _cleanup_(api_service_list_unrefp) ApiServiceList *services = services_of(paths);
    discovery_serve(http, arena, custom_of(paths), services, path, paths->config.server_address);
}

static bool starts_path(const char *path, const char *root) {
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (!path[n] || path[n] == '/');
}

void server_paths_serve(ServerPaths *paths, HttpRequest *http, Arena *arena, const Query *query, const char *path) {
    const char *health = health_root(path);
    if (health)
        serve_health(paths, http, query, path, health);
    else if (streq(path, "/version") || streq(path, "/version/"))
        serve_version(http, arena);
    else if (streq(path, "/metrics"))
        serve_metrics(paths, http);
    else if (streq(path, "/.well-known/openid-configuration"))
        serve_openid(paths, http, arena);
    else if (streq(path, "/openid/v1/jwks"))
        serve_jwks(paths, http, arena);
    else if (starts_path(path, "/openapi"))
        openapi_serve(paths->openapi, http, arena, path);
    else if (starts_path(path, "/api") || starts_path(path, "/apis"))
        serve_discovery(paths, http, arena, path);
    else if (streq(path, "/"))
        serve_root(paths, http, arena);
    else
        not_found(http);
}
