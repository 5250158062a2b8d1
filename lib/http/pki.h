/* Keys and certificates of a cluster, by OpenSSL: its own certificate authority (ECDSA P-256), server and client
 * certificates signed by it, the key pair that signs service account tokens, and certificate requests of
 * others.
 *
 * Files are PEM. Key files have mode 0600 and certificates 0644; each is written beside and renamed over, the key
 * before the certificate, so that a crash leaves either nothing or a key without its certificate (which is then issued
 * for that key). Every ensure function loads what is there and good, and makes or renews the rest: it may be called at
 * each start. Blocking (generates keys); any thread. Errors: negative errno, logged with the path. */
#pragma once

#include "base/buf.h"

#define PKI_CA_DAYS 3650         /* as kubeadm */
#define PKI_CERT_DAYS 365        /* as kubeadm */
#define PKI_RENEW_DAYS 30        /* a certificate that ends sooner is issued anew, by the ensure functions */
#define PKI_BACKDATE_SECONDS 300 /* for clocks that are behind, as the reference signers do */
#define PKI_FILE_MAX (256 * 1024)

typedef struct PkiCa PkiCa; /* immutable once made; any thread */

/* Loads or makes a self-signed CA with this common name. Does not replace a CA that is there, even an expired one
 * (-EKEYEXPIRED): everything hangs on it. */
int pki_ca_ensure(const char *cert_path, const char *key_path, const char *common_name, PkiCa **ret);
/* The same for a CA that has to be there: -ENOENT. */
int pki_ca_load(const char *cert_path, const char *key_path, PkiCa **ret);
void pki_ca_free(PkiCa *ca);
DEFINE_CLEANUP(PkiCa, pki_ca_free)
const char *pki_ca_cert_pem(const PkiCa *ca); /* borrowed */

typedef struct PkiCertSpec {
    const char *common_name;
    const char *const *organizations; /* NULL-terminated; NULL: none */
    const char *const *dns_names;     /* NULL-terminated; NULL: none */
    const char *const *ip_addresses;  /* NULL-terminated; NULL: none */
    bool server, client;              /* extended key usages */
    unsigned days;                    /* 0: PKI_CERT_DAYS */
} PkiCertSpec;

/* Loads, issues or renews. A certificate that is there is issued anew (with its old key) when it is about to expire, is
 * not of this CA, or has another subject, or lacks a name or usage of `spec`. *ret_changed (may be NULL): something was
 * written. */
int pki_cert_ensure(const PkiCa *ca, const char *cert_path, const char *key_path, const PkiCertSpec *spec,
                    bool *ret_changed);
/* The same without files: PEM texts, owned by the caller (wipe the key: wipe_freep). */
int pki_cert_issue(const PkiCa *ca, const PkiCertSpec *spec, char **ret_cert_pem, char **ret_key_pem);

/* For who is given no certificate: one of a server for localhost and 127.0.0.1, with that of the CA which signed it and
 * is forgotten (both in *ret_cert_pem). Texts as above. */
int pki_self_signed(char **ret_cert_pem, char **ret_key_pem);

/* A private key at key_path and its public half (SPKI) at public_path: ECDSA P-256, or the RSA or ECDSA key that is
 * there already. */
int pki_token_key_ensure(const char *key_path, const char *public_path);

/* What a certificate request asks for. Strings live in the struct; pki_request_done frees. */
typedef struct PkiRequest {
    char *common_name;
    char **organizations, **dns_names, **ip_addresses, **uris, **email_addresses; /* NULL-terminated */
} PkiRequest;
/* Parses and verifies the request's own signature. -EINVAL. */
int pki_request_parse(const char *csr_pem, size_t n, PkiRequest *ret);
void pki_request_done(PkiRequest *request);
/* Signs a request as asked: subject, alternative names and public key from the request, usages and lifetime from the
 * signer's decision. `usages` are the names of certificates.k8s.io/v1 ("digital signature", "key encipherment",
 * "server auth", "client auth", ...), NULL-terminated; -EINVAL for one it does not know. The lifetime is cut to the
 * CA's. */
int pki_request_sign(const PkiCa *ca, const char *csr_pem, size_t n, const char *const *usages,
                     uint64_t lifetime_seconds, char **ret_cert_pem);
/* Makes a request (ECDSA P-256): for a node that asks the server for its certificates. */
int pki_request_make(const PkiCertSpec *spec, char **ret_csr_pem, char **ret_key_pem);

/* When a PEM certificate file ends, in ns since 1970; -ENOENT, -EINVAL. */
int pki_cert_not_after(const char *cert_path, int64_t *ret_unix_ns);
int pki_cert_text_not_after(const char *cert_pem, size_t n, int64_t *ret_unix_ns); /* the same of a text; -EINVAL */
