/* Statuses of jobs: what the job controller, or whoever manages a job, may say of it. */
#include <inttypes.h>

#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/job_validate.h"
#include "apiserver/registry/validate_util.h"

typedef struct JobStatus {
    FieldErrors *errors;
    const Value *job, *spec, *now, *old_job, *old;
    FieldPath path, conditions;
} JobStatus;

static bool is_true(const Value *job, const char *type) {
    return job_condition_is(job, type, "True");
}

static bool is_finished(const Value *job) {
    return is_true(job, "Complete") || is_true(job, "Failed");
}

static bool changed(const JobStatus *s, const char *name) {
    return !value_equal(value_get(s->now, name), value_get(s->old, name));
}

static bool condition_changed(const JobStatus *s, const char *type) {
    return is_true(s->job, type) != is_true(s->old_job, type);
}

static void condition_error(const JobStatus *s, bool wrong, const char *message) {
    if (wrong)
        field_invalid_plain(s->errors, &s->conditions, message);
}

static void field_error(const JobStatus *s, bool wrong, const char *name, const char *message) {
    FieldPath at = FIELD(&s->path, name);
    const Value *v = value_get(s->now, name);
    if (wrong)
        field_invalid(s->errors, &at, v ? v : value_int(s->errors->arena, 0), "%s", message);
}

static void required_error(const JobStatus *s, bool wrong, const char *name, const char *message) {
    FieldPath at = FIELD(&s->path, name);
    if (wrong)
        field_required(s->errors, &at, message);
}

static void check_uncounted(const JobStatus *s) {
    static const char *const LISTS[] = {"succeeded", "failed"};
    const Value *uncounted = value_get(s->now, "uncountedTerminatedPods"), *first = value_get(uncounted, LISTS[0]);
    FieldPath path = FIELD(&s->path, "uncountedTerminatedPods");
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_get(uncounted, LISTS[l]);
        FieldPath list_at = FIELD(&path, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i);
            const char *uid = item_text(list, i);
            if (!*uid)
                field_invalid_str(s->errors, &at, "", "must not be empty");
            else if (seen_before(s->errors, list, i, NULL, uid) ||
                     (l && seen_before(s->errors, first, value_len(first), NULL, uid)))
                field_duplicate(s->errors, &at, value_at(list, i));
        }
    }
}

static void check_completion_time(const JobStatus *s) {
    bool complete = is_true(s->job, "Complete"), timed = changed(s, "completionTime"),
         news = condition_changed(s, "Complete") || timed;
    const char *start = value_get_str(s->now, "startTime"), *end = value_get_str(s->now, "completionTime");
    field_error(s, news && end && !complete, "completionTime",
                "cannot set completionTime when there is no Complete=True condition");
    required_error(s, news && !end && complete, "completionTime", "completionTime is required for Complete jobs");
    /* Times are in canonical form: they compare as text. */
    field_error(s, (changed(s, "startTime") || timed) && start && end && strcmp(end, start) < 0, "completionTime",
                "must be equal to or after `startTime`");
}

static void check_finished(const JobStatus *s) {
    bool finished = is_finished(s->job), news = finished != is_finished(s->old_job);
    const Value *uncounted = value_get(s->now, "uncountedTerminatedPods");
    bool idle = value_get_bool(s->spec, "suspend", false) && value_get(s->spec, "completions") &&
                value_get_int(s->spec, "completions", 1) == 0;
    FieldPath uncounted_at = FIELD(&s->path, "uncountedTerminatedPods");
    field_error(s, (news || changed(s, "active")) && finished && value_get_int(s->now, "active", 0) > 0, "active",
                "active>0 is invalid for finished job");
    required_error(s, (news || changed(s, "startTime")) && !idle && finished && !value_get(s->now, "startTime"),
                   "startTime", "startTime is required for finished job");
    if ((news || changed(s, "uncountedTerminatedPods")) && finished &&
        value_len(value_get(uncounted, "failed")) + value_len(value_get(uncounted, "succeeded")) > 0)
        field_invalid(s->errors, &uncounted_at,
                      internal_value(s->errors->arena, "UncountedTerminatedPods", uncounted, NULL),
                      "must be empty for finished job");
}

static void check_index_lists(const JobStatus *s) {
    Arena *arena = s->errors->arena;
    const char *completed = text_of(s->now, "completedIndexes"), *failed = value_get_str(s->now, "failedIndexes"),
               *wrong;
    bool completed_news = changed(s, "completedIndexes"), failed_news = changed(s, "failedIndexes");
    const Value *completions = value_get(s->spec, "completions"),
                *per_index = value_get(s->spec, "backoffLimitPerIndex");
    int64_t n = value_get_int(s->spec, "completions", 0), total;
    if (completed_news && completions && (wrong = job_indexes_check(arena, completed, n, &total)))
        field_error(s, true, "completedIndexes", arena_printf(arena, "error parsing completedIndexes: %s", wrong));
    if (failed_news && completions && per_index && failed && (wrong = job_indexes_check(arena, failed, n, &total)))
        field_error(s, true, "failedIndexes", arena_printf(arena, "error parsing failedIndexes: %s", wrong));
    field_error(s, completed_news && *completed && !job_is_indexed(s->spec), "completedIndexes",
                "cannot set non-empty completedIndexes when non-indexed completion mode");
    field_error(s, failed_news && !per_index && failed, "failedIndexes",
                "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    if ((failed_news || completed_news) && completions && failed &&
        (wrong = job_indexes_overlap(arena, completed, failed, n)))
        field_error(s, true, "failedIndexes", wrong);
}

