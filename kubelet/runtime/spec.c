/* config.json of the OCI runtime specification 1.0, with the contents containerd's CRI plugin gives it. */
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"
#include "kubelet/runtime/seccomp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OVERRIDE_DEVICES_MAX 512

static const char *const DEFAULT_CAPABILITIES[] = {"CAP_CHOWN",
                                                   "CAP_DAC_OVERRIDE",
                                                   "CAP_FSETID",
                                                   "CAP_FOWNER",
                                                   "CAP_MKNOD",
                                                   "CAP_NET_RAW",
                                                   "CAP_SETGID",
                                                   "CAP_SETUID",
                                                   "CAP_SETFCAP",
                                                   "CAP_SETPCAP",
                                                   "CAP_NET_BIND_SERVICE",
                                                   "CAP_SYS_CHROOT",
                                                   "CAP_KILL",
                                                   "CAP_AUDIT_WRITE",
                                                   NULL};

static const char *const MASKED[] = {"/proc/asound",
                                     "/proc/acpi",
                                     "/proc/interrupts",
                                     "/proc/kcore",
                                     "/proc/keys",
                                     "/proc/latency_stats",
                                     "/proc/timer_list",
                                     "/proc/timer_stats",
                                     "/proc/sched_debug",
                                     "/proc/scsi",
                                     "/sys/firmware",
                                     "/sys/devices/virtual/powercap",
                                     NULL};
static const char *const READ_ONLY[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};

typedef struct CapabilitySet {
    bool has[64];
    char *names[65]; /* NULL-terminated */
} CapabilitySet;

static void capability_set_done(CapabilitySet *set) {
    for (size_t i = 0; set->names[i]; i++)
        free(set->names[i]);
}

/* "NET_ADMIN" or "CAP_NET_ADMIN"; "ALL" is the caller's. */
static int capability_number(const char *name) {
    _cleanup_free_ char *full =
        str_has_prefix(name, "CAP_") || str_has_prefix(name, "cap_") ? xstrdup(name) : xasprintf("cap_%s", name);
    cap_value_t value;
    return cap_from_name(full, &value) == 0 && value < 64 ? (int)value : -1;
}

static bool capability_known(int number) {
    return prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0;
}

static void capabilities_all(CapabilitySet *set, bool value) {
    for (int i = 0; i < 64; i++)
        set->has[i] = value && capability_known(i);
}

static bool has_all(const char *const *list) {
    for (; list && *list; list++)
        if (strcasecmp(*list, "ALL") == 0)
            return true;
    return false;
}

static int capabilities_change(CapabilitySet *set, const char *const *list, bool value, char **ret_error) {
    for (; list && *list; list++) {
        if (strcasecmp(*list, "ALL") == 0)
            continue;
        int number = capability_number(*list);
        if (number < 0)
            return oci_fail(ret_error, -EINVAL,
                            xasprintf("unknown capability to %s: \"%s\"", value ? "add" : "drop", *list));
        set->has[number] = value;
    }
    return 0;
}

/* What this machine does not grant (CAP_SYS_RESOURCE in a nested machine, say) cannot be handed on: left out when it
 * came with "ALL" or privileged, as containerd does. */
static int capabilities_build(const ContainerSpec *spec, CapabilitySet *set, char **ret_error) {
    int r = 0;
    if (spec->privileged)
        capabilities_all(set, true);
    else {
        r = capabilities_change(set, DEFAULT_CAPABILITIES, true, ret_error);
        if (has_all(spec->capabilities_add))
            capabilities_all(set, true);
        if (has_all(spec->capabilities_drop))
            capabilities_all(set, false);
        if (r == 0)
            r = capabilities_change(set, spec->capabilities_add, true, ret_error);
        if (r == 0)
            r = capabilities_change(set, spec->capabilities_drop, false, ret_error);
    }
    cap_t own = cap_get_proc();
    size_t n = 0;
    for (int i = 0; r == 0 && i < 64; i++) {
        cap_flag_value_t held = CAP_SET;
        if (!set->has[i] || !capability_known(i) ||
            (own && cap_get_flag(own, i, CAP_PERMITTED, &held) == 0 && held != CAP_SET))
            continue;
        char *name = cap_to_name(i);
        if (!name)
            continue;
        for (char *p = name; *p; p++)
            *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        set->names[n++] = xstrdup(name);
        cap_free(name);
    }
    if (own)
        cap_free(own);
    return r;
}

