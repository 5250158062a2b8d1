/* CronJobs: a Job at each scheduled time, named by the minute so that none is made twice, and a history of those
 * finished. */
#define LOG_COMPONENT "cronjob"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/cron.h"
#include "controllers/meta.h"

#include <errno.h>

#define MISSED_MAX 100 /* more missed starts than this are too many to catch up with */
#define MISSED_LOOK_BACK_NS ((int64_t)(86400 * NS_PER_SEC))
#define SCHEDULE_SLACK_NS (100 * NS_PER_MS) /* the reference's nextScheduleDelta */
#define SCHEDULED_AT "batch.kubernetes.io/cronjob-scheduled-timestamp"

typedef struct CronJobs {
    Client *client;
    EventRecorder *events;
    Informer *crons, *jobs;
    WorkQueue *queue;
} CronJobs;

typedef struct Sync {
    CronJobs *all;
    const char *key;
    Arena *arena;
    Object *cron;
    Value *value, *spec, *status;
    CronSchedule schedule;
    ClientList jobs; /* it controls */
    bool dirty;
} Sync;

/* ---- jobs ---- */

/* "Complete", "Failed" or "". */
static const char *finished_as(const Value *job) {
    Value *conditions = value_path(job, "status", "conditions", NULL);
    if (streq(condition_status(conditions, "Complete"), "True"))
        return "Complete";
    return streq(condition_status(conditions, "Failed"), "True") ? "Failed" : "";
}

static int compare_started(const void *a, const void *b) {
    int64_t x = value_get_time(value_get(*(Value *const *)a, "status"), "startTime");
    int64_t y = value_get_time(value_get(*(Value *const *)b, "status"), "startTime");
    return x < y ? -1 : x > y;
}

static int delete_job(Sync *sync, const char *name) {
    const Resource *resource = informer_resource(sync->all->jobs);
    ClientDelete options = {.grace_seconds = -1, .propagation = "Background"};
    int r = client_delete(sync->all->client, resource, object_namespace(sync->cron), name, &options, NULL);
    if (r < 0 && r != -ENOENT) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "FailedDelete", "Deleted job: %s", strerror(-r));
        return r;
    }
    event_record(sync->all->events, sync->cron, NULL, "Normal", "SuccessfulDelete", "Deleted job %s", name);
    return 0;
}

static int trim_history(Sync *sync, const char *outcome, int64_t limit) {
    Value **jobs = arena_alloc(sync->arena, (sync->jobs.n + 1) * sizeof(*jobs));
    size_t n = 0;
    for (size_t i = 0; i < sync->jobs.n; i++) {
        Value *job = object_value(sync->jobs.items[i], sync->arena);
        if (streq(finished_as(job), outcome) && !object_is_deleting(sync->jobs.items[i]))
            jobs[n++] = job;
    }
    qsort(jobs, n, sizeof(*jobs), compare_started);
    for (size_t i = 0; i + (size_t)MAX(limit, (int64_t)0) < n; i++) {
        int r = delete_job(sync, value_get_str(value_get(jobs[i], "metadata"), "name"));
        if (r < 0)
            return r;
    }
    return 0;
}

static Object *find_job(const Sync *sync, const char *uid) {
    for (size_t i = 0; i < sync->jobs.n; i++)
        if (uid && streq(object_uid(sync->jobs.items[i]), uid))
            return sync->jobs.items[i];
    return NULL;
}

/* status.active: jobs that finished leave it, with a word about how. */
static void update_active(Sync *sync) {
    Value *active = value_get(sync->status, "active");
    for (size_t i = value_len(active); i-- > 0;) {
        const char *uid = value_get_str(value_at(active, i), "uid"), *name = value_get_str(value_at(active, i), "name");
        Object *job = find_job(sync, uid);
        const Value *value = job ? object_value(job, sync->arena) : NULL;
        const char *outcome = value ? finished_as(value) : "";
        if (job && !*outcome)
            continue;
        if (!job)
            event_record(sync->all->events, sync->cron, NULL, "Normal", "MissingJob", "Active job went missing: %s",
                         str_or(name, ""));
        else {
            event_record(sync->all->events, sync->cron, NULL, "Normal", "SawCompletedJob",
                         "Saw completed job: %s, condition: %s", object_name(job), outcome);
            if (streq(outcome, "Complete") && value_path(value, "status", "completionTime", NULL))
                value_set(sync->arena, sync->status, "lastSuccessfulTime",
                          value_copy(sync->arena, value_path(value, "status", "completionTime", NULL)));
        }
        value_remove_at(active, i);
        sync->dirty = true;
    }
    if (active && value_len(active) == 0)
        value_remove(sync->status, "active");
}

