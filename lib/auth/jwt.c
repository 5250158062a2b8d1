#include "auth/jwt.h"
#include "api/json.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* Less than fs_read_file asks for at once, so that it does not move what it has read: all of it can be wiped. */
#define KEY_FILE_MAX (32 * 1024)
#define NUMBER_MAX 66 /* bytes of a coordinate, or of half a signature, of P-521 */

typedef struct Algorithm { /* RFC 7518, section 3.1 */
    const char *name;
    const char *group, *curve; /* as OpenSSL and as RFC 7518 name it; NULL: RSA */
    size_t number;             /* bytes of a coordinate */
    const EVP_MD *(*digest)(void);
} Algorithm;

static const Algorithm algorithms[] = {
    /* sorted by name */
    {"ES256", "prime256v1", "P-256", 32, EVP_sha256},
    {"ES384", "secp384r1", "P-384", 48, EVP_sha384},
    {"ES512", "secp521r1", "P-521", NUMBER_MAX, EVP_sha512},
    {"RS256", NULL, NULL, 0, EVP_sha256},
};

struct JwtKey {
    EVP_PKEY *pkey;
    const Algorithm *algorithm;
    bool is_private;
    char *id;
};

DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free)
DEFINE_CLEANUP(BIO, BIO_free_all)
DEFINE_CLEANUP(BIGNUM, BN_free)
DEFINE_CLEANUP(ECDSA_SIG, ECDSA_SIG_free)

void jwt_key_free(JwtKey *key) {
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key->id);
    free(key);
}

const char *jwt_key_id(const JwtKey *key) {
    return key->id;
}

static const Algorithm *algorithm_of(const EVP_PKEY *pkey) {
    char group[64] = "";
    size_t n;
    bool rsa = EVP_PKEY_is_a(pkey, "RSA");
    int bits = EVP_PKEY_get_bits(pkey);
    if (rsa && (bits < JWT_RSA_BITS_MIN || bits > JWT_RSA_BITS_MAX))
        return NULL;
    if (!rsa && (!EVP_PKEY_is_a(pkey, "EC") || !EVP_PKEY_get_group_name(pkey, group, sizeof group, &n)))
        return NULL;
    for (size_t i = 0; i < ELEMENTSOF(algorithms); i++)
        if (streq_null(algorithms[i].group, rsa ? NULL : group))
            return &algorithms[i];
    return NULL;
}

static char *key_id(EVP_PKEY *pkey) {
    unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int len = i2d_PUBKEY(pkey, &der);
    if (len <= 0 || !EVP_Digest(der, (size_t)len, digest, &n, EVP_sha256(), NULL)) {
        OPENSSL_free(der);
        return NULL;
    }
    OPENSSL_free(der);
    Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64url_encode(&text, digest, n);
    return buf_take(&text, NULL);
}

/* Takes pkey. */
static int key_new(EVP_PKEY *pkey, bool is_private, JwtKey **ret) {
    const Algorithm *algorithm = algorithm_of(pkey);
    if (algorithm && algorithm->curve) /* a file may have the point compressed; ids are of the whole one */
        EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
    char *id = algorithm ? key_id(pkey) : NULL;
    if (!id) {
        EVP_PKEY_free(pkey);
        return -EBADMSG;
    }
    JwtKey *key = NEW0(JwtKey);
    *key = (JwtKey){.pkey = pkey, .algorithm = algorithm, .is_private = is_private, .id = id};
    *ret = key;
    return 0;
}

bool jwt_key_signs(const JwtKey *key) {
    return key->is_private;
}

static EVP_PKEY *public_half(EVP_PKEY *pkey) {
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(pkey, &der);
    const unsigned char *p = der;
    EVP_PKEY *public = n > 0 ? d2i_PUBKEY(NULL, &p, n) : NULL;
    OPENSSL_free(der);
    return public;
}

JwtKey *jwt_key_public(const JwtKey *key) {
    JwtKey *public = NEW0(JwtKey);
    *public = (JwtKey){.pkey = public_half(key->pkey), .algorithm = key->algorithm, .id = xstrdup(key->id)};
    return public;
}

/* What a block of PEM holds; NULL: no key. The label does not say: "BEGIN EC PRIVATE KEY" and others are one. */
static EVP_PKEY *key_of_block(const unsigned char *der, long n, bool *ret_private) {
    const unsigned char *p = der;
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, n);
    *ret_private = pkey != NULL;
    if (!pkey)
        pkey = d2i_PUBKEY(NULL, (p = der, &p), n);
    X509 *cert = pkey ? NULL : d2i_X509(NULL, (p = der, &p), n);
    if (cert)
        pkey = X509_get_pubkey(cert);
    X509_free(cert);
    return pkey;
}

