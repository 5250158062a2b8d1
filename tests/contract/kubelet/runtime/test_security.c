/* What a container may do: users, capabilities, seccomp, mounts, limits. Every check looks at the running process. */
#include "fixture.h"

#include <sys/mount.h>

/* Runs a script as the container's own process and returns its log. */
static char *run_script(Fixture *f, const char *sandbox, ContainerSpec *spec, const char *script, int *ret_code) {
    static unsigned n;
    char log_name[32];
    snprintf(log_name, sizeof log_name, "s%u.log", n++);
    const char *command[] = {"/bin/sh", "-c", script, NULL};
    spec->command = command;
    spec->log_path = log_name;
    _cleanup_free_ char *id = container_run(f, sandbox, spec), *error = NULL;
    ContainerStatus status = container_end(f, id);
    *ret_code = status.exit_code;
    container_status_done(&status);
    assert_int_equal(f->runtime->container_remove(f->runtime, id, &error), 0);
    return log_text(f, log_name);
}

static void users_and_groups(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    const int64_t extra[] = {3000};
    const struct {
        int64_t user, group;
        const char *name, *want;
    } cases[] = {
        {-1, -1, NULL, "uid=0(root) gid=0(root)"},
        {1000, -1, NULL, "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),3000"},
        {-1, -1, "app", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),3000"},
        {4711, -1, NULL, "uid=4711 gid=0(root) groups=0(root),3000"},
        {4711, 4712, NULL, "uid=4711 gid=4712"},
        {1000, 50, NULL, "uid=1000(app) gid=50"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        ContainerSpec spec = container_spec(f, NULL);
        spec.run_as_user = cases[i].user;
        spec.run_as_group = cases[i].group;
        spec.run_as_username = cases[i].name;
        spec.supplemental_groups = extra;
        spec.n_supplemental_groups = 1;
        int code;
        _cleanup_free_ char *log = run_script(f, sandbox, &spec, "id; cat /etc/shadow", &code);
        if (!strstr(log, cases[i].want) || !strstr(log, "3000"))
            fail_msg("case %zu: %s", i, log);
        assert_int_equal(code, i == 0 ? 0 : 1); /* only root reads shadow */
    }
}

static uint64_t capability_mask(const char *log, const char *key) {
    const char *at = strstr(log, key);
    assert_non_null(at);
    return strtoull(at + strlen(key) + 1, NULL, 16);
}

static void capabilities_and_privileges(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    const uint64_t defaults = 0xa80425fb; /* the set of Docker and containerd */
    const char *all[] = {"ALL", NULL}, *admin[] = {"NET_ADMIN", NULL}, *bind[] = {"NET_BIND_SERVICE", NULL};
    int code;
    ContainerSpec spec = container_spec(f, NULL);
    _cleanup_free_ char *plain = run_script(f, sandbox, &spec, "cat /proc/self/status", &code);
    assert_int_equal(capability_mask(plain, "CapBnd:"), defaults);
    assert_int_equal(capability_mask(plain, "CapEff:"), defaults);
    assert_int_equal(capability_mask(plain, "CapInh:"), 0);
    assert_non_null(strstr(plain, "NoNewPrivs:\t0"));
    spec = container_spec(f, NULL);
    spec.capabilities_add = admin;
    spec.no_new_privileges = true;
    _cleanup_free_ char *more = run_script(f, sandbox, &spec, "cat /proc/self/status", &code);
    assert_int_equal(capability_mask(more, "CapBnd:"), defaults | 1u << 12);
    assert_non_null(strstr(more, "NoNewPrivs:\t1"));
    spec = container_spec(f, NULL);
    spec.capabilities_drop = all;
    spec.capabilities_add = bind;
    _cleanup_free_ char *less = run_script(f, sandbox, &spec, "cat /proc/self/status", &code);
    assert_int_equal(capability_mask(less, "CapEff:"), 1u << 10);
    spec = container_spec(f, NULL);
    spec.privileged = true;
    _cleanup_free_ char *privileged = run_script(f, sandbox, &spec,
                                                 "cat /proc/self/status; ls -d /dev/vda /dev/loop0 /dev/kmsg "
                                                 "2>/dev/null; echo 1 >/proc/sys/kernel/domainname && echo rw",
                                                 &code);
    assert_true((capability_mask(privileged, "CapEff:") & 1u << 21) != 0);
    assert_non_null(strstr(privileged, "/dev/kmsg"));
    assert_non_null(strstr(privileged, "Seccomp:\t0"));
    char *error = NULL, *id = NULL;
    const char *unknown[] = {"FLY", NULL};
    spec = container_spec(f, ARGV("/bin/true"));
    spec.capabilities_add = unknown;
    assert_int_equal(f->runtime->container_create(f->runtime, sandbox, &spec, &id, &error), -EINVAL);
    assert_string_equal(error, "unknown capability to add: \"FLY\"");
    free(error);
}

static void seccomp_profiles(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    const char *script = "cat /proc/self/status; mkdir /tmp/made && echo made";
    int code;
    ContainerSpec spec = container_spec(f, NULL);
    spec.seccomp_profile = "Unconfined";
    _cleanup_free_ char *open_ = run_script(f, sandbox, &spec, script, &code);
    assert_non_null(strstr(open_, "Seccomp:\t0"));
    spec = container_spec(f, NULL);
    spec.seccomp_profile = "RuntimeDefault";
    _cleanup_free_ char *standard = run_script(f, sandbox, &spec, script, &code);
    assert_non_null(strstr(standard, "Seccomp:\t2"));
    /* A profile of the user's: symbolic links are refused. */
    char path[256];
    snprintf(path, sizeof path, "%s/profile.json", f->dir);
    write_text(path, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"sethostname\",\"symlink\","
                     "\"symlinkat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}");
    spec = container_spec(f, NULL);
    spec.seccomp_profile = path;
    _cleanup_free_ char *own =
        run_script(f, sandbox, &spec, "ln -sf /a /tmp/b || busybox ln -s /a /tmp/c || echo refused", &code);
    assert_non_null(strstr(own, "refused"));
    char *error = NULL, *id = NULL;
    spec = container_spec(f, ARGV("/bin/true"));
    spec.seccomp_profile = "/no/such/profile.json";
    assert_true(f->runtime->container_create(f->runtime, sandbox, &spec, &id, &error) < 0);
    assert_non_null(strstr(error, "cannot load seccomp profile"));
    free(error);
}

static void file_systems(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    int code;
    ContainerSpec spec = container_spec(f, NULL);
    spec.read_only_rootfs = true;
    _cleanup_free_ char *ro =
        run_script(f, sandbox, &spec, "touch /x || echo refused; echo a >/dev/shm/y && echo shm", &code);
    assert_non_null(strstr(ro, "refused"));
    assert_non_null(strstr(ro, "stdout F shm"));
    /* What one container writes into its root, another does not see; /dev/shm is the pod's. */
    spec = container_spec(f, NULL);
    _cleanup_free_ char *fresh = run_script(f, sandbox, &spec, "touch /x && ls /x; cat /dev/shm/y", &code);
    assert_non_null(strstr(fresh, "stdout F /x"));
    assert_non_null(strstr(fresh, "stdout F a"));
    /* Masked and read-only paths; /proc/sys cannot be written, kcore is empty. */
    _cleanup_free_ char *masked =
        run_script(f, sandbox, &spec,
                   "head -c 10 /proc/kcore | od -c | head -n 1; echo 1 >/proc/sys/kernel/domainname || echo refused; "
                   "ls /sys/firmware | grep -c .",
                   &code);
    assert_non_null(strstr(masked, "refused"));
    const char *none[] = {NULL};
    spec.masked_paths = spec.readonly_paths = none;
    _cleanup_free_ char *unmasked =
        run_script(f, sandbox, &spec, "grep -c ' /proc/' /proc/self/mountinfo; true", &code);
    assert_non_null(strstr(unmasked, "stdout F 0"));
    /* Volumes, read-only and not. */
    char source[256], file[300];
    snprintf(source, sizeof source, "%s/volume", f->dir);
    mkdir(source, 0755);
    snprintf(file, sizeof file, "%s/in", source);
    write_text(file, "from the host\n");
    MountSpec mounts[] = {{.container_path = "/ro", .host_path = source, .read_only = true},
                          {.container_path = "/data/rw", .host_path = source}};
    spec = container_spec(f, NULL);
    spec.mounts = mounts;
    spec.n_mounts = 2;
    _cleanup_free_ char *volumes =
        run_script(f, sandbox, &spec, "cat /ro/in; touch /ro/x || echo refused; echo back >/data/rw/out", &code);
    assert_non_null(strstr(volumes, "from the host"));
    assert_non_null(strstr(volumes, "refused"));
    snprintf(file, sizeof file, "%s/out", source);
    assert_true(fs_exists(file));
    mounts[0].host_path = "/no/such/folder";
    spec.log_path = "missing.log";
    spec.command = ARGV("/bin/true");
    _cleanup_free_ char *id = container_new_with(f, sandbox, &spec), *error = NULL;
    assert_true(f->runtime->container_start(f->runtime, id, &error) < 0);
    if (!strstr(error, "/no/such/folder"))
        fail_msg("%s", error);
}

static void devices(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    DeviceSpec list[] = {{.host_path = "/dev/zero", .container_path = "/dev/nothing", .permissions = "r"}};
    ContainerSpec spec = container_spec(f, NULL);
    int code;
    spec.devices = list;
    spec.n_devices = 1;
    _cleanup_free_ char *log = run_script(
        f, sandbox, &spec,
        "head -c 4 /dev/nothing | od -x | head -n 1; ls /dev/kmsg /dev/vda 2>/dev/null; ls /dev/null", &code);
    assert_non_null(strstr(log, "0000000 0000 0000"));
    assert_null(strstr(log, "kmsg"));
    assert_null(strstr(log, "vda"));
}

static void limits_are_set_changed_and_kept(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    spec.memory_limit = 64 << 20;
    spec.cpu_shares = 512;
    spec.cpu_quota = 50000;
    spec.cpu_period = 100000;
    spec.pids_limit = 50;
    spec.oom_score_adj = 500;
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    Cgroups cgroups;
    assert_int_equal(cgroups_detect("/sys/fs/cgroup", &cgroups), 0);
    _cleanup_free_ char *group = xasprintf("%s/kubepods/pod1/%s", f->cgroup, id);
    for (int round = 0; round < 2; round++) {
        _cleanup_free_ char *file = cgroup_file(&cgroups, "memory", group,
                                                cgroups.v2 ? "memory.max" : "memory.limit_in_bytes"),
                            *text = NULL;
        assert_int_equal(fs_read_file(file, 100, &text, NULL), 0);
        assert_int_equal(strtoll(text, NULL, 10), round ? 96 << 20 : 64 << 20);
        _cleanup_free_ char *cpu = cgroup_file(&cgroups, "cpu", group, cgroups.v2 ? "cpu.max" : "cpu.cfs_quota_us"),
                            *quota = NULL;
        assert_int_equal(fs_read_file(cpu, 100, &quota, NULL), 0);
        assert_int_equal(strtoll(quota, NULL, 10), round ? 70000 : 50000);
        ContainerSpec more = {.memory_limit = 96 << 20, .cpu_quota = 70000, .cpu_period = 100000};
        assert_int_equal(f->runtime->container_update(f->runtime, id, &more, &error), 0);
    }
    int code;
    _cleanup_free_ char *score = exec_text(f, id, ARGV("/bin/cat", "/proc/1/oom_score_adj"), &code);
    assert_string_equal(score, "500\n");
    ContainerStats stats;
    assert_int_equal(f->runtime->container_stats(f->runtime, id, &stats), 0);
    assert_true(stats.memory_usage > 0 && stats.cpu_usage_ns > 0 && stats.pids >= 1);
    assert_true(stats.memory_working_set <= stats.memory_usage);
    cgroups_done(&cgroups);
}

static void out_of_memory_is_told(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    ContainerSpec spec = container_spec(f, ARGV("/bin/sh", "-c", "x=0123456789; while :; do x=$x$x; done"));
    spec.memory_limit = 16 << 20;
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    ContainerStatus status = container_end(f, id);
    assert_int_equal(status.exit_code, 137);
    assert_string_equal(status.reason, "OOMKilled");
    container_status_done(&status);
}

static void namespaces_are_shared_as_asked(void **state) {
    Fixture *f = *state;
    int code;
    /* One process namespace for the pod: process 1 is the pause process, containers see each other. */
    _cleanup_free_ char *shared = sandbox_new_with(f, (SandboxSpec){.share_process_namespace = true}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "91"));
    _cleanup_free_ char *one = container_run(f, shared, &spec);
    spec = container_spec(f, ARGV("/bin/sh", "-c", "sleep 92 & sleep 93"));
    _cleanup_free_ char *two = container_run(f, shared, &spec);
    _cleanup_free_ char *list = exec_text(f, one, ARGV("/bin/ps"), &code);
    assert_non_null(strstr(list, "sleep 91"));
    assert_non_null(strstr(list, "sleep 93"));
    assert_non_null(strstr(list, "pause"));
    /* The end of a container is the end of all it started, though process 1 lives. */
    assert_int_equal(f->runtime->container_stop(f->runtime, two, 100 * NS_PER_MS, &error), 0);
    for (int i = 0;; i++) {
        _cleanup_free_ char *after = exec_text(f, one, ARGV("/bin/ps"), &code);
        if (!strstr(after, "sleep 92") && !strstr(after, "sleep 93"))
            break;
        assert_true(i < 100);
    }
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, shared, &error), 0);
    /* A container in the process namespace of another, which alone would be by itself. */
    _cleanup_free_ char *single = sandbox_new_with(f, (SandboxSpec){0});
    spec = container_spec(f, ARGV("/bin/sleep", "94"));
    _cleanup_free_ char *target = container_run(f, single, &spec);
    spec = container_spec(f, ARGV("/bin/sleep", "95"));
    _cleanup_free_ char *apart = container_run(f, single, &spec);
    spec.pid_target = target;
    _cleanup_free_ char *debugger = container_run(f, single, &spec);
    _cleanup_free_ char *seen = exec_text(f, debugger, ARGV("/bin/ps"), &code);
    assert_non_null(strstr(seen, "sleep 94"));
    assert_non_null(strstr(seen, "sleep 95"));
    _cleanup_free_ char *unseen = exec_text(f, apart, ARGV("/bin/ps"), &code);
    assert_null(strstr(unseen, "sleep 94"));
    assert_int_equal(f->runtime->container_stop(f->runtime, target, 0, &error), 0);
    spec.attempt = 1;
    char *none = NULL;
    assert_int_equal(f->runtime->container_create(f->runtime, single, &spec, &none, &error), -ESRCH);
    assert_non_null(strstr(error, "is not running"));
    free(error), error = NULL;
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, single, &error), 0);
    /* The machine's namespaces. */
    _cleanup_free_ char *host =
        sandbox_new_with(f, (SandboxSpec){.host_network = true, .host_pid = true, .host_ipc = true});
    SandboxStatus status;
    assert_int_equal(f->runtime->sandbox_status(f->runtime, host, &status), 0);
    assert_string_equal(status.ip, "");
    assert_null(status.netns_path);
    sandbox_status_done(&status);
    spec = container_spec(f, NULL);
    _cleanup_free_ char *log =
        run_script(f, host, &spec, "ls -l /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/pid", &code);
    static const char *const names[] = {"net", "ipc", "pid"};
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        char link[64] = "", path[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        assert_true(readlink(path, link, sizeof link - 1) > 0);
        assert_non_null(strstr(log, link));
    }
}

