/* Bootstrap tokens, as plugin/pkg/auth/authenticator/token/bootstrap takes them. */
#include "apiserver/filters/token_authn.h"
#include "base/clock.h"
#include "base/str.h"

#include <openssl/crypto.h>

#define ID_LEN 6
#define SECRET_LEN 16
#define GROUPS_MAX 64

static bool is_token_part(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9')))
            return false;
    return true;
}

/* A member of the secret's data, decoded into the arena; "" when absent. */
static const char *secret_data(Arena *arena, const Value *secret, const char *key) {
    const char *text = value_get_str(value_get(secret, "data"), key);
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t n;
    if (!text || base64_decode(text, strlen(text), &bytes, &n) < 0)
        return "";
    return arena_strndup(arena, (char *)bytes, n);
}

static bool is_good(Arena *arena, const Value *secret, const char *id, const char *token_secret, int64_t now_ns) {
    const char *expected = secret_data(arena, secret, "token-secret"),
               *expires = secret_data(arena, secret, "expiration");
    int64_t at;
    return streq(str_or(value_get_str(secret, "type"), ""), "bootstrap.kubernetes.io/token") &&
           !value_path(secret, "metadata", "deletionTimestamp", NULL) && strlen(expected) == SECRET_LEN &&
           CRYPTO_memcmp(expected, token_secret, SECRET_LEN) == 0 &&
           streq(secret_data(arena, secret, "token-id"), id) &&
           (!*expires || (rfc3339_parse(expires, &at) == 0 && at > now_ns)) &&
           streq(secret_data(arena, secret, "usage-bootstrap-authentication"), "true");
}

UserInfo *bootstrap_token_user(Store *store, const char *token, int64_t now_ns, Arena *arena) {
    if (strnlen(token, ID_LEN + SECRET_LEN + 2) != ID_LEN + 1 + SECRET_LEN || token[ID_LEN] != '.' ||
        !is_token_part(token, ID_LEN) || !is_token_part(token + ID_LEN + 1, SECRET_LEN))
        return NULL;
    char *id = arena_strndup(arena, token, ID_LEN);
    _cleanup_object_ Object *object = NULL;
    if (store_get(store, resource_find("", "v1", "secrets"), "kube-system",
                  arena_printf(arena, "bootstrap-token-%s", id), &object) < 0)
        return NULL;
    const Value *secret = object_value(object, arena);
    if (!is_good(arena, secret, id, token + ID_LEN + 1, now_ns))
        return NULL;
    size_t n;
    char **extra = str_split(arena, secret_data(arena, secret, "auth-extra-groups"), ',', &n);
    const char *groups[GROUPS_MAX] = {"system:bootstrappers"};
    for (size_t i = 0, kept = 1; i < n && kept < GROUPS_MAX - 1; i++) {
        if (!str_has_prefix(extra[i], "system:bootstrappers:"))
            return NULL;
        groups[kept++] = extra[i];
    }
    return user_info_new(arena, arena_printf(arena, "system:bootstrap:%s", id), NULL, groups);
}
