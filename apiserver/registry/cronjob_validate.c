#include <strings.h>

#include "apiserver/registry/job_validate.h"
#include "apiserver/registry/validate_util.h"

#define NAME_MAX_CHARS 52 /* a job's name is the cron job's and a number of 11 characters */
#define ZONE_PART_MAX 14

static void check_schedule(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *path) {
    const char *schedule = text_of(spec, "schedule"), *wrong;
    FieldPath at = FIELD(path, "schedule");
    bool has_zone = strstr(schedule, "TZ") != NULL, may_have = old && strstr(text_of(old, "schedule"), "TZ");
    if (!*schedule) {
        field_required(errors, &at, "");
        return;
    }
    wrong = cron_schedule_check(errors->arena, schedule);
    if (wrong)
        field_invalid_str(errors, &at, schedule, "%s", wrong);
    if (has_zone && may_have && value_get(spec, "timeZone"))
        field_invalid_str(errors, &at, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
    else if (has_zone && !may_have)
        field_invalid_str(errors, &at, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
}

static bool is_zone_part(const char *part) {
    size_t n = strlen(part);
    for (const char *p = part; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+", *p))
            return false;
    return n && n <= ZONE_PART_MAX && !streq(part, ".") && !streq(part, "..") && part[0] != '-';
}

static void check_time_zone(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const char *zone = value_get_str(spec, "timeZone");
    FieldPath at = FIELD(path, "timeZone");
    size_t n;
    if (!zone)
        return;
    if (!*zone) {
        field_invalid_str(errors, &at, zone, "timeZone must be nil or non-empty string");
        return;
    }
    char **parts = str_split(errors->arena, zone, '/', &n);
    for (size_t i = 0; i < n; i++)
        if (!is_zone_part(parts[i])) {
            field_invalid_str(errors, &at, zone, "unknown time zone %s", zone);
            return;
        }
    if (strcasecmp(zone, "Local") == 0)
        field_invalid_str(errors, &at, zone,
                          "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    if (!time_zone_is_known(zone))
        field_invalid_str(errors, &at, zone, "unknown time zone %s", zone);
}

static void check_spec(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *path) {
    static const char *const POLICIES[] = {"Allow", "Forbid", "Replace", NULL};
    FieldPath template = FIELD(path, "jobTemplate");
    check_schedule(errors, spec, old, path);
    member_nonnegative(errors, spec, "startingDeadlineSeconds", path);
    if (!old || !value_equal(value_get(old, "timeZone"), value_get(spec, "timeZone")))
        check_time_zone(errors, spec, path);
    member_one_of(errors, spec, "concurrencyPolicy", POLICIES, path);
    job_template_validate(errors, value_get(spec, "jobTemplate"), &template);
    member_nonnegative(errors, spec, "successfulJobsHistoryLimit", path);
    member_nonnegative(errors, spec, "failedJobsHistoryLimit", path);
}

void cronjob_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    const char *name = text_of(value_get(object, "metadata"), "name");
    FieldPath path = FIELD(NULL, "spec"), meta = FIELD(NULL, "metadata"), name_at = FIELD(&meta, "name");
    check_spec(errors, value_get(object, "spec"), NULL, &path);
    if (strlen(name) > NAME_MAX_CHARS)
        field_invalid_str(errors, &name_at, name, "must be no more than %d characters", NAME_MAX_CHARS);
}

void cronjob_validate_update(_unused_ StrategyContext *context, const Value *object, const Value *old,
                             FieldErrors *errors) {
    FieldPath path = FIELD(NULL, "spec");
    check_spec(errors, value_get(object, "spec"), value_get(old, "spec"), &path);
}
