#define LOG_COMPONENT "apiserver"
#include "apiserver/token_issuer.h"
#include "apiserver/registry/go_url.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

#define EXPIRATION_MIN_NS (3600 * (int64_t)NS_PER_SEC)
#define EXPIRATION_MAX_NS (((int64_t)1 << 32) * (int64_t)NS_PER_SEC)
#define POD_TOKEN_SECONDS 3607              /* what the token volume of pods asks for */
#define POD_TOKEN_EXTENDED_SECONDS 31536000 /* and is given */

static const char *check_issuer(Arena *arena, const FlagList *issuers, size_t i) {
    const char *issuer = issuers->items[i], *wrong;
    GoUrl url;
    if (strchr(issuer, ':') && (wrong = go_url_parse(arena, issuer, &url)))
        return arena_printf(arena, "service-account-issuer %s contained a ':' but was not a valid URL: %s",
                            go_quoted(arena, issuer), wrong);
    if (!*issuer)
        return "service-account-issuer should not be an empty string";
    for (size_t j = 0; j < i; j++)
        if (streq(issuer, issuers->items[j]))
            return arena_printf(arena, "service-account-issuer %s is already specified", go_quoted(arena, issuer));
    return NULL;
}

static const char *check_jwks_uri(Arena *arena, const char *uri) {
    GoUrl url;
    const char *wrong = go_url_parse(arena, uri, &url);
    if (wrong)
        return arena_printf(arena, "service-account-jwks-uri must be a valid URL: %s", wrong);
    if (!streq(url.scheme, "https"))
        return arena_printf(arena, "service-account-jwks-uri requires https scheme, parsed as: %s", uri);
    return NULL;
}

bool token_issuer_options_ok(const char *program, const TokenIssuerOptions *options) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *wrong[FLAG_LIST_MAX + 2];
    size_t n = 0;
    int64_t max = options->max_expiration_ns;
    if (max && (max < EXPIRATION_MIN_NS || max > EXPIRATION_MAX_NS))
        wrong[n++] = "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds";
    for (size_t i = 0; i < options->issuers.n; i++)
        if ((wrong[n] = check_issuer(arena, &options->issuers, i)))
            n++;
    if (!str_empty(options->jwks_uri) && (wrong[n] = check_jwks_uri(arena, options->jwks_uri)))
        n++;
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "%s: %s\n", program, wrong[i]);
    return n == 0;
}

/* NULL: relying parties can discover the issuer; else why not. */
static const char *undiscoverable(Arena *arena, const char *issuer) {
    GoUrl url;
    const char *wrong = go_url_parse(arena, issuer, &url);
    if (!wrong && !streq(url.scheme, "https"))
        wrong = arena_printf(arena, "issuer URL must use https scheme, got: %s", issuer);
    if (!wrong && *url.query)
        wrong = arena_printf(arena, "issuer URL may not include a query, got: %s", issuer);
    if (!wrong && *url.fragment)
        wrong = arena_printf(arena, "issuer URL may not include a fragment, got: %s", issuer);
    return wrong;
}

static int open_signing_key(const TokenIssuerOptions *options, const char *own_key_file, JwtKey **ret) {
    const char *path = str_empty(options->signing_key_file) ? own_key_file : options->signing_key_file;
    int r = jwt_key_load(path, ret);
    if (r == 0 && !jwt_key_signs(*ret)) {
        jwt_key_free(*ret);
        *ret = NULL;
        r = -EBADMSG;
    }
    if (r == -EBADMSG)
        log_error("failed to parse service-account-issuer-key-file: error reading private key file %s: data does not "
                  "contain a valid RSA or ECDSA private key",
                  path);
    else if (r < 0)
        log_error("failed to parse service-account-issuer-key-file: open %s: %s", path, strerror(-r));
    return r;
}

