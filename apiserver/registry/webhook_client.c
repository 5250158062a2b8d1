#include "apiserver/registry/webhook_client.h"
#include "api/json.h"
#include "apiserver/registry/service_resolver.h"
#include "base/clock.h"
#include "base/str.h"
#include "loop/pool.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>

#define POLL_MS 1000
#define DEFAULT_PORT 443

struct WebhookClient {
    Store *store;
    pthread_mutex_t lock;
    CURLM *idle[WEBHOOK_IDLE_LINES]; /* the last one used is the first one taken */
    size_t n_idle;
};

typedef struct Exchange { /* one call under way */
    WebhookCall *call;
    CURL *curl;
    struct curl_slist *headers, *connect_to;
    Buf out, in;
    ServiceEndpoint endpoint; /* of a Service */
    char *url, detail[CURL_ERROR_SIZE];
    uint64_t started_ns;
} Exchange;

WebhookClient *webhook_client_new(Store *store) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    WebhookClient *client = NEW0(WebhookClient);
    client->store = store;
    pthread_mutex_init(&client->lock, NULL);
    return client;
}

void webhook_client_free(WebhookClient *client) {
    if (!client)
        return;
    while (client->n_idle)
        curl_multi_cleanup(client->idle[--client->n_idle]);
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

/* ---- failures, worded as Go does ---- */

static void fail(Exchange *x, int code, const char *why) {
    x->call->result = x->url ? api_error_set(&x->call->err, code, "ServiceUnavailable", "Post \"%s\": %s", x->url, why)
                             : api_error_set(&x->call->err, code, "ServiceUnavailable", "%s", why);
}

static const char *connect_failure(Arena *arena, const Exchange *x) {
    const char *ip = x->endpoint.host;
    long number = 0;
    curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &number);
    char *why = arena_strdup(arena, number ? strerror((int)number) : "connection refused");
    *why = (char)tolower((unsigned char)*why);
    if (!x->call->target->service)
        return arena_printf(arena, "dial tcp %s: connect: %s", x->call->target->base + strlen("https://"), why);
    return arena_printf(arena, strchr(ip, ':') ? "dial tcp [%s]:%u: connect: %s" : "dial tcp %s:%u: connect: %s", ip,
                        x->endpoint.port, why);
}

static const char *certificate_failure(Arena *arena, const Exchange *x) {
    long verdict = X509_V_OK;
    curl_easy_getinfo(x->curl, CURLINFO_SSL_VERIFYRESULT, &verdict);
    const char *why = arena_strdup(arena, x->detail);
    switch (verdict) {
    case X509_V_OK:
        if (strstr(x->detail, "subject name"))
            why = arena_printf(arena, "certificate is not valid for %s",
                               str_or(x->call->target->server_name, x->call->target->base + strlen("https://")));
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        why = "certificate has expired or is not yet valid";
        break;
    default:
        why = "certificate signed by unknown authority";
    }
    return arena_printf(arena, "tls: failed to verify certificate: x509: %s", why);
}

static const char *failure_of(Arena *arena, const Exchange *x, CURLcode code) {
    const char *host = x->call->target->base + strlen("https://");
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "context deadline exceeded";
    case CURLE_COULDNT_RESOLVE_HOST:
        return arena_printf(arena, "dial tcp: lookup %.*s: no such host", (int)strcspn(host, ":"), host);
    case CURLE_COULDNT_CONNECT:
        return connect_failure(arena, x);
    case CURLE_PEER_FAILED_VERIFICATION:
        return certificate_failure(arena, x);
    case CURLE_SSL_CACERT_BADFILE:
        return "unable to load root certificates: unable to parse bytes as PEM block";
    case CURLE_GOT_NOTHING:
        return "EOF";
    case CURLE_WRITE_ERROR:
        return "the answer is larger than this server takes";
    default:
        return arena_strdup(arena, *x->detail ? x->detail : curl_easy_strerror(code));
    }
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
    char *type = NULL;
    curl_easy_getinfo(x->curl, CURLINFO_CONTENT_TYPE, &type);
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

static size_t on_body(char *p, size_t size, size_t n, void *userdata) {
    Buf *body = userdata;
    buf_append(body, p, size * n);
    return body->failed ? 0 : size * n;
}

/* Names and addresses in brackets where they hold colons. */
static void connect_to(Exchange *x) {
    const WebhookTarget *target = x->call->target;
    const ServiceEndpoint *endpoint = &x->endpoint;
    bool v6 = strchr(endpoint->host, ':') != NULL;
    _cleanup_free_ char *line = xasprintf("%s:%u:%s%s%s:%u", target->server_name, target->port, v6 ? "[" : "",
                                          endpoint->host, v6 ? "]" : "", endpoint->port);
    x->connect_to = curl_slist_append(NULL, line);
    curl_easy_setopt(x->curl, CURLOPT_CONNECT_TO, x->connect_to);
}

static int resolve(WebhookClient *client, Exchange *x) {
    const WebhookTarget *target = x->call->target;
    _cleanup_api_error_ ApiError err = {0};
    if (!target->service)
        return 0;
    int r = service_resolve(client->store, target->ns, target->service, target->port, &x->endpoint, &err);
    if (r < 0)
        fail(x, 503, err.message);
    else
        connect_to(x);
    return r;
}

