/* Bootstrap tokens, as plugin/pkg/auth/authenticator/token/bootstrap takes them. */
#include "apiserver/filters/token_authn.h"
#include "auth/bootstrap_token.h"
#include "base/clock.h"
#include "base/str.h"

#include <openssl/crypto.h>

#define GROUPS_MAX 64

static bool is_token_part(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9')))
            return false;
    return true;
}

static bool is_good(Arena *arena, const Value *secret, const char *id, const char *token_secret, int64_t now_ns) {
    const char *expected = bootstrap_token_datum(arena, secret, "token-secret"),
               *expires = bootstrap_token_datum(arena, secret, "expiration");
    int64_t at;
    return streq(str_or(value_get_str(secret, "type"), ""), BOOTSTRAP_TOKEN_TYPE) &&
           !value_path(secret, "metadata", "deletionTimestamp", NULL) &&
           strlen(expected) == BOOTSTRAP_TOKEN_SECRET_LEN &&
           CRYPTO_memcmp(expected, token_secret, BOOTSTRAP_TOKEN_SECRET_LEN) == 0 &&
           streq(bootstrap_token_datum(arena, secret, "token-id"), id) &&
           (!*expires || (rfc3339_parse(expires, &at) == 0 && at > now_ns)) &&
           streq(bootstrap_token_datum(arena, secret, "usage-bootstrap-authentication"), "true");
}

UserInfo *bootstrap_token_user(Store *store, const char *token, int64_t now_ns, Arena *arena) {
    if (strnlen(token, BOOTSTRAP_TOKEN_ID_LEN + BOOTSTRAP_TOKEN_SECRET_LEN + 2) !=
            BOOTSTRAP_TOKEN_ID_LEN + 1 + BOOTSTRAP_TOKEN_SECRET_LEN ||
        token[BOOTSTRAP_TOKEN_ID_LEN] != '.' || !is_token_part(token, BOOTSTRAP_TOKEN_ID_LEN) ||
        !is_token_part(token + BOOTSTRAP_TOKEN_ID_LEN + 1, BOOTSTRAP_TOKEN_SECRET_LEN))
        return NULL;
    char *id = arena_strndup(arena, token, BOOTSTRAP_TOKEN_ID_LEN);
    _cleanup_object_ Object *object = NULL;
    if (store_get(store, resource_find("", "v1", "secrets"), BOOTSTRAP_TOKEN_NAMESPACE,
                  arena_printf(arena, BOOTSTRAP_TOKEN_PREFIX "%s", id), &object) < 0)
        return NULL;
    const Value *secret = object_value(object, arena);
    if (!is_good(arena, secret, id, token + BOOTSTRAP_TOKEN_ID_LEN + 1, now_ns))
        return NULL;
    size_t n;
    char **extra = str_split(arena, bootstrap_token_datum(arena, secret, "auth-extra-groups"), ',', &n);
    const char *groups[GROUPS_MAX] = {"system:bootstrappers"};
    for (size_t i = 0, kept = 1; i < n && kept < GROUPS_MAX - 1; i++) {
        if (!str_has_prefix(extra[i], "system:bootstrappers:"))
            return NULL;
        groups[kept++] = extra[i];
    }
    return user_info_new(arena, arena_printf(arena, "system:bootstrap:%s", id), NULL, groups);
}
