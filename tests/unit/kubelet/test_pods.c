/* The life of pods from the API server to the runtime and back, with an API server and a runtime in memory: the whole
 * agent runs, and the tests look at what the runtime was asked and what the status says. */
#include "../support/agent_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* ---- starting ---- */

static void init_containers_run_one_after_the_other(void **state) {
    Fixture *f = *state;
    create_pod(f, "p",
               "\"initContainers\":[{\"name\":\"i1\"},{\"name\":\"i2\"}],"
               "\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]");
    ASKED(f, "sandbox p\nstart i1\n");
    SAYS(f, "p", "Pending", "phase");
    SAYS(f, "p", "PodInitializing", "containerStatuses", "0", "state", "waiting", "reason");
    SAYS(f, "p", "False", "conditions", "type=Initialized", "status");
    fake_exit(f->runtime, "i1", 0);
    ASKED(f, "sandbox p\nstart i1\nstart i2\n");
    fake_exit(f->runtime, "i2", 0);
    ASKED(f, "sandbox p\nstart i1\nstart i2\nstart a\nstart b\n");
    SAYS(f, "p", "Running", "phase");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    SAYS(f, "p", "192.0.2.10", "podIP");
}

static void an_init_container_that_fails_ends_a_pod_that_never_restarts(void **state) {
    Fixture *f = *state;
    create_pod(f, "p",
               "\"restartPolicy\":\"Never\",\"initContainers\":[{\"name\":\"i\"}],"
               "\"containers\":[{\"name\":\"a\"}]");
    ASKED(f, "sandbox p\nstart i\n");
    fake_exit(f->runtime, "i", 3);
    SAYS(f, "p", "Failed", "phase");
    SAYS(f, "p", "3", "initContainerStatuses", "0", "state", "terminated", "exitCode");
    assert_int_equal(asked(f->runtime, "start a"), 0);
}

static void sidecars_start_in_their_turn_and_stop_last(void **state) {
    Fixture *f = *state;
    create_pod(f, "p",
               "\"terminationGracePeriodSeconds\":9,"
               "\"initContainers\":[{\"name\":\"s1\",\"restartPolicy\":\"Always\"},"
               "{\"name\":\"i\"},{\"name\":\"s2\",\"restartPolicy\":\"Always\"}],"
               "\"containers\":[{\"name\":\"a\"}]");
    ASKED(f, "sandbox p\nstart s1\nstart i\n");
    fake_exit(f->runtime, "i", 0);
    ASKED(f, "sandbox p\nstart s1\nstart i\nstart s2\nstart a\n");
    SAYS(f, "p", "Running", "phase");
    /* one that ends is started again, beside what goes on */
    fake_exit(f->runtime, "s1", 0);
    ASKED(f, "sandbox p\nstart s1\nstart i\nstart s2\nstart a\nstart s1\n");
    SAYS(f, "p", "1", "initContainerStatuses", "0", "restartCount");
    f->runtime->log[0] = 0;
    delete_pod(f, "p");
    assert_true(becomes(f, is_gone, "p"));
    ASKED(f, "stop a 9\nstop s2 9\nstop s1 9\nremove sandbox p\n");
}

static void a_container_that_cannot_start_says_why(void **state) {
    Fixture *f = *state;
    f->runtime->fail_start = "a";
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]");
    SAYS(f, "p", "CrashLoopBackOff", "containerStatuses", "0", "state", "waiting", "reason");
    SAYS(f, "p", "128", "containerStatuses", "0", "lastState", "terminated", "exitCode");
    SAYS(f, "p", "*", "containerStatuses", "1", "state", "running"); /* the other is not held up */
    assert_true(becomes(f, has_event, "Error: made to fail"));
}

/* ---- restarting ---- */

static void what_crashes_again_waits_longer(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    ASKED(f, "sandbox p\nstart a\n");
    fake_exit(f->runtime, "a", 1);
    ASKED(f, "sandbox p\nstart a\nstart a\n"); /* the first time at once */
    SAYS(f, "p", "1", "containerStatuses", "0", "restartCount");
    fake_exit(f->runtime, "a", 2);
    SAYS(f, "p", "CrashLoopBackOff", "containerStatuses", "0", "state", "waiting", "reason");
    SAYS(f, "p", "2", "containerStatuses", "0", "lastState", "terminated", "exitCode");
    SAYS(f, "p", "Running", "phase");
    assert_true(becomes(f, has_event, "Back-off restarting failed container a in pod p_default"));
    quiet();
    assert_int_equal(asked(f->runtime, "start a"), 2);
}

