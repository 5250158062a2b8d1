/* How pods end, and what begins again when something of them is lost. */
#include "../support/agent_fixture.h"

static void force_delete(Fixture *f, const char *name) {
    assert_int_equal(client_delete(f->client, RES("pods"), "default", name, &(ClientDelete){.grace_seconds = 0}, NULL),
                     0);
}

static void what_has_run_to_its_end_is_stopped(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    assert_true(fake_exit(f->runtime, "a", 0));
    SAYS(f, "p", "Completed", "containerStatuses", "0", "state", "terminated", "reason");
    SAYS(f, "p", "Running", "phase"); /* b runs on */
    assert_true(fake_exit(f->runtime, "b", 3));
    SAYS(f, "p", "Failed", "phase");
    SAYS(f, "p", "3", "containerStatuses", "1", "state", "terminated", "exitCode");
    SAYS(f, "p", "False", "conditions", "type=PodReadyToStartContainers", "status"); /* its sandbox is stopped */
    quiet();
    assert_int_equal(asked(f->runtime, "start"), 2);
}

static void a_pod_has_its_grace_and_leaves_nothing(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"terminationGracePeriodSeconds\":17,\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    _cleanup_object_ Object *pod = NULL;
    assert_int_equal(client_get(f->client, RES("pods"), "default", "p", &pod, NULL), 0);
    _cleanup_free_ char *folder = xasprintf("%s/pods/%s", f->root, object_uid(pod));
    assert_true(fs_exists(folder));
    delete_pod(f, "p");
    assert_true(becomes(f, is_gone, "p"));
    ASKED(f, "sandbox p\nstart a\nstop a 17\nremove sandbox p\n");
    assert_false(fs_exists(folder));
}

static bool was_removed(Fixture *f, const void *data) {
    return asked(f->runtime, data) > 0;
}

static void a_pod_whose_object_is_gone_ends_all_the_same(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    force_delete(f, "p");
    assert_true(becomes(f, was_removed, "remove sandbox p"));
    assert_int_equal(asked(f->runtime, "stop a"), 1);
}

static void a_lost_sandbox_is_made_again(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    pthread_mutex_lock(&f->runtime->lock);
    f->runtime->sandboxes[0].ready = false; /* as after a restart of the machine */
    pthread_mutex_unlock(&f->runtime->lock);
    assert_true(fake_exit(f->runtime, "a", 255));
    SAYS(f, "p", "1", "containerStatuses", "0", "restartCount");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    assert_int_equal(asked(f->runtime, "sandbox p"), 2);
}

static void an_ephemeral_container_runs_once(void **state) {
    Fixture *f = *state;
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    patch_pod(f, "p",
              "{\"spec\":{\"ephemeralContainers\":[{\"name\":\"d\",\"image\":\"app:1\",\"imagePullPolicy\":\"Never\","
              "\"targetContainerName\":\"a\"}]}}");
    SAYS(f, "p", "*", "ephemeralContainerStatuses", "0", "state", "running");
    assert_true(fake_exit(f->runtime, "d", 1));
    SAYS(f, "p", "*", "ephemeralContainerStatuses", "0", "state", "terminated");
    quiet();
    assert_int_equal(asked(f->runtime, "start d"), 1);
    SAYS(f, "p", "True", "conditions", "type=Ready", "status"); /* it has no part in that */
}

static void leftovers_of_pods_that_are_gone_are_removed(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *folder = xasprintf("%s/pods/11111111-2222", f->root);
    _cleanup_free_ char *cgroup = xasprintf("%s/kubepods/besteffort/pod11111111-2222", f->cgroups);
    create_pod(f, "p", "\"containers\":[{\"name\":\"a\"}]");
    SAYS(f, "p", "True", "conditions", "type=Ready", "status");
    assert_int_equal(fs_mkdir_p(folder, 0755), 0);
    assert_int_equal(fs_mkdir_p(cgroup, 0755), 0);
    _cleanup_free_ char *sandbox = NULL, *error = NULL;
    const SandboxSpec spec = {.ns = "default", .name = "gone", .uid = "11111111-2222"};
    assert_int_equal(f->runtime->base.sandbox_create(&f->runtime->base, &spec, &sandbox, &error), 0);
    workqueue_add(f->kubelet->node_queue, "housekeeping");
    assert_true(becomes(f, was_removed, "remove sandbox gone"));
    for (int i = 0; i < 50 && (fs_exists(folder) || fs_exists(cgroup)); i++)
        quiet();
    assert_false(fs_exists(folder));
    assert_false(fs_exists(cgroup));
    assert_int_equal(asked(f->runtime, "remove sandbox p"), 0); /* that one is there */
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_has_run_to_its_end_is_stopped),
        TEST(a_pod_has_its_grace_and_leaves_nothing),
        TEST(a_pod_whose_object_is_gone_ends_all_the_same),
        TEST(a_lost_sandbox_is_made_again),
        TEST(an_ephemeral_container_runs_once),
        TEST(leftovers_of_pods_that_are_gone_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
