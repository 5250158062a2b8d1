#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

static const AdmissionPlugin *const plugin = &admission_resource_quota;

static void quota(Fixture *f, const char *name, const char *spec, const char *hard, const char *used) {
    put(f, "", "resourcequotas",
        arena_printf(f->arena,
                     "{metadata: {name: %s, namespace: team, uid: u}, spec: %s, status: {hard: %s, used: %s}}", name,
                     spec, hard, used));
}

static void used(Fixture *f, const char *name, const char *expected) {
    same_json(f, value_path(stored(f, "", "resourcequotas", "team", name), "status", "used", NULL), expected);
}

static Asked create(const char *plural, const char *object) {
    return (Asked){.operation = ADMISSION_CREATE, .plural = plural, .ns = "team", .object = object};
}

#define POD(cpu)                                                                                                       \
    "{metadata: {name: p, namespace: team}, spec: {containers: [{name: c, resources: {requests: {cpu: " cpu "}}}]}}"

static void test_charges(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{pods: 2, requests.cpu: 1}", "{pods: 0, requests.cpu: 0}");
    passes(f, plugin, create("pods", POD("600m")));
    used(f, "q", "{pods: '1', requests.cpu: 600m}");
    refused(f, plugin, create("pods", POD("500m")),
            "pods \"p\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, "
            "limited: requests.cpu=1");
    used(f, "q", "{pods: '1', requests.cpu: 600m}");
    passes(f, plugin, create("pods", POD("400m")));
    refused(f, plugin, create("pods", POD("1m")),
            "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=1m, used: "
            "pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1");
}

static void test_says_who_charged(void **state) {
    Fixture *f = *state;
    put(f, "", "resourcequotas",
        "{metadata: {name: q, namespace: team, uid: u, managedFields: [{manager: kubectl, operation: Update, "
        "apiVersion: v1, fieldsType: FieldsV1, "
        "time: '2026-01-01T00:00:00Z', fieldsV1: {'f:spec': {'f:hard': {'f:pods': {}}}}}]}, spec: {hard: {pods: 2}}, "
        "status: {hard: {pods: 2}, used: {pods: 0}}}");
    passes(f, plugin, create("pods", POD("1")));
    const Value *v = stored(f, "", "resourcequotas", "team", "q"),
                *entry = value_at(value_path(v, "metadata", "managedFields", NULL), 1);
    assert_non_null(entry);
    assert_string_equal(value_get_str(entry, "manager"), "kube-apiserver");
    assert_string_equal(value_get_str(entry, "subresource"), "status");
    same_json(f, value_get(entry, "fieldsV1"), "{'f:status': {'f:used': {'f:pods': {}}}}");
}

static void test_dry_run(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{pods: 1}", "{pods: 0}");
    Asked a = create("pods", POD("1"));
    a.dry_run = true;
    passes(f, plugin, a);
    used(f, "q", "{pods: '0'}");
}

static void test_demands(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{limits.memory: 1Gi, requests.cpu: 1}", "{limits.memory: 0, requests.cpu: 0}");
    refused(
        f, plugin,
        create("pods",
               "{metadata: {name: p}, spec: {containers: [{name: b}, {name: a, resources: {requests: {cpu: 1}}}]}}"),
        "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: a,b; requests.cpu for: b");
    passes(f, plugin,
           create("pods", "{metadata: {name: p}, spec: {resources: {requests: {cpu: 1}}, containers: [{name: b}]}}"));
}

static void test_unknown_usage(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{pods: 1, count/pods: 2}", "{pods: 0}");
    refused(f, plugin, create("pods", POD("1")),
            "pods \"p\" is forbidden: status unknown for quota: q, resources: count/pods,pods");
}

static void test_counts(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{secrets: 1, count/deployments.apps: 1}", "{secrets: 0, count/deployments.apps: 0}");
    passes(f, plugin, create("secrets", "{metadata: {name: a}}"));
    refused(f, plugin, create("secrets", "{metadata: {name: b}}"),
            "secrets \"b\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1");
    Asked d = create("deployments", "{metadata: {name: d}}");
    d.group = "apps";
    passes(f, plugin, d);
    refused(f, plugin, d,
            "deployments.apps \"d\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: "
            "count/deployments.apps=1, limited: count/deployments.apps=1");
    passes(f, plugin, create("configmaps", "{metadata: {name: m}}"));
    /* not counted at all */
    passes(f, plugin, create("events", "{metadata: {name: e}}"));
}

