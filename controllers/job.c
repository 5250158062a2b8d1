/* Jobs: what wakes one, and the order of a sync. */
#define LOG_COMPONENT "job"
#include "controllers/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/claim.h"
#include "controllers/controller.h"
#include "controllers/meta.h"

#include <errno.h>
#include <pthread.h>

#define SYNC_WORKERS 4
#define MANAGED_BY "kubernetes.io/job-controller"

typedef struct Jobs {
    Client *client;
    EventRecorder *events;
    Informer *jobs, *pods;
    WorkQueue *queue;
    Expectations *pod_writes, *job_writes;
    pthread_mutex_t lock;
    StrMap *backoffs; /* key to JobBackoff */
} Jobs;

static void remove_orphan_finalizer(Jobs *all, const Object *pod) {
    if (!object_has_finalizers(pod))
        return;
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (has_finalizer(object_value(pod, arena), JOB_FINALIZER))
        workqueue_add(all->queue, arena_printf(arena, "-%s/%s", object_namespace(pod), object_name(pod)));
}

static void pod_changed(Object *pod, void *userdata) {
    Jobs *all = userdata;
    _cleanup_object_ Object *job = controller_owner(all->jobs, pod);
    if (job)
        controller_enqueue(all->queue, job);
    else
        remove_orphan_finalizer(all, pod);
}

static void pod_updated(Object *old, Object *pod, void *userdata) {
    const OwnerRef *before = object_controller(old), *now = object_controller(pod);
    if (before && (!now || !streq(before->uid, now->uid)))
        pod_changed(old, userdata);
    pod_changed(pod, userdata);
}

static void pod_deleted(Object *pod, void *userdata) {
    Jobs *all = userdata;
    _cleanup_object_ Object *job = controller_owner(all->jobs, pod);
    if (job)
        controller_enqueue(all->queue, job);
}

static void job_changed(Object *job, void *userdata) {
    controller_enqueue(((Jobs *)userdata)->queue, job);
}

static void job_updated(_unused_ Object *old, Object *job, void *userdata) {
    job_changed(job, userdata);
}

static void job_deleted(Object *job, void *userdata) {
    Jobs *all = userdata;
    _cleanup_client_list_ ClientList pods = {0};
    controller_enqueue(all->queue, job);
    informer_list_controlled(all->pods, object_uid(job), &pods);
    for (size_t i = 0; i < pods.n; i++)
        remove_orphan_finalizer(all, pods.items[i]);
}

/* ---- the sync ---- */

static void read_spec(JobSync *job) {
    job->value = object_value(job->object, job->arena);
    job->spec = value_get(job->value, "spec");
    job->status = value_ensure_object(job->arena, job->value, "status");
    job->completions = value_get_int(job->spec, "completions", -1);
    job->parallelism = value_get_int(job->spec, "parallelism", 1);
    job->suspended = value_get_bool(job->spec, "suspend", false);
    job->indexed = streq(str_or(value_get_str(job->spec, "completionMode"), "NonIndexed"), "Indexed");
    job->per_index = job->indexed && value_get(job->spec, "backoffLimitPerIndex");
    const char *replacement = value_get_str(job->spec, "podReplacementPolicy");
    job->replace_failed_only =
        (replacement && streq(replacement, "Failed")) || value_get(job->spec, "podFailurePolicy") != NULL;
    if (job->indexed && job->completions < 0)
        job->completions = 0;
}

static int read_pods(Jobs *all, JobSync *job) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList owned = {0};
    label_selector_from_value(value_get(job->spec, "selector"), &selector);
    Claim claim = {.client = all->client,
                   .informer = all->pods,
                   .owner = job->object,
                   .selector = selector,
                   .finalizer = JOB_FINALIZER};
    int r = claim_owned(&claim, &owned);
    if (r < 0)
        return r;
    job->pods = arena_alloc0(job->arena, (owned.n + 1) * sizeof(JobPod));
    for (size_t i = 0; i < owned.n; i++)
        job_read_pod(job, owned.items[i], &job->pods[job->n_pods++]);
    return 0;
}

