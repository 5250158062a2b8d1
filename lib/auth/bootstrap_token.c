#include "auth/bootstrap_token.h"
#include "base/str.h"

const char *bootstrap_token_datum(Arena *arena, const Value *secret, const char *key) {
    const char *text = value_get_str(value_get(secret, "data"), key);
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t n;
    if (!text || base64_decode(text, strlen(text), &bytes, &n) < 0)
        return "";
    return arena_strndup(arena, (char *)bytes, n);
}
