#include "client/http_transport.h"

#include "api/json.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "client/account_tokens.h"
#include "client/http_request.h"
#include "client/http_watch.h"
#include "client/request_metrics.h"
#include "client/transport_call.h"
#include "http/client.h"
#include "http/url.h"
#include "loop/thread.h"

#include <errno.h>
#include <pthread.h>

#define THREAD_STACK_SIZE (512 * 1024) /* handlers of watches run here */

typedef struct HttpTransport {
    ClientTransport base;
    Kubeconfig config;
    HttpUrl url; /* of the server */
    LoopThread *thread;
    HttpClient *http;
    /* Of requests that act as service accounts: connections without our certificate, which would say who we are first.
     * Made when needed. */
    pthread_mutex_t accounts_lock;
    HttpClient *accounts_http;
    AccountTokens *accounts;
    char *host; /* as metrics name the server */
    RequestMetrics metrics;
} HttpTransport;

/* ---- who asks ---- */

static char *bearer_of(const Kubeconfig *config) {
    const char *token = config->token;
    char *read = NULL, *bearer = NULL;
    size_t n;
    if (config->token_file && fs_read_file(config->token_file, KUBECONFIG_MAX, &read, &n) >= 0) {
        while (n > 0 && (read[n - 1] == '\n' || read[n - 1] == '\r' || read[n - 1] == ' '))
            read[--n] = 0;
        token = read;
    }
    if (!str_empty(token) && !strpbrk(token, "\r\n"))
        bearer = xasprintf("Bearer %s", token);
    wipe_freep(&read);
    return bearer;
}

static int connect_with(const HttpTransport *transport, bool as_ourselves, HttpClient **ret, char **ret_error) {
    const Kubeconfig *config = &transport->config;
    const HttpClientConfig http = {.to = {.host = transport->url.host,
                                          .port = transport->url.port,
                                          .tls = transport->url.tls,
                                          .server_name = config->tls_server_name,
                                          .ca_pem = config->insecure ? NULL : config->ca_pem,
                                          .system_ca = !config->insecure && !config->ca_pem,
                                          .cert_pem = as_ourselves ? config->cert_pem : NULL,
                                          .key_pem = as_ourselves ? config->key_pem : NULL,
                                          .timeout_ns = HTTP_TRANSPORT_CONNECT_SECONDS * NS_PER_SEC}};
    return http_client_new(loop_thread_loop(transport->thread), &http, ret, ret_error);
}

/* Who the request is from: on which connections, and with which bearer token. */
static int credentials(HttpTransport *transport, const ApiRequest *request, HttpClient **ret, char **ret_bearer,
                       ApiError *err) {
    _cleanup_(wipe_freep) char *token = NULL;
    _cleanup_free_ char *why = NULL;
    if (!request->as) {
        *ret = transport->http;
        *ret_bearer = bearer_of(&transport->config);
        return 0;
    }
    int r = account_tokens_get(transport->accounts, request->as, request->user_agent, &token, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&transport->accounts_lock);
    if (!transport->accounts_http)
        r = connect_with(transport, false, &transport->accounts_http, &why);
    *ret = transport->accounts_http;
    pthread_mutex_unlock(&transport->accounts_lock);
    if (r < 0)
        return transport_failure(err, r, why);
    *ret_bearer = xasprintf("Bearer %s", token);
    return 0;
}

/* ---- calls ---- */

/* One exchange: the answer's HTTP status and decoded body. */
static int exchange(HttpTransport *transport, const ApiRequest *request, Value **ret, ApiError *err) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *why = NULL;
    _cleanup_(transport_call_done) TransportCall call = {0};
    HttpClient *http;
    char *bearer;
    int r = credentials(transport, request, &http, &bearer, err);
    if (r < 0)
        return r;
    transport_call_init(&call, bearer, transport->url.path, request);
    if (request->body)
        value_write_json(&out, request->body);
    call.call.has_body = request->body || request->verb == API_CREATE;
    call.call.body = out.data;
    call.call.body_len = out.len;
    uint64_t began = now_monotonic_ns();
    r = http_client_call(http, &call.call, HTTP_TRANSPORT_ANSWER_MAX, HTTP_TRANSPORT_CALL_SECONDS * NS_PER_SEC, &answer,
                         &why);
    request_metrics_count(&transport->metrics, call.call.method, r < 0 ? 0 : answer.status, now_monotonic_ns() - began);
    if (r < 0) {
        _cleanup_free_ char *text = xasprintf("%s \"%s%s\": %s", call.call.method, transport->config.server,
                                              call.target.data + strlen(transport->url.path), why);
        return transport_failure(err, r, text);
    }
    if (answer.status == 401 && request->as)
        account_tokens_forget(transport->accounts, request->as);
    return transport_answer(request->arena, &answer.body, answer.status, ret, err);
}

static int transport_execute(ClientTransport *base, const ApiRequest *request, Object **ret_object, Value **ret_value,
                             ApiError *err) {
    HttpTransport *transport = CONTAINER_OF(base, HttpTransport, base);
    Value *v = NULL;
    int r = exchange(transport, request, &v, err);
    if (r < 0)
        return r;
    if (request->resource && http_answer_is_object(request->arena, request->resource, v))
        *ret_object = http_answer_object(request->arena, request->resource, v, false);
    else
        *ret_value = v;
    return 0;
}

