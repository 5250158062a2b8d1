/* What the node and its containers use, looked at once or, for rates, twice. */
#pragma once

#include "kubelet/internal.h"

#include "base/fs.h"

typedef struct StatUsage {
    uint64_t cpu_ns, cpu_nano_cores, working_set, used, rss, pids;
} StatUsage;

typedef struct NetUsage { /* of a pod's own network: its first device but loopback */
    bool known;
    char device[32];
    uint64_t rx_bytes, rx_errors, tx_bytes, tx_errors;
} NetUsage;

typedef struct Sample { /* one running container */
    char *id, *ns, *pod, *uid, *name, *image;
    Pod *p; /* a reference */
    int64_t started_ns, pod_started_ns;
    bool known;
    uint64_t taken_at;
    ContainerStats stats;
    uint64_t cpu_nano_cores;
    FsUsage logs;
    NetUsage net;
} Sample;

typedef struct Samples {
    Kubelet *k;
    Sample *items; /* those of one pod beside each other */
    size_t n;
    uint64_t node_taken_at;
    StatUsage node;
    uint64_t available;
} Samples;

void samples_take(Kubelet *k, bool rates, Samples *ret);
void samples_find(Kubelet *k, Samples *ret); /* which containers run, and nothing of what they use */
void samples_done(Samples *samples);
StatUsage sample_usage(const Sample *sample);
void stat_usage_add(StatUsage *to, const StatUsage *more);
FsUsage container_log_usage(const ContainerStatus *c);
/* From the text of /proc/PID/net/dev. Pure. */
NetUsage net_usage_parse(const char *text);
