#include "apiserver/registry/webhook_client.h"

#include "api/json.h"
#include "apiserver/registry/decode.h"
#include "apiserver/registry/service_resolver.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/client.h"
#include "http/url.h"
#include "loop/pool.h"
#include "loop/thread.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>

#define DEFAULT_PORT 443
#define THREAD_STACK_SIZE (128 * 1024)

/* A server that was called, with its kept connections. */
typedef struct Server {
    char *key; /* what makes two servers one: where, under which name, trusted by whom */
    HttpClient *http;
    unsigned users;   /* calls under way */
    uint64_t used_ns; /* when the last of them ended */
    bool kept;        /* in the table */
} Server;

struct WebhookClient {
    Store *store;
    pthread_mutex_t lock; /* all below */
    LoopThread *thread;   /* of the connections; made by the first call */
    Server *servers[WEBHOOK_SERVERS_MAX];
    size_t n_servers;
};

typedef struct Exchange { /* one call under way */
    WebhookCall *call;
    Server *server;
    HttpExchange *http; /* NULL: it has failed already */
    Buf out, in;
    ServiceEndpoint endpoint; /* of a Service */
    char *url, *target, *why;
    int error;
    uint64_t started_ns, deadline_ns, ended_ns;
} Exchange;

WebhookClient *webhook_client_new(Store *store) {
    WebhookClient *client = NEW0(WebhookClient);
    client->store = store;
    pthread_mutex_init(&client->lock, NULL);
    return client;
}

static void server_free(Server *server) {
    http_client_free(server->http);
    free(server->key);
    free(server);
}

