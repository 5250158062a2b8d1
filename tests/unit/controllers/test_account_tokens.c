/* Secrets of type kubernetes.io/service-account-token over an API server in memory. */
#include "../support/fake_cluster.h"

#include "auth/jwt.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#define CA "-----BEGIN CERTIFICATE-----\n"

typedef struct Fixture {
    Cluster *cluster;
    char dir[32], *key_file;
} Fixture;

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    void *cluster;
    JwtKey *key;
    cluster_setup(&cluster);
    f->cluster = cluster;
    strcpy(f->dir, "/tmp/lighter-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->key_file = xasprintf("%s/sa.key", f->dir);
    if (jwt_key_load_or_make(f->key_file, &key) < 0)
        return -1;
    jwt_key_free(key);
    cluster_start(f->cluster, "serviceaccount-token-controller",
                  &(ControllersConfig){.service_account_key_file = f->key_file, .root_ca_pem = CA});
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    void *cluster = f->cluster;
    cluster_teardown(&cluster);
    unlink(f->key_file);
    rmdir(f->dir);
    free(f->key_file);
    free(f);
    return 0;
}

static Object *put_account(Fixture *f, const char *more) {
    char json[512];
    snprintf(json, sizeof json, "{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"bot\"}%s}",
             more);
    return fake_put_json(f->cluster->client, "", "serviceaccounts", "default", json);
}

static void put_secret(Fixture *f, const char *account, const char *type) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"t\",\"annotations\":{"
             "\"kubernetes.io/service-account.name\":\"%s\"}},\"type\":\"%s\"}",
             account, type);
    object_unref(fake_put_json(f->cluster->client, "", "secrets", "default", json));
}

/* A key of data, decoded; NULL when absent. */
static char *datum(Fixture *f, const char *name) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *secret = NULL;
    uint8_t *bytes = NULL;
    size_t n;
    if (client_get(f->cluster->client, fake_resource("", "secrets"), "default", "t", &secret, NULL) < 0)
        return NULL;
    const char *text = value_str(value_path(object_value(secret, arena), "data", name, NULL));
    return text && base64_decode(text, strlen(text), &bytes, &n) == 0 ? (char *)bytes : NULL;
}

static bool is_filled(void *f) {
    _cleanup_free_ char *token = datum(f, "token");
    return token != NULL;
}

static bool is_gone(void *f) {
    return fake_count(((Fixture *)f)->cluster->client, "", "secrets", "default") == 0;
}

static void assert_claim(const Value *claims, const char *name, const char *is) {
    assert_string_equal(str_or(value_get_str(claims, name), "absent"), is);
}

static void test_filled(void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Fixture *f = *state;
    JwtKey *key;
    Value *claims;
    _cleanup_object_ Object *account = put_account(f, "");
    put_secret(f, "bot", "kubernetes.io/service-account-token");
    assert_true(fake_eventually(is_filled, f, 10));
    _cleanup_free_ char *token = datum(f, "token"), *ca = datum(f, "ca.crt"), *ns = datum(f, "namespace");
    assert_string_equal(ca, CA);
    assert_string_equal(ns, "default");
    assert_int_equal(jwt_key_load(f->key_file, &key), 0);
    assert_int_equal(jwt_verify(&key, 1, token, arena, &claims), 0);
    jwt_key_free(key);
    assert_claim(claims, "iss", "kubernetes/serviceaccount");
    assert_claim(claims, "sub", "system:serviceaccount:default:bot");
    assert_claim(claims, "kubernetes.io/serviceaccount/namespace", "default");
    assert_claim(claims, "kubernetes.io/serviceaccount/secret.name", "t");
    assert_claim(claims, "kubernetes.io/serviceaccount/service-account.name", "bot");
    assert_claim(claims, "kubernetes.io/serviceaccount/service-account.uid", object_uid(account));
    _cleanup_object_ Object *secret = NULL;
    client_get(f->cluster->client, fake_resource("", "secrets"), "default", "t", &secret, NULL);
    assert_string_equal(value_str(value_path(object_value(secret, arena), "metadata", "annotations",
                                             "kubernetes.io/service-account.uid", NULL)),
                        object_uid(account));
}

static void test_no_account(void **state) {
    put_secret(*state, "nobody", "kubernetes.io/service-account-token");
    assert_true(fake_eventually(is_gone, *state, 10));
}

static void test_account_goes(void **state) {
    Fixture *f = *state;
    object_unref(put_account(f, ""));
    put_secret(f, "bot", "kubernetes.io/service-account-token");
    assert_true(fake_eventually(is_filled, f, 10));
    assert_int_equal(client_delete(f->cluster->client, fake_resource("", "serviceaccounts"), "default", "bot",
                                   &(ClientDelete){.grace_seconds = -1}, NULL),
                     0);
    assert_true(fake_eventually(is_gone, f, 10));
}

static bool has_one_reference(void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *account = NULL;
    Fixture *f = userdata;
    client_get(f->cluster->client, fake_resource("", "serviceaccounts"), "default", "bot", &account, NULL);
    const Value *list = value_get(object_value(account, arena), "secrets");
    return value_len(list) == 1 && streq(value_get_str(value_at(list, 0), "name"), "other");
}

static void test_reference_goes(void **state) {
    Fixture *f = *state;
    object_unref(put_account(f, ",\"secrets\":[{\"name\":\"t\"},{\"name\":\"other\"}]"));
    put_secret(f, "bot", "kubernetes.io/service-account-token");
    assert_true(fake_eventually(is_filled, f, 10));
    client_delete(f->cluster->client, fake_resource("", "secrets"), "default", "t",
                  &(ClientDelete){.grace_seconds = -1}, NULL);
    assert_true(fake_eventually(has_one_reference, f, 10));
}

/* Other secrets may carry the annotation: they are none of ours. */
static void test_other_type(void **state) {
    Fixture *f = *state;
    put_secret(f, "nobody", "Opaque");
    object_unref(put_account(f, ""));
    char json[] = "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"u\",\"annotations\":{"
                  "\"kubernetes.io/service-account.name\":\"nobody\"}},"
                  "\"type\":\"kubernetes.io/service-account-token\"}";
    object_unref(fake_put_json(f->cluster->client, "", "secrets", "default", json));
    for (int i = 0; i < 200 && fake_count(f->cluster->client, "", "secrets", "default") > 1; i++)
        usleep(50 * 1000);
    _cleanup_object_ Object *secret = NULL;
    assert_int_equal(client_get(f->cluster->client, fake_resource("", "secrets"), "default", "u", NULL, NULL), -ENOENT);
    assert_int_equal(client_get(f->cluster->client, fake_resource("", "secrets"), "default", "t", &secret, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_filled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_account_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reference_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_type, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
