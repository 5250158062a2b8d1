/* Quality of service and the kernel's units: QoS class, CPU shares and quota, OOM score, as the reference computes them
 * (pkg/apis/core/v1/helper/qos, pkg/kubelet/qos, pkg/kubelet/cm). Pure. */
#pragma once

#include "kubelet/pod_view.h"

typedef enum QosClass { QOS_GUARANTEED, QOS_BURSTABLE, QOS_BEST_EFFORT } QosClass;

QosClass pod_qos_class(const Value *pod); /* pod_qos, as cgroups and scores need it */

#define CPU_PERIOD_US 100000 /* cfs period of the reference */
#define CPU_MIN_SHARES 2
#define CPU_MAX_SHARES 262144
#define CPU_MIN_QUOTA_US 1000

int64_t cpu_shares_from_milli(int64_t milli);
int64_t cpu_quota_from_milli(int64_t milli); /* 0: no limit */
/* cgroup v2's cpu.weight for v1's shares (KEP-2254 as crun and runc convert). */
int64_t cpu_weight_from_shares(int64_t shares);
int64_t cpu_shares_from_weight(int64_t weight);

/* A quantity of resources.{requests,limits}: thousandths for CPU, whole units else; -1 when not set. */
int64_t resource_milli(const Value *resources, const char *list, const char *name);
int64_t resource_units(const Value *resources, const char *list, const char *name);

typedef struct PodResources {
    int64_t cpu_request_milli, memory_request; /* sums, with init containers and overhead as the scheduler counts */
    int64_t cpu_limit_milli, memory_limit;     /* 0: some container is unlimited */
    int64_t ephemeral_request;
} PodResources;
void pod_resources(const Value *pod, PodResources *ret);

/* The container's own requests and limits, and for limits of CPU and memory that it has not those of its pod. */
Value *container_effective_resources(Arena *arena, const Value *pod, const Value *container);
int container_oom_score_adj(const Value *pod, const Value *container, uint64_t memory_capacity);