static json_t *strings_json(const char *const *list) {
    json_t *out = json_array();
    for (; list && *list; list++)
        json_array_append_new(out, json_string(*list));
    return out;
}

/* Later values of a name replace earlier ones in place. False for what is not UTF-8, which no OCI runtime could be
 * told. */
static bool env_set(json_t *env, const char *assignment) {
    size_t n = strcspn(assignment, "=") + 1;
    for (size_t i = 0; i < json_array_size(env); i++)
        if (strncmp(json_string_value(json_array_get(env, i)), assignment, n) == 0)
            return json_array_set_new(env, i, json_string(assignment)) == 0;
    return json_array_append_new(env, json_string(assignment)) == 0;
}

static json_t *build_env(const SpecInput *in, char **ret_error) {
    json_t *env = json_array();
    env_set(env, DEFAULT_PATH);
    _cleanup_free_ char *host = xasprintf("HOSTNAME=%s", str_or(in->sandbox->hostname, ""));
    env_set(env, host);
    if (in->spec->tty)
        env_set(env, "TERM=xterm");
    for (char **e = in->image->config.env; e && *e; e++)
        if (strchr(*e, '='))
            env_set(env, *e);
    for (size_t i = 0; i < in->spec->n_env; i++) {
        _cleanup_free_ char *one =
            xasprintf("%s=%s", in->spec->env[i].key, in->spec->env[i].value ? in->spec->env[i].value : "");
        if (!env_set(env, one)) {
            oci_fail(ret_error, -EINVAL,
                     xasprintf("the value of the environment variable %s is not valid UTF-8", in->spec->env[i].key));
            json_decref(env);
            return NULL;
        }
    }
    return env;
}

static json_t *build_args(const SpecInput *in, char **ret_error) {
    const ContainerSpec *s = in->spec;
    const ImageConfig *image = &in->image->config;
    json_t *args = strings_json(s->command ? s->command : (const char *const *)image->entrypoint);
    /* A command of one's own drops the image's arguments too. */
    json_t *rest = strings_json(s->args ? s->args : s->command ? NULL : (const char *const *)image->cmd);
    json_array_extend(args, rest);
    json_decref(rest);
    if (json_array_size(args) == 0) {
        json_decref(args);
        oci_fail(ret_error, -EINVAL, xstrdup("no command specified"));
        return NULL;
    }
    return args;
}

/* A score below our own needs CAP_SYS_RESOURCE: without it the container keeps ours. */
static int oom_score(int wanted) {
    _cleanup_free_ char *text = NULL;
    int64_t own = 0;
    if (fs_read_file("/proc/self/oom_score_adj", 64, &text, NULL) == 0) {
        text[strcspn(text, "\n")] = 0;
        (void)str_to_int64(text, &own);
    }
    if (wanted >= own)
        return wanted;
    cap_t caps = cap_get_proc();
    cap_flag_value_t granted = CAP_CLEAR;
    if (caps) {
        cap_get_flag(caps, CAP_SYS_RESOURCE, CAP_EFFECTIVE, &granted);
        cap_free(caps);
    }
    return granted == CAP_SET ? wanted : (int)own;
}

