/* Placement decisions on small clusters, written as the API objects that users write. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "api/json.h"
#include "base/str.h"
#include "scheduler/pod_request.h"

typedef struct World {
    Arena *arena;
    Placement *placement;
} World;

static int set_up(void **state) {
    World *w = NEW0(World);
    w->arena = arena_new(0);
    w->placement = placement_new();
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    World *w = *state;
    placement_free(w->placement);
    arena_free(w->arena);
    free(w);
    return 0;
}

static Value *parse(World *w, const char *json) {
    Value *v = NULL;
    char *message = NULL;
    if (json_parse(w->arena, json, strlen(json), &v, NULL, &message) < 0)
        fail_msg("bad test input: %s", message);
    return v;
}

static void node(World *w, const char *name, const char *zone, const char *cpu, const char *spec) {
    char *json =
        arena_printf(w->arena,
                     "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"kubernetes.io/hostname\":\"%s\",\"zone\":\"%s\"}},"
                     "\"spec\":%s,\"status\":{\"allocatable\":{\"cpu\":\"%s\",\"memory\":\"8Gi\",\"pods\":\"3\"}}}",
                     name, name, zone, spec ? spec : "{}", cpu);
    node_row_set(w->placement, parse(w, json));
}

static Value *pod(World *w, const char *name, const char *labels, const char *spec) {
    return parse(
        w,
        arena_printf(w->arena,
                     "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\",\"uid\":\"u-%s\",\"labels\":%s},\"spec\":%s}",
                     name, name, labels, spec));
}

#define PLAIN "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}"
#define WANTS(cpu)                                                                                                     \
    "{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"" cpu "\"}}}]}"

static PlacementDecision decide(World *w, const Value *p, uint64_t seed) {
    PlacementDecision decision;
    PlacementRequest *request = pod_request_new(w->placement, p);
    placement_decide(w->placement, request, seed, w->arena, &decision);
    placement_request_free(request);
    return decision;
}

static void resident(World *w, const Value *p, const char *on) {
    placement_add_resident(w->placement, pod_request_new(w->placement, p), on);
}

static void expect_explanation(World *w, const Value *p, const char *want) {
    PlacementDecision decision = decide(w, p, 1);
    assert_null(decision.node);
    assert_string_equal(placement_explain(w->arena, &decision), want);
}

static void test_reasons(void **state) {
    World *w = *state;
    node(w, "a", "z1", "1", NULL);
    node(w, "b", "z1", "4", "{\"unschedulable\":true}");
    node(w, "c", "z2", "4", "{\"taints\":[{\"key\":\"k\",\"value\":\"v\",\"effect\":\"NoSchedule\"}]}");
    expect_explanation(w, pod(w, "p", "{}", WANTS("2")),
                       "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) "
                       "were unschedulable.");
    PlacementDecision tolerated =
        decide(w,
               pod(w, "q", "{}",
                   "{\"tolerations\":[{\"key\":\"k\",\"operator\":\"Equal\",\"value\":\"v\"}],\"containers\":[{"
                   "\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}"),
               1);
    assert_string_equal(tolerated.node, "c");
}

static void test_too_many_pods_and_ports(void **state) {
    World *w = *state;
    node(w, "a", "z", "4", NULL);
    const char *spec = "{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"hostPort\":80}]}]}";
    resident(w, pod(w, "r1", "{}", spec), "a");
    expect_explanation(w, pod(w, "p", "{}", spec),
                       "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.");
    resident(w, pod(w, "r2", "{}", PLAIN), "a");
    resident(w, pod(w, "r3", "{}", PLAIN), "a");
    expect_explanation(w, pod(w, "p", "{}", PLAIN), "0/1 nodes are available: 1 Too many pods.");
    assert_true(placement_remove_resident(w->placement, "u-r2"));
    assert_false(placement_remove_resident(w->placement, "u-r2"));
    assert_string_equal(decide(w, pod(w, "p", "{}", PLAIN), 1).node, "a");
}

static void test_least_allocated_wins(void **state) {
    World *w = *state;
    node(w, "a", "z", "4", NULL);
    node(w, "b", "z", "4", NULL);
    resident(w, pod(w, "r", "{}", WANTS("2")), "a");
    for (uint64_t seed = 0; seed < 20; seed++)
        assert_string_equal(decide(w, pod(w, "p", "{}", WANTS("1")), seed).node, "b");
}

static void test_node_selector_and_affinity(void **state) {
    World *w = *state;
    node(w, "a", "z1", "4", NULL);
    node(w, "b", "z2", "4", NULL);
    assert_string_equal(decide(w, pod(w, "p", "{}", "{\"nodeSelector\":{\"zone\":\"z2\"}}"), 3).node, "b");
    assert_string_equal(
        decide(w,
               pod(w, "q", "{}",
                   "{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
                   "\"nodeSelectorTerms\":["
                   "{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"a\"]}]}]}}}}"),
               3)
            .node,
        "a");
    expect_explanation(w, pod(w, "r", "{}", "{\"nodeSelector\":{\"zone\":\"z3\"}}"),
                       "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.");
}

#define ANTI                                                                                                           \
    "{\"affinity\":{\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"labelSelector\":"      \
    "{\"matchLabels\":{\"app\":\"x\"}},\"topologyKey\":\"kubernetes.io/hostname\"}]}}}"

static void test_anti_affinity(void **state) {
    World *w = *state;
    node(w, "a", "z", "4", NULL);
    node(w, "b", "z", "4", NULL);
    resident(w, pod(w, "r", "{\"app\":\"x\"}", ANTI), "a");
    assert_string_equal(decide(w, pod(w, "p", "{\"app\":\"x\"}", ANTI), 1).node, "b");
    resident(w, pod(w, "s", "{\"app\":\"x\"}", ANTI), "b");
    expect_explanation(w, pod(w, "p", "{\"app\":\"x\"}", ANTI),
                       "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.");
    /* Those that run keep others of their kind away, also when these do not mind. */
    expect_explanation(w, pod(w, "q", "{\"app\":\"x\"}", PLAIN),
                       "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.");
}