static void add_active(Sync *sync, const Object *job) {
    Arena *arena = sync->arena;
    Value *ref = value_object(arena);
    value_set_str(arena, ref, "kind", "Job");
    value_set_str(arena, ref, "namespace", object_namespace(job));
    value_set_str(arena, ref, "name", object_name(job));
    value_set_str(arena, ref, "uid", object_uid(job));
    value_set_str(arena, ref, "apiVersion", "batch/v1");
    value_set(arena, ref, "resourceVersion", value_printf(arena, "%llu", (unsigned long long)object_revision(job)));
    value_append(arena, value_ensure_array(arena, sync->status, "active"), ref);
}

static Value *job_for(Sync *sync, int64_t scheduled) {
    char when[RFC3339_MAX];
    Arena *arena = sync->arena;
    const Value *template = value_get(sync->spec, "jobTemplate");
    Value *job = value_object(arena), *metadata = value_ensure_object(arena, job, "metadata");
    value_set_str(arena, job, "apiVersion", "batch/v1");
    value_set_str(arena, job, "kind", "Job");
    /* The time in minutes: the same start never makes a second job. */
    value_set(
        arena, metadata, "name",
        value_printf(arena, "%s-%lld", object_name(sync->cron), (long long)(scheduled / (int64_t)(60 * NS_PER_SEC))));
    value_set_str(arena, metadata, "namespace", object_namespace(sync->cron));
    Value *labels = value_copy(arena, value_path(template, "metadata", "labels", NULL));
    Value *annotations = value_copy(arena, value_path(template, "metadata", "annotations", NULL));
    value_set(arena, metadata, "labels", labels);
    value_set(arena, metadata, "annotations", annotations ? annotations : value_object(arena));
    value_set_str(arena, value_get(metadata, "annotations"), SCHEDULED_AT, rfc3339_format(scheduled, when));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, sync->cron));
    value_set(arena, job, "spec", value_copy(arena, value_get(template, "spec")));
    return job;
}

static int start_job(Sync *sync, int64_t scheduled) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    const char *ns = object_namespace(sync->cron);
    const Resource *resource = informer_resource(sync->all->jobs);
    Value *job = job_for(sync, scheduled);
    int r = client_create(sync->all->client, resource, ns, job, &created, &err);
    if (r == -EEXIST) {
        r = client_get(sync->all->client, resource, ns, value_get_str(value_get(job, "metadata"), "name"), &created,
                       &err);
        const OwnerRef *owner = r >= 0 ? object_controller(created) : NULL;
        if (r < 0 || !owner || !streq(owner->uid, object_uid(sync->cron)))
            return r; /* another's: this start is lost */
    }
    if (r < 0) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "FailedCreate", "Error creating job: %s",
                     err.message ? err.message : strerror(-r));
        return r;
    }
    event_record(sync->all->events, sync->cron, NULL, "Normal", "SuccessfulCreate", "Created job %s",
                 object_name(created));
    add_active(sync, created);
    value_set(sync->arena, sync->status, "lastScheduleTime", value_time(sync->arena, scheduled));
    sync->dirty = true;
    return 0;
}

/* ---- time ---- */

