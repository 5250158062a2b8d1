/* Phase, conditions and container statuses from what the runtime says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/json.h"
#include "base/str.h"
#include "kubelet/pod_status.h"

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

#define POD(policy)                                                                                                    \
    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"uid\":\"u\",\"generation\":3},\"spec\":{\"restartPolicy\":"   \
    "\"" policy "\",\"containers\":[{\"name\":\"b\",\"image\":\"i\"},{\"name\":\"a\",\"image\":\"i\"}]}}"

#define POD_INIT                                                                                                       \
    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"uid\":\"u\"},\"spec\":{\"restartPolicy\":\"Always\","         \
    "\"initContainers\":[{\"name\":\"i\",\"image\":\"i\"},{\"name\":\"s\",\"image\":\"i\",\"restartPolicy\":"          \
    "\"Always\"}],"                                                                                                    \
    "\"containers\":[{\"name\":\"a\",\"image\":\"i\"}]}}"

static ContainerStatus container(const char *name, ContainerState state, int code) {
    return (ContainerStatus){.id = (char *)"c1",
                             .sandbox_id = (char *)"sb",
                             .name = (char *)name,
                             .image_id = (char *)"sha256:1",
                             .image_ref = (char *)"i",
                             .state = state,
                             .created_ns = 1000000000,
                             .started_ns = 2000000000,
                             .finished_ns = state == CONTAINER_EXITED ? 3000000000 : 0,
                             .exit_code = code};
}

static Value *build(Arena *arena, const Value *pod, const Value *old, ContainerStatus *list, size_t n,
                    const WaitingReason *w, size_t n_w) {
    static const char *const ips[] = {"10.0.0.5", NULL}, *const hosts[] = {"192.0.2.1", NULL};
    PodObservation o = {.containers = list,
                        .n_containers = n,
                        .sandbox_id = "sb",
                        .pod_ips = ips,
                        .host_ips = hosts,
                        .runtime_name = "lighter",
                        .waiting = w,
                        .n_waiting = n_w,
                        .now_ns = 1700000000000000000};
    return pod_status_build(arena, pod, old, &o);
}

static const char *condition(const Value *status, const char *type, const char *member) {
    return value_get_str(condition_find(value_get(status, "conditions"), type), member);
}

static void test_running(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    ContainerStatus list[] = {container("a", CONTAINER_RUNNING, 0), container("b", CONTAINER_RUNNING, 0)};
    Value *status = build(arena, parse(arena, POD("Always")), NULL, list, 2, NULL, 0);
    assert_string_equal(value_get_str(status, "phase"), "Running");
    assert_string_equal(condition(status, "Ready", "status"), "True");
    assert_string_equal(condition(status, "ContainersReady", "status"), "True");
    assert_string_equal(condition(status, "PodReadyToStartContainers", "status"), "True");
    assert_string_equal(value_get_str(status, "podIP"), "10.0.0.5");
    assert_string_equal(value_get_str(status, "qosClass"), "BestEffort");
    assert_int_equal(value_get_int(status, "observedGeneration", 0), 3);
    /* sorted by name, whatever the order of the definition */
    const Value *first = value_at(value_get(status, "containerStatuses"), 0);
    assert_string_equal(value_get_str(first, "name"), "a");
    assert_string_equal(value_get_str(first, "containerID"), "lighter://c1");
    assert_true(value_get_bool(first, "started", false));
}

static void test_not_created(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *status = build(arena, parse(arena, POD("Always")), NULL, NULL, 0, NULL, 0);
    assert_string_equal(value_get_str(status, "phase"), "Pending");
    assert_string_equal(condition(status, "Ready", "reason"), "ContainersNotReady");
    assert_string_equal(condition(status, "Ready", "message"), "containers with unready status: [b a]");
    const Value *first = value_at(value_get(status, "containerStatuses"), 0);
    assert_string_equal(value_get_str(value_path(first, "state", "waiting", NULL), "reason"), "ContainerCreating");
}

