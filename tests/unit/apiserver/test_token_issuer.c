/* Options of service account tokens: what is refused and why, which keys, issuers and audiences they come to, and how
 * long the tokens of a server with them live. */
#include "apiserver/server.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define HOUR_NS (3600 * 1000000000ll)

typedef struct Fixture {
    char dir[64], own[96], rsa[96], ec[96], public[96], junk[96];
    Arena *arena;
} Fixture;

static void write_key(const char *path, EVP_PKEY *key, const char *public) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    file = fopen(public, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PUBKEY(file, key), 1);
    fclose(file);
    EVP_PKEY_free(key);
}

static int set_up(void **state) {
    Fixture *f = NEW0(Fixture);
    JwtKey *key;
    strcpy(f->dir, "/tmp/lighter-issuer-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->own, sizeof f->own, "%s/own", f->dir);
    snprintf(f->rsa, sizeof f->rsa, "%s/rsa", f->dir);
    snprintf(f->ec, sizeof f->ec, "%s/ec", f->dir);
    snprintf(f->public, sizeof f->public, "%s/public", f->dir);
    snprintf(f->junk, sizeof f->junk, "%s/junk", f->dir);
    assert_int_equal(jwt_key_load_or_make(f->own, &key), 0);
    jwt_key_free(key);
    write_key(f->ec, EVP_EC_gen("P-384"), f->public);
    write_key(f->rsa, EVP_RSA_gen(2048), f->public); /* the public one is the RSA key's */
    assert_int_equal(fs_write_atomic(f->junk, "junk", 4, 0600), 0);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    arena_free(f->arena);
    fs_remove_tree(f->dir);
    free(f);
    return 0;
}

/* What is said on stderr; "" when the options are good. */
static const char *judged(Fixture *f, const TokenIssuerOptions *options) {
    _cleanup_free_ char *path = xasprintf("%s/stderr", f->dir), *text = NULL;
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    FILE *file = fopen(path, "w");
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    bool good = token_issuer_options_ok("x", options);
    fflush(stderr);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    fclose(file);
    close(kept);
    assert_int_equal(fs_read_file(path, 65536, &text, NULL), 0);
    assert_true(good == str_empty(text));
    return arena_strdup(f->arena, text);
}

static void says_what_is_wrong(void **state) {
    Fixture *f = *state;
    static const struct {
        TokenIssuerOptions options;
        const char *said;
    } cases[] = {
        {{.issuers = {{"https://a", "anything"}, 2}, .jwks_uri = "https://b/c", .max_expiration_ns = HOUR_NS}, ""},
        {{.issuers = {{""}, 1}}, "x: service-account-issuer should not be an empty string\n"},
        {{.issuers = {{"https://a", "b", "https://a"}, 3}},
         "x: service-account-issuer \"https://a\" is already specified\n"},
        {{.issuers = {{":a"}, 1}},
         "x: service-account-issuer \":a\" contained a ':' but was not a valid URL: parse "
         "\":a\": missing protocol scheme\n"},
        {{.jwks_uri = "http://a"}, "x: service-account-jwks-uri requires https scheme, parsed as: http://a\n"},
        {{.jwks_uri = ":a"},
         "x: service-account-jwks-uri must be a valid URL: parse \":a\": missing protocol scheme\n"},
        {{.max_expiration_ns = HOUR_NS - 1, .issuers = {{""}, 1}},
         "x: the service-account-max-token-expiration must be between 1 hour and 2^32 seconds\n"
         "x: service-account-issuer should not be an empty string\n"},
        {{.max_expiration_ns = -HOUR_NS},
         "x: the service-account-max-token-expiration must be between 1 hour and 2^32 seconds\n"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++)
        assert_string_equal(judged(f, &cases[i].options), cases[i].said);
}

static void is_its_own_issuer(void **state) {
    Fixture *f = *state;
    TokenIssuer issuer;
    assert_int_equal(token_issuer_open(NULL, f->own, &issuer), 0);
    assert_string_equal(issuer.issuers[0], "https://kubernetes.default.svc");
    assert_null(issuer.issuers[1]);
    assert_ptr_equal(issuer.audiences, issuer.issuers);
    assert_int_equal(issuer.keys.n, 1);
    assert_string_equal(jwt_key_id(issuer.keys.items[0]), jwt_key_id(issuer.signing_key));
    assert_true(issuer.is_discoverable && issuer.extend_expiration);
    token_issuer_done(&issuer);
}

static void knows_its_keys(void **state) {
    Fixture *f = *state;
    const struct {
        const char *signing;
        FlagList files;
        const char *algorithms; /* of the keys, in order */
        int wanted;
    } cases[] = {
        {f->rsa, {{0}, 0}, "RS256 ", 0},
        {f->rsa, {{f->public}, 1}, "RS256 ", 0},
        {f->rsa, {{f->ec, f->public}, 2}, "ES384 RS256 ", 0},
        {f->rsa, {{f->ec}, 1}, "ES384 ", 0}, /* only what was said: nothing it signs is good here */
        {NULL, {{f->ec}, 1}, "ES256 ES384 ", 0},
        {"", {{f->ec}, 1}, "ES256 ES384 ", 0},
        {f->public, {{0}, 0}, "", -EBADMSG},
        {f->junk, {{0}, 0}, "", -EBADMSG},
        {"/nonexistent/key", {{0}, 0}, "", -ENOENT},
        {f->rsa, {{f->public, f->junk}, 2}, "", -EBADMSG},
        {f->rsa, {{"/nonexistent/key"}, 1}, "", -ENOENT},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        TokenIssuerOptions options = {.signing_key_file = cases[i].signing, .key_files = cases[i].files};
        _cleanup_(token_issuer_done) TokenIssuer issuer = {0};
        _cleanup_buf_ Buf names = BUF_INIT(1024);
        buf_puts(&names, "");
        assert_int_equal(token_issuer_open(&options, f->own, &issuer), cases[i].wanted);
        for (size_t k = 0; k < issuer.keys.n; k++)
            buf_printf(&names, "%s ", value_str(value_at(jwt_key_algorithms(f->arena, &issuer.keys.items[k], 1), 0)));
        assert_string_equal(str_or(names.data, ""), cases[i].algorithms);
    }
}

static void splits_audiences_and_no_issuers(void **state) {
    Fixture *f = *state;
    TokenIssuerOptions options = {.issuers = {{"https://a,b", "plain"}, 2}, .audiences = {{"x,y", "z"}, 2}};
    TokenIssuer issuer;
    assert_int_equal(token_issuer_open(&options, f->own, &issuer), 0);
    assert_string_equal(issuer.issuers[0], "https://a,b");
    assert_string_equal(issuer.issuers[1], "plain");
    assert_null(issuer.issuers[2]);
    assert_string_equal(issuer.audiences[1], "y");
    assert_string_equal(issuer.audiences[2], "z");
    assert_null(issuer.audiences[3]);
    token_issuer_done(&issuer);
}

static void tells_who_can_be_discovered(void **state) {
    Fixture *f = *state;
    static const struct {
        const char *issuer;
        bool discoverable;
    } cases[] = {{"https://a/b", true}, {"http://a", false},      {"a", false},
                 {"https://a?", true},  {"https://a?b=c", false}, {"https://a#b", false}};
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        TokenIssuerOptions options = {.issuers = {{cases[i].issuer}, 1}};
        TokenIssuer issuer;
        assert_int_equal(token_issuer_open(&options, f->own, &issuer), 0);
        assert_true(issuer.is_discoverable == cases[i].discoverable);
        token_issuer_done(&issuer);
    }
}

/* ---- the whole server ---- */

static const char *const masters[] = {"system:masters", "system:authenticated", NULL};
static const UserInfo admin = {.name = "admin", .groups = masters};

typedef struct Granted {
    int64_t asked, lives; /* what the answer says, and the token */
    const char *token;
    size_t n_warnings;
} Granted;

/* `pod` NULL: bound to none. */
static Granted request_token(ApiServer *server, Arena *arena, int64_t seconds, const char *audience, const char *pod) {
    _cleanup_api_response_ ApiResponse response = {0};
    _cleanup_api_error_ ApiError err = {0};
    Value *body = value_object(arena), *spec = value_ensure_object(arena, body, "spec");
    value_set_str(arena, body, "kind", "TokenRequest");
    value_set_str(arena, body, "apiVersion", "authentication.k8s.io/v1");
    value_set_int(arena, spec, "expirationSeconds", seconds);
    if (audience)
        value_append(arena, value_ensure_array(arena, spec, "audiences"), value_string(arena, audience));
    if (pod) {
        Value *ref = value_ensure_object(arena, spec, "boundObjectRef");
        value_set_str(arena, ref, "kind", "Pod");
        value_set_str(arena, ref, "apiVersion", "v1");
        value_set_str(arena, ref, "name", pod);
    }
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource_find("", "v1", "serviceaccounts"),
                          .subresource = "token",
                          .ns = "default",
                          .name = "robot",
                          .user = &admin,
                          .user_agent = "unit",
                          .body = body,
                          .arena = arena};
    assert_int_equal(api_execute(apiserver_core(server), &request, NULL, &response, &err), 0);
    const char *token = value_str(value_path(response.value, "status", "token", NULL));
    const Value *claims = jwt_claims_unverified(token, arena);
    return (Granted){.asked = value_get_int(value_get(response.value, "spec"), "expirationSeconds", 0),
                     .lives = value_get_int(claims, "exp", 0) - value_get_int(claims, "iat", 0),
                     .token = token,
                     .n_warnings = response.n_warnings};
}

