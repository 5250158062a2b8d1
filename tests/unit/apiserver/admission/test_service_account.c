#include "helpers.h"

#include <pthread.h>

static const AdmissionPlugin *const plugin = &admission_service_account;

static void account(Fixture *f, const char *name, const char *rest) {
    put(f, "", "serviceaccounts",
        arena_printf(f->arena, "{metadata: {name: %s, namespace: team, uid: u}%s}", name, rest));
}

static Asked pod(const char *object) {
    return (Asked){.operation = ADMISSION_CREATE, .plural = "pods", .ns = "team", .object = object};
}

static const Value *mounts(const Value *v, const char *list, size_t at) {
    return value_get(value_at(value_path(v, "spec", list, NULL), at), "volumeMounts");
}

static void test_default_account(void **state) {
    Fixture *f = *state;
    account(f, "default", ", imagePullSecrets: [{name: pull}]");
    Value *v = passes(f, plugin,
                      pod("{metadata: {name: p}, spec: {initContainers: [{name: i}], containers: [{name: c}]}}")),
          *spec = value_get(v, "spec");
    assert_string_equal(value_get_str(spec, "serviceAccountName"), "default");
    assert_string_equal(value_get_str(spec, "serviceAccount"), "default");
    same_json(f, value_get(spec, "imagePullSecrets"), "[{name: pull}]");
    Value *volume = value_at(value_get(spec, "volumes"), 0);
    const char *name = value_get_str(volume, "name");
    assert_int_equal(value_len(value_get(spec, "volumes")), 1);
    assert_true(str_has_prefix(name, "kube-api-access-") && strlen(name) == strlen("kube-api-access-") + 5);
    schema_normalize(f->arena, resource_find("", "v1", "pods")->schema, v, NULL, NULL);
    same_json(f, value_get(value_at(value_get(value_get(v, "spec"), "volumes"), 0), "projected"),
              "{sources: [{serviceAccountToken: {expirationSeconds: 3607, path: token}}, {configMap: {name: "
              "kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}, "
              "{downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: "
              "metadata.namespace}}]}}], defaultMode: 420}");
    static const char *const lists[] = {"initContainers", "containers"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        const Value *mount = value_at(mounts(v, lists[i], 0), 0);
        assert_string_equal(value_get_str(mount, "name"), name);
        assert_string_equal(value_get_str(mount, "mountPath"), "/var/run/secrets/kubernetes.io/serviceaccount");
        assert_true(value_get_bool(mount, "readOnly", false));
    }
}

static void test_no_token(void **state) {
    Fixture *f = *state;
    account(f, "quiet", ", automountServiceAccountToken: false");
    Value *v =
        passes(f, plugin, pod("{metadata: {name: p}, spec: {serviceAccountName: quiet, containers: [{name: c}]}}"));
    assert_null(value_path(v, "spec", "volumes", NULL));
    v = passes(f, plugin,
               pod("{metadata: {name: p}, spec: {serviceAccountName: quiet, automountServiceAccountToken: true, "
                   "containers: [{name: c}]}}"));
    assert_int_equal(value_len(value_path(v, "spec", "volumes", NULL)), 1);
}

static void test_own_mount(void **state) {
    Fixture *f = *state;
    account(f, "sa", "");
    Value *v = passes(f, plugin,
                      pod("{metadata: {name: p}, spec: {serviceAccountName: sa, imagePullSecrets: [{name: own}], "
                          "containers: [{name: c, volumeMounts: "
                          "[{name: m, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}]}}"));
    assert_null(value_path(v, "spec", "volumes", NULL));
    assert_int_equal(value_len(mounts(v, "containers", 0)), 1);
    v = passes(f, plugin,
               pod("{metadata: {name: p}, spec: {serviceAccountName: sa, volumes: [{name: kube-api-access-x, emptyDir: "
                   "{}}], containers: [{name: c}]}}"));
    assert_int_equal(value_len(value_path(v, "spec", "volumes", NULL)), 1);
    assert_string_equal(value_get_str(value_at(mounts(v, "containers", 0), 0), "name"), "kube-api-access-x");
}

