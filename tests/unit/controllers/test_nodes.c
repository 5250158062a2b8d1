/* Nodes, taints, pod garbage collection, pod CIDRs, endpoints over an API server in memory. */
#include "../support/fake_cluster.h"
#include "controllers/taints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void put_node(Cluster *cluster, const char *name, const char *ready) {
    char json[512], now[RFC3339_MAX];
    rfc3339_format(now_realtime_ns(), now);
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"%s\"},\"status\":{\"conditions\":[{\"type\":"
        "\"Ready\",\"status\":\"%s\",\"lastHeartbeatTime\":\"%s\",\"lastTransitionTime\":\"%s\"}]}}",
        name, ready, now, now);
    object_unref(fake_put_json(cluster->client, "", "nodes", NULL, json));
}

static void put_pod(Cluster *cluster, const char *name, const char *node, const char *more, const char *status) {
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"a\"}},\"spec\":{"
        "\"nodeName\":\"%s\",\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"name\":\"http\","
        "\"containerPort\":8080}]}]%s},\"status\":%s}",
        name, node, more, status);
    object_unref(fake_put_json(cluster->client, "", "pods", "default", json));
}

static Value *get_value(Cluster *cluster, Arena *arena, const char *plural, const char *ns, const char *name) {
    _cleanup_object_ Object *object = NULL;
    if (client_get(cluster->client, fake_resource("", plural), ns, name, &object, NULL) < 0)
        return NULL;
    return object_value(object, arena);
}

static bool node_is_silent(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *node = get_value(u, arena, "nodes", NULL, "quiet");
    Value *taints = value_path(node, "spec", "taints", NULL);
    return streq(value_get_str(value_at(value_path(node, "status", "conditions", NULL), 0), "status"), "Unknown") &&
           taint_exists(taints, TAINT_UNREACHABLE, "NoSchedule") &&
           taint_exists(taints, TAINT_UNREACHABLE, "NoExecute");
}

static void renew(Cluster *cluster, const char *node) {
    char json[512], now[RFC3339_MAX];
    rfc3339_format_micro(now_realtime_ns(), now);
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"coordination.k8s.io/"
             "v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"renewTime\":"
             "\"%s\"}}",
             node, now);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = NULL;
    json_parse(arena, json, strlen(json), &v, NULL, NULL);
    const Resource *leases = fake_resource("coordination.k8s.io", "leases");
    if (client_create(cluster->client, leases, "kube-node-lease", v, NULL, NULL) == -EEXIST)
        client_patch(cluster->client, leases, "kube-node-lease", node, NULL, PATCH_MERGE, v, NULL, NULL);
}

static bool silent_while_other_renews(void *u) {
    renew(u, "loud");
    return node_is_silent(u);
}
static bool pods_left_is_one(void *u) {
    renew(u, "loud");
    return fake_count(((Cluster *)u)->client, "", "pods", "default") == 1;
}

static void test_silent_node_is_tainted_and_emptied(void **state) {
    Cluster *cluster = *state;
    ControllersConfig config = {.node_monitor_grace_ns = NS_PER_SEC, .node_monitor_period_ns = 100 * NS_PER_MS};
    put_node(cluster, "quiet", "True");
    put_node(cluster, "loud", "True");
    put_pod(cluster, "plain", "quiet", "", "{\"phase\":\"Running\"}");
    put_pod(cluster, "stays", "quiet", ",\"tolerations\":[{\"operator\":\"Exists\"}]",
            "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}");
    cluster_start(cluster, "node-lifecycle-controller,taint-eviction-controller", &config);
    assert_true(fake_eventually(silent_while_other_renews, cluster, 15));
    assert_true(fake_eventually(pods_left_is_one, cluster, 15));
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *stays = get_value(cluster, arena, "pods", "default", "stays");
    assert_string_equal(value_get_str(value_at(value_path(stays, "status", "conditions", NULL), 0), "status"), "False");
    Value *loud = get_value(cluster, arena, "nodes", NULL, "loud");
    assert_int_equal(value_len(value_path(loud, "spec", "taints", NULL)), 0);
}

static bool not_ready_taint_only_no_schedule(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *taints = value_path(get_value(u, arena, "nodes", NULL, "only"), "spec", "taints", NULL);
    return taint_exists(taints, TAINT_NOT_READY, "NoSchedule");
}

