/* What the kubelet's files share. Locks: Kubelet.lock guards the table of pods and the fields of Pod marked (K); fields
 * marked (W) belong to whoever syncs the pod, and the work queue lets one do so at a time. No call out of the kubelet
 * is made under the lock. */
#pragma once

#define LOG_COMPONENT "kubelet"
#include "base/log.h"

#include "base/clock.h"
#include "base/strmap.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/workqueue.h"
#include "http/server.h"
#include "base/backoff.h"
#include "kubelet/cgroups.h"
#include "kubelet/demand.h"
#include "kubelet/images/images.h"
#include "kubelet/kubelet.h"
#include "kubelet/pod_status.h"
#include "kubelet/qos.h"
#include "kubelet/thresholds.h"
#include "kubelet/volumes/volumes.h"
#include "loop/pool.h"

#include <pthread.h>
#include <stdatomic.h>

#define BACKOFF_FIRST_NS (10ll * 1000000000) /* of restarts and of image pulls */
#define BACKOFF_MAX_NS (300ll * 1000000000)

#define POD_WORKERS 8
#define STATUS_WORKERS 4
#define PROBE_WORKERS 512 /* started on demand: a probe that is held must not hold up those of other pods */
#define PULL_THREADS 4
#define KILL_THREADS 256 /* each waits for one container's grace period */
#define HOOK_THREADS 64
#define VOLUME_REFRESH_NS (60 * NS_PER_SEC)
#define STATUS_JSON_MAX (1024 * 1024)
#define PREFERRED_IMAGE_LIST 50 /* images in the node's status, as the reference */

#define NODE_WORKERS 4 /* one duty that takes long must not hold up the lease */
#define NODE_STATUS_EVERY_NS (10 * NS_PER_SEC)
#define IMAGE_GC_EVERY_NS (300 * NS_PER_SEC)

typedef enum PodEnding { POD_RUNS, POD_FINISHED, POD_DELETED } PodEnding;

typedef struct Waiting {
    char *reason, *message;
} Waiting;

/* Why the node ends a pod for its own or others' sake. */
typedef struct PodEviction {
    char *reason, *message;
    char *disruption; /* message of the condition DisruptionTarget; NULL: it was the pod's own doing */
    int64_t grace;    /* seconds at the most; negative: the pod's own */
} PodEviction;

/* What goes on for a pod beside its syncs, or what it came to until somebody looks. */
typedef struct PodTask { /* (K) */
    bool done;
    char *error; /* NULL: it went well, or is under way */
} PodTask;

typedef struct Pod {
    unsigned refs;                        /* (K) */
    char *uid, *ns, *name;                /* immutable */
    char *dir, *log_dir;                  /* immutable */
    Object *object;                       /* (K) the newest from the API server */
    bool removed;                         /* (K) gone from the API server */
    char *status_json, *sent_json;        /* (K) last computed, last accepted */
    bool holds;                           /* (K) it was let in, and something of it may run */
    PodDemand demand;                     /* (K) what it holds */
    bool waits_for_room;                  /* (K) a resize of it, or it for those that were ended for it */
    PodEviction *eviction;                /* (K) it is to be evicted; stays from then on */
    bool delete_ready;                    /* (K) nothing is left of it: the object may go */
    StrMap *kills;                        /* (K) container id -> Kill, while one is being ended */
    StrMap *pulls;                        /* (K) image -> PodTask */
    StrMap *hooks;                        /* (K) container id -> PodTask, while postStart runs or after it failed */
    StrMap *waiting;                      /* (W) container -> Waiting */
    StrMap *replaced;                     /* (W) container -> id of the one that was ended for its successor's sake */
    bool prepared, volumes_ready;         /* (W) */
    uint64_t volumes_at;                  /* (W) monotonic: last refresh */
    uint64_t mount_delay_ns;              /* (W) */
    char *failed_reason, *failed_message; /* (W) ends as Failed */
    bool preempts;                        /* (W) it is let in once there is room */
    bool evicted;                         /* (W) `eviction` is why it ends */
    PodEnding ending;                     /* (W) */
    uint64_t end_started;                 /* (W) monotonic */
    bool torn_down;                       /* (W) */
    bool admitted, rejected;              /* (W) */
    char *sandbox_error;                  /* (W) last one, to say it once */
    bool record_loaded;                   /* (W) */
    char *record;                         /* (W) what was allocated and given since the start: resize.c */
    ResizeConditions resize;              /* (W) strings owned */
} Pod;

