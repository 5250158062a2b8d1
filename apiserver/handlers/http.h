/* The core over HTTP: what the handlers of requests share, and one exchange from a routed, authorized request to its
 * reply. */
#pragma once

#include "apiserver/handlers/api.h"
#include "apiserver/handlers/reply.h"
#include "apiserver/handlers/route.h"
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
Pool *api_http_pool(ApiHttp *api);                         /* for what blocks */
Pool *api_http_connect_pool(ApiHttp *api);                 /* for connections to others, which may take long */
struct WatchHub *api_http_watch_hub(ApiHttp *api);         /* watch_hub.h */
struct MessageCache *api_http_message_cache(ApiHttp *api); /* message_cache.h */
const ApiHttpConfig *api_http_config(const ApiHttp *api);

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
/* request.deadline_ns has passed: true, and it was answered. */
bool exchange_is_late(Exchange *exchange);
/* It will be answered at its deadline should nobody have done so by then. On the loop thread. */
void exchange_arm(Exchange *exchange);
/* Takes the arena. */
Exchange *exchange_new(ApiHttp *api, HttpRequest *http, Arena *arena);
void exchange_free(Exchange *exchange);
void exchange_finish(Exchange *exchange, int code);    /* it was answered: counted and freed */
void exchange_fail(Exchange *exchange, ApiError *err); /* answers it, and finishes; *err is freed */
/* Memory is bounded by how much of large bodies is worked on at once; small ones never wait for them. Counts the body
 * until the exchange is freed; false: there is no room for it. */
bool exchange_admit_body(Exchange *exchange);
