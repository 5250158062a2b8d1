/* What a pod takes of its node while it is there: the requests that the scheduler counts, and its host ports. Pure. */
#pragma once

#include "kubelet/qos.h"

#define DEMAND_MILLI_NAME "cpu" /* the one that is counted in thousandths */

typedef struct HostPort {
    char protocol[8], ip[48]; /* "0.0.0.0": any */
    uint16_t port;
} HostPort;

typedef struct Request {
    char *name;     /* of the resource, owned */
    int64_t amount; /* whole units; cpu: thousandths */
} Request;

typedef struct PodDemand {
    Request *requests; /* sorted by name */
    size_t n_requests;
    QosClass qos;
    bool critical, has_priority;
    int64_t priority;
    HostPort *ports;
    size_t n_ports;
} PodDemand;

void demand_of(const Value *pod, PodDemand *ret); /* to be freed with demand_done */
void demand_done(PodDemand *demand);
/* 0 when it asks for none; of "pods" each takes one. */
int64_t demand_amount(const PodDemand *demand, const char *resource);
bool demand_ports_clash(const PodDemand *a, const PodDemand *b);
/* example.com/gpu: named by others than Kubernetes (v1helper.IsExtendedResourceName). */
bool resource_is_extended(const char *name);