struct Kubelet {
    KubeletConfig config; /* strings owned */
    char *node_ip, *host_name;
    int64_t cpus;
    uint64_t memory, disk;
    NodeAmounts for_pods; /* what is not reserved */
    int limit_error;      /* (node queue) of kubepods' limits, as last set; 0: they hold */
    char *machine_id, *boot_id, *system_uuid, *kernel, *os_image, *runtime_version;
    Client *client;
    Runtime *runtime;
    ImageStore *images;
    Cgroups *cgroups;
    TokenCache *tokens;
    EventRecorder *events;
    Backoff *restarts, *image_backoff;
    InformerSet *informers;
    Informer *pods_informer, *services_informer, *nodes_informer;
    Loop *loop;
    pthread_t loop_thread;
    bool loop_running;
    WorkQueue *pod_queue, *status_queue, *node_queue, *probe_queue;
    Pool *pull_pool, *kill_pool, *hook_pool, *request_pool;
    HttpServer *server;
    struct Delegate *auth; /* server_auth.h */
    struct ProbeTable *probes;
    struct Eviction *eviction;
    struct ImageGc *image_gc;
    Object *node_ref; /* (K) what events about the node name */
    pthread_mutex_t lock;
    StrMap *pods;            /* (K) uid -> Pod */
    int64_t burstable_milli; /* (K) CPU that burstable pods hold: the share of their cgroup */
    StrMap *sandbox_owner;   /* (K) sandbox id -> uid (owned string) */
    atomic_bool stopping;
    atomic_int syncs;    /* pod syncs under way */
    atomic_int requests; /* of the server, on request_pool */
    uint64_t started_at;
};

#define RES(k_plural) resource_find("", "v1", k_plural)

/* pods.c: the table */
Pod *pod_get(Kubelet *k, const char *uid); /* a reference or NULL */
Pod *pod_ref(Kubelet *k, Pod *p);
void pod_unref(Kubelet *k, Pod *p);
void pod_eviction_free(PodEviction *eviction);
/* What the API server says of a pod now. As it stands in the table; NULL: it is gone, and was not known. */
Pod *pods_set(Kubelet *k, Object *object, bool removed, bool *ret_fresh);
Object *pod_object(Kubelet *k, Pod *p, bool *ret_removed);
Pod *pod_find(Kubelet *k, const char *ns, const char *name); /* by name, the newest; a reference or NULL */
void pod_remember_sandbox(Kubelet *k, Pod *p, const char *sandbox_id);
void pod_drop(Kubelet *k, Pod *p);
void pod_set_waiting(Pod *p, const char *container, const char *reason, const char *message);

/* What the runtime has of one pod, newest first. */
typedef struct PodRuntime {
    SandboxStatus *sandboxes;
    size_t n_sandboxes;
    ContainerStatus *containers;
    size_t n_containers;
} PodRuntime;
int pod_runtime_load(Kubelet *k, const Pod *p, PodRuntime *ret);
void pod_runtime_done(PodRuntime *rt);
const SandboxStatus *pod_runtime_sandbox(const PodRuntime *rt); /* the newest when it is ready, else NULL */
const ContainerStatus *pod_runtime_find(const PodRuntime *rt, const char *container);

/* One sync's working set. */
typedef struct PodSync {
    Kubelet *k;
    Pod *p;
    Arena *arena;
    Object *object;
    Value *pod;
    const Value *old_status;
    Value *record; /* of resizes; NULL: none, or not read yet */
    PodRuntime rt;
    PodFacts facts;
    uint64_t again_ns; /* sync again after so long; 0: no need */
    bool changed;      /* the runtime was changed: look again */
} PodSync;

static inline void sync_again(PodSync *s, uint64_t delay_ns) {
    if (!s->again_ns || delay_ns < s->again_ns)
        s->again_ns = MAX(delay_ns, (uint64_t)1);
}

