#define LOG_COMPONENT "auth"
#include "daemon/delegate.h"

#include "api/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#define PRIVILEGED_GROUP "system:masters"
#define KEY_MAX (2 * EVP_MAX_MD_SIZE + 1)
#define USER_JSON_MAX (64 * 1024)

typedef struct Remembered {
    char *text; /* JSON of a UserInfo, or why a decision was made; NULL: nothing */
    bool allowed;
    uint64_t until; /* monotonic */
} Remembered;

struct Delegate {
    DelegateConfig config;
    pthread_mutex_t lock;
    StrMap *tokens, *decisions; /* hash -> Remembered */
};

static void remembered_free(void *p) {
    Remembered *r = p;
    free(r->text);
    free(r);
}

Delegate *delegate_new(const DelegateConfig *config) {
    Delegate *d = NEW0(Delegate);
    d->config = *config;
    pthread_mutex_init(&d->lock, NULL);
    d->tokens = strmap_new(remembered_free);
    d->decisions = strmap_new(remembered_free);
    return d;
}

void delegate_free(Delegate *d) {
    if (!d)
        return;
    strmap_free(d->tokens);
    strmap_free(d->decisions);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* ---- what was answered before ---- */

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
    for (bool again = strmap_size(map) >= DELEGATE_CACHE_MAX; again;) {
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
    if (strmap_size(map) >= DELEGATE_CACHE_MAX)
        strmap_clear(map);
}

static void remember(Delegate *d, StrMap *map, const char *key, const char *text, bool allowed, uint64_t ttl_ns) {
    Remembered *r = NEW0(Remembered);
    *r = (Remembered){.text = xstrdup(text), .allowed = allowed, .until = now_monotonic_ns() + ttl_ns};
    pthread_mutex_lock(&d->lock);
    make_room(map);
    strmap_put(map, key, r);
    pthread_mutex_unlock(&d->lock);
}

static bool recall(Delegate *d, const StrMap *map, const char *key, Arena *arena, const char **ret_text,
                   bool *ret_allowed) {
    pthread_mutex_lock(&d->lock);
    const Remembered *r = strmap_get(map, key);
    bool known = r && r->until > now_monotonic_ns();
    if (known) {
        *ret_text = r->text ? arena_strdup(arena, r->text) : NULL;
        *ret_allowed = r->allowed;
    }
    pthread_mutex_unlock(&d->lock);
    return known;
}

/* ---- who ---- */

static Value *user_new(Arena *arena, const char *name, const char *const *groups, size_t n, const char *and_group) {
    Value *user = value_object(arena), *list = value_array(arena);
    value_set_str(arena, user, "username", name);
    for (size_t i = 0; i < n; i++)
        value_append(arena, list, value_string(arena, groups[i]));
    value_append(arena, list, value_string(arena, and_group));
    value_set(arena, user, "groups", list);
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

static Value *parse_user(Arena *arena, const char *json) {
    Value *user = NULL;
    return json && json_parse(arena, json, strlen(json), &user, NULL, NULL) == 0 ? user : NULL;
}

/* NULL: the token is nobody's, or the API server could not say. */
static Value *review_token(Delegate *d, Arena *arena, const char *token, const char *key) {
    const Resource *reviews = resource_find("authentication.k8s.io", "v1", "tokenreviews");
    Value *body = value_object(arena), *answer = NULL;
    _cleanup_api_error_ ApiError err = {0};
    value_set_str(arena, body, "apiVersion", "authentication.k8s.io/v1");
    value_set_str(arena, body, "kind", "TokenReview");
    value_set_str(arena, value_ensure_object(arena, body, "spec"), "token", token);
    int r = client_create_subresource(d->config.authentication, reviews, NULL, NULL, NULL, body, arena, &answer, &err);
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
        remember(d, d->tokens, key, user ? json.data : NULL, user != NULL, d->config.token_ttl_ns);
    return user;
}

static const Value *identify_token(Delegate *d, Arena *arena, const char *token) {
    char key[KEY_MAX];
    const char *json = NULL;
    bool good = false;
    hash_key(token, key);
    const Value *user =
        recall(d, d->tokens, key, arena, &json, &good) ? parse_user(arena, json) : review_token(d, arena, token, key);
    return str_empty(value_get_str(user, "username")) ? NULL : user;
}

const Value *delegate_identify(Delegate *d, const HttpRequest *http, Arena *arena) {
    size_t n;
    const char *const *organizations = http_peer_organizations(http, &n);
    const char *name = http_peer_cn(http), *token = d->config.authentication ? bearer_token(http) : NULL;
    if (!str_empty(name))
        return user_new(arena, name, organizations, n, "system:authenticated");
    if (token)
        return identify_token(d, arena, token);
    return d->config.anonymous && !http_peer_is_unknown(http)
               ? user_new(arena, "system:anonymous", NULL, 0, "system:unauthenticated")
               : NULL;
}

bool delegate_is_privileged(const Value *user) {
    const Value *group;
    VALUE_FOREACH (group, value_get(user, "groups"))
        if (streq(str_or(value_str(group), ""), PRIVILEGED_GROUP))
            return true;
    return false;
}

/* ---- whether ---- */

static Value *access_review(Arena *arena, const Value *user, const char *kind, Value *attributes) {
    static const char *const copied[][2] = {
        {"username", "user"}, {"groups", "groups"}, {"uid", "uid"}, {"extra", "extra"}};
    Value *body = value_object(arena), *spec = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(copied); i++)
        if (!value_is_empty(value_get(user, copied[i][0])))
            value_set(arena, spec, copied[i][1], value_copy(arena, value_get(user, copied[i][0])));
    value_set(arena, spec, kind, attributes);
    value_set_str(arena, body, "apiVersion", "authorization.k8s.io/v1");
    value_set_str(arena, body, "kind", "SubjectAccessReview");
    value_set(arena, body, "spec", spec);
    return body;
}

int delegate_ask(Delegate *d, Arena *arena, const Value *user, const char *kind, Value *attributes, bool *ret_allowed,
                 const char **ret_why) {
    const Resource *reviews = resource_find("authorization.k8s.io", "v1", "subjectaccessreviews");
    Value *body = access_review(arena, user, kind, attributes), *answer = NULL;
    _cleanup_buf_ Buf json = BUF_INIT(USER_JSON_MAX);
    _cleanup_api_error_ ApiError err = {0};
    char key[KEY_MAX];
    *ret_why = "";
    *ret_allowed = false;
    if (!d->config.authorization)
        return 0;
    value_write_json(&json, body);
    if (json.failed)
        return -E2BIG;
    hash_key(json.data, key);
    if (recall(d, d->decisions, key, arena, ret_why, ret_allowed)) {
        *ret_why = str_or(*ret_why, "");
        return 0;
    }
    int r = client_create_subresource(d->config.authorization, reviews, NULL, NULL, NULL, body, arena, &answer, &err);
    if (r < 0) {
        *ret_why = arena_strdup(arena, str_or(err.message, strerror(-r)));
        log_warn("access of %s: %s", value_get_str(user, "username"), *ret_why);
        return r;
    }
    const Value *status = value_get(answer, "status");
    *ret_allowed = value_get_bool(status, "allowed", false);
    *ret_why = str_or(value_get_str(status, "reason"), "");
    remember(d, d->decisions, key, *ret_why, *ret_allowed,
             *ret_allowed ? d->config.allowed_ttl_ns : d->config.denied_ttl_ns);
    return 0;
}
