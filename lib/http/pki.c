#define LOG_COMPONENT "pki"
#include "http/pki.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "http/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#define DAY_SECONDS 86400
#define SERIAL_BYTES 16
#define KEY_MODE 0600
#define CERT_MODE 0644

struct PkiCa {
    X509 *cert;
    EVP_PKEY *key;
    char *cert_pem;
};

#define DEFINE_OPENSSL_CLEANUP(T, function)                                                                            \
    static inline void function##_p(T **p) {                                                                           \
        function(*p);                                                                                                  \
    }
DEFINE_OPENSSL_CLEANUP(X509, X509_free)
DEFINE_OPENSSL_CLEANUP(X509_REQ, X509_REQ_free)
DEFINE_OPENSSL_CLEANUP(EVP_PKEY, EVP_PKEY_free)
DEFINE_OPENSSL_CLEANUP(BIO, BIO_free_all)
DEFINE_OPENSSL_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free)
#define _x509_ _cleanup_(X509_free_p)
#define _req_ _cleanup_(X509_REQ_free_p)
#define _key_ _cleanup_(EVP_PKEY_free_p)
#define _bio_ _cleanup_(BIO_free_all_p)
#define _names_ _cleanup_(GENERAL_NAMES_free_p)

static int openssl_failed(const char *what) {
    char reason[512];
    log_error("%s: %s", what, tls_errors(reason, sizeof reason));
    return -EINVAL;
}

static char *bio_text(BIO *bio) {
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return xstrndup(n > 0 ? p : "", n > 0 ? (size_t)n : 0);
}

static char *cert_to_pem(X509 *cert) {
    _bio_ BIO *bio = BIO_new(BIO_s_mem());
    return bio && PEM_write_bio_X509(bio, cert) == 1 ? bio_text(bio) : NULL;
}

static char *key_to_pem(EVP_PKEY *key) {
    _bio_ BIO *bio = BIO_new(BIO_s_secmem());
    /* "EC PRIVATE KEY", as client-go writes its keys: fabric8 takes a "PRIVATE KEY" for RSA. */
    return bio && PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) == 1 ? bio_text(bio) : NULL;
}

static int pem_read(const char *path, char **ret, BIO **ret_bio) {
    size_t n = 0;
    int r = fs_read_file(path, PKI_FILE_MAX, ret, &n);
    if (r < 0)
        return r;
    *ret_bio = BIO_new_mem_buf(*ret, (int)n);
    return *ret_bio ? 0 : -ENOMEM;
}

static int cert_load(const char *path, X509 **ret) {
    _cleanup_free_ char *text = NULL;
    _bio_ BIO *bio = NULL;
    int r = pem_read(path, &text, &bio);
    if (r < 0)
        return r;
    *ret = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    return *ret ? 0 : openssl_failed(path);
}

/* No passphrase is ever asked for on a terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *userdata) {
    (void)buf, (void)size, (void)rwflag, (void)userdata;
    return -1;
}

static int key_load(const char *path, EVP_PKEY **ret) {
    _cleanup_(wipe_freep) char *text = NULL;
    _bio_ BIO *bio = NULL;
    int r = pem_read(path, &text, &bio);
    if (r < 0)
        return r;
    *ret = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    return *ret ? 0 : openssl_failed(path);
}

static int key_store(const char *path, EVP_PKEY *key) {
    _cleanup_(wipe_freep) char *text = key_to_pem(key);
    if (!text)
        return openssl_failed(path);
    int r = fs_write_atomic(path, text, strlen(text), KEY_MODE);
    if (r < 0)
        log_error("cannot write %s: %s", path, strerror(-r));
    return r;
}

static int cert_store(const char *path, X509 *cert) {
    _cleanup_free_ char *text = cert_to_pem(cert);
    if (!text)
        return openssl_failed(path);
    int r = fs_write_atomic(path, text, strlen(text), CERT_MODE);
    if (r < 0)
        log_error("cannot write %s: %s", path, strerror(-r));
    return r;
}

/* Loads the key, or makes one and stores it: a crash after that leaves a key whose certificate is issued next time. */
static int key_ensure(const char *path, EVP_PKEY **ret, bool *ret_made) {
    int r = key_load(path, ret);
    if (r != -ENOENT)
        return r;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        return openssl_failed("generating a key");
    r = key_store(path, key);
    if (r < 0) {
        EVP_PKEY_free(key);
        return r;
    }
    *ret = key;
    *ret_made = true;
    return 0;
}

