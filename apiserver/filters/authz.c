#include "apiserver/filters/authz.h"
#include "apiserver/filters/authn.h"
#include "apiserver/filters/node_authz.h"
#include "apiserver/filters/rbac.h"
#include "base/str.h"

#include <errno.h>

#define PROBLEMS_MAX (16 * 1024)

struct Authorizer {
    Store *store;
    Rbac *rbac;
    Arena *arena;
    const Value *node_rules;
};

int authorizer_new(Store *store, Authorizer **ret) {
    Authorizer *authorizer = NEW0(Authorizer);
    authorizer->store = store;
    authorizer->rbac = rbac_new(store);
    authorizer->arena = arena_new(0);
    authorizer->node_rules = node_rules(authorizer->arena);
    *ret = authorizer;
    return 0;
}

void authorizer_free(Authorizer *authorizer) {
    if (!authorizer)
        return;
    rbac_free(authorizer->rbac);
    arena_free(authorizer->arena);
    free(authorizer);
}

const char *authz_verb(ApiVerb verb) {
    static const char *const names[] = {
        [API_GET] = "get",         [API_LIST] = "list",
        [API_WATCH] = "watch",     [API_CREATE] = "create",
        [API_UPDATE] = "update",   [API_PATCH] = "patch",
        [API_DELETE] = "delete",   [API_DELETE_COLLECTION] = "deletecollection",
        [API_CONNECT] = "connect",
    };
    return names[verb];
}

static bool masters_allow(Authorizer *authorizer, const AuthzAttributes *attributes, Arena *arena,
                          const char **ret_reason) {
    (void)authorizer, (void)arena, (void)ret_reason;
    return user_in_group(attributes->user, "system:masters");
}

static bool nodes_allow(Authorizer *authorizer, const AuthzAttributes *attributes, Arena *arena,
                        const char **ret_reason) {
    return node_identity(attributes->user) &&
           node_allows(authorizer->store, authorizer->node_rules, attributes, arena, ret_reason);
}

static bool roles_allow(Authorizer *authorizer, const AuthzAttributes *attributes, Arena *arena,
                        const char **ret_reason) {
    return rbac_allows(authorizer->rbac, attributes, arena, ret_reason);
}

bool authorizer_user_rules(Authorizer *authorizer, const UserInfo *user, const char *ns, Arena *arena, Value **ret,
                           const char **ret_error) {
    _cleanup_buf_ Buf problems = BUF_INIT(PROBLEMS_MAX);
    bool is_node = node_identity(user) != NULL;
    if (is_node)
        buf_puts(&problems, "node authorizer does not support user rule resolution");
    *ret = rbac_user_rules(authorizer->rbac, user, ns, arena, &problems);
    bool several = problems.len > 0 && strstr(problems.data, ", ");
    *ret_error = problems.len == 0 ? NULL : arena_printf(arena, several ? "[%s]" : "%s", problems.data);
    return !is_node;
}

static bool (*const authorizers[])(Authorizer *, const AuthzAttributes *, Arena *, const char **) = {
    masters_allow,
    nodes_allow,
    roles_allow,
};

bool authorizer_allows(Authorizer *authorizer, const AuthzAttributes *attributes, Arena *arena,
                       const char **ret_reason) {
    _cleanup_buf_ Buf reasons = BUF_INIT(64 * 1024);
    for (size_t i = 0; i < ELEMENTSOF(authorizers); i++) {
        const char *reason = "";
        if (authorizers[i](authorizer, attributes, arena, &reason)) {
            *ret_reason = reason;
            return true;
        }
        if (*reason)
            buf_printf(&reasons, "%s%s", reasons.len ? ", " : "", reason);
    }
    *ret_reason = reasons.len ? arena_strdup(arena, reasons.data) : "";
    return false;
}

/* What the reference does so that errors never look like HTML. */
static void append_escaped(Buf *out, const char *s) {
    for (; *s; s++) {
        const char *escaped = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : NULL;
        if (escaped)
            buf_puts(out, escaped);
        else
            buf_putc(out, *s);
    }
}

static char *forbidden_message(const AuthzAttributes *attributes, Arena *arena) {
    const char *sub = str_or(attributes->subresource, ""), *ns = str_or(attributes->ns, "");
    if (!attributes->is_resource)
        return arena_printf(arena, "User \"%s\" cannot %s path \"%s\"", attributes->user->name, attributes->verb,
                            str_or(attributes->path, ""));
    char *what = arena_printf(arena, "User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\"",
                              attributes->user->name, attributes->verb, str_or(attributes->resource, ""),
                              *sub ? "/" : "", sub, str_or(attributes->group, ""));
    return *ns ? arena_printf(arena, "%s in the namespace \"%s\"", what, ns)
               : arena_printf(arena, "%s at the cluster scope", what);
}

/* As the reference reads requests: a list of one name asks for that name, and a namespace is in itself, so that who
 * may read namespaces in one may read that one. */
static AuthzAttributes as_read(const AuthzAttributes *attributes) {
    static const char *const many[] = {"list", "watch", "deletecollection", NULL};
    AuthzAttributes asked = *attributes;
    const char *name = asked.fields ? selector_exact(asked.fields, "metadata.name") : NULL;
    if (str_empty(asked.name) && name && str_in(asked.verb, many))
        asked.name = name;
    else if (asked.is_resource && str_empty(asked.group) && streq_null(asked.resource, "namespaces"))
        asked.ns = asked.name;
    return asked;
}

int authorize(Authorizer *authorizer, const AuthzAttributes *request, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const AuthzAttributes asked = as_read(request), *attributes = &asked;
    const char *reason;
    if (authorizer_allows(authorizer, attributes, arena, &reason))
        return 0;
    _cleanup_buf_ Buf message = BUF_INIT(BUF_NO_LIMIT);
    append_escaped(&message, forbidden_message(attributes, arena));
    if (*reason)
        buf_printf(&message, ": %s", reason);
    return attributes->is_resource ? api_error_forbidden(err, str_or(attributes->group, ""), attributes->resource,
                                                         attributes->name, message.data)
                                   : api_error_forbidden(err, "", "", "", message.data);
}
