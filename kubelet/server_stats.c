/* GET /stats/summary, /metrics and /metrics/resource: what the node and its containers use. */
#include "kubelet/server_internal.h"

#include "base/clock.h"
#include "base/fs.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define STATS_MAX (64 * 1024 * 1024)
#define RATE_NS (200 * NS_PER_MS) /* over which the processors' use is measured */

typedef struct Usage {
    uint64_t cpu_ns, cpu_nano_cores, working_set, used, rss;
} Usage;

typedef struct Sample { /* one running container */
    char *id, *ns, *pod, *uid, *name;
    int64_t started_ns, pod_started_ns;
    bool known;
    uint64_t taken_at;
    ContainerStats stats;
    uint64_t cpu_nano_cores;
} Sample;

typedef struct Samples {
    Sample *items; /* those of one pod beside each other */
    size_t n;
    uint64_t node_taken_at;
    Usage node;
    uint64_t available;
} Samples;

static void samples_done(Samples *s) {
    for (size_t i = 0; i < s->n; i++) {
        Sample *x = &s->items[i];
        char *owned[] = {x->id, x->ns, x->pod, x->uid, x->name};
        for (size_t j = 0; j < ELEMENTSOF(owned); j++)
            free(owned[j]);
    }
    free(s->items);
}

static uint64_t node_cpu_ns(void) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    unsigned long long user = 0, nice = 0, system = 0, idle, wait, irq = 0, soft = 0, steal = 0;
    if (fs_read_file("/proc/stat", 1024 * 1024, &text, &n) < 0 ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq, &soft,
               &steal) < 8)
        return 0;
    long hz = sysconf(_SC_CLK_TCK);
    return (user + nice + system + irq + soft + steal) * (NS_PER_SEC / (uint64_t)MAX(hz, 1L));
}

static void node_memory(Samples *s) {
    NodeMemory m;
    node_memory_read(&m);
    s->available = m.available;
    s->node.working_set = m.total > m.available ? m.total - m.available : 0;
    s->node.used = m.total > m.unused ? m.total - m.unused : 0;
    s->node.rss = m.anonymous;
}

static void add_pod(Kubelet *k, Pod *p, Samples *s) {
    PodRuntime rt = {0};
    if (pod_runtime_load(k, p, &rt) < 0)
        return;
    for (size_t i = 0; i < rt.n_containers; i++) {
        const ContainerStatus *c = &rt.containers[i];
        if (c->state != CONTAINER_RUNNING)
            continue;
        s->items = xreallocn(s->items, s->n + 1, sizeof *s->items);
        s->items[s->n++] = (Sample){
            .id = xstrdup(c->id),
            .ns = xstrdup(p->ns),
            .pod = xstrdup(p->name),
            .uid = xstrdup(p->uid),
            .name = xstrdup(c->name),
            .started_ns = c->started_ns,
            .pod_started_ns = rt.n_sandboxes ? rt.sandboxes[0].created_ns : c->started_ns,
        };
    }
    pod_runtime_done(&rt);
}

static void find_containers(Kubelet *k, Samples *s) {
    const char *uid;
    Pod *p;
    pthread_mutex_lock(&k->lock);
    size_t n = 0;
    Pod **pods = NEWN0(Pod *, strmap_size(k->pods) + 1);
    STRMAP_FOREACH (k->pods, uid, p) {
        p->refs++;
        pods[n++] = p;
    }
    pthread_mutex_unlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        add_pod(k, pods[i], s);
        pod_unref(k, pods[i]);
    }
    free(pods);
}

static uint64_t rate(uint64_t before, uint64_t after, uint64_t ns) {
    return after > before && ns ? (uint64_t)((unsigned __int128)(after - before) * NS_PER_SEC / ns) : 0;
}

/* Two looks a short while apart, when rates are wanted. */
static void samples_take(Kubelet *k, bool rates, Samples *ret) {
    Samples s = {0};
    find_containers(k, &s);
    for (int look = 0; look < (rates ? 2 : 1); look++) {
        if (look)
            nanosleep(&(struct timespec){.tv_nsec = (long)RATE_NS}, NULL);
        uint64_t now = now_monotonic_ns(), cpu = node_cpu_ns();
        s.node.cpu_nano_cores = look ? rate(s.node.cpu_ns, cpu, now - s.node_taken_at) : 0;
        s.node.cpu_ns = cpu;
        s.node_taken_at = now;
        for (size_t i = 0; i < s.n; i++) {
            Sample *x = &s.items[i];
            ContainerStats stats;
            if (k->runtime->container_stats(k->runtime, x->id, &stats) < 0) {
                x->known = false;
                continue;
            }
            now = now_monotonic_ns();
            x->cpu_nano_cores = x->known ? rate(x->stats.cpu_usage_ns, stats.cpu_usage_ns, now - x->taken_at) : 0;
            x->stats = stats;
            x->taken_at = now;
            x->known = true;
        }
    }
    node_memory(&s);
    *ret = s;
}

/* ---- /stats/summary ---- */

