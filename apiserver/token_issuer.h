/* Whose service account tokens this server signs and believes: kube-apiserver's options for it, and the keys, issuers
 * and audiences they come to. Key material is never logged. */
#pragma once

#include "auth/jwt.h"
#include "base/flags.h"

#define TOKEN_ISSUER_DEFAULT "https://kubernetes.default.svc"

typedef struct TokenIssuerOptions {
    const char *signing_key_file; /* NULL or "": the cluster's own key, which then verifies too */
    FlagList key_files;           /* verify; none: what signs does */
    FlagList issuers;             /* the first signs; none: TOKEN_ISSUER_DEFAULT */
    FlagList audiences;           /* of this server, each entry one or several with commas between; none: the issuers */
    const char *jwks_uri;         /* NULL or "": this server's own */
    int64_t max_expiration_ns;    /* 0: as long as is asked for */
    bool extend_expiration;       /* of what is put into pods: to a year, with a warning after an hour */
} TokenIssuerOptions;
#define TOKEN_ISSUER_DEFAULTS ((TokenIssuerOptions){.extend_expiration = true})
/* Rows of a flag table (base/flags.h), with kube-apiserver's names. */
#define TOKEN_ISSUER_FLAGS(options)                                                                                    \
    {"service-account-signing-key-file", FLAG_STRING, &(options).signing_key_file, "FILE",                             \
     "the private key, RSA or ECDSA, that signs service account tokens (the cluster's own)"},                          \
        {"service-account-key-file", FLAG_LIST, &(options).key_files, "FILE",                                          \
         "private or public keys or certificates that verify them (the key that signs); may be repeated"},             \
        {"service-account-issuer", FLAG_LIST, &(options).issuers, "ISSUER",                                            \
         "who issues them (" TOKEN_ISSUER_DEFAULT "); may be repeated: the first issues, all are believed"},           \
        {"service-account-jwks-uri", FLAG_STRING, &(options).jwks_uri, "URI",                                          \
         "where the discovery document says the keys are (this server's /openid/v1/jwks)"},                            \
        {"service-account-max-token-expiration", FLAG_DURATION, &(options).max_expiration_ns, "DURATION",              \
         "cut what longer is asked for (0: do not)"},                                                                  \
        {"service-account-extend-token-expiration", FLAG_BOOL, &(options).extend_expiration, NULL,                     \
         "let the tokens put into pods be good for a year (true)"},                                                    \
    {                                                                                                                  \
        "api-audiences", FLAG_LIST, &(options).audiences, "NAMES",                                                     \
            "whom tokens for this server are for (the issuers), with commas between; may be repeated"                  \
    }
/* False, with every mistake on stderr in kube-apiserver's words. Reads no file. */
bool token_issuer_options_ok(const char *program, const TokenIssuerOptions *options);

typedef struct TokenIssuer { /* immutable once open; any thread */
    JwtKey *signing_key;
    JwtKeys keys;                   /* in the order of the options */
    const char **issuers;           /* NULL-terminated, at least one, as the next */
    const char **audiences;         /* in `arena`, as `issuers` */
    const char *jwks_uri;           /* NULL: none is set */
    bool is_discoverable;           /* the first issuer is one that OpenID Connect Discovery 1.0 allows */
    int64_t max_expiration_seconds; /* 0: none */
    bool extend_expiration;
    Arena *arena;
} TokenIssuer;
/* `options` NULL: TOKEN_ISSUER_DEFAULTS. `own_key_file` is the cluster's. Errors are logged: -errno of a file that
 * cannot be read, -EBADMSG for one without a key that will do. */
int token_issuer_open(const TokenIssuerOptions *options, const char *own_key_file, TokenIssuer *ret);
void token_issuer_done(TokenIssuer *issuer);
