#include "kubelet/cgroups.h"

#include "base/fs.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* v1 controllers in which the pod level is made and limited; containers' own cgroups are the runtime's. */
static const char *const v1_controllers[] = {"cpu", "memory", "pids", NULL};
static const char *const class_folders[] = {"/kubepods", "/kubepods/burstable", "/kubepods/besteffort"};
#define CGROUP_HIERARCHIES_MAX 24
#define CGROUP_STAT_MAX (64 * 1024)
#define CGROUP_PROCS_MAX (4 * 1024 * 1024)

struct Cgroups {
    bool v2;
    char *mount_root, *root;
    char *hierarchies[CGROUP_HIERARCHIES_MAX]; /* every v1 hierarchy folder (for removal), or the one of v2 */
    size_t n;
};

void cgroups_free(Cgroups *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free(c->hierarchies[i]);
    free(c->mount_root);
    free(c->root);
    free(c);
}

bool cgroups_is_v2(const Cgroups *c) {
    return c->v2;
}

int cgroups_open(const char *mount_root, const char *root, Cgroups **ret, char **ret_error) {
    _cleanup_(cgroups_freep) Cgroups *c = NEW0(Cgroups);
    c->mount_root = xstrdup(mount_root);
    c->root = xstrdup(str_empty(root) || streq(root, "/") ? "" : root);
    _cleanup_free_ char *controllers = xasprintf("%s/cgroup.controllers", mount_root);
    c->v2 = fs_exists(controllers);
    if (c->v2)
        c->hierarchies[c->n++] = xstrdup(mount_root);
    else {
        DIR *d = opendir(mount_root);
        if (!d) {
            *ret_error = xasprintf("%s: %s", mount_root, strerror(errno));
            return -errno;
        }
        for (struct dirent *e; c->n < CGROUP_HIERARCHIES_MAX && (e = readdir(d));) {
            struct stat st;
            /* cpu -> cpu,cpuacct are links to one hierarchy; "unified", v2's mount on hybrid machines, is cleared too
             */
            if (e->d_name[0] == '.')
                continue;
            _cleanup_free_ char *path = xasprintf("%s/%s", mount_root, e->d_name);
            if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
                c->hierarchies[c->n++] = TAKE_PTR(path);
        }
        closedir(d);
        if (c->n == 0) {
            *ret_error = xasprintf("no cgroup hierarchy is mounted at %s", mount_root);
            return -ENOENT;
        }
    }
    *ret = TAKE_PTR(c);
    return 0;
}

static int fail(int r, const char *path, char **ret_error) {
    *ret_error = xasprintf("cgroup %s: %s", path, strerror(-r));
    return r;
}

/* v2: a controller works in a child only when every parent hands it on. */
static void v2_enable(const char *path) {
    _cleanup_free_ char *file = xasprintf("%s/cgroup.subtree_control", path);
    static const char *const names[] = {"+cpu", "+memory", "+pids", "+cpuset", "+io", "+hugetlb"};
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        fs_write_control(file, names[i]); /* one that the kernel or a parent does not have is no error */
}

static int make_v2(Cgroups *c, const char *below, char **ret_error) {
    _cleanup_free_ char *path = xasprintf("%s%s%s", c->mount_root, c->root, below);
    v2_enable(c->mount_root);
    for (char *p = path + strlen(c->mount_root) + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char kept = *p;
        *p = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return fail(-errno, path, ret_error);
        v2_enable(path);
        *p = kept;
        if (!kept)
            return 0;
    }
}

static int make_path(Cgroups *c, const char *below, char **ret_error) {
    if (c->v2)
        return make_v2(c, below, ret_error);
    for (const char *const *k = v1_controllers; *k; k++) {
        _cleanup_free_ char *base = xasprintf("%s/%s", c->mount_root, *k);
        if (!fs_exists(base))
            continue;
        _cleanup_free_ char *path = xasprintf("%s%s%s", base, c->root, below);
        int r = fs_mkdir_p(path, 0755);
        if (r < 0)
            return fail(r, path, ret_error);
    }
    return 0;
}

char *cgroups_pod_path(QosClass class, const char *uid) {
    return xasprintf("%s/pod%s", class_folders[class], uid);
}

