/* A Job's pods: making as many as are wanted, taking away those that are too many. */
#include "controllers/job.h"

#include "base/clock.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

static int delete_pod(JobSync *job, JobPod *pod) {
    _cleanup_api_error_ ApiError err = {0};
    int r = pod_delete(job->client, job->events, job->object, object_name(pod->info.object), &err);
    if (r < 0 && r != -ENOENT)
        return r;
    expectations_deleted(job->pod_writes, job->key, pod->info.object);
    job->active--;
    job->terminating++;
    job->ready -= pod->info.ready;
    pod->info.deleting = true;
    return 0;
}

int job_delete_active(JobSync *job, int64_t *ret_deleted) {
    int result = 0;
    for (size_t i = 0; i < job->n_pods; i++) {
        if (!pod_is_active(&job->pods[i].info))
            continue;
        int r = delete_pod(job, &job->pods[i]);
        if (r < 0)
            result = r;
        else
            ++*ret_deleted;
    }
    return result;
}

static int compare_removal(const void *a, const void *b, void *now) {
    return pod_deletion_compare(&(*(JobPod *const *)a)->info, &(*(JobPod *const *)b)->info, *(int64_t *)now);
}

/* Pods of no index, or of one that another active pod has too, go in any case. */
static bool is_superfluous(const JobSync *job, const JobPod *pod) {
    if (!job->indexed)
        return false;
    if (pod->index < 0)
        return true;
    for (size_t i = 0; i < job->n_pods; i++) {
        const JobPod *other = &job->pods[i];
        if (other != pod && other->index == pod->index && pod_is_active(&other->info) && other < pod)
            return true;
    }
    return index_set_has(&job->done, pod->index);
}

static int remove_some(JobSync *job, int64_t at_least, bool *ret_any) {
    JobPod **active = arena_alloc(job->arena, (job->n_pods + 1) * sizeof(*active));
    int64_t now = now_realtime_ns(), removed = 0;
    size_t n = 0;
    for (size_t i = 0; i < job->n_pods; i++)
        if (pod_is_active(&job->pods[i].info))
            active[n++] = &job->pods[i];
    qsort_r(active, n, sizeof(*active), compare_removal, &now);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n && removed < JOB_PODS_PER_SYNC_MAX; i++) {
            if (active[i]->info.deleting || (pass == 0 ? !is_superfluous(job, active[i]) : removed >= at_least))
                continue;
            int r = delete_pod(job, active[i]);
            if (r < 0)
                return r;
            removed++;
        }
    *ret_any = removed > 0;
    return 0;
}

/* ---- making ---- */

static void add_index_env(JobSync *job, Value *spec) {
    static const char *const lists[] = {"initContainers", "containers"};
    Arena *arena = job->arena;
    Value *container, *variable;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (container, value_get(spec, lists[i])) {
            bool there = false;
            VALUE_FOREACH (variable, value_get(container, "env"))
                there |= streq(str_or(value_get_str(variable, "name"), ""), "JOB_COMPLETION_INDEX");
            if (there)
                continue;
            Value *env = value_object(arena), *ref = value_object(arena);
            value_set_str(arena, ref, "fieldPath", "metadata.labels['" JOB_INDEX "']");
            value_set_str(arena, env, "name", "JOB_COMPLETION_INDEX");
            value_set(arena, value_ensure_object(arena, env, "valueFrom"), "fieldRef", ref);
            value_append(arena, value_ensure_array(arena, container, "env"), env);
        }
}

static void set_index(JobSync *job, Value *pod, int64_t index) {
    Arena *arena = job->arena;
    Value *metadata = value_get(pod, "metadata"), *spec = value_get(pod, "spec");
    const char *text = arena_printf(arena, "%lld", (long long)index), *name = object_name(job->object);
    Value *annotations = value_ensure_object(arena, metadata, "annotations");
    value_set_str(arena, annotations, JOB_INDEX, text);
    value_set_str(arena, value_ensure_object(arena, metadata, "labels"), JOB_INDEX, text);
    value_set_str(arena, spec, "hostname", arena_printf(arena, "%s-%s", name, text));
    value_set_str(arena, metadata, "generateName", arena_printf(arena, "%s-%s-", name, text));
    add_index_env(job, spec);
    if (!job->per_index)
        return;
    const JobPod *last = job_delayed_pod(job, index);
    int64_t failures = 0, ignored = 0;
    if (last) {
        const char *message;
        failures = job_index_failures(last, false);
        ignored = job_index_failures(last, true) - failures;
        if (job_failure_action(job, last, &message) == JOB_POD_IGNORE)
            ignored++;
        else
            failures++;
    }
    value_set_str(arena, annotations, JOB_INDEX_FAILURES, arena_printf(arena, "%lld", (long long)failures));
    if (ignored > 0)
        value_set_str(arena, annotations, JOB_INDEX_IGNORED, arena_printf(arena, "%lld", (long long)ignored));
}

