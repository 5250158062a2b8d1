/* Service account tokens: JSON Web Tokens (RFC 7515, 7519), as the reference issues and checks them: signed with RS256
 * by an RSA key, with ES256, ES384 or ES512 (RFC 7518) by one on P-256, P-384 or P-521. Keys are immutable once loaded;
 * any thread. Key material and tokens are never logged. */
#pragma once

#include "api/value.h"

typedef struct JwtKey JwtKey;

#define JWT_MAX (16 * 1024)   /* bytes of a token that is looked at */
#define JWT_LEEWAY_SECONDS 60 /* clocks may differ by so much */
#define JWT_RSA_BITS_MIN 1024 /* Go refuses to sign or verify with less */
#define JWT_RSA_BITS_MAX 16384

/* The first private key of a PEM file (signs and verifies), or else its first public key (verifies). RSA of
 * JWT_RSA_BITS_MIN to JWT_RSA_BITS_MAX or ECDSA. -ENOENT and the like; -EBADMSG: there is none. */
int jwt_key_load(const char *path, JwtKey **ret);
/* The same, and makes a private key (ECDSA P-256, 0600) when there is no file. */
int jwt_key_load_or_make(const char *path, JwtKey **ret);
void jwt_key_free(JwtKey *key);
DEFINE_CLEANUP(JwtKey, jwt_key_free)
bool jwt_key_signs(const JwtKey *key); /* it is a private key */
/* The public half, which verifies what the key signs; owned by the caller. */
JwtKey *jwt_key_public(const JwtKey *key);

/* Keys that verify. Zero: none. */
typedef struct JwtKeys {
    JwtKey **items; /* public halves alone */
    size_t n;
} JwtKeys;
void jwt_keys_add(JwtKeys *keys, JwtKey *key); /* takes the key */
/* Adds the public key of every block of a PEM file that has one: private keys, public keys, certificates, RSA or ECDSA,
 * whatever the label says. Other blocks are passed over, as in the reference (client-go/util/keyutil). -ENOENT and the
 * like; -EBADMSG: there is no key in it. */
int jwt_keys_load(const char *path, JwtKeys *keys);
void jwt_keys_done(JwtKeys *keys);
/* base64url of the SHA-256 of the public key's DER, as the reference's `kid`. */
const char *jwt_key_id(const JwtKey *key);
/* {"keys":[...]} of RFC 7517, what /openid/v1/jwks answers. */
Value *jwt_key_set(Arena *arena, JwtKey *const *keys, size_t n);
/* The algorithms they sign with, each once, sorted: "ES256" and so on. */
Value *jwt_key_algorithms(Arena *arena, JwtKey *const *keys, size_t n);

/* *ret is owned by the caller. -EINVAL: the key is public only. */
int jwt_sign(const JwtKey *key, const Value *claims, char **ret);
/* Checks form, algorithm and signature with the key of the token's `kid` (all keys when it names none) and gives the
 * claims in the arena; no claim is judged. -EBADMSG: not a JWT; -ENOKEY: none of these keys is the one it names;
 * -EKEYREJECTED: the signature is of none of these keys, or made in another way than the key's. */
int jwt_verify(JwtKey *const *keys, size_t n, const char *token, Arena *arena, Value **ret_claims);
/* A claim without checking anything, to see whom a token concerns ("iss"); NULL when it is not a JWT. In the arena. */
Value *jwt_claims_unverified(const char *token, Arena *arena);

/* What a TokenRequest asks for. Names and uids borrowed; NULL: not bound. A pod's token carries its node too. */
typedef struct ServiceAccountToken {
    const char *issuer;
    const char *const *audiences; /* NULL-terminated, at least one */
    const char *ns, *name, *uid;  /* the service account */
    const char *pod_name, *pod_uid, *secret_name, *secret_uid, *node_name, *node_uid;
    int64_t now_seconds, expiration_seconds;
    int64_t warn_after_seconds; /* 0: none */
} ServiceAccountToken;
/* The claims the reference puts into it: aud, exp, iat, iss, jti (a fresh uuid), kubernetes.io, nbf, sub. */
Value *service_account_claims(Arena *arena, const ServiceAccountToken *token);

/* A token kept in a secret of type kubernetes.io/service-account-token: it does not expire, and is good for as long as
 * the secret holds it. */
#define LEGACY_TOKEN_ISSUER "kubernetes/serviceaccount"
#define LEGACY_CLAIM "kubernetes.io/serviceaccount/"
#define LEGACY_CLAIM_NAMESPACE LEGACY_CLAIM "namespace"
#define LEGACY_CLAIM_SECRET LEGACY_CLAIM "secret.name"
#define LEGACY_CLAIM_ACCOUNT LEGACY_CLAIM "service-account.name"
#define LEGACY_CLAIM_ACCOUNT_UID LEGACY_CLAIM "service-account.uid"
Value *legacy_token_claims(Arena *arena, const char *ns, const char *account, const char *account_uid,
                           const char *secret);