static json_t *build_process(const SpecInput *in, const CapabilitySet *capabilities, char **ret_error) {
    const ContainerSpec *s = in->spec;
    json_t *args = build_args(in, ret_error);
    if (!args)
        return NULL;
    json_t *env = build_env(in, ret_error);
    if (!env) {
        json_decref(args);
        return NULL;
    }
    json_t *groups = json_array();
    for (size_t i = 0; i < in->user->n_groups; i++)
        json_array_append_new(groups, json_integer(in->user->groups[i]));
    json_t *names = strings_json((const char *const *)capabilities->names);
    json_t *caps = json_object();
    /* Without root there is nothing to inherit: effective and permitted are what execve leaves. */
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    for (size_t i = 0; i < ELEMENTSOF(sets); i++)
        json_object_set(caps, sets[i], names);
    json_decref(names);
    const char *cwd = str_or(s->working_dir, str_or(in->image->config.working_dir, "/"));
    json_t *user = json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)in->user->uid, "gid", (json_int_t)in->user->gid,
                             "additionalGids", groups);
    json_t *process = json_pack("{s:b, s:o, s:o, s:o, s:s, s:o, s:b, s:i}", "terminal", s->tty, "user", user, "args",
                                args, "env", env, "cwd", cwd, "capabilities", caps, "noNewPrivileges",
                                s->no_new_privileges, "oomScoreAdj", oom_score(s->oom_score_adj));
    return process;
}

static void add_mount(json_t *mounts, const char *destination, const char *type, const char *source,
                      const char *const *options) {
    json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:o}", "destination", destination, "type", type, "source",
                                            source, "options", strings_json(options)));
}
#define MOUNT(list, destination, type, source, ...)                                                                    \
    add_mount(list, destination, type, source, (const char *const[]){__VA_ARGS__, NULL})

static bool is_mounted(const ContainerSpec *spec, const char *path) {
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (streq(spec->mounts[i].container_path, path))
            return true;
    return false;
}

static void add_sandbox_file(const SpecInput *in, json_t *mounts, const char *path, const char *name) {
    if (is_mounted(in->spec, path))
        return;
    _cleanup_free_ char *source = sandbox_file(in->sandbox, name);
    if (fs_exists(source))
        MOUNT(mounts, path, "bind", source, "rbind", "rprivate", in->spec->read_only_rootfs ? "ro" : "rw");
}

static int path_order(const void *a, const void *b) {
    const MountSpec *const *x = a, *const *y = b;
    size_t n = 0, m = 0;
    for (const char *p = (*x)->container_path; *p; p++)
        n += *p == '/';
    for (const char *p = (*y)->container_path; *p; p++)
        m += *p == '/';
    return n != m ? (n < m ? -1 : 1) : x < y ? -1 : x > y;
}

static json_t *build_mounts(const SpecInput *in) {
    const ContainerSpec *s = in->spec;
    bool privileged = s->privileged;
    json_t *mounts = json_array();
    MOUNT(mounts, "/proc", "proc", "proc", "nosuid", "noexec", "nodev");
    MOUNT(mounts, "/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k");
    MOUNT(mounts, "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
          "gid=5");
    MOUNT(mounts, "/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev");
    MOUNT(mounts, "/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", privileged ? "rw" : "ro");
    MOUNT(mounts, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime",
          privileged ? "rw" : "ro");
    if (!is_mounted(s, "/dev/shm")) {
        _cleanup_free_ char *shm = in->sandbox->host_ipc ? xstrdup("/dev/shm") : sandbox_file(in->sandbox, "shm");
        MOUNT(mounts, "/dev/shm", "bind", shm, "rbind", "rprivate", "rw");
    }
    add_sandbox_file(in, mounts, "/etc/hostname", "hostname");
    add_sandbox_file(in, mounts, "/etc/resolv.conf", "resolv.conf");
    const MountSpec **sorted = NEWN0(const MountSpec *, s->n_mounts + 1);
    for (size_t i = 0; i < s->n_mounts; i++)
        sorted[i] = &s->mounts[i];
    qsort(sorted, s->n_mounts, sizeof *sorted, path_order);
    for (size_t i = 0; i < s->n_mounts; i++) {
        const MountSpec *m = sorted[i];
        const char *propagation = "rprivate";
        if (streq(str_or(m->propagation, "None"), "HostToContainer"))
            propagation = "rslave";
        else if (streq(str_or(m->propagation, "None"), "Bidirectional"))
            propagation = "rshared";
        MOUNT(mounts, m->container_path, "bind", m->host_path, "rbind", propagation,
              m->recursive_read_only ? "rro"
              : m->read_only         ? "ro"
                                     : "rw");
    }
    free(sorted);
    return mounts;
}

