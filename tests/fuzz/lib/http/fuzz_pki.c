/* Certificate requests and certificates: the first byte says whether the rest is PEM of one of them as it stands, or
 * the DER of a request, which is signed here, as the signature would keep everything else away from the parser. */
#include "base/str.h"
#include "http/pki.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PkiCa *ca_of_this_run(void) {
    static PkiCa *ca;
    if (ca)
        return ca;
    char dir[] = "/tmp/lighter-fuzz-XXXXXX";
    if (!mkdtemp(dir))
        abort();
    _cleanup_free_ char *cert = xasprintf("%s/ca.crt", dir), *key = xasprintf("%s/ca.key", dir);
    if (pki_ca_ensure(cert, key, "fuzz", &ca) < 0 || unlink(cert) < 0 || unlink(key) < 0 || rmdir(dir) < 0)
        abort();
    return ca;
}

static void check_request(const char *pem, size_t n) {
    static const char *const usages[] = {"digital signature", "client auth", NULL};
    PkiRequest request;
    _cleanup_free_ char *cert = NULL;
    if (pki_request_parse(pem, n, &request) == 0)
        pki_request_done(&request);
    (void)pki_request_sign(ca_of_this_run(), pem, n, usages, 3600, &cert);
}

static void check_certificate(const uint8_t *data, size_t size) {
    char path[64];
    int64_t end;
    int fd = memfd_create("certificate", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)pki_cert_not_after(path, &end);
    close(fd);
}

static void check_der(const uint8_t *data, size_t size) {
    static EVP_PKEY *key;
    if (!key && !(key = EVP_EC_gen("P-256")))
        abort();
    const uint8_t *p = data;
    X509_REQ *request = d2i_X509_REQ(NULL, &p, (long)size);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    if (request && X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, EVP_sha256()) > 0 &&
        PEM_write_bio_X509_REQ(bio, request) == 1) {
        long n = BIO_get_mem_data(bio, &pem);
        check_request(pem, (size_t)n);
    }
    BIO_free(bio);
    X509_REQ_free(request);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    if (data[0] & 1)
        check_der(data + 1, size - 1);
    else {
        check_request((const char *)data + 1, size - 1);
        check_certificate(data + 1, size - 1);
    }
    return 0;
}
