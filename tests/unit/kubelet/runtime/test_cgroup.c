/* Control groups of version 2 (and 1) on a folder that looks like one: what is written where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/str.h"
#include "kubelet/runtime/cgroup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Fake {
    char dir[64];
    Cgroups cgroups;
} Fake;

static void put(const Fake *f, const char *path, const char *text) {
    _cleanup_free_ char *full = xasprintf("%s/%s", f->dir, path), *folder = xstrdup(full);
    *strrchr(folder, '/') = 0;
    assert_int_equal(fs_mkdir_p(folder, 0755), 0);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect(const Fake *f, const char *path, const char *text) {
    _cleanup_free_ char *full = xasprintf("%s/%s", f->dir, path), *got = NULL;
    assert_int_equal(fs_read_file(full, 4096, &got, NULL), 0);
    assert_string_equal(got, text);
}

static int set_up(void **state) {
    Fake *f = NEW0(Fake);
    strcpy(f->dir, "/tmp/lighter-cgroup-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fake *f = *state;
    cgroups_done(&f->cgroups);
    assert_int_equal(fs_remove_tree(f->dir), 0);
    free(f);
    return 0;
}

static void detects_versions(void **state) {
    Fake *f = *state;
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), -ENOENT);
    put(f, "memory/cgroup.procs", "");
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), 0);
    assert_true(!f->cgroups.v2 && !f->cgroups.hybrid);
    cgroups_done(&f->cgroups);
    put(f, "unified/cgroup.procs", "");
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), 0);
    assert_true(!f->cgroups.v2 && f->cgroups.hybrid);
    cgroups_done(&f->cgroups);
    put(f, "cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), 0);
    assert_true(f->cgroups.v2 && !f->cgroups.hybrid);
}

static void weights(void **state) {
    (void)state;
    /* The formula of the OCI runtimes: 1 + (shares - 2) * 9999 / 262142. */
    assert_int_equal(cgroup_weight_from_shares(2), 1);
    assert_int_equal(cgroup_weight_from_shares(1024), 39);
    assert_int_equal(cgroup_weight_from_shares(262144), 10000);
    assert_int_equal(cgroup_weight_from_shares(0), 1);
    assert_int_equal(cgroup_weight_from_shares(INT64_MAX), 10000);
}