static void add_namespace(json_t *list, const char *type, const char *path) {
    json_t *ns = json_pack("{s:s}", "type", type);
    if (path)
        json_object_set_new(ns, "path", json_string(path));
    json_array_append_new(list, ns);
}

static json_t *build_namespaces(const SpecInput *in) {
    const Sandbox *sandbox = in->sandbox;
    json_t *list = json_array();
    _cleanup_free_ char *net = sandbox_file(sandbox, "ns/net"), *ipc = sandbox_file(sandbox, "ns/ipc");
    _cleanup_free_ char *uts = sandbox_file(sandbox, "ns/uts"), *pid = sandbox_file(sandbox, "ns/pid");
    char target[64];
    snprintf(target, sizeof target, "/proc/%d/ns/pid", (int)in->pid_target);
    add_namespace(list, "mount", NULL);
    if (in->pid_target)
        add_namespace(list, "pid", target);
    else if (!sandbox->host_pid)
        add_namespace(list, "pid", sandbox->share_process_namespace ? pid : NULL);
    if (!sandbox->host_ipc)
        add_namespace(list, "ipc", ipc);
    if (!sandbox->host_network) {
        add_namespace(list, "network", net);
        add_namespace(list, "uts", uts);
    }
    if (in->rt->cgroups.v2 && !in->spec->privileged)
        add_namespace(list, "cgroup", NULL);
    return list;
}

static int add_device(json_t *devices, json_t *rules, const char *host, const char *path, const char *access_,
                      char **ret_error) {
    struct stat st;
    if (stat(host, &st) < 0)
        return oci_fail(ret_error, -errno, xasprintf("device %s: %s", host, strerror(errno)));
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return oci_fail(ret_error, -EINVAL, xasprintf("device %s: not a device node", host));
    const char *type = S_ISCHR(st.st_mode) ? "c" : "b";
    json_array_append_new(devices, json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:I}", "path", path, "type", type, "major",
                                             (int)major(st.st_rdev), "minor", (int)minor(st.st_rdev), "fileMode",
                                             (int)(st.st_mode & 0777), "uid", (json_int_t)st.st_uid, "gid",
                                             (json_int_t)st.st_gid));
    if (rules)
        json_array_append_new(rules,
                              json_pack("{s:b, s:s, s:i, s:i, s:s}", "allow", 1, "type", type, "major",
                                        (int)major(st.st_rdev), "minor", (int)minor(st.st_rdev), "access", access_));
    return 0;
}

/* Privileged: every device of the machine, but terminals and what containers share among themselves. */
static void add_host_devices(json_t *devices, const char *folder, int depth) {
    DIR *dir = depth < 8 ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        static const char *const skip[] = {"pts",         "shm",   "fd",      "mqueue", ".lxc",
                                           ".lxd-mounts", ".udev", "console", "ptmx",   NULL};
        if (e->d_name[0] == '.' || str_in(e->d_name, skip) || json_array_size(devices) >= OVERRIDE_DEVICES_MAX)
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR)
            add_host_devices(devices, path, depth + 1);
        else if (e->d_type == DT_CHR || e->d_type == DT_BLK)
            (void)add_device(devices, NULL, path, path, "rwm", NULL);
    }
    if (dir)
        closedir(dir);
}