static void list_append(ClientList *list, const ApiRequest *request, const Value *answer) {
    const Value *items = value_get(answer, "items");
    Value *item;
    list->items = xreallocn(list->items, list->n + value_len(items) + 1, sizeof(*list->items));
    VALUE_FOREACH (item, items)
        list->items[list->n++] =
            http_answer_object(request->arena, request->resource, item, request->options.metadata_only);
}

/* Page by page, so that a large list is never in memory twice. Continue tokens that expire end in one whole list. */
static int list_pages(HttpTransport *transport, const ApiRequest *whole, int64_t page, ClientList *ret, ApiError *err) {
    _cleanup_client_list_ ClientList list = {0};
    _cleanup_free_ char *token = NULL;
    do {
        _cleanup_arena_ Arena *arena = arena_new(0);
        ApiRequest request = *whole;
        Value *answer = NULL;
        request.arena = arena;
        request.options.limit = page;
        if (token)
            request.options.continue_token = token;
        int r = exchange(transport, &request, &answer, err);
        if (r < 0)
            return r;
        list_append(&list, &request, answer);
        list.revision = http_answer_revision(answer);
        free(token);
        token = xstrdup(value_get_str(value_get(answer, "metadata"), "continue"));
    } while (!str_empty(token));
    *ret = list;
    list = (ClientList){0};
    return 0;
}

static int transport_list(ClientTransport *base, const ApiRequest *request, ClientList *ret, ApiError *err) {
    HttpTransport *transport = CONTAINER_OF(base, HttpTransport, base);
    if (request->options.limit || request->options.continue_token)
        return list_pages(transport, request, request->options.limit, ret, err);
    int r = list_pages(transport, request, HTTP_TRANSPORT_PAGE, ret, err);
    if (r != -EKEYEXPIRED)
        return r;
    api_error_done(err);
    return list_pages(transport, request, 0, ret, err);
}

/* ---- watches ---- */

static int transport_watch(ClientTransport *base, const ApiRequest *request,
                           void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                           void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret, ApiError *err) {
    HttpTransport *transport = CONTAINER_OF(base, HttpTransport, base);
    HttpClient *http;
    char *bearer;
    int r = credentials(transport, request, &http, &bearer, err);
    return r < 0 ? r
                 : http_watch_start(http, &transport->metrics, bearer, transport->url.path, request, event, end,
                                    userdata, ret);
}

static void transport_write_metrics(ClientTransport *base, Buf *out) {
    HttpTransport *transport = CONTAINER_OF(base, HttpTransport, base);
    request_metrics_write(&transport->metrics, transport->host, out);
}

/* ---- its life ---- */

static void transport_free(ClientTransport *base) {
    HttpTransport *transport = CONTAINER_OF(base, HttpTransport, base);
    http_client_free(transport->accounts_http);
    http_client_free(transport->http);
    account_tokens_free(transport->accounts);
    pthread_mutex_destroy(&transport->accounts_lock);
    loop_thread_free(transport->thread);
    kubeconfig_done(&transport->config);
    http_url_done(&transport->url);
    free(transport->host);
    free(transport);
}

static void copy_config(const Kubeconfig *from, Kubeconfig *to) {
    *to = (Kubeconfig){.server = xstrdup(from->server),
                       .tls_server_name = xstrdup(from->tls_server_name),
                       .ca_pem = xstrdup(from->ca_pem),
                       .cert_pem = xstrdup(from->cert_pem),
                       .key_pem = xstrdup(from->key_pem),
                       .token = xstrdup(from->token),
                       .token_file = xstrdup(from->token_file),
                       .insecure = from->insecure};
}

int http_transport_new(const Kubeconfig *config, ClientTransport **ret, char **ret_error) {
    HttpTransport *transport = NEW0(HttpTransport);
    transport->base = (ClientTransport){.execute = transport_execute,
                                        .list = transport_list,
                                        .watch = transport_watch,
                                        .watch_stop = http_watch_stop,
                                        .write_metrics = transport_write_metrics,
                                        .free = transport_free};
    pthread_mutex_init(&transport->accounts_lock, NULL);
    copy_config(config, &transport->config);
    transport->accounts = account_tokens_new(&transport->base);
    int r = http_url_parse(config->server, &transport->url);
    if (r < 0)
        *ret_error = xasprintf("the server of the kubeconfig is no URL: %s", config->server);
    else if ((r = loop_thread_new("client", THREAD_STACK_SIZE, &transport->thread)) < 0)
        *ret_error = xasprintf("no thread for a client: %s", strerror(-r));
    if (r >= 0)
        transport->host = xasprintf("%s:%u", transport->url.host, transport->url.port);
    r = r < 0 ? r : connect_with(transport, true, &transport->http, ret_error);
    if (r < 0) {
        transport_free(&transport->base);
        return r;
    }
    *ret = &transport->base;
    return 0;
}

int client_http_from_kubeconfig(const char *path, const char *user_agent, Client **ret, char **ret_error) {
    _cleanup_kubeconfig_ Kubeconfig config = {0};
    ClientTransport *transport = NULL;
    int r = kubeconfig_load(path, NULL, &config, ret_error);
    if (r >= 0)
        r = http_transport_new(&config, &transport, ret_error);
    if (r >= 0)
        *ret = client_new(transport, user_agent);
    return r;
}
