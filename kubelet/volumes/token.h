/* Service account tokens of pods (the TokenRequest API), kept until 80 % of their life or a day has passed, as the
 * reference's token manager. Thread-safe. In memory only: a restart asks again. */
#pragma once

#include "kubelet/volumes/source.h"

typedef struct TokenCache TokenCache;
TokenCache *token_cache_new(void);
void token_cache_free(TokenCache *cache);
DEFINE_CLEANUP(TokenCache, token_cache_free)
/* A token for the pod's service account; *ret in the arena. An old one that is still valid serves while the API server
 * cannot be reached. */
int token_get(TokenCache *cache, const ObjectSource *source, const Value *pod, const char *audience,
              int64_t expiration_seconds, Arena *arena, const char **ret, ApiError *err);
void token_forget_pod(TokenCache *cache, const char *uid);