static ApiServer *start(Fixture *f, const TokenIssuerOptions *options) {
    static const char *const disabled[] = {"ServiceAccount", NULL};
    ApiServerConfig config = {.data_dir = f->dir, .threads = 1, .tokens = options, .disabled_admission = disabled};
    ApiServer *server = NULL;
    assert_int_equal(apiserver_start(&config, &server), 0);
    _cleanup_(client_freep) Client *client = apiserver_local_client(server, &admin, "unit");
    static const char *const objects[][2] = {
        {"serviceaccounts", "{\"metadata\":{\"name\":\"robot\"}}"},
        {"pods", "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"serviceAccountName\":\"robot\",\"containers\":[{\"name\":"
                 "\"c\",\"image\":\"i\"}]}}"}};
    for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
        _cleanup_object_ Object *made = NULL;
        Value *v;
        assert_int_equal(json_parse(f->arena, objects[i][1], strlen(objects[i][1]), &v, NULL, NULL), 0);
        int r = client_create(client, resource_find("", "v1", objects[i][0]), "default", v, &made, NULL);
        assert_true(r == 0 || r == -EEXIST);
    }
    return server;
}

/* Longer than the limit is cut, with a warning, except for what the token volume of pods asks for itself. */
static void limits_what_tokens_live(void **state) {
    Fixture *f = *state;
    TokenIssuerOptions options = TOKEN_ISSUER_DEFAULTS;
    options.max_expiration_ns = 2 * HOUR_NS;
    options.audiences = (FlagList){{"here,there"}, 1};
    ApiServer *server = start(f, &options);
    const struct {
        int64_t asks;
        const char *audience, *pod;
        int64_t asked, lives;
        size_t n_warnings;
    } cases[] = {
        {7200, NULL, NULL, 7200, 7200, 0},      {7201, NULL, NULL, 7200, 7200, 1},
        {3607, NULL, NULL, 3607, 3607, 0},      {3607, NULL, "p", 3607, 31536000, 0},
        {3607, "here", "p", 3607, 31536000, 0}, {3607, "elsewhere", "p", 3607, 3607, 0},
        {3608, NULL, "p", 3608, 3608, 0},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        Granted granted = request_token(server, f->arena, cases[i].asks, cases[i].audience, cases[i].pod);
        assert_int_equal(granted.asked, cases[i].asked);
        assert_int_equal(granted.lives, cases[i].lives);
        assert_int_equal(granted.n_warnings, cases[i].n_warnings);
    }
    apiserver_stop(server);
    options = (TokenIssuerOptions){0};
    server = start(f, &options);
    assert_int_equal(request_token(server, f->arena, 3607, NULL, "p").lives, 3607); /* nothing is extended */
    assert_int_equal(request_token(server, f->arena, 100000, NULL, NULL).lives, 100000);
    apiserver_stop(server);
}

static void signs_as_it_is_told(void **state) {
    Fixture *f = *state;
    TokenIssuerOptions options = {.signing_key_file = f->rsa, .issuers = {{"https://first", "https://second"}, 2}};
    ApiServer *server = start(f, &options);
    const char *token = request_token(server, f->arena, 600, NULL, NULL).token;
    apiserver_stop(server);
    _cleanup_(jwt_key_freep) JwtKey *key = NULL;
    Value *claims = NULL;
    assert_int_equal(jwt_key_load(f->public, &key), 0);
    assert_int_equal(jwt_verify(&key, 1, token, f->arena, &claims), 0);
    assert_string_equal(value_get_str(claims, "iss"), "https://first");
    assert_string_equal(value_str(value_at(value_get(claims, "aud"), 1)), "https://second");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(says_what_is_wrong),
        CASE(is_its_own_issuer),
        CASE(knows_its_keys),
        CASE(splits_audiences_and_no_issuers),
        CASE(tells_who_can_be_discovered),
        CASE(limits_what_tokens_live),
        CASE(signs_as_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