static void put_usage(Arena *arena, Value *to, const Usage *u, uint64_t available, const char *time) {
    Value *cpu = value_object(arena), *memory = value_object(arena);
    value_set_str(arena, cpu, "time", time);
    value_set_int(arena, cpu, "usageNanoCores", (int64_t)u->cpu_nano_cores);
    value_set_int(arena, cpu, "usageCoreNanoSeconds", (int64_t)u->cpu_ns);
    value_set_str(arena, memory, "time", time);
    if (available)
        value_set_int(arena, memory, "availableBytes", (int64_t)available);
    value_set_int(arena, memory, "usageBytes", (int64_t)u->used);
    value_set_int(arena, memory, "workingSetBytes", (int64_t)u->working_set);
    value_set_int(arena, memory, "rssBytes", (int64_t)u->rss);
    value_set(arena, to, "cpu", cpu);
    value_set(arena, to, "memory", memory);
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

static void put_filesystem(Arena *arena, Value *to, const char *path, const char *time) {
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return;
    Value *v = value_object(arena);
    value_set_str(arena, v, "time", time);
    value_set_int(arena, v, "availableBytes", (int64_t)(fs.f_bavail * fs.f_frsize));
    value_set_int(arena, v, "capacityBytes", (int64_t)(fs.f_blocks * fs.f_frsize));
    value_set_int(arena, v, "usedBytes", (int64_t)((fs.f_blocks - fs.f_bfree) * fs.f_frsize));
    value_set_int(arena, v, "inodesFree", (int64_t)fs.f_ffree);
    value_set_int(arena, v, "inodes", (int64_t)fs.f_files);
    value_set_int(arena, v, "inodesUsed", (int64_t)(fs.f_files - fs.f_ffree));
    value_set(arena, to, "fs", v);
}

static void usage_add(Usage *to, const Usage *more) {
    to->cpu_ns += more->cpu_ns;
    to->cpu_nano_cores += more->cpu_nano_cores;
    to->working_set += more->working_set;
    to->used += more->used;
    to->rss += more->rss;
}

static Usage usage_of(const Sample *x) {
    return (Usage){x->stats.cpu_usage_ns, x->cpu_nano_cores, x->stats.memory_working_set, x->stats.memory_usage,
                   x->stats.memory_rss};
}

/* The pod that begins at *i; moves on to the next. */
static Value *pod_stats(Arena *arena, const Samples *s, size_t *i, const char *time) {
    const Sample *first = &s->items[*i];
    Value *pod = value_object(arena), *ref = value_object(arena), *containers = value_array(arena);
    value_set_str(arena, ref, "name", first->pod);
    value_set_str(arena, ref, "namespace", first->ns);
    value_set_str(arena, ref, "uid", first->uid);
    value_set(arena, pod, "podRef", ref);
    put_time(arena, pod, "startTime", first->pod_started_ns);
    value_set(arena, pod, "containers", containers);
    Usage all = {0};
    for (; *i < s->n && streq(s->items[*i].uid, first->uid); ++*i) {
        const Sample *x = &s->items[*i];
        if (!x->known)
            continue;
        Usage u = usage_of(x);
        Value *c = value_object(arena);
        value_set_str(arena, c, "name", x->name);
        put_time(arena, c, "startTime", x->started_ns);
        put_usage(arena, c, &u, 0, time);
        Value *rootfs = value_object(arena);
        value_set_str(arena, rootfs, "time", time);
        value_set_int(arena, rootfs, "usedBytes", (int64_t)x->stats.rootfs_bytes);
        value_set(arena, c, "rootfs", rootfs);
        value_append(arena, containers, c);
        usage_add(&all, &u);
    }
    put_usage(arena, pod, &all, 0, time);
    return pod;
}

void serve_summary(Call *call) {
    Kubelet *k = call->k;
    Arena *arena = call->arena;
    Samples s;
    samples_take(k, true, &s);
    char time[RFC3339_MAX];
    rfc3339_format(now_realtime_ns(), time);
    Value *summary = value_object(arena), *node = value_object(arena), *pods = value_array(arena);
    value_set_str(arena, node, "nodeName", k->config.node_name);
    put_time(arena, node, "startTime", boot_time());
    put_usage(arena, node, &s.node, s.available, time);
    put_filesystem(arena, node, k->config.root_dir, time);
    for (size_t i = 0; i < s.n;)
        value_append(arena, pods, pod_stats(arena, &s, &i, time));
    value_set(arena, summary, "node", node);
    value_set(arena, summary, "pods", pods);
    samples_done(&s);
    Buf out = BUF_INIT(STATS_MAX);
    value_write_json(&out, summary);
    call_reply(call, 200, "application/json", &out);
    call_free(call);
}

/* ---- Prometheus text ---- */

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void put_type(Buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s [STABLE] %s\n# TYPE %s %s\n", name, help, name, type);
}

void serve_resources(Call *call) {
    Samples s;
    samples_take(call->k, false, &s);
    Buf out = BUF_INIT(STATS_MAX);
    int64_t ms = now_realtime_ns() / (int64_t)NS_PER_MS;
    put_type(&out, "container_cpu_usage_seconds_total", "counter",
             "Cumulative cpu time consumed by the container in core-seconds");
    for (size_t i = 0; i < s.n; i++)
        if (s.items[i].known)
            buf_printf(&out,
                       "container_cpu_usage_seconds_total{container=\"%s\",namespace=\"%s\",pod=\"%s\"} %.9f %lld\n",
                       s.items[i].name, s.items[i].ns, s.items[i].pod,
                       (double)s.items[i].stats.cpu_usage_ns / (double)NS_PER_SEC, (long long)ms);
    put_type(&out, "container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes");
    for (size_t i = 0; i < s.n; i++)
        if (s.items[i].known)
            buf_printf(&out,
                       "container_memory_working_set_bytes{container=\"%s\",namespace=\"%s\",pod=\"%s\"} %llu %lld\n",
                       s.items[i].name, s.items[i].ns, s.items[i].pod,
                       (unsigned long long)s.items[i].stats.memory_working_set, (long long)ms);
    put_type(&out, "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds");
    for (size_t i = 0; i < s.n; i++)
        buf_printf(&out, "container_start_time_seconds{container=\"%s\",namespace=\"%s\",pod=\"%s\"} %.9f\n",
                   s.items[i].name, s.items[i].ns, s.items[i].pod, (double)s.items[i].started_ns / (double)NS_PER_SEC);
    put_type(&out, "node_cpu_usage_seconds_total", "counter",
             "Cumulative cpu time consumed by the node in core-seconds");
    buf_printf(&out, "node_cpu_usage_seconds_total %.9f %lld\n", (double)s.node.cpu_ns / (double)NS_PER_SEC,
               (long long)ms);
    put_type(&out, "node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes");
    buf_printf(&out, "node_memory_working_set_bytes %llu %lld\n", (unsigned long long)s.node.working_set,
               (long long)ms);
    for (int what = 0; what < 2; what++) {
        if (what == 0)
            put_type(&out, "pod_cpu_usage_seconds_total", "counter",
                     "Cumulative cpu time consumed by the pod in core-seconds");
        else
            put_type(&out, "pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes");
        for (size_t i = 0; i < s.n;) {
            const Sample *first = &s.items[i];
            Usage all = {0};
            for (; i < s.n && streq(s.items[i].uid, first->uid); i++) {
                Usage u = usage_of(&s.items[i]);
                usage_add(&all, &u);
            }
            if (what == 0)
                buf_printf(&out, "pod_cpu_usage_seconds_total{namespace=\"%s\",pod=\"%s\"} %.9f %lld\n", first->ns,
                           first->pod, (double)all.cpu_ns / (double)NS_PER_SEC, (long long)ms);
            else
                buf_printf(&out, "pod_memory_working_set_bytes{namespace=\"%s\",pod=\"%s\"} %llu %lld\n", first->ns,
                           first->pod, (unsigned long long)all.working_set, (long long)ms);
        }
    }
    put_type(&out, "resource_scrape_error", "gauge",
             "1 if there was an error while getting container metrics, 0 otherwise");
    buf_puts(&out, "resource_scrape_error 0\n");
    samples_done(&s);
    call_reply(call, 200, METRICS_TYPE, &out);
    call_free(call);
}

static void put_gauge(Buf *out, const char *name, const char *help, double value) {
    buf_printf(out, "# HELP %s [ALPHA] %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

void serve_metrics(Call *call) {
    Kubelet *k = call->k;
    Samples s = {0};
    find_containers(k, &s);
    size_t pods = 0;
    for (size_t i = 0; i < s.n; i++)
        pods += i == 0 || !streq(s.items[i].uid, s.items[i - 1].uid);
    Buf out = BUF_INIT(STATS_MAX);
    buf_printf(&out,
               "# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n"
               "# TYPE kubelet_node_name gauge\nkubelet_node_name{node=\"%s\"} 1\n",
               k->config.node_name);
    put_gauge(&out, "kubelet_running_pods", "Number of pods that have a running pod sandbox", (double)pods);
    buf_printf(&out,
               "# HELP kubelet_running_containers [ALPHA] Number of containers currently running\n"
               "# TYPE kubelet_running_containers gauge\nkubelet_running_containers{container_state=\"running\"} %zu\n",
               s.n);
    pthread_mutex_lock(&k->lock);
    size_t desired = strmap_size(k->pods);
    pthread_mutex_unlock(&k->lock);
    put_gauge(&out, "kubelet_desired_pods", "The number of pods the kubelet is being instructed to run",
              (double)desired);
    buf_puts(&out, "# HELP workqueue_depth [BETA] Current depth of workqueue\n# TYPE workqueue_depth gauge\n");
    const struct {
        const char *name;
        WorkQueue *queue;
    } queues[] = {
        {"pods", k->pod_queue}, {"status", k->status_queue}, {"node", k->node_queue}, {"probes", k->probe_queue}};
    for (size_t i = 0; i < ELEMENTSOF(queues); i++)
        buf_printf(&out, "workqueue_depth{name=\"%s\"} %zu\n", queues[i].name, workqueue_depth(queues[i].queue));
    samples_done(&s);
    call_reply(call, 200, METRICS_TYPE, &out);
    call_free(call);
}