static int set_random_serial(X509 *cert) {
    unsigned char bytes[SERIAL_BYTES];
    random_bytes(bytes, sizeof bytes);
    bytes[0] &= 0x7f; /* positive */
    bytes[0] |= 0x40; /* and never short */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok ? 0 : -ENOMEM;
}

static int name_add(X509_NAME *name, const char *field, const char *value) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1
               ? 0
               : -EINVAL;
}

static int name_fill(X509_NAME *name, const char *common_name, const char *const *organizations) {
    int r = 0;
    for (size_t i = 0; organizations && organizations[i] && r == 0; i++)
        r = name_add(name, "O", organizations[i]);
    if (r == 0 && !str_empty(common_name))
        r = name_add(name, "CN", common_name);
    return r;
}

static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok ? 0 : -EINVAL;
}

static int names_add(GENERAL_NAMES *names, int type, const void *data, size_t n) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!name || !value || ASN1_STRING_set(value, data, (int)n) != 1 || sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return -ENOMEM;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return 0;
}

static int names_of_spec(const PkiCertSpec *spec, GENERAL_NAMES *names) {
    int r = 0;
    for (size_t i = 0; spec->dns_names && spec->dns_names[i] && r == 0; i++)
        r = names_add(names, GEN_DNS, spec->dns_names[i], strlen(spec->dns_names[i]));
    for (size_t i = 0; spec->ip_addresses && spec->ip_addresses[i] && r == 0; i++) {
        unsigned char address[16];
        if (inet_pton(AF_INET, spec->ip_addresses[i], address) == 1)
            r = names_add(names, GEN_IPADD, address, 4);
        else if (inet_pton(AF_INET6, spec->ip_addresses[i], address) == 1)
            r = names_add(names, GEN_IPADD, address, 16);
        else
            r = -EINVAL;
    }
    return r;
}

static X509 *cert_new(EVP_PKEY *public_key, uint64_t lifetime_seconds, const X509 *ca) {
    _x509_ X509 *cert = X509_new();
    if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || set_random_serial(cert) < 0 ||
        X509_set_pubkey(cert, public_key) != 1)
        return NULL;
    time_t now = time(NULL), end = now + (time_t)MIN(lifetime_seconds, (uint64_t)100 * 365 * DAY_SECONDS);
    if (!X509_time_adj_ex(X509_getm_notBefore(cert), 0, -PKI_BACKDATE_SECONDS, &now) ||
        !X509_time_adj_ex(X509_getm_notAfter(cert), 0, 0, &end))
        return NULL;
    if (ca && X509_cmp_time(X509_get0_notAfter(ca), &end) < 0)
        X509_set1_notAfter(cert, X509_get0_notAfter(ca));
    return TAKE_PTR(cert);
}

