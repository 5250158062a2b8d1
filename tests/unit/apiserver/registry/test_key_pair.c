/* A certificate and its key, and what is said of those that do not fit: the words are Go's crypto/tls. */
#include "apiserver/registry/key_pair.h"
#include "base/buf.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct Pair {
    char *certificate, *key; /* PEM, in the arena */
} Pair;

static char *taken(Arena *arena, BIO *bio) {
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = arena_strndup(arena, data, (size_t)n);
    BIO_free(bio);
    return text;
}

static Pair make_pair(Arena *arena, EVP_PKEY *key) {
    X509 *certificate = X509_new();
    BIO *text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    assert_non_null(key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(text, certificate);
    PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return (Pair){taken(arena, text), taken(arena, key_text)};
}

static const char *said(Arena *arena, const char *certificate, const char *key) {
    const char *error = key_pair_error(arena, certificate, strlen(certificate), key, strlen(key));
    return error ? error : "";
}

static void pairs(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Pair a = make_pair(arena, EVP_EC_gen("P-256")), b = make_pair(arena, EVP_EC_gen("P-256")),
         rsa = make_pair(arena, EVP_RSA_gen(1024));
    assert_string_equal(said(arena, a.certificate, a.key), "");
    assert_string_equal(said(arena, rsa.certificate, rsa.key), "");
    assert_string_equal(said(arena, a.certificate, b.key), "tls: private key does not match public key");
    assert_string_equal(said(arena, a.certificate, rsa.key), "tls: private key type does not match public key type");
    assert_string_equal(said(arena, "", a.key), "tls: failed to find any PEM data in certificate input");
    assert_string_equal(said(arena, a.certificate, ""), "tls: failed to find any PEM data in key input");
    assert_string_equal(said(arena, a.key, a.certificate),
                        "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
                        "PEM inputs may have been switched");
    assert_string_equal(said(arena, a.certificate, a.certificate),
                        "tls: found a certificate rather than a key in the PEM for the private key");
    /* A chain: the first is the one that counts. */
    const char *chain = arena_printf(arena, "%s%s", a.certificate, b.certificate);
    assert_string_equal(said(arena, chain, a.key), "");
    assert_string_equal(said(arena, chain, b.key), "tls: private key does not match public key");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