static void test_affinity_finds_company_or_founds_it(void **state) {
    World *w = *state;
    const char *near =
        "{\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"labelSelector\":"
        "{\"matchLabels\":{\"app\":\"x\"}},\"topologyKey\":\"zone\"}]}}}";
    node(w, "a", "z1", "4", NULL);
    node(w, "b", "z2", "4", NULL);
    expect_explanation(w, pod(w, "p", "{\"app\":\"y\"}", near),
                       "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.");
    assert_non_null(decide(w, pod(w, "first", "{\"app\":\"x\"}", near), 1).node);
    resident(w, pod(w, "r", "{\"app\":\"x\"}", PLAIN), "b");
    assert_string_equal(decide(w, pod(w, "p", "{\"app\":\"y\"}", near), 1).node, "b");
}

static void test_hard_spread(void **state) {
    World *w = *state;
    const char *spread = "{\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\","
                         "\"whenUnsatisfiable\":\"DoNotSchedule\","
                         "\"labelSelector\":{\"matchLabels\":{\"app\":\"x\"}}}]}";
    node(w, "a", "z1", "4", NULL);
    node(w, "b", "z2", "1", NULL);
    resident(w, pod(w, "r", "{\"app\":\"x\"}", PLAIN), "a");
    assert_string_equal(decide(w, pod(w, "p", "{\"app\":\"x\"}", spread), 1).node, "b");
    resident(w, pod(w, "big", "{}", WANTS("1")), "b");
    const char *both = "{\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\",\"whenUnsatisfiable\":"
                       "\"DoNotSchedule\","
                       "\"labelSelector\":{\"matchLabels\":{\"app\":\"x\"}}}],\"containers\":[{\"name\":\"c\","
                       "\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}";
    expect_explanation(
        w, pod(w, "p", "{\"app\":\"x\"}", both),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints.");
}

static void test_soft_default_spread_by_owner(void **state) {
    World *w = *state;
    static const char json[] = "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\",\"uid\":\"%s\",\"ownerReferences\":["
                               "{\"uid\":\"rs\",\"controller\":true}]},\"spec\":{}}";
    node(w, "a", "z", "4", NULL);
    node(w, "b", "z", "4", NULL);
    resident(w, parse(w, arena_printf(w->arena, json, "r", "r")), "a");
    for (uint64_t seed = 0; seed < 20; seed++)
        assert_string_equal(decide(w, parse(w, arena_printf(w->arena, json, "p", "p")), seed).node, "b");
}

static void test_same_seed_same_answer(void **state) {
    World *w = *state;
    bool differs = false;
    for (int i = 0; i < 8; i++)
        node(w, arena_printf(w->arena, "n%d", i), "z", "4", NULL);
    Value *p = pod(w, "p", "{}", PLAIN);
    const char *first = decide(w, p, 7).node;
    for (uint64_t seed = 0; seed < 50; seed++) {
        assert_string_equal(decide(w, p, 7).node, first);
        differs |= !streq(decide(w, p, seed).node, first);
    }
    assert_true(differs);
}

static void test_preemption(void **state) {
    World *w = *state;
    node(w, "a", "z", "2", NULL);
    node(w, "b", "z", "2", NULL);
    resident(w,
             pod(w, "low", "{}",
                 "{\"priority\":1,\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}"),
             "a");
    resident(w,
             pod(w, "mid", "{}",
                 "{\"priority\":5,\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}"),
             "b");
    PlacementRequest *high = pod_request_new(
        w->placement,
        pod(w, "p", "{}",
            "{\"priority\":10,\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}"));
    PlacementDecision decision;
    PlacementPreemption preemption;
    placement_decide(w->placement, high, 1, w->arena, &decision);
    assert_null(decision.node);
    placement_preempt(w->placement, high, &decision, w->arena, &preemption);
    assert_string_equal(preemption.node, "a");
    assert_int_equal(preemption.n_victims, 1);
    assert_string_equal(preemption.victims[0], "u-low");
    /* A rehearsal only: both are still there. */
    assert_string_equal(placement_resident_node(w->placement, "u-low"), "a");
    assert_string_equal(placement_resident_node(w->placement, "u-mid"), "b");
    placement_request_free(high);

    PlacementRequest *equal = pod_request_new(
        w->placement,
        pod(w, "q", "{}",
            "{\"priority\":1,\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}"));
    placement_decide(w->placement, equal, 1, w->arena, &decision);
    placement_preempt(w->placement, equal, &decision, w->arena, &preemption);
    assert_null(preemption.node);
    assert_string_equal(preemption.message,
                        "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.");
    placement_request_free(equal);
}

static void test_sidecars_and_init_containers_count(void **state) {
    World *w = *state;
    const char *spec = "{\"initContainers\":[{\"name\":\"s\",\"restartPolicy\":\"Always\",\"resources\":{\"requests\":{"
                       "\"cpu\":\"1\"}}},"
                       "{\"name\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"2\"}}}],"
                       "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"500m\"}}}]}";
    node(w, "a", "z", "2900m", NULL); /* the init container beside the sidecar needs 3 */
    expect_explanation(w, pod(w, "p", "{}", spec), "0/1 nodes are available: 1 Insufficient cpu.");
    node(w, "a", "z", "3", NULL);
    assert_string_equal(decide(w, pod(w, "p", "{}", spec), 1).node, "a");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_reasons),
        TEST(test_too_many_pods_and_ports),
        TEST(test_least_allocated_wins),
        TEST(test_node_selector_and_affinity),
        TEST(test_anti_affinity),
        TEST(test_affinity_finds_company_or_founds_it),
        TEST(test_hard_spread),
        TEST(test_soft_default_spread_by_owner),
        TEST(test_same_seed_same_answer),
        TEST(test_preemption),
        TEST(test_sidecars_and_init_containers_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