static int write_value(const char *folder, const char *file, const char *text, bool must, char **ret_error) {
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, file);
    int r = fs_write_control(path, text);
    if (r < 0 && must)
        return fail(r, path, ret_error);
    return 0;
}

static int write_int(const char *folder, const char *file, int64_t v, bool must, char **ret_error) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    return write_value(folder, file, text, must, ret_error);
}

static int64_t read_int(const char *folder, const char *file) {
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, file), *text = NULL;
    int64_t n;
    if (fs_read_file(path, 64, &text, NULL) < 0)
        return 0;
    text[strcspn(text, " \n")] = 0;
    return str_to_int64(text, &n) == 0 && n > 0 ? n : 0; /* "max" and -1 are no limits */
}

/* The share of the CPU that a class has beside the others. */
static int class_share(Cgroups *c, QosClass class, int64_t shares, char **ret_error) {
    if (c->v2) {
        _cleanup_free_ char *folder = xasprintf("%s%s%s", c->mount_root, c->root, class_folders[class]);
        return write_int(folder, "cpu.weight", cpu_weight_from_shares(shares), false, ret_error);
    }
    _cleanup_free_ char *folder = xasprintf("%s/cpu%s%s", c->mount_root, c->root, class_folders[class]);
    return write_int(folder, "cpu.shares", shares, false, ret_error);
}

int cgroups_burstable_share(Cgroups *c, int64_t request_milli, char **ret_error) {
    return class_share(c, QOS_BURSTABLE, cpu_shares_from_milli(request_milli), ret_error);
}

/* The folder of kubepods in the hierarchy of a v1 controller, or in the one tree. */
static char *all_pods(const Cgroups *c, const char *v1_controller) {
    return xasprintf("%s%s%s%s%s", c->mount_root, c->v2 ? "" : "/", c->v2 ? "" : v1_controller, c->root,
                     class_folders[0]);
}

int cgroups_limit(Cgroups *c, const NodeAmounts *for_pods, char **ret_error) {
    _cleanup_free_ char *cpu = all_pods(c, "cpu"), *memory = all_pods(c, "memory"), *pids = all_pods(c, "pids");
    int64_t shares = cpu_shares_from_milli(for_pods->cpu_milli);
    int r = c->v2 ? write_int(cpu, "cpu.weight", cpu_weight_from_shares(shares), false, ret_error)
                  : write_int(cpu, "cpu.shares", shares, false, ret_error);
    if (r == 0 && for_pods->memory > 0)
        r = write_int(memory, c->v2 ? "memory.max" : "memory.limit_in_bytes", for_pods->memory, true, ret_error);
    if (r == 0 && for_pods->pids > 0)
        r = write_int(pids, "pids.max", for_pods->pids, false, ret_error);
    return r;
}

int cgroups_working_set(Cgroups *c, uint64_t *ret) {
    _cleanup_free_ char *folder = all_pods(c, "memory"), *path = xasprintf("%s/memory.stat", folder), *stat = NULL;
    int64_t used = read_int(folder, c->v2 ? "memory.current" : "memory.usage_in_bytes");
    int r = fs_read_file(path, CGROUP_STAT_MAX, &stat, NULL);
    if (r < 0)
        return r;
    uint64_t inactive = str_keyed_number(stat, c->v2 ? "inactive_file" : "total_inactive_file");
    *ret = (uint64_t)used > inactive ? (uint64_t)used - inactive : 0;
    return 0;
}

int cgroups_setup(Cgroups *c, char **ret_error) {
    for (size_t i = 0; i < ELEMENTSOF(class_folders); i++) {
        int r = make_path(c, class_folders[i], ret_error);
        if (r < 0)
            return r;
    }
    int r = class_share(c, QOS_BEST_EFFORT, CPU_MIN_SHARES, ret_error);
    return r < 0 ? r : class_share(c, QOS_BURSTABLE, CPU_MIN_SHARES, ret_error);
}