int pod_sync(const char *key, void *userdata); /* pod_worker.c; the queue's function */
void pod_run_step(PodSync *s);                 /* pod_run.c */
/* pod_run.c: a container was ended to be started anew, and its successor was not tried yet. For the reference that is
 * one sync: the status tells of nothing in between. */
bool pod_replaces_container(const PodSync *s);
void pod_end_step(PodSync *s);                                                                         /* pod_end.c */
void kill_container(PodSync *s, const ContainerStatus *c, int64_t grace_seconds, const char *message); /* pod_end.c */
bool kill_pending(Kubelet *k, Pod *p, const char *container_id);
/* Starts to end what runs: sidecars once the others are gone. grace < 0: the pod's. False when nothing runs. */
bool pod_kill_containers(PodSync *s, int64_t grace);
/* container_start.c: 0 started, -EAGAIN not yet (a reason to wait is set), others failed (a reason is set). */
int container_launch(PodSync *s, const SandboxStatus *sandbox, const Value *container, ContainerKind kind);
char *image_volume_lease(Arena *arena, const char *uid, const char *volume); /* of a volume that is an image */
void kubelet_source(Kubelet *k, ObjectSource *ret);                          /* object_source.c */

/* admission.c: what the pods hold of the node. Any thread. */
/* Asked before anything of the pod exists: false while the node is not known or others end to make room (the pod is
 * queued again); a pod that is turned away has a failed_reason. */
bool pod_admit(PodSync *s);
void pod_hold(Kubelet *k, Pod *p, const Value *pod); /* without asking */
/* If an agent before this one let it in: what it holds must count from the start, before new pods are asked in. */
void pod_hold_known(Kubelet *k, Pod *p, const Object *object);
void pod_release(Kubelet *k, Pod *p);
/* Holds what the changed pod asks for; false, and a sentence in the arena, when the others leave too little. */
bool pod_hold_resized(PodSync *s, const Value *desired, const char **ret_message);
void room_was_made(Kubelet *k); /* who waits for some is queued */

/* resize.c: in-place resize */
#define RESOURCES_ANNOTATION "lighter.io/resources" /* what a container or a pod was allocated when made, as JSON */
#define GIVEN_ANNOTATION "lighter.io/given"         /* and, of a container, with the limits it has from its pod */
/* What was asked for and what was let in may differ: makes s->pod the latter, having let in (while it runs) what there
 * is room for. */
void resize_consider(PodSync *s, bool runs);
/* Gives what runs what it was allocated. False: it did not work, and the pod is queued again. */
bool resize_step(PodSync *s, const SandboxStatus *sandbox);
/* Must it restart to get what it was allocated? */
bool resize_wants_restart(PodSync *s, const Value *container, const ContainerStatus *c);
const Value *resize_given(PodSync *s, const ContainerStatus *c); /* NULL: as its definition says */

/* container_spec.c */
const char *resources_json(Arena *arena, const Value *resources); /* in the arena */
/* The part of a ContainerSpec that can change while it runs. */
void container_resources_build(PodSync *s, const Value *container, ContainerSpec *out);
int container_spec_build(PodSync *s, const SandboxStatus *sandbox, const Value *container, const Image *image,
                         uint32_t attempt, ContainerSpec *ret, const char **ret_error);
char *termination_log_path(Arena *arena, const Pod *p, const char *container, uint32_t attempt);
int sandbox_spec_build(PodSync *s, uint32_t attempt, SandboxSpec *ret);

/* image_puller.c: 0 with an image, -EINPROGRESS while it is pulled, else *ret_reason and *ret_message (arena). */
int image_ensure(PodSync *s, const Value *container, Image **ret, const char **ret_reason, const char **ret_message);
/* A pull for it runs, or its result was not used yet: this start has been let through already. */
bool image_awaited(Kubelet *k, Pod *p, const char *image);

#define HANDLER_WARNED 1
/* lifecycle.c: runs a hook or probe handler; blocking. 0: it went well; HANDLER_WARNED: it did, and the sentence says
 * what was odd (a probe's alone); -EINVAL: it could not be run at all, so that nothing is known of the container;
 * others: it failed. */
