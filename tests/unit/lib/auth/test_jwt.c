#include "auth/jwt.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Fixture {
    char dir[64], path[96];
    Arena *arena;
} Fixture;

static int set_up(void **state) {
    Fixture *f = NEW0(Fixture);
    strcpy(f->dir, "/tmp/lighter-jwt.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/key", f->dir);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    arena_free(f->arena);
    fs_remove_tree(f->dir);
    free(f);
    return 0;
}

/* Takes the key. */
static JwtKey *load(const Fixture *f, EVP_PKEY *pkey) {
    JwtKey *key = NULL;
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    EVP_PKEY_free(pkey);
    assert_int_equal(jwt_key_load(f->path, &key), 0);
    return key;
}

static char *sign(const Fixture *f, const JwtKey *key) {
    Value *claims = value_object(f->arena);
    char *token = NULL;
    value_set_str(f->arena, claims, "sub", "system:serviceaccount:a:b");
    assert_int_equal(jwt_sign(key, claims, &token), 0);
    return token;
}

static size_t signature_len(const char *token) {
    uint8_t *bytes = NULL;
    size_t n = 0;
    const char *text = strrchr(token, '.') + 1;
    assert_int_equal(base64url_decode(text, strlen(text), &bytes, &n), 0);
    free(bytes);
    return n;
}

static void signs_with_each_kind_of_key(void **state) {
    Fixture *f = *state;
    static const struct {
        const char *curve, *algorithm;
        size_t signature, number;
    } kinds[] = {
        {NULL, "RS256", 256, 0}, {"P-256", "ES256", 64, 32}, {"P-384", "ES384", 96, 48}, {"P-521", "ES512", 132, 66}};
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        const char *curve = kinds[i].curve;
        _cleanup_(jwt_key_freep) JwtKey *key = load(f, curve ? EVP_EC_gen(curve) : EVP_RSA_gen(2048));
        for (int round = 0; round < 20; round++) { /* numbers that begin with zeros keep their width */
            _cleanup_free_ char *token = sign(f, key);
            Value *claims = NULL;
            assert_int_equal(signature_len(token), kinds[i].signature);
            assert_int_equal(jwt_verify(&key, 1, token, f->arena, &claims), 0);
            assert_string_equal(value_get_str(claims, "sub"), "system:serviceaccount:a:b");
            char *last = token + strlen(token) - 4;
            *last = *last == 'A' ? 'B' : 'A';
            assert_int_equal(jwt_verify(&key, 1, token, f->arena, &claims), -EKEYREJECTED);
        }
        const Value *jwk = value_at(value_get(jwt_key_set(f->arena, &key, 1), "keys"), 0);
        assert_string_equal(value_get_str(jwk, "alg"), kinds[i].algorithm);
        assert_string_equal(value_get_str(jwk, "kty"), curve ? "EC" : "RSA");
        assert_string_equal(str_or(value_get_str(jwk, "crv"), ""), str_or(curve, ""));
        assert_string_equal(str_or(value_get_str(jwk, "e"), ""), curve ? "" : "AQAB");
        if (curve)
            assert_int_equal(strlen(value_get_str(jwk, "x")), (kinds[i].number * 8 + 5) / 6);
    }
}

static void names_algorithms_once(void **state) {
    Fixture *f = *state;
    JwtKey *keys[] = {load(f, EVP_RSA_gen(2048)), load(f, EVP_EC_gen("P-256")), load(f, EVP_EC_gen("P-256"))};
    _cleanup_buf_ Buf text = BUF_INIT(1024);
    value_write_json(&text, jwt_key_algorithms(f->arena, keys, ELEMENTSOF(keys)));
    assert_string_equal(text.data, "[\"ES256\",\"RS256\"]");
    for (size_t i = 0; i < ELEMENTSOF(keys); i++)
        jwt_key_free(keys[i]);
}

/* RFC 7515, appendix A.3. */
static void verifies_the_example_of_the_rfc(void **state) {
    Fixture *f = *state;
    static const char head[] = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", /* SubjectPublicKeyInfo of a point on P-256 */
        x[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    static const char token[] =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
        "cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    uint8_t *numbers[2];
    size_t n;
    assert_int_equal(base64url_decode(x, strlen(x), &numbers[0], &n), 0);
    assert_int_equal(base64url_decode(y, strlen(y), &numbers[1], &n), 0);
    _cleanup_buf_ Buf point = BUF_INIT(1024), pem = BUF_INIT(1024);
    buf_append(&point, numbers[0], 32);
    buf_append(&point, numbers[1], 32);
    buf_printf(&pem, "-----BEGIN PUBLIC KEY-----\n%s", head);
    base64_encode(&pem, point.data, point.len);
    buf_puts(&pem, "\n-----END PUBLIC KEY-----\n");
    assert_int_equal(fs_write_atomic(f->path, pem.data, pem.len, 0600), 0);
    free(numbers[0]);
    free(numbers[1]);
    _cleanup_(jwt_key_freep) JwtKey *key = NULL;
    Value *claims = NULL;
    assert_int_equal(jwt_key_load(f->path, &key), 0);
    assert_int_equal(jwt_verify(&key, 1, token, f->arena, &claims), 0);
    assert_string_equal(value_get_str(claims, "iss"), "joe");
    char *none = NULL;
    assert_int_equal(jwt_sign(key, claims, &none), -EINVAL); /* it is public */
}

static char *with_header(const Fixture *f, const char *token, const char *header) {
    _cleanup_buf_ Buf out = BUF_INIT(JWT_MAX);
    base64url_encode(&out, header, strlen(header));
    buf_puts(&out, strchr(token, '.'));
    return arena_strdup(f->arena, out.data);
}

static void lets_no_token_choose_its_algorithm(void **state) {
    Fixture *f = *state;
    _cleanup_(jwt_key_freep) JwtKey *key = load(f, EVP_EC_gen("P-256")), *other = load(f, EVP_EC_gen("P-256"));
    _cleanup_free_ char *token = sign(f, key), *stranger = sign(f, other);
    Value *claims = NULL;
    static const char *const headers[] = {"{\"alg\":\"none\"}", "{\"alg\":\"RS256\"}", "{\"alg\":\"HS256\"}",
                                          "{\"alg\":\"ES384\"}", "{}"};
    for (size_t i = 0; i < ELEMENTSOF(headers); i++)
        assert_int_equal(jwt_verify(&key, 1, with_header(f, token, headers[i]), f->arena, &claims), -EKEYREJECTED);
    assert_int_equal(jwt_verify(&key, 1, stranger, f->arena, &claims), -EKEYREJECTED);
    char *unsigned_one = arena_printf(f->arena, "%.*s", (int)(strrchr(token, '.') + 1 - token), token);
    assert_int_equal(jwt_verify(&key, 1, unsigned_one, f->arena, &claims), -EKEYREJECTED);
}

static void refuses_other_keys(void **state) {
    Fixture *f = *state;
    JwtKey *key = NULL;
    FILE *file = fopen(f->path, "w");
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_int_equal(PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    EVP_PKEY_free(pkey);
    assert_int_equal(jwt_key_load(f->path, &key), -EBADMSG);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(signs_with_each_kind_of_key),        CASE(names_algorithms_once), CASE(verifies_the_example_of_the_rfc),
        CASE(lets_no_token_choose_its_algorithm), CASE(refuses_other_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
