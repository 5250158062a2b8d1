#include "kubelet/runtime/cgroup.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CONTROL_FILE_MAX (1024 * 1024)
#define DEPTH_MAX 16
#define REMOVE_WAIT_NS NS_PER_SEC

static const char *const V1[] = {"memory",     "cpu",   "cpuacct", "pids",    "cpuset",  "devices",
                                 "freezer",    "blkio", "systemd", "hugetlb", "net_cls", "net_prio",
                                 "perf_event", "rdma",  "misc",    "unified", NULL}; /* the last: the v2 tree of a
                                                                                        hybrid machine, where runc makes
                                                                                        groups too */

int cgroups_detect(const char *mount, Cgroups *ret) {
    _cleanup_free_ char *controllers = xasprintf("%s/cgroup.controllers", mount);
    _cleanup_free_ char *unified = xasprintf("%s/unified/cgroup.procs", mount);
    _cleanup_free_ char *memory = xasprintf("%s/memory", mount);
    Cgroups c = {.v2 = fs_exists(controllers)};
    c.hybrid = !c.v2 && fs_exists(unified);
    if (!c.v2 && !fs_exists(memory))
        return -ENOENT;
    c.mount = xstrdup(mount);
    *ret = c;
    return 0;
}

void cgroups_done(Cgroups *cgroups) {
    free(cgroups->mount);
    *cgroups = (Cgroups){0};
}

char *cgroup_file(const Cgroups *c, const char *controller, const char *path, const char *file) {
    return c->v2 ? xasprintf("%s%s/%s", c->mount, path, file)
                 : xasprintf("%s/%s%s/%s", c->mount, controller, path, file);
}

char *cgroup_oom_file(const Cgroups *c, const char *path) {
    return cgroup_file(c, "memory", path, c->v2 ? "memory.events" : "memory.oom_control");
}

/* Calls fn for the group's folder in every hierarchy where it is. */
static int each_hierarchy(const Cgroups *c, const char *path, int (*fn)(const char *folder, void *userdata),
                          void *userdata) {
    static const char *const v2[] = {"", NULL};
    int result = 0;
    for (const char *const *controller = c->v2 ? v2 : V1; *controller; controller++) {
        _cleanup_free_ char *top = c->v2 ? xstrdup(c->mount) : xasprintf("%s/%s", c->mount, *controller);
        if (!fs_exists(top))
            continue;
        _cleanup_free_ char *folder = xasprintf("%s%s", top, path);
        int r = fn(folder, userdata);
        if (r < 0 && result == 0)
            result = r;
    }
    return result;
}

static int enter_one(const char *folder, void *userdata) {
    char text[24];
    snprintf(text, sizeof text, "%d", *(pid_t *)userdata);
    int r = fs_mkdir_p(folder, 0755);
    _cleanup_free_ char *procs = xasprintf("%s/cgroup.procs", folder);
    r = r == 0 ? fs_write_control(procs, text) : r;
    /* A cpuset without CPUs takes nobody; the process then stays where it was in that hierarchy. */
    return r == -ENOSPC ? 0 : r;
}

int cgroup_enter(const Cgroups *c, const char *path, pid_t pid) {
    return each_hierarchy(c, path, enter_one, &pid);
}

/* Groups below first, then the group itself. */
static int walk(const char *folder, int depth, int (*fn)(const char *folder)) {
    DIR *dir = depth <= DEPTH_MAX ? opendir(folder) : NULL;
    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    int r = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        _cleanup_free_ char *below = xasprintf("%s/%s", folder, e->d_name);
        int one = walk(below, depth + 1, fn);
        r = r ? r : one;
    }
    closedir(dir);
    int own = fn(folder);
    return r ? r : own;
}

static int kill_listed(const char *folder) {
    _cleanup_free_ char *procs = xasprintf("%s/cgroup.procs", folder);
    _cleanup_free_ char *text = NULL;
    int r = fs_read_file(procs, CONTROL_FILE_MAX, &text, NULL);
    if (r < 0)
        return r == -ENOENT || r == -ENODEV ? 0 : r;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int64_t pid;
        if (str_to_int64(line, &pid) == 0 && pid > 1)
            kill((pid_t)pid, SIGKILL);
    }
    return 0;
}

int cgroup_kill(const Cgroups *c, const char *path) {
    if (c->v2) {
        _cleanup_free_ char *file = cgroup_file(c, "", path, "cgroup.kill");
        int r = fs_write_control(file, "1");
        if (r == 0)
            return 0;
    }
    _cleanup_free_ char *folder = c->v2 ? xasprintf("%s%s", c->mount, path) : xasprintf("%s/memory%s", c->mount, path);
    return walk(folder, 0, kill_listed);
}

