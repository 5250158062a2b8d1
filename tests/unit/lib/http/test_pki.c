#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/pki.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Fixture {
    char dir[64], ca_cert[96], ca_key[96], cert[96], key[96], pub[96];
    PkiCa *ca;
} Fixture;

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    strcpy(f->dir, "/tmp/lighter-pki.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->ca_cert, sizeof f->ca_cert, "%s/ca.crt", f->dir);
    snprintf(f->ca_key, sizeof f->ca_key, "%s/ca.key", f->dir);
    snprintf(f->cert, sizeof f->cert, "%s/a.crt", f->dir);
    snprintf(f->key, sizeof f->key, "%s/a.key", f->dir);
    snprintf(f->pub, sizeof f->pub, "%s/a.pub", f->dir);
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "lighter-ca", &f->ca), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    pki_ca_free(f->ca);
    fs_remove_tree(f->dir);
    free(f);
    return 0;
}

static X509 *parse(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

/* Verifies against the CA for a purpose. */
static bool verifies(Fixture *f, X509 *cert, int purpose) {
    X509 *ca = parse(pki_ca_cert_pem(f->ca));
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_CTX_init(ctx, store, cert, NULL);
    X509_STORE_CTX_set_purpose(ctx, purpose);
    bool ok = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(ca);
    return ok;
}

static mode_t mode_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static char *slurp(const char *path) {
    char *text = NULL;
    assert_int_equal(fs_read_file(path, PKI_FILE_MAX, &text, NULL), 0);
    return text;
}

static void test_ca_is_loaded_again(void **state) {
    Fixture *f = *state;
    assert_int_equal(mode_of(f->ca_key), 0600);
    _cleanup_(pki_ca_freep) PkiCa *again = NULL;
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "lighter-ca", &again), 0);
    assert_string_equal(pki_ca_cert_pem(again), pki_ca_cert_pem(f->ca));
    int64_t end = 0;
    assert_int_equal(pki_cert_not_after(f->ca_cert, &end), 0);
    assert_true(end > now_realtime_ns() + (int64_t)(PKI_CA_DAYS - 1) * 86400 * (int64_t)NS_PER_SEC);
    /* A crash between key and certificate: the certificate is made for the key that is there. */
    unlink(f->ca_cert);
    _cleanup_(pki_ca_freep) PkiCa *remade = NULL;
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "lighter-ca", &remade), 0);
    /* Another key: refused, nothing is overwritten. */
    _cleanup_free_ char *cert = NULL;
    _cleanup_free_ char *key = NULL;
    const PkiCertSpec spec = {.common_name = "x"};
    assert_int_equal(pki_cert_issue(f->ca, &spec, &cert, &key), 0);
    assert_int_equal(fs_write_atomic(f->ca_key, key, strlen(key), 0600), 0);
    PkiCa *none = NULL;
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "lighter-ca", &none), -EINVAL);
    assert_null(none);
}

static void test_server_certificate_is_renewed_when_needed(void **state) {
    Fixture *f = *state;
    PkiCertSpec spec = {
        .common_name = "kube-apiserver",
        .dns_names = (const char *const[]){"localhost", "kubernetes.default.svc", NULL},
        .ip_addresses = (const char *const[]){"127.0.0.1", "10.96.0.1", "::1", NULL},
        .server = true,
    };
    bool changed = false;
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), 0);
    assert_true(changed);
    assert_int_equal(mode_of(f->key), 0600);
    assert_int_equal(mode_of(f->cert), 0644);
    _cleanup_free_ char *first = slurp(f->cert);
    _cleanup_free_ char *first_key = slurp(f->key);
    X509 *cert = parse(first);
    assert_true(verifies(f, cert, X509_PURPOSE_SSL_SERVER));
    assert_false(verifies(f, cert, X509_PURPOSE_SSL_CLIENT));
    assert_int_equal(X509_check_host(cert, "kubernetes.default.svc", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    X509_free(cert);
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), 0);
    assert_false(changed);
    spec.ip_addresses = (const char *const[]){"127.0.0.1", "192.0.2.7", NULL};
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), 0);
    assert_true(changed);
    _cleanup_free_ char *second = slurp(f->cert);
    _cleanup_free_ char *second_key = slurp(f->key);
    assert_string_not_equal(first, second);
    assert_string_equal(first_key, second_key);
    /* Near its end. */
    spec.days = PKI_RENEW_DAYS - 1;
    unlink(f->cert);
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), 0);
    spec.days = 0;
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), 0);
    assert_true(changed);
    /* Damaged. */
    assert_int_equal(fs_write_atomic(f->cert, "not a certificate", 17, 0644), 0);
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), 0);
    assert_true(changed);
    spec.ip_addresses = (const char *const[]){"not an address", NULL};
    assert_int_equal(pki_cert_ensure(f->ca, f->cert, f->key, &spec, &changed), -EINVAL);
}

