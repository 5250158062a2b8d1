/* Counting finished pods exactly once. A finished pod keeps the finalizer until its uid stands in the job's status
 * (uncountedTerminatedPods); then the finalizer goes; then the uid becomes a number. Whatever is interrupted in between
 * is picked up by the next sync without counting a pod twice or losing one. */
#include "controllers/job.h"

#include "base/clock.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

static const Resource *jobs(void) {
    return resource_find("batch", "v1", "jobs");
}

bool job_has_condition(const JobSync *job, const char *type) {
    return streq(condition_status(value_get(job->status, "conditions"), type), "True");
}

static Value *job_condition(JobSync *job, const char *type, const char *status, const char *reason,
                            const char *message) {
    Value *condition = value_object(job->arena);
    value_set_str(job->arena, condition, "type", type);
    value_set_str(job->arena, condition, "status", status);
    value_set(job->arena, condition, "lastProbeTime", value_now(job->arena));
    value_set(job->arena, condition, "lastTransitionTime", value_now(job->arena));
    value_set_str(job->arena, condition, "reason", reason);
    value_set_str(job->arena, condition, "message", message);
    return condition;
}

bool job_set_condition(JobSync *job, const char *type, const char *status, const char *reason, const char *message) {
    Value *conditions = value_get(job->status, "conditions"), *now = meta_condition(conditions, type);
    if (!now && streq(status, "False"))
        return false;
    if (now && streq(str_or(value_get_str(now, "status"), ""), status) &&
        streq(str_or(value_get_str(now, "reason"), ""), reason) &&
        streq(str_or(value_get_str(now, "message"), ""), message))
        return false;
    Value *condition = job_condition(job, type, status, reason, message);
    for (size_t i = 0; i < value_len(conditions); i++)
        if (value_at(conditions, i) == now && now) {
            conditions->items[i] = condition;
            return true;
        }
    value_append(job->arena, value_ensure_array(job->arena, job->status, "conditions"), condition);
    return true;
}

static int write_status(JobSync *job) {
    _cleanup_object_ Object *updated = NULL;
    const char *ns = object_namespace(job->object), *name = object_name(job->object);
    int r = client_update(job->client, jobs(), ns, name, "status", job->value, &updated, NULL);
    if (r < 0)
        return r;
    expectations_wrote(job->job_writes, job->key, updated);
    value_set(job->arena, value_get(job->value, "metadata"), "resourceVersion",
              value_printf(job->arena, "%llu", (unsigned long long)object_revision(updated)));
    job->dirty = false;
    return 0;
}

static void set_count(JobSync *job, const char *name, int64_t count) {
    value_set(job->arena, job->status, name, count ? value_int(job->arena, count) : NULL);
}

/* uids that no pod with the finalizer has any more become numbers. */
static bool count_list(JobSync *job, const char *list, const char *counter) {
    Value *uids = value_path(job->status, "uncountedTerminatedPods", list, NULL);
    int64_t counted = 0;
    for (size_t i = value_len(uids); i-- > 0;) {
        const char *uid = value_str(value_at(uids, i));
        bool held = false;
        for (size_t k = 0; k < job->n_pods && !held; k++)
            held = job->pods[k].tracked && uid && streq(uid, object_uid(job->pods[k].info.object));
        if (held)
            continue;
        value_remove_at(uids, i);
        counted++;
    }
    if (uids && value_len(uids) == 0)
        value_remove(value_get(job->status, "uncountedTerminatedPods"), list);
    if (counted > 0)
        set_count(job, counter, value_get_int(job->status, counter, 0) + counted);
    return counted > 0;
}

static bool count_settled(JobSync *job) {
    bool succeeded = count_list(job, "succeeded", "succeeded");
    return count_list(job, "failed", "failed") || succeeded;
}

static bool may_let_go(JobSync *job, const JobPod *pod) {
    if (object_is_deleting(job->object) || job->verdict.type || streq(pod->info.phase, "Succeeded"))
        return true;
    return pod->failed && job_delayed_pod(job, pod->index) != pod;
}

static void add_uncounted(JobSync *job, const JobPod *pod, const char *list) {
    Value *uncounted = value_ensure_object(job->arena, job->status, "uncountedTerminatedPods");
    value_append(job->arena, value_ensure_array(job->arena, uncounted, list),
                 value_string(job->arena, object_uid(pod->info.object)));
    job->dirty = true;
}

static void count_pod(JobSync *job, const JobPod *pod, IndexSet *done) {
    const char *message;
    bool fails_job =
        job->verdict.type && !streq(job->verdict.type, "SuccessCriteriaMet") && !streq(job->verdict.type, "Complete");
    if (streq(pod->info.phase, "Succeeded") && !job_is_uncounted(job, pod, "failed")) {
        if (!job->indexed) {
            if (!job_is_uncounted(job, pod, "succeeded"))
                add_uncounted(job, pod, "succeeded");
        } else if (pod->index >= 0 && !index_set_has(done, pod->index)) {
            index_set_add(done, pod->index);
            job->dirty = true;
        }
    } else if ((pod->failed || fails_job) && !job_is_uncounted(job, pod, "failed") &&
               (!job->indexed || pod->index >= 0)) {
        if (!value_get(job->spec, "podFailurePolicy") || job_failure_action(job, pod, &message) != JOB_POD_IGNORE)
            add_uncounted(job, pod, "failed");
    }
}

