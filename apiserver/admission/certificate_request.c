#include "apiserver/admission/certificate_request.h"
#include "base/str.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#define REQUEST_MAX 65536 /* bytes of PEM */

static X509_REQ *parse(const Value *csr) {
    const char *text = value_get_str(value_get(csr, "spec"), "request");
    uint8_t *pem = NULL;
    size_t n = 0;
    X509_REQ *request = NULL;
    if (!text || strlen(text) > REQUEST_MAX || base64_decode(text, strlen(text), &pem, &n) < 0)
        return NULL;
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    if (bio && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
        const unsigned char *p = data;
        if (streq(name, "CERTIFICATE REQUEST"))
            request = d2i_X509_REQ(NULL, &p, len);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    BIO_free(bio);
    free(pem);
    return request;
}

static const char *entry_text(Arena *arena, const X509_NAME *name, int at) {
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    const char *text = n >= 0 ? arena_strndup(arena, (const char *)utf8, (size_t)n) : "";
    OPENSSL_free(utf8);
    return text;
}

const char *certificate_request_subject(Arena *arena, const Value *csr, const char ***ret_organizations,
                                        const char **ret_name) {
    X509_REQ *request = parse(csr);
    if (!request)
        return "PEM block type must be CERTIFICATE REQUEST";
    const X509_NAME *subject = X509_REQ_get_subject_name(request);
    const char **organizations =
        arena_alloc0(arena, ((size_t)MAX(X509_NAME_entry_count(subject), 0) + 1) * sizeof *organizations);
    size_t n = 0;
    *ret_name = "";
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_organizationName, at)) >= 0;)
        organizations[n++] = entry_text(arena, subject, at);
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
        *ret_name = entry_text(arena, subject, at);
    *ret_organizations = organizations;
    X509_REQ_free(request);
    return NULL;
}

bool certificate_signer_allows(const AdmissionRequest *request, const char *verb, const char *signer) {
    AdmissionQuestion question = {
        .user = request->request->user,
        .verb = verb,
        .group = "certificates.k8s.io",
        .version = "*",
        .resource = "signers",
        .name = signer,
    };
    if (admission_allows(request, &question))
        return true;
    question.name = arena_printf(request->strategy->arena, "%.*s/*", (int)strcspn(signer, "/"), signer);
    return admission_allows(request, &question);
}
