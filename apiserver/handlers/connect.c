/* Logs are streamed, upgraded connections (exec, attach, portforward) are tunnels. */
#include "apiserver/handlers/connect.h"
#include "apiserver/handlers/node_target.h"
#include "apiserver/handlers/proxy.h"
#include "apiserver/handlers/relay.h"
#include "base/str.h"
#include "http/websocket.h"

#define REQUEST_HEADERS_MAX 16

static int reply_error(Exchange *exchange, ApiError *err) {
    int code = err->code;
    http_reply_error(exchange->http, err);
    api_error_done(err);
    return code;
}

static RelayHow on_head(Exchange *exchange, const RelayPlan *plan, RelayHead *head) {
    static const char *const hop[] = {"transfer-encoding", "connection", "date", "keep-alive", NULL};
    if (head->status == 101 && plan->upgrade)
        return RELAY_TUNNEL;
    if (head->status != 200 || plan->upgrade)
        return RELAY_COLLECT;
    relay_head_drop(head, hop);
    return websocket_is_request(exchange->http) ? RELAY_MESSAGES : RELAY_STREAM;
}

/* A refused upgrade goes to the client as it is: kubectl words its own message around the text. */
static int pass_refusal_on(Exchange *exchange, const RelayHead *reply, const Buf *body) {
    static const char *const hop[] = {"content-length", "transfer-encoding", "connection", "date",
                                      "keep-alive",     "upgrade",           NULL};
    RelayHead head = *reply;
    relay_head_drop(&head, hop);
    http_reply(exchange->http, head.status, head.headers, head.n, http_bytes_copy(str_or(body->data, ""), body->len));
    return head.status;
}

/* Anything else is an answer to pass on: a Status already, or text that becomes one's message. */
static int on_collected(Exchange *exchange, const RelayPlan *plan, const RelayHead *head, Buf *body) {
    ApiError err = {0};
    int code = head->status;
    if (plan->upgrade && code >= 300)
        return pass_refusal_on(exchange, head, body);
    if (body->len && body->data[0] == '{') {
        HttpHeader headers[] = {{"content-type", "application/json"}};
        http_reply(exchange->http, code, headers, 1, http_bytes_copy(body->data, body->len));
        return code;
    }
    while (body->len && body->data[body->len - 1] == '\n')
        body->data[--body->len] = 0;
    const char *text = body->len ? body->data : "the node agent answered without a reason";
    if (code == 400)
        api_error_bad_request(&err, "%s", text);
    else if (code == 404)
        api_error_set(&err, 404, "NotFound", "the server could not find the requested resource ( %s %s)",
                      exchange->route.subresource, text);
    else if (code == 500)
        api_error_set(&err, 500, "InternalError", "Internal error occurred: %s", text);
    else
        api_error_set(&err, code < 400 ? 500 : code, "InternalError", "%s", text);
    return reply_error(exchange, &err);
}

static int on_failed(Exchange *exchange, const RelayPlan *plan, RelayFault fault, const char *why) {
    ApiError err = {0};
    (void)fault;
    if (plan->upgrade)
        api_error_set(&err, 500, "", "error dialing backend: %s", why);
    else
        api_error_set(&err, 500, "", "Get \"https://%s:%u%s\": %s", plan->to.host, plan->to.port, plan->target, why);
    return reply_error(exchange, &err);
}

static void add(RelayPlan *plan, HttpHeader *headers, const char *name, const char *value) {
    if (plan->n_headers < REQUEST_HEADERS_MAX)
        headers[plan->n_headers++] = (HttpHeader){name, value};
}

static void add_headers(Exchange *exchange, RelayPlan *plan) {
    static const char *const passed[] = {"sec-websocket-key",
                                         "sec-websocket-version",
                                         "sec-websocket-protocol",
                                         "sec-websocket-extensions",
                                         "x-stream-protocol-version",
                                         "origin",
                                         NULL};
    Arena *arena = exchange->arena;
    HttpHeader *headers = arena_alloc0(arena, REQUEST_HEADERS_MAX * sizeof *headers);
    const char *name, *value;
    plan->headers = headers;
    add(plan, headers, "Host", arena_printf(arena, "%s:%u", plan->to.host, plan->to.port));
    add(plan, headers, "User-Agent", "kube-apiserver");
    if (!plan->upgrade) {
        add(plan, headers, "Accept", "*/*");
        return;
    }
    add(plan, headers, "Connection", "Upgrade");
    add(plan, headers, "Upgrade", http_header(exchange->http, "upgrade"));
    for (size_t i = 0; http_header_at(exchange->http, i, &name, &value); i++)
        if (str_in(name, passed))
            add(plan, headers, name, value);
}

static void reply_nothing(Exchange *exchange) {
    static const HttpHeader headers[] = {{"cache-control", "no-cache, private"}};
    http_reply(exchange->http, 204, headers, ELEMENTSOF(headers), (HttpBytes){0});
    exchange_finish(exchange, 204);
}

int connect_check_dry_run(const Exchange *exchange, ApiError *err) {
    bool dry_run = !str_empty(query_get(&exchange->query, "dryRun"));
    return dry_run ? api_error_bad_request(err, "dryRun is not supported") : 0;
}

void connect_serve(Exchange *exchange) {
    static const RelayOps ops = {.head = on_head, .collected = on_collected, .failed = on_failed};
    ApiError err = {0};
    NodeTarget target;
    if (streq(exchange->route.subresource, "proxy"))
        return proxy_serve(exchange);
    int r = connect_check_dry_run(exchange, &err);
    r = r < 0 ? r : node_target_find(exchange, &target, &err);
    if (r == 0 && !target.agent.host)
        return reply_nothing(exchange);
    if (r == 0 && target.upgrade && str_empty(http_header(exchange->http, "upgrade")))
        r = api_error_bad_request(&err, "Upgrade request required");
    if (r < 0)
        return exchange_fail(exchange, &err);
    RelayPlan *plan = ARENA_NEW0(exchange->arena, RelayPlan);
    *plan = (RelayPlan){
        .ops = &ops,
        .to = node_agent_connect(exchange->api, &target.agent),
        .method = target.upgrade ? http_method(exchange->http) : "GET",
        .target = target.path,
        .upgrade = target.upgrade,
    };
    add_headers(exchange, plan);
    relay_serve(exchange, plan);
}
