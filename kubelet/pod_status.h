/* What a pod's status is, computed from its definition, its last status and what the runtime says: container statuses,
 * phase, conditions, in the words of the reference (kubelet_pods.go, status/generate.go, prober_manager.go). Pure: the
 * same input gives the same status, so that it can be computed again at any time. */
#pragma once

#include "kubelet/cgroups.h"
#include "kubelet/pod_view.h"
#include "kubelet/runtime/runtime.h"

/* Reasons of the reference that more than one file names. */
#define REASON_CONTAINER_CREATING "ContainerCreating"
#define REASON_POD_INITIALIZING "PodInitializing"
#define REASON_CRASH_LOOP "CrashLoopBackOff"
#define REASON_STATUS_UNKNOWN "ContainerStatusUnknown"

typedef struct WaitingReason { /* why a container could not be started last time */
    const char *container, *reason, *message;
} WaitingReason;

/* How an in-place resize stands (PodResizePending, PodResizeInProgress). Strings are owned by whoever keeps it. */
typedef struct ResizeConditions {
    char *pending_reason, *pending_message; /* NULL: none waits */
    int64_t pending_generation;
    bool in_progress;
    char *error; /* why it does not get on; NULL: it does */
    int64_t progress_generation;
} ResizeConditions;

typedef struct PodObservation {
    const ContainerStatus *containers; /* of all its sandboxes, newest first */
    size_t n_containers;
    const char *sandbox_id;                       /* the newest, when it is ready; NULL otherwise */
    const char *const *pod_ips, *const *host_ips; /* NULL-terminated; NULL: none */
    const char *runtime_name;                     /* of container IDs: NAME://id */
    const WaitingReason *waiting;
    size_t n_waiting;
    /* Of a running container. */
    bool (*started)(void *userdata, const char *container, const char *id);
    bool (*ready)(void *userdata, const char *container, const char *id);
    void *probe_data;
    /* What a running container has been given, when that may differ from its definition; NULL: it does not. */
    const Value *(*resources)(void *userdata, const ContainerStatus *container);
    void *resources_data;
    const ResizeConditions *resize; /* NULL: none */
    const PodCgroup *cgroup;        /* of the pod, as it is; NULL: there is none */
    bool terminal;                  /* the pod is ending and nothing of it runs any more */
    const char *disruption;         /* the node ended it for its own sake: what DisruptionTarget says; NULL: no */
    bool rejected;                  /* was never let in: the status has no containers */
    const char *failed_reason, *failed_message; /* ends as Failed (deadline, eviction, rejection); NULL: no */
    int64_t now_ns;
} PodObservation;

/* A whole v1 PodStatus in the arena. `old`: the last status (ours when newer than the API's). */
Value *pod_status_build(Arena *arena, const Value *pod, const Value *old, const PodObservation *observation);

/* The pieces, for tests and other users. `statuses`: init and regular container statuses in one array. */
const char *pod_phase(const Value *pod, const Value *statuses, bool terminal, bool initialized);
/* status.resources and status.allocatedResources: what the pod as a whole has and was allocated. */
void pod_resources_status(Arena *arena, const Value *pod, const Value *old, const PodCgroup *cgroup, Value *status);
/* The newest status of a container by name; NULL when the runtime has none. */
const ContainerStatus *observation_find(const PodObservation *observation, const char *container);
/* Would the next sync start it (kubecontainer.ShouldContainerBeRestarted)? */
bool container_will_start(const Value *pod, const Value *container, const ContainerStatus *status);
/* Was any regular container created in this sandbox? Then initialisation is over. */
bool pod_has_initialized(const Value *pod, const ContainerStatus *containers, size_t n, const char *sandbox_id);
/* Conditions with lastTransitionTime kept from `old` where the status did not change. */
void condition_set(Arena *arena, Value *conditions, const Value *old_conditions, const char *type, bool status,
                   const char *reason, const char *message, int64_t generation, int64_t now_ns);
