/* Impersonation headers, checked one by one as k8s.io/apiserver's impersonation filter does. */
#include "apiserver/filters/authn.h"
#include "apiserver/filters/authz.h"
#include "base/str.h"

#include <errno.h>
#include <strings.h>

#define IMPERSONATE_MAX 256 /* groups, and extra values */
#define EXTRA_PREFIX "impersonate-extra-"
#define ACCOUNT_PREFIX "system:serviceaccount:"

typedef struct Wanted { /* what the headers ask for, in the arena */
    const char *user, *uid;
    const char *groups[IMPERSONATE_MAX + 3];
    size_t n_groups;
    Pair extra[IMPERSONATE_MAX];
    size_t n_extra;
} Wanted;

static int read_header(Arena *arena, const char *name, const char *value, Wanted *wanted) {
    if (strcasecmp(name, "impersonate-user") == 0) {
        wanted->user = wanted->user ? wanted->user : arena_strdup(arena, value);
    } else if (strcasecmp(name, "impersonate-uid") == 0) {
        wanted->uid = wanted->uid ? wanted->uid : arena_strdup(arena, value);
    } else if (strcasecmp(name, "impersonate-group") == 0) {
        if (wanted->n_groups == IMPERSONATE_MAX)
            return -E2BIG;
        wanted->groups[wanted->n_groups++] = arena_strdup(arena, value);
    } else if (strncasecmp(name, EXTRA_PREFIX, strlen(EXTRA_PREFIX)) == 0) {
        if (wanted->n_extra == IMPERSONATE_MAX)
            return -E2BIG;
        char *key = arena_strdup(arena, name + strlen(EXTRA_PREFIX));
        for (char *p = key; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        char *decoded = arena_strdup(arena, key);
        wanted->extra[wanted->n_extra++] =
            (Pair){percent_decode(decoded, false) < 0 ? key : decoded, arena_strdup(arena, value)};
    }
    return 0;
}

static int compare_pairs(const void *a, const void *b) {
    return strcmp(((const Pair *)a)->key, ((const Pair *)b)->key);
}

/* As Go prints the map: each key once, with all its values. */
static char *extra_text(Arena *arena, const Wanted *wanted) {
    Pair sorted[IMPERSONATE_MAX];
    char *text = arena_strdup(arena, "");
    memcpy(sorted, wanted->extra, sizeof sorted);
    qsort(sorted, wanted->n_extra, sizeof *sorted, compare_pairs);
    for (size_t i = 0; i < wanted->n_extra; i++) {
        bool first = i == 0 || !streq(sorted[i].key, sorted[i - 1].key);
        bool last = i + 1 == wanted->n_extra || !streq(sorted[i].key, sorted[i + 1].key);
        const char *before = first ? arena_printf(arena, "%s\"%s\":[]string{", i ? ", " : "", sorted[i].key) : ", ";
        text = arena_printf(arena, "%s%s\"%s\"%s", text, before, sorted[i].value, last ? "}" : "");
    }
    return text;
}

static int refuse_nobody(Arena *arena, const Wanted *wanted, ApiError *err) {
    char *groups = arena_strdup(arena, "");
    for (size_t i = 0; i < wanted->n_groups; i++)
        groups = arena_printf(arena, "%s%s\"%s\"", groups, i ? ", " : "", wanted->groups[i]);
    int r = api_error_bad_request(err,
                                  "requested &user.DefaultInfo{Name:\"\", UID:\"%s\", Groups:[]string%s%s%s, "
                                  "Extra:map[string][]string%s%s%s} without impersonating a user name",
                                  str_or(wanted->uid, ""), wanted->n_groups ? "{" : "(nil)", groups,
                                  wanted->n_groups ? "}" : "", wanted->n_extra ? "{" : "(nil)",
                                  extra_text(arena, wanted), wanted->n_extra ? "}" : "");
    return r;
}

/* system:serviceaccount:NS:NAME, both not empty. */
static bool split_account(Arena *arena, const char *user, const char **ret_ns, const char **ret_name) {
    if (!str_has_prefix(user, ACCOUNT_PREFIX))
        return false;
    const char *ns = user + strlen(ACCOUNT_PREFIX), *colon = strchr(ns, ':');
    if (!colon || colon == ns || !colon[1] || strchr(colon + 1, ':'))
        return false;
    *ret_ns = arena_strndup(arena, ns, (size_t)(colon - ns));
    *ret_name = colon + 1;
    return true;
}

static int check(Authorizer *authorizer, const UserInfo *user, Arena *arena, const Wanted *wanted, ApiError *err) {
    AuthzAttributes asked = {.user = user, .verb = "impersonate", .is_resource = true, .group = "", .version = "v1"};
    AuthzAttributes who = asked;
    who.resource = "users";
    who.name = wanted->user;
    if (split_account(arena, wanted->user, &who.ns, &who.name))
        who.resource = "serviceaccounts";
    int r = authorize(authorizer, &who, err);
    asked.resource = "groups";
    for (size_t i = 0; r == 0 && i < wanted->n_groups; i++) {
        asked.name = wanted->groups[i];
        r = authorize(authorizer, &asked, err);
    }
    asked.group = "authentication.k8s.io";
    asked.resource = "userextras";
    for (size_t i = 0; r == 0 && i < wanted->n_extra; i++) {
        asked.subresource = wanted->extra[i].key;
        asked.name = wanted->extra[i].value;
        r = authorize(authorizer, &asked, err);
    }
    asked.subresource = NULL;
    asked.resource = "uids";
    asked.name = wanted->uid;
    return r == 0 && wanted->uid ? authorize(authorizer, &asked, err) : r;
}

static void complete_groups(Arena *arena, Wanted *wanted) {
    const char *ns, *name;
    if (wanted->n_groups == 0 && split_account(arena, wanted->user, &ns, &name)) {
        wanted->groups[wanted->n_groups++] = "system:serviceaccounts";
        wanted->groups[wanted->n_groups++] = arena_printf(arena, "system:serviceaccounts:%s", ns);
    }
    bool anonymous = streq(wanted->user, "system:anonymous");
    bool authenticated = str_in("system:authenticated", wanted->groups),
         un = str_in("system:unauthenticated", wanted->groups);
    if (anonymous && !un)
        wanted->groups[wanted->n_groups++] = "system:unauthenticated";
    else if (!anonymous && !authenticated && !un)
        wanted->groups[wanted->n_groups++] = "system:authenticated";
}

int authz_impersonate(Authorizer *authorizer, const UserInfo *user, authz_header_at_fn header_at, const void *request,
                      Arena *arena, UserInfo **ret, ApiError *err) {
    const char *name, *value;
    Wanted *wanted = NULL;
    for (size_t i = 0; header_at(request, i, &name, &value); i++) {
        if (strncasecmp(name, "impersonate-", 12) != 0)
            continue;
        if (!wanted)
            wanted = ARENA_NEW0(arena, Wanted);
        if (read_header(arena, name, value, wanted) < 0)
            return api_error_bad_request(err, "more than %d groups or extra values to impersonate", IMPERSONATE_MAX);
    }
    if (!wanted || (str_empty(wanted->user) && !wanted->n_groups && !wanted->n_extra && !wanted->uid)) {
        *ret = NULL;
        return 0;
    }
    if (str_empty(wanted->user))
        return refuse_nobody(arena, wanted, err);
    int r = check(authorizer, user, arena, wanted, err);
    if (r < 0)
        return r;
    complete_groups(arena, wanted);
    UserInfo *as = ARENA_NEW0(arena, UserInfo);
    *as = (UserInfo){.name = wanted->user,
                     .uid = wanted->uid,
                     .groups = wanted->groups,
                     .extra = wanted->extra,
                     .n_extra = wanted->n_extra};
    *ret = as;
    return 0;
}
