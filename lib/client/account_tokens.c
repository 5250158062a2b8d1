#include "client/account_tokens.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>

typedef struct AccountToken AccountToken;
struct AccountToken {
    AccountToken *next;
    char *ns, *name, *token;
    uint64_t renew_at_ns; /* monotonic */
    pthread_mutex_t lock; /* held while this one is asked for */
};

struct AccountTokens {
    ClientTransport *transport;
    pthread_mutex_t lock; /* of the list; its members stay */
    AccountToken *first;
};

AccountTokens *account_tokens_new(ClientTransport *transport) {
    AccountTokens *tokens = NEW(AccountTokens);
    *tokens = (AccountTokens){.transport = transport, .lock = PTHREAD_MUTEX_INITIALIZER};
    return tokens;
}

void account_tokens_free(AccountTokens *tokens) {
    if (!tokens)
        return;
    for (AccountToken *t = tokens->first, *next; t; t = next) {
        next = t->next;
        free(t->ns);
        free(t->name);
        wipe_freep(&t->token);
        pthread_mutex_destroy(&t->lock);
        free(t);
    }
    pthread_mutex_destroy(&tokens->lock);
    free(tokens);
}

static AccountToken *find(AccountTokens *tokens, const ApiAccount *account) {
    pthread_mutex_lock(&tokens->lock);
    AccountToken *t = tokens->first;
    while (t && !(streq(t->ns, account->ns) && streq(t->name, account->name)))
        t = t->next;
    if (!t) {
        t = NEW(AccountToken);
        *t = (AccountToken){.next = tokens->first,
                            .ns = xstrdup(account->ns),
                            .name = xstrdup(account->name),
                            .lock = PTHREAD_MUTEX_INITIALIZER};
        tokens->first = t;
    }
    pthread_mutex_unlock(&tokens->lock);
    return t;
}

/* A POST of `body`: to the collection of accounts, or to the subresource "token" of one. */
static int post(AccountTokens *tokens, const ApiAccount *account, bool token, const char *user_agent, Arena *arena,
                const Value *body, Value **ret, ApiError *err) {
    _cleanup_object_ Object *object = NULL;
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource_find("", "v1", "serviceaccounts"),
                          .ns = account->ns,
                          .name = token ? account->name : NULL,
                          .subresource = token ? "token" : NULL,
                          .user_agent = user_agent,
                          .body = body,
                          .arena = arena};
    return tokens->transport->execute(tokens->transport, &request, &object, ret, err);
}

static int make_account(AccountTokens *tokens, const ApiAccount *account, const char *user_agent, Arena *arena,
                        ApiError *err) {
    Value *body = value_object(arena), *metadata = value_ensure_object(arena, body, "metadata"), *none = NULL;
    value_set_str(arena, body, "apiVersion", "v1");
    value_set_str(arena, body, "kind", "ServiceAccount");
    value_set_str(arena, metadata, "namespace", account->ns);
    value_set_str(arena, metadata, "name", account->name);
    int r = post(tokens, account, false, user_agent, arena, body, &none, err);
    if (r != -EEXIST)
        return r;
    api_error_done(err);
    return 0;
}

static int ask(AccountTokens *tokens, const ApiAccount *account, const char *user_agent, Arena *arena, Value **ret,
               ApiError *err) {
    Value *body = value_object(arena);
    value_set_str(arena, body, "apiVersion", "authentication.k8s.io/v1");
    value_set_str(arena, body, "kind", "TokenRequest");
    value_set_int(arena, value_ensure_object(arena, body, "spec"), "expirationSeconds", ACCOUNT_TOKEN_SECONDS);
    int r = post(tokens, account, true, user_agent, arena, body, ret, err);
    if (r != -ENOENT)
        return r;
    api_error_done(err);
    r = make_account(tokens, account, user_agent, arena, err);
    return r < 0 ? r : post(tokens, account, true, user_agent, arena, body, ret, err);
}

/* Under the token's lock. */
static int renew(AccountTokens *tokens, AccountToken *t, const ApiAccount *account, const char *user_agent,
                 ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *answer = NULL;
    int r = ask(tokens, account, user_agent, arena, &answer, err);
    if (r < 0)
        return r;
    const char *token = value_get_str(value_get(answer, "status"), "token");
    int64_t seconds = value_get_int(value_get(answer, "spec"), "expirationSeconds", ACCOUNT_TOKEN_SECONDS);
    if (str_empty(token) || seconds <= 0)
        return api_error_set(err, 500, "InternalError", "the server answered a TokenRequest without a token");
    wipe_freep(&t->token);
    t->token = xstrdup(token);
    t->renew_at_ns =
        now_monotonic_ns() + (uint64_t)((double)seconds * (1 - ACCOUNT_TOKEN_RENEW) * (double)NS_PER_SEC);
    return 0;
}

int account_tokens_get(AccountTokens *tokens, const ApiAccount *account, const char *user_agent, char **ret,
                       ApiError *err) {
    AccountToken *t = find(tokens, account);
    pthread_mutex_lock(&t->lock);
    int r = t->token && now_monotonic_ns() < t->renew_at_ns ? 0 : renew(tokens, t, account, user_agent, err);
    *ret = r < 0 ? NULL : xstrdup(t->token);
    pthread_mutex_unlock(&t->lock);
    return r;
}

void account_tokens_forget(AccountTokens *tokens, const ApiAccount *account) {
    AccountToken *t = find(tokens, account);
    pthread_mutex_lock(&t->lock);
    wipe_freep(&t->token);
    t->token = NULL;
    pthread_mutex_unlock(&t->lock);
}
