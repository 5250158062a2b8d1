/* What a Job makes of its pods: failed or not, counted or not, and what that means for the job. */
#include "controllers/job.h"

#include "base/clock.h"
#include "base/str.h"
#include "controllers/meta.h"

#define BACKOFF_FIRST_NS ((int64_t)(10 * NS_PER_SEC)) /* DefaultJobPodFailureBackOff */
#define BACKOFF_MAX_NS ((int64_t)(600 * NS_PER_SEC))  /* MaxJobPodFailureBackOff */

static int64_t annotation_number(const Value *pod, const char *name, int64_t otherwise) {
    const char *text = value_annotation(pod, name);
    int64_t n;
    return text && str_to_int64(text, &n) >= 0 && n >= 0 ? n : otherwise;
}

static int64_t finished_at(const Value *pod) {
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
    int64_t latest = 0;
    Value *container;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (container, value_path(pod, "status", lists[i], NULL))
            latest = MAX(latest, value_get_time(value_path(container, "state", "terminated", NULL), "finishedAt"));
    if (latest)
        return latest;
    const Value *ready = meta_condition(value_path(pod, "status", "conditions", NULL), "Ready");
    const Value *metadata = value_get(pod, "metadata");
    if (ready && streq(str_or(value_get_str(ready, "status"), ""), "False") &&
        (latest = value_get_time(ready, "lastTransitionTime")))
        return latest;
    latest = value_get_time(metadata, "deletionTimestamp");
    return latest ? latest : value_get_time(metadata, "creationTimestamp");
}

void job_read_pod(JobSync *job, Object *pod, JobPod *ret) {
    JobPod read = {.value = object_value(pod, job->arena)};
    pod_info_read(pod, &read.info);
    object_ref(pod);
    read.tracked = has_finalizer(read.value, JOB_FINALIZER);
    read.index = annotation_number(read.value, JOB_INDEX, -1);
    if (job->completions >= 0 && read.index >= job->completions)
        read.index = -1;
    read.failed = streq(read.info.phase, "Failed") ||
                  (!job->replace_failed_only && read.info.deleting && !streq(read.info.phase, "Succeeded"));
    read.finished_ns = finished_at(read.value);
    *ret = read;
}

bool job_is_uncounted(const JobSync *job, const JobPod *pod, const char *list) {
    Value *uid;
    VALUE_FOREACH (uid, value_path(job->status, "uncountedTerminatedPods", list, NULL))
        if (value_str(uid) && streq(value_str(uid), object_uid(pod->info.object)))
            return true;
    return false;
}

/* ---- podFailurePolicy ---- */

static bool exit_code_matches(int64_t code, const Value *rule) {
    bool in = false;
    Value *value;
    VALUE_FOREACH (value, value_get(rule, "values"))
        in |= value_is(value, VALUE_INT) && value->integer == code;
    return streq(str_or(value_get_str(rule, "operator"), ""), "In") ? in : !in;
}

static const Value *matching_container(const Value *pod, const Value *rule) {
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses"};
    const char *only = value_get_str(rule, "containerName");
    Value *container;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (container, value_path(pod, "status", lists[i], NULL)) {
            const Value *terminated = value_path(container, "state", "terminated", NULL);
            int64_t code = value_get_int(terminated, "exitCode", 0);
            if (terminated && code != 0 && (!only || streq_null(only, value_get_str(container, "name"))) &&
                exit_code_matches(code, rule))
                return container;
        }
    return NULL;
}

static const char *matching_condition(const Value *pod, const Value *patterns) {
    Value *pattern, *condition;
    VALUE_FOREACH (condition, value_path(pod, "status", "conditions", NULL))
        VALUE_FOREACH (pattern, patterns)
            if (streq_null(value_get_str(condition, "type"), value_get_str(pattern, "type")) &&
                streq_null(value_get_str(condition, "status"), str_or(value_get_str(pattern, "status"), "True")))
                return value_get_str(condition, "type");
    return NULL;
}

