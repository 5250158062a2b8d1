/* Cron schedules as robfig/cron's standard parser reads them: five fields (ranges, lists, steps, names), @hourly and
 * the like, @every. Pure. Times are UTC. */
#pragma once

#include "base/mem.h"

typedef struct CronSchedule {
    uint64_t minute, hour, day, month, weekday; /* bits */
    bool any_day, any_weekday;                  /* the field was a star */
    int64_t every_ns;                           /* @every; 0: the fields count */
} CronSchedule;

/* -EINVAL. Less than a second is a second, as there; a leading TZ= or CRON_TZ= is refused. */
int cron_parse(const char *text, CronSchedule *ret);
/* The first time after `after_ns` (ns since 1970, UTC); 0: none within five years. */
int64_t cron_next(const CronSchedule *schedule, int64_t after_ns);
