#define LOG_COMPONENT "images"
#include "kubelet/pull/registry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/pull/challenge.h"
#include "kubelet/images/manifest.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#define ACCEPT_MANIFESTS                                                                                               \
    "Accept: " MEDIA_OCI_INDEX ", " MEDIA_DOCKER_LIST ", " MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_MANIFEST
#define PROBE_SECONDS 3
#define RETRY_PAUSE_MS 300

struct Registry {
    const ImageStore *store;
    const ImageReference *reference;
    CURL *curl;
    char *host, *base; /* base: "https://host" */
    bool may_be_plain;
    const RegistryAuth *auth;
    char *authorization; /* a header line with a secret, or NULL */
    char curl_error[CURL_ERROR_SIZE];
};

/* Where a body goes: memory, or a file with its digest. */
typedef struct Response {
    CURL *curl;
    Buf *body; /* NULL: to fd */
    int fd, write_error;
    Digest *digest;
    uint64_t offset, expected; /* of the file */
    bool checked;              /* the status of this answer has been looked at */
    bool success, too_long;
    Buf error_body;
    char *location, *challenge;
    long status;
    image_progress_fn progress;
    const char *what;
    void *userdata;
} Response;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void response_done(Response *r) {
    buf_done(&r->error_body);
    free(r->location);
    free(r->challenge);
    r->location = r->challenge = NULL;
}

static bool is_loopback(const char *host) {
    return str_has_prefix(host, "127.") || str_has_prefix(host, "[::1]") ||
           (str_has_prefix(host, "localhost") && (!host[9] || host[9] == ':'));
}

static bool may_be_plain(const ImageStore *store, const char *host) {
    return is_loopback(host) || str_in(host, (const char *const *)store->insecure_hosts);
}

static char *url_part(const char *url, CURLUPart part) {
    CURLU *u = curl_url();
    char *value = NULL, *copy = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && curl_url_get(u, part, &value, 0) == CURLUE_OK)
        copy = xstrdup(value);
    curl_free(value);
    curl_url_cleanup(u);
    return copy;
}

/* "host" or "host:port". */
static char *url_host(const char *url) {
    _cleanup_free_ char *host = url_part(url, CURLUPART_HOST), *port = url_part(url, CURLUPART_PORT);
    return host ? port ? xasprintf("%s:%s", host, port) : TAKE_PTR(host) : NULL;
}

static bool same_origin(const char *a, const char *b) {
    _cleanup_free_ char *host_a = url_host(a), *host_b = url_host(b);
    _cleanup_free_ char *scheme_a = url_part(a, CURLUPART_SCHEME), *scheme_b = url_part(b, CURLUPART_SCHEME);
    return host_a && host_b && scheme_a && scheme_b && strcasecmp(host_a, host_b) == 0 && streq(scheme_a, scheme_b);
}

static bool url_allowed(const ImageStore *store, const char *url) {
    if (strncasecmp(url, "https://", 8) == 0)
        return true;
    _cleanup_free_ char *host = strncasecmp(url, "http://", 7) == 0 ? url_host(url) : NULL;
    return host && may_be_plain(store, host);
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata) {
    Response *r = userdata;
    size_t len = size * n;
    _cleanup_free_ char *line = xstrndup(data, len);
    line[strcspn(line, "\r\n")] = 0;
    char **to = strncasecmp(line, "location:", 9) == 0            ? &r->location
                : strncasecmp(line, "www-authenticate:", 17) == 0 ? &r->challenge
                                                                  : NULL;
    if (!to)
        return len;
    const char *value = strchr(line, ':') + 1;
    value += strspn(value, " ");
    /* Several challenges may be offered: a token is preferred to a password. */
    if (to == &r->challenge && *to && strncasecmp(value, "bearer", 6) != 0)
        return len;
    free(*to);
    *to = xstrdup(value);
    return len;
}

static void file_restart(Response *r) {
    if (ftruncate(r->fd, 0) < 0)
        r->write_error = -errno;
    r->offset = 0;
    digest_free(r->digest);
    r->digest = digest_new();
}

