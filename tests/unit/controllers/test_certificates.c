/* CertificateSigningRequests signed and cleaned up, and the claims of ephemeral volumes, over an API server in
 * memory. */
#include "../support/fake_cluster.h"
#include "http/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

typedef struct Files {
    char dir[64], cert[96], key[96];
} Files;

static ControllersConfig with_ca(Files *files) {
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
    strcpy(files->dir, "/tmp/lighter-certificates-XXXXXX");
    assert_non_null(mkdtemp(files->dir));
    snprintf(files->cert, sizeof files->cert, "%s/ca.crt", files->dir);
    snprintf(files->key, sizeof files->key, "%s/ca.key", files->dir);
    assert_int_equal(pki_ca_ensure(files->cert, files->key, "test", &ca), 0);
    return (ControllersConfig){.signing_cert_file = files->cert, .signing_key_file = files->key};
}

static void remove_files(const Files *files) {
    unlink(files->cert);
    unlink(files->key);
    rmdir(files->dir);
}

static void put_request(Cluster *cluster, const char *name, const char *signer, const char *usage,
                        const char *conditions) {
    const char *groups[] = {"system:nodes", NULL};
    _cleanup_free_ char *csr = NULL, *key = NULL;
    _cleanup_buf_ Buf encoded = BUF_INIT(65536);
    char json[8192];
    PkiCertSpec spec = {.common_name = "system:node:n", .organizations = groups, .client = true};
    assert_int_equal(pki_request_make(&spec, &csr, &key), 0);
    base64_encode(&encoded, csr, strlen(csr));
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"certificates.k8s.io/v1\",\"kind\":\"CertificateSigningRequest\",\"metadata\":{\"name\":"
             "\"%s\"},\"spec\":{\"signerName\":\"%s\",\"request\":\"%.*s\",\"expirationSeconds\":3600,\"usages\":["
             "\"digital signature\",\"%s\"]},\"status\":{\"conditions\":[%s]}}",
             name, signer, (int)encoded.len, encoded.data, usage, conditions);
    object_unref(fake_put_json(cluster->client, "certificates.k8s.io", "certificatesigningrequests", NULL, json));
}

static Value *status_of(Cluster *cluster, Arena *arena, const char *name) {
    _cleanup_object_ Object *request = NULL;
    if (client_get(cluster->client, fake_resource("certificates.k8s.io", "certificatesigningrequests"), NULL, name,
                   &request, NULL) < 0)
        return NULL;
    return value_get(object_value(request, arena), "status");
}

#define APPROVED "{\"type\":\"Approved\",\"status\":\"True\",\"lastUpdateTime\":\"2020-01-01T00:00:00Z\"}"
#define KUBELET_CLIENT "kubernetes.io/kube-apiserver-client-kubelet"

static bool good_is_issued(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return value_get(status_of(u, arena, "good"), "certificate") != NULL;
}
static bool bad_has_failed(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *condition = value_at(value_get(status_of(u, arena, "bad"), "conditions"), 1);
    return streq_null(value_get_str(condition, "reason"), "SignerValidationFailure") &&
           streq_null(value_get_str(condition, "message"),
                      "usages did not match [client auth digital signature key encipherment]");
}

static void test_signing(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Files files;
    ControllersConfig config = with_ca(&files);
    cluster_start(cluster, "certificatesigningrequest-signing-controller", &config);
    put_request(cluster, "bad", KUBELET_CLIENT, "server auth", APPROVED);
    put_request(cluster, "waits", KUBELET_CLIENT, "client auth", "");
    put_request(cluster, "foreign", "example.com/signer", "client auth", APPROVED);
    put_request(cluster, "good", KUBELET_CLIENT, "client auth", APPROVED);
    assert_true(fake_eventually(good_is_issued, cluster, 10));
    assert_true(fake_eventually(bad_has_failed, cluster, 10));
    assert_null(value_get(status_of(cluster, arena, "bad"), "certificate"));
    assert_null(value_get(status_of(cluster, arena, "waits"), "certificate"));
    assert_null(value_get(status_of(cluster, arena, "foreign"), "certificate"));
    const Value *encoded = value_get(status_of(cluster, arena, "good"), "certificate");
    _cleanup_free_ uint8_t *pem = NULL;
    size_t n;
    int64_t end, hour = 3600ll * (int64_t)NS_PER_SEC, now = now_realtime_ns();
    assert_int_equal(base64_decode(encoded->string, encoded->len, &pem, &n), 0);
    assert_int_equal(pki_cert_text_not_after((char *)pem, n, &end), 0);
    assert_true(end > now + hour - 60 * (int64_t)NS_PER_SEC && end <= now + hour);
    remove_files(&files);
}

static bool old_ones_are_gone(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return !status_of(u, arena, "denied") && !status_of(u, arena, "approved");
}

static void test_cleaning(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    put_request(cluster, "denied", KUBELET_CLIENT, "client auth",
                "{\"type\":\"Denied\",\"status\":\"True\",\"lastUpdateTime\":\"2020-01-01T00:00:00Z\"}");
    put_request(cluster, "approved", KUBELET_CLIENT, "client auth", APPROVED);
    put_request(cluster, "pending", KUBELET_CLIENT, "client auth", "");
    cluster_start(cluster, "certificatesigningrequest-cleaner-controller", NULL);
    assert_true(fake_eventually(old_ones_are_gone, cluster, 10));
    assert_non_null(status_of(cluster, arena, "pending"));
}

static bool claim_is_there(void *u) {
    _cleanup_object_ Object *claim = NULL;
    Cluster *cluster = u;
    return client_get(cluster->client, fake_resource("", "persistentvolumeclaims"), "default", "p-scratch", &claim,
                      NULL) >= 0 &&
           object_controller(claim) && streq(object_controller(claim)->name, "p") &&
           streq_null(object_label(claim, "a"), "b");
}

