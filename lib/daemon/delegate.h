/* Who asks a daemon's own server, and whether they may: client certificates, bearer tokens by TokenReview, access by
 * SubjectAccessReview, as the delegating authenticator and authorizer of k8s.io/apiserver. What the API server answers
 * is remembered for a while; no token is kept, only its hash. Thread-safe; the calls block. */
#pragma once

#include "client/client.h"
#include "http/server.h"

#define DELEGATE_CACHE_MAX 1024 /* answers of each kind; past it those that have run out go, then all */

typedef struct Delegate Delegate;

typedef struct DelegateConfig {
    Client *authentication; /* asks what a token is worth; borrowed. NULL: tokens are not looked at */
    Client *authorization;  /* asks what may be done; borrowed. NULL: nothing, for delegate_ask */
    bool anonymous;         /* who shows nothing is system:anonymous */
    uint64_t token_ttl_ns, allowed_ttl_ns, denied_ttl_ns; /* answers are remembered for so long */
} DelegateConfig;
Delegate *delegate_new(const DelegateConfig *config);
void delegate_free(Delegate *delegate);
DEFINE_CLEANUP(Delegate, delegate_free)

/* A UserInfo (username, groups, uid, extra) in the arena; NULL: nobody (401). */
const Value *delegate_identify(Delegate *delegate, const HttpRequest *http, Arena *arena);
/* Of system:masters: may do everything, unasked. */
bool delegate_is_privileged(const Value *user);
/* May this user do what `attributes` say? `kind` is the field of the review's spec that they are: "resourceAttributes"
 * or "nonResourceAttributes". *ret_why, "" or the authorizer's reason, in the arena. Negative errno (logged): the API
 * server could not say; *ret_why says so. */
int delegate_ask(Delegate *delegate, Arena *arena, const Value *user, const char *kind, Value *attributes,
                 bool *ret_allowed, const char **ret_why);