static int build_devices(const SpecInput *in, json_t *devices, json_t *rules, char **ret_error) {
    json_array_append_new(rules, json_pack("{s:b, s:s}", "allow", in->spec->privileged, "access", "rwm"));
    if (in->spec->privileged)
        add_host_devices(devices, "/dev", 0);
    for (size_t i = 0; i < in->spec->n_devices; i++) {
        const DeviceSpec *d = &in->spec->devices[i];
        int r = add_device(devices, rules, d->host_path, str_or(d->container_path, d->host_path),
                           str_or(d->permissions, "rwm"), ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

static json_t *build_resources(const SpecInput *in, json_t *rules) {
    const ContainerSpec *s = in->spec;
    json_t *cpu = json_object(), *resources = json_pack("{s:o}", "devices", rules);
    if (s->cpu_shares)
        json_object_set_new(cpu, "shares", json_integer(s->cpu_shares));
    if (s->cpu_quota)
        json_object_set_new(cpu, "quota", json_integer(s->cpu_quota));
    if (s->cpu_period)
        json_object_set_new(cpu, "period", json_integer(s->cpu_period));
    if (json_object_size(cpu))
        json_object_set(resources, "cpu", cpu);
    json_decref(cpu);
    if (s->memory_limit)
        json_object_set_new(resources, "memory", json_pack("{s:I}", "limit", (json_int_t)s->memory_limit));
    if (s->pids_limit)
        json_object_set_new(resources, "pids", json_pack("{s:I}", "limit", (json_int_t)s->pids_limit));
    if (in->rt->cgroups.v2) /* the whole container dies, as the kubelet asks for unless singleProcessOOMKill */
        json_object_set_new(resources, "unified", json_pack("{s:s}", "memory.oom.group", "1"));
    return resources;
}

static int add_seccomp(const SpecInput *in, json_t *linux_, const CapabilitySet *capabilities, char **ret_error) {
    const char *profile = in->spec->seccomp_profile;
    if (in->spec->privileged || !profile || streq(profile, "Unconfined"))
        return 0;
    json_t *seccomp = NULL;
    if (streq(profile, "RuntimeDefault"))
        seccomp = seccomp_default_profile((const char *const *)capabilities->names);
    else {
        int r = seccomp_load_profile(profile, &seccomp, ret_error);
        if (r < 0)
            return r;
    }
    json_object_set_new(linux_, "seccomp", seccomp);
    return 0;
}

static int build_linux(const SpecInput *in, const CapabilitySet *capabilities, json_t **ret, char **ret_error) {
    _cleanup_json_ json_t *devices = json_array(), *rules = json_array();
    int r = build_devices(in, devices, rules, ret_error);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *linux_ =
        json_pack("{s:s, s:o, s:O, s:o}", "cgroupsPath", in->cgroup, "namespaces", build_namespaces(in), "devices",
                  devices, "resources", build_resources(in, json_incref(rules)));
    bool shared = false, slave = false;
    for (size_t i = 0; i < in->spec->n_mounts; i++) {
        shared = shared || streq(str_or(in->spec->mounts[i].propagation, ""), "Bidirectional");
        slave = slave || streq(str_or(in->spec->mounts[i].propagation, ""), "HostToContainer");
    }
    if (shared || slave)
        json_object_set_new(linux_, "rootfsPropagation", json_string(shared ? "rshared" : "rslave"));
    if (!in->spec->privileged) {
        json_object_set_new(linux_, "maskedPaths",
                            strings_json(in->spec->masked_paths ? in->spec->masked_paths : MASKED));
        json_object_set_new(linux_, "readonlyPaths",
                            strings_json(in->spec->readonly_paths ? in->spec->readonly_paths : READ_ONLY));
    }
    r = add_seccomp(in, linux_, capabilities, ret_error);
    if (r == 0)
        *ret = TAKE_PTR(linux_);
    return r;
}

int spec_build(const SpecInput *in, json_t **ret, char **ret_error) {
    _cleanup_(capability_set_done) CapabilitySet capabilities = {0};
    int r = capabilities_build(in->spec, &capabilities, ret_error);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *process = build_process(in, &capabilities, ret_error), *linux_ = NULL;
    if (!process)
        return -EINVAL;
    r = build_linux(in, &capabilities, &linux_, ret_error);
    if (r < 0)
        return r;
    json_t *annotations = pairs_json(in->spec->annotations, in->spec->n_annotations);
    *ret = json_pack("{s:s, s:O, s:{s:s, s:b}, s:o, s:O, s:o}", "ociVersion", "1.0.2", "process", process, "root",
                     "path", "rootfs", "readonly", in->spec->read_only_rootfs, "mounts", build_mounts(in), "linux",
                     linux_, "annotations", annotations);
    return 0;
}

json_t *spec_exec_process(const json_t *base, const char *const *command, bool tty) {
    json_t *process = json_deep_copy(base);
    json_object_set_new(process, "args", strings_json(command));
    json_object_set_new(process, "terminal", json_boolean(tty));
    if (tty)
        env_set(json_object_get(process, "env"), "TERM=xterm");
    return process;
}
