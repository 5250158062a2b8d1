/* Secrets of type kubernetes.io/service-account-token: each names a service account and gets a token of it that does
 * not expire, the certificate authority and the namespace. They live as long as the account. */
#define LOG_COMPONENT "account-tokens"
#include "controllers/controller.h"

#include "auth/jwt.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

#define TOKEN_TYPE "kubernetes.io/service-account-token"
#define NAME_ANNOTATION "kubernetes.io/service-account.name"
#define UID_ANNOTATION "kubernetes.io/service-account.uid"
#define WORKERS 2

typedef struct Tokens {
    Client *client;
    const char *ca_pem; /* of the configuration; NULL: none */
    JwtKey *key;
    Informer *accounts, *secrets;
    WorkQueue *secret_queue;  /* "namespace/secret": fill it, or delete it */
    WorkQueue *account_queue; /* "namespace/account/uid": delete the tokens of what is gone */
    WorkQueue *forget_queue;  /* "namespace/account/secret": the account names a secret that is gone */
} Tokens;

/* ---- events ---- */

static void account_deleted(Object *account, void *userdata) {
    _cleanup_free_ char *key =
        xasprintf("%s/%s/%s", object_namespace(account), object_name(account), object_uid(account));
    workqueue_add(((Tokens *)userdata)->account_queue, key);
}

static void secret_changed(Object *secret, void *userdata) {
    controller_enqueue(((Tokens *)userdata)->secret_queue, secret);
}

static void secret_updated(_unused_ Object *old, Object *secret, void *userdata) {
    secret_changed(secret, userdata);
}

static void secret_deleted(Object *secret, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *account = value_annotation(object_value(secret, arena), NAME_ANNOTATION);
    if (str_empty(account) || strchr(account, '/'))
        return;
    _cleanup_free_ char *key = xasprintf("%s/%s/%s", object_namespace(secret), account, object_name(secret));
    workqueue_add(((Tokens *)userdata)->forget_queue, key);
}

/* "a/b/c"; c in the arena. */
static bool split_three(Arena *arena, const char *key, KeyParts *ret, const char **ret_third) {
    char *text = arena_strdup(arena, key), *last = strrchr(text, '/');
    if (!last)
        return false;
    *last = 0;
    *ret_third = last + 1;
    return controller_key_split(text, ret);
}

/* ---- filling ---- */

/* The account of this name, with this uid when the secret says one. 0 and NULL: there is none. */
static int find_account(Tokens *all, const char *ns, const char *name, const char *uid, Object **ret) {
    _cleanup_object_ Object *account = informer_lookup(all->accounts, ns, name);
    if (!account || (!str_empty(uid) && !streq(uid, object_uid(account)))) {
        /* the cache may not show it yet */
        object_unref(TAKE_PTR(account));
        int r = client_get(all->client, informer_resource(all->accounts), ns, name, &account, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    bool same = account && (str_empty(uid) || streq(uid, object_uid(account)));
    *ret = same ? TAKE_PTR(account) : NULL;
    return 0;
}

static Value *encoded(Arena *arena, const char *text) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&out, text, strlen(text));
    Value *v = value_string(arena, str_or(out.data, ""));
    if (out.data)
        wipe(out.data, out.len);
    return v;
}

/* True when something was missing. */
static int fill(Tokens *all, Arena *arena, const Object *account, Value *secret, bool *ret_changed) {
    Value *data = value_get(secret, "data"), *ca = all->ca_pem ? encoded(arena, all->ca_pem) : NULL;
    bool needs_ca = ca && !value_equal(value_get(data, "ca.crt"), ca);
    bool needs_ns = str_empty(value_get_str(data, "namespace")), needs_token = str_empty(value_get_str(data, "token"));
    *ret_changed = needs_ca || needs_ns || needs_token;
    if (!*ret_changed)
        return 0;
    data = value_ensure_object(arena, secret, "data");
    if (needs_ca)
        value_set(arena, data, "ca.crt", ca);
    if (needs_ns)
        value_set(arena, data, "namespace", encoded(arena, object_namespace(account)));
    if (needs_token) {
        _cleanup_(wipe_freep) char *token = NULL;
        int r = jwt_sign(all->key,
                         legacy_token_claims(arena, object_namespace(account), object_name(account),
                                             object_uid(account), value_get_str(value_get(secret, "metadata"), "name")),
                         &token);
        if (r < 0)
            return r;
        value_set(arena, data, "token", encoded(arena, token));
    }
    Value *annotations = value_ensure_object(arena, value_ensure_object(arena, secret, "metadata"), "annotations");
    value_set_str(arena, annotations, NAME_ANNOTATION, object_name(account));
    value_set_str(arena, annotations, UID_ANNOTATION, object_uid(account));
    return 0;
}

