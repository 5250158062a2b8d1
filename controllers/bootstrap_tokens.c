/* What becomes of bootstrap tokens (Secrets of their own type in kube-system), as kubeadm uses them. The signer keeps
 * in kube-public/cluster-info a signature of its kubeconfig by each token, so that who knows one can tell the right
 * cluster; the cleaner deletes those that have expired. The reference has both off by default. */
#include "auth/bootstrap_token.h"
#include "base/clock.h"
#include "base/str.h"
#include "controllers/controller.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define INFO_NAMESPACE "kube-public"
#define INFO_NAME "cluster-info"
#define SIGNATURE_PREFIX "jws-kubeconfig-"
#define JWS_MAX (2 * 1024 * 1024) /* a ConfigMap has at most 1 MiB */

typedef struct Bootstrap {
    Client *client;
    Informer *secrets, *info;
    WorkQueue *queue;
} Bootstrap;

static bool is_token(const Object *secret, const Value *value) {
    return streq(object_namespace(secret), BOOTSTRAP_TOKEN_NAMESPACE) &&
           streq_null(value_get_str(value, "type"), BOOTSTRAP_TOKEN_TYPE);
}

/* Until it expires: 0 when it has, -1 when it never does (or does not say when). What cannot be read has expired. */
static int64_t time_left(Arena *arena, const Value *secret, int64_t now) {
    const char *text = bootstrap_token_datum(arena, secret, "expiration");
    int64_t at;
    if (!*text)
        return -1;
    return rfc3339_parse(text, &at) < 0 ? 0 : MAX(at - now, (int64_t)0);
}

/* ---- the cleaner ---- */

static int clean(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Bootstrap *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *secret = informer_lookup(all->secrets, parts.ns, parts.name);
    const Value *value = secret ? object_value(secret, arena) : NULL;
    if (!secret || !is_token(secret, value))
        return 0;
    int64_t left = time_left(arena, value, now_realtime_ns());
    if (left < 0)
        return 0;
    if (left > 0) {
        workqueue_add_after(all->queue, key, (uint64_t)left);
        return 0;
    }
    int r = client_delete(all->client, object_resource(secret), parts.ns, parts.name,
                          &(ClientDelete){.uid = object_uid(secret), .grace_seconds = -1}, NULL);
    return r == -ENOENT || r == -ESTALE ? 0 : r;
}

static void *init_cleaner(Controller *controller) {
    Bootstrap *all = NEW0(Bootstrap);
    all->client = controller_client(controller);
    all->secrets = controller_informer(controller, "", "v1", "secrets");
    all->queue = controller_queue(controller, "token_cleaner", 1, clean, all);
    controller_watch(all->secrets, all->queue);
    return all;
}

/* ---- the signer ---- */

/* A JWS of the content (RFC 7515, HS256) without the content itself: header..signature. */
static char *detached_signature(Arena *arena, const char *content, const char *id, const char *secret) {
    _cleanup_buf_ Buf jws = BUF_INIT(JWS_MAX);
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n_mac = 0;
    char *header = arena_printf(arena, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", id);
    base64url_encode(&jws, header, strlen(header));
    size_t header_len = jws.len;
    buf_puts(&jws, ".");
    base64url_encode(&jws, content, strlen(content));
    if (jws.failed || !HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)jws.data, jws.len, mac, &n_mac))
        return NULL;
    _cleanup_buf_ Buf out = BUF_INIT(4096);
    buf_append(&out, jws.data, header_len);
    buf_puts(&out, "..");
    base64url_encode(&out, mac, n_mac);
    return arena_strndup(arena, out.data, out.len);
}

/* The id of a token that may sign now; NULL: it may not. */
static const char *signing_id(Arena *arena, const Object *secret, const Value *value) {
    const char *id = bootstrap_token_datum(arena, value, "token-id");
    bool named = str_has_prefix(object_name(secret), BOOTSTRAP_TOKEN_PREFIX) &&
                 streq(object_name(secret) + strlen(BOOTSTRAP_TOKEN_PREFIX), id);
    return is_token(secret, value) && named && strlen(id) == BOOTSTRAP_TOKEN_ID_LEN &&
                   strlen(bootstrap_token_datum(arena, value, "token-secret")) == BOOTSTRAP_TOKEN_SECRET_LEN &&
                   time_left(arena, value, now_realtime_ns()) != 0 &&
                   streq(bootstrap_token_datum(arena, value, "usage-bootstrap-signing"), "true")
               ? id
               : NULL;
}

static int sign(_unused_ const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList secrets = {0};
    Bootstrap *all = userdata;
    _cleanup_object_ Object *info = informer_lookup(all->info, INFO_NAMESPACE, INFO_NAME);
    Value *value = info ? object_value(info, arena) : NULL, *data = value_get(value, "data");
    const char *content = value_get_str(data, "kubeconfig");
    if (!content)
        return 0;
    Value *wanted = value_object(arena);
    VALUE_FOREACH_MEMBER (member, data)
        if (!str_has_prefix(member->name, SIGNATURE_PREFIX))
            value_set(arena, wanted, member->name, value_copy(arena, member->value));
    informer_list(all->secrets, BOOTSTRAP_TOKEN_NAMESPACE, NULL, &secrets);
    for (size_t i = 0; i < secrets.n; i++) {
        const Value *secret = object_value(secrets.items[i], arena);
        const char *id = signing_id(arena, secrets.items[i], secret);
        char *signature =
            id ? detached_signature(arena, content, id, bootstrap_token_datum(arena, secret, "token-secret")) : NULL;
        if (signature)
            value_set_str(arena, wanted, arena_printf(arena, SIGNATURE_PREFIX "%s", id), signature);
    }
    if (value_equal(wanted, data))
        return 0;
    value_set(arena, value, "data", wanted);
    int r = client_update(all->client, object_resource(info), INFO_NAMESPACE, INFO_NAME, NULL, value, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

static void poke(_unused_ Object *object, void *userdata) {
    workqueue_add(((Bootstrap *)userdata)->queue, INFO_NAMESPACE "/" INFO_NAME);
}

static void poke_updated(_unused_ Object *old, Object *object, void *userdata) {
    poke(object, userdata);
}

static void *init_signer(Controller *controller) {
    Bootstrap *all = NEW0(Bootstrap);
    all->client = controller_client(controller);
    all->secrets = controller_informer(controller, "", "v1", "secrets");
    all->info = controller_informer_selected(controller, "", "v1", "configmaps", "metadata.name=" INFO_NAME);
    all->queue = controller_queue(controller, "bootstrap_signer_queue", 1, sign, all);
    informer_add_handler(all->secrets, &(InformerHandler){poke, poke_updated, poke}, all);
    informer_add_handler(all->info, &(InformerHandler){poke, poke_updated, NULL}, all);
    return all;
}

const ControllerRow controller_bootstrap_signer = {
    .name = "bootstrap-signer-controller", .account = "bootstrap-signer", .off_by_default = true, .init = init_signer};
const ControllerRow controller_token_cleaner = {
    .name = "token-cleaner-controller", .account = "token-cleaner", .off_by_default = true, .init = init_cleaner};
