/* Who someone is, and what they may do, over a store with a driver in memory. */
#include "../storage/helpers.h"
#include "apiserver/filters/authn.h"
#include "apiserver/filters/authz.h"
#include "base/clock.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>

typedef struct Fixture {
    MemoryDriver *driver;
    Store *store;
    Authorizer *authorizer;
    Authenticator *authenticator;
    JwtKey *key, *other_key, *rsa_key;
    JwtKeys keys; /* of `key` and `rsa_key` */
    Arena *arena;
    char *folder;
} Fixture;

static void add(Fixture *fixture, const char *group, const char *plural, const char *json) {
    const Resource *resource = resource_find(group, "v1", plural);
    assert_non_null(resource);
    _cleanup_object_ Object *object = NULL;
    assert_int_equal(object_from_json(resource->storage, json, strlen(json), 0, &object), 0);
    assert_int_equal(store_create(fixture->store, object, NULL), 0);
}

static const char *const issuers[] = {"https://kubernetes.default.svc", "https://older.example.com", NULL};

static void write_rsa_key(const char *path) {
    FILE *file = fopen(path, "w");
    EVP_PKEY *key = EVP_RSA_gen(2048);
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    EVP_PKEY_free(key);
}

static int set_up(void **state) {
    Fixture *fixture = NEW0(Fixture);
    fixture->driver = memory_driver_new();
    fixture->arena = arena_new(0);
    fixture->folder = scratch_folder();
    assert_int_equal(store_open(&fixture->driver->base, NULL, &fixture->store), 0);
    assert_int_equal(authorizer_new(fixture->store, &fixture->authorizer), 0);
    char *path = arena_printf(fixture->arena, "%s/sa.key", fixture->folder);
    char *other = arena_printf(fixture->arena, "%s/other.key", fixture->folder);
    char *tokens = arena_printf(fixture->arena, "%s/tokens.csv", fixture->folder);
    static const char csv[] = "t0k,admin,1,\"system:masters,dev\"\n\"a\"\"b\",bob,2\n";
    assert_int_equal(fs_write_atomic(tokens, csv, strlen(csv), 0600), 0);
    assert_int_equal(jwt_key_load_or_make(path, &fixture->key), 0);
    assert_int_equal(jwt_key_load_or_make(other, &fixture->other_key), 0);
    char *rsa = arena_printf(fixture->arena, "%s/rsa.key", fixture->folder);
    write_rsa_key(rsa);
    assert_int_equal(jwt_key_load(rsa, &fixture->rsa_key), 0);
    jwt_keys_add(&fixture->keys, jwt_key_public(fixture->key));
    assert_int_equal(jwt_keys_load(rsa, &fixture->keys), 0);
    AuthnConfig config = {.store = fixture->store,
                          .token_file = tokens,
                          .issuers = issuers,
                          .audiences = issuers,
                          .keys = &fixture->keys,
                          .front_name = "front"};
    assert_int_equal(authenticator_new(&config, &fixture->authenticator), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    authenticator_free(fixture->authenticator);
    authorizer_free(fixture->authorizer);
    jwt_key_free(fixture->key);
    jwt_key_free(fixture->other_key);
    jwt_key_free(fixture->rsa_key);
    jwt_keys_done(&fixture->keys);
    store_close(fixture->store);
    memory_driver_free(fixture->driver);
    arena_free(fixture->arena);
    scratch_remove(fixture->folder);
    free(fixture);
    return 0;
}

/* The user a bearer token makes; NULL: 401. */
static UserInfo *who(Fixture *fixture, const char *token) {
    UserInfo *user = NULL;
    _cleanup_api_error_ ApiError err = {0};
    Credentials credentials = {.authorization = token ? arena_printf(fixture->arena, "Bearer %s", token) : NULL};
    int r = authenticate_credentials(fixture->authenticator, &credentials, fixture->arena, &user, &err);
    if (r < 0) {
        assert_int_equal(err.code, 401);
        assert_string_equal(err.message, "Unauthorized");
    }
    return user;
}

static void knows_static_tokens(void **state) {
    Fixture *fixture = *state;
    UserInfo *admin = who(fixture, "t0k");
    assert_string_equal(admin->name, "admin");
    assert_string_equal(admin->uid, "1");
    assert_true(user_in_group(admin, "system:masters") && user_in_group(admin, "dev"));
    assert_true(user_in_group(admin, "system:authenticated"));
    assert_string_equal(who(fixture, "a\"b")->name, "bob");
    assert_null(who(fixture, "wrong"));
    UserInfo *nobody = who(fixture, NULL);
    assert_string_equal(nobody->name, "system:anonymous");
    assert_false(user_in_group(nobody, "system:authenticated"));
}

static bool pair_at(const void *request, size_t index, const char **ret_name, const char **ret_value) {
    const Pair *pair = (const Pair *)request + index;
    *ret_name = pair->key;
    *ret_value = pair->value;
    return pair->key;
}

/* Whom a front proxy with this certificate speaks for; NULL: 401. */
static UserInfo *through(Fixture *fixture, const char *name, const Pair *headers, const char *token) {
    UserInfo *user = NULL;
    _cleanup_api_error_ ApiError err = {0};
    Credentials credentials = {.common_name = name,
                               .is_front = true,
                               .header_at = pair_at,
                               .request = headers,
                               .authorization = token ? arena_printf(fixture->arena, "Bearer %s", token) : NULL};
    if (authenticate_credentials(fixture->authenticator, &credentials, fixture->arena, &user, &err) < 0)
        assert_int_equal(err.code, 401);
    return user;
}

static void believes_front_proxies(void **state) {
    Fixture *fixture = *state;
    static const Pair jane[] = {{"x-remote-user", "jane"},
                                {"x-remote-group", "a"},
                                {"x-remote-group", ""},
                                {"x-remote-group", "b"},
                                {"x-remote-uid", "7"},
                                {"x-remote-extra-scopes%2fx", "1"},
                                {"x-remote-extra-scopes%2fx", "2"},
                                {NULL, NULL}};
    static const Pair nobody[] = {
        {"x-remote-user", "system:anonymous"}, {"x-remote-group", "system:unauthenticated"}, {NULL, NULL}};
    static const Pair none[] = {{"x-remote-group", "system:masters"}, {NULL, NULL}};
    const UserInfo *user = through(fixture, "front", jane, NULL);
    assert_string_equal(user->name, "jane");
    assert_string_equal(user->uid, "7");
    assert_string_equal(user->groups[0], "a");
    assert_string_equal(user->groups[1], "b");
    assert_string_equal(user->groups[2], "system:authenticated");
    assert_null(user->groups[3]);
    assert_int_equal(user->n_extra, 2);
    assert_string_equal(user->extra[1].key, "scopes/x");
    assert_string_equal(user->extra[1].value, "2");
    user = through(fixture, "front", nobody, NULL);
    assert_string_equal(user->name, "system:anonymous");
    assert_false(user_in_group(user, "system:authenticated"));
    /* Its certificate is no user's: without a name there is only what else the request shows. */
    assert_null(through(fixture, "front", none, NULL));
    assert_string_equal(through(fixture, "front", none, "t0k")->name, "admin");
    assert_null(through(fixture, "another", jane, NULL));
    assert_string_equal(through(fixture, "another", jane, "t0k")->name, "admin");
}

/* A certificate that nobody vouches for takes the place of none, and not that of a token. */
static void knows_no_unknown_certificates(void **state) {
    Fixture *fixture = *state;
    UserInfo *user = NULL;
    _cleanup_api_error_ ApiError err = {0};
    Credentials credentials = {.is_unknown = true};
    assert_int_equal(authenticate_credentials(fixture->authenticator, &credentials, fixture->arena, &user, &err),
                     -EPERM);
    assert_int_equal(err.code, 401);
    credentials.authorization = "Bearer t0k";
    assert_int_equal(authenticate_credentials(fixture->authenticator, &credentials, fixture->arena, &user, &err), 0);
    assert_string_equal(user->name, "admin");
}

static char *account_token(Fixture *fixture, const JwtKey *key, int64_t shift, const char *audience, const char *issuer,
                           const char *uid) {
    const char *audiences[] = {audience, NULL};
    ServiceAccountToken token = {.issuer = issuer,
                                 .audiences = audiences,
                                 .ns = "d",
                                 .name = "sa",
                                 .uid = uid,
                                 .pod_name = "p",
                                 .pod_uid = "u-p",
                                 .now_seconds = now_realtime_ns() / (int64_t)NS_PER_SEC + shift,
                                 .expiration_seconds = 600};
    char *text = NULL;
    assert_int_equal(jwt_sign(key, service_account_claims(fixture->arena, &token), &text), 0);
    char *copy = arena_strdup(fixture->arena, text);
    free(text);
    return copy;
}

static void knows_service_accounts(void **state) {
    Fixture *fixture = *state;
    static const char iss[] = "https://kubernetes.default.svc";
    char *good = account_token(fixture, fixture->key, 0, iss, iss, "u-sa");
    assert_null(who(fixture, good)); /* there is no such account */
    add(fixture, "", "serviceaccounts",
        "{\"kind\":\"ServiceAccount\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"sa\","
        "\"namespace\":\"d\",\"uid\":\"u-sa\"}}");
    assert_null(who(fixture, good)); /* nor such a pod */
    add(fixture, "", "pods",
        "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\","
        "\"uid\":\"u-p\"}}");
    UserInfo *user = who(fixture, good);
    assert_non_null(user);
    assert_string_equal(user->name, "system:serviceaccount:d:sa");
    assert_string_equal(user->uid, "u-sa");
    assert_true(user_in_group(user, "system:serviceaccounts:d"));
    assert_null(who(fixture, account_token(fixture, fixture->other_key, 0, iss, iss, "u-sa")));
    assert_null(who(fixture, account_token(fixture, fixture->key, -1000, iss, iss, "u-sa"))); /* expired */
    assert_null(who(fixture, account_token(fixture, fixture->key, 1000, iss, iss, "u-sa")));  /* not yet */
    assert_null(who(fixture, account_token(fixture, fixture->key, 0, "other", iss, "u-sa")));
    assert_null(who(fixture, account_token(fixture, fixture->key, 0, iss, "https://evil", "u-sa")));
    assert_null(who(fixture, account_token(fixture, fixture->key, 0, iss, iss, "u-older")));
    /* one bit of the claims changed, and no signature at all */
    char *forged = arena_strdup(fixture->arena, good);
    strchr(forged, '.')[10] ^= 1;
    assert_null(who(fixture, forged));
    char *none = arena_printf(fixture->arena, "eyJhbGciOiJub25lIn0%s", strchr(good, '.'));
    strrchr(none, '.')[1] = 0;
    assert_null(who(fixture, none));
    assert_int_equal(store_delete(fixture->store, resource_find("", "v1", "pods"), "d", "p", 0, NULL, NULL), 0);
    assert_null(who(fixture, good));
}

static void put_token_secret(Fixture *fixture, const char *token, const char *labels) {
    _cleanup_buf_ Buf data = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&data, token, strlen(token));
    store_delete(fixture->store, resource_find("", "v1", "secrets"), "d", "t", 0, NULL, NULL);
    add(fixture, "", "secrets",
        arena_printf(fixture->arena,
                     "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"t\",\"namespace\":\"d\","
                     "\"uid\":\"u-t\",\"labels\":{%s}},\"data\":{\"token\":\"%s\"}}",
                     labels, data.data));
}

