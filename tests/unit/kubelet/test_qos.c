/* QoS class, kernel units and the pod cgroups on a made-up hierarchy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/json.h"
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/cgroups.h"
#include "kubelet/qos.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND 1000000000ll

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static const char GUARANTEED[] = "{\"metadata\":{\"uid\":\"u1\"},\"spec\":{\"containers\":[{\"name\":\"a\","
                                 "\"resources\":{\"requests\":{\"cpu\":\"500m\","
                                 "\"memory\":\"64Mi\"},\"limits\":{\"cpu\":\"0.5\",\"memory\":\"64Mi\"}}}]}}";
static const char BURSTABLE[] =
    "{\"metadata\":{\"uid\":\"u1\"},\"spec\":{\"initContainers\":[{\"name\":\"i\",\"resources\":{\"requests\":{\"cpu\":"
    "\"2\"}}},"
    "{\"name\":\"s\",\"restartPolicy\":\"Always\",\"resources\":{\"requests\":{\"cpu\":\"100m\"}}}],\"containers\":[{"
    "\"name\":"
    "\"a\",\"resources\":{\"requests\":{\"cpu\":\"250m\",\"memory\":\"1Gi\"}}},{\"name\":\"b\"}]}}";
static const char BEST_EFFORT[] = "{\"metadata\":{\"uid\":\"u1\"},\"spec\":{\"containers\":[{\"name\":\"a\"}]}}";

static void test_class(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    assert_int_equal(pod_qos_class(parse(arena, GUARANTEED)), QOS_GUARANTEED);
    assert_int_equal(pod_qos_class(parse(arena, BURSTABLE)), QOS_BURSTABLE);
    assert_int_equal(pod_qos_class(parse(arena, BEST_EFFORT)), QOS_BEST_EFFORT);
    /* Resources of the pod, even none, stand for those of its containers. */
    Value *none = parse(arena, BURSTABLE);
    value_ensure_object(arena, value_get(none, "spec"), "resources");
    assert_int_equal(pod_qos_class(none), QOS_BEST_EFFORT);
}

static void test_units(void **state) {
    (void)state;
    assert_int_equal(cpu_shares_from_milli(0), 2);
    assert_int_equal(cpu_shares_from_milli(1), 2);
    assert_int_equal(cpu_shares_from_milli(1000), 1024);
    assert_int_equal(cpu_shares_from_milli(INT64_MAX), 262144);
    assert_int_equal(cpu_quota_from_milli(0), 0);
    assert_int_equal(cpu_quota_from_milli(1), 1000);
    assert_int_equal(cpu_quota_from_milli(500), 50000);
    assert_int_equal(cpu_weight_from_shares(2), 1);
    assert_int_equal(cpu_weight_from_shares(1024), 39);
    assert_int_equal(cpu_weight_from_shares(262144), 10000);
}

static void test_sums(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    PodResources r;
    pod_resources(parse(arena, BURSTABLE), &r);
    assert_int_equal(r.cpu_request_milli, 2000); /* the init container alone asks for more than all that runs later */
    assert_int_equal(r.memory_request, 1024 * 1024 * 1024);
    assert_int_equal(r.cpu_limit_milli, 0);
    pod_resources(parse(arena, GUARANTEED), &r);
    assert_int_equal(r.cpu_limit_milli, 500);
    assert_int_equal(r.memory_limit, 64 * 1024 * 1024);
}

static void test_oom_score(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(arena, BURSTABLE);
    uint64_t capacity = 4ull << 30;
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "a", NULL), capacity), 750);
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "b", NULL), capacity), 999);
    /* a sidecar is killed no earlier than the container it serves that asks for least */
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "s", NULL), capacity), 999);
    /* what the pod asks for itself and its containers do not is shared among them */
    pod = parse(arena, "{\"spec\":{\"resources\":{\"requests\":{\"memory\":\"2Gi\"}},\"containers\":[{\"name\":\"a\","
                       "\"resources\":{\"requests\":{\"memory\":\"1Gi\"}}},{\"name\":\"b\"}]}}");
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "a", NULL), capacity), 625);
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "b", NULL), capacity), 875);
    pod = parse(arena, BEST_EFFORT);
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "a", NULL), capacity), 1000);
    pod = parse(arena, GUARANTEED);
    assert_int_equal(container_oom_score_adj(pod, pod_find_container(pod, "a", NULL), capacity), -997);
}

static void test_limits_of_the_pod(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(arena, "{\"spec\":{\"resources\":{\"limits\":{\"cpu\":\"2\",\"memory\":\"1Gi\"}},"
                              "\"containers\":[{\"name\":\"a\",\"resources\":{\"limits\":{\"cpu\":\"500m\"}}}]}}");
    const Value *v = container_effective_resources(arena, pod, pod_find_container(pod, "a", NULL));
    assert_int_equal(resource_milli(v, "limits", "cpu"), 500); /* its own */
    assert_int_equal(resource_units(v, "limits", "memory"), 1024 * 1024 * 1024);
    assert_int_equal(resource_units(v, "requests", "memory"), -1);
}