/* With no ready node at all, nobody is evicted: it is the control plane that is cut off. */
static void test_no_eviction_when_all_are_down(void **state) {
    Cluster *cluster = *state;
    put_node(cluster, "only", "False");
    cluster_start(cluster, "node-lifecycle-controller", NULL);
    assert_true(fake_eventually(not_ready_taint_only_no_schedule, cluster, 10));
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *taints = value_path(get_value(cluster, arena, "nodes", NULL, "only"), "spec", "taints", NULL);
    assert_false(taint_exists(taints, TAINT_NOT_READY, "NoExecute"));
}

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static void test_taint_verdicts(_unused_ void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    int64_t seconds = -1, since = -1;
    Value *taints = parse(arena, "[{\"key\":\"a\",\"effect\":\"NoExecute\",\"timeAdded\":\"2026-01-01T00:00:00Z\"},"
                                 "{\"key\":\"b\",\"effect\":\"NoSchedule\"}]");
    assert_int_equal(taint_verdict(taints, NULL, &seconds, &since), TAINT_EVICT_NOW);
    assert_int_equal(taint_verdict(parse(arena, "[{\"key\":\"b\",\"effect\":\"NoSchedule\"}]"), NULL, &seconds, &since),
                     TAINT_STAY);
    assert_int_equal(taint_verdict(taints, parse(arena, "[{\"key\":\"a\",\"operator\":\"Exists\"}]"), &seconds, &since),
                     TAINT_STAY);
    assert_int_equal(taint_verdict(taints,
                                   parse(arena, "[{\"key\":\"a\",\"operator\":\"Exists\",\"effect\":\"NoSchedule\"}]"),
                                   &seconds, &since),
                     TAINT_EVICT_NOW);
    Value *later = parse(arena, "[{\"key\":\"a\",\"operator\":\"Exists\",\"tolerationSeconds\":300},"
                                "{\"operator\":\"Exists\",\"tolerationSeconds\":60}]");
    assert_int_equal(taint_verdict(taints, later, &seconds, &since), TAINT_EVICT_LATER);
    assert_int_equal(seconds, 60);
    assert_int_equal(since, 1767225600ll * (int64_t)NS_PER_SEC);
    Value *equal = parse(arena, "[{\"key\":\"a\",\"value\":\"x\"}]");
    assert_int_equal(taint_verdict(taints, equal, &seconds, &since), TAINT_EVICT_NOW);
    Value *zero = parse(arena, "[{\"key\":\"a\",\"operator\":\"Exists\",\"tolerationSeconds\":0}]");
    assert_int_equal(taint_verdict(taints, zero, &seconds, &since), TAINT_EVICT_NOW);
}

static bool two_finished_pods(void *u) {
    return fake_count(((Cluster *)u)->client, "", "pods", "default") == 2;
}

static void test_finished_pods_past_the_threshold(void **state) {
    Cluster *cluster = *state;
    ControllersConfig config = {.terminated_pod_gc_threshold = 2};
    char name[16];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "p%d", i);
        cluster->api->clock_skew_ns = (int64_t)(i - 10) * (int64_t)NS_PER_SEC;
        put_pod(cluster, name, "", "", "{\"phase\":\"Succeeded\"}");
    }
    cluster_start(cluster, "pod-garbage-collector-controller", &config);
    assert_true(fake_eventually(two_finished_pods, cluster, 10));
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_non_null(get_value(cluster, arena, "pods", "default", "p3"));
    assert_null(get_value(cluster, arena, "pods", "default", "p0"));
}

static bool three_cidrs(void *u) {
    _cleanup_client_list_ ClientList nodes = {0};
    _cleanup_arena_ Arena *arena = arena_new(0);
    unsigned have = 0;
    client_list(((Cluster *)u)->client, fake_resource("", "nodes"), NULL, NULL, &nodes, NULL);
    for (size_t i = 0; i < nodes.n; i++) {
        const char *cidr = value_get_str(value_get(object_value(nodes.items[i], arena), "spec"), "podCIDR");
        if (cidr && str_has_prefix(cidr, "10.244.") && str_has_suffix(cidr, ".0/24"))
            have |= 1u << (cidr[7] - '0');
    }
    return have == 7;
}

