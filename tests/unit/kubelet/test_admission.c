/* The node's door: who is turned away and with which words, and what a critical pod does when there is no room. */
#include "../support/agent_fixture.h"

#define ASKS(requests) "\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{" requests "}}}]"
#define CRITICAL "\"priority\":2000000000,"

static void patch_node(Fixture *f, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_int_equal(client_patch(f->client, RES("nodes"), NULL, "node-1", "status", PATCH_STRATEGIC,
                                  parse(arena, json), NULL, NULL),
                     0);
}

/* Is the text in the node's status as JSON? */
static bool node_says(Fixture *f, const void *data) {
    _cleanup_object_ Object *node = NULL;
    size_t n;
    return client_get(f->client, RES("nodes"), NULL, "node-1", &node, NULL) == 0 && strstr(object_json(node, &n), data);
}

/* Does the agent know that pods may have so many of them? */
static bool gpus_are(Fixture *f, const void *data) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *node = informer_lookup(f->kubelet->nodes_informer, NULL, "node-1");
    const Value *allocatable = node ? value_path(object_value(node, arena), "status", "allocatable", NULL) : NULL;
    return streq_null(value_get_str(allocatable, "example.com/gpu"), data);
}

static void extended_resources_are_counted(void **state) {
    Fixture *f = *state;
    assert_true(becomes(f, node_says, "KubeletReady"));
    patch_node(f, "{\"status\":{\"capacity\":{\"example.com/gpu\":\"2\"}}}");
    workqueue_add(f->kubelet->node_queue, "status"); /* the agent gives all of it to pods */
    assert_true(becomes(f, gpus_are, "2"));
    create_pod(f, "one", ASKS("\"example.com/gpu\":\"1\""));
    SAYS(f, "one", "Running", "phase");
    create_pod(f, "two", ASKS("\"example.com/gpu\":\"2\""));
    SAYS(f, "two", "OutOfexample.com/gpu", "reason");
    SAYS(f, "two",
         "Pod was rejected: Node didn't have enough resource: example.com/gpu, requested: 2, used: 1, capacity: 2",
         "message");
    /* one that the node has not at all is the business of others */
    create_pod(f, "three", ASKS("\"example.com/else\":\"1\""));
    SAYS(f, "three", "Running", "phase");
    create_pod(f, "four", ASKS("\"hugepages-2Mi\":\"2Mi\""));
    SAYS(f, "four", "OutOfhugepages-2Mi", "reason");
}

static void the_first_reason_is_told(void **state) {
    Fixture *f = *state;
    f->config.max_pods = 1;
    restart_agent(f);
    create_pod(f, "one", ASKS(""));
    SAYS(f, "one", "Running", "phase");
    create_pod(f, "two", "\"nodeSelector\":{\"no\":\"such\"}," ASKS("\"cpu\":\"100000\""));
    SAYS(f, "two", "OutOfpods", "reason");
    SAYS(f, "two", "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1",
         "message");
    create_pod(f, "critical", CRITICAL "\"nodeSelector\":{\"no\":\"such\"}," ASKS("\"cpu\":\"100000\""));
    SAYS(f, "critical", "NodeAffinity", "reason"); /* room could be made, another label not */
}

static void a_critical_pod_makes_itself_room(void **state) {
    Fixture *f = *state;
    f->config.max_pods = 2;
    restart_agent(f);
    create_pod(f, "cheap", ASKS(""));
    SAYS(f, "cheap", "True", "conditions", "type=Ready", "status");
    create_pod(f, "dear", "\"containers\":[{\"name\":\"b\",\"resources\":{\"requests\":{\"cpu\":\"10m\"}}}]");
    SAYS(f, "dear", "True", "conditions", "type=Ready", "status");
    create_pod(f, "critical", CRITICAL "\"containers\":[{\"name\":\"c\"}]");
    SAYS(f, "critical", "Running", "phase");
    SAYS(f, "cheap", "Failed", "phase");
    SAYS(f, "cheap", "Preempting", "reason");
    SAYS(f, "cheap", "Preempted in order to admit critical pod", "message");
    SAYS(f, "cheap", "TerminationByKubelet", "conditions", "type=DisruptionTarget", "reason");
    SAYS(f, "cheap", "Pod was preempted by Kubelet to accommodate a critical pod.", "conditions",
         "type=DisruptionTarget", "message");
    SAYS(f, "dear", "Running", "phase");
    assert_true(becomes(f, has_event, "\"Preempting\""));
    ASKED(f, "sandbox cheap\nstart a\nsandbox dear\nstart b\nstop a 30\nsandbox critical\nstart c\n");
}

static void no_room_can_be_made_for_too_much(void **state) {
    Fixture *f = *state;
    create_pod(f, "small", ASKS("\"cpu\":\"10m\""));
    SAYS(f, "small", "True", "conditions", "type=Ready", "status");
    create_pod(f, "critical", CRITICAL ASKS("\"cpu\":\"100000\""));
    SAYS(f, "critical", "UnexpectedAdmissionError", "reason");
    SAYS(f, "small", "Running", "phase");
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(extended_resources_are_counted),
        TEST(the_first_reason_is_told),
        TEST(a_critical_pod_makes_itself_room),
        TEST(no_room_can_be_made_for_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
