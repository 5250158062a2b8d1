#include "apiserver/filters/token_authn.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>

#define EXTRA_MAX 5

const char *const *audience_common(Arena *arena, const char *const *a, const char *const *b) {
    size_t n = 0;
    while (a[n])
        n++;
    const char **common = arena_alloc0(arena, (n + 1) * sizeof(char *));
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (str_in(a[i], b))
            common[kept++] = arena_strdup(arena, a[i]);
    return common;
}

/* `aud` may be one string or a list. */
static const char *const *audiences_of(Arena *arena, const Value *claims) {
    Value *aud = value_get(claims, "aud"), *item;
    const char **list = arena_alloc0(arena, (value_len(aud) + 2) * sizeof(char *));
    size_t n = 0;
    if (value_is(aud, VALUE_STRING))
        list[n++] = value_str(aud);
    else
        VALUE_FOREACH (item, aud)
            if (value_str(item))
                list[n++] = value_str(item);
    return list;
}

static int64_t seconds_claim(const Value *claims, const char *name, int64_t otherwise) {
    const Value *v = value_get(claims, name);
    return value_is(v, VALUE_DOUBLE) && v->number > 0 && v->number < 1e15 ? (int64_t)v->number
                                                                          : value_get_int(claims, name, otherwise);
}

static bool is_in_time(const Value *claims, int64_t now) {
    int64_t expires = seconds_claim(claims, "exp", 0), from = seconds_claim(claims, "nbf", 0);
    int64_t issued = seconds_claim(claims, "iat", 0);
    return now - JWT_LEEWAY_SECONDS <= expires && now + JWT_LEEWAY_SECONDS >= from &&
           now + JWT_LEEWAY_SECONDS >= issued;
}

/* Is the object there, with this uid, and not deleted for longer than the leeway? */
static bool is_alive(const ServiceAccountAuthn *authn, const char *plural, const char *ns, const Value *ref,
                     Arena *arena) {
    _cleanup_object_ Object *object = NULL;
    const Resource *resource = resource_find("", "v1", plural);
    const char *name = value_get_str(ref, "name"), *uid = value_get_str(ref, "uid");
    if (!resource || str_empty(name) || store_get(authn->store, resource, ns, name, &object) < 0)
        return false;
    if (!streq_null(uid, object_uid(object)))
        return false;
    if (!object_is_deleting(object))
        return true;
    const char *deleted = value_str(value_path(object_value(object, arena), "metadata", "deletionTimestamp", NULL));
    int64_t at;
    return deleted && rfc3339_parse(deleted, &at) == 0 &&
           at / (int64_t)NS_PER_SEC >= authn->now_seconds - JWT_LEEWAY_SECONDS;
}

static bool is_bound_to_the_living(const ServiceAccountAuthn *authn, const Value *private, Arena *arena) {
    const char *ns = value_get_str(private, "namespace");
    const Value *pod = value_get(private, "pod"), *secret = value_get(private, "secret"),
                *node = value_get(private, "node");
    return !str_empty(ns) && is_alive(authn, "serviceaccounts", ns, value_get(private, "serviceaccount"), arena) &&
           (value_is_empty(secret) || is_alive(authn, "secrets", ns, secret, arena)) &&
           (value_is_empty(pod) || is_alive(authn, "pods", ns, pod, arena)) &&
           (value_is_empty(node) || !value_is_empty(pod) || is_alive(authn, "nodes", "", node, arena));
}

static void add_extra(Arena *arena, Pair *extra, size_t *n, const char *key, const char *value) {
    if (!str_empty(value))
        extra[(*n)++] = (Pair){key, arena_strdup(arena, value)};
}

static UserInfo *user_of(const Value *claims, Arena *arena) {
    const Value *private = value_get(claims, "kubernetes.io"), *account = value_get(private, "serviceaccount");
    const Value *pod = value_get(private, "pod"), *node = value_get(private, "node");
    const char *ns = value_get_str(private, "namespace"), *id = value_get_str(claims, "jti");
    const char *groups[] = {"system:serviceaccounts", arena_printf(arena, "system:serviceaccounts:%s", ns), NULL};
    char *name = arena_printf(arena, "system:serviceaccount:%s:%s", ns, value_get_str(account, "name"));
    UserInfo *user = user_info_new(arena, name, value_get_str(account, "uid"), groups);
    Pair *extra = arena_alloc0(arena, EXTRA_MAX * sizeof(Pair));
    if (!str_empty(id))
        add_extra(arena, extra, &user->n_extra, "authentication.kubernetes.io/credential-id",
                  arena_printf(arena, "JTI=%s", id));
    add_extra(arena, extra, &user->n_extra, "authentication.kubernetes.io/node-name", value_get_str(node, "name"));
    add_extra(arena, extra, &user->n_extra, "authentication.kubernetes.io/node-uid", value_get_str(node, "uid"));
    add_extra(arena, extra, &user->n_extra, "authentication.kubernetes.io/pod-name", value_get_str(pod, "name"));
    add_extra(arena, extra, &user->n_extra, "authentication.kubernetes.io/pod-uid", value_get_str(pod, "uid"));
    user->extra = extra;
    return user;
}

static char *quoted_list(Arena *arena, const char *const *list) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    buf_putc(&out, '[');
    for (size_t i = 0; list[i]; i++)
        buf_printf(&out, "%s\"%s\"", i ? " " : "", list[i]);
    buf_putc(&out, ']');
    return arena_strdup(arena, out.data);
}

UserInfo *service_account_user(const ServiceAccountAuthn *authn, const char *token, const char *const *audiences,
                               Arena *arena, const char *const **ret_audiences, const char **ret_detail) {
    Value *claims;
    if (jwt_verify(authn->keys, authn->n_keys, token, arena, &claims) < 0)
        return NULL;
    if (!streq(str_or(value_get_str(claims, "iss"), ""), authn->issuer) || !is_in_time(claims, authn->now_seconds))
        return NULL;
    const char *const *own = audiences_of(arena, claims);
    const char *const *common = audience_common(arena, own, audiences);
    if (!*common) {
        *ret_detail = arena_printf(arena, "token audiences %s is invalid for the target audiences %s",
                                   quoted_list(arena, own), quoted_list(arena, audiences));
        return NULL;
    }
    if (!is_bound_to_the_living(authn, value_get(claims, "kubernetes.io"), arena))
        return NULL;
    *ret_audiences = common;
    return user_of(claims, arena);
}