int handler_run(Kubelet *k, const Value *pod, const Value *container, const char *container_id, const Value *handler,
                const char *pod_ip, uint64_t timeout_ns, char **ret_error);
void hook_start(PodSync *s, const Value *container, const char *container_id, const char *pod_ip);
bool hook_pending(Kubelet *k, Pod *p, const char *container_id);
const char *hook_failure(PodSync *s, const char *container_id);
/* http_handler.c: the httpGet of either, results as handler_run's. */
int http_handler_run(Kubelet *k, const Value *container, const Value *get, const char *pod_ip, uint64_t timeout_ns,
                     bool hook, char **ret_error);
/* As handler_run with a hook's rules (any HTTP answer will do); the sentence names hook, container and pod. */
int hook_run(Kubelet *k, const Value *pod, const Value *container, const char *container_id, const Value *handler,
             const char *pod_ip, uint64_t timeout_ns, char **ret_error);

/* status_manager.c */
void status_publish(Kubelet *k, Pod *p, Value *status);
int status_sync(const char *key, void *userdata);

/* node_status.c */
int node_facts_load(Kubelet *k, char **ret_error);
void node_facts_done(Kubelet *k);
int node_status_sync(Kubelet *k);
/* What pods may ask for. */
void node_allocatable(const Kubelet *k, int64_t *ret_cpu_milli, int64_t *ret_memory, int64_t *ret_disk);
/* Limits all pods together to what is not reserved; on failure again with the next housekeeping. */
void node_limit_pods(Kubelet *k);

int node_sync(const char *key, void *userdata); /* node_duties.c; the queue's function */

/* node_usage.c */
typedef struct NodeMemory { /* bytes */
    uint64_t total, available, unused, anonymous;
} NodeMemory;
void node_memory_read(NodeMemory *ret); /* zeros when it cannot be read */
/* How many processes and threads there may be, and how many there are. False: not known. */
bool node_pids_read(uint64_t *ret_most, uint64_t *ret_running);

/* eviction.c: pods that take more than they may, and a node that runs short */
/* Has the pod end; strings are copied. Only the first call counts. */
void pod_evict(Kubelet *k, Pod *p, const PodEviction *why);
struct Eviction *eviction_new(const KubeletConfig *config, char **ret_error);
void eviction_free(struct Eviction *e);
/* What hard thresholds keep free of the memory and of the pods' disk. */
void eviction_kept(const struct Eviction *e, uint64_t memory, uint64_t disk, int64_t *ret_memory, int64_t *ret_disk);
bool eviction_pressure(const struct Eviction *e, Pressure pressure); /* any thread */
int eviction_sync(Kubelet *k);
/* Why a new pod must not come while the node is short (in the arena); NULL: it may. */
const char *eviction_refusal(PodSync *s);

/* image_gc.c */
struct ImageGc *image_gc_new(void);
void image_gc_free(struct ImageGc *gc);
int image_gc_sync(Kubelet *k);                        /* when the disk is fuller than the high threshold */
int image_gc_unused(Kubelet *k, uint64_t *ret_bytes); /* every image that nothing uses */

/* housekeeping.c */
int housekeeping(Kubelet *k);
int adopt(Kubelet *k);

/* probes.c */
struct ProbeTable *probes_new(void);
void probes_free(struct ProbeTable *t);
void probes_follow(PodSync *s, const Value *container, const ContainerStatus *c);
void probes_forget(Kubelet *k, const char *uid);
int probe_sync(const char *key, void *userdata);
void probes_metrics(Kubelet *k, Buf *out); /* Prometheus text: what they came to, and how long they took */
bool probes_started(Kubelet *k, const char *uid, const char *container, const char *id);
bool probes_ready(Kubelet *k, const char *uid, const char *container, const char *id);
/* "liveness" or "startup" when a probe condemned this container; NULL otherwise. */
const char *probes_condemned(Kubelet *k, const char *uid, const char *container, const char *id);

/* server.c */
static inline uint16_t server_port(const Kubelet *k) {
    return k->server ? http_server_port(k->server) : 0;
}
int kubelet_server_start(Kubelet *k, char **ret_error);
void kubelet_server_stop(Kubelet *k); /* k->stopping is set: waits for the requests under way */
