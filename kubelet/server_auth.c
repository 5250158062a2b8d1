#include "kubelet/server_auth.h"

#include "api/json.h"
#include "base/clock.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#define PRIVILEGED_GROUP "system:masters"
#define KEY_MAX (2 * EVP_MAX_MD_SIZE + 1)
#define USER_JSON_MAX (64 * 1024)

typedef struct Remembered {
    char *user; /* JSON of a UserInfo; NULL: of a decision */
    bool allowed;
    uint64_t until; /* monotonic */
} Remembered;

struct AuthCache {
    pthread_mutex_t lock;
    StrMap *tokens, *decisions; /* hash -> Remembered */
};

static void remembered_free(void *p) {
    Remembered *r = p;
    free(r->user);
    free(r);
}

AuthCache *auth_cache_new(void) {
    AuthCache *c = NEW0(AuthCache);
    pthread_mutex_init(&c->lock, NULL);
    c->tokens = strmap_new(remembered_free);
    c->decisions = strmap_new(remembered_free);
    return c;
}

void auth_cache_free(AuthCache *c) {
    if (!c)
        return;
    strmap_free(c->tokens);
    strmap_free(c->decisions);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* No token is kept: only its hash. */
static void hash_key(const char *text, char out[KEY_MAX]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    out[0] = 0;
    if (EVP_Digest(text, strlen(text), digest, &n, EVP_sha256(), NULL) != 1)
        abort(); /* SHA-256 is always there */
    for (unsigned i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Under the lock. */
static void make_room(StrMap *map) {
    uint64_t now = now_monotonic_ns();
    for (bool again = strmap_size(map) >= AUTH_CACHE_MAX; again;) {
        const char *key, *old = NULL;
        Remembered *r;
        STRMAP_FOREACH (map, key, r)
            if (r->until <= now)
                old = key;
        again = old != NULL;
        if (old) {
            char copy[KEY_MAX];
            snprintf(copy, sizeof copy, "%s", old);
            strmap_remove(map, copy);
        }
    }
    if (strmap_size(map) >= AUTH_CACHE_MAX)
        strmap_clear(map);
}

static void remember(AuthCache *c, StrMap *map, const char *key, const char *user, bool allowed, uint64_t ttl_ns) {
    Remembered *r = NEW0(Remembered);
    *r = (Remembered){.user = xstrdup(user), .allowed = allowed, .until = now_monotonic_ns() + ttl_ns};
    pthread_mutex_lock(&c->lock);
    make_room(map);
    strmap_put(map, key, r);
    pthread_mutex_unlock(&c->lock);
}

static bool recall(AuthCache *c, const StrMap *map, const char *key, Arena *arena, const char **ret_user,
                   bool *ret_allowed) {
    pthread_mutex_lock(&c->lock);
    const Remembered *r = strmap_get(map, key);
    bool known = r && r->until > now_monotonic_ns();
    if (known && ret_user)
        *ret_user = r->user ? arena_strdup(arena, r->user) : NULL;
    if (known)
        *ret_allowed = r->allowed;
    pthread_mutex_unlock(&c->lock);
    return known;
}

/* ---- who ---- */

static bool is_privileged(const HttpRequest *http) {
    size_t n;
    const char *const *organizations = http_peer_organizations(http, &n);
    for (size_t i = 0; i < n; i++)
        if (streq(organizations[i], PRIVILEGED_GROUP))
            return true;
    return false;
}

static Value *certificate_user(const Call *call) {
    size_t n;
    const char *const *organizations = http_peer_organizations(call->http, &n);
    Value *user = value_object(call->arena), *groups = value_array(call->arena);
    value_set_str(call->arena, user, "username", http_peer_cn(call->http));
    for (size_t i = 0; i < n; i++)
        value_append(call->arena, groups, value_string(call->arena, organizations[i]));
    value_append(call->arena, groups, value_string(call->arena, "system:authenticated"));
    value_set(call->arena, user, "groups", groups);
    return user;
}

static Value *parse_user(const Call *call, const char *json) {
    Value *user = NULL;
    return json && json_parse(call->arena, json, strlen(json), &user, NULL, NULL) == 0 ? user : NULL;
}

/* NULL: the token is nobody's, or the API server could not say. */
static Value *review_token(const Call *call, const char *token, const char *key) {
    Arena *arena = call->arena;
    const Resource *reviews = resource_find("authentication.k8s.io", "v1", "tokenreviews");
    Value *body = value_object(arena), *answer = NULL;
    _cleanup_api_error_ ApiError err = {0};
    value_set_str(arena, body, "apiVersion", "authentication.k8s.io/v1");
    value_set_str(arena, body, "kind", "TokenReview");
    value_set_str(arena, value_ensure_object(arena, body, "spec"), "token", token);
    int r = client_create_subresource(call->k->client, reviews, NULL, NULL, NULL, body, arena, &answer, &err);
    if (r < 0) {
        log_warn("a token could not be reviewed: %s", str_or(err.message, strerror(-r)));
        return NULL; /* not remembered: the next one is asked again */
    }
    const Value *status = value_get(answer, "status");
    Value *user = value_get_bool(status, "authenticated", false) ? value_copy(arena, value_get(status, "user")) : NULL;
    _cleanup_buf_ Buf json = BUF_INIT(USER_JSON_MAX);
    if (user)
        value_write_json(&json, user);
    if (!json.failed)
        remember(call->k->auth, call->k->auth->tokens, key, user ? json.data : NULL, user != NULL, TOKEN_TTL_NS);
    return user;
}

static const char *bearer_token(const HttpRequest *http) {
    const char *header = http_header(http, "authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    header += 7;
    header += strspn(header, " ");
    return *header ? header : NULL;
}

static Value *find_user(const Call *call) {
    if (http_peer_cn(call->http))
        return certificate_user(call);
    const char *token = bearer_token(call->http), *json = NULL;
    if (!token)
        return NULL;
    char key[KEY_MAX];
    bool allowed = false;
    hash_key(token, key);
    if (recall(call->k->auth, call->k->auth->tokens, key, call->arena, &json, &allowed))
        return allowed ? parse_user(call, json) : NULL;
    return review_token(call, token, key);
}

/* ---- whether ---- */

static bool is_below(const char *path, const char *root) {
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == 0 || path[n] == '/');
}

size_t auth_subresources(const char *path, const char *ret[AUTH_SUBRESOURCES_MAX]) {
    static const struct {
        const char *root, *subresource;
        bool proxy_too; /* what nodes/proxy allowed before there was a finer name */
    } table[] = {
        {"/pods", "pods", true},        {"/healthz", "healthz", true},        {"/configz", "configz", true},
        {"/runningpods", "pods", true}, {"/stats", "stats", false},           {"/metrics", "metrics", false},
        {"/logs", "log", false},        {"/checkpoint", "checkpoint", false}, {"/statusz", "statusz", false},
        {"/flagz", "configz", false},
    };
    size_t n = 0;
    bool proxy = true;
    for (size_t i = 0; i < ELEMENTSOF(table) && n == 0; i++)
        if (is_below(path, table[i].root)) {
            ret[n++] = table[i].subresource;
            proxy = table[i].proxy_too;
        }
    if (proxy)
        ret[n++] = "proxy";
    return n;
}

const char *auth_verb(const char *method) {
    static const struct {
        const char *method, *verb;
    } table[] = {{"POST", "create"}, {"GET", "get"}, {"PUT", "update"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (streq(method, table[i].method))
            return table[i].verb;
    return "";
}

static Value *access_review(const Call *call, const Value *user, const char *verb, const char *subresource) {
    static const char *const copied[][2] = {
        {"username", "user"}, {"groups", "groups"}, {"uid", "uid"}, {"extra", "extra"}};
    Arena *arena = call->arena;
    Value *body = value_object(arena), *spec = value_object(arena), *attributes = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(copied); i++)
        if (!value_is_empty(value_get(user, copied[i][0])))
            value_set(arena, spec, copied[i][1], value_copy(arena, value_get(user, copied[i][0])));
    value_set_str(arena, attributes, "verb", verb);
    value_set_str(arena, attributes, "version", "v1");
    value_set_str(arena, attributes, "resource", "nodes");
    value_set_str(arena, attributes, "subresource", subresource);
    value_set_str(arena, attributes, "name", call->k->config.node_name);
    value_set(arena, spec, "resourceAttributes", attributes);
    value_set_str(arena, body, "apiVersion", "authorization.k8s.io/v1");
    value_set_str(arena, body, "kind", "SubjectAccessReview");
    value_set(arena, body, "spec", spec);
    return body;
}

/* 0 with *ret_allowed, or negative errno when the API server could not say. */
static int ask(const Call *call, const Value *user, const char *verb, const char *subresource, bool *ret_allowed) {
    const Resource *reviews = resource_find("authorization.k8s.io", "v1", "subjectaccessreviews");
    Value *body = access_review(call, user, verb, subresource), *answer = NULL;
    _cleanup_buf_ Buf json = BUF_INIT(USER_JSON_MAX);
    char key[KEY_MAX];
    value_write_json(&json, body);
    if (json.failed)
        return -E2BIG;
    hash_key(json.data, key);
    if (recall(call->k->auth, call->k->auth->decisions, key, call->arena, NULL, ret_allowed))
        return 0;
    _cleanup_api_error_ ApiError err = {0};
    int r = client_create_subresource(call->k->client, reviews, NULL, NULL, NULL, body, call->arena, &answer, &err);
    if (r < 0) {
        log_warn("access of %s to nodes/%s: %s", value_get_str(user, "username"), subresource,
                 str_or(err.message, strerror(-r)));
        return r;
    }
    *ret_allowed = value_get_bool(value_get(answer, "status"), "allowed", false);
    remember(call->k->auth, call->k->auth->decisions, key, NULL, *ret_allowed,
             *ret_allowed ? ALLOWED_TTL_NS : DENIED_TTL_NS);
    return 0;
}

bool auth_check(Call *call) {
    if (is_privileged(call->http)) /* the API server itself and administrators; a review would say the same */
        return true;
    const Value *user = find_user(call);
    const char *name = value_get_str(user, "username");
    if (str_empty(name)) {
        call_error(call, 401, "Unauthorized");
        return false;
    }
    const char *list[AUTH_SUBRESOURCES_MAX], *verb = auth_verb(http_method(call->http));
    size_t n = auth_subresources(http_path(call->http), list);
    for (size_t i = 0; i < n; i++) {
        bool allowed = false;
        if (ask(call, user, verb, list[i], &allowed) < 0) {
            call_error(call, 500, "Authorization error (user=%s, verb=%s, resource=nodes, subresource=%s)", name, verb,
                       list[i]);
            return false;
        }
        if (allowed)
            return true;
    }
    call_error(call, 403, "Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=[%s%s%s])\n", name, verb,
               list[0], n > 1 ? " " : "", n > 1 ? list[1] : "");
    return false;
}
