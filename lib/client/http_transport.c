#define LOG_COMPONENT "client"
#include "client/http_transport.h"

#include "api/json.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "client/http_request.h"
#include "client/http_watch.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>

typedef struct HttpTransport {
    ClientTransport base;
    Kubeconfig config;
    pthread_mutex_t lock;
    CURL *idle[HTTP_TRANSPORT_IDLE_MAX];
    size_t n_idle;
    HttpWatcher *watcher; /* made by the first watch */
} HttpTransport;

/* ---- settings that calls and watches share ---- */

static void set_blob(CURL *curl, CURLoption option, const char *pem) {
    struct curl_blob blob = {.data = (void *)pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
    curl_easy_setopt(curl, option, &blob);
}

/* Options that hold for the life of the handle. The configuration outlives it. */
static void apply_config(CURL *curl, const Kubeconfig *config) {
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 15L);
    if (config->ca_pem)
        set_blob(curl, CURLOPT_CAINFO_BLOB, config->ca_pem);
    if (config->cert_pem)
        set_blob(curl, CURLOPT_SSLCERT_BLOB, config->cert_pem);
    if (config->key_pem)
        set_blob(curl, CURLOPT_SSLKEY_BLOB, config->key_pem);
    if (config->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name, const char *value) {
    _cleanup_free_ char *line = xasprintf("%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(headers, line);
    wipe(line, strlen(line));
    return more ? more : headers;
}

static struct curl_slist *add_token(struct curl_slist *headers, const Kubeconfig *config) {
    const char *token = config->token;
    char *read = NULL;
    size_t n;
    if (config->token_file && fs_read_file(config->token_file, KUBECONFIG_MAX, &read, &n) >= 0) {
        while (n > 0 && (read[n - 1] == '\n' || read[n - 1] == '\r' || read[n - 1] == ' '))
            read[--n] = 0;
        token = read;
    }
    if (!str_empty(token)) {
        char *bearer = xasprintf("Bearer %s", token);
        headers = add_header(headers, "Authorization", bearer);
        wipe_freep(&bearer);
    }
    wipe_freep(&read);
    return headers;
}

CURL *http_transport_handle(const Kubeconfig *config) {
    CURL *curl = curl_easy_init();
    if (curl)
        apply_config(curl, config);
    return curl;
}

struct curl_slist *http_transport_prepare(CURL *curl, const Kubeconfig *config, const ApiRequest *request) {
    _cleanup_buf_ Buf url = BUF_INIT(BUF_NO_LIMIT);
    buf_puts(&url, config->server);
    http_request_path(&url, request);
    curl_easy_setopt(curl, CURLOPT_URL, url.data);
    if (request->user_agent)
        curl_easy_setopt(curl, CURLOPT_USERAGENT, request->user_agent);
    struct curl_slist *headers = add_header(NULL, "Accept", http_request_accept(request));
    headers = add_header(headers, "Expect", "");
    headers = add_token(headers, config);
    const char *type = http_request_content_type(request);
    if (type)
        headers = add_header(headers, "Content-Type", type);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    return headers;
}

int http_transport_failure(ApiError *err, CURLcode code, const char *detail) {
    const char *message = str_empty(detail) ? curl_easy_strerror(code) : detail;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return api_error_set(err, 504, "Timeout", "%s", message);
    if (code == CURLE_FILESIZE_EXCEEDED || code == CURLE_WRITE_ERROR)
        return api_error_set(err, 413, "RequestEntityTooLarge", "the answer is larger than this client takes");
    return api_error_set(err, 503, "ServiceUnavailable", "%s", message);
}

/* ---- calls ---- */

static CURL *take_handle(HttpTransport *transport) {
    CURL *curl = NULL;
    pthread_mutex_lock(&transport->lock);
    if (transport->n_idle > 0)
        curl = transport->idle[--transport->n_idle];
    pthread_mutex_unlock(&transport->lock);
    if (curl)
        return curl;
    curl = http_transport_handle(&transport->config);
    if (curl) {
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)HTTP_TRANSPORT_CALL_SECONDS);
    }
    return curl;
}