static size_t write_to_file(Response *r, const char *data, size_t n) {
    if (n > r->expected - r->offset) {
        r->too_long = true;
        return 0;
    }
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(r->fd, data + done, n - done, (off_t)(r->offset + done));
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            r->write_error = w < 0 ? -errno : -EIO;
            return 0;
        }
        done += (size_t)w;
    }
    digest_update(r->digest, data, n);
    r->offset += n;
    if (r->progress)
        r->progress(r->what, r->offset, r->expected, r->userdata);
    return n;
}

static size_t on_body(char *data, size_t size, size_t count, void *userdata) {
    Response *r = userdata;
    size_t n = size * count;
    if (!r->checked) {
        curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &r->status);
        r->success = r->status >= 200 && r->status < 300;
        if (r->success && !r->body && r->status != 206 && r->offset)
            file_restart(r); /* the server does not resume */
        r->checked = true;
    }
    if (!r->success) {
        buf_append(&r->error_body, data, MIN(n, REGISTRY_ERROR_MAX - r->error_body.len));
        return n;
    }
    if (!r->body)
        return write_to_file(r, data, n);
    buf_append(r->body, data, n);
    r->too_long = r->body->failed;
    return r->too_long ? 0 : n;
}

static int error_of_curl(Registry *g, CURLcode code, const char *url, const Response *r, char **ret_error) {
    _cleanup_free_ char *host = url_host(url);
    if (r->write_error)
        return store_fail(ret_error, r->write_error, xasprintf("writing a download: %s", strerror(-r->write_error)));
    if (r->too_long)
        return store_fail(ret_error, -EFBIG, xasprintf("%s sent more than it announced", host ? host : url));
    if (code == CURLE_OPERATION_TIMEDOUT)
        return store_fail(ret_error, -ETIMEDOUT,
                          xasprintf("%s did not answer, or sent nothing for %u seconds: i/o timeout", host ? host : url,
                                    g->store->stall_seconds));
    int e =
        code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CACERT_BADFILE
            ? -EPROTO
            : -EHOSTUNREACH;
    return store_fail(
        ret_error, e,
        xasprintf("%s: %s", host ? host : url, *g->curl_error ? g->curl_error : curl_easy_strerror(code)));
}

static void curl_prepare(Registry *g, const char *url, Response *r) {
    CURL *c = g->curl;
    curl_easy_reset(c);
    *g->curl_error = 0;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, g->curl_error);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_USERAGENT, "lighter");
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)MIN((unsigned)REGISTRY_CONNECT_SECONDS, g->store->stall_seconds));
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)g->store->stall_seconds);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    if (g->store->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, g->store->ca_file);
    _cleanup_free_ char *host = url_host(url);
    if (host && is_loopback(host))
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    r->curl = c;
    r->checked = r->success = r->too_long = false;
    r->write_error = 0;
    r->status = 0;
    response_done(r);
    r->error_body = BUF_INIT(REGISTRY_ERROR_MAX);
}

/* One request, no redirects. `header` and `secret_header` may be NULL; `form` makes it a POST. */
static CURLcode perform(Registry *g, const char *url, const char *header, const char *secret_header, const char *form,
                        Response *r) {
    curl_prepare(g, url, r);
    struct curl_slist *headers = NULL;
    if (header)
        headers = curl_slist_append(headers, header);
    if (secret_header)
        headers = curl_slist_append(headers, secret_header);
    curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, headers);
    if (form)
        curl_easy_setopt(g->curl, CURLOPT_POSTFIELDS, form);
    char range[40];
    if (!r->body && r->offset) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)r->offset);
        curl_easy_setopt(g->curl, CURLOPT_RANGE, range);
    }
    CURLcode code = curl_easy_perform(g->curl);
    curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, NULL);
    for (struct curl_slist *h = headers; h; h = h->next)
        wipe(h->data, strlen(h->data));
    curl_slist_free_all(headers);
    return code;
}

