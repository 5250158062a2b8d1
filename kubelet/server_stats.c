/* GET /stats/summary: what the node and its pods use (k8s.io/kubelet/pkg/apis/stats/v1alpha1). */
#include "kubelet/samples.h"
#include "kubelet/server_internal.h"

#include "base/clock.h"
#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#define STATS_MAX (64 * 1024 * 1024)

typedef struct DiskSpace {
    bool known;
    uint64_t available, capacity, used, inodes_free, inodes;
} DiskSpace;

typedef struct Summary {
    Call *call;
    Arena *arena;
    const char *time;
    bool only_cpu_and_memory;
    DiskSpace pods, containers; /* where their files are */
} Summary;

static void put(const Summary *y, Value *to, const char *name, uint64_t n) {
    value_set_int(y->arena, to, name, (int64_t)MIN(n, (uint64_t)INT64_MAX));
}

static Value *timed(const Summary *y) {
    Value *v = value_object(y->arena);
    value_set_str(y->arena, v, "time", y->time);
    return v;
}

static void put_usage(const Summary *y, Value *to, const StatUsage *u, uint64_t available) {
    Value *cpu = timed(y), *memory = timed(y);
    put(y, cpu, "usageNanoCores", u->cpu_nano_cores);
    put(y, cpu, "usageCoreNanoSeconds", u->cpu_ns);
    if (available)
        put(y, memory, "availableBytes", available);
    put(y, memory, "usageBytes", u->used);
    put(y, memory, "workingSetBytes", u->working_set);
    put(y, memory, "rssBytes", u->rss);
    value_set(y->arena, to, "cpu", cpu);
    value_set(y->arena, to, "memory", memory);
}

static void put_time(Arena *arena, Value *to, const char *name, int64_t ns) {
    char text[RFC3339_MAX];
    value_set_str(arena, to, name, rfc3339_format(ns, text));
}

static int64_t boot_time(void) {
    struct timespec up;
    return clock_gettime(CLOCK_BOOTTIME, &up) == 0
               ? now_realtime_ns() - ((int64_t)up.tv_sec * (int64_t)NS_PER_SEC + up.tv_nsec)
               : now_realtime_ns();
}

/* ---- file systems ---- */

static DiskSpace disk_space(const char *path) {
    struct statvfs fs;
    if (!path || statvfs(path, &fs) < 0)
        return (DiskSpace){0};
    return (DiskSpace){.known = true,
                       .available = (uint64_t)fs.f_bavail * fs.f_frsize,
                       .capacity = (uint64_t)fs.f_blocks * fs.f_frsize,
                       .used = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize,
                       .inodes_free = fs.f_ffree,
                       .inodes = fs.f_files};
}

/* What is used of a file system by one part of what is on it. */
static Value *fs_stats(const Summary *y, const DiskSpace *space, FsUsage used) {
    Value *v = timed(y);
    put(y, v, "availableBytes", space->available);
    put(y, v, "capacityBytes", space->capacity);
    put(y, v, "usedBytes", used.bytes);
    put(y, v, "inodesFree", space->inodes_free);
    put(y, v, "inodes", space->inodes);
    put(y, v, "inodesUsed", used.inodes);
    return v;
}

static void put_fs(const Summary *y, Value *to, const char *name, const DiskSpace *space) {
    if (space->known)
        value_set(y->arena, to, name, fs_stats(y, space, (FsUsage){space->used, space->inodes - space->inodes_free}));
}

/* The pod's volumes: those of each plugin have a folder. *all: what they take of the pods' disk. What belongs to others
 * (folders of the machine, images) is not the pod's use. */
static Value *volume_stats(const Summary *y, const Pod *p, FsUsage *all) {
    static const char *const others[] = {"kubernetes.io~host-path", "kubernetes.io~image", NULL};
    Value *list = value_array(y->arena);
    const char *root = arena_printf(y->arena, "%s/volumes", p->dir);
    DIR *plugins = opendir(root);
    for (struct dirent *plugin; plugins && (plugin = readdir(plugins));) {
        const char *folder = arena_printf(y->arena, "%s/%s", root, plugin->d_name);
        DIR *volumes = plugin->d_name[0] == '.' || str_in(plugin->d_name, others) ? NULL : opendir(folder);
        for (struct dirent *volume; volumes && (volume = readdir(volumes));) {
            if (volume->d_name[0] == '.')
                continue;
            const char *path = arena_printf(y->arena, "%s/%s", folder, volume->d_name);
            DiskSpace space = disk_space(path);
            FsUsage used = fs_tree_usage(AT_FDCWD, path);
            Value *v = fs_stats(y, &space, used);
            value_set_str(y->arena, v, "name", volume->d_name);
            value_append(y->arena, list, v);
            if (space.capacity == y->pods.capacity) { /* not one in memory */
                all->bytes += used.bytes;
                all->inodes += used.inodes;
            }
        }
        if (volumes)
            closedir(volumes);
    }
    if (plugins)
        closedir(plugins);
    return list;
}

/* ---- pods ---- */

static Value *interface_stats(const Summary *y, Value *v, const NetUsage *net) {
    value_set_str(y->arena, v, "name", net->device);
    put(y, v, "rxBytes", net->rx_bytes);
    put(y, v, "rxErrors", net->rx_errors);
    put(y, v, "txBytes", net->tx_bytes);
    put(y, v, "txErrors", net->tx_errors);
    return v;
}

