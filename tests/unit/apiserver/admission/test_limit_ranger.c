#include "helpers.h"

static const AdmissionPlugin *const plugin = &admission_limit_ranger;

static Asked pod(const char *spec) {
    return (Asked){.operation = ADMISSION_CREATE, .plural = "pods", .ns = "team", .object = spec};
}

static void limits(Fixture *f, const char *items) {
    put(f, "", "limitranges",
        arena_printf(f->arena, "{metadata: {name: l, namespace: team}, spec: {limits: %s}}", items));
}

static void test_defaults(void **state) {
    Fixture *f = *state;
    limits(f, "[{type: Container, default: {cpu: 500m, memory: 256Mi}, defaultRequest: {cpu: 100m}}]");
    Value *v = passes(f, plugin,
                      pod("{metadata: {name: p}, spec: {containers: [{name: a}, {name: b, resources: {limits: {cpu: "
                          "1}, requests: {cpu: 1}}}], initContainers: [{name: i}]}}"));
    same_json(f, value_path(value_at(value_path(v, "spec", "containers", NULL), 0), "resources", NULL),
              "{limits: {cpu: 500m, memory: 256Mi}, requests: {cpu: 100m, memory: 256Mi}}");
    same_json(f, value_path(value_at(value_path(v, "spec", "containers", NULL), 1), "resources", NULL),
              "{limits: {cpu: '1', memory: 256Mi}, requests: {cpu: '1', memory: 256Mi}}");
    assert_string_equal(admission_annotation(v, "kubernetes.io/limit-ranger"),
                        "LimitRanger plugin set: cpu request for container a; cpu, memory limit for container a; "
                        "memory limit for container b; "
                        "cpu request for init container i; cpu, memory limit for init container i");
}

/* What a pod asks for as a whole is what its containers got. */
static void test_defaults_of_the_whole(void **state) {
    Fixture *f = *state;
    limits(f, "[{type: Container, defaultRequest: {cpu: 200m}}]");
    Value *v = passes(f, plugin,
                      pod("{metadata: {name: p}, spec: {resources: {limits: {memory: 1Gi}}, containers: [{name: a}, "
                          "{name: b}]}}"));
    same_json(f, value_path(v, "spec", "resources", NULL),
              "{limits: {memory: 1Gi}, requests: {cpu: 400m, memory: 1Gi}}");
}

static void test_nothing_to_say(void **state) {
    Fixture *f = *state;
    Value *v = passes(f, plugin, pod("{metadata: {name: p}, spec: {containers: [{name: a}]}}"));
    same_json(f, value_get(value_at(value_path(v, "spec", "containers", NULL), 0), "resources"), "{}");
    assert_null(admission_annotation(v, "kubernetes.io/limit-ranger"));
}

static void test_container_bounds(void **state) {
    Fixture *f = *state;
    limits(f, "[{type: Container, max: {cpu: 1}, min: {memory: 10Mi}, maxLimitRequestRatio: {cpu: 2}}]");
    refused(f, plugin,
            pod("{metadata: {name: p}, spec: {containers: [{name: a, resources: {requests: {cpu: 500m, memory: 1Mi}, "
                "limits: {cpu: 1500m}}}]}}"),
            "pods \"p\" is forbidden: [minimum memory usage per Container is 10Mi, but request is 1Mi, maximum cpu "
            "usage per Container is 1, but limit is 1500m, "
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000]");
    refused(f, plugin,
            pod("{metadata: {generateName: p-}, spec: {containers: [{name: a}, {name: b, resources: {requests: "
                "{memory: 10Mi, cpu: 1}, limits: {cpu: 1}}}]}}"),
            "pods \"p-\" is forbidden: [minimum memory usage per Container is 10Mi.  No request is specified, maximum "
            "cpu usage per Container is 1.  No limit is specified, "
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0]");
    passes(f, plugin,
           pod("{metadata: {name: p}, spec: {containers: [{name: a, resources: {requests: {cpu: 500m, memory: 10Mi}, "
               "limits: {cpu: 1}}}]}}"));
}

static void test_pod_sum(void **state) {
    Fixture *f = *state;
    limits(f, "[{type: Pod, max: {cpu: 2}}]");
    refused(f, plugin,
            pod("{metadata: {name: p}, spec: {containers: [{name: a, resources: {limits: {cpu: 1}}}, {name: b, "
                "resources: {limits: {cpu: 1100m}}}]}}"),
            "pods \"p\" is forbidden: maximum cpu usage per Pod is 2, but limit is 2100m");
    /* init containers run one after the other, sidecars beside everything that follows */
    passes(f, plugin,
           pod("{metadata: {name: p}, spec: {containers: [{name: a, resources: {limits: {cpu: 1}}}], initContainers: "
               "[{name: i, resources: {limits: {cpu: 2}}}]}}"));
    refused(f, plugin,
            pod("{metadata: {name: p}, spec: {containers: [{name: a, resources: {limits: {cpu: 1}}}], initContainers: "
                "[{name: s, restartPolicy: Always, resources: {limits: {cpu: 500m}}}, {name: i, resources: {limits: "
                "{cpu: 2}}}]}}"),
            "pods \"p\" is forbidden: maximum cpu usage per Pod is 2, but limit is 2500m");
    /* what the pod says itself counts instead */
    passes(f, plugin,
           pod("{metadata: {name: p}, spec: {resources: {limits: {cpu: 2}}, containers: [{name: a, resources: {limits: "
               "{cpu: 3}}}]}}"));
}

static void test_claims(void **state) {
    Fixture *f = *state;
    limits(f, "[{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 5Gi}}]");
    Asked claim = {.operation = ADMISSION_CREATE, .plural = "persistentvolumeclaims", .ns = "team"};
    claim.object = "{metadata: {name: c}, spec: {resources: {requests: {storage: 10Mi}}}}";
    refused(f, plugin, claim,
            "persistentvolumeclaims \"c\" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but "
            "request is 10Mi");
    claim.object = "{metadata: {name: c}, spec: {resources: {requests: {storage: 6Gi}}}}";
    refused(f, plugin, claim,
            "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but "
            "request is 6Gi");
    /* one that is going may still be changed */
    claim.operation = ADMISSION_UPDATE;
    claim.old = "{metadata: {name: c, deletionTimestamp: '2026-01-01T00:00:00Z'}}";
    passes(f, plugin, claim);
}

static void test_updates(void **state) {
    Fixture *f = *state;
    limits(f, "[{type: Container, max: {cpu: 1}}]");
    Asked a = pod(
        "{metadata: {name: p}, spec: {containers: [{name: a, resources: {requests: {cpu: 2}, limits: {cpu: 2}}}]}}");
    a.operation = ADMISSION_UPDATE;
    a.old = a.object;
    passes(f, plugin, a);
    a.subresource = "resize";
    refused(f, plugin, a, "pods \"p\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_defaults),         FIXTURE_TEST(test_nothing_to_say),
        FIXTURE_TEST(test_container_bounds), FIXTURE_TEST(test_defaults_of_the_whole),
        FIXTURE_TEST(test_nothing_to_say),   FIXTURE_TEST(test_container_bounds),
        FIXTURE_TEST(test_pod_sum),          FIXTURE_TEST(test_claims),
        FIXTURE_TEST(test_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
