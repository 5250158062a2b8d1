#include "apiserver/handlers/forward.h"
#include "apiserver/handlers/html_links.h"
#include "base/random.h"
#include "base/str.h"

#include <stdio.h>
#include <strings.h>

#define OWN_HEADERS_MAX 8 /* that a request is given beside the client's and the caller's */
#define LINK_MAX (64 * 1024)
#define WEBSOCKET_BEARER "base64url.bearer.authorization.k8s.io."

typedef struct ForwardState {
    const Forward *forward;
    HtmlLinks *links; /* of a page being rewritten */
    Exchange *exchange;
    char audit_id[UUID_LEN + 1];
} ForwardState;

/* ---- paths ---- */

static void pop_segment(Buf *out) {
    while (out->len && out->data[--out->len] != '/')
        ;
    if (out->data)
        out->data[out->len] = 0;
}

char *forward_clean_path(Arena *arena, const char *encoded) {
    /* Characters that net/url leaves alone in a path (RFC 3986 section 3.3 but for !*'(), as Go does). */
    static const char safe[] = "$&+,/:;=@";
    char *path = arena_strdup(arena, encoded);
    int len = percent_decode(path, false);
    if (len < 0)
        return NULL;
    path[len] = 0;
    size_t n;
    char **parts = str_split(arena, path, '/', &n);
    _cleanup_buf_ Buf clean = BUF_INIT(HTTP_MAX_HEADERS), out = BUF_INIT(3 * HTTP_MAX_HEADERS);
    for (size_t i = 0; i < n; i++) {
        if (streq(parts[i], ".."))
            pop_segment(&clean);
        else if (*parts[i] && !streq(parts[i], "."))
            buf_printf(&clean, "/%s", parts[i]);
    }
    if (len > 0 && (path[len - 1] == '/' || clean.len == 0))
        buf_putc(&clean, '/');
    percent_encode(&out, str_or(clean.data, ""), safe);
    return out.failed || clean.failed ? NULL : arena_strndup(arena, str_or(out.data, ""), out.len);
}

/* ---- links ---- */

typedef struct Link {
    const char *scheme, *host, *path, *rest; /* rest: query and fragment */
    size_t scheme_len, host_len, path_len;
} Link;

static Link parse_link(const char *s) {
    Link link = {.scheme = "", .host = "", .path = s, .rest = ""};
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (n && s[n] == ':') {
        link.scheme = s;
        link.scheme_len = n;
        s += n + 1;
    }
    if (s[0] == '/' && s[1] == '/') {
        link.host = s + 2;
        link.host_len = strcspn(link.host, "/?#");
        s = link.host + link.host_len;
    }
    link.path = s;
    link.path_len = strcspn(s, "?#");
    link.rest = s + link.path_len;
    return link;
}

static bool is_host(const Link *link, const char *host) {
    return host && strlen(host) == link->host_len && strncasecmp(link->host, host, link->host_len) == 0;
}

/* A link of a page to the same server, by an absolute path, leads back through us. */
static void write_link(const ForwardState *state, const char *text, Buf *out) {
    const Forward *forward = state->forward;
    const char *client_host = http_header(state->exchange->http, "host");
    char source[300];
    bool six = strchr(forward->to.host, ':') != NULL;
    snprintf(source, sizeof source, "%s%s%s:%u", six ? "[" : "", forward->to.host, six ? "]" : "", forward->to.port);
    Link link = parse_link(text);
    bool other = link.host_len && !is_host(&link, source) && !is_host(&link, client_host);
    if (other || link.path_len == 0 || *link.path != '/' || (link.scheme_len && !link.host_len)) {
        buf_puts(out, text);
        return;
    }
    if (is_host(&link, client_host) && !*forward->link_host)
        buf_append(out, text, (size_t)(link.path - text));
    else if (*forward->link_host)
        buf_printf(out, "%s://%s", forward->link_scheme, forward->link_host);
    if (strncmp(link.path, forward->prefix, strlen(forward->prefix)) != 0)
        buf_puts(out, forward->prefix);
    buf_append(out, link.path, link.path_len);
    buf_puts(out, link.rest);
}

