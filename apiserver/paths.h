/* What is served beside resources: health, version, discovery, OpenAPI, metrics. */
#pragma once

#include "apiserver/handlers/http.h"

typedef struct ServerPaths ServerPaths;
struct JwtKey;

typedef struct ServerPathsConfig {
    ApiHttp *api;
    const char *issuer, *jwks_uri, *server_address; /* host:port; borrowed */
    JwtKey *const *token_keys;
    size_t n_token_keys;
    bool (*ready)(void *userdata);
    void (*metrics)(Buf *out, void *userdata);
    void *userdata;
} ServerPathsConfig;
ServerPaths *server_paths_new(const ServerPathsConfig *config);
void server_paths_free(ServerPaths *paths);
DEFINE_CLEANUP(ServerPaths, server_paths_free)

/* Those that need no credentials: health and version. */
bool server_path_is_public(const char *path);
/* Replies (404 for unknown paths). On the loop thread. */
void server_paths_serve(ServerPaths *paths, HttpRequest *http, Arena *arena, const Query *query, const char *path);