/* The next block of PEM, which wipe_block frees. False: there are no more. */
static bool read_block(BIO *bio, unsigned char **ret, long *ret_n) {
    while (BIO_ctrl_pending(bio) > 0) {
        char *label = NULL, *headers = NULL;
        ERR_clear_error();
        int good = PEM_read_bio_ex(bio, &label, &headers, ret, ret_n, PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE);
        OPENSSL_secure_free(label);
        OPENSSL_secure_free(headers);
        if (good)
            return true;
    }
    return false;
}

static void wipe_block(unsigned char *der, long n) {
    OPENSSL_secure_clear_free(der, (size_t)n);
}

/* Its keys in order; what no algorithm is for is left out. */
static int read_keys(const char *path, JwtKeys *keys) {
    _cleanup_(wipe_freep) char *pem = NULL;
    size_t len;
    int r = fs_read_file(path, KEY_FILE_MAX, &pem, &len);
    if (r < 0)
        return r;
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem, (int)len);
    unsigned char *der;
    long n;
    while (bio && read_block(bio, &der, &n)) {
        bool is_private;
        JwtKey *key;
        EVP_PKEY *pkey = key_of_block(der, n, &is_private);
        if (pkey && key_new(pkey, is_private, &key) == 0)
            jwt_keys_add(keys, key);
        wipe_block(der, n);
    }
    ERR_clear_error();
    return keys->n ? 0 : -EBADMSG;
}

void jwt_keys_add(JwtKeys *keys, JwtKey *key) {
    keys->items = xreallocn(keys->items, keys->n + 1, sizeof *keys->items);
    keys->items[keys->n++] = key;
}

void jwt_keys_done(JwtKeys *keys) {
    for (size_t i = 0; i < keys->n; i++)
        jwt_key_free(keys->items[i]);
    free(keys->items);
    *keys = (JwtKeys){0};
}

int jwt_keys_load(const char *path, JwtKeys *keys) {
    _cleanup_(jwt_keys_done) JwtKeys read = {0};
    int r = read_keys(path, &read);
    for (size_t i = 0; r == 0 && i < read.n; i++)
        jwt_keys_add(keys, jwt_key_public(read.items[i]));
    return r;
}

int jwt_key_load(const char *path, JwtKey **ret) {
    _cleanup_(jwt_keys_done) JwtKeys read = {0};
    int r = read_keys(path, &read);
    if (r < 0)
        return r;
    size_t i = 0;
    while (i < read.n && !read.items[i]->is_private)
        i++;
    *ret = TAKE_PTR(read.items[i < read.n ? i : 0]);
    return 0;
}

static int write_key(const char *path, EVP_PKEY *pkey) {
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_secmem());
    char *pem;
    if (!bio || !PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL))
        return -EIO;
    long len = BIO_get_mem_data(bio, &pem);
    return fs_write_atomic(path, pem, (size_t)len, 0600);
}

int jwt_key_load_or_make(const char *path, JwtKey **ret) {
    int r = jwt_key_load(path, ret);
    if (r != -ENOENT)
        return r;
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = EVP_EC_gen("P-256");
    if (!pkey)
        return -EIO;
    r = write_key(path, pkey);
    return r < 0 ? r : key_new(TAKE_PTR(pkey), true, ret);
}

/* `width`: bytes, with zeros in front; 0: as many as the number has. */
static const char *base64url_number(Arena *arena, EVP_PKEY *pkey, const char *parameter, size_t width) {
    _cleanup_(BN_freep) BIGNUM *number = NULL;
    if (!EVP_PKEY_get_bn_param(pkey, parameter, &number))
        return "";
    int n = width ? (int)width : BN_num_bytes(number);
    unsigned char *bytes = arena_alloc(arena, (size_t)n);
    if (BN_bn2binpad(number, bytes, n) < 0)
        return "";
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64url_encode(&text, bytes, (size_t)n);
    return arena_strndup(arena, text.data, text.len);
}

Value *jwt_key_set(Arena *arena, JwtKey *const *keys, size_t n) {
    Value *set = value_object(arena), *list = value_array(arena);
    for (size_t i = 0; i < n; i++) {
        const Algorithm *algorithm = keys[i]->algorithm;
        EVP_PKEY *pkey = keys[i]->pkey;
        Value *key = value_object(arena);
        value_set_str(arena, key, "use", "sig");
        value_set_str(arena, key, "kty", algorithm->curve ? "EC" : "RSA");
        value_set_str(arena, key, "kid", keys[i]->id);
        value_set_str(arena, key, "crv", algorithm->curve);
        value_set_str(arena, key, "alg", algorithm->name);
        if (algorithm->curve) {
            value_set_str(arena, key, "x", base64url_number(arena, pkey, OSSL_PKEY_PARAM_EC_PUB_X, algorithm->number));
            value_set_str(arena, key, "y", base64url_number(arena, pkey, OSSL_PKEY_PARAM_EC_PUB_Y, algorithm->number));
        } else {
            value_set_str(arena, key, "n", base64url_number(arena, pkey, OSSL_PKEY_PARAM_RSA_N, 0));
            value_set_str(arena, key, "e", base64url_number(arena, pkey, OSSL_PKEY_PARAM_RSA_E, 0));
        }
        value_append(arena, list, key);
    }
    value_set(arena, set, "keys", list);
    return set;
}

