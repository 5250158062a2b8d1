/* CronJobs: a Job at each scheduled time, named by the minute so that none is made twice, and a history of those
 * finished. */
#define LOG_COMPONENT "cronjob"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/cron.h"
#include "controllers/meta.h"
#include "controllers/pods.h"

#include <errno.h>
#include <time.h>

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
    TimeZone *zone;
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

/* Those that have not started last; of the same start by name. */
static int compare_started(const void *a, const void *b) {
    const Value *job_a = *(Value *const *)a, *job_b = *(Value *const *)b;
    int64_t x = value_get_time(value_get(job_a, "status"), "startTime");
    int64_t y = value_get_time(value_get(job_b, "status"), "startTime");
    if (x == y)
        return strcmp(value_get_str(value_get(job_a, "metadata"), "name"),
                      value_get_str(value_get(job_b, "metadata"), "name"));
    return !x != !y ? (x ? -1 : 1) : x < y ? -1 : 1;
}

static bool leave_active(Sync *sync, const char *uid) {
    Value *active = value_get(sync->status, "active");
    bool left = false;
    for (size_t i = value_len(active); i-- > 0;)
        if (streq_null(value_get_str(value_at(active, i), "uid"), uid)) {
            value_remove_at(active, i);
            left = sync->dirty = true;
        }
    if (active && value_len(active) == 0)
        value_remove(sync->status, "active");
    return left;
}

static int delete_job(Sync *sync, const char *name, const char *uid) {
    _cleanup_api_error_ ApiError err = {0};
    const Resource *resource = informer_resource(sync->all->jobs);
    ClientDelete options = {.grace_seconds = -1, .propagation = "Background"};
    int r = client_delete(sync->all->client, resource, object_namespace(sync->cron), name, &options, &err);
    if (r < 0) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "FailedDelete", "Deleted job: %s",
                     str_or(err.message, strerror(-r)));
        return r;
    }
    leave_active(sync, uid);
    sync->dirty = true;
    event_record(sync->all->events, sync->cron, NULL, "Normal", "SuccessfulDelete", "Deleted job %s", name);
    return 0;
}

/* A job that cannot be deleted now is tried again at the next sync. */
static void trim_history(Sync *sync, const char *outcome, int64_t limit) {
    Value **jobs = arena_alloc(sync->arena, (sync->jobs.n + 1) * sizeof(*jobs));
    size_t n = 0;
    for (size_t i = 0; i < sync->jobs.n; i++) {
        Value *job = object_value(sync->jobs.items[i], sync->arena);
        if (streq(finished_as(job), outcome) && !object_is_deleting(sync->jobs.items[i]))
            jobs[n++] = job;
    }
    qsort(jobs, n, sizeof(*jobs), compare_started);
    for (size_t i = 0; i + (size_t)MAX(limit, (int64_t)0) < n; i++) {
        const Value *metadata = value_get(jobs[i], "metadata");
        delete_job(sync, value_get_str(metadata, "name"), value_get_str(metadata, "uid"));
    }
}

static void trim_histories(Sync *sync) {
    static const struct {
        const char *outcome, *limit;
    } kinds[] = {{"Complete", "successfulJobsHistoryLimit"}, {"Failed", "failedJobsHistoryLimit"}};
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
        if (value_get(sync->spec, kinds[i].limit))
            trim_history(sync, kinds[i].outcome, value_get_int(sync->spec, kinds[i].limit, 0));
}

static Object *find_job(const Sync *sync, const char *uid) {
    for (size_t i = 0; i < sync->jobs.n; i++)
        if (uid && streq(object_uid(sync->jobs.items[i]), uid))
            return sync->jobs.items[i];
    return NULL;
}

static bool is_active(const Sync *sync, const char *uid) {
    Value *ref;
    VALUE_FOREACH (ref, value_get(sync->status, "active"))
        if (streq_null(value_get_str(ref, "uid"), uid))
            return true;
    return false;
}

/* The latest end of a job that succeeded. */
static void note_success(Sync *sync, const Value *job) {
    Value *completed = value_path(job, "status", "completionTime", NULL);
    int64_t at = value_get_time(value_get(job, "status"), "completionTime");
    if (!completed || at <= value_get_time(sync->status, "lastSuccessfulTime"))
        return;
    value_set(sync->arena, sync->status, "lastSuccessfulTime", value_copy(sync->arena, completed));
    sync->dirty = true;
}

