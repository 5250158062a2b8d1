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

static void write_file(const Fixture *f, const char *text) {
    assert_int_equal(fs_write_atomic(f->path, text, strlen(text), 0600), 0);
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
    assert_int_equal(jwt_verify(&key, 1, stranger, f->arena, &claims), -ENOKEY);
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

/* Keys of each curve and two RSA keys: no token is taken with another key, or as another algorithm. */
static void keeps_kinds_apart(void **state) {
    Fixture *f = *state;
    JwtKey *keys[] = {load(f, EVP_RSA_gen(2048)), load(f, EVP_RSA_gen(2048)), load(f, EVP_EC_gen("P-256")),
                      load(f, EVP_EC_gen("P-384")), load(f, EVP_EC_gen("P-521"))};
    static const char *const names[] = {"RS256", "ES256", "ES384", "ES512", "HS256", "RS512", "PS256", "none", "None"};
    for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
        _cleanup_free_ char *token = sign(f, keys[i]);
        Value *claims = NULL, *own = NULL;
        assert_int_equal(jwt_verify(keys, ELEMENTSOF(keys), token, f->arena, &claims), 0);
        own = value_at(jwt_key_algorithms(f->arena, &keys[i], 1), 0);
        char *no_name = with_header(f, token, arena_printf(f->arena, "{\"alg\":\"%s\"}", value_str(own)));
        assert_int_equal(jwt_verify(keys, ELEMENTSOF(keys), no_name, f->arena, &claims), -EKEYREJECTED);
        for (size_t k = 0; k < ELEMENTSOF(keys); k++) {
            char *named = with_header(
                f, token,
                arena_printf(f->arena, "{\"alg\":\"%s\",\"kid\":\"%s\"}", value_str(own), jwt_key_id(keys[k])));
            /* the header is signed too: only the untouched one is good */
            bool same = streq(named, token);
            assert_true(same == (i == k));
            assert_int_equal(jwt_verify(keys, ELEMENTSOF(keys), named, f->arena, &claims), same ? 0 : -EKEYREJECTED);
            if (i != k)
                assert_int_equal(jwt_verify(&keys[k], 1, token, f->arena, &claims), -ENOKEY);
        }
        for (size_t k = 0; k < ELEMENTSOF(names); k++)
            if (!streq(names[k], value_str(own)))
                assert_int_equal(jwt_verify(&keys[i], 1,
                                            with_header(f, token,
                                                        arena_printf(f->arena, "{\"alg\":\"%s\",\"kid\":\"%s\"}",
                                                                     names[k], jwt_key_id(keys[i]))),
                                            f->arena, &claims),
                                 -EKEYREJECTED);
    }
    for (size_t i = 0; i < ELEMENTSOF(keys); i++)
        jwt_key_free(keys[i]);
}

static void append(BIO *to, const char *text) {
    assert_int_equal(BIO_puts(to, text), (int)strlen(text));
}

static X509 *certificate_of(EVP_PKEY *key) {
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 60);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

/* Private keys of either form, a public key and a certificate, with what is none between them, as one file. */
static void reads_every_key_of_a_file(void **state) {
    Fixture *f = *state;
    EVP_PKEY *made[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(2048), EVP_EC_gen("P-521"), EVP_RSA_gen(2048),
                        EVP_EC_gen("P-256")};
    EVP_PKEY *weak = EVP_RSA_gen(512);
    BIO *file = BIO_new(BIO_s_mem());
    X509 *cert = certificate_of(made[3]);
    append(file, "words\n-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n");
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(file, made[0], NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(file, made[1], NULL, NULL, 0, NULL, NULL), 1);
    append(file, "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n");
    assert_int_equal(PEM_write_bio_PUBKEY(file, made[2]), 1);
    assert_int_equal(PEM_write_bio_PUBKEY(file, weak), 1);
    assert_int_equal(PEM_write_bio_X509(file, cert), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(file, made[4], NULL, NULL, 0, NULL, NULL), 1);
    char *text;
    long n = BIO_get_mem_data(file, &text);
    write_file(f, arena_strndup(f->arena, text, (size_t)n));
    JwtKeys keys = {0};
    assert_int_equal(jwt_keys_load(f->path, &keys), 0);
    assert_int_equal(keys.n, ELEMENTSOF(made));
    _cleanup_(jwt_key_freep) JwtKey *signing = NULL;
    assert_int_equal(jwt_key_load(f->path, &signing), 0);
    assert_true(jwt_key_signs(signing));
    assert_string_equal(jwt_key_id(signing), jwt_key_id(keys.items[0])); /* the first of the private ones */
    for (size_t i = 0; i < keys.n; i++) {
        _cleanup_(jwt_key_freep) JwtKey *key = load(f, made[i]);
        _cleanup_free_ char *token = sign(f, key), *none = NULL;
        Value *claims = NULL;
        assert_string_equal(jwt_key_id(key), jwt_key_id(keys.items[i]));
        assert_int_equal(jwt_verify(keys.items, keys.n, token, f->arena, &claims), 0);
        assert_false(jwt_key_signs(keys.items[i]));
        assert_int_equal(jwt_sign(keys.items[i], claims, &none), -EINVAL);
    }
    jwt_keys_done(&keys);
    EVP_PKEY_free(weak);
    X509_free(cert);
    BIO_free(file);
}

static void finds_no_key(void **state) {
    Fixture *f = *state;
    JwtKeys keys = {0};
    JwtKey *key = NULL;
    static const char *const files[] = {"", "words", "-----BEGIN PUBLIC KEY-----\n",
                                        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
                                        "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"};
    for (size_t i = 0; i < ELEMENTSOF(files); i++) {
        write_file(f, files[i]);
        assert_int_equal(jwt_keys_load(f->path, &keys), -EBADMSG);
        assert_int_equal(jwt_key_load(f->path, &key), -EBADMSG);
    }
    unlink(f->path);
    assert_int_equal(jwt_keys_load(f->path, &keys), -ENOENT);
    assert_int_equal(keys.n, 0);
}

/* The SHA-256 of the SubjectPublicKeyInfo with the whole point, however the file has it. */
static void names_keys_as_the_reference(void **state) {
    Fixture *f = *state;
    static const char whole[] = "-----BEGIN PUBLIC KEY-----\n"
                                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                                "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
                                "-----END PUBLIC KEY-----\n",
                      compressed[] = "-----BEGIN PUBLIC KEY-----\n"
                                     "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                                     "6e8Tus9uPHvRVEU=\n"
                                     "-----END PUBLIC KEY-----\n";
    const char *const files[] = {whole, compressed};
    for (size_t i = 0; i < ELEMENTSOF(files); i++) {
        _cleanup_(jwt_key_freep) JwtKey *key = NULL;
        write_file(f, files[i]);
        assert_int_equal(jwt_key_load(f->path, &key), 0);
        assert_string_equal(jwt_key_id(key), "K9G7DESol8MKeqCZHN442AYv5EHeUNoPRoJTRPYC6Cc");
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(signs_with_each_kind_of_key),        CASE(names_algorithms_once), CASE(verifies_the_example_of_the_rfc),
        CASE(lets_no_token_choose_its_algorithm), CASE(refuses_other_keys),    CASE(keeps_kinds_apart),
        CASE(reads_every_key_of_a_file),          CASE(finds_no_key),          CASE(names_keys_as_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