static int ca_make(EVP_PKEY *key, const char *common_name, X509 **ret) {
    _x509_ X509 *cert = cert_new(key, (uint64_t)PKI_CA_DAYS * DAY_SECONDS, NULL);
    if (!cert)
        return openssl_failed("making a CA certificate");
    X509_NAME *name = X509_get_subject_name(cert);
    if (name_fill(name, common_name, NULL) < 0 || X509_set_issuer_name(cert, name) != 1 ||
        add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE") < 0 ||
        add_ext(cert, cert, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign") < 0 ||
        add_ext(cert, cert, NID_subject_key_identifier, "hash") < 0 || X509_sign(cert, key, EVP_sha256()) <= 0)
        return openssl_failed("making a CA certificate");
    *ret = TAKE_PTR(cert);
    return 0;
}

int pki_ca_ensure(const char *cert_path, const char *key_path, const char *common_name, PkiCa **ret) {
    bool made = false;
    _cleanup_(pki_ca_freep) PkiCa *ca = NEW0(PkiCa);
    int r = key_ensure(key_path, &ca->key, &made);
    if (r < 0)
        return r;
    r = cert_load(cert_path, &ca->cert);
    if (r == -ENOENT) {
        r = ca_make(ca->key, common_name, &ca->cert);
        if (r == 0)
            r = cert_store(cert_path, ca->cert);
    }
    if (r < 0)
        return r;
    if (X509_check_private_key(ca->cert, ca->key) != 1) {
        log_error("%s is not the certificate of %s", cert_path, key_path);
        ERR_clear_error();
        return -EINVAL;
    }
    if (X509_cmp_current_time(X509_get0_notAfter(ca->cert)) < 0) {
        log_error("%s has expired", cert_path);
        return -EKEYEXPIRED;
    }
    ca->cert_pem = cert_to_pem(ca->cert);
    if (!ca->cert_pem)
        return openssl_failed(cert_path);
    *ret = TAKE_PTR(ca);
    return 0;
}

int pki_ca_load(const char *cert_path, const char *key_path, PkiCa **ret) {
    if (!fs_exists(cert_path) || !fs_exists(key_path))
        return -ENOENT;
    return pki_ca_ensure(cert_path, key_path, "", ret);
}

void pki_ca_free(PkiCa *ca) {
    if (!ca)
        return;
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    free(ca->cert_pem);
    free(ca);
}

const char *pki_ca_cert_pem(const PkiCa *ca) {
    return ca->cert_pem;
}

static int cert_finish(const PkiCa *ca, X509 *cert, const char *key_usage, const char *extended_usage,
                       GENERAL_NAMES *names) {
    if (X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) != 1 ||
        add_ext(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        (key_usage[0] && add_ext(cert, ca->cert, NID_key_usage, key_usage) < 0) ||
        (extended_usage[0] && add_ext(cert, ca->cert, NID_ext_key_usage, extended_usage) < 0) ||
        add_ext(cert, ca->cert, NID_authority_key_identifier, "keyid:always") < 0 ||
        (sk_GENERAL_NAME_num(names) > 0 &&
         X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1) ||
        X509_sign(cert, ca->key, EVP_sha256()) <= 0)
        return openssl_failed("issuing a certificate");
    return 0;
}

static int cert_make(const PkiCa *ca, const PkiCertSpec *spec, EVP_PKEY *key, X509 **ret) {
    _x509_ X509 *cert = cert_new(key, (uint64_t)(spec->days ? spec->days : PKI_CERT_DAYS) * DAY_SECONDS, ca->cert);
    _names_ GENERAL_NAMES *names = GENERAL_NAMES_new();
    if (!cert || !names)
        return openssl_failed("issuing a certificate");
    int r = names_of_spec(spec, names);
    if (r == 0)
        r = name_fill(X509_get_subject_name(cert), spec->common_name, spec->organizations);
    if (r < 0)
        return r;
    const char *usage = spec->server && spec->client ? "serverAuth,clientAuth"
                        : spec->server               ? "serverAuth"
                        : spec->client               ? "clientAuth"
                                                     : "";
    r = cert_finish(ca, cert, "critical,digitalSignature,keyEncipherment", usage, names);
    if (r == 0)
        *ret = TAKE_PTR(cert);
    return r;
}

static bool cert_has_names(X509 *cert, const PkiCertSpec *spec) {
    for (size_t i = 0; spec->dns_names && spec->dns_names[i]; i++) {
        /* The certificate may say "*.x"; what is asked for must be there as it is. */
        const char *name = spec->dns_names[i];
        bool wildcard = name[0] == '*';
        if (X509_check_host(cert, wildcard ? name + 1 : name, 0, wildcard ? X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS : 0,
                            NULL) != 1)
            return false;
    }
    for (size_t i = 0; spec->ip_addresses && spec->ip_addresses[i]; i++)
        if (X509_check_ip_asc(cert, spec->ip_addresses[i], 0) != 1)
            return false;
    return true;
}

static bool cert_is_good(const PkiCa *ca, X509 *cert, EVP_PKEY *key, const PkiCertSpec *spec) {
    time_t soon = time(NULL) + PKI_RENEW_DAYS * DAY_SECONDS;
    /* A lifetime that the CA itself cuts short cannot be made longer by renewing. */
    bool ends_soon = X509_cmp_time(X509_get0_notAfter(cert), &soon) < 0 &&
                     ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(ca->cert)) < 0;
    if (ends_soon || X509_check_private_key(cert, key) != 1 || X509_verify(cert, ca->key) != 1 ||
        X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(ca->cert)) != 0)
        return false;
    X509_NAME *wanted = X509_NAME_new();
    bool same = wanted && name_fill(wanted, spec->common_name, spec->organizations) == 0 &&
                X509_NAME_cmp(wanted, X509_get_subject_name(cert)) == 0;
    X509_NAME_free(wanted);
    uint32_t usage = X509_get_extended_key_usage(cert);
    return same && (!spec->server || (usage & XKU_SSL_SERVER)) && (!spec->client || (usage & XKU_SSL_CLIENT)) &&
           cert_has_names(cert, spec);
}