static char *basic_header(const char *username, const char *password) {
    _cleanup_(wipe_freep) char *pair = xasprintf("%s:%s", username, password ? password : "");
    Buf b = BUF_INIT(REGISTRY_ERROR_MAX);
    buf_puts(&b, "Authorization: Basic ");
    base64_encode(&b, pair, strlen(pair));
    return buf_take(&b, NULL);
}

static int token_from(const Buf *body, char **ret) {
    _cleanup_json_ json_t *document = json_loadb(body->data ? body->data : "", body->len, 0, NULL);
    const char *token = json_string_value(json_object_get(document, "token"));
    if (str_empty(token))
        token = json_string_value(json_object_get(document, "access_token"));
    if (str_empty(token) || strpbrk(token, "\r\n"))
        return -EBADMSG;
    *ret = xasprintf("Authorization: Bearer %s", token);
    return 0;
}

/* https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/ */
static int fetch_token(Registry *g, const Challenge *challenge, char **ret_error) {
    if (!challenge->realm || !url_allowed(g->store, challenge->realm))
        return store_fail(ret_error, -EACCES,
                          xasprintf("%s names a token server that is not safe to talk to: %s", g->host,
                                    challenge->realm ? challenge->realm : "none"));
    _cleanup_buf_ Buf body = BUF_INIT(REGISTRY_TOKEN_MAX);
    _cleanup_(response_done) Response r = {.body = &body, .fd = -1};
    _cleanup_buf_ Buf query = BUF_INIT(REGISTRY_ERROR_MAX);
    _cleanup_free_ char *scope =
        challenge->scope ? xstrdup(challenge->scope) : xasprintf("repository:%s:pull", g->reference->path);
    _cleanup_(wipe_freep) char *secret = NULL;
    bool oauth = g->auth && !str_empty(g->auth->identity_token);
    if (challenge->service) {
        buf_puts(&query, "service=");
        percent_encode(&query, challenge->service, NULL);
        buf_putc(&query, '&');
    }
    buf_puts(&query, "scope=");
    percent_encode(&query, scope, NULL);
    CURLcode code;
    if (oauth) {
        buf_puts(&query, "&client_id=lighter&grant_type=refresh_token&refresh_token=");
        percent_encode(&query, g->auth->identity_token, NULL);
        code = perform(g, challenge->realm, NULL, NULL, query.data, &r);
        wipe(query.data, query.len);
    } else {
        _cleanup_free_ char *url =
            xasprintf("%s%c%s", challenge->realm, strchr(challenge->realm, '?') ? '&' : '?', query.data);
        if (g->auth && !str_empty(g->auth->username))
            secret = basic_header(g->auth->username, g->auth->password);
        code = perform(g, url, NULL, secret, NULL, &r);
    }
    if (code != CURLE_OK)
        return error_of_curl(g, code, challenge->realm, &r, ret_error);
    if (r.status == 401 || r.status == 403 || r.status == 400)
        return store_fail(ret_error, -EACCES,
                          xasprintf("failed to authorize: failed to fetch oauth token: unexpected status from "
                                    "GET request to %s: %ld",
                                    challenge->realm, r.status));
    if (r.status != 200 || token_from(&body, &g->authorization) < 0)
        return store_fail(ret_error, -EPROTO,
                          xasprintf("the token server %s gave no token (status %ld)", challenge->realm, r.status));
    wipe(body.data, body.len);
    return 0;
}

static int answer_challenge(Registry *g, const char *text, char **ret_error) {
    _cleanup_(challenge_done) Challenge challenge = {0};
    if (!text || challenge_parse(text, &challenge) < 0)
        return store_fail(ret_error, -EACCES, xasprintf("%s wants authorization, but does not say which", g->host));
    if (challenge.bearer)
        return fetch_token(g, &challenge, ret_error);
    if (!g->auth || str_empty(g->auth->username))
        return store_fail(ret_error, -EACCES,
                          xasprintf("pull access denied, repository %s does not exist or may require authorization: "
                                    "authorization failed: no basic auth credentials",
                                    g->reference->path));
    g->authorization = basic_header(g->auth->username, g->auth->password);
    return 0;
}

