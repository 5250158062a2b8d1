#define LOG_COMPONENT "scheduler"
#include "scheduler/scheduler.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "client/informer.h"
#include "loop/pool.h"
#include "scheduler/metrics.h"
#include "scheduler/outcome.h"
#include "scheduler/pod_request.h"
#include "scheduler/queue.h"
#include "scheduler/resource_metrics.h"

/* News for the scheduler thread: from informers (a kind's object came, changed or went) and from the pool. */
typedef enum NewsKind { NEWS_POD, NEWS_NODE, NEWS_NAMESPACE, NEWS_BIND_FAILED } NewsKind;

typedef struct News {
    struct News *next;
    NewsKind kind;
    bool deleted;
    Object *object; /* reference */
} News;

struct Scheduler {
    Client *client;
    const char *name;
    InformerSet *informers;
    Informer *pods, *nodes;
    EventRecorder *events;
    Pool *binders;
    SchedulerMetrics *metrics;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows up to `queue` */
    pthread_cond_t wake;
    News *first, **last;
    bool stopping;
    /* The scheduler thread's own. */
    SchedulingQueue *queue;
    Placement *placement;
};

static void tell(Scheduler *s, NewsKind kind, bool deleted, Object *object) {
    News *news = NEW0(News);
    *news = (News){.kind = kind, .deleted = deleted, .object = object_ref(object)};
    pthread_mutex_lock(&s->lock);
    *s->last = news;
    s->last = &news->next;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

#define HANDLERS(name, news_kind)                                                                                      \
    static void name##_added(Object *object, void *userdata) {                                                         \
        tell(userdata, news_kind, false, object);                                                                      \
    }                                                                                                                  \
    static void name##_updated(_unused_ Object *old, Object *object, void *userdata) {                                 \
        tell(userdata, news_kind, false, object);                                                                      \
    }                                                                                                                  \
    static void name##_deleted(Object *object, void *userdata) {                                                       \
        tell(userdata, news_kind, true, object);                                                                       \
    }                                                                                                                  \
    static const InformerHandler name##_handler = {name##_added, name##_updated, name##_deleted};

HANDLERS(pod, NEWS_POD)
HANDLERS(node, NEWS_NODE)
HANDLERS(namespace, NEWS_NAMESPACE)

