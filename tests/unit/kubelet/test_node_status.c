/* What the node's object and its lease say, and what of them is others'. */
#include "../support/agent_fixture.h"

static Value *node_of(Fixture *f, Arena *arena) {
    _cleanup_object_ Object *node = NULL;
    if (client_get(f->client, RES("nodes"), NULL, "node-1", &node, NULL) < 0)
        return NULL;
    return object_value(node, arena);
}

static bool is_ready(Fixture *f, const void *data) {
    (void)data;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *ready = condition_find(value_path(node_of(f, arena), "status", "conditions", NULL), "Ready");
    return streq_null(value_get_str(ready, "status"), "True");
}

static void a_node_registers_itself(void **state) {
    Fixture *f = *state;
    static const char *const labels[] = {"tier=front", NULL}, *const taints[] = {"dedicated=db:NoSchedule", NULL};
    assert_true(becomes(f, is_ready, NULL));
    kubelet_stop(f->kubelet);
    assert_int_equal(client_delete(f->client, RES("nodes"), NULL, "node-1", &(ClientDelete){.grace_seconds = -1}, NULL),
                     0);
    f->config.labels = labels;
    f->config.taints = taints;
    f->config.max_pods = 7;
    start_agent(f);
    assert_true(becomes(f, is_ready, NULL));
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *node = node_of(f, arena), *status = value_get(node, "status"), *meta = value_get(node, "metadata");
    assert_string_equal(value_get_str(value_get(meta, "labels"), "tier"), "front");
    assert_string_equal(value_get_str(value_get(meta, "labels"), "kubernetes.io/hostname"), "node-1");
    const Value *taint = value_at(value_path(node, "spec", "taints", NULL), 0);
    assert_string_equal(value_get_str(taint, "key"), "dedicated");
    assert_string_equal(value_get_str(taint, "value"), "db");
    assert_string_equal(value_get_str(taint, "effect"), "NoSchedule");
    assert_string_equal(value_get_str(value_get(status, "capacity"), "pods"), "7");
    assert_string_equal(value_get_str(value_at(value_get(status, "addresses"), 0), "address"), "192.0.2.1");
    assert_string_equal(value_get_str(condition_find(value_get(status, "conditions"), "PIDPressure"), "reason"),
                        "KubeletHasSufficientPID");
    assert_true(becomes(f, has_event, "Node node-1 status is now: NodeReady"));
}

static void what_others_wrote_stays(void **state) {
    Fixture *f = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_true(becomes(f, is_ready, NULL));
    Value *patch = parse(arena, "{\"metadata\":{\"labels\":{\"zone\":\"a\"}},\"spec\":{\"unschedulable\":true}}");
    assert_int_equal(client_patch(f->client, RES("nodes"), NULL, "node-1", NULL, PATCH_STRATEGIC, patch, NULL, NULL),
                     0);
    patch = parse(arena, "{\"status\":{\"conditions\":[{\"type\":\"NetworkUnavailable\",\"status\":\"False\"}]}}");
    assert_int_equal(
        client_patch(f->client, RES("nodes"), NULL, "node-1", "status", PATCH_STRATEGIC, patch, NULL, NULL), 0);
    restart_agent(f);
    quiet();
    const Value *node = node_of(f, arena);
    assert_string_equal(value_get_str(value_path(node, "metadata", "labels", NULL), "zone"), "a");
    assert_true(value_get_bool(value_get(node, "spec"), "unschedulable", false));
    assert_non_null(condition_find(value_path(node, "status", "conditions", NULL), "NetworkUnavailable"));
}

static bool lease_is_held(Fixture *f, const void *data) {
    (void)data;
    const Resource *leases = resource_find("coordination.k8s.io", "v1", "leases");
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *lease = NULL;
    if (client_get(f->client, leases, "kube-node-lease", "node-1", &lease, NULL) < 0)
        return false;
    const Value *spec = value_get(object_value(lease, arena), "spec");
    return streq_null(value_get_str(spec, "holderIdentity"), "node-1") &&
           value_get_int(spec, "leaseDurationSeconds", 0) == 40 && value_get_str(spec, "renewTime");
}

static void a_lease_says_that_it_lives(void **state) {
    assert_true(becomes(*state, lease_is_held, NULL));
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_node_registers_itself),
        TEST(what_others_wrote_stays),
        TEST(a_lease_says_that_it_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