/* Why TokenReview says a token is not good. */
static const char *why_not(Fixture *fixture, const char *token) {
    const char *const *audiences;
    const char *error = NULL;
    UserInfo *user;
    assert_int_equal(authenticate_token(fixture->authenticator, token, NULL, fixture->arena, &user, &audiences, &error),
                     -EPERM);
    return error;
}

static void knows_tokens_kept_in_secrets(void **state) {
    static const char account[] = "{\"kind\":\"ServiceAccount\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"sa\","
                                  "\"namespace\":\"d\",\"uid\":\"u-sa\"}}";
    Fixture *fixture = *state;
    _cleanup_free_ char *token = NULL, *other = NULL, *forged = NULL;
    assert_int_equal(jwt_sign(fixture->key, legacy_token_claims(fixture->arena, "d", "sa", "u-sa", "t"), &token), 0);
    assert_int_equal(jwt_sign(fixture->key, legacy_token_claims(fixture->arena, "d", "sa", "u-old", "t"), &other), 0);
    assert_int_equal(jwt_sign(fixture->other_key, legacy_token_claims(fixture->arena, "d", "sa", "u-sa", "t"), &forged),
                     0);
    assert_string_equal(why_not(fixture, token), "[invalid bearer token, Token has been invalidated]");
    put_token_secret(fixture, other, "");
    assert_string_equal(why_not(fixture, token), "[invalid bearer token, Token does not match server's copy]");
    put_token_secret(fixture, token, "");
    assert_string_equal(why_not(fixture, token), "[invalid bearer token, serviceaccounts \"sa\" not found]");
    add(fixture, "", "serviceaccounts", account);
    UserInfo *user = who(fixture, token);
    assert_non_null(user);
    assert_string_equal(user->name, "system:serviceaccount:d:sa");
    assert_string_equal(user->uid, "u-sa");
    assert_true(user_in_group(user, "system:serviceaccounts:d"));
    put_token_secret(fixture, other, "");
    assert_string_equal(why_not(fixture, other),
                        "[invalid bearer token, ServiceAccount UID (u-sa) does not match claim (u-old)]");
    put_token_secret(fixture, forged, "");
    assert_string_equal(why_not(fixture, forged), "[invalid bearer token, invalid signature, no keys found]");
    put_token_secret(fixture, token, "\"kubernetes.io/legacy-token-invalid-since\":\"2026-01-01\"");
    assert_null(who(fixture, token));
}