int pki_cert_ensure(const PkiCa *ca, const char *cert_path, const char *key_path, const PkiCertSpec *spec,
                    bool *ret_changed) {
    _key_ EVP_PKEY *key = NULL;
    _x509_ X509 *cert = NULL;
    bool made = false;
    int r = key_ensure(key_path, &key, &made);
    if (r < 0)
        return r;
    r = cert_load(cert_path, &cert);
    bool good = r == 0 && cert_is_good(ca, cert, key, spec);
    ERR_clear_error();
    if (!good) {
        X509_free(TAKE_PTR(cert));
        r = cert_make(ca, spec, key, &cert);
        if (r == 0)
            r = cert_store(cert_path, cert);
        if (r < 0)
            return r;
    }
    if (ret_changed)
        *ret_changed = made || !good;
    return 0;
}

int pki_cert_issue(const PkiCa *ca, const PkiCertSpec *spec, char **ret_cert_pem, char **ret_key_pem) {
    _key_ EVP_PKEY *key = EVP_EC_gen("P-256");
    _x509_ X509 *cert = NULL;
    if (!key)
        return openssl_failed("generating a key");
    int r = cert_make(ca, spec, key, &cert);
    if (r < 0)
        return r;
    _cleanup_free_ char *cert_pem = cert_to_pem(cert);
    _cleanup_(wipe_freep) char *key_pem = key_to_pem(key);
    if (!cert_pem || !key_pem)
        return openssl_failed("issuing a certificate");
    *ret_cert_pem = TAKE_PTR(cert_pem);
    *ret_key_pem = TAKE_PTR(key_pem);
    return 0;
}

int pki_self_signed(char **ret_cert_pem, char **ret_key_pem) {
    static const char *const NAMES[] = {"localhost", NULL}, *const ADDRESSES[] = {"127.0.0.1", NULL};
    _cleanup_(pki_ca_freep) PkiCa *ca = NEW0(PkiCa);
    _cleanup_free_ char *cert_pem = NULL;
    long long now = time(NULL);
    _cleanup_free_ char *ca_name = xasprintf("localhost-ca@%lld", now), *name = xasprintf("localhost@%lld", now);
    const PkiCertSpec spec = {.common_name = name, .dns_names = NAMES, .ip_addresses = ADDRESSES, .server = true};
    ca->key = EVP_EC_gen("P-256");
    if (!ca->key)
        return openssl_failed("generating a key");
    int r = ca_make(ca->key, ca_name, &ca->cert);
    if (r == 0 && !(ca->cert_pem = cert_to_pem(ca->cert)))
        r = openssl_failed("making a CA certificate");
    if (r == 0)
        r = pki_cert_issue(ca, &spec, &cert_pem, ret_key_pem);
    if (r == 0)
        *ret_cert_pem = xasprintf("%s%s", cert_pem, ca->cert_pem);
    return r;
}

int pki_token_key_ensure(const char *key_path, const char *public_path) {
    _key_ EVP_PKEY *key = NULL;
    bool made = false;
    int r = key_ensure(key_path, &key, &made);
    if (r < 0)
        return r;
    if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC")) {
        log_error("%s is neither an RSA nor an ECDSA key", key_path);
        return -EINVAL;
    }
    _bio_ BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PUBKEY(bio, key) != 1)
        return openssl_failed(public_path);
    _cleanup_free_ char *text = bio_text(bio), *old = NULL;
    size_t n = 0;
    if (fs_read_file(public_path, PKI_FILE_MAX, &old, &n) == 0 && streq(old, text))
        return 0;
    return fs_write_atomic(public_path, text, strlen(text), CERT_MODE);
}

static int not_after(const X509 *cert, int64_t *ret_unix_ns) {
    struct tm tm = {0};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return -EINVAL;
    *ret_unix_ns = (int64_t)timegm(&tm) * (int64_t)NS_PER_SEC;
    return 0;
}

int pki_cert_not_after(const char *cert_path, int64_t *ret_unix_ns) {
    _x509_ X509 *cert = NULL;
    int r = cert_load(cert_path, &cert);
    return r < 0 ? r : not_after(cert, ret_unix_ns);
}

int pki_cert_text_not_after(const char *cert_pem, size_t n, int64_t *ret_unix_ns) {
    _bio_ BIO *bio = n <= PKI_FILE_MAX ? BIO_new_mem_buf(cert_pem, (int)n) : NULL;
    _x509_ X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    ERR_clear_error();
    return cert ? not_after(cert, ret_unix_ns) : -EINVAL;
}

