/* What Endpoints and EndpointSlices are made from: services that select pods, and what of a pod they publish. */
#pragma once

#include "client/informer.h"
#include "client/workqueue.h"

/* Which services select a pod: selectors parsed once a service. Thread-safe. */
typedef struct ServiceSelectors ServiceSelectors;
ServiceSelectors *service_selectors_new(void);
void service_selectors_free(ServiceSelectors *selectors);
void service_selectors_set(ServiceSelectors *selectors, const Object *service);
void service_selectors_drop(ServiceSelectors *selectors, const Object *service);
/* Enqueues every service that selects the pod. */
void service_selectors_enqueue(ServiceSelectors *selectors, const Object *pod, WorkQueue *queue);

typedef struct PublishedPod {
    Object *object; /* borrowed */
    Value *value;
    const char *ips[2]; /* IPv4, IPv6; NULL: none */
    bool ready, terminating;
} PublishedPod;

/* Reads a pod. False: it is never published (finished, or without an address). */
bool published_pod_read(Arena *arena, Object *pod, PublishedPod *ret);
/* The container port that a service port of `target_port` (number or name) leads to in this pod; 0: none. */
int64_t published_pod_port(const PublishedPod *pod, const Value *service_port);
/* spec.hostname, when the pod belongs to the domain of this service; else NULL. */
const char *published_pod_hostname(const PublishedPod *pod, const char *service_name);
Value *published_pod_target(Arena *arena, const PublishedPod *pod);
bool service_pods_headless(const Value *service);
bool ip_is_v6(const char *ip);
