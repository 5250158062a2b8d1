#include "kubelet/volumes/token.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <pthread.h>

#define TOKEN_MAX_AGE_NS (24ll * 3600 * 1000000000)
#define TOKEN_JITTER_SECONDS 10

typedef struct Token {
    char *text;
    int64_t issued, expires;
} Token;

struct TokenCache {
    pthread_mutex_t lock;
    StrMap *tokens; /* "uid/audience/seconds" */
};

static void token_free(void *p) {
    Token *t = p;
    wipe_freep(&t->text);
    free(t);
}

TokenCache *token_cache_new(void) {
    TokenCache *c = NEW0(TokenCache);
    pthread_mutex_init(&c->lock, NULL);
    c->tokens = strmap_new(token_free);
    return c;
}

void token_cache_free(TokenCache *c) {
    if (!c)
        return;
    strmap_free(c->tokens);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Copies the cached token; *ret_fresh: no need to ask for another yet. */
static const char *cached(TokenCache *c, const char *key, Arena *arena, int64_t now, bool *ret_fresh) {
    const char *text = NULL;
    pthread_mutex_lock(&c->lock);
    const Token *t = strmap_get(c->tokens, key);
    if (t && t->expires > now) {
        int64_t jitter = (int64_t)random_below(TOKEN_JITTER_SECONDS * 1000) * (int64_t)NS_PER_MS;
        int64_t life = t->expires - t->issued;
        text = arena_strdup(arena, t->text);
        *ret_fresh = now < t->issued + TOKEN_MAX_AGE_NS - jitter && now < t->expires - life / 5 - jitter;
    }
    pthread_mutex_unlock(&c->lock);
    return text;
}

static Value *token_request(Arena *arena, const Value *pod, const char *audience, int64_t seconds) {
    const Value *meta = value_get(pod, "metadata");
    Value *request = value_object(arena);
    value_set_str(arena, request, "apiVersion", "authentication.k8s.io/v1");
    value_set_str(arena, request, "kind", "TokenRequest");
    Value *spec = value_ensure_object(arena, request, "spec");
    Value *audiences = value_ensure_array(arena, spec, "audiences");
    if (!str_empty(audience))
        value_append(arena, audiences, value_string(arena, audience));
    value_set_int(arena, spec, "expirationSeconds", seconds);
    Value *bound = value_ensure_object(arena, spec, "boundObjectRef");
    value_set_str(arena, bound, "apiVersion", "v1");
    value_set_str(arena, bound, "kind", "Pod");
    value_set_str(arena, bound, "name", value_get_str(meta, "name"));
    value_set_str(arena, bound, "uid", value_get_str(meta, "uid"));
    return request;
}

int token_get(TokenCache *c, const ObjectSource *source, const Value *pod, const char *audience, int64_t seconds,
              Arena *arena, const char **ret, ApiError *err) {
    const Value *meta = value_get(pod, "metadata");
    const char *account = str_or(value_get_str(value_get(pod, "spec"), "serviceAccountName"), "default");
    const char *key = arena_printf(arena, "%s/%s/%lld", str_or(value_get_str(meta, "uid"), ""), str_or(audience, ""),
                                   (long long)seconds);
    int64_t now = now_realtime_ns(), expires;
    bool fresh = false;
    const char *have = cached(c, key, arena, now, &fresh);
    if (have && fresh) {
        *ret = have;
        return 0;
    }
    Value *answer = NULL;
    int r = source->token(source->userdata, str_or(value_get_str(meta, "namespace"), ""), account,
                          token_request(arena, pod, audience, seconds), arena, &answer, err);
    const char *text = r < 0 ? NULL : value_get_str(value_get(answer, "status"), "token");
    const char *until = r < 0 ? NULL : value_get_str(value_get(answer, "status"), "expirationTimestamp");
    if (!text) {
        if (have) { /* still valid: better an old one than none */
            *ret = have;
            return 0;
        }
        return r < 0 ? r : api_error_set(err, 500, "InternalError", "the answer to the token request has no token");
    }
    if (!until || rfc3339_parse(until, &expires) < 0)
        expires = now + seconds * (int64_t)NS_PER_SEC;
    Token *t = NEW0(Token);
    *t = (Token){xstrdup(text), now, expires};
    pthread_mutex_lock(&c->lock);
    strmap_put(c->tokens, key, t);
    pthread_mutex_unlock(&c->lock);
    *ret = text;
    return 0;
}

void token_forget_pod(TokenCache *c, const char *uid) {
    pthread_mutex_lock(&c->lock);
    for (bool again = true; again;) {
        const char *key;
        Token *t;
        _cleanup_free_ char *found = NULL;
        STRMAP_FOREACH (c->tokens, key, t)
            if (!found && str_has_prefix(key, uid))
                found = xstrdup(key);
        again = found != NULL;
        if (found)
            strmap_remove(c->tokens, found);
    }
    pthread_mutex_unlock(&c->lock);
}