/* Certificate requests of others. */

static int request_load(const char *csr_pem, size_t n, X509_REQ **ret) {
    _bio_ BIO *bio = n <= PKI_FILE_MAX ? BIO_new_mem_buf(csr_pem, (int)n) : NULL;
    _req_ X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
    int verified = key ? X509_REQ_verify(request, key) : 0;
    ERR_clear_error();
    if (verified != 1)
        return -EINVAL;
    *ret = TAKE_PTR(request);
    return 0;
}

static void list_add(char ***list, const char *s) {
    size_t n = 0;
    while (*list && (*list)[n])
        n++;
    *list = xreallocn(*list, n + 2, sizeof **list);
    (*list)[n] = xstrdup(s);
    (*list)[n + 1] = NULL;
}

static void list_free(char **list) {
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void pki_request_done(PkiRequest *request) {
    free(request->common_name);
    list_free(request->organizations);
    list_free(request->dns_names);
    list_free(request->ip_addresses);
    list_free(request->uris);
    list_free(request->email_addresses);
    *request = (PkiRequest){0};
}

static int request_read_subject(X509_REQ *csr, PkiRequest *request) {
    X509_NAME *subject = X509_REQ_get_subject_name(csr);
    for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        unsigned char *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
        bool good = n >= 0 && strlen((char *)text) == (size_t)n;
        if (good && nid == NID_commonName) {
            free(request->common_name);
            request->common_name = xstrdup((char *)text);
        } else if (good && nid == NID_organizationName)
            list_add(&request->organizations, (char *)text);
        OPENSSL_free(text);
        if (!good)
            return -EINVAL;
    }
    return 0;
}

static int request_read_name(const GENERAL_NAME *name, PkiRequest *request) {
    int type = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_IPADD && type != GEN_URI && type != GEN_EMAIL)
        return 0;
    const char *data = (const char *)ASN1_STRING_get0_data(value);
    int n = ASN1_STRING_length(value);
    if (type == GEN_IPADD) {
        char text[INET6_ADDRSTRLEN];
        if ((n != 4 && n != 16) || !inet_ntop(n == 4 ? AF_INET : AF_INET6, data, text, sizeof text))
            return -EINVAL;
        list_add(&request->ip_addresses, text);
        return 0;
    }
    _cleanup_free_ char *text = xstrndup(data, (size_t)n);
    if (strlen(text) != (size_t)n)
        return -EINVAL;
    list_add(type == GEN_DNS   ? &request->dns_names
             : type == GEN_URI ? &request->uris
                               : &request->email_addresses,
             text);
    return 0;
}

/* The alternative names asked for; NULL without any. */
static GENERAL_NAMES *request_names(X509_REQ *csr) {
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);
    GENERAL_NAMES *names = extensions ? X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL) : NULL;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    ERR_clear_error();
    return names;
}

int pki_request_parse(const char *csr_pem, size_t n, PkiRequest *ret) {
    _req_ X509_REQ *csr = NULL;
    int r = request_load(csr_pem, n, &csr);
    if (r < 0)
        return r;
    PkiRequest request = {0};
    _names_ GENERAL_NAMES *names = request_names(csr);
    r = request_read_subject(csr, &request);
    for (int i = 0; r == 0 && names && i < sk_GENERAL_NAME_num(names); i++)
        r = request_read_name(sk_GENERAL_NAME_value(names, i), &request);
    if (r < 0) {
        pki_request_done(&request);
        return r;
    }
    *ret = request;
    return 0;
}

typedef struct Usage {
    const char *name, *openssl;
    bool extended;
} Usage;

/* KeyUsage of k8s.io/api/certificates/v1. */
static const Usage usages_known[] = {
    {"signing", "digitalSignature", false},
    {"digital signature", "digitalSignature", false},
    {"content commitment", "nonRepudiation", false},
    {"key encipherment", "keyEncipherment", false},
    {"key agreement", "keyAgreement", false},
    {"data encipherment", "dataEncipherment", false},
    {"cert sign", "keyCertSign", false},
    {"crl sign", "cRLSign", false},
    {"encipher only", "encipherOnly", false},
    {"decipher only", "decipherOnly", false},
    {"any", "anyExtendedKeyUsage", true},
    {"server auth", "serverAuth", true},
    {"client auth", "clientAuth", true},
    {"code signing", "codeSigning", true},
    {"email protection", "emailProtection", true},
    {"s/mime", "emailProtection", true},
    {"ipsec end system", "ipsecEndSystem", true},
    {"ipsec tunnel", "ipsecTunnel", true},
    {"ipsec user", "ipsecUser", true},
    {"timestamping", "timeStamping", true},
    {"ocsp signing", "OCSPSigning", true},
    {"microsoft sgc", "msSGC", true},
    {"netscape sgc", "nsSGC", true},
};

