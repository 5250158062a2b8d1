#include "kubelet/unpack/digest.h"

#include <openssl/evp.h>
#include <stdio.h>

struct Digest {
    EVP_MD_CTX *context;
};

Digest *digest_new(void) {
    Digest *d = NEW0(Digest);
    d->context = EVP_MD_CTX_new();
    if (!d->context || EVP_DigestInit_ex(d->context, EVP_sha256(), NULL) != 1)
        abort(); /* only without memory */
    return d;
}

void digest_free(Digest *d) {
    if (!d)
        return;
    EVP_MD_CTX_free(d->context);
    free(d);
}

void digest_update(Digest *d, const void *p, size_t n) {
    EVP_DigestUpdate(d->context, p, n);
}

void digest_text(Digest *d, char out[DIGEST_TEXT + 1]) {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(d->context, raw, &n);
    memcpy(out, "sha256:", 8);
    for (unsigned i = 0; i < 32; i++)
        snprintf(out + 7 + 2 * i, 3, "%02x", raw[i]);
}

void digest_of(const void *p, size_t n, char out[DIGEST_TEXT + 1]) {
    _cleanup_(digest_freep) Digest *d = digest_new();
    digest_update(d, p, n);
    digest_text(d, out);
}
