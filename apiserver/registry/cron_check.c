/* Schedules of cron jobs: five fields or a descriptor, refused in the words of the parser that the reference uses. */
#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

#include "apiserver/registry/go_duration.h"
#include "apiserver/registry/job_validate.h"
#include "apiserver/registry/time_zones.h"
#include "base/str.h"

typedef struct Bounds {
    uint64_t min, max;
    const char *const *names; /* the first stands for `min`; NULL: none */
} Bounds;

static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const DAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const Bounds BOUNDS[] = {{0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, MONTHS}, {0, 6, DAYS}};

static const char *parse_number(Arena *arena, const char *text, uint64_t *ret) {
    const char *digits = *text == '+' || *text == '-' ? text + 1 : text;
    int64_t n = 0;
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return arena_printf(arena, "failed to parse int from %s: strconv.Atoi: parsing %s: invalid syntax", text,
                            go_quoted(arena, text));
    if (str_to_int64(digits, &n) < 0)
        return arena_printf(arena, "failed to parse int from %s: strconv.Atoi: parsing %s: value out of range", text,
                            go_quoted(arena, text));
    if (*text == '-' && n > 0)
        return arena_printf(arena, "negative number (%" PRId64 ") not allowed: %s", -n, text);
    *ret = (uint64_t)n;
    return NULL;
}

static const char *parse_place(Arena *arena, const char *text, const Bounds *bounds, uint64_t *ret) {
    for (size_t i = 0; bounds->names && bounds->names[i]; i++)
        if (strcasecmp(text, bounds->names[i]) == 0) {
            *ret = bounds->min + i;
            return NULL;
        }
    return parse_number(arena, text, ret);
}

/* "*", "3", "1-5", each with an optional "/step". */
static const char *check_range(Arena *arena, const char *text, const Bounds *bounds) {
    size_t n_parts, n_ends;
    char **parts = str_split(arena, text, '/', &n_parts);
    char **ends = str_split(arena, n_parts ? parts[0] : "", '-', &n_ends);
    uint64_t start = bounds->min, end = bounds->max, step = 1;
    const char *first = n_ends ? ends[0] : "", *wrong = NULL;
    if (!streq(first, "*") && !streq(first, "?")) {
        wrong = parse_place(arena, first, bounds, &start);
        end = start;
        if (!wrong && n_ends == 2)
            wrong = parse_place(arena, ends[1], bounds, &end);
        else if (!wrong && n_ends > 2)
            wrong = arena_printf(arena, "too many hyphens: %s", text);
    }
    if (!wrong && n_parts == 2) {
        wrong = parse_number(arena, parts[1], &step);
        end = n_ends <= 1 ? bounds->max : end;
    } else if (!wrong && n_parts > 2)
        wrong = arena_printf(arena, "too many slashes: %s", text);
    if (wrong)
        return wrong;
    if (start < bounds->min)
        return arena_printf(arena, "beginning of range (%" PRIu64 ") below minimum (%" PRIu64 "): %s", start,
                            bounds->min, text);
    if (end > bounds->max)
        return arena_printf(arena, "end of range (%" PRIu64 ") above maximum (%" PRIu64 "): %s", end, bounds->max,
                            text);
    if (start > end)
        return arena_printf(arena, "beginning of range (%" PRIu64 ") beyond end of range (%" PRIu64 "): %s", start, end,
                            text);
    return step ? NULL : arena_printf(arena, "step of range should be a positive number: %s", text);
}

static const char *check_field(Arena *arena, const char *text, const Bounds *bounds) {
    size_t n;
    char **ranges = str_split(arena, text, ',', &n);
    for (size_t i = 0; i < n; i++) {
        const char *wrong = *ranges[i] ? check_range(arena, ranges[i], bounds) : NULL;
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *check_descriptor(Arena *arena, const char *text) {
    static const char *const KNOWN[] = {"@yearly", "@annually", "@monthly", "@weekly",
                                        "@daily",  "@midnight", "@hourly",  NULL};
    if (str_in(text, KNOWN))
        return NULL;
    if (!str_has_prefix(text, "@every "))
        return arena_printf(arena, "unrecognized descriptor: %s", text);
    int64_t every_ns;
    const char *wrong = go_duration_parse(arena, text + strlen("@every "), &every_ns);
    return wrong ? arena_printf(arena, "failed to parse duration %s: %s", text, wrong) : NULL;
}

static int by_text(const void *key, const void *item) {
    return strcmp(key, *(const char *const *)item);
}

bool time_zone_is_known(const char *name) {
    return !*name || streq(name, "UTC") || streq(name, "Local") ||
           bsearch(name, time_zone_names, time_zone_names_n, sizeof *time_zone_names, by_text);
}

static const char *check_fields(Arena *arena, const char *schedule) {
    char *fields[ELEMENTSOF(BOUNDS)], *list = arena_strdup(arena, "");
    size_t n = 0;
    for (const char *p = schedule; *(p += strspn(p, " \t\n\v\f\r"));) {
        size_t len = strcspn(p, " \t\n\v\f\r");
        char *field = arena_strndup(arena, p, len);
        if (n < ELEMENTSOF(fields))
            fields[n] = field;
        list = arena_printf(arena, "%s%s%s", list, n++ ? " " : "", field);
        p += len;
    }
    if (n != ELEMENTSOF(BOUNDS))
        return arena_printf(arena, "expected exactly %zu fields, found %zu: [%s]", ELEMENTSOF(BOUNDS), n, list);
    for (size_t i = 0; i < n; i++) {
        const char *wrong = check_field(arena, fields[i], &BOUNDS[i]);
        if (wrong)
            return wrong;
    }
    return NULL;
}

const char *cron_schedule_check(Arena *arena, const char *schedule) {
    if (!*schedule)
        return "empty spec string";
    if (str_has_prefix(schedule, "TZ=") || str_has_prefix(schedule, "CRON_TZ=")) {
        const char *zone = strchr(schedule, '=') + 1, *space = strchr(schedule, ' ');
        if (!space)
            return "invalid schedule format: runtime error: slice bounds out of range [:-1]";
        char *name = arena_strndup(arena, zone, (size_t)(space - zone));
        if (!time_zone_is_known(name))
            return arena_printf(arena, "provided bad location %s: unknown time zone %s", name, name);
        schedule = space + strspn(space, " \t\n\v\f\r");
    }
    return *schedule == '@' ? check_descriptor(arena, schedule) : check_fields(arena, schedule);
}
