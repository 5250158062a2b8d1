#include "apiserver/filters/token_authn.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>

#define EXTRA_MAX 5
#define LEGACY_INVALID_SINCE                                                                                           \
    "kubernetes.io/legacy-token-invalid-since" /* a label, set by the controller that cleans up */

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

/* These say what is wrong, in the reference's words; NULL: nothing. */
static const char *wrong_time(const Value *claims, int64_t now) {
    if (now + JWT_LEEWAY_SECONDS < seconds_claim(claims, "nbf", 0))
        return "service account token is not valid yet";
    if (now - JWT_LEEWAY_SECONDS > seconds_claim(claims, "exp", 0))
        return "service account token has expired";
    if (now + JWT_LEEWAY_SECONDS < seconds_claim(claims, "iat", 0))
        return "service account token is issued in the future";
    return NULL;
}

/* Deleted for longer than the leeway. */
static bool is_gone(const ServiceAccountAuthn *authn, const Object *object, Arena *arena) {
    if (!object_is_deleting(object))
        return false;
    const char *deleted = value_str(value_path(object_value(object, arena), "metadata", "deletionTimestamp", NULL));
    int64_t at;
    return !deleted || rfc3339_parse(deleted, &at) < 0 ||
           at / (int64_t)NS_PER_SEC < authn->now_seconds - JWT_LEEWAY_SECONDS;
}

static int find(const ServiceAccountAuthn *authn, const char *plural, const char *ns, const char *name, Object **ret) {
    return str_empty(name) ? -ENOENT : store_get(authn->store, resource_find("", "v1", plural), ns, name, ret);
}

static const char *wrong_account(const ServiceAccountAuthn *authn, const char *ns, const Value *ref, Arena *arena) {
    _cleanup_object_ Object *account = NULL;
    const char *name = str_or(value_get_str(ref, "name"), ""), *uid = str_or(value_get_str(ref, "uid"), "");
    if (str_empty(ns) || find(authn, "serviceaccounts", ns, name, &account) < 0)
        return arena_printf(arena, "serviceaccounts \"%s\" not found", name);
    if (!streq(uid, object_uid(account)))
        return arena_printf(arena, "service account UID (%s) does not match claim (%s)", object_uid(account), uid);
    return is_gone(authn, account, arena) ? arena_printf(arena, "service account %s/%s has been deleted", ns, name)
                                          : NULL;
}

/* `kind`: the claim's name; the object it names is still the same. */
static const char *wrong_bound(const ServiceAccountAuthn *authn, const char *kind, const char *plural, const char *ns,
                               const Value *private, Arena *arena) {
    _cleanup_object_ Object *object = NULL;
    const Value *ref = value_get(private, kind);
    const char *uid = str_or(value_get_str(ref, "uid"), "");
    if (value_is_empty(ref))
        return NULL;
    if (find(authn, plural, ns, value_get_str(ref, "name"), &object) < 0)
        return "service account token has been invalidated";
    if (!streq(uid, object_uid(object)))
        return arena_printf(arena, "%s UID (%s) does not match service account %s ref claim (%s)", kind,
                            object_uid(object), kind, uid);
    return is_gone(authn, object, arena) ? "service account token has been invalidated" : NULL;
}

