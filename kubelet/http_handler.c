/* httpGet of probes and hooks: what is asked, and where redirects lead. As the reference: a probe follows them to the
 * host it asked, and one that leads elsewhere is a success with a warning; a hook follows them everywhere. */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/str.h"
#include "http/fetch.h"
#include "http/url.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define HANDLER_BODY_MAX (10 * 1024) /* of an HTTP answer */
#define HANDLER_HEADERS_MAX 128
#define REDIRECTS_MAX 10 /* requests in all, as Go's client */

typedef struct Asking {
    Kubelet *k;
    const Value *get;
    bool hook;
    const char *agent;
    uint64_t deadline; /* monotonic ns */
    HttpUrl url;       /* of this request, its path as in a request line */
    char *first_host;  /* that was asked at first */
    char *referer;     /* the URL before; NULL: none */
    char *host_field;  /* what the handler sets Host to; NULL: not at all, or no longer */
    bool away;         /* it left the host once: nothing secret is sent any more */
    bool fell_back;    /* from TLS */
    bool bare;         /* the URL, as it was written, has the scheme's own port and does not say so */
} Asking;

/* Header fields of a request, borrowed from its handler. */
typedef struct HandlerFields {
    HttpHeader list[HANDLER_HEADERS_MAX + 4]; /* and Host, User-Agent, Accept, Referer */
    size_t n;
} HandlerFields;

static void asking_done(Asking *a) {
    http_url_done(&a->url);
    free(a->first_host);
    free(a->referer);
    free(a->host_field);
}

static int refuse(char **ret_error, int r, char *text) {
    *ret_error = text;
    return r;
}

static bool is_safe_field(const char *name, const char *value) {
    return !str_empty(name) && !strpbrk(name, "\r\n: ") && !strpbrk(value, "\r\n");
}

static bool is_secret(const char *name) {
    static const char *const secret[] = {"Authorization", "Www-Authenticate", "Cookie", "Cookie2"};
    for (size_t i = 0; i < ELEMENTSOF(secret); i++)
        if (strcasecmp(name, secret[i]) == 0)
            return true;
    return false;
}

static void add_default(HandlerFields *fields, const char *name, const char *value) {
    for (size_t i = 0; i < fields->n; i++)
        if (strcasecmp(fields->list[i].name, name) == 0)
            return;
    fields->list[fields->n++] = (HttpHeader){name, value};
}

/* As the reference: User-Agent and Accept may be replaced, or left out by an empty value. */
static void request_fields(const Asking *a, const char *place, HandlerFields *fields) {
    const Value *h;
    VALUE_FOREACH (h, value_get(a->get, "httpHeaders")) {
        const char *name = value_get_str(h, "name"), *value = str_or(value_get_str(h, "value"), "");
        if (is_safe_field(name, value) && fields->n < HANDLER_HEADERS_MAX && strcasecmp(name, "Host") != 0 &&
            !(a->away && is_secret(name)) && !(a->fell_back && strcasecmp(name, "Authorization") == 0))
            fields->list[fields->n++] = (HttpHeader){name, value};
    }
    add_default(fields, "User-Agent", a->agent);
    add_default(fields, "Accept", "*/*");
    if (a->referer)
        add_default(fields, "Referer", a->referer);
    size_t kept = 0;
    for (size_t i = 0; i < fields->n; i++) {
        const HttpHeader *field = &fields->list[i];
        bool replaceable = strcasecmp(field->name, "User-Agent") == 0 || strcasecmp(field->name, "Accept") == 0;
        if (!replaceable || *field->value)
            fields->list[kept++] = *field;
    }
    fields->n = kept;
    memmove(&fields->list[1], &fields->list[0], fields->n++ * sizeof fields->list[0]);
    fields->list[0] = (HttpHeader){"Host", str_or(a->host_field, place)};
}

/* What a request line can hold: the rest is percent-encoded, and a fragment is not sent. */
static char *request_target(const char *path) {
    Buf out = BUF_INIT(BUF_NO_LIMIT);
    if (*path != '/')
        buf_putc(&out, '/');
    for (const char *p = path; *p && *p != '#'; p++) {
        if (*p > ' ' && *p < 0x7f && !strchr("\"<>\\^`{|}", *p))
            buf_putc(&out, *p);
        else
            buf_printf(&out, "%%%02X", (unsigned char)*p);
    }
    return buf_take(&out, NULL);
}

/* The authority as a URL shows it. */
static char *place_of(const Asking *a) {
    const HttpUrl *u = &a->url;
    bool six = strchr(u->host, ':');
    char port[8];
    snprintf(port, sizeof port, ":%u", u->port);
    return xasprintf("%s%s%s%s", six ? "[" : "", u->host, six ? "]" : "", a->bare ? "" : port);
}

static char *url_of(const Asking *a, const char *place) {
    return xasprintf("%s://%s%s", a->url.tls ? "https" : "http", place, a->url.path);
}

/* One request on a connection of its own. 0 with any status. */
static int ask_once(const Asking *a, const char *place, HttpAnswer *ret, char **ret_error) {
    _cleanup_free_ char *why = NULL, *url = url_of(a, place);
    HandlerFields fields = {0};
    request_fields(a, place, &fields);
    uint64_t now = now_monotonic_ns();
    const HttpFetch fetch = {.to = {.host = a->url.host,
                                    .port = a->url.port,
                                    .tls = a->url.tls,
                                    .timeout_ns = now < a->deadline ? a->deadline - now : 1,
                                    .cancel = &a->k->stopping},
                             .target = a->url.path,
                             .headers = fields.list,
                             .n_headers = fields.n,
                             .max_body = HANDLER_BODY_MAX,
                             .cut_body = true}; /* trusts any certificate, as the reference */
    int r = http_fetch(&fetch, ret, &why);
    if (r == -ETIMEDOUT)
        return refuse(
            ret_error, r,
            xasprintf("Get \"%s\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)", url));
    return r < 0 ? refuse(ret_error, r, xasprintf("Get \"%s\": %s", url, why)) : 0;
}

