#include "kubelet/server_auth.h"

#include "base/clock.h"

#include <stdio.h>

Delegate *auth_new(Client *client) {
    return delegate_new(&(DelegateConfig){.authentication = client,
                                          .authorization = client,
                                          .token_ttl_ns = TOKEN_TTL_NS,
                                          .allowed_ttl_ns = ALLOWED_TTL_NS,
                                          .denied_ttl_ns = DENIED_TTL_NS});
}

static bool is_below(const char *path, const char *root) {
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == 0 || path[n] == '/');
}

size_t auth_subresources(const char *path, const char *ret[AUTH_SUBRESOURCES_MAX]) {
    static const struct {
        const char *root, *subresource;
        bool proxy_too; /* what nodes/proxy allowed before there was a finer name */
    } table[] = {
        {"/pods", "pods", true},        {"/healthz", "healthz", true},        {"/configz", "configz", true},
        {"/runningpods", "pods", true}, {"/stats", "stats", false},           {"/metrics", "metrics", false},
        {"/logs", "log", false},        {"/checkpoint", "checkpoint", false}, {"/statusz", "statusz", false},
        {"/flagz", "configz", false},
    };
    size_t n = 0;
    bool proxy = true;
    for (size_t i = 0; i < ELEMENTSOF(table) && n == 0; i++)
        if (is_below(path, table[i].root)) {
            ret[n++] = table[i].subresource;
            proxy = table[i].proxy_too;
        }
    if (proxy)
        ret[n++] = "proxy";
    return n;
}

const char *auth_verb(const char *method) {
    static const struct {
        const char *method, *verb;
    } table[] = {{"POST", "create"}, {"GET", "get"}, {"PUT", "update"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (streq(method, table[i].method))
            return table[i].verb;
    return "";
}

/* 0 with *ret_allowed, or negative errno when the API server could not say. */
static int ask(const Call *call, const Value *user, const char *verb, const char *subresource, bool *ret_allowed) {
    Arena *arena = call->arena;
    Value *attributes = value_object(arena);
    const char *why;
    value_set_str(arena, attributes, "verb", verb);
    value_set_str(arena, attributes, "version", "v1");
    value_set_str(arena, attributes, "resource", "nodes");
    value_set_str(arena, attributes, "subresource", subresource);
    value_set_str(arena, attributes, "name", call->k->config.node_name);
    return delegate_ask(call->k->auth, arena, user, "resourceAttributes", attributes, ret_allowed, &why);
}

bool auth_check(Call *call) {
    const Value *user = delegate_identify(call->k->auth, call->http, call->arena);
    if (!user) {
        call_error(call, 401, "Unauthorized");
        return false;
    }
    if (delegate_is_privileged(user)) /* the API server itself and administrators; a review would say the same */
        return true;
    const char *name = value_get_str(user, "username"), *list[AUTH_SUBRESOURCES_MAX];
    const char *verb = auth_verb(http_method(call->http));
    size_t n = auth_subresources(http_path(call->http), list);
    for (size_t i = 0; i < n; i++) {
        bool allowed = false;
        if (ask(call, user, verb, list[i], &allowed) < 0) {
            call_error(call, 500, "Authorization error (user=%s, verb=%s, resource=nodes, subresource=%s)", name, verb,
                       list[i]);
            return false;
        }
        if (allowed)
            return true;
    }
    call_error(call, 403, "Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=[%s%s%s])\n", name, verb,
               list[0], n > 1 ? " " : "", n > 1 ? list[1] : "");
    return false;
}