static const char *wrong_claims(const ServiceAccountAuthn *authn, const Value *claims, Arena *arena) {
    const Value *private = value_get(claims, "kubernetes.io");
    const char *ns = value_get_str(private, "namespace"), *wrong = wrong_time(claims, authn->now_seconds);
    if (!wrong)
        wrong = wrong_account(authn, ns, value_get(private, "serviceaccount"), arena);
    if (!wrong)
        wrong = wrong_bound(authn, "secret", "secrets", ns, private, arena);
    if (!wrong)
        wrong = wrong_bound(authn, "pod", "pods", ns, private, arena);
    if (!wrong && value_is_empty(value_get(private, "pod"))) /* a pod's node is told, no more */
        wrong = wrong_bound(authn, "node", "nodes", "", private, arena);
    return wrong;
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

/* The account of a kept token, still the same and not being deleted. */
static bool has_living_account(const ServiceAccountAuthn *authn, const char *ns, const char *name, const char *uid,
                               Arena *arena, const char **ret_detail) {
    _cleanup_object_ Object *account = NULL;
    if (store_get(authn->store, resource_find("", "v1", "serviceaccounts"), ns, name, &account) < 0)
        *ret_detail = arena_printf(arena, "serviceaccounts \"%s\" not found", name);
    else if (object_is_deleting(account))
        *ret_detail = arena_printf(arena, "ServiceAccount %s/%s has been deleted", ns, name);
    else if (!streq(object_uid(account), uid))
        *ret_detail =
            arena_printf(arena, "ServiceAccount UID (%s) does not match claim (%s)", object_uid(account), uid);
    else
        return true;
    return false;
}

/* Does the secret still hold just this token? */
static bool is_kept_in(const Object *secret, const char *token, Arena *arena) {
    _cleanup_free_ uint8_t *kept = NULL;
    size_t n_kept = 0;
    const char *text = value_str(value_path(object_value(secret, arena), "data", "token", NULL));
    if (!text || base64_decode(text, strlen(text), &kept, &n_kept) < 0)
        return false;
    bool same = n_kept == strlen(token) && CRYPTO_memcmp(kept, token, n_kept) == 0;
    wipe(kept, n_kept);
    return same;
}

/* The secret is there, holds the token, and the account is the same. */
static bool is_still_good(const ServiceAccountAuthn *authn, const char *token, const Value *claims, Arena *arena,
                          const char **ret_detail) {
    const char *ns = value_get_str(claims, LEGACY_CLAIM_NAMESPACE), *name = value_get_str(claims, LEGACY_CLAIM_SECRET);
    const char *account = value_get_str(claims, LEGACY_CLAIM_ACCOUNT);
    _cleanup_object_ Object *secret = NULL;
    if (store_get(authn->store, resource_find("", "v1", "secrets"), ns, name, &secret) < 0 ||
        object_is_deleting(secret)) {
        *ret_detail = "Token has been invalidated";
        return false;
    }
    if (!is_kept_in(secret, token, arena)) {
        *ret_detail = "Token does not match server's copy";
        return false;
    }
    if (!has_living_account(authn, ns, account, value_get_str(claims, LEGACY_CLAIM_ACCOUNT_UID), arena, ret_detail))
        return false;
    if (str_empty(object_label(secret, LEGACY_INVALID_SINCE)))
        return true;
    *ret_detail =
        arena_printf(arena,
                     "the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens "
                     "from the TokenRequest API or manually created secret-based tokens, or remove the '%s' "
                     "label from the secret to temporarily allow use of this token",
                     ns, name, ns, account, LEGACY_INVALID_SINCE);
    return false;
}

/* A token kept in a secret (LEGACY_TOKEN_ISSUER). It names no audience: it is for this server. */
static UserInfo *legacy_user(const ServiceAccountAuthn *authn, const char *token, const Value *claims, Arena *arena,
                             const char **ret_detail) {
    const char *ns = value_get_str(claims, LEGACY_CLAIM_NAMESPACE),
               *secret = value_get_str(claims, LEGACY_CLAIM_SECRET);
    const char *name = value_get_str(claims, LEGACY_CLAIM_ACCOUNT),
               *uid = value_get_str(claims, LEGACY_CLAIM_ACCOUNT_UID);
    const char *subject = value_get_str(claims, "sub");
    if (str_empty(subject) || str_empty(ns) || str_empty(secret) || str_empty(name) || str_empty(uid)) {
        *ret_detail = str_empty(subject)  ? "sub claim is missing"
                      : str_empty(ns)     ? "namespace claim is missing"
                      : str_empty(secret) ? "secretName claim is missing"
                      : str_empty(name)   ? "serviceAccountName claim is missing"
                                          : "serviceAccountUID claim is missing";
        return NULL;
    }
    char *user_name = arena_printf(arena, "system:serviceaccount:%s:%s", ns, name);
    if (!streq(subject, user_name)) {
        *ret_detail = "sub claim is invalid";
        return NULL;
    }
    if (!is_still_good(authn, token, claims, arena, ret_detail))
        return NULL;
    const char *groups[] = {"system:serviceaccounts", arena_printf(arena, "system:serviceaccounts:%s", ns), NULL};
    return user_info_new(arena, user_name, uid, groups);
}

static bool is_believed(const ServiceAccountAuthn *authn, const Value *claims) {
    const char *issuer = str_or(value_get_str(claims, "iss"), "");
    return str_in(issuer, authn->issuers) || streq(issuer, LEGACY_TOKEN_ISSUER);
}

UserInfo *service_account_user(const ServiceAccountAuthn *authn, const char *token, const char *const *audiences,
                               Arena *arena, const char *const **ret_audiences, const char **ret_detail) {
    Value *claims;
    int r = jwt_verify(authn->keys->items, authn->keys->n, token, arena, &claims);
    if (r < 0 && (r == -EBADMSG || !is_believed(authn, jwt_claims_unverified(token, arena))))
        return NULL; /* none of ours */
    if (r < 0) {
        *ret_detail = r == -ENOKEY ? "invalid signature, no keys found"
                                   : "go-jose/go-jose: error in cryptographic primitive"; /* as the reference has it */
        return NULL;
    }
    if (!is_believed(authn, claims))
        return NULL;
    bool is_legacy = streq(value_get_str(claims, "iss"), LEGACY_TOKEN_ISSUER);
    const char *const *own = audiences_of(arena, claims);
    if (is_legacy || !*own)
        own = authn->audiences;
    const char *const *common = audience_common(arena, own, audiences);
    if (!*common)
        *ret_detail = arena_printf(arena, "token audiences %s is invalid for the target audiences %s",
                                   quoted_list(arena, own), quoted_list(arena, audiences));
    else if (is_legacy) {
        *ret_audiences = common;
        return legacy_user(authn, token, claims, arena, ret_detail);
    } else
        *ret_detail = wrong_claims(authn, claims, arena);
    if (*ret_detail)
        return NULL;
    *ret_audiences = common;
    return user_of(claims, arena);
}