/* What registries say in JSON: {"errors": [{"code", "message"}]}. */
static char *server_words(const Response *r) {
    _cleanup_json_ json_t *document =
        json_loadb(r->error_body.data ? r->error_body.data : "", r->error_body.len, 0, NULL);
    const json_t *first = json_array_get(json_object_get(document, "errors"), 0);
    const char *code = json_string_value(json_object_get(first, "code")),
               *message = json_string_value(json_object_get(first, "message"));
    return message ? xasprintf(": server message: %.100s: %.400s", code ? code : "error", message) : xstrdup("");
}

static int error_of_status(Registry *g, const char *url, const Response *r, char **ret_error) {
    _cleanup_free_ char *words = server_words(r), *name = image_reference_text(g->reference);
    if (r->status == 404)
        return store_fail(ret_error, -ENOENT, xasprintf("%s: not found", name));
    if (r->status == 401 || r->status == 403)
        return store_fail(
            ret_error, -EACCES,
            xasprintf("pull access denied, repository does not exist or may require authorization%s", words));
    _cleanup_free_ char *host = url_host(url);
    return store_fail(ret_error, r->status == 429 ? -EAGAIN : -EIO,
                      xasprintf("unexpected status from %s: %ld%s", host ? host : url, r->status, words));
}

/* Follows redirects; the secret goes only where the registry itself is. */
static int request_once(Registry *g, const char *first_url, const char *header, Response *r, bool *ret_retry,
                        char **ret_error) {
    _cleanup_free_ char *url = xstrdup(first_url);
    bool challenged = false;
    for (int hop = 0; hop <= REGISTRY_REDIRECTS_MAX;) {
        bool home = same_origin(url, g->base);
        CURLcode code = perform(g, url, header, home ? g->authorization : NULL, NULL, r);
        if (code != CURLE_OK) {
            *ret_retry = code != CURLE_OPERATION_TIMEDOUT && code != CURLE_PEER_FAILED_VERIFICATION &&
                         code != CURLE_SSL_CONNECT_ERROR && code != CURLE_COULDNT_RESOLVE_HOST && !r->write_error &&
                         !r->too_long;
            return error_of_curl(g, code, url, r, ret_error);
        }
        if (r->status == 401 && home && !challenged) {
            challenged = true;
            wipe_freep(&g->authorization);
            g->authorization = NULL;
            int e = answer_challenge(g, r->challenge, ret_error);
            if (e < 0)
                return e;
            continue;
        }
        if (r->status < 300 || r->status >= 400 || !r->location) {
            *ret_retry = r->status >= 500 || r->status == 429;
            return r->status >= 200 && r->status < 300 ? 0 : error_of_status(g, url, r, ret_error);
        }
        CURLU *u = curl_url();
        char *next = NULL;
        if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
            curl_url_set(u, CURLUPART_URL, r->location, 0) == CURLUE_OK)
            curl_url_get(u, CURLUPART_URL, &next, 0);
        free(url);
        url = xstrdup(next ? next : "");
        curl_free(next);
        curl_url_cleanup(u);
        if (!url_allowed(g->store, url))
            return store_fail(ret_error, -EPROTO,
                              xasprintf("%s redirects to a place that is not safe: plain HTTP", g->host));
        hop++;
    }
    return store_fail(ret_error, -ELOOP, xasprintf("%s redirects more than %d times", g->host, REGISTRY_REDIRECTS_MAX));
}

static int request(Registry *g, const char *url, const char *header, Response *r, char **ret_error) {
    for (int attempt = 1;; attempt++) {
        bool retry = false;
        char *error = NULL;
        int e = request_once(g, url, header, r, &retry, &error);
        if (e == 0 || !retry || attempt == REGISTRY_ATTEMPTS)
            return e < 0 ? store_fail(ret_error, e, error) : 0;
        log_debug("%s; again", error);
        free(error);
        if (r->body)
            buf_clear(r->body);
        usleep((useconds_t)(RETRY_PAUSE_MS * 1000 * attempt));
    }
}