static void test_missing(void **state) {
    refused(*state, plugin,
            pod("{metadata: {generateName: p-}, spec: {serviceAccountName: none, containers: [{name: c}]}}"),
            "pods \"p-\" is forbidden: error looking up service account team/none: serviceaccount \"none\" not found");
}

static void *make_account(void *userdata) {
    usleep(100000);
    Fixture own = *(Fixture *)userdata;
    own.arena = arena_new(0);
    account(&own, "default", "");
    arena_free(own.arena);
    return NULL;
}

static void test_waits_for_default(void **state) {
    pthread_t thread;
    pthread_create(&thread, NULL, make_account, *state);
    passes(*state, plugin, pod("{metadata: {name: p}, spec: {containers: [{name: c}]}}"));
    pthread_join(thread, NULL);
}

#define MIRROR "metadata: {name: p, annotations: {kubernetes.io/config.mirror: x}}"

static void test_mirror_pods(void **state) {
    Fixture *f = *state;
    Value *v = passes(f, plugin, pod("{" MIRROR ", spec: {containers: [{name: c}]}}"));
    assert_null(value_path(v, "spec", "serviceAccountName", NULL));
    refused(f, plugin, pod("{" MIRROR ", spec: {serviceAccountName: a, containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: a mirror pod may not reference service accounts");
    refused(f, plugin,
            pod("{" MIRROR
                ", spec: {containers: [{name: c, env: [{name: e, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}}"),
            "pods \"p\" is forbidden: a mirror pod may not reference secrets");
    refused(f, plugin,
            pod("{" MIRROR ", spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}], "
                           "containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: a mirror pod may not use ServiceAccountToken volume projections");
}

static void test_mountable_secrets(void **state) {
    Fixture *f = *state;
    put(f, "", "serviceaccounts",
        "{metadata: {name: sa, namespace: team, uid: u, annotations: {kubernetes.io/enforce-mountable-secrets: "
        "'true'}}, secrets: [{name: mine}], imagePullSecrets: [{name: pull}]}");
    passes(f, plugin,
           pod("{metadata: {name: p}, spec: {serviceAccountName: sa, volumes: [{name: v, secret: {secretName: mine}}], "
               "containers: [{name: c}]}}"));
    refused(f, plugin,
            pod("{metadata: {name: p}, spec: {serviceAccountName: sa, volumes: [{name: v, secret: {secretName: "
                "other}}], containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: volume with secret.secretName=\"other\" is not allowed because service account "
            "sa does not reference that secret");
    refused(f, plugin,
            pod("{metadata: {name: p}, spec: {serviceAccountName: sa, containers: [{name: c, env: [{name: e, "
                "valueFrom: {secretKeyRef: {name: other, key: k}}}]}]}}"),
            "pods \"p\" is forbidden: container c with envVar e referencing secret.secretName=\"other\" is not allowed "
            "because service account sa does not reference that secret");
    refused(f, plugin,
            pod("{metadata: {name: p}, spec: {serviceAccountName: sa, imagePullSecrets: [{name: pull}, {name: x}], "
                "containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: imagePullSecrets[1].name=\"x\" is not allowed because service account sa does "
            "not reference that imagePullSecret");
    Asked a = pod("{metadata: {name: p}, spec: {serviceAccountName: sa, containers: [{name: c}], ephemeralContainers: "
                  "[{name: d, envFrom: [{secretRef: {name: other}}]}]}}");
    a.operation = ADMISSION_UPDATE;
    passes(f, plugin, a);
    a.subresource = "ephemeralcontainers";
    refused(f, plugin, a,
            "pods \"p\" is forbidden: ephemeral container d with envFrom referencing secret.secretName=\"other\" is "
            "not allowed because service account sa does not reference that secret");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_default_account),   FIXTURE_TEST(test_no_token),          FIXTURE_TEST(test_own_mount),
        FIXTURE_TEST(test_missing),           FIXTURE_TEST(test_waits_for_default), FIXTURE_TEST(test_mirror_pods),
        FIXTURE_TEST(test_mountable_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
