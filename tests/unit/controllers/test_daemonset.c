/* DaemonSets over an API server in memory. */
#include "../support/fake_cluster.h"
#include "api/node_affinity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void put_node(Cluster *cluster, const char *name, const char *labels, const char *taints) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"spec\":{"
             "\"taints\":[%s]}}",
             name, labels, taints);
    object_unref(fake_put_json(cluster->client, "", "nodes", NULL, json));
}

static void put_daemonset(Cluster *cluster, const char *more) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"apps/v1\",\"kind\":\"DaemonSet\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{"
             "\"matchLabels\":{\"app\":\"d\"}},\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{"
             "\"maxUnavailable\":1}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"d\"}},\"spec\":{%s"
             "\"containers\":[{\"name\":\"c\",\"image\":\"one\"}]}}}}",
             more);
    object_unref(fake_put_json(cluster->client, "apps", "daemonsets", "default", json));
}

static int64_t status_of(void *u, const char *field) {
    return fake_number(u, "apps", "daemonsets", "d", "status", field);
}

static size_t n_pods(void *u) {
    return fake_count(((Cluster *)u)->client, "", "pods", "default");
}

static bool two_ready(void *u) {
    fake_kubelet(u);
    return status_of(u, "numberReady") == 2 && n_pods(u) == 2;
}
static bool three_ready(void *u) {
    fake_kubelet(u);
    return status_of(u, "numberReady") == 3 && n_pods(u) == 3;
}

static void test_one_on_each_node_that_admits_it(void **state) {
    Cluster *cluster = *state;
    put_node(cluster, "a", "\"disk\":\"ssd\"", "");
    put_node(cluster, "b", "\"disk\":\"ssd\"", "{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoExecute\"}");
    put_node(cluster, "c", "\"disk\":\"ssd\"", "{\"key\":\"mine\",\"effect\":\"NoSchedule\"}");
    put_node(cluster, "d", "\"disk\":\"slow\"", "");
    cluster_start(cluster, "daemonset-controller", NULL);
    put_daemonset(cluster, "\"nodeSelector\":{\"disk\":\"ssd\"},");
    assert_true(fake_eventually(two_ready, cluster, 10));
    assert_int_equal(status_of(cluster, "desiredNumberScheduled"), 2);
    put_node(cluster, "e", "\"disk\":\"ssd\"", "");
    assert_true(fake_eventually(three_ready, cluster, 10));
    /* The label goes: so does the pod. */
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *patch = NULL;
    const char *slow = "{\"metadata\":{\"labels\":{\"disk\":\"slow\"}}}";
    assert_int_equal(json_parse(arena, slow, strlen(slow), &patch, NULL, NULL), 0);
    client_patch(cluster->client, fake_resource("", "nodes"), NULL, "e", NULL, PATCH_MERGE, patch, NULL, NULL);
    assert_true(fake_eventually(two_ready, cluster, 10));
}

static bool updated(void *u) {
    return three_ready(u) && status_of(u, "updatedNumberScheduled") == 3 &&
           status_of(u, "observedGeneration") == fake_number(u, "apps", "daemonsets", "d", "metadata", "generation");
}