static void give_handle(HttpTransport *transport, CURL *curl) {
    pthread_mutex_lock(&transport->lock);
    if (transport->n_idle < HTTP_TRANSPORT_IDLE_MAX) {
        transport->idle[transport->n_idle++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&transport->lock);
    if (curl)
        curl_easy_cleanup(curl);
}

static size_t on_body(char *p, size_t size, size_t n, void *userdata) {
    Buf *body = userdata;
    buf_append(body, p, size * n);
    return body->failed ? 0 : size * n;
}

static void set_method(CURL *curl, const ApiRequest *request, Buf *body) {
    if (request->body)
        value_write_json(body, request->body);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, http_request_method(request));
    if (request->body || request->verb == API_CREATE) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->len ? body->data : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    } else
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
}

/* One exchange: the answer's HTTP status and decoded body. */
static int exchange(HttpTransport *transport, const ApiRequest *request, Value **ret, ApiError *err) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT), in = BUF_INIT(HTTP_TRANSPORT_ANSWER_MAX);
    char detail[CURL_ERROR_SIZE] = "";
    CURL *curl = take_handle(transport);
    if (!curl)
        return api_error_set(err, 500, "InternalError", "libcurl gives no handle");
    struct curl_slist *headers = http_transport_prepare(curl, &transport->config, request);
    set_method(curl, request, &out);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &in);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL);
    curl_slist_free_all(headers);
    give_handle(transport, curl);
    if (code != CURLE_OK)
        return http_transport_failure(err, code, detail);
    return http_transport_answer(request->arena, &in, (int)status, ret, err);
}

int http_transport_answer(Arena *arena, const Buf *body, int status, Value **ret, ApiError *err) {
    Value *v = NULL;
    int r = body->len ? json_parse(arena, body->data, body->len, &v, NULL, NULL) : -EBADMSG;
    if (status >= 400) {
        const char *kind = r >= 0 ? value_get_str(v, "kind") : NULL;
        if (kind && streq(kind, "Status"))
            return api_error_from_status(err, v, status);
        return api_error_set(err, status, "", "the server answered %d: %.200s", status, body->len ? body->data : "");
    }
    if (r < 0)
        return api_error_set(err, 500, "InternalError", "the server's answer is not JSON");
    *ret = v;
    return 0;
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
    pthread_mutex_lock(&transport->lock);
    if (!transport->watcher)
        transport->watcher = http_watcher_new(&transport->config);
    HttpWatcher *watcher = transport->watcher;
    pthread_mutex_unlock(&transport->lock);
    if (!watcher)
        return api_error_set(err, 500, "InternalError", "no thread for watches");
    return http_watcher_watch(watcher, request, event, end, userdata, ret, err);
}

static void transport_free(ClientTransport *base) {
    HttpTransport *transport = CONTAINER_OF(base, HttpTransport, base);
    http_watcher_free(transport->watcher);
    while (transport->n_idle > 0)
        curl_easy_cleanup(transport->idle[--transport->n_idle]);
    pthread_mutex_destroy(&transport->lock);
    kubeconfig_done(&transport->config);
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
    if (config->tls_server_name) {
        *ret_error = xstrdup("tls-server-name in a kubeconfig is not supported");
        return -EOPNOTSUPP;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        *ret_error = xstrdup("libcurl does not start");
        return -EIO;
    }
    HttpTransport *transport = NEW0(HttpTransport);
    transport->base = (ClientTransport){.execute = transport_execute,
                                        .list = transport_list,
                                        .watch = transport_watch,
                                        .watch_stop = http_watch_stop,
                                        .free = transport_free};
    copy_config(config, &transport->config);
    pthread_mutex_init(&transport->lock, NULL);
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
