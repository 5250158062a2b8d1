/* After a first byte: a token as it stands, which no key has signed; or claims, which are signed here and must come
 * back. */
#include "api/json.h"
#include "auth/jwt.h"
#include "base/str.h"

#include <errno.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static JwtKey *key_of_this_run(void) {
    static JwtKey *key; /* one for all inputs: a key takes a while to make */
    if (key)
        return key;
    char dir[] = "/tmp/lighter-fuzz-XXXXXX";
    if (!mkdtemp(dir))
        abort();
    _cleanup_free_ char *path = xasprintf("%s/key", dir);
    if (jwt_key_load_or_make(path, &key) < 0 || unlink(path) < 0 || rmdir(dir) < 0)
        abort();
    return key;
}

static void check_claims(JwtKey *key, const char *text, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_free_ char *token = NULL;
    Value *claims, *back;
    if (size > JWT_MAX / 4 || json_parse(arena, text, size, &claims, NULL, NULL) < 0 ||
        !value_is(claims, VALUE_OBJECT) || jwt_sign(key, claims, &token) < 0)
        return;
    if (strlen(token) > JWT_MAX)
        return;
    _cleanup_buf_ Buf before = BUF_INIT(BUF_NO_LIMIT), after = BUF_INIT(BUF_NO_LIMIT);
    if (jwt_verify(&key, 1, token, arena, &back) < 0)
        abort();
    value_write_json(&before, claims);
    value_write_json(&after, back);
    size_t n = strlen(token);
    token[n - 10] = token[n - 10] == 'A' ? 'B' : 'A'; /* of the signature */
    if (jwt_verify(&key, 1, token, arena, &back) == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    JwtKey *key = key_of_this_run();
    if (!size)
        return 0;
    if (data[0] & 1) {
        check_claims(key, (const char *)data + 1, size - 1);
        return 0;
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_free_ char *token = xstrndup((const char *)data + 1, size - 1);
    Value *claims;
    int r = jwt_verify(&key, 1, token, arena, &claims);
    if (r != -EBADMSG && r != -EKEYREJECTED && r != -ENOKEY)
        abort();
    claims = jwt_claims_unverified(token, arena);
    if (claims)
        (void)value_get_str(claims, "iss");
    return 0;
}
