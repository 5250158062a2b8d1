/* PodDisruptionBudgets over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void put_budget(Cluster *cluster, const char *rule) {
    char json[512];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"b\"},\"spec\":{%s,"
        "\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}",
        rule);
    object_unref(fake_put_json(cluster->client, "policy", "poddisruptionbudgets", "default", json));
}

static void put_replicaset(Cluster *cluster) {
    object_unref(
        fake_put_json(cluster->client, "apps", "replicasets", "default",
                      "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":\"rs\"},\"spec\":{"
                      "\"replicas\":4,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{"
                      "\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"));
}

static bool numbers(void *u, int64_t healthy, int64_t desired, int64_t expected, int64_t allowed) {
    fake_kubelet(u);
    return fake_number(u, "policy", "poddisruptionbudgets", "b", "status", "currentHealthy") == healthy &&
           fake_number(u, "policy", "poddisruptionbudgets", "b", "status", "desiredHealthy") == desired &&
           fake_number(u, "policy", "poddisruptionbudgets", "b", "status", "expectedPods") == expected &&
           fake_number(u, "policy", "poddisruptionbudgets", "b", "status", "disruptionsAllowed") == allowed;
}

static bool one_may_go(void *u) {
    return numbers(u, 4, 3, 4, 1);
}
static bool two_may_go(void *u) {
    return numbers(u, 4, 2, 4, 2);
}

static void test_min_available(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "replicaset-controller,disruption-controller", NULL);
    put_replicaset(cluster);
    put_budget(cluster, "\"minAvailable\":3");
    assert_true(fake_eventually(one_may_go, cluster, 10));
}

static void test_max_unavailable_percent(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "replicaset-controller,disruption-controller", NULL);
    put_replicaset(cluster);
    put_budget(cluster, "\"maxUnavailable\":\"50%\"");
    assert_true(fake_eventually(two_may_go, cluster, 10));
}

static bool told_why(void *u) {
    Cluster *cluster = u;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    client_get(cluster->client, fake_resource("policy", "poddisruptionbudgets"), "default", "b", &object, NULL);
    Value *condition = value_at(value_path(object_value(object, arena), "status", "conditions", NULL), 0);
    const char *reason = value_get_str(condition, "reason");
    return reason && streq(reason, "SyncFailed");
}

/* Of a pod that nothing scales no share can be taken: nothing may go. */
static void test_pod_without_a_scale(void **state) {
    Cluster *cluster = *state;
    object_unref(fake_put_json(
        cluster->client, "", "pods", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"labels\":{\"app\":\"web\"}},"
        "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"));
    cluster_start(cluster, "disruption-controller", NULL);
    put_budget(cluster, "\"maxUnavailable\":1");
    assert_true(fake_eventually(told_why, cluster, 10));
    assert_int_equal(fake_number(cluster, "policy", "poddisruptionbudgets", "b", "status", "disruptionsAllowed"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_min_available, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_max_unavailable_percent, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_pod_without_a_scale, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