static bool pod_is_terminal(const Object *pod) {
    const char *phase = str_or(object_field(pod, "status.phase"), "");
    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

static void pod_gone(Scheduler *s, const Object *pod) {
    queue_remove(s->queue, object_uid(pod));
    if (placement_remove_resident(s->placement, object_uid(pod)))
        queue_cluster_changed(s->queue);
}

static void pod_news(Scheduler *s, Object *pod, bool deleted) {
    const char *node = str_or(object_field(pod, "spec.nodeName"), "");
    if (deleted || pod_is_terminal(pod)) {
        pod_gone(s, pod);
        return;
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (*node) {
        queue_remove(s->queue, object_uid(pod));
        placement_add_resident(s->placement, pod_request_new(s->placement, object_value(pod, arena)), node);
        /* A newcomer may be the one another pod wants to be near; one that leaves makes room soon. */
        queue_cluster_changed(s->queue);
        return;
    }
    if (!streq(str_or(object_field(pod, "spec.schedulerName"), SCHEDULER_NAME), s->name) || object_is_deleting(pod)) {
        queue_remove(s->queue, object_uid(pod));
        return;
    }
    if (placement_resident_node(s->placement, object_uid(pod)))
        return; /* assumed: its binding is under way */
    const Value *spec = value_get(object_value(pod, arena), "spec");
    if (value_len(value_get(spec, "schedulingGates")) > 0)
        queue_put_gated(s->queue, pod);
    else
        queue_put(s->queue, pod, (int32_t)value_get_int(spec, "priority", 0));
}

static void node_news(Scheduler *s, const Object *node, bool deleted) {
    if (deleted)
        placement_remove_node(s->placement, object_name(node));
    else {
        _cleanup_arena_ Arena *arena = arena_new(0);
        node_row_set(s->placement, object_value(node, arena));
    }
    queue_cluster_changed(s->queue);
}

static void bind_failed(Scheduler *s, Object *pod) {
    placement_remove_resident(s->placement, object_uid(pod));
    Object *live = informer_lookup_uid(s->pods, object_uid(pod));
    if (live && str_empty(object_field(live, "spec.nodeName")))
        queue_put_failed(s->queue, live, 0, now_monotonic_ns());
    object_unref(live);
}

static void hear(Scheduler *s, News *news) {
    switch (news->kind) {
    case NEWS_POD:
        pod_news(s, news->object, news->deleted);
        break;
    case NEWS_NODE:
        node_news(s, news->object, news->deleted);
        break;
    case NEWS_NAMESPACE:
        if (news->deleted)
            placement_set_namespace(s->placement, object_name(news->object), NULL, 0);
        else
            namespace_row_set(s->placement, news->object);
        break;
    case NEWS_BIND_FAILED:
        bind_failed(s, news->object);
        break;
    }
}

/* What a pool thread does for one pod. */
typedef struct Job {
    Scheduler *scheduler;
    Object *pod;
    char *node;       /* bind here, or where victims are */
    char *message;    /* unschedulable: why */
    Object **victims; /* references */
    size_t n_victims;
    uint64_t began_ns; /* the attempt */
    QueueAttempts attempts;
} Job;

static void job_free(Job *job) {
    for (size_t i = 0; i < job->n_victims; i++)
        object_unref(job->victims[i]);
    object_unref(job->pod);
    free(job->victims);
    free(job->node);
    free(job->message);
    free(job);
}

static void bind_job(void *userdata) {
    Job *job = userdata;
    Scheduler *s = job->scheduler;
    _cleanup_api_error_ ApiError err = {0};
    int r = outcome_bind(s->client, s->events, job->pod, job->node, &err);
    if (r < 0) {
        if (r != -ENOENT)
            log_warn("cannot bind pod %s/%s to node %s: %s", object_namespace(job->pod), object_name(job->pod),
                     job->node, str_or(err.message, strerror(-r)));
        tell(s, NEWS_BIND_FAILED, false, job->pod);
    }
    uint64_t now = now_monotonic_ns();
    scheduler_metrics_attempt(s->metrics, r < 0 ? ATTEMPT_ERROR : ATTEMPT_SCHEDULED, now - job->began_ns);
    if (r >= 0)
        scheduler_metrics_bound(s->metrics, job->attempts.n, now - job->attempts.first_ns);
    job_free(job);
}

static void unschedulable_job(void *userdata) {
    Job *job = userdata;
    Scheduler *s = job->scheduler;
    for (size_t i = 0; i < job->n_victims; i++) {
        int r = outcome_preempt(s->client, s->events, job->victims[i], job->pod, job->node);
        if (r < 0)
            log_warn("cannot preempt pod %s/%s: %s", object_namespace(job->victims[i]), object_name(job->victims[i]),
                     strerror(-r));
    }
    outcome_unschedulable(s->client, s->events, job->pod, "Unschedulable", job->message, job->node);
    job_free(job);
}

static void submit(Scheduler *s, Job *job, void (*work)(void *)) {
    job->scheduler = s;
    while (pool_submit(s->binders, work, job) == -EAGAIN) { /* back-pressure: the API server is slower than decisions */
        struct timespec pause = {.tv_nsec = (long)NS_PER_MS};
        nanosleep(&pause, NULL);
    }
}

/* Claims that cannot be mounted anywhere hold the pod back before any node is looked at. NULL: nothing in the way. */
static char *claims_in_the_way(Scheduler *s, Arena *arena, const Value *pod) {
    const Resource *claims = resource_find("", "v1", "persistentvolumeclaims");
    const char *ns = value_get_str(value_get(pod, "metadata"), "namespace");
    const Value *volume;
    VALUE_FOREACH (volume, value_path(pod, "spec", "volumes", NULL)) {
        const char *name = value_get_str(value_get(volume, "persistentVolumeClaim"), "claimName");
        if (!name && value_get(volume, "ephemeral"))
            name = arena_printf(arena, "%s-%s", value_get_str(value_get(pod, "metadata"), "name"),
                                value_get_str(volume, "name"));
        if (!name)
            continue;
        _cleanup_object_ Object *claim = NULL;
        if (client_get(s->client, claims, ns, name, &claim, NULL) < 0)
            return arena_printf(arena, "persistentvolumeclaim \"%s\" not found", name);
        if (object_is_deleting(claim))
            return arena_printf(arena, "persistentvolumeclaim \"%s\" is being deleted", name);
        if (str_empty(value_get_str(value_get(object_value(claim, arena), "spec"), "volumeName")))
            return arena_strdup(arena, "pod has unbound immediate PersistentVolumeClaims");
    }
    return NULL;
}

static void reject(Scheduler *s, Object *pod, const PlacementRequest *request, const PlacementDecision *decision,
                   const char *obstacle, Arena *arena) {
    Job *job = NEW0(Job);
    job->pod = object_ref(pod);
    PlacementPreemption preemption = {.message = "preemption: not eligible"};
    if (decision->n_nodes == 0 && !obstacle)
        job->message = xstrdup("no nodes available to schedule pods");
    else {
        placement_preempt(s->placement, request, decision, arena, &preemption);
        scheduler_metrics_preemption(s->metrics, preemption.n_victims);
        const char *why = obstacle ? arena_printf(arena, "0/%zu nodes are available: %s.", decision->n_nodes, obstacle)
                                   : placement_explain(arena, decision);
        job->message =
            preemption.node ? xstrdup(why) : xasprintf("%s no new claims to deallocate, %s", why, preemption.message);
    }
    job->node = xstrdup(preemption.node);
    job->victims = NEWN0(Object *, preemption.n_victims);
    for (size_t i = 0; i < preemption.n_victims; i++) {
        Object *victim = informer_lookup_uid(s->pods, preemption.victims[i]);
        if (victim)
            job->victims[job->n_victims++] = victim;
    }
    queue_put_unschedulable(s->queue, pod, request->priority, now_monotonic_ns());
    submit(s, job, unschedulable_job);
}

static void schedule_one(Scheduler *s, Object *pod) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *tree = object_value(pod, arena);
    PlacementRequest *request = pod_request_new(s->placement, tree);
    PlacementDecision decision = {.n_nodes = placement_node_count(s->placement)};
    char *obstacle = claims_in_the_way(s, arena, tree);
    uint64_t seed, began = now_monotonic_ns();
    random_bytes(&seed, sizeof seed);
    if (!obstacle)
        placement_decide(s->placement, request, seed, arena, &decision);
    if (!decision.node) {
        reject(s, pod, request, &decision, obstacle, arena);
        scheduler_metrics_attempt(s->metrics, ATTEMPT_UNSCHEDULABLE, now_monotonic_ns() - began);
        placement_request_free(request);
        return;
    }
    Job *job = NEW0(Job);
    job->pod = object_ref(pod);
    job->node = xstrdup(decision.node);
    job->began_ns = began;
    job->attempts = queue_attempts(s->queue, object_uid(pod));
    scheduler_metrics_decided(s->metrics, now_monotonic_ns() - began);
    placement_add_resident(s->placement, request, decision.node);
    submit(s, job, bind_job);
}

/* Waits for news, or for a pod whose back-off ends. */
static News *await_news(Scheduler *s, bool *ret_stopping) {
    uint64_t due = queue_next_due(s->queue), now = now_monotonic_ns();
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping && due > now) {
        if (due == UINT64_MAX)
            pthread_cond_wait(&s->wake, &s->lock);
        else {
            struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
            if (pthread_cond_timedwait(&s->wake, &s->lock, &until) == ETIMEDOUT)
                break;
        }
    }
    News *news = s->first;
    s->first = NULL;
    s->last = &s->first;
    *ret_stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return news;
}