static void version_2(void **state) {
    Fake *f = *state;
    put(f, "cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), 0);
    put(f, "l/pod/c/memory.stat", "anon 4096\nfile 100\ninactive_file 1000\nactive_file 5\n");
    put(f, "l/pod/c/memory.current", "9000\n");
    put(f, "l/pod/c/cpu.stat", "usage_usec 1234\nuser_usec 1\n");
    put(f, "l/pod/c/pids.current", "7\n");
    ContainerStats stats;
    assert_int_equal(cgroup_stats(&f->cgroups, "/l/pod/c", &stats), 0);
    assert_int_equal(stats.memory_usage, 9000);
    assert_int_equal(stats.memory_working_set, 8000);
    assert_int_equal(stats.memory_rss, 4096);
    assert_int_equal(stats.cpu_usage_ns, 1234000);
    assert_int_equal(stats.pids, 7);
    assert_int_equal(cgroup_stats(&f->cgroups, "/l/pod/gone", &stats), -ENOENT);
    static const char *const files[] = {"cpu.weight", "cpu.max",     "memory.max",
                                        "pids.max",   "cgroup.kill", "cgroup.procs"};
    for (size_t i = 0; i < ELEMENTSOF(files); i++) {
        _cleanup_free_ char *path = xasprintf("l/pod/c/%s", files[i]);
        put(f, path, "");
    }
    ContainerSpec spec = {
        .cpu_shares = 1024, .cpu_quota = 50000, .cpu_period = 100000, .memory_limit = 1 << 20, .pids_limit = 9};
    char *error = NULL;
    assert_int_equal(cgroup_update(&f->cgroups, "/l/pod/c", &spec, &error), 0);
    expect(f, "l/pod/c/cpu.weight", "39");
    expect(f, "l/pod/c/cpu.max", "50000 100000");
    expect(f, "l/pod/c/memory.max", "1048576");
    expect(f, "l/pod/c/pids.max", "9");
    put(f, "l/pod/c/cpu.max", "");
    spec = (ContainerSpec){.cpu_quota = -1};
    assert_int_equal(cgroup_update(&f->cgroups, "/l/pod/c", &spec, &error), 0);
    expect(f, "l/pod/c/cpu.max", "max 100000");
    assert_int_equal(cgroup_kill(&f->cgroups, "/l/pod/c"), 0);
    expect(f, "l/pod/c/cgroup.kill", "1");
    assert_int_equal(cgroup_enter(&f->cgroups, "/l/pod/c", 4711), 0);
    expect(f, "l/pod/c/cgroup.procs", "4711");
    _cleanup_free_ char *oom = cgroup_oom_file(&f->cgroups, "/l/pod/c"),
                        *want = xasprintf("%s/l/pod/c/memory.events", f->dir);
    assert_string_equal(oom, want);
    spec = (ContainerSpec){.memory_limit = 5};
    assert_int_equal(cgroup_update(&f->cgroups, "/l/pod/none", &spec, &error), -ENOENT);
    assert_non_null(strstr(error, "memory.max"));
    free(error);
}

static void version_1(void **state) {
    Fake *f = *state;
    put(f, "memory/l/c/memory.stat", "rss 1\ntotal_rss 2048\ninactive_file 1\ntotal_inactive_file 3000\n");
    put(f, "memory/l/c/memory.usage_in_bytes", "2000\n");
    put(f, "cpuacct/l/c/cpuacct.usage", "55\n");
    put(f, "pids/l/c/pids.current", "2\n");
    put(f, "cpu/l/c/cpu.shares", "");
    put(f, "cpu/l/c/cpu.cfs_quota_us", "");
    put(f, "cpu/l/c/cpu.cfs_period_us", "");
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), 0);
    ContainerStats stats;
    assert_int_equal(cgroup_stats(&f->cgroups, "/l/c", &stats), 0);
    assert_int_equal(stats.memory_working_set, 0); /* never below */
    assert_int_equal(stats.memory_rss, 2048);
    assert_int_equal(stats.cpu_usage_ns, 55);
    ContainerSpec spec = {.cpu_shares = 512, .cpu_quota = 1000, .cpu_period = 2000};
    assert_int_equal(cgroup_update(&f->cgroups, "/l/c", &spec, NULL), 0);
    expect(f, "cpu/l/c/cpu.shares", "512");
    expect(f, "cpu/l/c/cpu.cfs_quota_us", "1000");
    expect(f, "cpu/l/c/cpu.cfs_period_us", "2000");
    /* Without cgroup.kill the listed processes are killed, below too. */
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    char text[16];
    snprintf(text, sizeof text, "%d\n", (int)child);
    put(f, "memory/l/c/below/cgroup.procs", text);
    put(f, "memory/l/c/cgroup.procs", "");
    assert_int_equal(cgroup_kill(&f->cgroups, "/l/c"), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(cgroup_kill(&f->cgroups, "/l/none"), 0);
}

static void removal_goes_from_the_leaves(void **state) {
    Fake *f = *state;
    put(f, "memory/x", "");
    assert_int_equal(cgroups_detect(f->dir, &f->cgroups), 0);
    static const char *const folders[] = {"memory/l/a/b", "cpu/l/a/b", "pids/l/other"};
    for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", f->dir, folders[i]);
        assert_int_equal(fs_mkdir_p(path, 0755), 0);
    }
    assert_int_equal(cgroup_remove(&f->cgroups, "/l/a"), 0);
    _cleanup_free_ char *gone = xasprintf("%s/cpu/l/a", f->dir), *kept = xasprintf("%s/pids/l/other", f->dir);
    assert_false(fs_exists(gone));
    assert_true(fs_exists(kept));
    assert_int_equal(cgroup_remove(&f->cgroups, "/"), -EINVAL);
    assert_int_equal(cgroup_remove(&f->cgroups, ""), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(detects_versions, set_up, tear_down),
        cmocka_unit_test(weights),
        cmocka_unit_test_setup_teardown(version_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removal_goes_from_the_leaves, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