/* status.active: jobs that finished leave it, with a word about how. */
static void review_jobs(Sync *sync) {
    for (size_t i = 0; i < sync->jobs.n; i++) {
        const Object *job = sync->jobs.items[i];
        const Value *value = object_value(job, sync->arena);
        const char *outcome = finished_as(value);
        if (!*outcome) {
            if (!is_active(sync, object_uid(job)))
                event_record(sync->all->events, sync->cron, NULL, "Warning", "UnexpectedJob",
                             "Saw a job that the controller did not create or forgot: %s", object_name(job));
            continue;
        }
        if (leave_active(sync, object_uid(job)))
            event_record(sync->all->events, sync->cron, NULL, "Normal", "SawCompletedJob",
                         "Saw completed job: %s, condition: %s", object_name(job), outcome);
        if (streq(outcome, "Complete"))
            note_success(sync, value);
    }
}

/* Jobs that are gone leave it too; the server is asked, since the cache may not show a new one yet. */
static int drop_missing(Sync *sync) {
    Value *active = value_copy(sync->arena, value_get(sync->status, "active")), *ref;
    VALUE_FOREACH (ref, active) {
        _cleanup_object_ Object *there = NULL;
        const char *name = str_or(value_get_str(ref, "name"), ""), *uid = value_get_str(ref, "uid");
        if (find_job(sync, uid))
            continue;
        int r = client_get(sync->all->client, informer_resource(sync->all->jobs), object_namespace(sync->cron), name,
                           &there, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r >= 0)
            continue;
        event_record(sync->all->events, sync->cron, NULL, "Normal", "MissingJob", "Active job went missing: %s", name);
        leave_active(sync, uid);
    }
    return 0;
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

static const char *job_name(Sync *sync, int64_t scheduled) {
    return arena_printf(sync->arena, "%s-%lld", object_name(sync->cron),
                        (long long)(scheduled / (int64_t)(60 * NS_PER_SEC)));
}

static Value *job_for(Sync *sync, int64_t scheduled) {
    char when[RFC3339_MAX];
    Arena *arena = sync->arena;
    const Value *template = value_get(sync->spec, "jobTemplate");
    Value *job = value_object(arena), *metadata = value_ensure_object(arena, job, "metadata");
    value_set_str(arena, job, "apiVersion", "batch/v1");
    value_set_str(arena, job, "kind", "Job");
    /* The time in minutes: the same start never makes a second job. */
    value_set_str(arena, metadata, "name", job_name(sync, scheduled));
    value_set_str(arena, metadata, "namespace", object_namespace(sync->cron));
    Value *labels = value_copy(arena, value_path(template, "metadata", "labels", NULL));
    Value *annotations = value_copy(arena, value_path(template, "metadata", "annotations", NULL));
    value_set(arena, metadata, "labels", labels);
    value_set(arena, metadata, "annotations", annotations ? annotations : value_object(arena));
    value_set_str(
        arena, value_get(metadata, "annotations"), SCHEDULED_AT,
        rfc3339_format_offset(scheduled, time_zone_offset(sync->zone, scheduled / (int64_t)NS_PER_SEC), when));
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
    bool existed = false;
    if (r == -EEXIST) {
        r = client_get(sync->all->client, resource, ns, value_get_str(value_get(job, "metadata"), "name"), &created,
                       &err);
        const OwnerRef *owner = r >= 0 ? object_controller(created) : NULL;
        if (r < 0 || !owner || !streq(owner->uid, object_uid(sync->cron)) || is_active(sync, object_uid(created)))
            return r; /* another's: this start is lost */
        existed = true;
    }
    if (r < 0) {
        if (error_is_namespace_terminating(&err))
            return r;
        event_record(sync->all->events, sync->cron, NULL, "Warning", "FailedCreate", "Error creating job: %s",
                     err.message ? err.message : strerror(-r));
        return r;
    }
    if (!existed)
        event_record(sync->all->events, sync->cron, NULL, "Normal", "SuccessfulCreate", "Created job %s",
                     object_name(created));
    add_active(sync, created);
    value_set(sync->arena, sync->status, "lastScheduleTime", value_time(sync->arena, scheduled));
    sync->dirty = true;
    return 0;
}

/* ---- time ---- */

static int64_t deadline_ns(const Sync *sync) {
    int64_t seconds = value_get_int(sync->spec, "startingDeadlineSeconds", -1);
    return seconds < 0 ? -1 : seconds * (int64_t)NS_PER_SEC;
}

static int64_t last_schedule(const Sync *sync) {
    int64_t last = value_get_time(sync->status, "lastScheduleTime");
    return last ? last : object_created_ns(sync->cron);
}

/* The last start that is due and was not made; 0: none. */
static int64_t due_start(Sync *sync, int64_t now) {
    int64_t since = last_schedule(sync), due;
    CronMissed missed;
    if (deadline_ns(sync) >= 0)
        since = MAX(since, now - deadline_ns(sync));
    if (cron_most_recent(&sync->schedule, sync->zone, since, now, &due, &missed) < 0) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "InvalidSchedule",
                     "invalid schedule: %s : time difference between two schedules is less than 1 second",
                     value_get_str(sync->spec, "schedule"));
        return -1;
    }
    if (due && missed == CRON_MANY_MISSED)
        event_record(sync->all->events, sync->cron, NULL, "Warning", "TooManyMissedTimes",
                     "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
    return due;
}