static void test_ephemeral_volumes(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "ephemeral-volume-controller", NULL);
    object_unref(fake_put_json(
        cluster->client, "", "pods", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":"
        "\"c\","
        "\"image\":\"i\"}],\"volumes\":[{\"name\":\"scratch\",\"ephemeral\":{\"volumeClaimTemplate\":{\"metadata\":{"
        "\"labels\":{\"a\":\"b\"}},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"]}}}}]}}"));
    assert_true(fake_eventually(claim_is_there, cluster, 10));
    client_delete(cluster->client, fake_resource("", "persistentvolumeclaims"), "default", "p-scratch", NULL, NULL);
    assert_true(fake_eventually(claim_is_there, cluster, 10));
}

static const char *ttl_of(Cluster *cluster, Arena *arena, const char *name) {
    _cleanup_object_ Object *node = NULL;
    if (client_get(cluster->client, fake_resource("", "nodes"), NULL, name, &node, NULL) < 0)
        return "";
    const char *ttl = value_get_str(value_path(object_value(node, arena), "metadata", "annotations", NULL),
                                    "node.alpha.kubernetes.io/ttl");
    return ttl ? ttl : "";
}
static bool first_is_0(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return streq(ttl_of(u, arena, "n0"), "0");
}
static bool last_is_15(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return streq(ttl_of(u, arena, "n100"), "15");
}

static void test_node_ttl(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "ttl-controller", NULL);
    for (int i = 0; i < 101; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%d\"}}", i);
        object_unref(fake_put_json(cluster->client, "", "nodes", NULL, json));
        if (i == 0)
            assert_true(fake_eventually(first_is_0, cluster, 10));
    }
    assert_true(fake_eventually(last_is_15, cluster, 10));
}

/* ---- bootstrap tokens ---- */

#define TOKEN(name, id, expiration)                                                                                    \
    "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"" name "\"},\"type\":"                        \
    "\"bootstrap.kubernetes.io/token\",\"data\":{\"token-id\":\"" id                                                   \
    "\",\"token-secret\":\"MDEyMzQ1Njc4OWFiY2RlZg==\","                                                                \
    "\"usage-bootstrap-signing\":\"dHJ1ZQ==\"" expiration "}}"
#define LONG_AGO ",\"expiration\":\"MjAyMC0wMS0wMVQwMDowMDowMFo=\"" /* 2020-01-01T00:00:00Z */

static const char *signature_of(Cluster *cluster, Arena *arena, const char *id) {
    _cleanup_object_ Object *info = NULL;
    if (client_get(cluster->client, fake_resource("", "configmaps"), "kube-public", "cluster-info", &info, NULL) < 0)
        return NULL;
    const Value *data = value_get(object_value(info, arena), "data");
    return value_get_str(data, arena_printf(arena, "jws-kubeconfig-%s", id));
}

/* echo -n '{"alg":"HS256","kid":"abcdef"}' and "hello", base64url, joined by a dot: openssl dgst -sha256 -hmac SECRET
 */
#define SIGNATURE "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..MxsnbCjBaYzcbNIFa06F-wuF9LX26rhMlrL4zA1511s"

static bool is_signed(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return streq_null(signature_of(u, arena, "abcdef"), SIGNATURE);
}
static bool is_unsigned(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return !signature_of(u, arena, "abcdef");
}
static bool expired_is_gone(void *u) {
    _cleanup_object_ Object *secret = NULL;
    return client_get(((Cluster *)u)->client, fake_resource("", "secrets"), "kube-system", "bootstrap-token-zzzzzz",
                      &secret, NULL) == -ENOENT;
}

static void test_cluster_info_is_signed(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    cluster_start(cluster, "bootstrap-signer-controller", NULL);
    object_unref(
        fake_put_json(cluster->client, "", "secrets", "kube-system", TOKEN("bootstrap-token-abcdef", "YWJjZGVm", "")));
    object_unref(fake_put_json(cluster->client, "", "secrets", "kube-system",
                               TOKEN("bootstrap-token-zzzzzz", "enp6enp6", LONG_AGO)));
    object_unref(fake_put_json(cluster->client, "", "configmaps", "kube-public",
                               "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                               "\"cluster-info\"},\"data\":{\"kubeconfig\":\"hello\"}}"));
    assert_true(fake_eventually(is_signed, cluster, 10));
    assert_null(signature_of(cluster, arena, "zzzzzz"));
    client_delete(cluster->client, fake_resource("", "secrets"), "kube-system", "bootstrap-token-abcdef", NULL, NULL);
    assert_true(fake_eventually(is_unsigned, cluster, 10));
}

static void test_expired_tokens_go(void **state) {
    Cluster *cluster = *state;
    _cleanup_object_ Object *kept = NULL;
    cluster_start(cluster, "token-cleaner-controller", NULL);
    object_unref(
        fake_put_json(cluster->client, "", "secrets", "kube-system", TOKEN("bootstrap-token-abcdef", "YWJjZGVm", "")));
    object_unref(fake_put_json(cluster->client, "", "secrets", "kube-system",
                               TOKEN("bootstrap-token-zzzzzz", "enp6enp6", LONG_AGO)));
    assert_true(fake_eventually(expired_is_gone, cluster, 10));
    assert_int_equal(
        client_get(cluster->client, fake_resource("", "secrets"), "kube-system", "bootstrap-token-abcdef", &kept, NULL),
        0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_signing, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_cleaning, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_ephemeral_volumes, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_node_ttl, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_cluster_info_is_signed, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_expired_tokens_go, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