static void test_restart_policy(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod =
        parse(arena, "{\"spec\":{\"restartPolicy\":\"OnFailure\",\"containers\":[{\"name\":\"a\"},{\"name\":\"b\","
                     "\"restartPolicy\":\"Never\",\"restartPolicyRules\":[{\"action\":\"Restart\",\"exitCodes\":{"
                     "\"operator\":\"In\",\"values\":[42]}}]}]}}");
    const Value *a = pod_find_container(pod, "a", NULL), *b = pod_find_container(pod, "b", NULL);
    assert_false(container_should_restart(pod, a, 0));
    assert_true(container_should_restart(pod, a, 1));
    assert_false(container_should_restart(pod, b, 1));
    assert_true(container_should_restart(pod, b, 42));
}

static void make(const char *root, const char *path) {
    char text[512];
    snprintf(text, sizeof text, "%s/%s", root, path);
    assert_int_equal(fs_mkdir_p(text, 0755), 0);
}

static bool there(const char *root, const char *path) {
    char text[512];
    snprintf(text, sizeof text, "%s/%s", root, path);
    return fs_exists(text);
}

static void make_file(const char *root, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(fs_write_atomic(path, "", 0, 0644), 0);
}

static void assert_content(const char *root, const char *name, const char *want) {
    char path[512];
    _cleanup_free_ char *text = NULL;
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(fs_read_file(path, 100, &text, NULL), 0);
    assert_string_equal(text, want);
}

static void test_cgroups_v1(void **state) {
    (void)state;
    char root[] = "/tmp/lighter-cgroups-XXXXXX";
    assert_non_null(mkdtemp(root));
    make(root, "cpu");
    make(root, "memory");
    make(root, "unified");
    _cleanup_free_ char *error = NULL;
    _cleanup_(cgroups_freep) Cgroups *c = NULL;
    assert_int_equal(cgroups_open(root, "/node-a", &c, &error), 0);
    assert_false(cgroups_is_v2(c));
    assert_int_equal(cgroups_setup(c, &error), 0);
    assert_true(there(root, "cpu/node-a/kubepods/burstable"));
    assert_true(there(root, "memory/node-a/kubepods/besteffort"));
    assert_false(there(root, "unified/node-a"));
    make(root, "cpu/node-a/kubepods/burstable/podu1/container");
    make(root, "memory/node-a/kubepods/burstable/podu1");
    char **list = cgroups_pod_list(c);
    assert_string_equal(list[0], "u1");
    assert_null(list[1]);
    free(list[0]);
    free(list);
    assert_int_equal(cgroups_pod_remove(c, "u1"), 0);
    assert_false(there(root, "cpu/node-a/kubepods/burstable/podu1"));
    assert_true(there(root, "cpu/node-a/kubepods/burstable"));
    assert_int_equal(cgroups_pod_remove(c, "u1"), 0); /* again is fine */
    fs_remove_tree(root);
}

static void test_cgroups_v2(void **state) {
    (void)state;
    char root[] = "/tmp/lighter-cgroups-XXXXXX", path[512];
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/cgroup.controllers", root);
    assert_int_equal(fs_write_atomic(path, "cpu memory pids\n", 16, 0644), 0);
    _cleanup_free_ char *error = NULL;
    _cleanup_(cgroups_freep) Cgroups *c = NULL;
    assert_int_equal(cgroups_open(root, "/node-a", &c, &error), 0);
    assert_true(cgroups_is_v2(c));
    assert_int_equal(cgroups_setup(c, &error), 0);
    make_file(root, "node-a/kubepods/besteffort/cpu.weight");
    make_file(root, "node-a/kubepods/burstable/cpu.weight");
    assert_int_equal(cgroups_setup(c, &error), 0);
    assert_content(root, "node-a/kubepods/besteffort/cpu.weight", "1");
    static const char *const limits[] = {"cpu.weight", "memory.max", "pids.max"};
    for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
        snprintf(path, sizeof path, "node-a/kubepods/%s", limits[i]);
        make_file(root, path);
    }
    assert_int_equal(cgroups_limit(c, &(NodeAmounts){2000, 1 << 20, 1, 300}, &error), 0);
    assert_content(root, "node-a/kubepods/cpu.weight", "79");
    assert_content(root, "node-a/kubepods/memory.max", "1048576");
    assert_content(root, "node-a/kubepods/pids.max", "300");
    assert_int_equal(cgroups_burstable_share(c, 100, &error), 0);
    assert_content(root, "node-a/kubepods/burstable/cpu.weight", "4");
    make(root, "node-a/kubepods/podu1");
    static const char *const files[] = {"cpu.max", "memory.max", "cpu.weight"};
    for (size_t i = 0; i < ELEMENTSOF(files); i++) {
        snprintf(path, sizeof path, "node-a/kubepods/podu1/%s", files[i]);
        make_file(root, path);
    }
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    assert_int_equal(cgroups_pod_apply(c, parse(arena, GUARANTEED), &error), 0);
    assert_content(root, "node-a/kubepods/podu1/cpu.max", "50000 100000");
    assert_content(root, "node-a/kubepods/podu1/memory.max", "67108864");
    fs_remove_tree(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_class),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_oom_score),
        cmocka_unit_test(test_limits_of_the_pod),
        cmocka_unit_test(test_restart_policy),
        cmocka_unit_test(test_cgroups_v1),
        cmocka_unit_test(test_cgroups_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