static void restart_policies_decide(void **state) {
    Fixture *f = *state;
    create_pod(f, "never", "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"n\"}]");
    create_pod(f, "once", "\"restartPolicy\":\"OnFailure\",\"containers\":[{\"name\":\"o\"},{\"name\":\"o2\"}]");
    SAYS(f, "never", "Running", "phase");
    SAYS(f, "once", "*", "containerStatuses", "1", "state", "running");
    fake_exit(f->runtime, "n", 5);
    SAYS(f, "never", "Failed", "phase");
    SAYS(f, "never", "5", "containerStatuses", "0", "state", "terminated", "exitCode");
    fake_exit(f->runtime, "o", 0);
    SAYS(f, "once", "Completed", "containerStatuses", "0", "state", "terminated", "reason");
    fake_exit(f->runtime, "o2", 1);
    SAYS(f, "once", "1", "containerStatuses", "1", "restartCount");
    fake_exit(f->runtime, "o2", 0);
    SAYS(f, "once", "Succeeded", "phase");
    assert_int_equal(asked(f->runtime, "start n"), 1);
    assert_int_equal(asked(f->runtime, "start o2"), 2);
}

static void a_changed_image_restarts_its_container_only(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    patch_pod(f, "p", "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"docker.io/library/app:1\"}]}}");
    SAYS(f, "p", "1", "containerStatuses", "0", "restartCount");
    SAYS(f, "p", "0", "containerStatuses", "1", "restartCount");
    assert_true(becomes(f, has_event, "Container a definition changed, will be restarted"));
}

/* ---- hooks and probes ---- */

static void a_post_start_hook_is_waited_for(void **state) {
    Fixture *f = *state;
    f->runtime->exec_held = true;
    create_pod(f, "p",
               "\"containers\":[{\"name\":\"a\",\"lifecycle\":{\"postStart\":{\"exec\":{\"command\":[\"h\"]}}}}]");
    ASKED(f, "sandbox p\nstart a\nexec a h\n");
    quiet();
    SAYS(f, "p", "False", "conditions", "type=Ready", "status");
    f->runtime->exec_held = false;
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
}

static void a_post_start_hook_that_fails_ends_its_container(void **state) {
    Fixture *f = *state;
    f->runtime->exec_code = 7;
    create_pod(f, "p",
               "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"a\",\"lifecycle\":"
               "{\"postStart\":{\"exec\":{\"command\":[\"h\"]}}}}]");
    SAYS(f, "p", "Failed", "phase");
    assert_true(becomes(f, has_event, "FailedPostStartHook"));
    assert_int_equal(asked(f->runtime, "stop a"), 1);
}

