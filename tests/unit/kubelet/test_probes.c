/* The probe table with a runtime whose commands end as the test says. */
#include "kubelet/internal.h"

static void probe_event(EventRecorder *recorder, const Object *about, const char *field_path, const char *type,
                        const char *reason, const char *format, ...) _printf_(6, 7);
#define event_record probe_event /* there is no server to send to */
#include "kubelet/probes.c"

#include "api/json.h"
#include "base/clock.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define POLL_NS (20 * NS_PER_MS)
#define PATIENCE_NS (10 * NS_PER_SEC)

static atomic_int exit_code, execs, unhealthy, pod_syncs;
static char last_event[256];
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;

static void probe_event(EventRecorder *recorder, const Object *about, const char *field_path, const char *type,
                        const char *reason, const char *format, ...) {
    (void)recorder;
    (void)about;
    va_list ap;
    char text[200];
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    pthread_mutex_lock(&last_lock);
    snprintf(last_event, sizeof last_event, "%s %s %s: %.160s", type, reason, field_path, text);
    pthread_mutex_unlock(&last_lock);
    atomic_fetch_add(&unhealthy, 1);
}

static int fake_exec_sync(Runtime *runtime, const char *id, const char *const *command, uint64_t timeout_ns,
                          size_t limit, Buf *out, int *ret_exit_code, char **ret_error) {
    (void)runtime;
    (void)id;
    (void)command;
    (void)timeout_ns;
    (void)limit;
    atomic_fetch_add(&execs, 1);
    if (atomic_load(&exit_code) < 0) {
        *ret_error = xstrdup("no such runtime");
        return -EIO;
    }
    *ret_exit_code = atomic_load(&exit_code);
    if (*ret_exit_code)
        buf_puts(out, "boo");
    return 0;
}

static int fake_container_status(Runtime *runtime, const char *id, ContainerStatus *ret) {
    (void)runtime;
    *ret = (ContainerStatus){.id = xstrdup(id),
                             .sandbox_id = xstrdup("s"),
                             .name = xstrdup("c"),
                             .state = CONTAINER_RUNNING,
                             .started_ns = now_realtime_ns()};
    return 0;
}

static int fake_sandbox_status(Runtime *runtime, const char *id, SandboxStatus *ret) {
    (void)runtime;
    *ret = (SandboxStatus){.id = xstrdup(id), .ip = xstrdup("192.0.2.1"), .ready = true};
    return 0;
}

static int count_sync(const char *key, void *userdata) {
    (void)key;
    (void)userdata;
    atomic_fetch_add(&pod_syncs, 1);
    return 0;
}

static const char POD[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\"},"
    "\"spec\":{\"containers\":[{\"name\":\"c\","
    "\"startupProbe\":{\"exec\":{\"command\":[\"x\"]},\"periodSeconds\":1,\"failureThreshold\":30},"
    "\"livenessProbe\":{\"exec\":{\"command\":[\"x\"]},\"periodSeconds\":1,\"failureThreshold\":3},"
    "\"readinessProbe\":{\"exec\":{\"command\":[\"x\"]},\"periodSeconds\":1,\"failureThreshold\":1}},"
    "{\"name\":\"plain\"}]}}";

static bool is_started(Kubelet *k) {
    return probes_started(k, "u", "c", "id1");
}
static bool is_ready(Kubelet *k) {
    return probes_ready(k, "u", "c", "id1");
}
static bool is_unready(Kubelet *k) {
    return !is_ready(k);
}
static bool is_condemned(Kubelet *k) {
    return probes_condemned(k, "u", "c", "id1") != NULL;
}
static bool has_event(Kubelet *k) {
    (void)k;
    return atomic_load(&unhealthy) > 0;
}

static bool is_synced(Kubelet *k) {
    (void)k;
    return atomic_load(&pod_syncs) > 0;
}

static bool becomes(Kubelet *k, bool (*what)(Kubelet *k)) {
    for (uint64_t waited = 0; waited < PATIENCE_NS; waited += POLL_NS) {
        if (what(k))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = (long)POLL_NS}, NULL);
    }
    return false;
}

