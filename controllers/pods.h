/* What controllers of pods share: reading a pod's state, making and deleting pods with the events the reference sends,
 * choosing which to delete. */
#pragma once

#include "client/client.h"
#include "client/events.h"

typedef struct PodInfo {
    Object *object;   /* borrowed */
    const char *node; /* "" when unassigned; borrowed from the object */
    const char *phase;
    bool deleting, ready;
    int64_t ready_since_ns; /* lastTransitionTime of Ready; 0 when not ready */
    int64_t created_ns;
    int64_t deletion_cost;              /* controller.kubernetes.io/pod-deletion-cost */
    int64_t restarts, sidecar_restarts; /* the most of any container; of restartable init containers */
    int64_t rank;                       /* pods of the same group on its node; set by the caller */
} PodInfo;

void pod_info_read(Object *pod, PodInfo *ret);
/* Neither finished nor being deleted. */
bool pod_is_active(const PodInfo *pod);
bool pod_is_finished(const char *phase);
/* Available: ready for at least `min_ready_seconds`. *ret_wait_ns (may be NULL): how long until it will be, when it is
 * ready and not yet available; else 0. */
bool pod_is_available(const PodInfo *pod, int64_t min_ready_seconds, int64_t now_ns, int64_t *ret_wait_ns);
/* Which of two goes first when a controller scales down (ActivePodsWithRanks): < 0 when a does. */
int pod_deletion_compare(const PodInfo *a, const PodInfo *b, int64_t now_ns);
/* Sorts so that those to delete come first. */
void pod_deletion_sort(PodInfo *pods, size_t n, int64_t now_ns);

/* A pod of the template, owned by `owner`; name NULL: generateName from the owner's. */
Value *pod_from_template(Arena *arena, const Value *template, const Object *owner, const char *name);
/* Creates it and records SuccessfulCreate or FailedCreate about the owner. *ret may be NULL. */
int pod_create(Client *client, EventRecorder *events, const Object *owner, const Value *pod, Object **ret,
               ApiError *err);
/* Deletes and records SuccessfulDelete or FailedDelete. -ENOENT (no event) when it is gone. */
int pod_delete(Client *client, EventRecorder *events, const Object *owner, const char *name, ApiError *err);
bool error_is_namespace_terminating(const ApiError *err);
