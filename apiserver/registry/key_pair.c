#include "apiserver/registry/key_pair.h"

#include "base/buf.h"
#include "base/str.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <limits.h>

/* What a PEM text holds: its first block of the wanted kind, and the kinds that stood before it. */
typedef struct Found {
    Buf skipped; /* "A B" */
    size_t n_skipped;
    bool certificate, private_key; /* what the last one skipped was */
    uint8_t *der;                  /* owned; OpenSSL's. NULL: none */
    long len;
} Found;

static void found_done(Found *found) {
    buf_done(&found->skipped);
    OPENSSL_clear_free(found->der, (size_t)found->len);
}
#define _cleanup_found_ _cleanup_(found_done)
#define FOUND_INIT                                                                                                     \
    { .skipped = BUF_INIT(4096) }

static bool is_certificate(const char *name) {
    return streq(name, "CERTIFICATE");
}

static bool is_private_key(const char *name) {
    return streq(name, "PRIVATE KEY") || str_has_suffix(name, " PRIVATE KEY");
}

static void find(const void *text, size_t len, bool (*wanted)(const char *name), Found *ret) {
    BIO *bio = BIO_new_mem_buf(text, (int)MIN(len, (size_t)INT_MAX));
    char *name, *header;
    unsigned char *data;
    long n;
    while (bio && !ret->der && PEM_read_bio(bio, &name, &header, &data, &n) == 1) {
        if (wanted(name)) {
            ret->der = data;
            ret->len = n;
            data = NULL;
        } else {
            buf_printf(&ret->skipped, "%s%s", ret->n_skipped++ ? " " : "", name);
            ret->certificate = is_certificate(name);
            ret->private_key = str_has_suffix(name, "PRIVATE KEY");
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, data ? (size_t)n : 0);
    }
    BIO_free_all(bio);
    ERR_clear_error();
}

static const char *missing_certificate(Arena *arena, const Found *found) {
    if (!found->n_skipped)
        return "tls: failed to find any PEM data in certificate input";
    if (found->n_skipped == 1 && found->private_key)
        return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs "
               "may have been switched";
    return arena_printf(arena,
                        "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks "
                        "of the following types: [%s]",
                        found->skipped.data);
}

static const char *missing_key(Arena *arena, const Found *found) {
    if (!found->n_skipped)
        return "tls: failed to find any PEM data in key input";
    if (found->n_skipped == 1 && found->certificate)
        return "tls: found a certificate rather than a key in the PEM for the private key";
    return arena_printf(arena,
                        "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping "
                        "PEM blocks of the following types: [%s]",
                        found->skipped.data);
}

static const char *compare(const Found *certificate, const Found *key) {
    const unsigned char *at = certificate->der;
    const char *error = NULL;
    X509 *parsed = d2i_X509(NULL, &at, certificate->len);
    EVP_PKEY *public = parsed ? X509_get_pubkey(parsed) : NULL, *private = NULL;
    at = key->der;
    if (!public)
        error = "x509: malformed certificate";
    else if (!(private = d2i_AutoPrivateKey(NULL, &at, key->len)))
        error = "tls: failed to parse private key";
    else if (EVP_PKEY_get_base_id(public) != EVP_PKEY_get_base_id(private))
        error = "tls: private key type does not match public key type";
    else if (EVP_PKEY_eq(public, private) != 1)
        error = "tls: private key does not match public key";
    EVP_PKEY_free(private);
    EVP_PKEY_free(public);
    X509_free(parsed);
    ERR_clear_error();
    return error;
}

const char *key_pair_error(Arena *arena, const void *certificate, size_t certificate_len, const void *key,
                           size_t key_len) {
    _cleanup_found_ Found first = FOUND_INIT, second = FOUND_INIT;
    find(certificate, certificate_len, is_certificate, &first);
    if (!first.der)
        return missing_certificate(arena, &first);
    find(key, key_len, is_private_key, &second);
    if (!second.der)
        return missing_key(arena, &second);
    return compare(&first, &second);
}