static void set_options(Exchange *x, uint64_t timeout_ns) {
    CURL *curl = x->curl;
    const WebhookTarget *target = x->call->target;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* spreads over endpoints */
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, WEBHOOK_CONNECTION_IDLE_SECONDS);
    curl_easy_setopt(curl, CURLOPT_URL, x->url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "kube-apiserver-admission");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)MAX(timeout_ns / (NS_PER_SEC / 1000), (uint64_t)1));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->out.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->out.data);
    x->headers = curl_slist_append(x->headers, "Content-Type: application/json");
    x->headers = curl_slist_append(x->headers, "Accept: application/json, */*");
    x->headers = curl_slist_append(x->headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x->in);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->detail);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, x);
    if (*target->ca_pem) {
        struct curl_blob blob = {
            .data = (void *)(uintptr_t)target->ca_pem, .len = strlen(target->ca_pem), .flags = CURL_BLOB_NOCOPY};
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    }
}

/* Negative: it has failed already. */
static int begin(WebhookClient *client, CURLM *line, Exchange *x) {
    WebhookCall *call = x->call;
    uint64_t timeout = call->timeout_ns ? call->timeout_ns : WEBHOOK_TIMEOUT_SECONDS * NS_PER_SEC;
    x->started_ns = now_monotonic_ns();
    x->out = BUF_INIT(BUF_NO_LIMIT);
    x->in = BUF_INIT(WEBHOOK_ANSWER_MAX);
    if (!call->target->base || !str_has_prefix(call->target->base, "https://")) {
        fail(x, 500, "webhook configuration must have either service or URL");
        return call->result;
    }
    x->url = xasprintf("%s%s?timeout=%llus", call->target->base, call->target->path,
                       (unsigned long long)((timeout + NS_PER_SEC - 1) / NS_PER_SEC));
    x->curl = curl_easy_init();
    int r = x->curl ? resolve(client, x) : -ENOMEM;
    if (r < 0) {
        if (!x->curl)
            fail(x, 503, "no memory for a connection");
        return r;
    }
    value_write_json(&x->out, call->body);
    set_options(x, timeout);
    curl_multi_add_handle(line, x->curl);
    return 0;
}

static void finish(Arena *arena, Exchange *x, CURLcode code) {
    WebhookCall *call = x->call;
    long status = 0;
    char *why = NULL;
    call->took_ns = now_monotonic_ns() - x->started_ns;
    if (code != CURLE_OK) {
        fail(x, 503, failure_of(arena, x, code));
        return;
    }
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 206)
        refuse(x, (int)status);
    else if (!x->in.len)
        call->result = api_error_set(&call->err, 503, "ServiceUnavailable",
                                     "0-length response with status code: %ld and content type: ", status);
    else if (json_parse(arena, x->in.data, x->in.len, &call->answer, NULL, &why) < 0)
        call->result = api_error_set(&call->err, 503, "ServiceUnavailable",
                                     "couldn't get version/kind; json parse error: %s", str_or(why, "not JSON"));
}

static void end(CURLM *line, Exchange *x) {
    if (x->curl) {
        curl_multi_remove_handle(line, x->curl);
        curl_easy_cleanup(x->curl);
    }
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->connect_to);
    buf_done(&x->out);
    buf_done(&x->in);
    free(x->url);
}

/* ---- lines ---- */

static CURLM *take_line(WebhookClient *client) {
    CURLM *line = NULL;
    pthread_mutex_lock(&client->lock);
    if (client->n_idle)
        line = client->idle[--client->n_idle];
    pthread_mutex_unlock(&client->lock);
    if (!line && (line = curl_multi_init()))
        curl_multi_setopt(line, CURLMOPT_MAXCONNECTS, WEBHOOK_CONNECTIONS_PER_LINE);
    return line;
}

static void give_line(WebhookClient *client, CURLM *line) {
    pthread_mutex_lock(&client->lock);
    if (client->n_idle < WEBHOOK_IDLE_LINES) {
        client->idle[client->n_idle++] = line;
        line = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    if (line)
        curl_multi_cleanup(line);
}

static void run(CURLM *line, Arena *arena) {
    int running = 0;
    do {
        CURLMsg *message;
        int left;
        curl_multi_perform(line, &running);
        while ((message = curl_multi_info_read(line, &left))) {
            Exchange *x = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&x);
            if (message->msg == CURLMSG_DONE)
                finish(arena, x, message->data.result);
        }
        if (running)
            curl_multi_poll(line, NULL, 0, POLL_MS, NULL);
    } while (running);
}

void webhook_call_all(WebhookClient *client, Arena *arena, WebhookCall *calls, size_t n) {
    Exchange *all = arena_alloc0(arena, n * sizeof *all);
    CURLM *line = take_line(client);
    for (size_t i = 0; i < n; i++) {
        all[i].call = &calls[i];
        if (line)
            begin(client, line, &all[i]);
        else
            fail(&all[i], 503, "no memory for a connection");
    }
    pool_leave();
    if (line)
        run(line, arena);
    pool_return();
    for (size_t i = 0; i < n; i++)
        end(line, &all[i]);
    if (line)
        give_line(client, line);
}