JobPodAction job_failure_action(JobSync *job, const JobPod *pod, const char **ret_message) {
    const Object *object = pod->info.object;
    Value *rules = value_path(job->spec, "podFailurePolicy", "rules", NULL);
    for (size_t i = 0; i < value_len(rules); i++) {
        const Value *rule = value_at(rules, i), *on_exit = value_get(rule, "onExitCodes");
        const char *action = str_or(value_get_str(rule, "action"), ""), *message;
        const Value *container = on_exit ? matching_container(pod->value, on_exit) : NULL;
        const char *condition = on_exit ? NULL : matching_condition(pod->value, value_get(rule, "onPodConditions"));
        if (container)
            message = arena_printf(
                job->arena, "Container %s for pod %s/%s failed with exit code %lld matching %s rule at index %zu",
                value_get_str(container, "name"), object_namespace(object), object_name(object),
                (long long)value_get_int(value_path(container, "state", "terminated", NULL), "exitCode", 0), action, i);
        else if (condition)
            message = arena_printf(job->arena, "Pod %s/%s has condition %s matching %s rule at index %zu",
                                   object_namespace(object), object_name(object), condition, action, i);
        else
            continue;
        if (streq(action, "Ignore"))
            return JOB_POD_IGNORE;
        if (streq(action, "FailIndex"))
            return JOB_POD_FAIL_INDEX;
        if (streq(action, "FailJob")) {
            *ret_message = message;
            return JOB_POD_FAIL_JOB;
        }
        return JOB_POD_COUNT;
    }
    return JOB_POD_COUNT;
}

/* ---- indexes ---- */

int64_t job_index_failures(const JobPod *pod, bool with_ignored) {
    int64_t failures = annotation_number(pod->value, JOB_INDEX_FAILURES, 0);
    return with_ignored ? failures + annotation_number(pod->value, JOB_INDEX_IGNORED, 0) : failures;
}

static bool fails_its_index(JobSync *job, const JobPod *pod) {
    const char *message;
    if (!pod->failed)
        return false;
    JobPodAction action = job_failure_action(job, pod, &message);
    if (action == JOB_POD_FAIL_INDEX)
        return true;
    return action != JOB_POD_IGNORE &&
           job_index_failures(pod, false) >= value_get_int(job->spec, "backoffLimitPerIndex", 0);
}

void job_read_indexes(JobSync *job) {
    const char *completed = value_get_str(job->status, "completedIndexes");
    job->done_before = index_set_parse(job->arena, completed, job->completions);
    job->done = index_set_parse(job->arena, completed, job->completions);
    job->failed_indexes = index_set_parse(job->arena, value_get_str(job->status, "failedIndexes"), job->completions);
    for (size_t i = 0; i < job->n_pods; i++) {
        const JobPod *pod = &job->pods[i];
        if (pod->index < 0 || !pod->tracked)
            continue;
        if (streq(pod->info.phase, "Succeeded"))
            index_set_add(&job->done, pod->index);
        else if (job->per_index && fails_its_index(job, pod))
            index_set_add(&job->failed_indexes, pod->index);
    }
}

JobPod *job_delayed_pod(JobSync *job, int64_t index) {
    JobPod *last = NULL;
    if (!job->per_index || index < 0 || index_set_has(&job->done, index) || index_set_has(&job->failed_indexes, index))
        return NULL;
    for (size_t i = 0; i < job->n_pods; i++) {
        JobPod *pod = &job->pods[i];
        if (pod->index != index)
            continue;
        if (pod_is_active(&pod->info))
            return NULL;
        if (pod->failed && pod->tracked && (!last || job_index_failures(last, true) <= job_index_failures(pod, true)))
            last = pod;
    }
    return last;
}

int64_t job_backoff_ns(int64_t failures, int64_t last_failure_ns, int64_t now_ns) {
    if (failures <= 0)
        return 0;
    int64_t backoff = BACKOFF_FIRST_NS;
    for (int64_t i = 1; i < failures && backoff < BACKOFF_MAX_NS; i++)
        backoff = MIN(backoff * 2, BACKOFF_MAX_NS);
    return MAX(last_failure_ns + backoff - now_ns, (int64_t)0);
}

/* ---- the verdict ---- */