static int apply_v2(const char *folder, const PodResources *r, char **ret_error) {
    char max[64];
    int64_t quota = cpu_quota_from_milli(r->cpu_limit_milli);
    if (quota)
        snprintf(max, sizeof max, "%lld %d", (long long)quota, CPU_PERIOD_US);
    int e = write_int(folder, "cpu.weight", cpu_weight_from_shares(cpu_shares_from_milli(r->cpu_request_milli)), false,
                      ret_error);
    if (e == 0 && quota)
        e = write_value(folder, "cpu.max", max, false, ret_error);
    if (e == 0 && r->memory_limit > 0)
        e = write_int(folder, "memory.max", r->memory_limit, true, ret_error);
    return e;
}

static int apply_v1(Cgroups *c, const char *below, const PodResources *r, char **ret_error) {
    _cleanup_free_ char *cpu = xasprintf("%s/cpu%s%s", c->mount_root, c->root, below);
    _cleanup_free_ char *memory = xasprintf("%s/memory%s%s", c->mount_root, c->root, below);
    int64_t quota = cpu_quota_from_milli(r->cpu_limit_milli);
    int e = write_int(cpu, "cpu.shares", cpu_shares_from_milli(r->cpu_request_milli), false, ret_error);
    if (e == 0 && quota) {
        e = write_int(cpu, "cpu.cfs_period_us", CPU_PERIOD_US, false, ret_error);
        if (e == 0)
            e = write_int(cpu, "cpu.cfs_quota_us", quota, false, ret_error);
    }
    if (e == 0 && r->memory_limit > 0)
        e = write_int(memory, "memory.limit_in_bytes", r->memory_limit, true, ret_error);
    return e;
}

int cgroups_pod_apply(Cgroups *c, const Value *pod, char **ret_error) {
    QosClass class = pod_qos_class(pod);
    _cleanup_free_ char *below = cgroups_pod_path(class, pod_uid(pod));
    int r = make_path(c, below, ret_error);
    if (r < 0)
        return r;
    PodResources resources;
    pod_resources(pod, &resources);
    if (!c->v2)
        return apply_v1(c, below, &resources, ret_error);
    _cleanup_free_ char *folder = xasprintf("%s%s%s", c->mount_root, c->root, below);
    return apply_v2(folder, &resources, ret_error);
}

#define V1_NO_MEMORY_LIMIT (INT64_MAX - 65536) /* the most that whole pages allow, whatever their size */

int cgroups_pod_read(Cgroups *c, const Value *pod, PodCgroup *ret) {
    _cleanup_free_ char *below = cgroups_pod_path(pod_qos_class(pod), pod_uid(pod));
    _cleanup_free_ char *cpu = xasprintf("%s%s%s%s", c->mount_root, c->v2 ? "" : "/cpu", c->root, below);
    _cleanup_free_ char *memory = xasprintf("%s%s%s%s", c->mount_root, c->v2 ? "" : "/memory", c->root, below);
    PodCgroup g = {0};
    if (!fs_exists(cpu))
        return -ENOENT;
    if (c->v2) {
        int64_t weight = read_int(cpu, "cpu.weight");
        g.cpu_shares = weight ? cpu_shares_from_weight(weight) : 0;
        g.cpu_quota = read_int(cpu, "cpu.max");
        g.cpu_period = CPU_PERIOD_US; /* as it was set */
        g.memory_limit = read_int(memory, "memory.max");
    } else {
        g.cpu_shares = read_int(cpu, "cpu.shares");
        g.cpu_quota = read_int(cpu, "cpu.cfs_quota_us");
        g.cpu_period = read_int(cpu, "cpu.cfs_period_us");
        g.memory_limit = read_int(memory, "memory.limit_in_bytes");
        if (g.memory_limit >= V1_NO_MEMORY_LIMIT)
            g.memory_limit = 0;
    }
    *ret = g;
    return 0;
}

static int raise_value(const char *folder, const char *file, int64_t wanted, char **ret_error) {
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, file), *text = NULL;
    int64_t have;
    if (wanted <= 0 || fs_read_file(path, 64, &text, NULL) < 0)
        return 0;
    text[strcspn(text, "\n")] = 0;
    if (str_to_int64(text, &have) < 0 || have < 0 || have >= wanted)
        return 0; /* no limit, or a higher one */
    return write_int(folder, file, wanted, true, ret_error);
}

