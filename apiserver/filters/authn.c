/* The order of authenticators and what each of them takes for good follow the reference: front proxy, certificate,
 * static tokens, service account tokens, bootstrap tokens, anonymous. */
#define LOG_COMPONENT "authn"
#include "apiserver/filters/authn.h"
#include "apiserver/filters/token_authn.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <strings.h>

#define WEBSOCKET_BEARER "base64url.bearer.authorization.k8s.io."

struct Authenticator {
    Store *store;
    StaticTokens *tokens; /* NULL: none */
    char *front_name;
    const char *const *issuers, *const *audiences; /* NULL-terminated */
    const JwtKeys *keys;
};

int authenticator_new(const AuthnConfig *config, Authenticator **ret) {
    _cleanup_(authenticator_freep) Authenticator *authenticator = NEW0(Authenticator);
    authenticator->store = config->store;
    authenticator->front_name = xstrdup(config->front_name);
    authenticator->issuers = config->issuers;
    authenticator->audiences = config->audiences;
    authenticator->keys = config->keys;
    if (config->token_file) {
        int r = static_tokens_load(config->token_file, &authenticator->tokens);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(authenticator);
    return 0;
}

void authenticator_free(Authenticator *authenticator) {
    if (!authenticator)
        return;
    static_tokens_free(authenticator->tokens);
    free(authenticator->front_name);
    free(authenticator);
}

static UserInfo *anonymous(Arena *arena) {
    const char **groups = arena_alloc0(arena, 2 * sizeof(char *));
    groups[0] = "system:unauthenticated";
    UserInfo *user = ARENA_NEW0(arena, UserInfo);
    *user = (UserInfo){.name = "system:anonymous", .groups = groups};
    return user;
}

static UserInfo *of_certificate(const Credentials *credentials, Arena *arena) {
    const char **groups = arena_alloc0(arena, (credentials->n_organizations + 1) * sizeof(char *));
    for (size_t i = 0; i < credentials->n_organizations; i++)
        groups[i] = credentials->organizations[i];
    UserInfo *user = user_info_new(arena, credentials->common_name, NULL, groups);
    if (credentials->fingerprint) {
        Pair *extra = ARENA_NEW0(arena, Pair);
        *extra = (Pair){"authentication.kubernetes.io/credential-id",
                        arena_printf(arena, "X509SHA256=%s", credentials->fingerprint)};
        user->extra = extra;
        user->n_extra = 1;
    }
    return user;
}

#define EXTRA_PREFIX "x-remote-extra-"
#define FRONT_VALUES_MAX 1024 /* groups, and extra values */

/* Groups as they are named, and system:authenticated, unless it is nobody that is named. */
static UserInfo *named_user(Arena *arena, const char *name, const char *uid, const char **groups) {
    if (!streq(name, "system:anonymous") && !str_in("system:unauthenticated", groups))
        return user_info_new(arena, name, uid, groups);
    UserInfo *user = ARENA_NEW0(arena, UserInfo);
    *user = (UserInfo){.name = arena_strdup(arena, name), .uid = arena_strdup(arena, uid), .groups = groups};
    return user;
}

/* Whom a front proxy speaks for (k8s.io/apiserver/pkg/authentication/request/headerrequest); NULL: it does not say. */
static UserInfo *of_front_proxy(const Credentials *credentials, Arena *arena) {
    const char *header, *value, *name = NULL, *uid = NULL;
    const char **groups = arena_alloc0(arena, (FRONT_VALUES_MAX + 1) * sizeof *groups);
    Pair *extra = arena_alloc0(arena, FRONT_VALUES_MAX * sizeof *extra);
    size_t n_groups = 0, n_extra = 0;
    for (size_t i = 0; credentials->header_at(credentials->request, i, &header, &value); i++) {
        if (streq(header, "x-remote-user") && !name && *value)
            name = value;
        else if (streq(header, "x-remote-uid") && !uid && *value)
            uid = value;
        else if (streq(header, "x-remote-group") && *value && n_groups < FRONT_VALUES_MAX)
            groups[n_groups++] = arena_strdup(arena, value);
        else if (str_has_prefix(header, EXTRA_PREFIX) && n_extra < FRONT_VALUES_MAX) {
            char *key = arena_strdup(arena, header + strlen(EXTRA_PREFIX));
            int len = percent_decode(key, false);
            if (len >= 0)
                key[len] = 0;
            else
                key = arena_strdup(arena, header + strlen(EXTRA_PREFIX));
            extra[n_extra++] = (Pair){key, arena_strdup(arena, value)};
        }
    }
    if (!name)
        return NULL;
    UserInfo *user = named_user(arena, name, uid, groups);
    user->extra = extra;
    user->n_extra = n_extra;
    return user;
}

/* The token of an Authorization header; NULL when it carries none of ours. */
static const char *bearer_token(const char *authorization, Arena *arena) {
    if (str_empty(authorization))
        return NULL;
    char *text = arena_strdup(arena, authorization + strspn(authorization, " \t"));
    for (size_t n = strlen(text); n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'); n--)
        text[n - 1] = 0;
    char *space = strchr(text, ' ');
    if (!space || space - text != 6 || strncasecmp(text, "bearer", 6) != 0)
        return NULL;
    char *token = space + 1;
    token[strcspn(token, " ")] = 0;
    return *token ? token : NULL;
}

/* The token a browser sends among its WebSocket protocols. -EINVAL when it is malformed. */
static int websocket_token(const char *protocols, Arena *arena, const char **ret) {
    const char *at = str_empty(protocols) ? NULL : strstr(protocols, WEBSOCKET_BEARER);
    if (!at)
        return 0;
    at += strlen(WEBSOCKET_BEARER);
    _cleanup_free_ uint8_t *token = NULL;
    size_t n = strcspn(at, ", \t"), len;
    if (base64url_decode(at, n, &token, &len) < 0 || len == 0 || strlen((char *)token) != len)
        return -EINVAL;
    *ret = arena_strndup(arena, (char *)token, len);
    wipe(token, len);
    return 0;
}

int authenticate_token(Authenticator *authenticator, const char *token, const char *const *audiences, Arena *arena,
                       UserInfo **ret, const char *const **ret_audiences, const char **ret_error) {
    const char *const *own = authenticator->audiences;
    const char *const *wanted = audiences && *audiences ? audiences : own;
    const char *detail = NULL;
    UserInfo *user = NULL;
    const char *const *good = NULL;
    if (authenticator->tokens && (user = static_tokens_find(authenticator->tokens, token, arena))) {
        good = audience_common(arena, own, wanted); /* such a token is good for this server alone */
        if (!*good)
            user = NULL;
    }
    ServiceAccountAuthn accounts = {
        authenticator->store, authenticator->issuers, authenticator->keys, now_realtime_ns() / (int64_t)NS_PER_SEC, own,
    };
    if (!user)
        user = service_account_user(&accounts, token, wanted, arena, &good, &detail);
    if (!user && (user = bootstrap_token_user(authenticator->store, token, now_realtime_ns(), arena)))
        good = own;
    if (!user) {
        *ret_error = detail ? arena_printf(arena, "[invalid bearer token, %s]", detail) : "invalid bearer token";
        return -EPERM;
    }
    *ret = user;
    *ret_audiences = good;
    return 0;
}

static int unauthorized(ApiError *err) {
    int r = api_error_set(err, 401, "Unauthorized", "Unauthorized");
    err->no_details = true;
    return r;
}

int authenticate_credentials(Authenticator *authenticator, const Credentials *credentials, Arena *arena, UserInfo **ret,
                             ApiError *err) {
    if (credentials->is_front) {
        bool believed = authenticator->front_name && streq_null(credentials->common_name, authenticator->front_name);
        UserInfo *named = believed ? of_front_proxy(credentials, arena) : NULL;
        if (named) {
            *ret = named;
            return 0;
        }
    } else if (!str_empty(credentials->common_name)) {
        *ret = of_certificate(credentials, arena);
        return 0;
    }
    const char *token = bearer_token(credentials->authorization, arena);
    if (!token && websocket_token(credentials->websocket_protocols, arena, &token) < 0)
        return unauthorized(err);
    if (!token && (credentials->is_front || credentials->is_unknown))
        return unauthorized(err); /* its certificate is nobody's */
    if (!token) {
        *ret = anonymous(arena);
        return 0;
    }
    const char *const *audiences;
    const char *error = NULL;
    if (authenticate_token(authenticator, token, NULL, arena, ret, &audiences, &error) < 0) {
        log_debug("refused: %s", error);
        return unauthorized(err);
    }
    return 0;
}

static bool request_header_at(const void *request, size_t index, const char **ret_name, const char **ret_value) {
    return http_header_at(request, index, ret_name, ret_value);
}

int authenticate_request(Authenticator *authenticator, const HttpRequest *request, Arena *arena, UserInfo **ret,
                         ApiError *err) {
    Credentials credentials = {
        .common_name = http_peer_cn(request),
        .is_front = http_peer_is_front(request),
        .is_unknown = http_peer_is_unknown(request),
        .header_at = request_header_at,
        .request = request,
        .fingerprint = http_peer_fingerprint(request),
        .authorization = http_header(request, "authorization"),
        .websocket_protocols = http_header(request, "sec-websocket-protocol"),
    };
    credentials.organizations = http_peer_organizations(request, &credentials.n_organizations);
    return authenticate_credentials(authenticator, &credentials, arena, ret, err);
}
