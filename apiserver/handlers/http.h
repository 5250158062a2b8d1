/* The core over HTTP: one exchange from a routed, authorized request to its reply. Reads are answered on the loop
 * thread (on the pool when they must wait for other servers' writes), writes on a pool, watches and connections live on
 * the loop. */
#pragma once

#include "apiserver/handlers/api.h"
#include "apiserver/handlers/negotiate.h"
#include "apiserver/handlers/route.h"
#include "http/server.h"
#include "loop/pool.h"

typedef struct ApiHttp ApiHttp;

#define API_POOL_THREADS 64    /* writes that wait for the disk together */
#define API_POOL_QUEUE 4096    /* writes that wait for a thread; past it 429 */
#define API_CONNECT_THREADS 32 /* connections to others being made at once */
#define API_CONNECT_QUEUE 1024
#define API_LARGE_BODY (64 * 1024) /* a tree takes up to twenty-five times its text: of bodies from this size on */
#define API_LARGE_BODIES (8 * 1024 * 1024) /* so many bytes are worked on at once; past it 429 */
#define API_TREE_MAX (256 * 1024 * 1024)   /* memory of one request's trees */

typedef struct ApiHttpConfig {
    ApiCore *core;
    /* Towards node agents: the CA of their server certificates, and our client certificate. */
    const char *node_ca_file, *node_cert_file, *node_key_file;
    struct ApiServices *services; /* registry/api_services.h; NULL: nothing is aggregated */
    /* Towards aggregated servers: the certificate that lets us name the user. */
    const char *front_cert_file, *front_key_file;
} ApiHttpConfig;
ApiHttp *api_http_new(const ApiHttpConfig *config);
void api_http_free(ApiHttp *api); /* after the HTTP server has stopped */
DEFINE_CLEANUP(ApiHttp, api_http_free)
Pool *api_http_pool(ApiHttp *api);
Pool *api_http_connect_pool(ApiHttp *api); /* for connections to others, which may take long */

/* A request that filters let through. */
typedef struct Exchange {
    ApiHttp *api;
    HttpRequest *http; /* a reference */
    Arena *arena;      /* owned: all below lives in it */
    Route route;
    Query query;
    ApiRequest request;
    Media media;
    PatchType patch_type; /* of a PATCH */
    uint64_t started_ns;
    size_t large; /* bytes of its body that count against API_LARGE_BODIES */
    void (*done)(struct Exchange *exchange, int code, void *userdata); /* metrics; may be NULL */
    void *userdata;
} Exchange;
/* Takes the arena. */
Exchange *exchange_new(ApiHttp *api, HttpRequest *http, Arena *arena);
void exchange_free(Exchange *exchange);
void exchange_finish(Exchange *exchange, int code); /* it was answered: counted and freed */
/* Answers exchange->route (a ROUTE_RESOURCE) for exchange->request.user; takes the exchange. */
void api_http_serve(Exchange *exchange);

/* Replies, for whoever serves other paths. */
void http_reply_error(HttpRequest *http, const ApiError *err); /* as the Accept header asks, where it can */
void http_reply_value(HttpRequest *http, const Media *media, int status, const Schema *schema, const Value *v);
/* An object that media_negotiate_page chose; the older version comes with a warning. */
void http_reply_page(HttpRequest *http, Arena *arena, const PageMedia *media, const char *kind, const Value *v);
void http_reply_text(HttpRequest *http, int status, const char *content_type, const char *text);

/* watch.c, connect.c: take the exchange. */
void watch_serve(Exchange *exchange);
void connect_serve(Exchange *exchange);
typedef struct WatchHub WatchHub;
WatchHub *watch_hub_new(Store *store);
void watch_hub_free(WatchHub *hub);
WatchHub *api_http_watch_hub(ApiHttp *api);
size_t watch_hub_count(WatchHub *hub);
const ApiHttpConfig *api_http_config(const ApiHttp *api);