static void test_services(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{services: 5, services.nodeports: 2, services.loadbalancers: 1}",
          "{services: 0, services.nodeports: 0, services.loadbalancers: 0}");
    passes(f, plugin,
           create("services", "{metadata: {name: s}, spec: {type: NodePort, ports: [{port: 1}, {port: 2}]}}"));
    used(f, "q", "{services: '1', services.loadbalancers: '0', services.nodeports: '2'}");
    passes(f, plugin,
           create("services", "{metadata: {name: s}, spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, "
                              "ports: [{port: 1}]}}"));
    refused(f, plugin, create("services", "{metadata: {name: s}, spec: {type: LoadBalancer, ports: [{port: 1}]}}"),
            "services \"s\" is forbidden: exceeded quota: q, requested: services.loadbalancers=1,services.nodeports=1, "
            "used: services.loadbalancers=1,services.nodeports=2, "
            "limited: services.loadbalancers=1,services.nodeports=2");
    /* of an update only what it adds */
    Asked u = create("services", "{metadata: {name: s}, spec: {type: ClusterIP, ports: [{port: 1}]}}");
    u.operation = ADMISSION_UPDATE;
    u.old = "{metadata: {name: s}, spec: {type: NodePort, ports: [{port: 1}]}}";
    passes(f, plugin, u);
    used(f, "q", "{services: '2', services.loadbalancers: '1', services.nodeports: '2'}");
}

static void test_storage(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{requests.storage: 3Gi, fast.storageclass.storage.k8s.io/requests.storage: 1Gi}",
          "{requests.storage: 0, fast.storageclass.storage.k8s.io/requests.storage: 0}");
    refused(f, plugin,
            create("persistentvolumeclaims",
                   "{metadata: {name: c}, spec: {storageClassName: fast, resources: {requests: {storage: 2Gi}}}}"),
            "persistentvolumeclaims \"c\" is forbidden: exceeded quota: q, requested: "
            "fast.storageclass.storage.k8s.io/requests.storage=2Gi, "
            "used: fast.storageclass.storage.k8s.io/requests.storage=0, limited: "
            "fast.storageclass.storage.k8s.io/requests.storage=1Gi");
    passes(f, plugin,
           create("persistentvolumeclaims",
                  "{metadata: {name: c}, spec: {storageClassName: slow, resources: {requests: {storage: 2Gi}}}}"));
    Asked grow = create("persistentvolumeclaims",
                        "{metadata: {name: c}, spec: {storageClassName: slow, resources: {requests: {storage: 3Gi}}}}");
    grow.operation = ADMISSION_UPDATE;
    grow.old = "{metadata: {name: c}, spec: {storageClassName: slow, resources: {requests: {storage: 2Gi}}}}";
    passes(f, plugin, grow);
    used(f, "q", "{fast.storageclass.storage.k8s.io/requests.storage: '0', requests.storage: 3Gi}");
}