/* restartPolicy OnFailure: the kubelet restarts containers, and restarts count as failures. */
static bool restarts_exceed(const JobSync *job, int64_t limit) {
    int64_t restarts = 0;
    const char *policy = value_get_str(value_path(job->spec, "template", "spec", NULL), "restartPolicy");
    if (!policy || !streq(policy, "OnFailure"))
        return false;
    for (size_t i = 0; i < job->n_pods; i++) {
        static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
        const char *phase = job->pods[i].info.phase;
        Value *container;
        if (!streq(phase, "Running") && !streq(phase, "Pending"))
            continue;
        for (size_t k = 0; k < ELEMENTSOF(lists); k++)
            VALUE_FOREACH (container, value_path(job->pods[i].value, "status", lists[k], NULL))
                restarts += value_get_int(container, "restartCount", 0);
    }
    return limit == 0 ? restarts > 0 : restarts >= limit;
}

static void judge_limits(JobSync *job) {
    int64_t limit = value_get_int(job->spec, "backoffLimit", 6);
    int64_t deadline = value_get_int(job->spec, "activeDeadlineSeconds", -1);
    int64_t since = value_get_time(job->status, "startTime"), now = now_realtime_ns();
    if (job->failed > limit || restarts_exceed(job, limit))
        job->verdict =
            (JobVerdict){"FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"};
    else if (deadline >= 0 && !job->suspended && since) {
        int64_t left = ns_between(ns_after(since, deadline), now);
        if (left <= 0)
            job->verdict =
                (JobVerdict){"FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"};
        else
            workqueue_add_after(job->queue, job->key, (uint64_t)left);
    }
}

static void judge_failed_pods(JobSync *job) {
    const char *message = NULL;
    for (size_t i = 0; i < job->n_pods && value_get(job->spec, "podFailurePolicy"); i++)
        if (job->pods[i].failed && job_failure_action(job, &job->pods[i], &message) == JOB_POD_FAIL_JOB) {
            job->verdict = (JobVerdict){"FailureTarget", "PodFailurePolicy", message};
            return;
        }
}

static void judge_success_policy(JobSync *job) {
    Value *rules = value_path(job->spec, "successPolicy", "rules", NULL);
    for (size_t i = 0; i < value_len(rules) && job->done.n > 0; i++) {
        const Value *rule = value_at(rules, i);
        const char *indexes = value_get_str(rule, "succeededIndexes");
        int64_t count = value_get_int(rule, "succeededCount", -1), have = index_set_total(&job->done);
        bool met;
        if (indexes) {
            IndexSet wanted = index_set_parse(job->arena, indexes, job->completions);
            int64_t overlap = index_set_overlap(&wanted, &job->done);
            met = wanted.n > 0 && (overlap == index_set_total(&wanted) || (count >= 0 && overlap >= count));
        } else
            met = count >= 0 && have >= count;
        if (met) {
            job->verdict = (JobVerdict){"SuccessCriteriaMet", "SuccessPolicy",
                                        arena_printf(job->arena, "Matched rules at index %zu", i)};
            return;
        }
    }
}

static void judge_indexes(JobSync *job) {
    int64_t failed = index_set_total(&job->failed_indexes), done = index_set_total(&job->done);
    int64_t most = value_get_int(job->spec, "maxFailedIndexes", -1);
    if (job->per_index && !job->verdict.type) {
        if (most >= 0 && failed > most)
            job->verdict = (JobVerdict){"FailureTarget", "MaxFailedIndexesExceeded",
                                        "Job has exceeded the specified maximal number of failed indexes"};
        else if (failed > 0 && failed + done >= job->completions)
            job->verdict = (JobVerdict){"FailureTarget", "FailedIndexes", "Job has failed indexes"};
    }
    if (!job->verdict.type)
        judge_success_policy(job);
}

void job_judge(JobSync *job) {
    Value *conditions = value_get(job->status, "conditions");
    const Value *met = meta_condition(conditions, "SuccessCriteriaMet"),
                *target = meta_condition(conditions, "FailureTarget");
    if (met && streq(condition_status(conditions, "SuccessCriteriaMet"), "True"))
        job->verdict = (JobVerdict){"SuccessCriteriaMet", value_get_str(met, "reason"), value_get_str(met, "message")};
    else if (target && streq(condition_status(conditions, "FailureTarget"), "True"))
        job->verdict = (JobVerdict){"Failed", value_get_str(target, "reason"), value_get_str(target, "message")};
    if (!job->verdict.type)
        judge_failed_pods(job);
    if (!job->verdict.type)
        judge_limits(job);
    if (job->indexed) {
        job->succeeded = index_set_total(&job->done);
        judge_indexes(job);
    }
}
