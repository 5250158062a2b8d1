/* What is served beside resources: health, version, discovery, OpenAPI, metrics, pages for people. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/health.h"
#include "apiserver/zpages.h"

typedef struct ServerPaths ServerPaths;
struct JwtKey;

typedef struct ServerPathsConfig {
    ApiHttp *api;
    const char *issuer, *jwks_uri, *server_address; /* host:port; borrowed */
    JwtKey *const *token_keys;
    size_t n_token_keys;
    Health *health;
    Zpages *pages;
    void (*metrics)(Buf *out, void *userdata);
    void *userdata;
} ServerPathsConfig;
ServerPaths *server_paths_new(const ServerPathsConfig *config);
void server_paths_free(ServerPaths *paths);
DEFINE_CLEANUP(ServerPaths, server_paths_free)

/* Replies (404 for unknown paths), health perhaps later. On the loop thread. */
void server_paths_serve(ServerPaths *paths, HttpRequest *http, Arena *arena, const char *path);