static void a_pre_stop_hook_runs_within_the_grace_period(void **state) {
    Fixture *f = *state;
    create_pod(f, "p",
               "\"terminationGracePeriodSeconds\":3,\"containers\":[{\"name\":\"a\",\"lifecycle\":"
               "{\"preStop\":{\"exec\":{\"command\":[\"h\"]}}}}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    f->runtime->log[0] = 0;
    f->runtime->exec_held = true; /* longer than there is time: two seconds are left all the same */
    uint64_t start = now_monotonic_ns();
    delete_pod(f, "p");
    assert_true(becomes(f, is_gone, "p"));
    assert_true(now_monotonic_ns() - start >= 3 * NS_PER_SEC);
    ASKED(f, "exec a h\nstop a 2\nremove sandbox p\n");
    assert_true(becomes(f, has_event, "FailedPreStopHook"));
}

static void a_failed_liveness_probe_restarts(void **state) {
    Fixture *f = *state;
    create_pod(f, "p",
               "\"terminationGracePeriodSeconds\":7,\"containers\":[{\"name\":\"a\",\"livenessProbe\":"
               "{\"exec\":{\"command\":[\"live\"]},\"periodSeconds\":1,\"failureThreshold\":1,"
               "\"terminationGracePeriodSeconds\":4}}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    f->runtime->exec_code = 1;
    assert_true(becomes(f, was_stopped, "stop a 4")); /* the probe's own grace period */
    f->runtime->exec_code = 0;
    SAYS(f, "p", "1", "containerStatuses", "0", "restartCount");
    assert_true(becomes(f, has_event, "Container a failed liveness probe, will be restarted"));
}

static void a_probe_knows_the_variables_of_its_container(void **state) {
    Fixture *f = *state;
    create_pod(f, "p",
               "\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"WHAT\",\"value\":\"look\"}],\"readinessProbe\":{"
               "\"exec\":{\"command\":[\"$(WHAT)-$$(WHAT)-$(ELSE)\"]},\"periodSeconds\":1}}]");
    assert_true(becomes(f, was_stopped, "exec a look-$(WHAT)-$(ELSE)"));
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    probes_metrics(f->kubelet, &out);
    assert_non_null(strstr(out.data, "prober_probe_total{container=\"a\",namespace=\"default\",pod=\"p\",pod_uid="));
    assert_non_null(strstr(out.data, "probe_type=\"Readiness\",result=\"successful\"} 1\n"));
    assert_non_null(strstr(out.data,
                           "prober_probe_duration_seconds_count{container=\"a\",namespace=\"default\",pod=\"p\","
                           "probe_type=\"Readiness\"} 1\n"));
}

static void *send_elsewhere(void *userdata) {
    static const char answer[] =
        "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 2\r\n\r\nno";
    char request[1024];
    for (int fd; (fd = accept(*(int *)userdata, NULL, NULL)) >= 0; close(fd))
        if (read(fd, request, sizeof request) > 0)
            (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    return NULL;
}

static void a_probe_that_is_sent_elsewhere_warns(void **state) {
    Fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&thread, NULL, send_elsewhere, &fd), 0);
    _cleanup_free_ char *spec =
        xasprintf("\"containers\":[{\"name\":\"a\",\"readinessProbe\":{\"httpGet\":{\"host\":\"127.0.0.1\","
                  "\"port\":%u},\"periodSeconds\":1}}]",
                  ntohs(address.sin_port));
    create_pod(f, "p", spec);
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    assert_true(becomes(f, has_event, "Readiness probe warning: Probe terminated redirects, Response body: no"));
    assert_true(becomes(f, has_event, "ProbeWarning"));
    shutdown(fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fd);
}

static void readiness_follows_its_probe(void **state) {
    Fixture *f = *state;
    f->runtime->exec_code = 1;
    create_pod(f, "p",
               "\"containers\":[{\"name\":\"a\",\"readinessProbe\":"
               "{\"exec\":{\"command\":[\"ready\"]},\"periodSeconds\":1,\"failureThreshold\":1}}]");
    SAYS(f, "p", "Running", "phase");
    SAYS(f, "p", "ContainersNotReady", "conditions", "type=Ready", "reason");
    f->runtime->exec_code = 0;
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    f->runtime->exec_code = 1;
    SAYS(f, "p", "False", "conditions", "type=Ready", "status");
    assert_int_equal(asked(f->runtime, "start a"), 1);
}

/* ---- ends ---- */

static void the_deadline_ends_a_pod(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"activeDeadlineSeconds\":1,\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "Failed", "phase");
    SAYS(f, "p", "DeadlineExceeded", "reason");
    SAYS(f, "p", "143", "containerStatuses", "0", "state", "terminated", "exitCode");
}

static void a_restarted_agent_adopts_what_runs(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    kubelet_stop(f->kubelet);
    fake_exit(f->runtime, "b", 1); /* while nobody looks */
    pthread_mutex_lock(&f->runtime->lock);
    f->runtime->log[0] = 0;
    pthread_mutex_unlock(&f->runtime->lock);
    start_agent(f);
    ASKED(f, "start b\n");
    SAYS(f, "p", "1", "containerStatuses", "1", "restartCount");
    SAYS(f, "p", "0", "containerStatuses", "0", "restartCount");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
}

static void a_container_that_was_made_and_never_started_is_made_again(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    kubelet_stop(f->kubelet);
    pthread_mutex_lock(&f->runtime->lock);
    f->runtime->containers[0].state = CONTAINER_CREATED; /* as if the agent had been killed in between */
    f->runtime->log[0] = 0;
    pthread_mutex_unlock(&f->runtime->lock);
    start_agent(f);
    ASKED(f, "remove a\nstart a\n");
    SAYS(f, "p", "0", "containerStatuses", "0", "restartCount");
}

/* ---- the door, and resizes ---- */

static void what_does_not_fit_is_turned_away(void **state) {
    Fixture *f = *state;
    create_pod(f, "large", "\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"100000\"}}}]");
    SAYS(f, "large", "Failed", "phase");
    SAYS(f, "large", "OutOfcpu", "reason");
    create_pod(f, "one", "\"containers\":[{\"name\":\"b\",\"ports\":[{\"containerPort\":80,\"hostPort\":8080}]}]");
    SAYS(f, "one", "Running", "phase");
    create_pod(f, "two", "\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"hostPort\":8080}]}]");
    SAYS(f, "two", "NodePorts", "reason");
    create_pod(f, "else", "\"nodeSelector\":{\"no\":\"such\"},\"containers\":[{\"name\":\"d\"}]");
    SAYS(f, "else", "NodeAffinity", "reason");
    SAYS(f, "else",
         "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
         "message");
    create_pod(f, "ctl",
               "\"securityContext\":{\"sysctls\":[{\"name\":\"kernel/msgmax\",\"value\":\"1\"}]},"
               "\"containers\":[{\"name\":\"e\"}]");
    SAYS(f, "ctl", "SysctlForbidden", "reason");
    /* its port is free again once nothing of it runs */
    delete_pod(f, "one");
    assert_true(becomes(f, is_gone, "one"));
    create_pod(f, "three", "\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"hostPort\":8080}]}]");
    SAYS(f, "three", "Running", "phase");
    assert_int_equal(asked(f->runtime, "sandbox"), 2);
}

#define SIZED(policy)                                                                                                  \
    "\"containers\":[{\"name\":\"a\",\"resizePolicy\":[{\"resourceName\":\"cpu\",\"restartPolicy\":\"" policy          \
    "\"}],\"resources\":{\"requests\":{\"cpu\":\"100m\"},\"limits\":{\"cpu\":\"200m\"}}}]"
#define RESIZE(request, limit)                                                                                         \
    "{\"spec\":{\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"" request                       \
    "\"},\"limits\":{\"cpu\":\"" limit "\"}}}]}}"

static void a_resize_in_place(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", SIZED("NotRequired"));
    SAYS(f, "p", "200m", "containerStatuses", "0", "resources", "limits", "cpu");
    patch_pod(f, "p", RESIZE("300m", "400m"));
    ASKED(f, "sandbox p\nstart a\nupdate a shares 307 quota 40000\n");
    SAYS(f, "p", "400m", "containerStatuses", "0", "resources", "limits", "cpu");
    SAYS(f, "p", "300m", "containerStatuses", "0", "allocatedResources", "cpu");
    assert_true(becomes(f, has_event, "Pod resize completed"));
    /* the same amount in other words is no change */
    patch_pod(f, "p", RESIZE("0.3", "0.4"));
    quiet();
    assert_int_equal(asked(f->runtime, "update"), 1);
}

static void a_resize_that_needs_a_restart(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", SIZED("RestartContainer"));
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    patch_pod(f, "p", RESIZE("150m", "250m"));
    SAYS(f, "p", "1", "containerStatuses", "0", "restartCount");
    SAYS(f, "p", "250m", "containerStatuses", "0", "resources", "limits", "cpu");
    assert_int_equal(asked(f->runtime, "update"), 0);
    assert_true(becomes(f, has_event, "Container a resize requires restart"));
    assert_true(becomes(f, has_event, "Pod resize completed"));
}

static void a_resize_waits_for_room_and_outlives_the_agent(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", SIZED("NotRequired"));
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    patch_pod(f, "p", RESIZE("100000", "100000"));
    SAYS(f, "p", "Deferred", "conditions", "type=PodResizePending", "reason");
    SAYS(f, "p", "200m", "containerStatuses", "0", "resources", "limits", "cpu");
    SAYS(f, "p", "100m", "containerStatuses", "0", "allocatedResources", "cpu");
    kubelet_stop(f->kubelet);
    patch_pod(f, "p", RESIZE("100m", "300m")); /* while nobody looks */
    start_agent(f);
    ASKED(f, "sandbox p\nstart a\nupdate a shares 102 quota 30000\n");
    SAYS(f, "p", "300m", "containerStatuses", "0", "resources", "limits", "cpu");
    kubelet_stop(f->kubelet);
    start_agent(f);
    quiet();
    assert_int_equal(asked(f->runtime, "update"), 1);
    SAYS(f, "p", "300m", "containerStatuses", "0", "resources", "limits", "cpu");
}

#define POD_SIZED                                                                                                      \
    "\"resources\":{\"requests\":{\"cpu\":\"200m\",\"memory\":\"64Mi\"},\"limits\":{\"cpu\":\"400m\",\"memory\":"      \
    "\"128Mi\"}},\"containers\":[{\"name\":\"a\"},{\"name\":\"b\",\"resources\":{\"requests\":{\"cpu\":\"100m\"},"     \
    "\"limits\":{\"cpu\":\"200m\"}}}]"

/* The files of the pod's control group, which no kernel makes here. */
static void make_cgroup(Fixture *f, const char *pod, const char *class) {
    static const char *const files[] = {"cpu.weight", "cpu.max", "memory.max"};
    _cleanup_object_ Object *object = NULL;
    assert_int_equal(client_get(f->client, RES("pods"), "default", pod, &object, NULL), 0);
    _cleanup_free_ char *folder = xasprintf("%s/kubepods/%s/pod%s", f->cgroups, class, object_uid(object));
    assert_int_equal(fs_mkdir_p(folder, 0755), 0);
    for (size_t i = 0; i < ELEMENTSOF(files); i++)
        write_file(folder, files[i], "", 0);
}

static void the_resources_of_a_pod_as_a_whole(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", POD_SIZED);
    make_cgroup(f, "p", "burstable"); /* tried again where it was too late */
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    SAYS(f, "p", "Burstable", "qosClass");
    SAYS(f, "p", "200m", "allocatedResources", "cpu");
    SAYS(f, "p", "64Mi", "resources", "requests", "memory");
    SAYS(f, "p", "400m", "resources", "limits", "cpu");
    SAYS(f, "p", "128Mi", "resources", "limits", "memory");
    SAYS(f, "p", "400m", "containerStatuses", "0", "resources", "limits", "cpu"); /* the pod's */
    SAYS(f, "p", "200m", "containerStatuses", "1", "resources", "limits", "cpu"); /* its own */
    patch_pod(f, "p",
              "{\"spec\":{\"resources\":{\"requests\":{\"cpu\":\"300m\"},\"limits\":{\"cpu\":\"600m\",\"memory\":"
              "\"256Mi\"}}}}");
    SAYS(f, "p", "600m", "resources", "limits", "cpu");
    SAYS(f, "p", "256Mi", "resources", "limits", "memory");
    SAYS(f, "p", "300m", "allocatedResources", "cpu");
    SAYS(f, "p", "600m", "containerStatuses", "0", "resources", "limits", "cpu");
    SAYS(f, "p", "200m", "containerStatuses", "1", "resources", "limits", "cpu");
    SAYS(f, "p", "0", "containerStatuses", "0", "restartCount");
    restart_agent(f);
    quiet();
    assert_int_equal(asked(f->runtime, "update"), 2); /* the limits of CPU and of memory that b has from its pod, too */
}

static void a_pod_that_asks_for_nothing_has_no_resources(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    SAYS(f, "p", "*", "resources");
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_null(value_get(status_of(f, arena, "p"), "allocatedResources"));
    assert_null(value_get(value_get(status_of(f, arena, "p"), "resources"), "limits"));
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(init_containers_run_one_after_the_other),
        TEST(an_init_container_that_fails_ends_a_pod_that_never_restarts),
        TEST(sidecars_start_in_their_turn_and_stop_last),
        TEST(a_container_that_cannot_start_says_why),
        TEST(what_crashes_again_waits_longer),
        TEST(restart_policies_decide),
        TEST(a_changed_image_restarts_its_container_only),
        TEST(a_post_start_hook_is_waited_for),
        TEST(a_post_start_hook_that_fails_ends_its_container),
        TEST(a_pre_stop_hook_runs_within_the_grace_period),
        TEST(a_failed_liveness_probe_restarts),
        TEST(readiness_follows_its_probe),
        TEST(a_probe_knows_the_variables_of_its_container),
        TEST(a_probe_that_is_sent_elsewhere_warns),
        TEST(the_deadline_ends_a_pod),
        TEST(a_restarted_agent_adopts_what_runs),
        TEST(a_container_that_was_made_and_never_started_is_made_again),
        TEST(what_does_not_fit_is_turned_away),
        TEST(a_resize_in_place),
        TEST(a_resize_that_needs_a_restart),
        TEST(a_resize_waits_for_room_and_outlives_the_agent),
        TEST(the_resources_of_a_pod_as_a_whole),
        TEST(a_pod_that_asks_for_nothing_has_no_resources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
