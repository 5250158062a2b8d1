/* What is served beside resources: health, version, discovery, OpenAPI, metrics, pages for people. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/health.h"
#include "apiserver/zpages.h"
#include "auth/jwt.h"

typedef struct ServerPaths ServerPaths;

typedef struct ServerPathsConfig {
    ApiHttp *api;
    const char *issuer;                    /* NULL: relying parties cannot discover it */
    const char *jwks_uri, *server_address; /* host:port; borrowed */
    const JwtKeys *token_keys;
    const char *descriptions; /* of openapi_new; borrowed */
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