/* Where plain HTTP is allowed TLS is still tried first: a secret should not travel in the clear for nothing. */
static void choose_scheme(Registry *g) {
    g->base = xasprintf("https://%s", g->host);
    if (!g->may_be_plain)
        return;
    _cleanup_buf_ Buf body = BUF_INIT(REGISTRY_ERROR_MAX);
    _cleanup_(response_done) Response r = {.body = &body, .fd = -1};
    _cleanup_free_ char *url = xasprintf("%s/v2/", g->base);
    curl_prepare(g, url, &r);
    curl_easy_setopt(g->curl, CURLOPT_CONNECTTIMEOUT, (long)PROBE_SECONDS);
    curl_easy_setopt(g->curl, CURLOPT_TIMEOUT, (long)MIN(2u * PROBE_SECONDS, g->store->stall_seconds));
    CURLcode code = curl_easy_perform(g->curl);
    /* A certificate we do not trust is still TLS; an error of the handshake or silence may be a plain server. */
    if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_RECV_ERROR ||
        code == CURLE_GOT_NOTHING) {
        free(g->base);
        g->base = xasprintf("http://%s", g->host);
    }
}

int registry_open(const ImageStore *store, const ImageReference *reference, Registry **ret, char **ret_error) {
    pthread_once(&curl_once, curl_start);
    Registry *g = NEW0(Registry);
    g->store = store;
    g->reference = reference;
    g->host = xstrdup(streq(reference->host, "docker.io") ? "registry-1.docker.io" : reference->host);
    g->may_be_plain = may_be_plain(store, g->host);
    g->curl = curl_easy_init();
    if (!g->curl) {
        registry_close(g);
        return store_fail(ret_error, -ENOMEM, xstrdup("libcurl cannot start"));
    }
    choose_scheme(g);
    *ret = g;
    return 0;
}

void registry_close(Registry *g) {
    if (!g)
        return;
    curl_easy_cleanup(g->curl);
    wipe_freep(&g->authorization);
    free(g->host);
    free(g->base);
    free(g);
}

void registry_set_auth(Registry *g, const RegistryAuth *auth) {
    wipe_freep(&g->authorization);
    g->authorization = NULL;
    g->auth = auth;
}

int registry_manifest(Registry *g, const char *name, Buf *ret_body, char digest[DIGEST_TEXT + 1], char **ret_error) {
    _cleanup_free_ char *url = xasprintf("%s/v2/%s/manifests/%s", g->base, g->reference->path, name);
    _cleanup_(response_done) Response r = {.body = ret_body, .fd = -1};
    buf_clear(ret_body);
    int e = request(g, url, ACCEPT_MANIFESTS, &r, ret_error);
    if (e < 0)
        return e;
    digest_of(ret_body->data ? ret_body->data : "", ret_body->len, digest);
    if (digest_is_valid(name) && !streq(name, digest))
        return store_fail(ret_error, -EBADMSG, xasprintf("the manifest %s came with the digest %s", name, digest));
    return 0;
}

int registry_blob(Registry *g, const char *digest, uint64_t size, int fd, image_progress_fn progress, void *userdata,
                  char **ret_error) {
    _cleanup_free_ char *url = xasprintf("%s/v2/%s/blobs/%s", g->base, g->reference->path, digest);
    _cleanup_(response_done) Response r = {
        .fd = fd, .expected = size, .digest = digest_new(), .progress = progress, .what = digest, .userdata = userdata};
    int e = request(g, url, NULL, &r, ret_error);
    char got[DIGEST_TEXT + 1];
    digest_text(r.digest, got);
    digest_free(r.digest);
    if (e < 0)
        return e;
    if (r.offset != size)
        return store_fail(ret_error, -EBADMSG,
                          xasprintf("the blob %s has %llu bytes instead of %llu", digest, (unsigned long long)r.offset,
                                    (unsigned long long)size));
    if (!streq(got, digest))
        return store_fail(ret_error, -EBADMSG,
                          xasprintf("the blob %s came with the digest %s: it is corrupt", digest, got));
    return 0;
}