static void requeue(Sync *sync, int64_t now) {
    int64_t recent, next;
    CronMissed missed;
    if (cron_most_recent(&sync->schedule, sync->zone, last_schedule(sync), now, &recent, &missed) < 0)
        recent = now;
    else if (recent == 0)
        recent = missed == CRON_NONE_MISSED ? last_schedule(sync) : now;
    next = cron_next(&sync->schedule, sync->zone, recent);
    if (next)
        workqueue_add_after(sync->all->queue, sync->key, (uint64_t)MAX(next - now, (int64_t)0) + SCHEDULE_SLACK_NS);
}

static int replace_active(Sync *sync) {
    Value *active = value_copy(sync->arena, value_get(sync->status, "active")), *ref;
    VALUE_FOREACH (ref, active) {
        _cleanup_api_error_ ApiError err = {0};
        _cleanup_object_ Object *job = NULL;
        const char *name = value_get_str(ref, "name");
        int r = client_get(sync->all->client, informer_resource(sync->all->jobs), object_namespace(sync->cron), name,
                           &job, &err);
        if (r < 0)
            event_record(sync->all->events, sync->cron, NULL, "Warning", "FailedGet", "Get job: %s",
                         str_or(err.message, strerror(-r)));
        if (r >= 0)
            r = delete_job(sync, name, object_uid(job));
        if (r < 0)
            return r;
    }
    return 0;
}

static bool was_started(Sync *sync, int64_t scheduled) {
    const char *name = job_name(sync, scheduled);
    Value *ref;
    VALUE_FOREACH (ref, value_get(sync->status, "active"))
        if (streq_null(value_get_str(ref, "name"), name))
            return true;
    return value_get_time(sync->status, "lastScheduleTime") == scheduled;
}

/* "Sat, 21 Nov 2026 06:00:00 +0000" */
static const char *rfc1123(Arena *arena, int64_t ns) {
    char text[64];
    time_t t = (time_t)(ns / (int64_t)NS_PER_SEC);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    return arena_strdup(arena, text);
}

static int run_due(Sync *sync, int64_t now) {
    int64_t scheduled = due_start(sync, now);
    const char *policy = str_or(value_get_str(sync->spec, "concurrencyPolicy"), "Allow");
    if (scheduled < 0)
        return 0;
    int r = 0;
    if (scheduled == 0)
        ;
    else if (deadline_ns(sync) >= 0 && scheduled + deadline_ns(sync) < now)
        event_record(sync->all->events, sync->cron, NULL, "Warning", "MissSchedule",
                     "Missed scheduled time to start a job: %s", rfc1123(sync->arena, scheduled));
    else if (was_started(sync, scheduled))
        ;
    else if (streq(policy, "Forbid") && value_len(value_get(sync->status, "active")) > 0)
        event_record(sync->all->events, sync->cron, NULL, "Normal", "JobAlreadyActive",
                     "Not starting job because prior execution is running and concurrency policy is Forbid");
    else {
        r = streq(policy, "Replace") ? replace_active(sync) : 0;
        if (r >= 0)
            r = start_job(sync, scheduled);
    }
    if (r >= 0)
        requeue(sync, now);
    return r;
}

/* False, with an event, when the spec does not say when. */
static bool read_schedule(Sync *sync) {
    const char *zone = value_get_str(sync->spec, "timeZone"), *text;
    text = str_or(value_get_str(sync->spec, "schedule"), "");
    if (zone && time_zone_load(zone, &sync->zone) < 0) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "UnknownTimeZone",
                     "invalid timeZone: %s: unknown time zone %s", go_quoted(sync->arena, zone), zone);
        return false;
    }
    if (value_get_bool(sync->spec, "suspend", false))
        return false;
    if (cron_parse(text, &sync->schedule) < 0) {
        event_record(sync->all->events, sync->cron, NULL, "Warning", "UnparseableSchedule",
                     "unparseable schedule: %s : expected five fields or a descriptor", go_quoted(sync->arena, text));
        return false;
    }
    return true;
}

/* ---- the sync ---- */

static int sync_cron(Sync *sync) {
    CronJobs *all = sync->all;
    sync->value = object_value(sync->cron, sync->arena);
    sync->spec = value_get(sync->value, "spec");
    sync->status = value_ensure_object(sync->arena, sync->value, "status");
    informer_list_controlled(all->jobs, object_uid(sync->cron), &sync->jobs);
    trim_histories(sync);
    review_jobs(sync);
    int r = drop_missing(sync);
    if (r >= 0 && !object_is_deleting(sync->cron) && read_schedule(sync))
        r = run_due(sync, now_realtime_ns());
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
    time_zone_free(sync.zone);
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
