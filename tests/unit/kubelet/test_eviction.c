/* Who is evicted from a node that is short, and what the pod and the node say. */
#include "../support/agent_fixture.h"

#define NEVER_ENOUGH "1000000Gi"
#define ASKS(name, memory)                                                                                             \
    "\"containers\":[{\"name\":\"" name "\",\"resources\":{\"requests\":{\"memory\":\"" memory "\"}}}]"

static bool node_says(Fixture *f, const void *data) {
    _cleanup_object_ Object *node = NULL;
    size_t n;
    return client_get(f->client, RES("nodes"), NULL, "node-1", &node, NULL) == 0 && strstr(object_json(node, &n), data);
}

static bool is_synced(Fixture *f, const void *data) {
    (void)data;
    return informer_synced(f->kubelet->pods_informer);
}

static void configure(Fixture *f, const char *hard, const char *soft, const char *soft_grace) {
    f->config.eviction_hard = hard;
    f->config.eviction_soft = soft;
    f->config.eviction_soft_grace = soft_grace;
    restart_agent(f);
    assert_true(becomes(f, is_synced, NULL));
}

static void look(Fixture *f) { /* sooner than in ten seconds */
    workqueue_add(f->kubelet->node_queue, "eviction");
}

static void who_is_over_its_request_goes_first(void **state) {
    Fixture *f = *state;
    f->runtime->memory_usage = 64 * 1024 * 1024;
    create_pod(f, "modest", ASKS("a", "128Mi"));
    create_pod(f, "greedy", "\"priority\":1000," ASKS("b", "32Mi")); /* its priority does not help it */
    create_pod(f, "critical", "\"priority\":2000000000," ASKS("c", "1Mi"));
    SAYS(f, "modest", "True", "conditions", "type=Ready", "status");
    SAYS(f, "greedy", "True", "conditions", "type=Ready", "status");
    SAYS(f, "critical", "True", "conditions", "type=Ready", "status");
    configure(f, "memory.available<" NEVER_ENOUGH, NULL, NULL);
    look(f);
    SAYS(f, "greedy", "Evicted", "reason");
    SAYS(f, "greedy", "TerminationByKubelet", "conditions", "type=DisruptionTarget", "reason");
    assert_true(becomes(f, node_says, "kubelet has insufficient memory available"));
    assert_true(becomes(f, has_event, "Node node-1 status is now: NodeHasInsufficientMemory"));
    assert_true(becomes(f, has_event, "Attempting to reclaim memory"));
    assert_true(
        becomes(f, has_event, "Container b was using 64Mi, request is 32Mi, has larger consumption of memory. "));
    SAYS(f, "modest", "Running", "phase"); /* one at a time */
    look(f);
    SAYS(f, "modest", "Evicted", "reason");
    look(f);
    quiet();
    SAYS(f, "critical", "Running", "phase");
    create_pod(f, "late", "\"containers\":[{\"name\":\"d\"}]");
    SAYS(f, "late", "Pod was rejected: The node had condition: [MemoryPressure]. ", "message");
}

/* All pods of this made-up node use so many MiB less than they may have together. */
static void leave(Fixture *f, int64_t mib, int64_t reserved_mib) {
    char text[32];
    _cleanup_free_ char *folder = xasprintf("%s/kubepods", f->cgroups);
    snprintf(text, sizeof text, "%lld\n",
             (long long)f->kubelet->memory - (long long)((mib + reserved_mib) * 1024 * 1024) + 4096);
    write_file(folder, "memory.current", text, strlen(text));
    write_file(folder, "memory.stat", "anon 1\ninactive_file 4096\n", 26);
}

static void pods_share_what_is_not_reserved(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", ASKS("a", "1Mi"));
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    f->config.system_reserved = "memory=100Mi,cpu=100m";
    f->config.kube_reserved = "memory=100Mi";
    configure(f, "memory.available<10Mi", NULL, NULL);
    leave(f, 11, 200);
    look(f);
    quiet();
    SAYS(f, "p", "Running", "phase");
    leave(f, 9, 200);
    look(f);
    SAYS(f, "p", "Evicted", "reason");
    assert_true(becomes(f, has_event, "low on resource: memory. Threshold quantity: 10Mi, available: 9Mi. "));
    assert_true(becomes(f, node_says, "KubeletHasInsufficientMemory"));
    char allocatable[64];
    snprintf(allocatable, sizeof allocatable, "\"memory\":\"%lldKi\"",
             (long long)f->kubelet->memory / 1024 - 210 * 1024);
    assert_true(becomes(f, node_says, allocatable));
    snprintf(allocatable, sizeof allocatable, "\"cpu\":\"%lldm\"", (long long)f->kubelet->cpus * 1000 - 100);
    assert_true(becomes(f, node_says, allocatable));
}

static void process_ids_run_out(void **state) {
    Fixture *f = *state;
    create_pod(f, "low", ASKS("a", "1Mi"));
    create_pod(f, "high", "\"priority\":1000," ASKS("b", "1Mi"));
    SAYS(f, "low", "True", "conditions", "type=Ready", "status");
    SAYS(f, "high", "True", "conditions", "type=Ready", "status");
    configure(f, "pid.available<1000000000", NULL, NULL);
    look(f);
    SAYS(f, "low", "Evicted", "reason");
    assert_true(becomes(f, has_event, "The node was low on resource: pids. Threshold quantity: 1G, available: "));
    assert_true(becomes(f, node_says, "\"KubeletHasInsufficientPID\""));
    SAYS(f, "high", "Running", "phase");
}

static void at_a_soft_threshold_there_is_time(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"terminationGracePeriodSeconds\":20,\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    f->config.eviction_max_pod_grace = 7;
    configure(f, "", "memory.available<" NEVER_ENOUGH, "memory.available=1s");
    look(f);
    assert_true(becomes(f, node_says, "KubeletHasInsufficientMemory")); /* at once; nobody has to go yet */
    SAYS(f, "p", "Running", "phase");
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100 * (long)NS_PER_MS}, NULL);
    look(f);
    SAYS(f, "p", "Evicted", "reason");
    ASKED(f, "sandbox p\nstart a\nstop a 7\n");
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_is_over_its_request_goes_first),
        TEST(pods_share_what_is_not_reserved),
        TEST(process_ids_run_out),
        TEST(at_a_soft_threshold_there_is_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