static void test_finished(void **state) {
    (void)state;
    static const struct {
        const char *pod;
        int code;
        const char *phase, *reason;
    } cases[] = {
        {POD("Never"), 0, "Succeeded", "PodCompleted"},      {POD("Never"), 1, "Failed", "PodFailed"},
        {POD("OnFailure"), 0, "Succeeded", "PodCompleted"},  {POD("OnFailure"), 1, "Running", "ContainersNotReady"},
        {POD("Always"), 0, "Running", "ContainersNotReady"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_(arena_freep) Arena *arena = arena_new(0);
        ContainerStatus list[] = {container("a", CONTAINER_EXITED, cases[i].code), container("b", CONTAINER_EXITED, 0)};
        Value *status = build(arena, parse(arena, cases[i].pod), NULL, list, 2, NULL, 0);
        assert_string_equal(value_get_str(status, "phase"), cases[i].phase);
        assert_string_equal(condition(status, "Ready", "reason"), cases[i].reason);
    }
}

static void test_crash_loop(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    ContainerStatus list[] = {container("a", CONTAINER_EXITED, 7), container("b", CONTAINER_RUNNING, 0)};
    list[0].attempt = 4;
    WaitingReason w = {"a", REASON_CRASH_LOOP, "back-off 40s restarting failed container=a pod=p_d(u)"};
    Value *status = build(arena, parse(arena, POD("Always")), NULL, list, 2, &w, 1);
    const Value *a = value_at(value_get(status, "containerStatuses"), 0);
    assert_string_equal(value_get_str(value_path(a, "state", "waiting", NULL), "reason"), "CrashLoopBackOff");
    assert_int_equal(value_get_int(value_path(a, "lastState", "terminated", NULL), "exitCode", 0), 7);
    assert_int_equal(value_get_int(a, "restartCount", 0), 4);
    assert_string_equal(value_get_str(status, "phase"), "Running");
    assert_string_equal(condition(status, "Ready", "message"), "containers with unready status: [a]");
    /* computed again from its own result: the same */
    Value *again = build(arena, parse(arena, POD("Always")), status, list, 2, &w, 1);
    assert_true(value_equal(status, again));
}

static void test_init_order(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(arena, POD_INIT);
    ContainerStatus list[3] = {container("i", CONTAINER_RUNNING, 0)};
    Value *status = build(arena, pod, NULL, list, 1, NULL, 0);
    assert_string_equal(value_get_str(status, "phase"), "Pending");
    assert_string_equal(condition(status, "Initialized", "status"), "False");
    assert_string_equal(condition(status, "Initialized", "message"), "containers with incomplete status: [i s]");
    list[0] = container("i", CONTAINER_EXITED, 0);
    list[1] = container("s", CONTAINER_RUNNING, 0);
    list[2] = container("a", CONTAINER_RUNNING, 0);
    status = build(arena, pod, status, list, 3, NULL, 0);
    assert_string_equal(value_get_str(status, "phase"), "Running");
    assert_string_equal(condition(status, "Initialized", "status"), "True");
    assert_string_equal(condition(status, "Ready", "status"), "True");
}

static void test_lost_container(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    ContainerStatus list[] = {container("a", CONTAINER_RUNNING, 0), container("b", CONTAINER_RUNNING, 0)};
    Value *pod = parse(arena, POD("Never"));
    Value *running = build(arena, pod, NULL, list, 2, NULL, 0);
    Value *status =
        build(arena, pod, running, NULL, 0, NULL, 0); /* it ran and is not there: it did not just never run */
    const Value *a = value_at(value_get(status, "containerStatuses"), 0);
    assert_string_equal(value_get_str(value_path(a, "lastState", "terminated", NULL), "reason"), REASON_STATUS_UNKNOWN);
    assert_int_equal(value_get_int(a, "restartCount", 0), 1);
    assert_string_equal(value_get_str(status, "phase"), "Failed");
}

static void test_terminal_is_final(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(arena, POD("Always"));
    value_set(arena, pod, "status", parse(arena, "{\"phase\":\"Failed\",\"reason\":\"Evicted\"}"));
    ContainerStatus list[] = {container("a", CONTAINER_RUNNING, 0), container("b", CONTAINER_RUNNING, 0)};
    Value *status = build(arena, pod, value_get(pod, "status"), list, 2, NULL, 0);
    assert_string_equal(value_get_str(status, "phase"), "Failed");
    assert_string_equal(value_get_str(status, "reason"), "Evicted");
}

static void test_readiness_gate(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(arena, POD("Always"));
    value_set(arena, value_get(pod, "spec"), "readinessGates",
              parse(arena, "[{\"conditionType\":\"example.com/up\"}]"));
    ContainerStatus list[] = {container("a", CONTAINER_RUNNING, 0), container("b", CONTAINER_RUNNING, 0)};
    Value *status = build(arena, pod, NULL, list, 2, NULL, 0);
    assert_string_equal(condition(status, "ContainersReady", "status"), "True");
    assert_string_equal(condition(status, "Ready", "reason"), "ReadinessGatesNotReady");
    assert_string_equal(condition(status, "Ready", "message"),
                        "corresponding condition of pod readiness gate \"example.com/up\" does not exist.");
    value_set(arena, pod, "status",
              parse(arena, "{\"conditions\":[{\"type\":\"example.com/up\",\"status\":\"True\"}]}"));
    status = build(arena, pod, status, list, 2, NULL, 0);
    assert_string_equal(condition(status, "Ready", "status"), "True");
    assert_string_equal(condition(status, "example.com/up", "status"), "True"); /* others' conditions stay */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running),           cmocka_unit_test(test_not_created),
        cmocka_unit_test(test_finished),          cmocka_unit_test(test_crash_loop),
        cmocka_unit_test(test_init_order),        cmocka_unit_test(test_lost_container),
        cmocka_unit_test(test_terminal_is_final), cmocka_unit_test(test_readiness_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