Value *jwt_key_algorithms(Arena *arena, JwtKey *const *keys, size_t n) {
    Value *list = value_array(arena);
    for (size_t a = 0; a < ELEMENTSOF(algorithms); a++)
        for (size_t i = 0; i < n; i++)
            if (keys[i]->algorithm == &algorithms[a]) {
                value_append(arena, list, value_string(arena, algorithms[a].name));
                break;
            }
    return list;
}

static void write_part(Buf *out, const Value *v) {
    _cleanup_buf_ Buf json = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&json, v);
    base64url_encode(out, json.data, json.len);
}

/* JWS has the two numbers of an ECDSA signature side by side (RFC 7518, section 3.4), OpenSSL as DER. In place. */
static int signature_from_der(const Algorithm *algorithm, unsigned char *signature, size_t *n) {
    const unsigned char *p = signature;
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &p, (long)*n);
    int width = (int)algorithm->number;
    if (!numbers || BN_bn2binpad(ECDSA_SIG_get0_r(numbers), signature, width) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(numbers), signature + width, width) < 0)
        return -EIO;
    *n = 2 * algorithm->number;
    return 0;
}

/* *ret is OpenSSL's: OPENSSL_free. */
static int signature_to_der(const Algorithm *algorithm, const unsigned char *signature, size_t n, unsigned char **ret) {
    int width = (int)algorithm->number;
    if (n != 2 * algorithm->number)
        return -EKEYREJECTED;
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, width, NULL), *s = BN_bin2bn(signature + width, width, NULL);
    if (!numbers || !r || !s || ECDSA_SIG_set0(numbers, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return -ENOMEM;
    }
    *ret = NULL;
    return i2d_ECDSA_SIG(numbers, ret);
}

static int sign_bytes(const JwtKey *key, Buf *token) {
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[JWT_RSA_BITS_MAX / 8];
    _Static_assert(sizeof signature >= 2 * NUMBER_MAX, "P-521");
    size_t n = sizeof(signature);
    if (!context || EVP_DigestSignInit(context, NULL, key->algorithm->digest(), NULL, key->pkey) != 1 ||
        (size_t)EVP_PKEY_get_size(key->pkey) > n ||
        EVP_DigestSign(context, signature, &n, (unsigned char *)token->data, token->len) != 1 ||
        (key->algorithm->curve && signature_from_der(key->algorithm, signature, &n) < 0))
        return -EIO;
    buf_putc(token, '.');
    base64url_encode(token, signature, n);
    return 0;
}

int jwt_sign(const JwtKey *key, const Value *claims, char **ret) {
    if (!key->is_private)
        return -EINVAL;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *header = value_object(arena);
    value_set_str(arena, header, "alg", key->algorithm->name);
    value_set_str(arena, header, "kid", key->id);
    _cleanup_buf_ Buf token = BUF_INIT(JWT_MAX);
    write_part(&token, header);
    buf_putc(&token, '.');
    write_part(&token, claims);
    int r = token.failed ? -EFBIG : sign_bytes(key, &token);
    if (r < 0 || token.failed)
        return r < 0 ? r : -EFBIG;
    *ret = buf_take(&token, NULL);
    return 0;
}

typedef struct Parts { /* of header.claims.signature */
    Value *header, *claims;
    uint8_t *signature; /* owned */
    size_t signature_len, signed_len;
} Parts;

static void parts_done(Parts *parts) {
    free(parts->signature);
}

static int parse_part(Arena *arena, const char *text, size_t n, Value **ret) {
    _cleanup_free_ uint8_t *json = NULL;
    size_t len;
    Value *v;
    if (base64url_decode(text, n, &json, &len) < 0 || json_parse(arena, (char *)json, len, &v, NULL, NULL) < 0 ||
        !value_is(v, VALUE_OBJECT))
        return -EBADMSG;
    *ret = v;
    return 0;
}