static int remove_finalizer(JobSync *job, JobPod *pod) {
    _cleanup_object_ Object *patched = NULL;
    Arena *arena = job->arena;
    const Object *object = pod->info.object;
    Value *metadata, *patch = patch_for_uid(arena, object_uid(object), &metadata);
    value_append(arena, value_ensure_array(arena, metadata, "$deleteFromPrimitiveList/finalizers"),
                 value_string(arena, JOB_FINALIZER));
    _cleanup_api_error_ ApiError err = {0};
    int r = client_patch(job->client, object_resource(object), object_namespace(object), object_name(object), NULL,
                         PATCH_STRATEGIC, patch, &patched, &err);
    if (r < 0 && r != -ENOENT && err.code != 409)
        return r;
    if (patched)
        expectations_wrote(job->pod_writes, job->key, patched);
    pod->tracked = false;
    return 0;
}

static void set_indexes(JobSync *job, const IndexSet *done) {
    Arena *arena = job->arena;
    const char *text = index_set_text(done), *failed = index_set_text(&job->failed_indexes);
    if (!streq(str_or(value_get_str(job->status, "completedIndexes"), ""), text))
        job->dirty = true;
    value_set_str(arena, job->status, "completedIndexes", *text ? text : NULL);
    set_count(job, "succeeded", index_set_total(done));
    if (!job->per_index)
        return;
    if (!streq_null(value_get_str(job->status, "failedIndexes"), failed))
        job->dirty = true;
    value_set_str(arena, job->status, "failedIndexes", failed);
}

/* FailureTarget and SuccessCriteriaMet are told first; the terminal condition follows when all pods are gone. */
static void announce(JobSync *job) {
    JobVerdict *verdict = &job->verdict;
    if (!verdict->type)
        return;
    if (streq(verdict->type, "FailureTarget")) {
        job->dirty |= job_set_condition(job, "FailureTarget", "True", verdict->reason, verdict->message);
        verdict->type = "Failed";
    } else if (streq(verdict->type, "SuccessCriteriaMet")) {
        job->dirty |= job_set_condition(job, "SuccessCriteriaMet", "True", verdict->reason, verdict->message);
        verdict->type = "Complete";
    }
}

static bool finish(JobSync *job) {
    const Value *uncounted = value_get(job->status, "uncountedTerminatedPods");
    if (!job->verdict.type || value_len(value_get(uncounted, "succeeded")) ||
        value_len(value_get(uncounted, "failed")) || job->terminating > 0)
        return false;
    job_set_condition(job, job->verdict.type, "True", job->verdict.reason, job->verdict.message);
    if (streq(job->verdict.type, "Complete"))
        value_set(job->arena, job->status, "completionTime", value_now(job->arena));
    return true;
}

static void tell_finished(JobSync *job) {
    if (streq(job->verdict.type, "Complete")) {
        if (job->completions >= 0 && value_get_int(job->status, "succeeded", 0) > job->completions)
            event_record(job->events, job->object, NULL, "Warning", "TooManySucceededPods",
                         "Too many succeeded pods running after completion count reached");
        event_record(job->events, job->object, NULL, "Normal", "Completed", "Job completed");
    } else
        event_record(job->events, job->object, NULL, "Warning", job->verdict.reason, "%s", job->verdict.message);
}

int job_track(JobSync *job, JobBackoff *store) {
    JobPod **settled = arena_alloc(job->arena, (job->n_pods + 1) * sizeof(*settled));
    size_t n = 0;
    int result = 0;
    bool more = false;
    value_ensure_object(job->arena, job->status, "uncountedTerminatedPods");
    job->dirty |= count_settled(job);
    IndexSet done = job->done_before;
    for (size_t i = 0; i < job->n_pods && !more; i++) {
        if (!job->pods[i].tracked || !may_let_go(job, &job->pods[i]))
            continue;
        settled[n++] = &job->pods[i];
        count_pod(job, &job->pods[i], &done);
        more = n >= JOB_PODS_PER_SYNC_MAX;
    }
    if (job->indexed)
        set_indexes(job, &done);
    announce(job);
    if (job->dirty) {
        int r = write_status(job);
        if (r < 0)
            return r;
    }
    *store = job->backoff;
    for (size_t i = 0; i < n; i++) {
        int r = remove_finalizer(job, settled[i]);
        if (r < 0)
            result = r;
    }
    job->dirty |= count_settled(job);
    bool finished = !more && result >= 0 && finish(job);
    if (job->dirty || finished) {
        int r = write_status(job);
        if (r < 0)
            return r;
    }
    if (finished)
        tell_finished(job);
    if (more)
        workqueue_add(job->queue, job->key);
    return result;
}