static void rewrite(void *userdata, const char *link, Buf *out) {
    write_link(userdata, link, out);
}

static void filter(Exchange *exchange, const RelayPlan *plan, const char *p, size_t n, bool end, Buf *out) {
    ForwardState *state = plan->data;
    (void)exchange;
    if (!state->links) {
        buf_append(out, p, n);
        return;
    }
    html_links_feed(state->links, p, n, end, out);
    if (end) {
        html_links_free(state->links);
        state->links = NULL;
    }
}

/* ---- the reply ---- */

/* What the connection's own headers are, those that Connection names among them (RFC 9110 section 7.6.1). */
static bool is_hop(const char *name, const char *connection) {
    static const char *const hop[] = {"connection",
                                      "proxy-connection",
                                      "keep-alive",
                                      "proxy-authenticate",
                                      "te",
                                      "trailer",
                                      "transfer-encoding",
                                      "proxy-authorization",
                                      "upgrade",
                                      NULL};
    if (str_in(name, hop))
        return true;
    for (const char *p = connection; p && *p;) {
        p += strspn(p, " ,\t");
        size_t n = strcspn(p, " ,\t");
        if (n && strlen(name) == n && strncasecmp(p, name, n) == 0)
            return true;
        p += n;
    }
    return false;
}

static void drop_hop_headers(RelayHead *head) {
    static const char *const ours[] = {"date",
                                       "access-control-allow-credentials",
                                       "access-control-allow-headers",
                                       "access-control-allow-methods",
                                       "access-control-allow-origin",
                                       NULL};
    const char *connection = relay_head_get(head, "connection");
    size_t kept = 0;
    for (size_t i = 0; i < head->n; i++)
        if (!is_hop(head->headers[i].name, connection) && !str_in(head->headers[i].name, ours))
            head->headers[kept++] = head->headers[i];
    head->n = kept;
}

static bool is_html(const RelayHead *head) {
    const char *type = str_or(relay_head_get(head, "content-type"), "");
    return strncasecmp(type, "text/html", 9) == 0 && (!type[9] || type[9] == ';' || type[9] == ' ') &&
           str_empty(relay_head_get(head, "content-encoding"));
}

static RelayHow on_head(Exchange *exchange, const RelayPlan *plan, RelayHead *head) {
    static const char *const length[] = {"content-length", NULL};
    ForwardState *state = plan->data;
    if (head->status == 101)
        return plan->upgrade ? RELAY_TUNNEL : RELAY_COLLECT;
    if (plan->upgrade && head->status < 400)
        return RELAY_COLLECT;
    const char *location = relay_head_get(head, "location");
    drop_hop_headers(head);
    if (!str_empty(location)) {
        _cleanup_buf_ Buf out = BUF_INIT(LINK_MAX);
        write_link(state, location, &out);
        relay_head_set(head, "location", arena_strdup(exchange->arena, str_or(out.data, "")));
    } else if (!plan->upgrade && is_html(head) && !streq(plan->method, "HEAD")) {
        state->links = html_links_new(rewrite, state);
        relay_head_drop(head, length);
    }
    if (head->n + 2 <= RELAY_HEADERS_MAX) {
        head->headers[head->n++] = (HttpHeader){"audit-id", random_uuid(state->audit_id)};
        head->headers[head->n++] = (HttpHeader){"cache-control", "no-cache, private"};
    }
    return RELAY_STREAM;
}

static int reply_error(Exchange *exchange, const Forward *forward, int code, const char *reason, const char *message) {
    ApiError err = {0};
    if (forward->plain_errors) {
        char *text = arena_printf(exchange->arena, "%s\n", message);
        http_reply_text(exchange->http, 503, "text/plain; charset=utf-8", text);
        return 503;
    }
    api_error_set(&err, code, reason, "%s", message);
    err.no_details = true;
    http_reply_error(exchange->http, &err);
    api_error_done(&err);
    return code;
}

