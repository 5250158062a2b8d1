/* One sync of a DaemonSet, shared by the files that do its parts. Inside controllers only. */
#pragma once

#include "base/backoff.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/workqueue.h"
#include "controllers/expectations.h"
#include "controllers/pods.h"
#include "controllers/revisions.h"

#define DAEMON_HASH_LABEL "controller-revision-hash"

typedef struct DaemonSets {
    Client *client;
    EventRecorder *events;
    Informer *sets, *pods, *nodes, *revisions;
    WorkQueue *queue;
    Expectations *expectations;
    Backoff *failures; /* of pods, by set and node */
} DaemonSets;

typedef struct DaemonPod {
    PodInfo info; /* holds a reference */
    const char *node, *hash;
} DaemonPod;

typedef struct DaemonNode {
    Object *object;
    bool should_run, should_continue;
    DaemonPod **pods; /* bound ones first, then the oldest; without those that have ended and are being deleted */
    size_t n_pods;
} DaemonNode;

typedef struct DaemonSync {
    DaemonSets *all;
    const char *key;
    Arena *arena;
    Object *set;
    Value *value, *spec;
    ClientList node_list;
    DaemonNode *nodes; /* as many as in node_list */
    DaemonPod *pods;
    size_t n_pods;
    Revisions revisions;
    const char *hash;
    int64_t min_ready, now_ns;
    size_t created, deleted;
} DaemonSync;

/* daemonset_pods.c */
/* AddOrUpdateDaemonPodTolerations */
void daemon_add_tolerations(Arena *arena, Value *pod_spec);
bool daemon_pod_available(const DaemonSync *sync, const DaemonPod *pod);
/* Brings the pods in line with the nodes, and then, once that took nothing, with the template. */
int daemon_act(DaemonSync *sync);