static int parse(const char *token, Arena *arena, Parts *ret) {
    if (strnlen(token, JWT_MAX + 1) > JWT_MAX)
        return -EBADMSG;
    const char *claims = strchr(token, '.');
    const char *signature = claims ? strchr(claims + 1, '.') : NULL;
    if (!signature || strchr(signature + 1, '.'))
        return -EBADMSG;
    Parts parts = {.signed_len = (size_t)(signature - token)};
    int r = parse_part(arena, token, (size_t)(claims - token), &parts.header);
    if (r == 0)
        r = parse_part(arena, claims + 1, (size_t)(signature - claims - 1), &parts.claims);
    if (r == 0 && base64url_decode(signature + 1, strlen(signature + 1), &parts.signature, &parts.signature_len) < 0)
        r = -EBADMSG;
    if (r == 0)
        *ret = parts;
    return r;
}

static bool is_signed_by(const JwtKey *key, const char *token, const Parts *parts) {
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    const unsigned char *signature = parts->signature;
    size_t n = parts->signature_len;
    if (key->algorithm->curve) {
        int r = signature_to_der(key->algorithm, parts->signature, parts->signature_len, &der);
        if (r <= 0)
            return false;
        signature = der;
        n = (size_t)r;
    }
    bool good = context && EVP_DigestVerifyInit(context, NULL, key->algorithm->digest(), NULL, key->pkey) == 1 &&
                EVP_DigestVerify(context, signature, n, (const unsigned char *)token, parts->signed_len) == 1;
    OPENSSL_free(der);
    return good;
}

int jwt_verify(JwtKey *const *keys, size_t n, const char *token, Arena *arena, Value **ret_claims) {
    _cleanup_(parts_done) Parts parts = {0};
    int r = parse(token, arena, &parts);
    if (r < 0)
        return r;
    if (value_get(parts.header, "crit"))
        return -EKEYREJECTED;
    const char *id = value_get_str(parts.header, "kid"), *algorithm = value_get_str(parts.header, "alg");
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (!str_empty(id) && !streq(id, keys[i]->id))
            continue;
        found = true;
        if (!streq_null(algorithm, keys[i]->algorithm->name)) /* the key's to choose, never the token's */
            continue;
        if (is_signed_by(keys[i], token, &parts)) {
            *ret_claims = parts.claims;
            return 0;
        }
    }
    return found ? -EKEYREJECTED : -ENOKEY;
}

Value *jwt_claims_unverified(const char *token, Arena *arena) {
    _cleanup_(parts_done) Parts parts = {0};
    return parse(token, arena, &parts) == 0 ? parts.claims : NULL;
}

static void set_reference(Arena *arena, Value *owner, const char *member, const char *name, const char *uid) {
    if (!name)
        return;
    Value *ref = value_object(arena);
    value_set_str(arena, ref, "name", name);
    value_set_str(arena, ref, "uid", uid);
    value_set(arena, owner, member, ref);
}

Value *service_account_claims(Arena *arena, const ServiceAccountToken *token) {
    Value *claims = value_object(arena), *audiences = value_array(arena), *private = value_object(arena);
    char id[UUID_LEN + 1];
    for (const char *const *audience = token->audiences; *audience; audience++)
        value_append(arena, audiences, value_string(arena, *audience));
    value_set(arena, claims, "aud", audiences);
    value_set_int(arena, claims, "exp", token->now_seconds + token->expiration_seconds);
    value_set_int(arena, claims, "iat", token->now_seconds);
    value_set_str(arena, claims, "iss", token->issuer);
    value_set_str(arena, claims, "jti", random_uuid(id));
    value_set_str(arena, private, "namespace", token->ns);
    set_reference(arena, private, "node", token->node_name, token->node_uid);
    set_reference(arena, private, "pod", token->pod_name, token->pod_uid);
    set_reference(arena, private, "secret", token->secret_name, token->secret_uid);
    set_reference(arena, private, "serviceaccount", token->name, token->uid);
    if (token->warn_after_seconds)
        value_set_int(arena, private, "warnafter", token->now_seconds + token->warn_after_seconds);
    value_set(arena, claims, "kubernetes.io", private);
    value_set_int(arena, claims, "nbf", token->now_seconds);
    value_set(arena, claims, "sub", value_printf(arena, "system:serviceaccount:%s:%s", token->ns, token->name));
    return claims;
}

Value *legacy_token_claims(Arena *arena, const char *ns, const char *account, const char *account_uid,
                           const char *secret) {
    Value *claims = value_object(arena);
    value_set_str(arena, claims, "iss", LEGACY_TOKEN_ISSUER);
    value_set_str(arena, claims, LEGACY_CLAIM_NAMESPACE, ns);
    value_set_str(arena, claims, LEGACY_CLAIM_SECRET, secret);
    value_set_str(arena, claims, LEGACY_CLAIM_ACCOUNT, account);
    value_set_str(arena, claims, LEGACY_CLAIM_ACCOUNT_UID, account_uid);
    value_set(arena, claims, "sub", value_printf(arena, "system:serviceaccount:%s:%s", ns, account));
    return claims;
}