static void test_client_certificate(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *cert_pem = NULL;
    _cleanup_(wipe_freep) char *key_pem = NULL;
    const PkiCertSpec spec = {
        .common_name = "system:node:n1",
        .organizations = (const char *const[]){"system:nodes", "second", NULL},
        .client = true,
    };
    assert_int_equal(pki_cert_issue(f->ca, &spec, &cert_pem, &key_pem), 0);
    X509 *cert = parse(cert_pem);
    assert_true(verifies(f, cert, X509_PURPOSE_SSL_CLIENT));
    assert_false(verifies(f, cert, X509_PURPOSE_SSL_SERVER));
    char *subject = X509_NAME_oneline(X509_get_subject_name(cert), NULL, 0);
    assert_string_equal(subject, "/O=system:nodes/O=second/CN=system:node:n1");
    OPENSSL_free(subject);
    X509_free(cert);
}

static void write_key(const char *path, EVP_PKEY *key) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static void test_token_key(void **state) {
    Fixture *f = *state;
    assert_int_equal(pki_token_key_ensure(f->key, f->pub), 0);
    assert_int_equal(mode_of(f->key), 0600);
    _cleanup_free_ char *first = slurp(f->pub);
    assert_true(str_has_prefix(first, "-----BEGIN PUBLIC KEY-----"));
    unlink(f->pub);
    assert_int_equal(pki_token_key_ensure(f->key, f->pub), 0);
    _cleanup_free_ char *second = slurp(f->pub);
    assert_string_equal(first, second);
    BIO *bio = BIO_new_mem_buf(second, -1);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL), *rsa = EVP_RSA_gen(2048),
             *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_true(EVP_PKEY_is_a(key, "EC"));
    write_key(f->key, rsa);
    assert_int_equal(pki_token_key_ensure(f->key, f->pub), 0); /* as kubeadm makes it */
    _cleanup_free_ char *of_rsa = slurp(f->pub);
    assert_string_not_equal(of_rsa, first);
    write_key(f->key, edwards);
    assert_int_equal(pki_token_key_ensure(f->key, f->pub), -EINVAL); /* no key the reference signs with */
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(edwards);
}

static void test_requests_are_signed_as_asked(void **state) {
    Fixture *f = *state;
    const PkiCertSpec spec = {
        .common_name = "system:node:n2",
        .organizations = (const char *const[]){"system:nodes", NULL},
        .dns_names = (const char *const[]){"n2", NULL},
        .ip_addresses = (const char *const[]){"192.0.2.9", NULL},
    };
    _cleanup_free_ char *csr = NULL;
    _cleanup_(wipe_freep) char *key = NULL;
    assert_int_equal(pki_request_make(&spec, &csr, &key), 0);
    PkiRequest request = {0};
    assert_int_equal(pki_request_parse(csr, strlen(csr), &request), 0);
    assert_string_equal(request.common_name, "system:node:n2");
    assert_string_equal(request.organizations[0], "system:nodes");
    assert_null(request.organizations[1]);
    assert_string_equal(request.dns_names[0], "n2");
    assert_string_equal(request.ip_addresses[0], "192.0.2.9");
    pki_request_done(&request);
    _cleanup_free_ char *pem = NULL;
    const char *const usages[] = {"digital signature", "key encipherment", "server auth", NULL};
    assert_int_equal(pki_request_sign(f->ca, csr, strlen(csr), usages, 3600, &pem), 0);
    X509 *cert = parse(pem);
    assert_true(verifies(f, cert, X509_PURPOSE_SSL_SERVER));
    assert_false(verifies(f, cert, X509_PURPOSE_SSL_CLIENT));
    assert_int_equal(X509_check_host(cert, "n2", 0, 0, NULL), 1);
    X509_free(cert);
    const char *const unknown[] = {"to rule", NULL};
    char *none = NULL;
    assert_int_equal(pki_request_sign(f->ca, csr, strlen(csr), unknown, 3600, &none), -EINVAL);
    /* One flipped bit in the body, and the signature no longer holds. */
    char *middle = strchr(csr, '\n') + 40;
    *middle = *middle == 'A' ? 'B' : 'A';
    assert_int_equal(pki_request_parse(csr, strlen(csr), &request), -EINVAL);
    assert_int_equal(pki_request_parse("", 0, &request), -EINVAL);
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ca_is_loaded_again),           TEST(test_server_certificate_is_renewed_when_needed),
        TEST(test_client_certificate),           TEST(test_token_key),
        TEST(test_requests_are_signed_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