/* Before both are known, every pod would seem to have no room. */
static bool may_decide(const Scheduler *s) {
    return informer_synced(s->pods) && informer_synced(s->nodes);
}

static void *run(void *userdata) {
    Scheduler *s = userdata;
    bool stopping = false;
    while (!stopping) {
        News *news = await_news(s, &stopping);
        for (News *next; news; news = next) {
            next = news->next;
            if (!stopping)
                hear(s, news);
            object_unref(news->object);
            free(news);
        }
        Object *pod = stopping || !may_decide(s) ? NULL : queue_pop(s->queue, now_monotonic_ns());
        if (pod)
            schedule_one(s, pod);
        object_unref(pod);
        scheduler_metrics_state(s->metrics, queue_depths(s->queue), placement_node_count(s->placement),
                                placement_resident_count(s->placement));
    }
    return NULL;
}

static void subscribe(Scheduler *s, const char *plural, const InformerHandler *handler, Informer **ret) {
    Informer *informer = informer_get(s->informers, resource_find("", "v1", plural), NULL, NULL);
    informer_add_handler(informer, handler, s);
    if (ret)
        *ret = informer;
}

int scheduler_start(const SchedulerConfig *config, Scheduler **ret) {
    Scheduler *s = NEW0(Scheduler);
    pthread_condattr_t attributes;
    s->client = config->client;
    s->name = config->name ? config->name : SCHEDULER_NAME;
    s->last = &s->first;
    s->queue = queue_new();
    s->metrics = scheduler_metrics_new(s->name);
    s->placement = placement_new();
    s->events = event_recorder_new(config->client, s->name, config->host);
    s->binders = pool_new("binder", SCHEDULER_BINDERS, 1024);
    s->informers = informer_set_new(config->client);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    subscribe(s, "nodes", &node_handler, &s->nodes);
    subscribe(s, "namespaces", &namespace_handler, NULL);
    subscribe(s, "pods", &pod_handler, &s->pods);
    int r = pthread_create(&s->thread, NULL, run, s);
    if (r != 0)
        abort(); /* no thread at start: the system is out of memory */
    informer_set_start(s->informers);
    *ret = s;
    return 0;
}

bool scheduler_synced(const Scheduler *s) {
    return may_decide(s);
}

void scheduler_write_metrics(Scheduler *s, Buf *out) {
    scheduler_metrics_write(s->metrics, out);
}

void scheduler_write_resources(Scheduler *s, Buf *out) {
    _cleanup_client_list_ ClientList pods = {0};
    informer_list(s->pods, NULL, NULL, &pods);
    resource_metrics_write(&pods, out);
}

void scheduler_stop(Scheduler *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pool_free(s->binders);
    informer_set_free(s->informers);
    event_recorder_free(s->events);
    for (News *next; s->first; s->first = next) {
        next = s->first->next;
        object_unref(s->first->object);
        free(s->first);
    }
    queue_free(s->queue);
    scheduler_metrics_free(s->metrics);
    placement_free(s->placement);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s);
}