/* Pods that finished and are in no count yet, and the back-off that follows from them. */
static void count_new(JobSync *job) {
    int64_t new_failed = 0, last_success = 0, failures_after = 0, last_failure = 0;
    const char *message;
    for (size_t i = 0; i < job->n_pods; i++) {
        const JobPod *pod = &job->pods[i];
        job->active += pod_is_active(&pod->info);
        job->ready += pod_is_active(&pod->info) && pod->info.ready;
        job->terminating += pod->info.deleting && !pod_is_finished(pod->info.phase);
        if (!pod->tracked || (job->indexed && pod->index < 0))
            continue;
        if (streq(pod->info.phase, "Succeeded") && !job_is_uncounted(job, pod, "succeeded")) {
            job->succeeded++;
            last_success = MAX(last_success, pod->finished_ns);
        }
    }
    for (size_t i = 0; i < job->n_pods; i++) {
        const JobPod *pod = &job->pods[i];
        if (!pod->tracked || !pod->failed || (job->indexed && pod->index < 0) || job_is_uncounted(job, pod, "failed"))
            continue;
        if (job_failure_action(job, pod, &message) != JOB_POD_IGNORE)
            job->failed++;
        new_failed++;
        if (pod->finished_ns > last_success) {
            failures_after++;
            last_failure = MAX(last_failure, pod->finished_ns);
        }
    }
    if (last_success)
        job->backoff = (JobBackoff){failures_after, last_failure};
    else if (new_failed > 0)
        job->backoff = (JobBackoff){job->backoff.failures + new_failed, last_failure};
    const Value *uncounted = value_get(job->status, "uncountedTerminatedPods");
    job->succeeded +=
        value_get_int(job->status, "succeeded", 0) + (int64_t)value_len(value_get(uncounted, "succeeded"));
    job->failed += value_get_int(job->status, "failed", 0) + (int64_t)value_len(value_get(uncounted, "failed"));
}

static void set_suspended(JobSync *job) {
    if (job->suspended) {
        if (!job_set_condition(job, "Suspended", "True", "JobSuspended", "Job suspended"))
            return;
        value_remove(job->status, "startTime");
        event_record(job->events, job->object, NULL, "Normal", "Suspended", "Job suspended");
    } else {
        if (!job_set_condition(job, "Suspended", "False", "JobResumed", "Job resumed"))
            return;
        value_set(job->arena, job->status, "startTime", value_now(job->arena));
        event_record(job->events, job->object, NULL, "Normal", "Resumed", "Job resumed");
    }
    job->dirty = true;
}

/* Pods up or down, or all of them away when there is a verdict. */
static int act(JobSync *job) {
    if (job->verdict.type) {
        int64_t active = job->active, deleted = 0;
        int r = job_delete_active(job, &deleted);
        if (deleted != active)
            job->verdict = (JobVerdict){0};
        return r;
    }
    int r = 0;
    bool managed = !object_is_deleting(job->object);
    if (managed)
        r = job_manage(job);
    bool complete = job->completions < 0 ? job->succeeded > 0 && job->active == 0
                                         : job->succeeded >= job->completions && job->active == 0;
    if (complete)
        job->verdict =
            (JobVerdict){"SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"};
    else if (managed)
        set_suspended(job);
    return r;
}

static void set_counts(JobSync *job) {
    Arena *arena = job->arena;
    if (value_get_int(job->status, "active", 0) != job->active ||
        value_get_int(job->status, "ready", -1) != job->ready ||
        value_get_int(job->status, "terminating", -1) != job->terminating)
        job->dirty = true;
    value_set(arena, job->status, "active", job->active ? value_int(arena, job->active) : NULL);
    value_set_int(arena, job->status, "ready", job->ready);
    value_set_int(arena, job->status, "terminating", job->terminating);
}

static int sync_job(Jobs *all, JobSync *job, JobBackoff *backoff) {
    read_spec(job);
    const char *manager = value_get_str(job->spec, "managedBy");
    if ((manager && !streq(manager, MANAGED_BY)) || job_has_condition(job, "Complete") ||
        job_has_condition(job, "Failed"))
        return 0;
    job->backoff = *backoff;
    int r = read_pods(all, job);
    if (r < 0)
        return r;
    count_new(job);
    if (job->indexed)
        job_read_indexes(job);
    if (!value_get(job->status, "startTime") && !job->suspended) {
        value_set(job->arena, job->status, "startTime", value_now(job->arena));
        job->dirty = true;
    }
    job_judge(job);
    int manage_result = act(job);
    set_counts(job);
    r = job_track(job, backoff);
    return r < 0 ? r : manage_result;
}