static void test_life(void **state) {
    (void)state;
    Runtime runtime = {
        .exec_sync = fake_exec_sync, .container_status = fake_container_status, .sandbox_status = fake_sandbox_status};
    Kubelet k = {.runtime = &runtime, .node_ip = (char *)"192.0.2.2"};
    k.config.root_dir = k.config.log_dir = "/nonexistent";
    pthread_mutex_init(&k.lock, NULL);
    k.pods = strmap_new(NULL);
    k.sandbox_owner = strmap_new(free);
    k.probes = probes_new();
    k.pod_queue = workqueue_new("pods", 1, count_sync, NULL);
    k.probe_queue = workqueue_new("probes", 4, probe_sync, &k);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Object *object = NULL;
    assert_int_equal(object_from_json(RES("pods"), POD, sizeof POD - 1, 1, &object), 0);
    bool fresh;
    assert_non_null(pods_set(&k, object, false, &fresh));
    PodSync s = {.k = &k, .p = pod_get(&k, "u"), .arena = arena, .object = object, .pod = object_value(object, arena)};
    const Value *c = pod_find_container(s.pod, "c", NULL);
    ContainerStatus status = {
        .id = (char *)"id1", .name = (char *)"c", .state = CONTAINER_RUNNING, .started_ns = now_realtime_ns()};

    /* not followed yet: the definition decides */
    assert_false(is_started(&k));
    assert_false(is_ready(&k));
    assert_true(probes_ready(&k, "u", "plain", "id9"));

    atomic_store(&exit_code, 1);
    probes_follow(&s, c, &status);
    probes_follow(&s, c, &status);
    assert_true(becomes(&k, has_event));
    pthread_mutex_lock(&last_lock);
    assert_string_equal(last_event, "Warning Unhealthy spec.containers{c}: Startup probe failed: boo");
    pthread_mutex_unlock(&last_lock);
    assert_false(is_started(&k));
    assert_false(is_condemned(&k));

    atomic_store(&pod_syncs, 0);
    atomic_store(&exit_code, 0);
    assert_true(becomes(&k, is_started));
    assert_true(becomes(&k, is_ready));
    assert_true(becomes(&k, is_synced));

    /* a probe that cannot be run at all is tried three times, says so, and changes nothing */
    int tries = atomic_load(&execs);
    atomic_store(&unhealthy, 0);
    atomic_store(&exit_code, -1);
    assert_true(becomes(&k, has_event));
    pthread_mutex_lock(&last_lock);
    assert_non_null(strstr(last_event, "probe errored and resulted in unknown state: no such runtime"));
    pthread_mutex_unlock(&last_lock);
    assert_true(atomic_load(&execs) >= tries + 3);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* one period */
    assert_true(is_ready(&k));
    assert_false(is_condemned(&k));

    /* readiness goes with the first failure, liveness with the third */
    atomic_store(&exit_code, 1);
    assert_true(becomes(&k, is_unready));
    assert_false(is_condemned(&k));
    assert_true(becomes(&k, is_condemned));
    assert_string_equal(probes_condemned(&k, "u", "c", "id1"), "liveness");
    assert_true(is_started(&k));

    /* another container starts over */
    status.id = (char *)"id2";
    probes_follow(&s, c, &status);
    assert_null(probes_condemned(&k, "u", "c", "id2"));
    assert_null(probes_condemned(&k, "u", "c", "id1"));
    assert_false(probes_started(&k, "u", "c", "id2"));

    /* after a restart of the agent, what was ready and started stays so */
    probes_forget(&k, "u");
    static const char old[] = "{\"containerStatuses\":[{\"name\":\"c\",\"containerID\":\"lighter://id3\","
                              "\"ready\":true,\"started\":true}]}";
    Value *old_status = NULL;
    assert_int_equal(json_parse(arena, old, sizeof old - 1, &old_status, NULL, NULL), 0);
    s.old_status = old_status;
    status.id = (char *)"id3";
    atomic_store(&exit_code, 0);
    probes_follow(&s, c, &status);
    assert_true(probes_ready(&k, "u", "c", "id3"));

    /* ended: not ready, and not probed on */
    status.state = CONTAINER_EXITED;
    probes_follow(&s, c, &status);
    assert_false(probes_ready(&k, "u", "c", "id3"));

    probes_forget(&k, "u");
    workqueue_free(k.probe_queue);
    workqueue_free(k.pod_queue);
    assert_true(atomic_load(&execs) > 5);
    probes_free(k.probes);
    Pod *p = s.p;
    pod_drop(&k, p);
    pod_unref(&k, p);
    object_unref(object);
    strmap_free(k.pods);
    strmap_free(k.sandbox_owner);
    pthread_mutex_destroy(&k.lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