static int usages_read(const char *const *usages, Buf *key_usage, Buf *extended) {
    for (size_t i = 0; usages && usages[i]; i++) {
        const Usage *known = NULL;
        for (size_t k = 0; k < ELEMENTSOF(usages_known) && !known; k++)
            if (streq(usages[i], usages_known[k].name))
                known = &usages_known[k];
        if (!known)
            return -EINVAL;
        Buf *out = known->extended ? extended : key_usage;
        if (out->len == 0 && !known->extended)
            buf_puts(out, "critical");
        buf_printf(out, "%s%s", out->len ? "," : "", known->openssl);
    }
    return key_usage->failed || extended->failed ? -EINVAL : 0;
}

int pki_request_sign(const PkiCa *ca, const char *csr_pem, size_t n, const char *const *usages,
                     uint64_t lifetime_seconds, char **ret_cert_pem) {
    _req_ X509_REQ *csr = NULL;
    _cleanup_buf_ Buf key_usage = BUF_INIT(4096);
    _cleanup_buf_ Buf extended = BUF_INIT(4096);
    int r = request_load(csr_pem, n, &csr);
    if (r == 0)
        r = usages_read(usages, &key_usage, &extended);
    if (r < 0)
        return r;
    _x509_ X509 *cert = cert_new(X509_REQ_get0_pubkey(csr), lifetime_seconds, ca->cert);
    _names_ GENERAL_NAMES *names = request_names(csr);
    if (!names)
        names = GENERAL_NAMES_new();
    if (!cert || !names || X509_set_subject_name(cert, X509_REQ_get_subject_name(csr)) != 1)
        r = openssl_failed("signing a certificate request");
    else
        r = cert_finish(ca, cert, key_usage.data ? key_usage.data : "", extended.data ? extended.data : "", names);
    if (r < 0)
        return r;
    char *pem = cert_to_pem(cert);
    if (!pem)
        return openssl_failed("signing a certificate request");
    *ret_cert_pem = pem;
    return 0;
}

static int request_add_names(X509_REQ *csr, GENERAL_NAMES *names) {
    if (sk_GENERAL_NAME_num(names) == 0)
        return 0;
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    X509_EXTENSION *ext = X509V3_EXT_i2d(NID_subject_alt_name, 0, names);
    bool ok = extensions && ext && sk_X509_EXTENSION_push(extensions, ext) > 0;
    if (!ok)
        X509_EXTENSION_free(ext);
    ok = ok && X509_REQ_add_extensions(csr, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return ok ? 0 : -EINVAL;
}

int pki_request_make(const PkiCertSpec *spec, char **ret_csr_pem, char **ret_key_pem) {
    _key_ EVP_PKEY *key = EVP_EC_gen("P-256");
    _req_ X509_REQ *csr = X509_REQ_new();
    _names_ GENERAL_NAMES *names = GENERAL_NAMES_new();
    _bio_ BIO *bio = BIO_new(BIO_s_mem());
    if (!key || !csr || !names || !bio)
        return openssl_failed("making a certificate request");
    int r = names_of_spec(spec, names);
    if (r == 0)
        r = name_fill(X509_REQ_get_subject_name(csr), spec->common_name, spec->organizations);
    if (r == 0)
        r = request_add_names(csr, names);
    if (r < 0)
        return r;
    if (X509_REQ_set_version(csr, X509_REQ_VERSION_1) != 1 || X509_REQ_set_pubkey(csr, key) != 1 ||
        X509_REQ_sign(csr, key, EVP_sha256()) <= 0 || PEM_write_bio_X509_REQ(bio, csr) != 1)
        return openssl_failed("making a certificate request");
    _cleanup_(wipe_freep) char *key_pem = key_to_pem(key);
    if (!key_pem)
        return openssl_failed("making a certificate request");
    *ret_csr_pem = bio_text(bio);
    *ret_key_pem = TAKE_PTR(key_pem);
    return 0;
}