static int on_collected(Exchange *exchange, const RelayPlan *plan, const RelayHead *head, Buf *body) {
    ForwardState *state = plan->data;
    (void)body;
    return reply_error(exchange, state->forward, 500, "",
                       arena_printf(exchange->arena, "invalid upgrade response: status code %d", head->status));
}

static int on_failed(Exchange *exchange, const RelayPlan *plan, RelayFault fault, const char *why) {
    ForwardState *state = plan->data;
    const Forward *forward = state->forward;
    if (fault == RELAY_TIMEOUT) {
        ApiError err = {0};
        api_error_set(&err, 504, "Timeout", "Timeout: request did not complete within the allotted timeout");
        http_reply_error(exchange->http, &err);
        api_error_done(&err);
        return 504;
    }
    if (plan->upgrade)
        return reply_error(exchange, forward, 500, "",
                           fault == RELAY_UNREACHED ? arena_printf(exchange->arena, "error dialing backend: %s", why)
                                                    : why);
    return reply_error(exchange, forward, 503, "ServiceUnavailable",
                       arena_printf(exchange->arena, "error trying to reach service: %s", why));
}

/* ---- the request ---- */

bool forward_is_upgrade(const HttpRequest *http) {
    const char *name, *value;
    for (size_t i = 0; http_header_at(http, i, &name, &value); i++)
        if (streq(name, "connection") && strcasestr(value, "upgrade"))
            return !http_is_h2(http) && !str_empty(http_header(http, "upgrade"));
    return false;
}

/* Whom the client says it is was for us, and so was what it would have us be. */
static bool is_identity(const char *name) {
    static const char *const prefixes[] = {"authorization",   "x-remote-user",     "x-remote-group",
                                           "x-remote-uid",    "x-remote-extra-",   "impersonate-user",
                                           "impersonate-uid", "impersonate-group", "impersonate-extra-"};
    for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
        if (str_has_suffix(prefixes[i], "-") ? str_has_prefix(name, prefixes[i]) : streq(name, prefixes[i]))
            return true;
    return false;
}

/* A browser's token among the protocols is ours too; NULL: nothing is left. */
static const char *other_protocols(Arena *arena, const char *value) {
    size_t n, kept = 0;
    char **items = str_split(arena, value, ',', &n);
    const char *out = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *item = items[i] + strspn(items[i], " \t");
        if (str_has_prefix(item, WEBSOCKET_BEARER))
            continue;
        out = kept++ ? arena_printf(arena, "%s, %s", out, item) : item;
    }
    return out;
}

typedef struct HeaderList {
    HttpHeader *items;
    size_t n;
} HeaderList;

static HeaderList list_for(Exchange *exchange, const Forward *forward) {
    const char *name, *value;
    size_t n = 0;
    while (http_header_at(exchange->http, n, &name, &value))
        n++;
    n += forward->n_headers + OWN_HEADERS_MAX;
    return (HeaderList){.items = arena_alloc0(exchange->arena, n * sizeof(HttpHeader))};
}

static void add(HeaderList *list, const char *name, const char *value) {
    list->items[list->n++] = (HttpHeader){name, value};
}

static const char *peer_address(Exchange *exchange) {
    char *peer = arena_strdup(exchange->arena, http_peer(exchange->http)), *colon = strrchr(peer, ':');
    if (colon)
        *colon = 0;
    if (*peer == '[') {
        peer++;
        peer[strcspn(peer, "]")] = 0;
    }
    return peer;
}

