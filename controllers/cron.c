#include "controllers/cron.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <strings.h>
#include <time.h>

typedef struct CronField {
    int min, max;
    const char *const *names; /* from min on; NULL: numbers only */
} CronField;

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

#define NUMBER_MAX 1000000 /* no field goes so far: what is larger counts as this */

static int parse_number(const char *text, int *ret) {
    const char *digits = text + (*text == '+' || *text == '-');
    int64_t n;
    if (!*digits || strspn(digits, "0123456789") != strlen(digits) || str_to_int64(digits, &n) < 0 ||
        (*text == '-' && n))
        return -EINVAL;
    *ret = (int)MIN(n, (int64_t)NUMBER_MAX);
    return 0;
}

static int parse_value(const CronField *field, const char *text, int *ret) {
    for (int i = 0; field->names && field->names[i]; i++)
        if (strcasecmp(text, field->names[i]) == 0) {
            *ret = field->min + i;
            return 0;
        }
    return parse_number(text, ret);
}

/* One of "*", "a", "a-b", each with "/step". What follows a star up to the slash does not matter. */
static int parse_range(const CronField *field, char *text, uint64_t *bits, bool *star) {
    char *slash = strchr(text, '/'), *dash;
    int first = field->min, last = field->max, step = 1;
    if (slash)
        *slash++ = 0;
    dash = strchr(text, '-');
    if (dash)
        *dash++ = 0;
    bool all = streq(text, "*") || streq(text, "?");
    if (slash && (parse_number(slash, &step) < 0 || step == 0))
        return -EINVAL;
    if (!all) {
        if (parse_value(field, text, &first) < 0 || (dash && parse_value(field, dash, &last) < 0))
            return -EINVAL;
        if (!dash && !slash)
            last = first;
    }
    if (first < field->min || last > field->max || first > last)
        return -EINVAL;
    *star = *star || (all && step == 1);
    for (int i = first; i <= last; i += step)
        *bits |= 1ull << i;
    return 0;
}

/* Commas with nothing between them are passed over. */
static int parse_field(Arena *arena, const CronField *field, const char *text, uint64_t *bits, bool *star) {
    size_t n;
    char **parts = str_split(arena, text, ',', &n);
    for (size_t i = 0; i < n; i++)
        if (*parts[i] && parse_range(field, parts[i], bits, star) < 0)
            return -EINVAL;
    return 0;
}

static const char *expand(const char *text) {
    static const char *const names[][2] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (streq(text, names[i][0]))
            return names[i][1];
    return text;
}

int cron_parse(const char *text, CronSchedule *ret) {
    static const CronField fields[] = {{0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, months}, {0, 6, weekdays}};
    _cleanup_arena_ Arena *arena = arena_new(0);
    CronSchedule schedule = {0};
    bool stars[5] = {0};
    uint64_t *bits[] = {&schedule.minute, &schedule.hour, &schedule.day, &schedule.month, &schedule.weekday};
    size_t n = 0;
    if (str_has_prefix(text, "@every ")) {
        if (duration_parse(text + 7, &schedule.every_ns) < 0)
            return -EINVAL;
        schedule.every_ns = MAX(schedule.every_ns - schedule.every_ns % (int64_t)NS_PER_SEC, (int64_t)NS_PER_SEC);
        *ret = schedule;
        return 0;
    }
    char *copy = arena_strdup(arena, expand(text)), *rest = copy, *word;
    while ((word = strtok_r(rest, " \t\n\v\f\r", &rest))) {
        if (n == ELEMENTSOF(fields) || parse_field(arena, &fields[n], word, bits[n], &stars[n]) < 0)
            return -EINVAL;
        n++;
    }
    if (n != ELEMENTSOF(fields))
        return -EINVAL;
    schedule.any_day = stars[2];
    schedule.any_weekday = stars[4];
    *ret = schedule;
    return 0;
}

static bool has(uint64_t bits, int i) {
    return bits >> i & 1;
}

/* As cron always did: when both day fields are restricted, either will do. */
static bool day_matches(const CronSchedule *schedule, const struct tm *tm) {
    bool day = has(schedule->day, tm->tm_mday), weekday = has(schedule->weekday, tm->tm_wday);
    return schedule->any_day || schedule->any_weekday ? day && weekday : day || weekday;
}

/* ---- robfig/cron's SpecSchedule.Next, step for step: what it does at changes of the clock counts ---- */

typedef struct Clock {
    const TimeZone *zone;
    int64_t t; /* seconds since 1970 */
    struct tm tm;
    bool added; /* a field was moved, so that those below it are at their start */
} Clock;

static void clock_set(Clock *clock, int64_t t) {
    time_t wall = (time_t)(t + time_zone_offset(clock->zone, t));
    clock->t = t;
    gmtime_r(&wall, &clock->tm);
}

