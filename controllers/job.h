/* One sync of a Job, shared by the files that do its parts. Inside controllers only. */
#pragma once

#include "client/events.h"
#include "client/informer.h"
#include "controllers/expectations.h"
#include "controllers/job_indexes.h"
#include "controllers/pods.h"
#include "client/workqueue.h"

#define JOB_FINALIZER "batch.kubernetes.io/job-tracking"
#define JOB_INDEX "batch.kubernetes.io/job-completion-index" /* annotation and label */
#define JOB_INDEX_FAILURES "batch.kubernetes.io/job-index-failure-count"
#define JOB_INDEX_IGNORED "batch.kubernetes.io/job-index-ignored-failure-count"
#define JOB_PODS_PER_SYNC_MAX 500 /* the reference's MaxUncountedPods and MaxPodCreateDeletePerSync */

typedef struct JobPod {
    PodInfo info; /* holds a reference to the object */
    Value *value;
    bool tracked;  /* has the finalizer */
    bool failed;   /* failed, or counted as such */
    int64_t index; /* -1: none */
    int64_t finished_ns;
} JobPod;

typedef struct JobBackoff {
    int64_t failures; /* since the last success */
    int64_t last_failure_ns;
} JobBackoff;

/* What will finish the job; type NULL: nothing yet. */
typedef struct JobVerdict {
    const char *type; /* "SuccessCriteriaMet", "FailureTarget", "Complete", "Failed" */
    const char *reason, *message;
} JobVerdict;

typedef struct JobSync {
    Client *client;
    EventRecorder *events;
    WorkQueue *queue;
    Expectations *pod_writes, *job_writes;
    const char *key;
    Arena *arena;
    Object *object;
    Value *value, *spec, *status;
    JobPod *pods;
    size_t n_pods;
    bool indexed, suspended, per_index; /* per_index: backoffLimitPerIndex */
    bool replace_failed_only;           /* podReplacementPolicy: Failed */
    int64_t completions;                /* -1: not given */
    int64_t parallelism, active, ready, terminating, succeeded, failed;
    IndexSet done_before, done, failed_indexes;
    JobBackoff backoff;
    JobVerdict verdict;
    bool dirty; /* the status has to be written */
} JobSync;

/* job_pods.c */
void job_read_pod(JobSync *job, Object *pod, JobPod *ret);
/* Is this uid in status.uncountedTerminatedPods.succeeded or .failed? */
bool job_is_uncounted(const JobSync *job, const JobPod *pod, const char *list);
typedef enum JobPodAction { JOB_POD_COUNT, JOB_POD_IGNORE, JOB_POD_FAIL_JOB, JOB_POD_FAIL_INDEX } JobPodAction;
/* spec.podFailurePolicy for a failed pod; *ret_message with JOB_POD_FAIL_JOB. */
JobPodAction job_failure_action(JobSync *job, const JobPod *pod, const char **ret_message);
void job_judge(JobSync *job); /* the verdict from what failed, from deadlines and policies */
void job_read_indexes(JobSync *job);
/* With backoffLimitPerIndex: the failed pod whose finalizer stays until its index has a new pod; NULL: none. */
JobPod *job_delayed_pod(JobSync *job, int64_t index);
int64_t job_index_failures(const JobPod *pod, bool with_ignored);
int64_t job_backoff_ns(int64_t failures, int64_t last_failure_ns, int64_t now_ns);

/* job_manage.c */
int job_delete_active(JobSync *job, int64_t *ret_deleted);
int job_manage(JobSync *job);

/* job_track.c */
bool job_has_condition(const JobSync *job, const char *type);
/* True when it changed. */
bool job_set_condition(JobSync *job, const char *type, const char *status, const char *reason, const char *message);
int job_track(JobSync *job, JobBackoff *store);