static void sysctls_stay_in_the_pod(void **state) {
    Fixture *f = *state;
    RuntimePair good[] = {{(char *)"net.ipv4.tcp_syn_retries", (char *)"3"},
                          {(char *)"kernel.shm_rmid_forced", (char *)"1"}};
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){.sysctls = good, .n_sysctls = 2}), *error = NULL;
    ContainerSpec spec = container_spec(f, NULL);
    int code;
    _cleanup_free_ char *log =
        run_script(f, sandbox, &spec, "cat /proc/sys/net/ipv4/tcp_syn_retries /proc/sys/kernel/shm_rmid_forced", &code);
    assert_non_null(strstr(log, "stdout F 3\n"));
    assert_non_null(strstr(log, "stdout F 1\n"));
    RuntimePair bad[] = {{(char *)"vm.swappiness", (char *)"1"}};
    char *id = NULL;
    SandboxSpec refused = {.name = "bad", .sysctls = bad, .n_sysctls = 1, .cgroup_parent = "/x"};
    assert_int_equal(f->runtime->sandbox_create(f->runtime, &refused, &id, &error), -EPERM);
    assert_non_null(strstr(error, "vm.swappiness"));
}

static void mounts_propagate_as_asked(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    char source[256], inner[300];
    snprintf(source, sizeof source, "%s/shared", f->dir);
    snprintf(inner, sizeof inner, "%s/inner", source);
    mkdir(source, 0755);
    mkdir(inner, 0755);
    assert_int_equal(mount(source, source, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, source, NULL, MS_SHARED, NULL), 0);
    MountSpec mounts[] = {{.container_path = "/m", .host_path = source, .propagation = "HostToContainer"}};
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    spec.mounts = mounts;
    spec.n_mounts = 1;
    _cleanup_free_ char *slave = container_run(f, sandbox, &spec);
    mounts[0].propagation = NULL;
    _cleanup_free_ char *private_ = container_run(f, sandbox, &spec);
    assert_int_equal(mount("t", inner, "tmpfs", 0, NULL), 0);
    int code;
    _cleanup_free_ char *seen =
        exec_text(f, slave, ARGV("/bin/grep", "-c", " /m/inner ", "/proc/self/mountinfo"), &code);
    assert_string_equal(seen, "1\n");
    _cleanup_free_ char *unseen =
        exec_text(f, private_, ARGV("/bin/grep", "-c", " /m/inner ", "/proc/self/mountinfo"), &code);
    assert_string_equal(unseen, "0\n");
    assert_int_equal(umount2(inner, MNT_DETACH), 0);
    /* And out of the container to the machine. */
    mounts[0].propagation = "Bidirectional";
    spec.privileged = true;
    _cleanup_free_ char *both = container_run(f, sandbox, &spec);
    _cleanup_free_ char *mounted = exec_text(f, both, ARGV("/bin/mount", "-t", "tmpfs", "t", "/m/inner"), &code);
    assert_int_equal(code, 0);
    _cleanup_free_ char *table = NULL;
    assert_int_equal(fs_read_file("/proc/self/mountinfo", 1 << 20, &table, NULL), 0);
    assert_non_null(strstr(table, inner));
    assert_int_equal(umount2(inner, MNT_DETACH), 0);
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, sandbox, &error), 0);
    assert_int_equal(umount2(source, MNT_DETACH), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_and_groups),
        cmocka_unit_test(capabilities_and_privileges),
        cmocka_unit_test(seccomp_profiles),
        cmocka_unit_test(file_systems),
        cmocka_unit_test(devices),
        cmocka_unit_test(limits_are_set_changed_and_kept),
        cmocka_unit_test(out_of_memory_is_told),
        cmocka_unit_test(namespaces_are_shared_as_asked),
        cmocka_unit_test(sysctls_stay_in_the_pod),
        cmocka_unit_test(mounts_propagate_as_asked),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