static int remove_folder(const char *folder) {
    return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_one(const char *folder, void *userdata) {
    uint64_t deadline = *(uint64_t *)userdata;
    for (useconds_t pause = 500;; pause = MIN(pause * 2, (useconds_t)50000)) {
        int r = walk(folder, 0, remove_folder);
        if (r != -EBUSY || now_monotonic_ns() > deadline)
            return r;
        usleep(pause); /* killed processes leave their group when they are reaped */
    }
}

int cgroup_remove(const Cgroups *c, const char *path) {
    if (str_empty(path) || streq(path, "/"))
        return -EINVAL;
    uint64_t deadline = now_monotonic_ns() + REMOVE_WAIT_NS;
    return each_hierarchy(c, path, remove_one, &deadline);
}

static int read_number(const Cgroups *c, const char *controller, const char *path, const char *file, uint64_t *ret) {
    _cleanup_free_ char *name = cgroup_file(c, controller, path, file), *text = NULL;
    int r = fs_read_file(name, 4096, &text, NULL);
    if (r < 0)
        return r;
    text[strcspn(text, "\n")] = 0;
    return str_to_uint64(text, ret);
}

int cgroup_stats(const Cgroups *c, const char *path, ContainerStats *ret) {
    ContainerStats s = {0};
    _cleanup_free_ char *memory = NULL, *name = cgroup_file(c, "memory", path, "memory.stat");
    int r = fs_read_file(name, CONTROL_FILE_MAX, &memory, NULL);
    if (r < 0)
        return r;
    r = read_number(c, "memory", path, c->v2 ? "memory.current" : "memory.usage_in_bytes", &s.memory_usage);
    if (r < 0)
        return r;
    uint64_t inactive = str_keyed_number(memory, c->v2 ? "inactive_file" : "total_inactive_file");
    s.memory_working_set = s.memory_usage > inactive ? s.memory_usage - inactive : 0;
    s.memory_rss = str_keyed_number(memory, c->v2 ? "anon" : "total_rss");
    if (c->v2) {
        _cleanup_free_ char *cpu = NULL, *cpu_name = cgroup_file(c, "", path, "cpu.stat");
        if (fs_read_file(cpu_name, CONTROL_FILE_MAX, &cpu, NULL) == 0)
            s.cpu_usage_ns = str_keyed_number(cpu, "usage_usec") * 1000;
    } else
        (void)read_number(c, "cpuacct", path, "cpuacct.usage", &s.cpu_usage_ns);
    (void)read_number(c, "pids", path, "pids.current", &s.pids);
    *ret = s;
    return 0;
}

uint64_t cgroup_weight_from_shares(int64_t shares) {
    if (shares <= 2)
        return 1;
    return shares >= 262144 ? 10000 : 1 + ((uint64_t)shares - 2) * 9999 / 262142;
}

static int set(const Cgroups *c, const char *controller, const char *path, const char *file, const char *value,
               char **ret_error) {
    _cleanup_free_ char *name = cgroup_file(c, controller, path, file);
    int r = fs_write_control(name, value);
    if (r < 0 && ret_error)
        *ret_error = xasprintf("writing \"%s\" to %s: %s", value, name, strerror(-r));
    return r;
}

static int update_cpu(const Cgroups *c, const char *path, const ContainerSpec *s, char **ret_error) {
    char value[64];
    int r = 0;
    if (s->cpu_shares) {
        snprintf(value, sizeof value, "%lld",
                 c->v2 ? (long long)cgroup_weight_from_shares(s->cpu_shares) : (long long)s->cpu_shares);
        r = set(c, "cpu", path, c->v2 ? "cpu.weight" : "cpu.shares", value, ret_error);
    }
    long long period = s->cpu_period ? (long long)s->cpu_period : 100000;
    if (r < 0 || (!s->cpu_quota && !s->cpu_period))
        return r;
    if (c->v2) {
        if (s->cpu_quota > 0)
            snprintf(value, sizeof value, "%lld %lld", (long long)s->cpu_quota, period);
        else
            snprintf(value, sizeof value, "max %lld", period);
        return set(c, "", path, "cpu.max", value, ret_error);
    }
    snprintf(value, sizeof value, "%lld", period);
    r = s->cpu_period ? set(c, "cpu", path, "cpu.cfs_period_us", value, ret_error) : 0;
    snprintf(value, sizeof value, "%lld", (long long)s->cpu_quota);
    return r == 0 && s->cpu_quota ? set(c, "cpu", path, "cpu.cfs_quota_us", value, ret_error) : r;
}

int cgroup_update(const Cgroups *c, const char *path, const ContainerSpec *s, char **ret_error) {
    char value[64];
    int r = update_cpu(c, path, s, ret_error);
    if (r == 0 && s->memory_limit) {
        snprintf(value, sizeof value, "%lld", (long long)s->memory_limit);
        r = s->memory_limit < 0 && c->v2
                ? set(c, "", path, "memory.max", "max", ret_error)
                : set(c, "memory", path, c->v2 ? "memory.max" : "memory.limit_in_bytes", value, ret_error);
    }
    if (r == 0 && s->pids_limit) {
        snprintf(value, sizeof value, "%lld", (long long)s->pids_limit);
        r = set(c, "pids", path, "pids.max", s->pids_limit > 0 ? value : "max", ret_error);
    }
    return r;
}