static void test_rolling_update(void **state) {
    Cluster *cluster = *state;
    put_node(cluster, "a", "", "");
    put_node(cluster, "b", "", "");
    put_node(cluster, "c", "", "");
    cluster_start(cluster, "daemonset-controller", NULL);
    put_daemonset(cluster, "");
    assert_true(fake_eventually(updated, cluster, 10));
    size_t before = fake_event_count(cluster->api);
    fake_merge(cluster, "apps", "daemonsets", "d",
               "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    assert_true(fake_eventually(updated, cluster, 20));
    int64_t now = 3, least = 3;
    for (size_t i = before; i < fake_event_count(cluster->api); i++)
        if (streq(object_resource(cluster->api->events[i].object)->plural, "pods")) {
            now += streq(cluster->api->events[i].type, "ADDED") - streq(cluster->api->events[i].type, "DELETED");
            least = MIN(least, now);
        }
    assert_int_equal(least, 2); /* one node at a time */
    assert_int_equal(fake_count(cluster->client, "apps", "controllerrevisions", "default"), 2);
}

static void test_affinity(_unused_ void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *node_value = NULL, *spec = NULL;
    const char *node_json = "{\"metadata\":{\"name\":\"n\",\"labels\":{\"cores\":\"8\",\"zone\":\"a\"}}}";
    json_parse(arena, node_json, strlen(node_json), &node_value, NULL, NULL);
    _cleanup_object_ Object *node = object_from_value(fake_resource("", "nodes"), node_value);
    static const struct {
        const char *term;
        bool admits;
    } cases[] = {
        {"{\"matchExpressions\":[{\"key\":\"zone\",\"operator\":\"In\",\"values\":[\"a\",\"b\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"zone\",\"operator\":\"NotIn\",\"values\":[\"a\"]}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"NotIn\",\"values\":[\"a\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"Exists\"}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"DoesNotExist\"}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"cores\",\"operator\":\"Gt\",\"values\":[\"7\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"cores\",\"operator\":\"Lt\",\"values\":[\"8\"]}]}", false},
        {"{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"n\"]}]}", true},
        {"{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"m\"]}]}", false},
        {"{}", false},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        char *json =
            arena_printf(arena,
                         "{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
                         "\"nodeSelectorTerms\":[%s]}}}}",
                         cases[i].term);
        assert_int_equal(json_parse(arena, json, strlen(json), &spec, NULL, NULL), 0);
        assert_int_equal(node_affinity_admits(spec, node), cases[i].admits);
    }
}

/* ---- failures ---- */

static bool fails_and_is_replaced(void *u) {
    Cluster *cluster = u;
    _cleanup_client_list_ ClientList pods = {0};
    fake_kubelet(cluster);
    client_list(cluster->client, fake_resource("", "pods"), NULL, NULL, &pods, NULL);
    if (pods.n != 1 || streq(object_field(pods.items[0], "status.phase"), "Failed"))
        return false;
    set_pod_status(cluster->client, "default", object_name(pods.items[0]), "Failed", false);
    return true;
}

static bool one_ready(void *u) {
    fake_kubelet(u);
    return status_of(u, "numberReady") == 1;
}

/* The first failure is replaced at once, the next after 1 s, the one after it after 2 s. */
static void test_failures_back_off(void **state) {
    Cluster *cluster = *state;
    put_node(cluster, "a", "", "");
    cluster_start(cluster, "daemonset-controller", NULL);
    put_daemonset(cluster, "");
    /* Failures are counted by observedGeneration: the second status is written by a controller that has read the first.
     */
    assert_true(fake_eventually(one_ready, cluster, 10));
    uint64_t start = now_monotonic_ns(), gone[8] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_true(fake_eventually(fails_and_is_replaced, cluster, 10));
    size_t n = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++) {
        const FakeEvent *event = &cluster->api->events[i];
        if (streq(event->type, "DELETED") && streq(object_resource(event->object)->plural, "pods") &&
            n < ELEMENTSOF(gone))
            gone[n++] = event->at_ns;
    }
    assert_true(n >= 3);
    assert_true(gone[0] - start < NS_PER_SEC * 9 / 10);
    assert_in_range(gone[1] - gone[0], NS_PER_SEC * 9 / 10, NS_PER_SEC * 19 / 10);
    assert_in_range(gone[2] - gone[1], NS_PER_SEC * 19 / 10, NS_PER_SEC * 5);
}

/* ---- surge ---- */

static void test_surge_makes_the_new_pod_first(void **state) {
    Cluster *cluster = *state;
    put_node(cluster, "a", "", "");
    put_node(cluster, "b", "", "");
    put_node(cluster, "c", "", "");
    cluster_start(cluster, "daemonset-controller", NULL);
    put_daemonset(cluster, "");
    assert_true(fake_eventually(updated, cluster, 10));
    size_t before = fake_event_count(cluster->api);
    fake_merge(cluster, "apps", "daemonsets", "d",
               "{\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"maxUnavailable\":0,\"maxSurge\":1}},\"template\":{"
               "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    assert_true(fake_eventually(updated, cluster, 20));
    int64_t now = 3, most = 3, least = 3;
    for (size_t i = before; i < fake_event_count(cluster->api); i++)
        if (streq(object_resource(cluster->api->events[i].object)->plural, "pods")) {
            now += streq(cluster->api->events[i].type, "ADDED") - streq(cluster->api->events[i].type, "DELETED");
            most = MAX(most, now);
            least = MIN(least, now);
        }
    assert_int_equal(least, 3);
    assert_int_equal(most, 4);
}

/* A pod that waits for a node that is gone. */
static void test_pods_without_node_go(void **state) {
    Cluster *cluster = *state;
    put_node(cluster, "a", "", "");
    put_node(cluster, "b", "", "");
    cluster_start(cluster, "daemonset-controller", NULL);
    put_daemonset(cluster, "");
    assert_true(fake_eventually(two_ready, cluster, 10));
    client_delete(cluster->client, fake_resource("", "nodes"), NULL, "b", NULL, NULL);
    for (int i = 0; i < 1000 && (fake_kubelet(cluster), n_pods(cluster) != 1); i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(n_pods(cluster), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_affinity),
        cmocka_unit_test_setup_teardown(test_one_on_each_node_that_admits_it, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_rolling_update, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_failures_back_off, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_surge_makes_the_new_pod_first, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_pods_without_node_go, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