int cgroups_pod_raise(Cgroups *c, const Value *pod, char **ret_error) {
    if (c->v2)
        return 0; /* there a child may have more than its parent: the lesser holds */
    _cleanup_free_ char *below = cgroups_pod_path(pod_qos_class(pod), pod_uid(pod));
    _cleanup_free_ char *cpu = xasprintf("%s/cpu%s%s", c->mount_root, c->root, below);
    _cleanup_free_ char *memory = xasprintf("%s/memory%s%s", c->mount_root, c->root, below);
    PodResources r;
    pod_resources(pod, &r);
    int e = raise_value(cpu, "cpu.cfs_quota_us", cpu_quota_from_milli(r.cpu_limit_milli), ret_error);
    return e < 0 ? e : raise_value(memory, "memory.limit_in_bytes", r.memory_limit, ret_error);
}

/* Children first; only directories can be removed in a cgroup file system. */
static int remove_cgroup(const char *path, int depth) {
    if (rmdir(path) == 0 || errno == ENOENT)
        return 0;
    int r = -errno;
    if (depth > 8)
        return r;
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_type != DT_DIR || streq(e->d_name, ".") || streq(e->d_name, ".."))
            continue;
        _cleanup_free_ char *child = xasprintf("%s/%s", path, e->d_name);
        remove_cgroup(child, depth + 1);
    }
    closedir(d);
    return rmdir(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int cgroups_pod_remove(Cgroups *c, const char *uid) {
    int worst = 0;
    for (size_t h = 0; h < c->n; h++)
        for (QosClass class = QOS_GUARANTEED; class <= QOS_BEST_EFFORT; class ++) {
            _cleanup_free_ char *below = cgroups_pod_path(class, uid);
            _cleanup_free_ char *path = xasprintf("%s%s%s", c->hierarchies[h], c->root, below);
            int r = remove_cgroup(path, 0);
            if (r < 0)
                worst = r;
        }
    return worst;
}

static void kill_cgroup(const char *path, int depth) {
    _cleanup_free_ char *procs = xasprintf("%s/cgroup.procs", path), *text = NULL;
    char *save = NULL;
    if (fs_read_file(procs, CGROUP_PROCS_MAX, &text, NULL) == 0)
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            int64_t pid = 0;
            if (str_to_int64(line, &pid) == 0 && pid > 1)
                (void)kill((pid_t)pid, SIGKILL);
        }
    DIR *d = depth > 8 ? NULL : opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_type != DT_DIR || streq(e->d_name, ".") || streq(e->d_name, ".."))
            continue;
        _cleanup_free_ char *child = xasprintf("%s/%s", path, e->d_name);
        kill_cgroup(child, depth + 1);
    }
    if (d)
        closedir(d);
}

void cgroups_pod_kill(Cgroups *c, const char *uid) {
    for (size_t h = 0; h < c->n; h++)
        for (QosClass class = QOS_GUARANTEED; class <= QOS_BEST_EFFORT; class ++) {
            _cleanup_free_ char *below = cgroups_pod_path(class, uid);
            _cleanup_free_ char *path = xasprintf("%s%s%s", c->hierarchies[h], c->root, below);
            kill_cgroup(path, 0);
        }
}

char **cgroups_pod_list(Cgroups *c) {
    size_t n = 0, cap = 16;
    char **list = NEWN0(char *, cap);
    const char *base = c->v2 ? c->mount_root : NULL;
    _cleanup_free_ char *memory = xasprintf("%s/memory", c->mount_root);
    for (size_t i = 0; i < ELEMENTSOF(class_folders); i++) {
        _cleanup_free_ char *path = xasprintf("%s%s%s", base ? base : memory, c->root, class_folders[i]);
        DIR *d = opendir(path);
        if (!d)
            continue;
        for (struct dirent *e; (e = readdir(d));) {
            if (!str_has_prefix(e->d_name, "pod"))
                continue;
            if (n + 2 > cap)
                list = xreallocn(list, cap *= 2, sizeof *list);
            list[n++] = xstrdup(e->d_name + 3);
        }
        closedir(d);
    }
    list[n] = NULL;
    return list;
}
