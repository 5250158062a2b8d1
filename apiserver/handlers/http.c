#include "apiserver/handlers/http.h"
#include "apiserver/handlers/message_cache.h"
#include "apiserver/handlers/watch_hub.h"
#include "base/clock.h"

#include <stdatomic.h>

struct ApiHttp {
    ApiHttpConfig config;
    Pool *pool, *connect_pool;
    WatchHub *hub;
    MessageCache *messages;
    atomic_size_t large_bodies; /* bytes */
};

ApiHttp *api_http_new(const ApiHttpConfig *config) {
    ApiHttp *api = NEW0(ApiHttp);
    api->config = *config;
    api->pool = pool_new("api", API_POOL_THREADS, API_POOL_QUEUE);
    api->connect_pool = pool_new("connect", API_CONNECT_THREADS, API_CONNECT_QUEUE);
    api->hub = watch_hub_new(registry_store(api_core_registry(config->core)));
    api->messages = message_cache_new(MESSAGE_CACHE_BYTES, MESSAGE_CACHE_AGE_NS);
    return api;
}

void api_http_free(ApiHttp *api) {
    if (!api)
        return;
    pool_free(api->connect_pool);
    pool_free(api->pool);
    watch_hub_free(api->hub);
    message_cache_free(api->messages);
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

MessageCache *api_http_message_cache(ApiHttp *api) {
    return api->messages;
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

bool exchange_admit_body(Exchange *exchange) {
    size_t n;
    (void)http_body(exchange->http, &n);
    if (n < API_LARGE_BODY)
        return true;
    exchange->large = n;
    return atomic_fetch_add(&exchange->api->large_bodies, n) + n <= API_LARGE_BODIES;
}

/* The reference writes this one without asking what the client can read. */
static void reply_late(HttpRequest *http) {
    http_reply_text(http, 504, "text/plain; charset=utf-8",
                    "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"Timeout: request did not complete within "
                    "the allotted timeout\",\"reason\":\"Timeout\",\"details\":{},\"code\":504}\n");
}

bool exchange_is_late(Exchange *exchange) {
    uint64_t due = exchange->request.deadline_ns;
    if (!due || now_monotonic_ns() < due)
        return false;
    reply_late(exchange->http);
    return true;
}

void exchange_arm(Exchange *exchange) {
    if (exchange->request.deadline_ns)
        http_request_on_late(exchange->http, exchange->request.deadline_ns, reply_late);
}

void exchange_finish(Exchange *exchange, int code) {
    if (exchange->done)
        exchange->done(exchange, code, exchange->userdata);
    exchange_free(exchange);
}

void exchange_fail(Exchange *exchange, ApiError *err) {
    int code = err->code;
    http_reply_error(exchange->http, err);
    api_error_done(err);
    exchange_finish(exchange, code);
}
