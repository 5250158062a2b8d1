/* The kinds of bearer tokens. What they give is in the arena; NULL: not (any more) a good token of that kind. */
#pragma once

#include "apiserver/filters/authn.h"

/* A static token file, in the reference's CSV form. */
typedef struct StaticTokens StaticTokens;
int static_tokens_load(const char *path, StaticTokens **ret); /* errors are logged, without the tokens */
void static_tokens_free(StaticTokens *tokens);
UserInfo *static_tokens_find(const StaticTokens *tokens, const char *token, Arena *arena);

/* Service account tokens: signature, issuer, times, audiences, and that the account and what the token is bound to are
 * still the same objects. *ret_detail: why not, when the token names an issuer of ours; else it stays NULL. */
typedef struct ServiceAccountAuthn {
    Store *store;
    const char *const *issuers; /* NULL-terminated */
    const JwtKeys *keys;
    int64_t now_seconds;
    const char *const *audiences; /* of this server: what tokens that name none are good for */
} ServiceAccountAuthn;
UserInfo *service_account_user(const ServiceAccountAuthn *authn, const char *token, const char *const *audiences,
                               Arena *arena, const char *const **ret_audiences, const char **ret_detail);
/* The strings that are in both lists, NULL-terminated. */
const char *const *audience_common(Arena *arena, const char *const *a, const char *const *b);

/* Bootstrap tokens: ID.SECRET of a secret bootstrap-token-ID in kube-system. */
UserInfo *bootstrap_token_user(Store *store, const char *token, int64_t now_ns, Arena *arena);