static int delete_secret(Tokens *all, const Object *secret) {
    _cleanup_api_error_ ApiError err = {0};
    int r = client_delete(all->client, informer_resource(all->secrets), object_namespace(secret), object_name(secret),
                          &(ClientDelete){.uid = object_uid(secret), .grace_seconds = -1}, &err);
    /* gone, or another one of that name by now */
    return r == -ENOENT || err.code == 409 ? 0 : r;
}

static int sync_secret(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *account = NULL;
    Tokens *all = userdata;
    KeyParts parts;
    bool changed;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *secret = informer_lookup(all->secrets, parts.ns, parts.name);
    if (!secret)
        return 0;
    Value *value = object_value(secret, arena);
    const char *name = value_annotation(value, NAME_ANNOTATION);
    if (str_empty(name))
        return 0;
    int r =
        strchr(name, '/') ? 0 : find_account(all, parts.ns, name, value_annotation(value, UID_ANNOTATION), &account);
    if (r < 0)
        return r;
    if (!account) {
        log_debug("deleting the token secret %s: its service account does not exist", key);
        return delete_secret(all, secret);
    }
    r = fill(all, arena, account, value, &changed);
    if (r < 0 || !changed)
        return r;
    r = client_update(all->client, informer_resource(all->secrets), parts.ns, parts.name, NULL, value, NULL, &err);
    /* changed or deleted meanwhile: an event comes */
    return r == -ENOENT || err.code == 409 ? 0 : r;
}

/* ---- what is gone ---- */

static int sync_account(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList secrets = {0};
    Tokens *all = userdata;
    KeyParts parts;
    const char *uid;
    int result = 0;
    if (!split_three(arena, key, &parts, &uid))
        return 0;
    _cleanup_object_ Object *account = informer_lookup(all->accounts, parts.ns, parts.name);
    if (account && streq(object_uid(account), uid))
        return 0;
    informer_list(all->secrets, parts.ns, NULL, &secrets);
    for (size_t i = 0; i < secrets.n; i++) {
        const Value *value = object_value(secrets.items[i], arena);
        const char *of = value_annotation(value, UID_ANNOTATION);
        if (!streq_null(value_annotation(value, NAME_ANNOTATION), parts.name) || (!str_empty(of) && !streq(of, uid)))
            continue;
        int r = delete_secret(all, secrets.items[i]);
        if (r < 0)
            result = r;
    }
    return result;
}

static int sync_forget(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *account = NULL;
    Tokens *all = userdata;
    const Resource *resource = informer_resource(all->accounts);
    KeyParts parts;
    const char *secret;
    if (!split_three(arena, key, &parts, &secret))
        return 0;
    _cleanup_object_ Object *again = informer_lookup(all->secrets, parts.ns, secret);
    _cleanup_object_ Object *cached = informer_lookup(all->accounts, parts.ns, parts.name);
    if (again || !cached)
        return 0;
    int r = client_get(all->client, resource, parts.ns, parts.name, &account, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    Value *value = object_value(account, arena), *list = value_get(value, "secrets");
    size_t before = value_len(list);
    for (size_t i = before; i-- > 0;)
        if (streq_null(value_get_str(value_at(list, i), "name"), secret))
            value_remove_at(list, i);
    if (value_len(list) == before)
        return 0;
    if (value_len(list) == 0)
        value_remove(value, "secrets");
    r = client_update(all->client, resource, parts.ns, parts.name, NULL, value, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

/* ---- the row ---- */

static void *init(Controller *controller) {
    const ControllersConfig *config = controller_config(controller);
    JwtKey *key;
    if (str_empty(config->service_account_key_file))
        return NULL;
    int r = jwt_key_load(config->service_account_key_file, &key);
    if (r < 0) {
        log_error("cannot read the key of service account tokens %s: %s", config->service_account_key_file,
                  strerror(-r));
        return NULL;
    }
    Tokens *all = NEW0(Tokens);
    all->client = controller_client(controller);
    all->ca_pem = str_empty(config->root_ca_pem) ? NULL : config->root_ca_pem;
    all->key = key;
    all->accounts = controller_informer(controller, "", "v1", "serviceaccounts");
    all->secrets = controller_informer_selected(controller, "", "v1", "secrets", "type=" TOKEN_TYPE);
    all->secret_queue = controller_queue(controller, "serviceaccount_tokens_service", WORKERS, sync_secret, all);
    all->account_queue = controller_queue(controller, "serviceaccount_tokens_service", WORKERS, sync_account, all);
    all->forget_queue = controller_queue(controller, "token-references", 1, sync_forget, all);
    informer_add_handler(all->accounts, &(InformerHandler){.deleted = account_deleted}, all);
    informer_add_handler(all->secrets, &(InformerHandler){secret_changed, secret_updated, secret_deleted}, all);
    return all;
}

static void free_all(void *data) {
    jwt_key_free(((Tokens *)data)->key);
    free(data);
}

const ControllerRow controller_account_tokens = {
    .name = "serviceaccount-token-controller", .account = "", .init = init, .free = free_all};