static int create_one(JobSync *job, int64_t index) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    Value *pod = pod_from_template(job->arena, value_get(job->spec, "template"), job->object, NULL);
    if (!has_finalizer(pod, JOB_FINALIZER))
        value_append(job->arena, value_ensure_array(job->arena, value_get(pod, "metadata"), "finalizers"),
                     value_string(job->arena, JOB_FINALIZER));
    if (index >= 0)
        set_index(job, pod, index);
    int r = pod_create(job->client, job->events, job->object, pod, &created, &err);
    if (r < 0)
        return error_is_namespace_terminating(&err) ? 0 : r;
    expectations_wrote(job->pod_writes, job->key, created);
    job->active++;
    return 0;
}

static bool is_pending(const JobSync *job, int64_t index) {
    if (index_set_has(&job->done, index) || index_set_has(&job->failed_indexes, index))
        return false;
    for (size_t i = 0; i < job->n_pods; i++) {
        const JobPod *pod = &job->pods[i];
        if (pod->index == index && (pod_is_active(&pod->info) || (job->replace_failed_only && pod->info.deleting &&
                                                                  !pod_is_finished(pod->info.phase))))
            return false;
    }
    return true;
}

/* Up to `count` indexes to make pods for; with back-off per index, those whose time has come. *ret_wait_ns: until the
 * next. */
static size_t pending_indexes(JobSync *job, int64_t count, int64_t *indexes, int64_t *ret_wait_ns) {
    size_t n = 0;
    for (int64_t index = 0; index < job->completions && (int64_t)n < count; index++) {
        if (!is_pending(job, index))
            continue;
        const JobPod *last = job_delayed_pod(job, index);
        int64_t wait =
            last ? job_backoff_ns(job_index_failures(last, true) + 1, last->finished_ns, now_realtime_ns()) : 0;
        if (wait == 0)
            indexes[n++] = index;
        else if (*ret_wait_ns == 0 || wait < *ret_wait_ns)
            *ret_wait_ns = wait;
    }
    return n;
}

static int create_pods(JobSync *job, int64_t count) {
    int64_t *indexes = arena_alloc(job->arena, (size_t)count * sizeof(*indexes)), wait = 0;
    if (job->indexed) {
        size_t n = pending_indexes(job, count, indexes, &wait);
        if (n == 0 && wait > 0)
            workqueue_add_after(job->queue, job->key, (uint64_t)wait);
        count = (int64_t)n;
    }
    for (int64_t batch = 1, made = 0; made < count; batch *= 2) {
        int result = 0;
        for (int64_t i = 0; i < batch && made < count; i++, made++) {
            int r = create_one(job, job->indexed ? indexes[made] : -1);
            if (r < 0)
                result = r;
        }
        if (result < 0)
            return result;
    }
    return 0;
}

int job_manage(JobSync *job) {
    bool any = false;
    int64_t want = 0;
    if (!job->suspended) {
        if (job->completions < 0)
            want = job->succeeded > 0 ? job->active : job->parallelism;
        else
            want = MAX(MIN(job->completions - job->succeeded, job->parallelism), (int64_t)0);
    }
    int r = remove_some(job, MAX(job->active - want, (int64_t)0), &any);
    if (r < 0 || any || job->suspended)
        return r;
    int64_t diff = want - job->active - (job->replace_failed_only ? job->terminating : 0);
    if (diff <= 0)
        return 0;
    int64_t wait =
        job->per_index ? 0 : job_backoff_ns(job->backoff.failures, job->backoff.last_failure_ns, now_realtime_ns());
    if (wait > 0) {
        workqueue_add_after(job->queue, job->key, (uint64_t)wait);
        return 0;
    }
    return create_pods(job, MIN(diff, (int64_t)JOB_PODS_PER_SYNC_MAX));
}
