/* One sync of a Deployment, shared by the files that do its parts. Inside controllers only. */
#pragma once

#include "client/events.h"
#include "client/informer.h"
#include "client/workqueue.h"

#define REVISION_ANNOTATION "deployment.kubernetes.io/revision"
#define REVISION_HISTORY_ANNOTATION "deployment.kubernetes.io/revision-history"
#define DESIRED_REPLICAS_ANNOTATION "deployment.kubernetes.io/desired-replicas"
#define MAX_REPLICAS_ANNOTATION "deployment.kubernetes.io/max-replicas"
#define POD_TEMPLATE_HASH_LABEL "pod-template-hash"

typedef struct ReplicaView {
    Value *value; /* the whole object, in the sync's arena */
    const char *name, *uid;
    int64_t created_ns;
    bool deleting;
    int64_t replicas;                 /* spec */
    int64_t actual, ready, available; /* status */
    int64_t observed, generation;
    int64_t terminating; /* -1: not reported */
} ReplicaView;

typedef struct Rollout {
    Client *client;
    EventRecorder *events;
    WorkQueue *queue;
    const char *key;
    Arena *arena;
    Object *object;
    Value *value, *spec; /* the deployment; value is what writes send */
    int64_t replicas;
    bool rolling;      /* strategy RollingUpdate */
    ReplicaView *sets; /* the oldest first; with room for one more */
    size_t n_sets;
    ReplicaView *new_set; /* one of sets, or NULL */
} Rollout;

/* deployment_math.c: pure. */
void replica_view_read(Value *replicaset, ReplicaView *ret);
int64_t deployment_max_surge(const Rollout *rollout);
int64_t deployment_max_unavailable(const Rollout *rollout);
/* How many pods the new set should have now. */
int64_t deployment_new_replicas(const Rollout *rollout, int64_t new_set_replicas);
/* Sums over all sets, or over those that are not the new one. */
int64_t deployment_sum_replicas(const Rollout *rollout, bool old_only);
int64_t deployment_sum_available(const Rollout *rollout);
/* What proportional scaling asks of each set: sizes[i] for sets[i]; -1 for sets without pods. */
void deployment_proportions(const Rollout *rollout, int64_t *sizes);
/* The set to scale when only one matters; NULL when there are several with pods, or none at all. */
ReplicaView *deployment_active_or_latest(const Rollout *rollout);
bool deployment_template_equal(Arena *arena, const Value *a, const Value *b); /* but for the hash label */
bool deployment_is_complete(const Rollout *rollout, const Value *status);
bool deployment_has_deadline(const Rollout *rollout);
int64_t deployment_revision_of(const Value *object); /* 0: none */

/* deployment_status.c */
Value *deployment_condition(Arena *arena, const char *type, const char *status, const char *reason,
                            const char *message);
void deployment_set_condition(Arena *arena, Value *status, Value *condition);
int deployment_write_status(Rollout *rollout);
int deployment_sync_status(Rollout *rollout);
int deployment_sync_rollout_status(Rollout *rollout);

/* deployment_rollout.c */
/* Finds or makes the new set and keeps its annotations and the revision. */
int deployment_sync_revision(Rollout *rollout, bool create);
int deployment_scale_set(Rollout *rollout, ReplicaView *set, int64_t to, bool force, bool *ret_scaled);
int deployment_scale(Rollout *rollout);
int deployment_clean_up(Rollout *rollout);
int deployment_roll(Rollout *rollout);
int deployment_recreate(Rollout *rollout, Informer *pods);