/* The last start that is due and was not made; 0: none. */
static int64_t due_start(Sync *sync, int64_t now) {
    int64_t since = value_get_time(sync->status, "lastScheduleTime"), last = 0, missed = 0, next;
    int64_t deadline = value_get_int(sync->spec, "startingDeadlineSeconds", -1);
    if (since == 0)
        since = object_created_ns(sync->cron);
    if (deadline >= 0)
        since = MAX(since, now - deadline * (int64_t)NS_PER_SEC);
    while ((next = cron_next(&sync->schedule, since)) != 0 && next <= now) {
        last = since = next;
        /* Enough to know that they are too many: the search goes on shortly before now. */
        if (++missed == MISSED_MAX + 1)
            since = MAX(since, now - MISSED_LOOK_BACK_NS);
    }
    if (missed > MISSED_MAX)
        event_record(sync->all->events, sync->cron, NULL, "Warning", "TooManyMissedTimes",
                     "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
    return last;
}

static int replace_active(Sync *sync) {
    Value *active = value_get(sync->status, "active");
    for (size_t i = value_len(active); i-- > 0;) {
        int r = delete_job(sync, value_get_str(value_at(active, i), "name"));
        if (r < 0)
            return r;
        value_remove_at(active, i);
        sync->dirty = true;
    }
    value_remove(sync->status, "active");
    return 0;
}

static int run_due(Sync *sync, int64_t now) {
    int64_t scheduled = due_start(sync, now);
    int64_t deadline = value_get_int(sync->spec, "startingDeadlineSeconds", -1);
    const char *policy = str_or(value_get_str(sync->spec, "concurrencyPolicy"), "Allow");
    size_t n_active = value_len(value_get(sync->status, "active"));
    if (scheduled == 0)
        return 0;
    if (deadline >= 0 && scheduled + deadline * (int64_t)NS_PER_SEC < now) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "MissSchedule",
                     "Missed scheduled time to start a job");
        return 0;
    }
    if (streq(policy, "Forbid") && n_active > 0) {
        event_record(sync->all->events, sync->cron, NULL, "Normal", "JobAlreadyActive",
                     "Not starting job because prior execution is running and concurrency policy is Forbid");
        return 0;
    }
    if (streq(policy, "Replace")) {
        int r = replace_active(sync);
        if (r < 0)
            return r;
    }
    return start_job(sync, scheduled);
}

/* ---- the sync ---- */

static int sync_cron(Sync *sync) {
    CronJobs *all = sync->all;
    int64_t now = now_realtime_ns();
    sync->value = object_value(sync->cron, sync->arena);
    sync->spec = value_get(sync->value, "spec");
    sync->status = value_ensure_object(sync->arena, sync->value, "status");
    informer_list_controlled(all->jobs, object_uid(sync->cron), &sync->jobs);
    update_active(sync);
    int r = trim_history(sync, "Complete", value_get_int(sync->spec, "successfulJobsHistoryLimit", 3));
    if (r >= 0)
        r = trim_history(sync, "Failed", value_get_int(sync->spec, "failedJobsHistoryLimit", 1));
    const char *zone = value_get_str(sync->spec, "timeZone");
    bool runs = r >= 0 && !object_is_deleting(sync->cron) && !value_get_bool(sync->spec, "suspend", false);
    if (runs && zone && !streq(zone, "UTC") && !streq(zone, "Etc/UTC")) {
        event_record(all->events, sync->cron, NULL, "Warning", "UnknownTimeZone",
                     "invalid timeZone: \"%s\": only UTC is supported", zone);
        runs = false;
    }
    if (runs && cron_parse(str_or(value_get_str(sync->spec, "schedule"), ""), &sync->schedule) < 0) {
        event_record(all->events, sync->cron, NULL, "Warning", "UnparseableSchedule", "unparseable schedule: \"%s\"",
                     str_or(value_get_str(sync->spec, "schedule"), ""));
        runs = false;
    }
    if (runs) {
        r = run_due(sync, now);
        int64_t since = value_get_time(sync->status, "lastScheduleTime");
        since = since ? since : object_created_ns(sync->cron);
        int64_t next = cron_next(&sync->schedule, sync->schedule.every_ns ? since : now);
        if (next)
            workqueue_add_after(all->queue, sync->key, (uint64_t)MAX(next - now, (int64_t)0) + SCHEDULE_SLACK_NS);
    }
    if (sync->dirty) {
        int written = client_update(all->client, object_resource(sync->cron), object_namespace(sync->cron),
                                    object_name(sync->cron), "status", sync->value, NULL, NULL);
        if (written < 0 && written != -ENOENT)
            return written;
    }
    return r;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    CronJobs *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *cron = informer_lookup(all->crons, parts.ns, parts.name);
    if (!cron)
        return 0;
    Sync sync = {.all = all, .key = key, .arena = arena, .cron = cron};
    int r = sync_cron(&sync);
    client_list_done(&sync.jobs);
    return r;
}

static void *init(Controller *controller) {
    CronJobs *all = NEW0(CronJobs);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "cronjob-controller");
    all->crons = controller_informer(controller, "batch", "v1", "cronjobs");
    all->jobs = controller_informer(controller, "batch", "v1", "jobs");
    all->queue = controller_queue(controller, "cronjob", 1, sync_key, all);
    controller_watch(all->crons, all->queue);
    controller_watch_owned(controller, all->jobs, all->crons, all->queue);
    return all;
}

const ControllerRow controller_cronjob = {.name = "cronjob-controller", .init = init};