/* time.Date: fields may be out of range. */
static void clock_date(Clock *clock, int month, int day, int hour) {
    struct tm tm = {.tm_year = clock->tm.tm_year, .tm_mon = month, .tm_mday = day, .tm_hour = hour};
    clock_set(clock, time_zone_to_unix(clock->zone, timegm(&tm)));
}

static bool step_month(Clock *clock) {
    if (!clock->added)
        clock_date(clock, clock->tm.tm_mon, 1, 0);
    clock->added = true;
    clock_date(clock, clock->tm.tm_mon + 1, clock->tm.tm_mday, clock->tm.tm_hour);
    return clock->tm.tm_mon == 0;
}

static bool step_day(Clock *clock) {
    if (!clock->added)
        clock_date(clock, clock->tm.tm_mon, clock->tm.tm_mday, 0);
    clock->added = true;
    int64_t before = clock->t;
    clock_date(clock, clock->tm.tm_mon, clock->tm.tm_mday + 1, clock->tm.tm_hour);
    if (clock->t <= before) /* a day that a zone left out (Samoa's 30 December 2011): the reference does not return */
        clock_set(clock, before + 86400);
    if (clock->tm.tm_hour != 0) /* there was no midnight */
        clock_set(clock, clock->t + 3600ll * (clock->tm.tm_hour > 12 ? 24 - clock->tm.tm_hour : -clock->tm.tm_hour));
    return clock->tm.tm_mday == 1;
}

static bool step_hour(Clock *clock) {
    if (!clock->added)
        clock_date(clock, clock->tm.tm_mon, clock->tm.tm_mday, clock->tm.tm_hour);
    clock->added = true;
    clock_set(clock, clock->t + 3600);
    return clock->tm.tm_hour == 0;
}

static int64_t truncated(int64_t t, int64_t unit) {
    return t - ((t % unit) + unit) % unit;
}

static bool step_minute(Clock *clock) {
    clock_set(clock, (clock->added ? clock->t : truncated(clock->t, 60)) + 60);
    clock->added = true;
    return clock->tm.tm_min == 0;
}

/* True once every field matches; false when a step wrapped into a higher field, to begin again there. */
static bool settle(const CronSchedule *schedule, Clock *clock) {
    while (!has(schedule->month, clock->tm.tm_mon + 1))
        if (step_month(clock))
            return false;
    while (!day_matches(schedule, &clock->tm))
        if (step_day(clock))
            return false;
    while (!has(schedule->hour, clock->tm.tm_hour))
        if (step_hour(clock))
            return false;
    while (!has(schedule->minute, clock->tm.tm_min))
        if (step_minute(clock))
            return false;
    while (clock->tm.tm_sec != 0) { /* this parser has no field for seconds */
        clock->added = true;
        clock_set(clock, clock->t + 1);
        if (clock->tm.tm_sec == 0)
            return false;
    }
    return true;
}

int64_t cron_next(const CronSchedule *schedule, const TimeZone *zone, int64_t after_ns) {
    int64_t after = after_ns / (int64_t)NS_PER_SEC, next;
    if (schedule->every_ns)
        return __builtin_add_overflow(after * (int64_t)NS_PER_SEC, schedule->every_ns, &next) ? 0 : next;
    if (!schedule->minute || !schedule->hour || !schedule->month || (!schedule->day && !schedule->weekday))
        return 0; /* fields of nothing but commas */
    Clock clock = {.zone = zone};
    clock_set(&clock, after + 1);
    for (int last_year = clock.tm.tm_year + 5; clock.tm.tm_year <= last_year;)
        if (settle(schedule, &clock))
            return clock.t * (int64_t)NS_PER_SEC;
    return 0;
}

int cron_most_recent(const CronSchedule *schedule, const TimeZone *zone, int64_t earliest_ns, int64_t now_ns,
                     int64_t *ret_ns, CronMissed *ret_missed) {
    int64_t first = cron_next(schedule, zone, earliest_ns), second = first ? cron_next(schedule, zone, first) : 0;
    *ret_ns = 0;
    *ret_missed = CRON_NONE_MISSED;
    if (first && now_ns < first)
        return 0;
    if (second && now_ns < second) {
        *ret_ns = first;
        return 0;
    }
    int64_t between = (second - first) / (int64_t)NS_PER_SEC;
    if (!first || between < 1)
        return -EINVAL;
    int64_t missed = (now_ns - first) / (int64_t)NS_PER_SEC / between + 1, next;
    /* One start earlier than the regular distance says: not every schedule is regular. */
    int64_t from = first + (missed - 2) * between * (int64_t)NS_PER_SEC;
    while ((next = cron_next(schedule, zone, from)) != 0 && next <= now_ns)
        *ret_ns = from = next;
    *ret_missed = missed > CRON_MISSED_MANY ? CRON_MANY_MISSED : CRON_FEW_MISSED;
    return 0;
}
