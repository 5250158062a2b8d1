/* Cron schedules as robfig/cron's standard parser reads them: five fields (ranges, lists, steps, names), @hourly and
 * the like, @every. Pure. */
#pragma once

#include "base/time_zone.h"

typedef struct CronSchedule {
    uint64_t minute, hour, day, month, weekday; /* bits */
    bool any_day, any_weekday;                  /* the field was a star */
    int64_t every_ns;                           /* @every; 0: the fields count */
} CronSchedule;

/* -EINVAL. Less than a second is a second, as there; a leading TZ= or CRON_TZ= is refused. */
int cron_parse(const char *text, CronSchedule *ret);
/* The first time after `after_ns` (ns since 1970) by the clock of the zone (NULL: UTC); 0: none within five years. */
int64_t cron_next(const CronSchedule *schedule, const TimeZone *zone, int64_t after_ns);

typedef enum CronMissed { CRON_NONE_MISSED, CRON_FEW_MISSED, CRON_MANY_MISSED } CronMissed;
#define CRON_MISSED_MANY 100 /* more than these */
/* The most recent start in (`earliest_ns`, `now_ns`]; *ret_ns 0: none. How many there were is estimated from the
 * first two. -EINVAL for a schedule that never comes. */
int cron_most_recent(const CronSchedule *schedule, const TimeZone *zone, int64_t earliest_ns, int64_t now_ns,
                     int64_t *ret_ns, CronMissed *ret_missed);
