/* Authorization: may this user do this? A table of authorizers is asked in order until one allows; none does: 403 in
 * the reference's words. system:masters may do everything; a node what its pods need (Node authorizer); everyone else
 * what roles and bindings give (RBAC). Any thread. */
#pragma once

#include "api/selector.h"
#include "api/status.h"
#include "apiserver/storage/store.h"
#include "client/api.h"

typedef struct Authorizer Authorizer;

typedef struct AuthzAttributes { /* strings borrowed; absent ones NULL or "" */
    const UserInfo *user;
    const char *verb; /* get list watch create update patch delete deletecollection, impersonate, ...; other paths: the
                         HTTP method in lower case */
    bool is_resource; /* else `path` says all */
    const char *path;
    const char *group, *version, *resource, *subresource, *ns, *name; /* resource: the plural */
    const Selector
        *fields;  /* of a list, watch or deletecollection: what a node may ask is narrowed by it; NULL: none */
    bool explain; /* whose rule allows it is wanted, too */
} AuthzAttributes;

int authorizer_new(Store *store, Authorizer **ret);
void authorizer_free(Authorizer *authorizer);
DEFINE_CLEANUP(Authorizer, authorizer_free)

/* Of a request: 0, or -EACCES with the 403 Status. */
int authorize(Authorizer *authorizer, const AuthzAttributes *request, ApiError *err);
/* The decision alone, for SubjectAccessReview: true when allowed. *ret_reason is in the arena, "" when there is none,
 * or it was not wanted. */
bool authorizer_allows(Authorizer *authorizer, const AuthzAttributes *attributes, Arena *arena,
                       const char **ret_reason);
/* For SelfSubjectRulesReview: the rules that hold for the user in `ns`, as in ClusterRole.rules, in the arena. False:
 * they are not all (a node's rights are no fixed rules). *ret_error is in the arena, NULL when there is none. */
bool authorizer_user_rules(Authorizer *authorizer, const UserInfo *user, const char *ns, Arena *arena, Value **ret,
                           const char **ret_error);
/* The verb of an API request as authorization names it. */
const char *authz_verb(ApiVerb verb);

/* Impersonation headers (Impersonate-User, -Group, -Uid, -Extra-*): 0 and *ret NULL when there are none, the user to
 * act as when `user` may impersonate them, else -EACCES (403) or -EINVAL (400) with the Status. `header_at` gives the
 * request's headers (http_header_at); *ret is in the arena. */
typedef bool (*authz_header_at_fn)(const void *request, size_t index, const char **ret_name, const char **ret_value);
int authz_impersonate(Authorizer *authorizer, const UserInfo *user, authz_header_at_fn header_at, const void *request,
                      Arena *arena, UserInfo **ret, ApiError *err);
