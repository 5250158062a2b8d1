/* The agent is killed at any instant of a pod's life, again and again: the next one can remove all that is left. */
#include "fixture.h"

#include <sys/prctl.h>

static unsigned below(const char *command) {
    FILE *p = popen(command, "r");
    unsigned n = 0;
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void agent_main(Fixture *f) {
    char *error = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    f->runtime = fixture_open(f, &error);
    for (unsigned i = 0; f->runtime; i++) {
        char *sandbox = sandbox_new_with(f, (SandboxSpec){.attempt = i, .share_process_namespace = i % 3 == 0});
        ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "1000"));
        char *id = container_run(f, sandbox, &spec);
        int code;
        if (i % 2)
            free(exec_text(f, id, ARGV("/bin/true"), &code));
        if (f->runtime->container_stop(f->runtime, id, 0, &error) < 0 ||
            f->runtime->sandbox_remove(f->runtime, sandbox, &error) < 0)
            break;
    }
    _exit(1);
}

static void killed_at_any_instant(void **state) {
    Fixture *f = *state;
    for (unsigned round = 0; round < 25; round++) {
        pid_t agent = fork();
        if (agent == 0)
            agent_main(f);
        usleep(10000 + round * 7919 % 150000);
        kill(agent, SIGKILL);
        int status;
        assert_int_equal(waitpid(agent, &status, 0), agent);
        assert_true(WIFSIGNALED(status)); /* nothing the one before left was in its way */
        f->runtime->free(f->runtime);
        char *error = NULL;
        f->runtime = fixture_open(f, &error);
        if (!f->runtime)
            fail_msg("%s", error);
        SandboxStatus *list;
        size_t n;
        assert_int_equal(f->runtime->sandbox_list(f->runtime, &list, &n), 0);
        for (size_t i = 0; i < n; i++) {
            if (f->runtime->sandbox_remove(f->runtime, list[i].id, &error) < 0)
                fail_msg("round %u: %s", round, error);
            sandbox_status_done(&list[i]);
        }
        free(list);
        ContainerStatus *containers;
        assert_int_equal(f->runtime->container_list(f->runtime, NULL, &containers, &n), 0);
        assert_int_equal(n, 0);
        free(containers);
    }
    /* No mount, no control group, no process, no address, no lease. */
    _cleanup_free_ char *mounts = xasprintf("grep -c %s /proc/self/mountinfo || true", f->dir);
    _cleanup_free_ char *groups =
        xasprintf("find /sys/fs/cgroup -path '*%s/kubepods/pod1/*' -type d | wc -l", f->cgroup);
    _cleanup_free_ char *folders = xasprintf(
        "ls %s/runtime/sandboxes %s/runtime/containers %s/runtime/exits %s/runtime/cni %s/runtime/oci 2>/dev/null | "
        "grep -cE '^[0-9a-f]{64}' || true",
        f->dir, f->dir, f->dir, f->dir, f->dir);
    _cleanup_free_ char *leases = xasprintf("ls %s/images/leases | wc -l", f->dir);
    _cleanup_free_ char *addresses = xasprintf("ls %s/ipam/* | grep -c '^10.199' || true", f->dir);
    assert_int_equal(below(mounts), 0);
    assert_int_equal(below(folders), 0);
    assert_int_equal(below(leases), 0);
    assert_int_equal(below(addresses), 0);
    for (int i = 0; below(groups) != 0; i++) {
        assert_true(i < 100);
        usleep(20000);
    }
    _cleanup_free_ char *monitors = xasprintf("grep -lz %s /proc/[0-9]*/cmdline 2>/dev/null | wc -l", f->dir);
    for (int i = 0; below(monitors) > 2; i++) { /* popen's shell and grep name it too */
        assert_true(i < 100);
        usleep(20000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_instant)};
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