static void check_conditions(const JobStatus *s) {
    bool complete = is_true(s->job, "Complete"), failed = is_true(s->job, "Failed"),
         target = is_true(s->job, "FailureTarget"), met = is_true(s->job, "SuccessCriteriaMet");
    condition_error(s, met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    condition_error(s, met && target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    condition_error(s, value_get(s->spec, "successPolicy") && !met && complete,
                    "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
}

static void check_status(const JobStatus *s) {
    static const char *const COUNTS[] = {"active", "succeeded", "failed", "ready", "terminating"};
    bool complete = is_true(s->job, "Complete"), failed = is_true(s->job, "Failed"), finished = is_finished(s->job),
         target = is_true(s->job, "FailureTarget");
    bool complete_news = condition_changed(s, "Complete"), failed_news = condition_changed(s, "Failed");
    for (size_t i = 0; i < ELEMENTSOF(COUNTS); i++)
        member_nonnegative(s->errors, s->now, COUNTS[i], &s->path);
    check_uncounted(s);
    condition_error(s, (complete_news || failed_news) && complete && failed,
                    "cannot set Complete=True and Failed=true conditions");
    condition_error(s, (complete_news || condition_changed(s, "FailureTarget")) && complete && target,
                    "cannot set Complete=True and FailureTarget=true conditions");
    check_completion_time(s);
    condition_error(s, (failed_news || changed(s, "failedIndexes")) && failed && !target,
                    "cannot set Failed=True condition without the FailureTarget=true condition");
    condition_error(s,
                    (complete_news || condition_changed(s, "SuccessCriteriaMet")) && complete &&
                        !is_true(s->job, "SuccessCriteriaMet"),
                    "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
    check_finished(s);
    check_index_lists(s);
    field_error(s,
                (finished != is_finished(s->old_job) || changed(s, "terminating")) && finished &&
                    value_get_int(s->now, "terminating", 0) > 0,
                "terminating", "terminating>0 is invalid for finished job");
    field_error(s,
                (changed(s, "ready") || changed(s, "active")) && value_get(s->now, "ready") &&
                    value_get_int(s->now, "ready", 0) > value_get_int(s->now, "active", 0),
                "ready", "cannot set more ready pods than active");
    check_conditions(s);
}

static void check_history(const JobStatus *s) {
    static const char *const TERMINAL[] = {"Failed", "Complete", "FailureTarget"};
    bool met = is_true(s->job, "SuccessCriteriaMet"), was_met = is_true(s->old_job, "SuccessCriteriaMet");
    for (size_t i = 0; i < ELEMENTSOF(TERMINAL); i++)
        condition_error(s, is_true(s->old_job, TERMINAL[i]) && !is_true(s->job, TERMINAL[i]),
                        arena_printf(s->errors->arena, "cannot disable the terminal %s=True condition", TERMINAL[i]));
    field_error(s, value_get_int(s->now, "failed", 0) < value_get_int(s->old, "failed", 0), "failed",
                "cannot decrease the failed counter");
    bool elastic =
        job_is_indexed(s->spec) && value_equal(value_get(s->spec, "completions"), value_get(s->spec, "parallelism"));
    field_error(s, !elastic && value_get_int(s->now, "succeeded", 0) < value_get_int(s->old, "succeeded", 0),
                "succeeded", "cannot decrease the succeeded counter");
    field_error(
        s, value_get(s->now, "completionTime") && value_get(s->old, "completionTime") && changed(s, "completionTime"),
        "completionTime", MUST_BE_IMMUTABLE);
    bool resuming = is_true(s->old_job, "Suspended") && job_condition_is(s->job, "Suspended", "False");
    FieldPath start = FIELD(&s->path, "startTime");
    if (changed(s, "startTime") && !resuming && value_get(s->old, "startTime") &&
        !value_get_bool(s->spec, "suspend", false))
        field_invalid(s->errors, &start, value_get(s->now, "startTime"),
                      "field is immutable for unsuspended job once set");
    condition_error(s, was_met && !met, "cannot disable the SuccessCriteriaMet=True condition");
    condition_error(s, is_true(s->old_job, "Complete") && !was_met && met,
                    "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
}

void job_validate_status(_unused_ StrategyContext *context, const Value *object, const Value *old,
                         FieldErrors *errors) {
    JobStatus s = {
        .errors = errors,
        .job = object,
        .spec = value_get(object, "spec"),
        .now = value_get(object, "status"),
        .old_job = old,
        .old = value_get(old, "status"),
        .path = FIELD(NULL, "status"),
    };
    s.conditions = FIELD(&s.path, "conditions");
    check_status(&s);
    check_history(&s);
}