static void add_client_headers(Exchange *exchange, const Forward *forward, bool upgrade, HeaderList *list) {
    static const char *const ours[] = {"host", "content-length", "expect", "x-forwarded-uri", "x-forwarded-for", NULL};
    const char *name, *value, *connection = http_header(exchange->http, "connection"), *from = NULL;
    for (size_t i = 0; http_header_at(exchange->http, i, &name, &value); i++) {
        if (streq(name, "x-forwarded-for"))
            from = from ? arena_printf(exchange->arena, "%s, %s", from, value) : value;
        if (str_in(name, ours) || is_identity(name) || is_hop(name, connection))
            continue;
        if (*forward->link_host && (streq(name, "x-forwarded-host") || streq(name, "x-forwarded-proto")))
            continue;
        if (streq(name, "sec-websocket-protocol"))
            value = other_protocols(exchange->arena, value);
        if (value)
            add(list, name, value);
    }
    const char *address = peer_address(exchange);
    add(list, "X-Forwarded-For", from ? arena_printf(exchange->arena, "%s, %s", from, address) : address);
    if (upgrade) {
        add(list, "Connection", "Upgrade");
        add(list, "Upgrade", http_header(exchange->http, "upgrade"));
        return;
    }
    add(list, "X-Forwarded-Uri", arena_printf(exchange->arena, "%s%s", forward->prefix, forward->path));
    if (*forward->link_host) {
        add(list, "X-Forwarded-Host", forward->link_host);
        add(list, "X-Forwarded-Proto", forward->link_scheme);
    }
}

/* "x" and "x/" are not the same page to a browser that reads relative links. */
static bool redirect_root(Exchange *exchange, const Forward *forward) {
    const char *method = http_method(exchange->http), *query = http_query(exchange->http);
    if (*forward->path || (!streq(method, "GET") && !streq(method, "HEAD")))
        return false;
    HttpHeader headers[] = {
        {"location", arena_printf(exchange->arena, "%s/%s%s", http_path(exchange->http), *query ? "?" : "", query)},
        {"cache-control", "no-cache, private"},
    };
    http_reply(exchange->http, 301, headers, ELEMENTSOF(headers), (HttpBytes){0});
    return true;
}

typedef struct ForwardEnd { /* what was to run at the exchange's end */
    void (*done)(Exchange *exchange, int code, void *userdata);
    void *userdata;
    ForwardState *state;
} ForwardEnd;

static void forward_done(Exchange *exchange, int code, void *userdata) {
    ForwardEnd *end = userdata;
    html_links_free(end->state->links);
    if (end->done)
        end->done(exchange, code, end->userdata);
}

void forward_serve(Exchange *exchange, const Forward *forward) {
    static const RelayOps ops = {.head = on_head, .collected = on_collected, .failed = on_failed, .filter = filter};
    Arena *arena = exchange->arena;
    const char *query = http_query(exchange->http);
    bool upgrade = forward_is_upgrade(exchange->http);
    if (!upgrade && redirect_root(exchange, forward)) {
        exchange_finish(exchange, 301);
        return;
    }
    ForwardState *state = ARENA_NEW0(arena, ForwardState);
    *state = (ForwardState){.forward = forward, .exchange = exchange};
    ForwardEnd *end = ARENA_NEW0(arena, ForwardEnd);
    *end = (ForwardEnd){exchange->done, exchange->userdata, state};
    exchange->done = forward_done;
    exchange->userdata = end;
    HeaderList list = list_for(exchange, forward);
    add(&list, "Host", str_or(forward->host, str_or(http_header(exchange->http, "host"), forward->to.host)));
    for (size_t i = 0; i < forward->n_headers; i++)
        add(&list, forward->headers[i].name, forward->headers[i].value);
    add_client_headers(exchange, forward, upgrade, &list);
    RelayPlan *plan = ARENA_NEW0(arena, RelayPlan);
    *plan = (RelayPlan){
        .ops = &ops,
        .data = state,
        .to = forward->to,
        .method = http_method(exchange->http),
        .target = arena_printf(arena, "%s%s%s", str_or(forward->path, "/"), *query ? "?" : "", query),
        .headers = list.items,
        .n_headers = list.n,
        .upgrade = upgrade,
        .with_body = true,
        .head_timeout_ns = forward->head_timeout_ns,
    };
    relay_serve(exchange, plan);
}
