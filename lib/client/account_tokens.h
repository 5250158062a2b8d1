/* Tokens of the service accounts that requests of one transport act as (ApiRequest.as): asked for with a TokenRequest
 * (authentication.k8s.io/v1) when first needed, the account made when it is missing, and asked for again when
 * ACCOUNT_TOKEN_RENEW of their life is left. Inside lib/client only. Thread-safe; blocks while it asks. */
#pragma once

#include "client/client.h"

typedef struct AccountTokens AccountTokens;

#define ACCOUNT_TOKEN_SECONDS 3600 /* as the reference's controllers ask for */
#define ACCOUNT_TOKEN_RENEW 0.2

/* `transport` is borrowed; it asks as itself. */
AccountTokens *account_tokens_new(ClientTransport *transport);
void account_tokens_free(AccountTokens *tokens); /* wipes them; NULL is fine */
/* *ret is a secret of the caller's: wipe_freep. */
int account_tokens_get(AccountTokens *tokens, const ApiAccount *account, const char *user_agent, char **ret,
                       ApiError *err);
/* The server takes the account's token no longer: the next request asks for another. */
void account_tokens_forget(AccountTokens *tokens, const ApiAccount *account);