static int drop_orphan_finalizer(Jobs *all, const char *key) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *pod = informer_lookup(all->pods, parts.ns, parts.name);
    const OwnerRef *owner = pod ? object_controller(pod) : NULL;
    if (!pod || !has_finalizer(object_value(pod, arena), JOB_FINALIZER))
        return 0;
    if (owner && streq(owner->kind, "Job")) {
        _cleanup_object_ Object *job = NULL;
        int r = client_get(all->client, informer_resource(all->jobs), parts.ns, owner->name, &job, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
        if (job && streq(object_uid(job), owner->uid))
            return 0;
    }
    Value *metadata, *patch = patch_for_uid(arena, object_uid(pod), &metadata);
    value_append(arena, value_ensure_array(arena, metadata, "$deleteFromPrimitiveList/finalizers"),
                 value_string(arena, JOB_FINALIZER));
    int r =
        client_patch(all->client, object_resource(pod), parts.ns, parts.name, NULL, PATCH_STRATEGIC, patch, NULL, NULL);
    return r == -ENOENT || r == -ESTALE ? 0 : r;
}

static JobBackoff *backoff_of(Jobs *all, const char *key) {
    JobBackoff *backoff = strmap_get(all->backoffs, key);
    if (!backoff) {
        backoff = NEW0(JobBackoff);
        strmap_put(all->backoffs, key, backoff);
    }
    return backoff;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Jobs *all = userdata;
    KeyParts parts;
    if (*key == '-')
        return drop_orphan_finalizer(all, key + 1);
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *object = informer_lookup(all->jobs, parts.ns, parts.name);
    if (!object) {
        expectations_forget(all->pod_writes, key);
        expectations_forget(all->job_writes, key);
        pthread_mutex_lock(&all->lock);
        strmap_remove(all->backoffs, key);
        pthread_mutex_unlock(&all->lock);
        return 0;
    }
    /* Counting from a cache that lags would count twice. */
    if (!expectations_satisfied(all->pod_writes, key) || !expectations_satisfied(all->job_writes, key)) {
        workqueue_add_after(all->queue, key, EXPECTATIONS_RETRY_NS);
        return 0;
    }
    JobSync job = {.client = all->client,
                   .events = all->events,
                   .queue = all->queue,
                   .pod_writes = all->pod_writes,
                   .job_writes = all->job_writes,
                   .key = key,
                   .arena = arena,
                   .object = object};
    pthread_mutex_lock(&all->lock);
    JobBackoff backoff = *backoff_of(all, key);
    pthread_mutex_unlock(&all->lock);
    int r = sync_job(all, &job, &backoff);
    pthread_mutex_lock(&all->lock);
    *backoff_of(all, key) = backoff;
    pthread_mutex_unlock(&all->lock);
    for (size_t i = 0; i < job.n_pods; i++)
        object_unref(job.pods[i].info.object);
    if (r < 0)
        log_debug("sync of %s: %s", key, strerror(-r));
    return r == -ENOENT ? 0 : r;
}

static void *init(Controller *controller) {
    Jobs *all = NEW0(Jobs);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "job-controller");
    all->jobs = controller_informer(controller, "batch", "v1", "jobs");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->pod_writes = expectations_new(all->pods);
    all->job_writes = expectations_new(all->jobs);
    all->backoffs = strmap_new(free);
    pthread_mutex_init(&all->lock, NULL);
    all->queue = controller_queue(controller, "job", SYNC_WORKERS, sync_key, all);
    informer_add_handler(all->jobs, &(InformerHandler){job_changed, job_updated, job_deleted}, all);
    informer_add_handler(all->pods, &(InformerHandler){pod_changed, pod_updated, pod_deleted}, all);
    return all;
}

static void free_all(void *data) {
    Jobs *all = data;
    expectations_free(all->pod_writes);
    expectations_free(all->job_writes);
    strmap_free(all->backoffs);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

const ControllerRow controller_job = {.name = "job-controller", .init = init, .free = free_all};
