/* GET /metrics, /metrics/resource, /metrics/cadvisor and /metrics/probes: Prometheus text. */
#include "kubelet/samples.h"
#include "kubelet/server_internal.h"

#include "base/clock.h"
#include "base/process_metrics.h"

#include <stdio.h>

#define STATS_MAX (64 * 1024 * 1024)
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
            StatUsage all = {0};
            for (; i < s.n && streq(s.items[i].uid, first->uid); i++) {
                StatUsage u = sample_usage(&s.items[i]);
                stat_usage_add(&all, &u);
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
    Samples s;
    samples_find(k, &s);
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
    WorkQueue *const queues[] = {k->pod_queue, k->status_queue, k->node_queue, k->probe_queue};
    workqueue_write_metrics(queues, ELEMENTSOF(queues), &out);
    process_metrics_write(&out);
    client_write_metrics(k->client, &out);
    samples_done(&s);
    call_reply(call, 200, METRICS_TYPE, &out);
    call_free(call);
}

void serve_probes(Call *call) {
    Buf out = BUF_INIT(STATS_MAX);
    probes_metrics(call->k, &out);
    buf_printf(&out,
               "# HELP process_start_time_seconds [ALPHA] Start time of the process since unix epoch in seconds.\n"
               "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.2f\n",
               (double)(now_realtime_ns() - (int64_t)(now_monotonic_ns() - call->k->started_at)) / (double)NS_PER_SEC);
    call_reply(call, 200, METRICS_TYPE, &out);
    call_free(call);
}

/* ---- as cAdvisor ---- */

typedef struct Family {
    const char *name, *type, *help, *more; /* more: labels of its own, or "" */
    double (*value)(const Sample *x);
    bool of_pod; /* once a pod, without a container */
} Family;

static double cpu_seconds(const Sample *x) {
    return (double)x->stats.cpu_usage_ns / (double)NS_PER_SEC;
}
static double working_set(const Sample *x) {
    return (double)x->stats.memory_working_set;
}
static double memory_usage(const Sample *x) {
    return (double)x->stats.memory_usage;
}
static double memory_rss(const Sample *x) {
    return (double)x->stats.memory_rss;
}
static double threads(const Sample *x) {
    return (double)x->stats.pids;
}
static double fs_usage(const Sample *x) {
    return (double)x->stats.rootfs_bytes;
}
static double start_time(const Sample *x) {
    return (double)(x->started_ns / (int64_t)NS_PER_SEC);
}
static double received(const Sample *x) {
    return (double)x->net.rx_bytes;
}
static double sent(const Sample *x) {
    return (double)x->net.tx_bytes;
}
static double receive_errors(const Sample *x) {
    return (double)x->net.rx_errors;
}
static double send_errors(const Sample *x) {
    return (double)x->net.tx_errors;
}

static const Family families[] = {
    {"container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", "cpu=\"total\",",
     cpu_seconds, false},
    {"container_fs_usage_bytes", "gauge", "Number of bytes that are consumed by the container on this filesystem.",
     "device=\"\",", fs_usage, false},
    {"container_memory_rss", "gauge", "Size of RSS in bytes.", "", memory_rss, false},
    {"container_memory_usage_bytes", "gauge",
     "Current memory usage in bytes, including all memory regardless of when it was accessed", "", memory_usage, false},
    {"container_memory_working_set_bytes", "gauge", "Current working set in bytes.", "", working_set, false},
    {"container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.", "",
     start_time, false},
    {"container_threads", "gauge", "Number of threads running inside the container", "", threads, false},
    {"container_network_receive_bytes_total", "counter", "Cumulative count of bytes received", "", received, true},
    {"container_network_receive_errors_total", "counter", "Cumulative count of errors encountered while receiving", "",
     receive_errors, true},
    {"container_network_transmit_bytes_total", "counter", "Cumulative count of bytes transmitted", "", sent, true},
    {"container_network_transmit_errors_total", "counter", "Cumulative count of errors encountered while transmitting",
     "", send_errors, true},
};

static void put_family(Buf *out, const Samples *s, const Family *f, int64_t ms) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
    for (size_t i = 0; i < s->n; i++) {
        const Sample *x = &s->items[i];
        bool first = i == 0 || !streq(x->uid, s->items[i - 1].uid);
        if (f->of_pod && first && x->net.known)
            buf_printf(
                out,
                "%s{container=\"\",id=\"/pod%s\",image=\"\",interface=\"%s\",name=\"\",namespace=\"%s\",pod=\"%s\"} "
                "%.17g %lld\n",
                f->name, x->uid, x->net.device, x->ns, x->pod, f->value(x), (long long)ms);
        else if (!f->of_pod && x->known)
            buf_printf(out,
                       "%s{container=\"%s\",%sid=\"/pod%s/%s\",image=\"%s\",name=\"%s\",namespace=\"%s\",pod=\"%s\"} "
                       "%.17g %lld\n",
                       f->name, x->name, f->more, x->uid, x->id, x->image, x->id, x->ns, x->pod, f->value(x),
                       (long long)ms);
    }
}

void serve_cadvisor(Call *call) {
    Kubelet *k = call->k;
    Samples s;
    samples_take(k, false, &s);
    Buf out = BUF_INIT(STATS_MAX);
    int64_t ms = now_realtime_ns() / (int64_t)NS_PER_MS;
    for (size_t i = 0; i < ELEMENTSOF(families); i++)
        put_family(&out, &s, &families[i], ms);
    samples_done(&s);
    const struct {
        const char *name, *help;
        double value;
    } machine[] = {{"machine_cpu_cores", "Number of logical CPU cores.", (double)k->cpus},
                   {"machine_memory_bytes", "Amount of memory installed on the machine.", (double)k->memory}};
    for (size_t i = 0; i < ELEMENTSOF(machine); i++)
        buf_printf(&out,
                   "# HELP %s %s\n# TYPE %s gauge\n%s{boot_id=\"%s\",machine_id=\"%s\",system_uuid=\"%s\"} %.17g\n",
                   machine[i].name, machine[i].help, machine[i].name, machine[i].name, k->boot_id, k->machine_id,
                   k->system_uuid, machine[i].value);
    call_reply(call, 200, METRICS_TYPE, &out);
    call_free(call);
}