/* Where nobody names the key that signs, it is the cluster's own, and verifies beside those of the files. */
static int open_keys(const TokenIssuerOptions *options, const JwtKey *signing, JwtKeys *keys) {
    if (str_empty(options->signing_key_file) || !options->key_files.n)
        jwt_keys_add(keys, jwt_key_public(signing));
    for (size_t i = 0; i < options->key_files.n; i++) {
        const char *path = options->key_files.items[i];
        int r = jwt_keys_load(path, keys);
        if (r == -EBADMSG)
            log_error("error reading public key file %s: data does not contain any valid RSA or ECDSA public keys",
                      path);
        else if (r < 0)
            log_error("open %s: %s", path, strerror(-r));
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < keys->n; i++)
        if (streq(jwt_key_id(keys->items[i]), jwt_key_id(signing)))
            return 0;
    log_warn("no key of --service-account-key-file verifies what --service-account-signing-key-file signs");
    return 0;
}

/* The entries of a list of flags, NULL-terminated, in the arena; `otherwise` is the only one where there are none. */
static const char **copy_list(Arena *arena, const FlagList *list, bool commas, const char *otherwise) {
    size_t max = 1, n = 0;
    for (size_t i = 0; i < list->n; i++)
        max += strlen(list->items[i]) + 1;
    const char **items = arena_alloc0(arena, (max + 1) * sizeof *items);
    items[0] = otherwise;
    for (size_t i = 0; i < list->n; i++) {
        char *one[] = {arena_strdup(arena, list->items[i]), NULL};
        for (char **part = commas ? str_split(arena, one[0], ',', NULL) : one; *part; part++)
            items[n++] = *part;
    }
    return items;
}

static void warn_of_expiration(int64_t max) {
    if (max && max < POD_TOKEN_SECONDS)
        log_warn("service-account-extend-token-expiration is true, in order to correctly trigger safe transition "
                 "logic, service-account-max-token-expiration must be set longer than %d seconds (currently %lds)",
                 POD_TOKEN_SECONDS, (long)max);
    if (max && max < POD_TOKEN_EXTENDED_SECONDS)
        log_warn("service-account-extend-token-expiration is true, enabling tokens valid up to %d seconds, which is "
                 "longer than service-account-max-token-expiration set to %lds",
                 POD_TOKEN_EXTENDED_SECONDS, (long)max);
}

int token_issuer_open(const TokenIssuerOptions *options, const char *own_key_file, TokenIssuer *ret) {
    const TokenIssuerOptions defaults = TOKEN_ISSUER_DEFAULTS;
    _cleanup_(token_issuer_done) TokenIssuer issuer = {.arena = arena_new(0)};
    if (!options)
        options = &defaults;
    int r = open_signing_key(options, own_key_file, &issuer.signing_key);
    r = r < 0 ? r : open_keys(options, issuer.signing_key, &issuer.keys);
    if (r < 0)
        return r;
    issuer.issuers = copy_list(issuer.arena, &options->issuers, false, TOKEN_ISSUER_DEFAULT);
    issuer.audiences = copy_list(issuer.arena, &options->audiences, true, NULL);
    if (!issuer.audiences[0])
        issuer.audiences = issuer.issuers;
    issuer.jwks_uri = str_empty(options->jwks_uri) ? NULL : arena_strdup(issuer.arena, options->jwks_uri);
    issuer.max_expiration_seconds = options->max_expiration_ns / (int64_t)NS_PER_SEC;
    issuer.extend_expiration = options->extend_expiration;
    if (issuer.extend_expiration)
        warn_of_expiration(issuer.max_expiration_seconds);
    const char *why = undiscoverable(issuer.arena, issuer.issuers[0]);
    issuer.is_discoverable = !why;
    if (why)
        log_error("Could not construct pre-rendered responses for ServiceAccountIssuerDiscovery endpoints. Endpoints "
                  "will not be enabled. Error: %s",
                  why);
    *ret = issuer;
    issuer = (TokenIssuer){0};
    return 0;
}

void token_issuer_done(TokenIssuer *issuer) {
    jwt_key_free(issuer->signing_key);
    jwt_keys_done(&issuer->keys);
    arena_free(issuer->arena);
    *issuer = (TokenIssuer){0};
}
