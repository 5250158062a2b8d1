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

int64_t cron_next(const CronSchedule *schedule, int64_t after_ns) {
    time_t after = (time_t)(after_ns / (int64_t)NS_PER_SEC), t;
    struct tm tm;
    if (schedule->every_ns) {
        int64_t next;
        return __builtin_add_overflow((int64_t)after * (int64_t)NS_PER_SEC, schedule->every_ns, &next) ? 0 : next;
    }
    if (!schedule->minute || !schedule->hour || !schedule->month || (!schedule->day && !schedule->weekday))
        return 0; /* fields of nothing but commas */
    t = after - after % 60 + 60;
    gmtime_r(&t, &tm);
    for (int last_year = tm.tm_year + 5; tm.tm_year <= last_year; gmtime_r(&t, &tm)) {
        if (!has(schedule->month, tm.tm_mon + 1)) {
            tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
            t = timegm(&tm);
        } else if (!day_matches(schedule, &tm))
            t += 86400 - t % 86400;
        else if (!has(schedule->hour, tm.tm_hour))
            t += 3600 - t % 3600;
        else if (!has(schedule->minute, tm.tm_min))
            t += 60;
        else
            return (int64_t)t * (int64_t)NS_PER_SEC;
    }
    return 0;
}