void webhook_client_free(WebhookClient *client) {
    if (!client)
        return;
    while (client->n_servers)
        server_free(client->servers[--client->n_servers]);
    loop_thread_free(client->thread);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

/* ---- targets ---- */

static const char *ca_of(Arena *arena, const char *bundle) {
    uint8_t *pem = NULL;
    size_t n;
    if (str_empty(bundle) || base64_decode(bundle, strlen(bundle), &pem, &n) < 0)
        return "";
    char *text = arena_strndup(arena, (const char *)pem, n);
    free(pem);
    return text[strspn(text, " \t\r\n")] ? text : ""; /* blanks alone are no bundle */
}

static void read_url(Arena *arena, const char *url, WebhookTarget *ret) {
    const char *host = strstr(url, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    ret->base = path ? arena_strndup(arena, url, (size_t)(path - url)) : arena_strdup(arena, url);
    ret->path = path ? arena_strndup(arena, path, strcspn(path, "?#")) : "/";
}

void webhook_target_read(Arena *arena, const Value *client_config, WebhookTarget *ret) {
    const Value *service = value_get(client_config, "service");
    const char *url = value_get_str(client_config, "url");
    *ret = (WebhookTarget){.path = "/", .ca_pem = ca_of(arena, value_get_str(client_config, "caBundle"))};
    if (value_is(service, VALUE_OBJECT)) {
        const char *path = str_or(value_get_str(service, "path"), "/");
        ret->ns = arena_strdup(arena, str_or(value_get_str(service, "namespace"), ""));
        ret->service = arena_strdup(arena, str_or(value_get_str(service, "name"), ""));
        ret->port = (uint16_t)value_get_int(service, "port", DEFAULT_PORT);
        ret->server_name = arena_printf(arena, "%s.%s.svc", ret->service, ret->ns);
        ret->base = arena_printf(arena, "https://%s:%u", ret->server_name, ret->port);
        ret->path = *path == '/' ? arena_strdup(arena, path) : arena_printf(arena, "/%s", path);
    } else if (!str_empty(url))
        read_url(arena, url, ret);
}

/* ---- servers ---- */

/* Takes one that nobody has used for a while, or, when the table is full, the one that was used longest ago, out of it.
 * Under the lock. */
static Server *take_stale(WebhookClient *client, uint64_t now) {
    size_t at = client->n_servers;
    for (size_t i = 0; i < client->n_servers; i++)
        if (!client->servers[i]->users &&
            (at == client->n_servers || client->servers[i]->used_ns < client->servers[at]->used_ns))
            at = i;
    if (at == client->n_servers || (client->n_servers < WEBHOOK_SERVERS_MAX &&
                                    now < client->servers[at]->used_ns + WEBHOOK_IDLE_SECONDS * NS_PER_SEC))
        return NULL;
    Server *stale = client->servers[at];
    client->servers[at] = client->servers[--client->n_servers];
    return stale;
}

static void drop_stale(WebhookClient *client) {
    for (;;) {
        pthread_mutex_lock(&client->lock);
        Server *stale = take_stale(client, now_monotonic_ns());
        pthread_mutex_unlock(&client->lock);
        if (!stale)
            return;
        server_free(stale);
    }
}

/* Under the lock. */
static Server *find_server(WebhookClient *client, const char *key) {
    for (size_t i = 0; i < client->n_servers; i++)
        if (streq(client->servers[i]->key, key)) {
            client->servers[i]->users++;
            return client->servers[i];
        }
    return NULL;
}

/* Under the lock. */
static int make_server(WebhookClient *client, const HttpClientConfig *config, char *key, Server **ret,
                       char **ret_error) {
    int r = client->thread ? 0 : loop_thread_new("webhooks", THREAD_STACK_SIZE, &client->thread);
    HttpClient *http = NULL;
    r = r < 0 ? r : http_client_new(loop_thread_loop(client->thread), config, &http, ret_error);
    if (r < 0) {
        free(key);
        return r;
    }
    Server *server = NEW(Server);
    *server = (Server){.key = key, .http = http, .users = 1, .kept = client->n_servers < WEBHOOK_SERVERS_MAX};
    if (server->kept)
        client->servers[client->n_servers++] = server;
    *ret = server;
    return 0;
}

static int take_server(WebhookClient *client, const HttpClientConfig *config, Server **ret, char **ret_error) {
    char *key = xasprintf("%s %u %s %s", config->to.host, config->to.port, config->authority,
                          str_or(config->to.ca_pem, "system"));
    int r = 0;
    drop_stale(client);
    pthread_mutex_lock(&client->lock);
    *ret = find_server(client, key);
    if (*ret)
        free(key);
    else
        r = make_server(client, config, key, ret, ret_error);
    pthread_mutex_unlock(&client->lock);
    return r;
}

static void give_server(WebhookClient *client, Server *server) {
    pthread_mutex_lock(&client->lock);
    server->users--;
    server->used_ns = now_monotonic_ns();
    bool kept = server->kept;
    pthread_mutex_unlock(&client->lock);
    if (!kept)
        server_free(server);
}

/* ---- failures, worded as Go does ---- */

static void fail(Exchange *x, int code, const char *why) {
    x->call->result = x->url ? api_error_set(&x->call->err, code, "ServiceUnavailable", "Post \"%s\": %s", x->url, why)
                             : api_error_set(&x->call->err, code, "ServiceUnavailable", "%s", why);
}

/* What client-go makes of an answer that is no success (NewGenericServerResponse). */
static void refuse(Exchange *x, int code) {
    static const struct {
        int code;
        const char *reason, *text; /* NULL: what the server said */
    } known[] = {
        {400, "BadRequest", "the server rejected our request for an unknown reason"},
        {401, "Unauthorized", "the server has asked for the client to provide credentials"},
        {403, "Forbidden", NULL},
        {404, "NotFound", "the server could not find the requested resource"},
        {405, "MethodNotAllowed", "the server does not allow this method on the requested resource"},
        {406, "NotAcceptable", NULL},
        {409, "AlreadyExists", "the server reported a conflict"},
        {415, "UnsupportedMediaType", NULL},
        {422, "Invalid", "the server rejected our request due to an error in our request"},
        {429, "TooManyRequests", "the server has received too many requests and has asked us to try again later"},
        {503, "ServiceUnavailable", "the server is currently unable to handle the request"},
        {504, "Timeout",
         "the server was unable to return a response in the time allotted, but may still be processing the request"},
    };
    const char *type = http_exchange_answer(x->http)->content_type;
    bool text = type && str_has_prefix(type, "text/") && x->in.len;
    while (text && x->in.len && isspace((unsigned char)x->in.data[x->in.len - 1]))
        x->in.data[--x->in.len] = 0;
    const char *said = text ? x->in.data : "unknown";
    for (size_t i = 0; i < ELEMENTSOF(known); i++)
        if (known[i].code == code) {
            x->call->result =
                api_error_set(&x->call->err, code, known[i].reason, "%s", known[i].text ? known[i].text : said);
            return;
        }
    _cleanup_buf_ Buf quoted = BUF_INIT(WEBHOOK_ANSWER_MAX);
    go_quote(&quoted, said);
    x->call->result =
        code >= 500
            ? api_error_set(&x->call->err, code, "InternalError",
                            "an error on the server (%s) has prevented the request from succeeding", quoted.data)
            : api_error_set(&x->call->err, code, "",
                            "the server responded with the status code %d but did not return more information", code);
}

/* ---- one call ---- */

static int on_data(HttpExchange *exchange, const char *p, size_t n, void *userdata) {
    (void)exchange;
    Exchange *x = userdata;
    buf_append(&x->in, p, n);
    return x->in.failed ? -EFBIG : 0;
}

static void on_end(HttpExchange *exchange, int error, const char *why, void *userdata) {
    (void)exchange;
    Exchange *x = userdata;
    x->error = error;
    x->why = xstrdup(why);
    x->ended_ns = now_monotonic_ns();
}

/* Where the call goes: the endpoint of a Service, or what the URL names. */
static int find_where(WebhookClient *client, Exchange *x, HttpUrl *url, HttpClientConfig *config) {
    const WebhookTarget *target = x->call->target;
    _cleanup_api_error_ ApiError err = {0};
    int r = target->service
                ? service_resolve(client->store, target->ns, target->service, target->port, &x->endpoint, &err)
                : http_url_parse(target->base, url);
    if (r < 0) {
        fail(x, 503, target->service ? err.message : "invalid URL");
        return r;
    }
    *config = (HttpClientConfig){.to = {.host = target->service ? x->endpoint.host : url->host,
                                        .port = target->service ? x->endpoint.port : url->port,
                                        .tls = true,
                                        .server_name = target->server_name,
                                        .ca_pem = *target->ca_pem ? target->ca_pem : NULL,
                                        .system_ca = !*target->ca_pem,
                                        .timeout_ns = WEBHOOK_CONNECT_SECONDS * NS_PER_SEC},
                                 .authority = target->base + strlen("https://"),
                                 .http1_only = true, /* spreads over endpoints */
                                 .idle_seconds = WEBHOOK_IDLE_SECONDS};
    return 0;
}

static void start(Exchange *x) {
    static const HttpHeader headers[] = {{"content-type", "application/json"},
                                         {"accept", "application/json, */*"},
                                         {"user-agent", "kube-apiserver-admission"}};
    static const HttpExchangeOps ops = {.data = on_data, .end = on_end};
    const HttpCall call = {.method = "POST",
                           .target = x->target,
                           .headers = headers,
                           .n_headers = ELEMENTSOF(headers),
                           .body = x->out.data,
                           .body_len = x->out.len,
                           .has_body = true};
    http_exchange_start(x->server->http, &call, &ops, x, &x->http);
}

static void begin(WebhookClient *client, Exchange *x) {
    WebhookCall *call = x->call;
    uint64_t timeout = call->timeout_ns ? call->timeout_ns : WEBHOOK_TIMEOUT_SECONDS * NS_PER_SEC;
    _cleanup_http_url_ HttpUrl url = {0};
    _cleanup_free_ char *why = NULL;
    HttpClientConfig config;
    x->started_ns = now_monotonic_ns();
    x->deadline_ns = x->started_ns + timeout;
    x->out = BUF_INIT(BUF_NO_LIMIT);
    x->in = BUF_INIT(WEBHOOK_ANSWER_MAX);
    if (!call->target->base || !str_has_prefix(call->target->base, "https://")) {
        fail(x, 500, "webhook configuration must have either service or URL");
        return;
    }
    x->target = xasprintf("%s?timeout=%llus", call->target->path,
                          (unsigned long long)((timeout + NS_PER_SEC - 1) / NS_PER_SEC));
    x->url = xasprintf("%s%s", call->target->base, x->target);
    if (find_where(client, x, &url, &config) < 0)
        return;
    int r = take_server(client, &config, &x->server, &why);
    if (r < 0) {
        fail(x, 503,
             r == -EINVAL ? "unable to load root certificates: unable to parse bytes as PEM block"
                          : str_or(why, strerror(-r)));
        return;
    }
    value_write_json(&x->out, call->body);
    start(x);
}

static void read_answer(Arena *arena, Exchange *x) {
    WebhookCall *call = x->call;
    int status = http_exchange_answer(x->http)->status;
    char *why = NULL;
    if (status < 200 || status > 206)
        refuse(x, status);
    else if (!x->in.len)
        call->result = api_error_set(&call->err, 503, "ServiceUnavailable",
                                     "0-length response with status code: %d and content type: ", status);
    else if (json_parse(arena, x->in.data, x->in.len, &call->answer, NULL, &why) < 0)
        call->result =
            api_error_set(&call->err, 503, "ServiceUnavailable", NO_KIND_PREFIX "%s", str_or(why, "not JSON"));
}

static void finish(Arena *arena, Exchange *x) {
    if (!x->http)
        return;
    bool ended = http_exchange_wait(x->http, x->deadline_ns);
    x->call->took_ns = (ended ? x->ended_ns : now_monotonic_ns()) - x->started_ns;
    if (!ended)
        fail(x, 503, "context deadline exceeded");
    else if (x->error == -EFBIG)
        fail(x, 503, "the answer is larger than this server takes");
    else if (x->error < 0)
        fail(x, 503, str_or(x->why, strerror(-x->error)));
    else
        read_answer(arena, x);
}

static void end(WebhookClient *client, Exchange *x) {
    http_exchange_free(x->http);
    if (x->server)
        give_server(client, x->server);
    buf_done(&x->out);
    buf_done(&x->in);
    free(x->url);
    free(x->target);
    free(x->why);
}

void webhook_call_all(WebhookClient *client, Arena *arena, WebhookCall *calls, size_t n) {
    Exchange *all = arena_alloc0(arena, n * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i].call = &calls[i];
        begin(client, &all[i]);
    }
    pool_leave();
    for (size_t i = 0; i < n; i++)
        finish(arena, &all[i]);
    pool_return();
    for (size_t i = 0; i < n; i++)
        end(client, &all[i]);
}