static bool is_redirect(const HttpAnswer *answer) {
    static const int statuses[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
        if (answer->status == statuses[i])
            return !str_empty(answer->location);
    return false;
}

static bool is_same_or_below(const char *host, const char *domain) {
    size_t n = strlen(host), m = strlen(domain);
    return n == m ? strcasecmp(host, domain) == 0
                  : n > m && host[n - m - 1] == '.' && strcasecmp(host + n - m, domain) == 0;
}

/* 1: ask there; 0: `answer` is the last word. */
static int follow(Asking *a, const char *place, const HttpAnswer *answer, unsigned asked, char **ret_error) {
    HttpUrl next = {0};
    int r = http_url_resolve(&a->url, answer->location, &next);
    if (r < 0) {
        _cleanup_free_ char *url = url_of(a, place);
        return refuse(ret_error, -EIO,
                      r == -EPROTONOSUPPORT
                          ? xasprintf("Get \"%s\": unsupported protocol scheme \"%.*s\"", answer->location,
                                      (int)strcspn(answer->location, ":"), answer->location)
                          : xasprintf("Get \"%s\": failed to parse Location header \"%s\"", url, answer->location));
    }
    if (!a->hook && !streq(next.host, a->first_host)) {
        http_url_done(&next);
        return 0;
    }
    if (asked >= REDIRECTS_MAX) {
        http_url_done(&next);
        return refuse(ret_error, -EIO,
                      xasprintf("Get \"%s\": stopped after %d redirects", answer->location, REDIRECTS_MAX));
    }
    char *last = a->url.tls && !next.tls ? NULL : url_of(a, place), *path = request_target(next.path);
    a->away = a->away || !is_same_or_below(next.host, a->first_host);
    bool absolute = http_url_is_absolute(answer->location);
    if (absolute) { /* it says itself which host it means */
        free(a->host_field);
        a->host_field = NULL;
    }
    if (absolute || str_has_prefix(answer->location, "//"))
        a->bare = next.port == (next.tls ? 443 : 80);
    free(a->referer);
    a->referer = last;
    free(next.path);
    next.path = path;
    http_url_done(&a->url);
    a->url = next;
    return 1;
}

static int ask(Asking *a, HttpAnswer *ret, char **ret_error) {
    for (unsigned asked = 1;; asked++) {
        _cleanup_http_answer_ HttpAnswer answer = {0};
        _cleanup_free_ char *place = place_of(a);
        int r = ask_once(a, place, &answer, ret_error);
        if (r < 0 && a->hook && asked == 1 && a->url.tls && strstr(*ret_error, ": tls: first record")) {
            free(TAKE_PTR(*ret_error));
            a->url.tls = false; /* a hook falls back to plain HTTP where the server speaks no TLS */
            a->fell_back = true;
            r = ask_once(a, place, &answer, ret_error);
        }
        if (r == 0 && is_redirect(&answer))
            r = follow(a, place, &answer, asked, ret_error);
        if (r > 0)
            continue;
        if (r == 0) {
            *ret = answer;
            answer = (HttpAnswer){0};
        }
        return r;
    }
}

/* The first of the handler's headers named Host counts. */
static char *host_field(const Value *get) {
    const Value *h;
    VALUE_FOREACH (h, value_get(get, "httpHeaders")) {
        const char *name = value_get_str(h, "name"), *value = str_or(value_get_str(h, "value"), "");
        if (name && strcasecmp(name, "Host") == 0 && is_safe_field(name, value))
            return xstrdup(value);
    }
    return NULL;
}

int http_handler_run(Kubelet *k, const Value *container, const Value *get, const char *pod_ip, uint64_t timeout_ns,
                     bool hook, char **ret_error) {
    uint16_t port = container_port(container, value_get(get, "port"));
    const char *host = str_or(value_get_str(get, "host"), pod_ip);
    if (str_empty(host))
        return refuse(ret_error, -EHOSTUNREACH, xstrdup("failed to find networking container: the pod has no address"));
    if (!port)
        return refuse(ret_error, -EINVAL, xstrdup("couldn't find the port that the handler names"));
    _cleanup_(asking_done)
        Asking a = {.k = k,
                    .get = get,
                    .hook = hook,
                    .agent = hook ? "kube-lifecycle/1.36" : "kube-probe/1.36",
                    .deadline = now_monotonic_ns() + timeout_ns,
                    .url = {.tls = strcasecmp(str_or(value_get_str(get, "scheme"), "HTTP"), "HTTPS") == 0,
                            .port = port,
                            .host = xstrdup(host),
                            .path = request_target(str_or(value_get_str(get, "path"), "/"))},
                    .first_host = xstrdup(host),
                    .host_field = host_field(get)};
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *why = NULL;
    int r = ask(&a, &answer, &why);
    if (r < 0)
        return refuse(ret_error, r == -ETIMEDOUT ? r : -EIO, TAKE_PTR(why));
    if (hook)
        return 0; /* any answer will do */
    if (answer.status < 200 || answer.status >= 400)
        return refuse(ret_error, -EPROTO, xasprintf("HTTP probe failed with statuscode: %d", answer.status));
    if (answer.status >= 300)
        return refuse(ret_error, HANDLER_WARNED,
                      xasprintf("Probe terminated redirects, Response body: %s", str_or(answer.body.data, "")));
    return 0;
}