static void test_scopes(void **state) {
    Fixture *f = *state;
    quota(f, "best", "{scopes: [BestEffort]}", "{pods: 0}", "{pods: 0}");
    quota(f, "ends", "{scopes: [Terminating]}", "{pods: 0}", "{pods: 0}");
    quota(f, "gold", "{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [gold]}]}}",
          "{pods: 0}", "{pods: 0}");
    quota(f, "cross", "{scopes: [CrossNamespacePodAffinity]}", "{pods: 0}", "{pods: 0}");
    passes(f, plugin, create("pods", POD("1")));
    refused(f, plugin, create("pods", "{metadata: {name: p}, spec: {containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: exceeded quota: best, requested: pods=1, used: pods=0, limited: pods=0");
    refused(f, plugin,
            create("pods", "{metadata: {name: p}, spec: {activeDeadlineSeconds: 5, containers: [{name: c, resources: "
                           "{requests: {cpu: 1}}}]}}"),
            "pods \"p\" is forbidden: exceeded quota: ends, requested: pods=1, used: pods=0, limited: pods=0");
    refused(f, plugin,
            create("pods", "{metadata: {name: p}, spec: {priorityClassName: gold, containers: [{name: c, resources: "
                           "{requests: {cpu: 1}}}]}}"),
            "pods \"p\" is forbidden: exceeded quota: gold, requested: pods=1, used: pods=0, limited: pods=0");
    refused(f, plugin,
            create("pods", "{metadata: {name: p}, spec: {affinity: {podAffinity: "
                           "{requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: k, namespaces: [o]}]}}, "
                           "containers: [{name: c, resources: {requests: {cpu: 1}}}]}}"),
            "pods \"p\" is forbidden: exceeded quota: cross, requested: pods=1, used: pods=0, limited: pods=0");
}

static void test_devices(void **state) {
    Fixture *f = *state;
    quota(f, "q", "{}", "{gpu.deviceclass.resource.k8s.io/devices: 3}", "{gpu.deviceclass.resource.k8s.io/devices: 0}");
    Asked a =
        create("resourceclaims", "{metadata: {name: c}, spec: {devices: {requests: [{name: r, firstAvailable: [{name: "
                                 "a, deviceClassName: gpu, allocationMode: ExactCount, count: 2}, "
                                 "{name: b, deviceClassName: gpu, allocationMode: ExactCount, count: 1}]}, {name: s, "
                                 "exactly: {deviceClassName: gpu, allocationMode: ExactCount, count: 2}}]}}}");
    a.group = "resource.k8s.io";
    refused(f, plugin, a,
            "resourceclaims.resource.k8s.io \"c\" is forbidden: exceeded quota: q, requested: "
            "gpu.deviceclass.resource.k8s.io/devices=4, "
            "used: gpu.deviceclass.resource.k8s.io/devices=0, limited: gpu.deviceclass.resource.k8s.io/devices=3");
}

/* Two quotas, of which the second refuses: the first is not charged. */
static void test_all_or_nothing(void **state) {
    Fixture *f = *state;
    quota(f, "a", "{}", "{pods: 5}", "{pods: 0}");
    quota(f, "b", "{}", "{requests.cpu: 1}", "{requests.cpu: 1}");
    refused(f, plugin, create("pods", POD("1")),
            "pods \"p\" is forbidden: exceeded quota: b, requested: requests.cpu=1, used: requests.cpu=1, limited: "
            "requests.cpu=1");
    used(f, "a", "{pods: '0'}");
}

#define THREADS 4
#define EACH 30
#define ALLOWED 50

typedef struct Race {
    Fixture *f;
    atomic_int admitted, refused, failed;
    atomic_bool stop;
} Race;

static void *create_many(void *userdata) {
    Race *race = userdata;
    for (int i = 0; i < EACH; i++) {
        Fixture own = *race->f;
        own.arena = arena_new(0);
        Asked a = create("pods", POD("1"));
        int r = ask(&own, plugin, &a);
        if (r == 0)
            atomic_fetch_add(&race->admitted, 1);
        else if (r == -EACCES)
            atomic_fetch_add(&race->refused, 1);
        else
            atomic_fetch_add(&race->failed, 1);
        api_error_done(&a.err);
        arena_free(own.arena);
    }
    return NULL;
}

/* Somebody else writes the quota all the time. */
static void *disturb(void *userdata) {
    Race *race = userdata;
    const Resource *resource = resource_find("", "v1", "resourcequotas");
    for (int i = 0; !atomic_load(&race->stop); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_object_ Object *object = NULL, *made = NULL;
        if (store_get(race->f->store, resource, "team", "q", &object) < 0)
            continue;
        Value *v = object_value(object, arena);
        value_set(arena, value_ensure_object(arena, meta_ensure(arena, v), "annotations"), "i",
                  value_printf(arena, "%d", i));
        made = object_from_value(resource, v);
        store_update(race->f->store, made, object_revision(object), NULL);
        usleep(2000);
    }
    return NULL;
}

static void test_race(void **state) {
    Race race = {.f = *state};
    pthread_t threads[THREADS], other;
    quota(race.f, "q", "{}", "{pods: 50}", "{pods: 0}");
    pthread_create(&other, NULL, disturb, &race);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, create_many, &race);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&race.stop, true);
    pthread_join(other, NULL);
    assert_int_equal(race.failed, 0);
    assert_int_equal(race.admitted, ALLOWED);
    assert_int_equal(race.refused, THREADS * EACH - ALLOWED);
    used(race.f, "q", "{pods: '50'}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_charges),  FIXTURE_TEST(test_says_who_charged), FIXTURE_TEST(test_dry_run),
        FIXTURE_TEST(test_demands),  FIXTURE_TEST(test_unknown_usage),    FIXTURE_TEST(test_counts),
        FIXTURE_TEST(test_services), FIXTURE_TEST(test_storage),          FIXTURE_TEST(test_scopes),
        FIXTURE_TEST(test_devices),  FIXTURE_TEST(test_all_or_nothing),   FIXTURE_TEST(test_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
