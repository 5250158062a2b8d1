#include "kubelet/samples.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdio.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define NET_DEV_MAX (256 * 1024)
#define RATE_NS (200 * NS_PER_MS) /* over which the processors' use is measured */

void samples_done(Samples *s) {
    for (size_t i = 0; i < s->n; i++) {
        Sample *x = &s->items[i];
        char *owned[] = {x->id, x->ns, x->pod, x->uid, x->name, x->image};
        for (size_t j = 0; j < ELEMENTSOF(owned); j++)
            free(owned[j]);
        pod_unref(s->k, x->p);
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

NetUsage net_usage_parse(const char *text) {
    NetUsage u = {0};
    for (const char *line = text; line && *line && !u.known; line = str_next_line(line)) {
        unsigned long long v[11];
        char name[sizeof u.device];
        const char *colon = strchr(line, ':'), *end = strchr(line, '\n');
        if (!colon || (end && colon > end) || sscanf(line, " %31[^: ]", name) != 1 || streq(name, "lo") ||
            sscanf(colon + 1, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                   &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10]) != 11)
            continue;
        u = (NetUsage){.known = true, .rx_bytes = v[0], .rx_errors = v[2], .tx_bytes = v[8], .tx_errors = v[10]};
        snprintf(u.device, sizeof u.device, "%s", name);
    }
    return u;
}

static NetUsage net_of(pid_t pid) {
    _cleanup_free_ char *path = xasprintf("/proc/%d/net/dev", (int)pid), *text = NULL;
    return pid > 0 && fs_read_file(path, NET_DEV_MAX, &text, NULL) == 0 ? net_usage_parse(text) : (NetUsage){0};
}

FsUsage container_log_usage(const ContainerStatus *c) {
    _cleanup_free_ char *folder = xstrdup(str_or(c->log_path, ""));
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return (FsUsage){0};
    *slash = 0;
    return fs_tree_usage(AT_FDCWD, folder);
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
            .image = xstrdup(str_or(c->image_ref, "")),
            .p = pod_ref(k, p),
            .logs = container_log_usage(c),
            .net = net_of(c->pid),
            .started_ns = c->started_ns,
            .pod_started_ns = rt.n_sandboxes ? rt.sandboxes[0].created_ns : c->started_ns,
        };
    }
    pod_runtime_done(&rt);
}

void samples_find(Kubelet *k, Samples *s) {
    *s = (Samples){.k = k};
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
void samples_take(Kubelet *k, bool rates, Samples *ret) {
    Samples s;
    samples_find(k, &s);
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

void stat_usage_add(StatUsage *to, const StatUsage *more) {
    to->cpu_ns += more->cpu_ns;
    to->cpu_nano_cores += more->cpu_nano_cores;
    to->working_set += more->working_set;
    to->used += more->used;
    to->rss += more->rss;
    to->pids += more->pids;
}

StatUsage sample_usage(const Sample *x) {
    return (StatUsage){x->stats.cpu_usage_ns, x->cpu_nano_cores,   x->stats.memory_working_set,
                       x->stats.memory_usage, x->stats.memory_rss, x->stats.pids};
}