static void test_node_cidrs(void **state) {
    Cluster *cluster = *state;
    ControllersConfig config = {.cluster_cidr = "10.244.0.0/16"};
    cluster_start(cluster, "node-ipam-controller", &config);
    put_node(cluster, "a", "True");
    put_node(cluster, "b", "True");
    put_node(cluster, "c", "True");
    assert_true(fake_eventually(three_cidrs, cluster, 10));
}

/* ---- endpoints ---- */

static size_t published(Cluster *cluster, bool ready_only) {
    _cleanup_client_list_ ClientList slices = {0};
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *endpoint;
    size_t n = 0;
    client_list(cluster->client, fake_resource("discovery.k8s.io", "endpointslices"), "default", NULL, &slices, NULL);
    for (size_t i = 0; i < slices.n; i++)
        VALUE_FOREACH (endpoint, value_get(object_value(slices.items[i], arena), "endpoints"))
            n += !ready_only || value_get_bool(value_get(endpoint, "conditions"), "ready", false);
    return n;
}

static bool three_published_two_ready(void *u) {
    return published(u, false) == 3 && published(u, true) == 2;
}
static bool one_published(void *u) {
    return published(u, false) == 1;
}
static bool endpoints_written(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *subset = value_at(value_get(get_value(u, arena, "endpoints", "default", "s"), "subsets"), 0);
    return value_len(value_get(subset, "addresses")) == 2 && value_len(value_get(subset, "notReadyAddresses")) == 1 &&
           value_get_int(value_at(value_get(subset, "ports"), 0), "port", 0) == 8080;
}

#define RUNNING(ip, ready)                                                                                             \
    "{\"phase\":\"Running\",\"podIP\":\"" ip "\",\"podIPs\":[{\"ip\":\"" ip                                            \
    "\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"" ready "\"}]}"

static void test_endpoints_follow_pods(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "endpointslice-controller,endpoints-controller", NULL);
    object_unref(fake_put_json(
        cluster->client, "", "services", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"selector\":{"
        "\"app\":\"a\"},\"clusterIP\":\"10.0.0.1\",\"ipFamilies\":[\"IPv4\"],\"ports\":[{\"port\":80,"
        "\"protocol\":\"TCP\",\"targetPort\":\"http\"}]}}"));
    put_pod(cluster, "one", "n", "", RUNNING("10.1.0.1", "True"));
    put_pod(cluster, "two", "n", "", RUNNING("10.1.0.2", "True"));
    put_pod(cluster, "three", "n", "", RUNNING("10.1.0.3", "False"));
    put_pod(cluster, "done", "n", "", "{\"phase\":\"Succeeded\",\"podIP\":\"10.1.0.4\"}");
    assert_true(fake_eventually(three_published_two_ready, cluster, 10));
    assert_true(fake_eventually(endpoints_written, cluster, 10));
    assert_int_equal(fake_count(cluster->client, "discovery.k8s.io", "endpointslices", "default"), 1);
    client_delete(cluster->client, fake_resource("", "pods"), "default", "one", NULL, NULL);
    client_delete(cluster->client, fake_resource("", "pods"), "default", "two", NULL, NULL);
    assert_true(fake_eventually(one_published, cluster, 10));
}

static bool all_150_published(void *u) {
    return published(u, true) == 150;
}

static void test_slices_hold_at_most_100(void **state) {
    Cluster *cluster = *state;
    char name[16], status[256];
    object_unref(fake_put_json(
        cluster->client, "", "services", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"selector\":{"
        "\"app\":\"a\"},\"clusterIP\":\"10.0.0.1\",\"ports\":[{\"port\":80,\"targetPort\":8080}]}}"));
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "p%d", i);
        snprintf(
            status, sizeof status,
            "{\"phase\":\"Running\",\"podIP\":\"10.1.0.%d\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}",
            i);
        put_pod(cluster, name, "n", "", status);
    }
    cluster_start(cluster, "endpointslice-controller", NULL);
    assert_true(fake_eventually(all_150_published, cluster, 20));
    assert_int_equal(fake_count(cluster->client, "discovery.k8s.io", "endpointslices", "default"), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taint_verdicts),
        cmocka_unit_test_setup_teardown(test_silent_node_is_tainted_and_emptied, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_no_eviction_when_all_are_down, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_finished_pods_past_the_threshold, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_node_cidrs, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_endpoints_follow_pods, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_slices_hold_at_most_100, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