static void put_network(const Summary *y, Value *to, const NetUsage *net) {
    if (!net->known)
        return;
    Value *v = interface_stats(y, timed(y), net), *list = value_array(y->arena);
    value_append(y->arena, list, interface_stats(y, value_object(y->arena), net));
    value_set(y->arena, v, "interfaces", list);
    value_set(y->arena, to, "network", v);
}

static Value *container_stats(const Summary *y, const Sample *x, const StatUsage *u) {
    Value *c = value_object(y->arena);
    value_set_str(y->arena, c, "name", x->name);
    put_time(y->arena, c, "startTime", x->started_ns);
    put_usage(y, c, u, 0);
    if (y->only_cpu_and_memory)
        return c;
    FsUsage rootfs = {x->stats.rootfs_bytes, x->stats.rootfs_inodes};
    value_set(y->arena, c, "rootfs", fs_stats(y, &y->containers, rootfs));
    value_set(y->arena, c, "logs", fs_stats(y, &y->pods, x->logs));
    return c;
}

static void put_pod_extras(const Summary *y, Value *pod, const Sample *first, uint64_t pids, FsUsage files) {
    Value *processes = value_object(y->arena), *volumes = volume_stats(y, first->p, &files);
    put(y, processes, "process_count", pids);
    put_network(y, pod, &first->net);
    if (value_len(volumes))
        value_set(y->arena, pod, "volume", volumes);
    value_set(y->arena, pod, "ephemeral-storage", fs_stats(y, &y->pods, files));
    value_set(y->arena, pod, "process_stats", processes);
}

/* The pod that begins at *i; moves on to the next. */
static Value *pod_stats(const Summary *y, const Samples *s, size_t *i) {
    const Sample *first = &s->items[*i];
    Arena *arena = y->arena;
    Value *pod = value_object(arena), *ref = value_object(arena), *containers = value_array(arena);
    value_set_str(arena, ref, "name", first->pod);
    value_set_str(arena, ref, "namespace", first->ns);
    value_set_str(arena, ref, "uid", first->uid);
    value_set(arena, pod, "podRef", ref);
    put_time(arena, pod, "startTime", first->pod_started_ns);
    value_set(arena, pod, "containers", containers);
    StatUsage all = {0};
    FsUsage files = {0};
    for (; *i < s->n && streq(s->items[*i].uid, first->uid); ++*i) {
        const Sample *x = &s->items[*i];
        if (!x->known)
            continue;
        StatUsage u = sample_usage(x);
        value_append(arena, containers, container_stats(y, x, &u));
        stat_usage_add(&all, &u);
        files.bytes += x->stats.rootfs_bytes + x->logs.bytes;
        files.inodes += x->stats.rootfs_inodes + x->logs.inodes;
    }
    put_usage(y, pod, &all, 0);
    if (!y->only_cpu_and_memory)
        put_pod_extras(y, pod, first, all.pids, files);
    return pod;
}

/* ---- the node ---- */

static void put_node_extras(const Summary *y, Value *node) {
    Kubelet *k = y->call->k;
    Value *runtime = value_object(y->arena), *limit = timed(y);
    DiskSpace images = disk_space(image_store_root(k->images));
    uint64_t most, running;
    _cleanup_free_ char *text = NULL;
    if (fs_read_file("/proc/net/dev", 256 * 1024, &text, NULL) == 0) {
        NetUsage net = net_usage_parse(text);
        put_network(y, node, &net);
    }
    put_fs(y, node, "fs", &y->pods);
    put_fs(y, runtime, "imageFs", &images);
    put_fs(y, runtime, "containerFs", &y->containers);
    value_set(y->arena, node, "runtime", runtime);
    if (!node_pids_read(&most, &running))
        return;
    put(y, limit, "maxpid", most);
    put(y, limit, "curproc", running);
    value_set(y->arena, node, "rlimit", limit);
}

void serve_summary(Call *call) {
    Kubelet *k = call->k;
    Arena *arena = call->arena;
    Samples s;
    char time[RFC3339_MAX];
    samples_take(k, true, &s);
    const Summary y = {.call = call,
                       .arena = arena,
                       .time = rfc3339_format(now_realtime_ns(), time),
                       .only_cpu_and_memory = call_flag(call, "only_cpu_and_memory"),
                       .pods = disk_space(k->config.root_dir),
                       .containers = disk_space(str_or(k->runtime->container_fs, k->config.root_dir))};
    Value *summary = value_object(arena), *node = value_object(arena), *pods = value_array(arena);
    value_set_str(arena, node, "nodeName", k->config.node_name);
    put_time(arena, node, "startTime", boot_time());
    put_usage(&y, node, &s.node, s.available);
    if (!y.only_cpu_and_memory)
        put_node_extras(&y, node);
    for (size_t i = 0; i < s.n;)
        value_append(arena, pods, pod_stats(&y, &s, &i));
    value_set(arena, summary, "node", node);
    value_set(arena, summary, "pods", pods);
    samples_done(&s);
    Buf out = BUF_INIT(STATS_MAX);
    value_write_json(&out, summary);
    call_reply(call, 200, "application/json", &out);
    call_free(call);
}