#define WHY(reason) "[invalid bearer token, " reason "]"

/* Several keys and issuers: each key is good for each issuer, and the review says why a token is not. */
static void believes_every_issuer_with_every_key(void **state) {
    Fixture *f = *state;
    add(f, "", "serviceaccounts",
        "{\"kind\":\"ServiceAccount\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"sa\","
        "\"namespace\":\"d\",\"uid\":\"u-sa\"}}");
    add(f, "", "pods",
        "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\","
        "\"uid\":\"u-p\"}}");
    const JwtKey *keys[] = {f->key, f->rsa_key};
    for (size_t i = 0; i < ELEMENTSOF(keys); i++)
        for (size_t k = 0; issuers[k]; k++)
            assert_non_null(who(f, account_token(f, keys[i], 0, issuers[k], issuers[k], "u-sa")));
    const char *iss = issuers[1];
    const struct {
        char *token;
        const char *why;
    } cases[] = {
        {account_token(f, f->other_key, 0, iss, iss, "u-sa"), WHY("invalid signature, no keys found")},
        {account_token(f, f->other_key, 0, iss, "https://evil", "u-sa"), "invalid bearer token"},
        {account_token(f, f->rsa_key, 0, iss, "https://evil", "u-sa"), "invalid bearer token"},
        {account_token(f, f->rsa_key, -1000, iss, iss, "u-sa"), WHY("service account token has expired")},
        {account_token(f, f->rsa_key, 1000, iss, iss, "u-sa"), WHY("service account token is not valid yet")},
        {account_token(f, f->rsa_key, 0, iss, iss, "u-older"),
         WHY("service account UID (u-sa) does not match claim (u-older)")},
        {account_token(f, f->rsa_key, 0, "x", iss, "u-sa"),
         WHY("token audiences [\"x\"] is invalid for the target audiences [\"https://kubernetes.default.svc\" "
             "\"https://older.example.com\"]")},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++)
        assert_string_equal(why_not(f, cases[i].token), cases[i].why);
    /* signed by a key of ours, which the header is made to call the other one, or the other's algorithm */
    char *token = account_token(f, f->rsa_key, 0, iss, iss, "u-sa");
    const char *const headers[] = {arena_printf(f->arena, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", jwt_key_id(f->key)),
                                   arena_printf(f->arena, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", jwt_key_id(f->rsa_key)),
                                   "{\"alg\":\"none\"}"};
    for (size_t i = 0; i < ELEMENTSOF(headers); i++) {
        _cleanup_buf_ Buf forged = BUF_INIT(BUF_NO_LIMIT);
        base64url_encode(&forged, headers[i], strlen(headers[i]));
        buf_puts(&forged, strchr(token, '.'));
        assert_string_equal(why_not(f, forged.data), WHY("go-jose/go-jose: error in cryptographic primitive"));
    }
    token = account_token(f, f->rsa_key, 0, iss, iss, "u-sa");
    assert_int_equal(store_delete(f->store, resource_find("", "v1", "pods"), "d", "p", 0, NULL, NULL), 0);
    assert_string_equal(why_not(f, token), WHY("service account token has been invalidated"));
}

/* A token that names no audience is for this server. */
static void takes_tokens_without_audience(void **state) {
    Fixture *f = *state;
    add(f, "", "serviceaccounts",
        "{\"kind\":\"ServiceAccount\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"sa\","
        "\"namespace\":\"d\",\"uid\":\"u-sa\"}}");
    static const char *const nobody[] = {NULL}, *const others[] = {"x", NULL};
    ServiceAccountToken token = {.issuer = issuers[0],
                                 .audiences = nobody,
                                 .ns = "d",
                                 .name = "sa",
                                 .uid = "u-sa",
                                 .now_seconds = now_realtime_ns() / (int64_t)NS_PER_SEC,
                                 .expiration_seconds = 600};
    _cleanup_free_ char *text = NULL;
    const char *const *audiences = NULL;
    const char *error;
    UserInfo *user;
    assert_int_equal(jwt_sign(f->key, service_account_claims(f->arena, &token), &text), 0);
    assert_int_equal(authenticate_token(f->authenticator, text, NULL, f->arena, &user, &audiences, &error), 0);
    assert_string_equal(audiences[1], issuers[1]);
    assert_int_equal(authenticate_token(f->authenticator, text, others, f->arena, &user, &audiences, &error), -EPERM);
}

static const UserInfo *named_user(Fixture *fixture, const char *name, const char *group) {
    const char *groups[] = {group, NULL};
    return user_info_new(fixture->arena, name, NULL, groups);
}

static bool may(Fixture *fixture, const UserInfo *user, const char *verb, const char *group, const char *resource,
                const char *sub, const char *ns, const char *name, const char *fields) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(field_selector_parse(fields, &selector, &err), 0);
    AuthzAttributes attributes = {.user = user,
                                  .verb = verb,
                                  .is_resource = true,
                                  .group = group,
                                  .resource = resource,
                                  .subresource = sub,
                                  .ns = ns,
                                  .name = name,
                                  .fields = selector};
    int r = authorize(fixture->authorizer, &attributes, &err);
    assert_true(r == 0 || (r == -EACCES && err.code == 403));
    return r == 0;
}

static void refuses_in_the_reference_words(void **state) {
    Fixture *fixture = *state;
    UserInfo *nobody = who(fixture, NULL);
    static const struct {
        AuthzAttributes asked;
        const char *message;
    } cases[] = {
        {{.verb = "list", .is_resource = true, .resource = "pods"},
         "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster "
         "scope"},
        {{.verb = "get", .is_resource = true, .resource = "secrets", .ns = "default", .name = "x"},
         "secrets \"x\" is forbidden: User \"system:anonymous\" cannot get resource \"secrets\" in API group \"\" in "
         "the "
         "namespace \"default\""},
        {{.verb = "get", .path = "/api"}, "forbidden: User \"system:anonymous\" cannot get path \"/api\""},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_api_error_ ApiError err = {0};
        AuthzAttributes asked = cases[i].asked;
        asked.user = nobody;
        assert_int_equal(authorize(fixture->authorizer, &asked, &err), -EACCES);
        assert_string_equal(err.message, cases[i].message);
    }
    static const char *const open[] = {"/livez", "/readyz", "/healthz", "/version"};
    for (int granted = 0; granted < 2; granted++) { /* by a role alone: nothing is open by itself */
        for (size_t i = 0; i < ELEMENTSOF(open); i++) {
            _cleanup_api_error_ ApiError err = {0};
            AuthzAttributes asked = {.user = nobody, .verb = "get", .path = open[i]};
            assert_int_equal(authorize(fixture->authorizer, &asked, &err), granted ? 0 : -EACCES);
        }
        if (granted)
            break;
        add(fixture, "rbac.authorization.k8s.io", "clusterroles",
            "{\"kind\":\"ClusterRole\",\"apiVersion\":\"rbac.authorization.k8s.io/"
            "v1\",\"metadata\":{\"name\":\"info\"},"
            "\"rules\":[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/livez\",\"/readyz\",\"/healthz\",\"/"
            "version\"]}]}");
        add(fixture, "rbac.authorization.k8s.io", "clusterrolebindings",
            "{\"kind\":\"ClusterRoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{\"name\":"
            "\"info\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":"
            "\"info\"},\"subjects\":[{\"kind\":\"Group\",\"name\":\"system:unauthenticated\"}]}");
    }
    assert_true(may(fixture, who(fixture, "t0k"), "delete", "", "nodes", NULL, NULL, "n", NULL));
}

static void follows_roles_and_bindings(void **state) {
    Fixture *fixture = *state;
    const UserInfo *alice = named_user(fixture, "alice", "dev");
    assert_false(may(fixture, alice, "list", "", "pods", NULL, "d", NULL, NULL));
    add(fixture, "rbac.authorization.k8s.io", "roles",
        "{\"kind\":\"Role\",\"apiVersion\":\"rbac.authorization.k8s.io/"
        "v1\",\"metadata\":{\"name\":\"r\",\"namespace\":\"d\"},"
        "\"rules\":[{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"*/scale\"]},"
        "{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"\"],\"resources\":[\"secrets\"],\"resourceNames\":[\"one\"]},"
        "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"namespaces\",\"namespaces/status\"]}]}");
    add(fixture, "rbac.authorization.k8s.io", "rolebindings",
        "{\"kind\":\"RoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/"
        "v1\",\"metadata\":{\"name\":\"b\",\"namespace\":"
        "\"d\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"r\"},\"subjects\":"
        "[{"
        "\"kind\":\"Group\",\"name\":\"dev\"},{\"kind\":\"ServiceAccount\",\"name\":\"sa\",\"namespace\":\"x\"}]}");
    assert_true(may(fixture, alice, "list", "", "pods", NULL, "d", NULL, NULL));
    assert_false(may(fixture, alice, "list", "", "pods", NULL, "e", NULL, NULL));
    assert_false(may(fixture, alice, "list", "", "pods", NULL, NULL, NULL, NULL));
    assert_false(may(fixture, alice, "list", "apps", "pods", NULL, "d", NULL, NULL));
    assert_false(may(fixture, alice, "delete", "", "pods", NULL, "d", "p", NULL));
    assert_false(may(fixture, alice, "get", "", "pods", "log", "d", "p", NULL));
    assert_true(may(fixture, alice, "get", "", "replicationcontrollers", "scale", "d", "p", NULL));
    assert_true(may(fixture, alice, "get", "", "secrets", NULL, "d", "one", NULL));
    assert_false(may(fixture, alice, "get", "", "secrets", NULL, "d", "two", NULL));
    assert_true(may(fixture, alice, "list", "", "secrets", NULL, "d", NULL, "metadata.name=one"));
    assert_false(may(fixture, alice, "list", "", "secrets", NULL, "d", NULL, NULL));
    /* a namespace is in itself to a request, not to a review */
    assert_true(may(fixture, alice, "get", "", "namespaces", NULL, NULL, "d", NULL));
    assert_true(may(fixture, alice, "get", "", "namespaces", "status", NULL, "d", NULL));
    assert_false(may(fixture, alice, "get", "", "namespaces", NULL, NULL, "e", NULL));
    assert_false(may(fixture, alice, "list", "", "namespaces", NULL, NULL, NULL, NULL));
    AuthzAttributes asked = {.user = alice, .verb = "get", .is_resource = true, .resource = "namespaces", .name = "d"};
    asked.explain = true;
    const char *reason;
    assert_false(authorizer_allows(fixture->authorizer, &asked, fixture->arena, &reason));
    asked.ns = "d";
    assert_true(authorizer_allows(fixture->authorizer, &asked, fixture->arena, &reason));
    assert_string_equal(reason, "RBAC: allowed by RoleBinding \"b/d\" of Role \"r\" to Group \"dev\"");
    assert_true(
        may(fixture, named_user(fixture, "system:serviceaccount:x:sa", "g"), "get", "", "pods", NULL, "d", "p", NULL));
    assert_false(
        may(fixture, named_user(fixture, "system:serviceaccount:y:sa", "g"), "get", "", "pods", NULL, "d", "p", NULL));
    assert_int_equal(store_delete(fixture->store, resource_find("rbac.authorization.k8s.io", "v1", "rolebindings"), "d",
                                  "b", 0, NULL, NULL),
                     0);
    assert_false(may(fixture, alice, "list", "", "pods", NULL, "d", NULL, NULL));
}

static void lists_the_rules_of_a_user(void **state) {
    Fixture *fixture = *state;
    Value *rules;
    const char *error;
    add(fixture, "rbac.authorization.k8s.io", "roles",
        "{\"kind\":\"Role\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{\"name\":\"r\","
        "\"namespace\":\"d\"},\"rules\":[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}]}");
    static const char *const bindings[] = {"r", "absent"};
    for (size_t i = 0; i < ELEMENTSOF(bindings); i++)
        add(fixture, "rbac.authorization.k8s.io", "rolebindings",
            arena_printf(fixture->arena,
                         "{\"kind\":\"RoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{"
                         "\"name\":\"%s\",\"namespace\":\"d\"},\"roleRef\":{\"apiGroup\":"
                         "\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"%s\"},\"subjects\":[{\"kind\":"
                         "\"User\",\"name\":\"zoe\"}]}",
                         bindings[i], bindings[i]));
    const UserInfo *zoe = named_user(fixture, "zoe", "g");
    assert_true(authorizer_user_rules(fixture->authorizer, zoe, "e", fixture->arena, &rules, &error));
    size_t elsewhere = value_len(rules);
    assert_null(error);
    assert_true(authorizer_user_rules(fixture->authorizer, zoe, "d", fixture->arena, &rules, &error));
    assert_int_equal(value_len(rules), elsewhere + 1);
    assert_string_equal(error, "role.rbac.authorization.k8s.io \"absent\" not found");
    assert_string_equal(value_str(value_at(value_get(value_at(rules, elsewhere), "resources"), 0)), "pods");
    assert_false(authorizer_user_rules(fixture->authorizer, named_user(fixture, "system:node:n1", "system:nodes"), "d",
                                       fixture->arena, &rules, &error));
    assert_string_equal(error, "node authorizer does not support user rule resolution");
}

static void keeps_nodes_to_their_pods(void **state) {
    Fixture *fixture = *state;
    const UserInfo *n1 = named_user(fixture, "system:node:n1", "system:nodes");
    const UserInfo *n2 = named_user(fixture, "system:node:n2", "system:nodes");
    const UserInfo *fake = named_user(fixture, "system:node:n1", "dev");
    add(fixture, "", "pods",
        "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\"},\"spec\":{"
        "\"nodeName\":"
        "\"n1\",\"serviceAccountName\":\"sa\",\"imagePullSecrets\":[{\"name\":\"pull\"}],\"volumes\":[{\"name\":\"v\","
        "\"configMap\":{\"name\":\"cm\"}},{\"name\":\"w\",\"projected\":{\"sources\":[{\"secret\":{\"name\":\"proj\"}}]"
        "}},{"
        "\"name\":\"c\",\"persistentVolumeClaim\":{\"claimName\":\"pvc\"}}],\"containers\":[{\"name\":\"c\",\"env\":[{"
        "\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"envs\",\"key\":\"k\"}}}]}]}}");
    static const char *const secrets[] = {"pull", "proj", "envs"};
    for (size_t i = 0; i < ELEMENTSOF(secrets); i++) {
        assert_true(may(fixture, n1, "get", "", "secrets", NULL, "d", secrets[i], NULL));
        assert_false(may(fixture, n2, "get", "", "secrets", NULL, "d", secrets[i], NULL));
        assert_false(may(fixture, fake, "get", "", "secrets", NULL, "d", secrets[i], NULL));
    }
    assert_false(may(fixture, n1, "get", "", "secrets", NULL, "d", "cm", NULL));
    assert_false(may(fixture, n1, "get", "", "secrets", NULL, "e", "pull", NULL));
    assert_false(may(fixture, n1, "list", "", "secrets", NULL, "d", NULL, NULL));
    assert_true(may(fixture, n1, "watch", "", "secrets", NULL, "d", NULL, "metadata.name=pull"));
    assert_false(may(fixture, n1, "update", "", "secrets", NULL, "d", "pull", NULL));
    assert_true(may(fixture, n1, "get", "", "configmaps", NULL, "d", "cm", NULL));
    assert_true(may(fixture, n1, "get", "", "persistentvolumeclaims", NULL, "d", "pvc", NULL));
    assert_true(may(fixture, n1, "create", "", "serviceaccounts", "token", "d", "sa", NULL));
    assert_false(may(fixture, n2, "create", "", "serviceaccounts", "token", "d", "sa", NULL));
    assert_true(may(fixture, n1, "watch", "", "pods", NULL, NULL, NULL, "spec.nodeName=n1"));
    assert_false(may(fixture, n1, "watch", "", "pods", NULL, NULL, NULL, "spec.nodeName=n2"));
    assert_false(may(fixture, n1, "list", "", "pods", NULL, NULL, NULL, NULL));
    assert_true(may(fixture, n1, "get", "", "pods", NULL, "d", "p", NULL));
    assert_false(may(fixture, n2, "get", "", "pods", NULL, "d", "p", NULL));
    assert_true(may(fixture, n1, "get", "", "nodes", NULL, NULL, "n1", NULL));
    assert_true(may(fixture, n1, "watch", "", "nodes", NULL, NULL, NULL, "metadata.name=n1"));
    assert_false(may(fixture, n1, "get", "", "nodes", NULL, NULL, "n2", NULL));
    assert_true(may(fixture, n1, "update", "coordination.k8s.io", "leases", NULL, "kube-node-lease", "n1", NULL));
    assert_false(may(fixture, n1, "update", "coordination.k8s.io", "leases", NULL, "kube-node-lease", "n2", NULL));
    assert_false(may(fixture, n1, "get", "coordination.k8s.io", "leases", NULL, "kube-system", "n1", NULL));
    assert_true(may(fixture, n1, "list", "", "services", NULL, NULL, NULL, NULL));
    assert_false(may(fixture, n1, "delete", "", "services", NULL, "d", "s", NULL));
}

typedef struct Headers {
    const char *pairs[8][2];
} Headers;

static bool header_at(const void *request, size_t index, const char **ret_name, const char **ret_value) {
    const Headers *headers = request;
    if (index >= 8 || !headers->pairs[index][0])
        return false;
    *ret_name = headers->pairs[index][0];
    *ret_value = headers->pairs[index][1];
    return true;
}

static void impersonates(void **state) {
    Fixture *fixture = *state;
    UserInfo *admin = who(fixture, "t0k"), *bob = who(fixture, "a\"b"), *as = NULL;
    Headers none = {{{"accept", "*/*"}}};
    Headers full = {{{"impersonate-user", "alice"},
                     {"impersonate-group", "dev"},
                     {"impersonate-uid", "u1"},
                     {"impersonate-extra-scopes", "a"}}};
    Headers account = {{{"impersonate-user", "system:serviceaccount:d:sa"}}};
    Headers group = {{{"impersonate-group", "dev"}}};
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(authz_impersonate(fixture->authorizer, admin, header_at, &none, fixture->arena, &as, &err), 0);
    assert_null(as);
    assert_int_equal(authz_impersonate(fixture->authorizer, admin, header_at, &full, fixture->arena, &as, &err), 0);
    assert_string_equal(as->name, "alice");
    assert_string_equal(as->uid, "u1");
    assert_true(user_in_group(as, "dev") && user_in_group(as, "system:authenticated"));
    assert_false(user_in_group(as, "system:masters"));
    assert_int_equal(as->n_extra, 1);
    assert_string_equal(as->extra[0].key, "scopes");
    assert_int_equal(authz_impersonate(fixture->authorizer, admin, header_at, &account, fixture->arena, &as, &err), 0);
    assert_true(user_in_group(as, "system:serviceaccounts:d"));
    assert_int_equal(authz_impersonate(fixture->authorizer, bob, header_at, &full, fixture->arena, &as, &err), -EACCES);
    assert_string_equal(err.message,
                        "users \"alice\" is forbidden: User \"bob\" cannot impersonate resource \"users\" in API "
                        "group \"\" at the cluster scope");
    api_error_done(&err);
    assert_int_equal(authz_impersonate(fixture->authorizer, admin, header_at, &group, fixture->arena, &as, &err),
                     -EINVAL);
    assert_string_equal(err.message, "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"dev\"}, "
                                     "Extra:map[string][]string(nil)} without impersonating a user name");
}

static void keeps_keys(void **state) {
    Fixture *fixture = *state;
    char *path = arena_printf(fixture->arena, "%s/sa.key", fixture->folder);
    JwtKey *again = NULL;
    assert_int_equal(jwt_key_load_or_make(path, &again), 0);
    assert_string_equal(jwt_key_id(again), jwt_key_id(fixture->key));
    jwt_key_free(again);
    assert_int_equal(jwt_key_load("/nonexistent", &again), -ENOENT);
    Value *set = jwt_key_set(fixture->arena, &fixture->key, 1);
    const Value *key = value_at(value_get(set, "keys"), 0);
    assert_string_equal(value_get_str(key, "kid"), jwt_key_id(fixture->key));
    assert_string_equal(value_get_str(key, "crv"), "P-256");
    Value *claims = NULL;
    assert_int_equal(jwt_verify(&fixture->key, 1, "a.b", fixture->arena, &claims), -EBADMSG);
    assert_int_equal(jwt_verify(&fixture->key, 1, "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", fixture->arena, &claims),
                     -EKEYREJECTED);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(knows_static_tokens),
        CASE(believes_front_proxies),
        CASE(knows_no_unknown_certificates),
        CASE(knows_service_accounts),
        CASE(refuses_in_the_reference_words),
        CASE(knows_tokens_kept_in_secrets),
        CASE(believes_every_issuer_with_every_key),
        CASE(takes_tokens_without_audience),
        CASE(follows_roles_and_bindings),
        CASE(lists_the_rules_of_a_user),
        CASE(keeps_nodes_to_their_pods),
        CASE(impersonates),
        CASE(keeps_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
