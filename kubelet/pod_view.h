/* Reading a v1 Pod tree: the questions every part of the kubelet asks. Everything is borrowed from the tree. */
#pragma once

#include "api/object.h"

typedef enum ContainerKind { CONTAINER_REGULAR, CONTAINER_INIT, CONTAINER_EPHEMERAL } ContainerKind;

const char *pod_ns(const Value *pod);
const char *pod_name(const Value *pod);
const char *pod_uid(const Value *pod);
static inline const Value *pod_containers(const Value *pod) {
    return value_path(pod, "spec", "containers", NULL);
}
static inline const Value *pod_init_containers(const Value *pod) {
    return value_path(pod, "spec", "initContainers", NULL);
}
static inline const Value *pod_ephemeral_containers(const Value *pod) {
    return value_path(pod, "spec", "ephemeralContainers", NULL);
}
const Value *pod_containers_of(const Value *pod, ContainerKind kind);
/* NULL when there is none of that name. ret_kind may be NULL. */
const Value *pod_find_container(const Value *pod, const char *name, ContainerKind *ret_kind);
/* An init container with restartPolicy Always. Meaningful for init containers only. */
bool container_is_sidecar(const Value *container);
/* Would a container that ended with this code be started again (podutil.ContainerShouldRestart)? */
bool container_should_restart(const Value *pod, const Value *container, int exit_code);
const char *pod_restart_policy(const Value *pod); /* "Always" unless set */
bool pod_host_network(const Value *pod);
bool pod_is_deleting(const Value *pod);
int64_t
pod_grace_seconds(const Value *pod); /* deletionGracePeriodSeconds, else terminationGracePeriodSeconds, else 30 */
bool phase_is_terminal(const char *phase);
bool pod_is_static(const Value *pod); /* came from a file of this node */
#define SYSTEM_CRITICAL_PRIORITY 2000000000
bool pod_is_critical(const Value *pod); /* the node must run it: of a file, or of such a priority */
/* What of a container's definition makes a restart necessary when it changes: name and image. 8 hex digits. */
char *container_hash(Arena *arena, const Value *container);
/* spec.containers{name}, spec.initContainers{name}, spec.ephemeralContainers{name} for events. */
char *container_field_path(Arena *arena, const Value *pod, const char *name);
/* "name_namespace(uid)", the reference's format.Pod. */
char *pod_format(Arena *arena, const Value *pod);
/* The status of that name in status[list]; NULL when absent. */
const Value *status_find(const Value *list, const char *name);
/* The condition of that type in a list; NULL when absent. */
const Value *condition_find(const Value *conditions, const char *type);
/* A port of the container by number or name (IntOrString); 0 when there is none. */
uint16_t container_port(const Value *container, const Value *int_or_string);
