/* The defaulting functions that need more than a row; used by defaults.c. Each gets a value of its type. */
#pragma once

#include "api/value.h"

typedef void (*default_fn)(Arena *arena, Value *v);

void default_pod(Arena *arena, Value *pod);
void default_pod_spec(Arena *arena, Value *spec);
void default_container(Arena *arena, Value *container);
void default_volume(Arena *arena, Value *volume);
void default_resource_lists(Arena *arena, Value *requirements);
void default_service(Arena *arena, Value *service);
void default_namespace(Arena *arena, Value *ns);
void default_node(Arena *arena, Value *node);
void default_limit_range_item(Arena *arena, Value *item);
void default_replication_controller(Arena *arena, Value *rc);
void default_persistent_volume(Arena *arena, Value *pv);
void default_persistent_volume_claim(Arena *arena, Value *pvc);
void default_deployment_strategy(Arena *arena, Value *strategy);
/* The generation of a daemon set's template: a field of the reference's internal type that is served as an annotation,
 * always. */
#define TEMPLATE_GENERATION "deprecated.daemonset.template.generation"
void default_daemon_set(Arena *arena, Value *set);
void default_daemon_set_strategy(Arena *arena, Value *strategy);
void default_stateful_set_strategy(Arena *arena, Value *strategy);
void default_stateful_set_spec(Arena *arena, Value *spec);
void default_job(Arena *arena, Value *job);
void default_network_policy(Arena *arena, Value *policy);
void default_subject(Arena *arena, Value *subject);
void default_device_request(Arena *arena, Value *request);
void default_device_taint(Arena *arena, Value *taint);
void default_hpa_v2(Arena *arena, Value *hpa);
/* The metric of autoscalers that name none: a resource metric of v2, of that share of the processors asked for. */
#define DEFAULT_CPU_UTILIZATION 80
Value *cpu_metric(Arena *arena, int64_t share);
void default_hpa_behavior(Arena *arena, Value *behavior); /* spec.behavior; NULL and null stay */
void default_crd(Arena *arena, Value *crd);
