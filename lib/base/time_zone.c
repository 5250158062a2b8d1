#include "base/time_zone.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define DATABASE "/usr/share/zoneinfo"
#define HEADER 44
#define TRANSITIONS_MAX 20000
#define DAY_S 86400

/* When a change of the footer's rule comes, in each year. */
typedef enum RuleKind { RULE_JULIAN, RULE_DAY, RULE_WEEK } RuleKind;
typedef struct Rule {
    RuleKind kind;
    int day, week, month; /* Jn: 1-365 without leap days; n: 0-365; Mm.w.d */
    int64_t time_s;       /* wall clock, may be negative or past the day's end */
} Rule;

struct TimeZone {
    size_t n;
    int64_t *at;      /* transitions, rising */
    int64_t *offsets; /* from each on */
    int64_t first;    /* before all of them */
    bool has_rule, has_summer;
    int64_t standard, summer; /* of the footer */
    Rule starts, ends;        /* of summer time */
};

void time_zone_free(TimeZone *zone) {
    if (!zone)
        return;
    free(zone->at);
    free(zone->offsets);
    free(zone);
}

/* ---- the footer: a POSIX TZ string with the extensions of RFC 8536 ---- */

static bool skip_name(const char **p) {
    const char *s = *p;
    if (*s == '<') {
        s = strchr(s, '>');
        if (!s)
            return false;
        *p = s + 1;
        return true;
    }
    while ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z'))
        s++;
    bool any = s != *p;
    *p = s;
    return any;
}

static bool read_int(const char **p, int least, int most, int *ret) {
    int v = 0;
    const char *s = *p;
    for (; *s >= '0' && *s <= '9' && v <= most; s++)
        v = v * 10 + (*s - '0');
    if (s == *p || v < least || v > most)
        return false;
    *p = s;
    *ret = v;
    return true;
}

/* [+-]hh[:mm[:ss]], hours up to a week */
static bool read_time(const char **p, int64_t *ret) {
    int parts[3] = {0};
    bool negative = **p == '-';
    if (**p == '-' || **p == '+')
        (*p)++;
    for (int i = 0; i < 3; i++) {
        if (i > 0 && **p != ':')
            break;
        if (i > 0)
            (*p)++;
        if (!read_int(p, 0, i ? 59 : 24 * 7, &parts[i]))
            return false;
    }
    int64_t v = parts[0] * 3600 + parts[1] * 60 + parts[2];
    *ret = negative ? -v : v;
    return true;
}

static bool read_rule(const char **p, Rule *ret) {
    Rule rule = {.time_s = 2 * 3600};
    if (**p == 'M') {
        rule.kind = RULE_WEEK;
        (*p)++;
        if (!read_int(p, 1, 12, &rule.month) || *(*p)++ != '.' || !read_int(p, 1, 5, &rule.week) || *(*p)++ != '.' ||
            !read_int(p, 0, 6, &rule.day))
            return false;
    } else {
        rule.kind = **p == 'J' ? RULE_JULIAN : RULE_DAY;
        if (**p == 'J')
            (*p)++;
        if (!read_int(p, rule.kind == RULE_JULIAN, 365, &rule.day))
            return false;
    }
    if (**p == '/') {
        (*p)++;
        if (!read_time(p, &rule.time_s))
            return false;
    }
    *ret = rule;
    return true;
}

static int parse_footer(const char *p, TimeZone *zone) {
    if (!*p)
        return 0;
    if (!skip_name(&p) || !read_time(&p, &zone->standard))
        return -EBADMSG;
    zone->standard = -zone->standard; /* POSIX counts west of Greenwich */
    zone->has_rule = true;
    if (!*p)
        return 0;
    zone->has_summer = true;
    zone->summer = zone->standard + 3600;
    if (!skip_name(&p))
        return -EBADMSG;
    if (*p && *p != ',') {
        if (!read_time(&p, &zone->summer))
            return -EBADMSG;
        zone->summer = -zone->summer;
    }
    if (*p++ != ',' || !read_rule(&p, &zone->starts) || *p++ != ',' || !read_rule(&p, &zone->ends) || *p)
        return -EBADMSG;
    return 0;
}

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t year_start(int64_t year) {
    struct tm tm = {.tm_year = (int)(year - 1900), .tm_mday = 1};
    return timegm(&tm);
}

/* The change in this year, in seconds of the wall clock since 1970. */
static int64_t rule_at(const Rule *rule, int64_t year) {
    int64_t start = year_start(year);
    if (rule->kind == RULE_DAY)
        return start + rule->day * (int64_t)DAY_S + rule->time_s;
    if (rule->kind == RULE_JULIAN)
        return start + (rule->day - 1 + (is_leap(year) && rule->day >= 60)) * (int64_t)DAY_S + rule->time_s;
    struct tm tm = {.tm_year = (int)(year - 1900), .tm_mon = rule->month - 1, .tm_mday = 1};
    int64_t month = timegm(&tm);
    int day = (rule->day - tm.tm_wday + 7) % 7 + 7 * (rule->week - 1);
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int length = lengths[rule->month - 1] + (rule->month == 2 && is_leap(year));
    while (day >= length) /* the fifth is the last */
        day -= 7;
    return month + day * (int64_t)DAY_S + rule->time_s;
}

static int64_t offset_by_rule(const TimeZone *zone, int64_t unix_s) {
    if (!zone->has_summer)
        return zone->standard;
    time_t wall = (time_t)(unix_s + zone->standard);
    struct tm tm;
    if (!gmtime_r(&wall, &tm))
        return zone->standard;
    int64_t year = tm.tm_year + 1900ll;
    int64_t starts = rule_at(&zone->starts, year) - zone->standard;
    int64_t ends = rule_at(&zone->ends, year) - zone->summer;
    bool summer = starts < ends ? unix_s >= starts && unix_s < ends : unix_s >= starts || unix_s < ends;
    return summer ? zone->summer : zone->standard;
}

/* ---- the file ---- */

typedef struct Header {
    uint8_t version;
    uint32_t n_ut, n_std, n_leap, n_times, n_types, n_chars;
} Header;

static uint32_t read32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read64(const uint8_t *p) {
    return (int64_t)((uint64_t)read32(p) << 32 | read32(p + 4));
}

static int read_header(const uint8_t *p, size_t n, Header *ret) {
    if (n < HEADER || memcmp(p, "TZif", 4) != 0)
        return -EBADMSG;
    *ret =
        (Header){p[4], read32(p + 20), read32(p + 24), read32(p + 28), read32(p + 32), read32(p + 36), read32(p + 40)};
    bool sound = ret->n_times <= TRANSITIONS_MAX && ret->n_types >= 1 && ret->n_types <= 256 && ret->n_chars <= 4096 &&
                 ret->n_leap <= 1024 && ret->n_ut <= 256 && ret->n_std <= 256;
    return sound ? 0 : -EBADMSG;
}

static size_t body_size(const Header *h, size_t width) {
    return h->n_times * (width + 1) + h->n_types * 6 + h->n_chars + h->n_leap * (width + 4) + h->n_std + h->n_ut;
}

static int read_body(const uint8_t *p, const Header *h, size_t width, TimeZone *zone) {
    const uint8_t *indexes = p + h->n_times * width, *types = indexes + h->n_times;
    zone->n = h->n_times;
    zone->at = NEWN0(int64_t, MAX(zone->n, (size_t)1));
    zone->offsets = NEWN0(int64_t, MAX(zone->n, (size_t)1));
    for (size_t i = 0; i < zone->n; i++) {
        if (indexes[i] >= h->n_types)
            return -EBADMSG;
        zone->at[i] = width == 8 ? read64(p + i * 8) : (int32_t)read32(p + i * 4);
        zone->offsets[i] = (int32_t)read32(types + indexes[i] * 6);
        if (i > 0 && zone->at[i] <= zone->at[i - 1])
            return -EBADMSG;
    }
    zone->first = (int32_t)read32(types);
    return 0;
}

int time_zone_parse(const void *data, size_t n, TimeZone **ret) {
    _cleanup_(time_zone_freep) TimeZone *zone = NEW0(TimeZone);
    const uint8_t *p = data, *end = p + n;
    Header header;
    int r = read_header(p, n, &header);
    if (r < 0)
        return r;
    size_t width = header.version >= '2' ? 8 : 4, body = body_size(&header, 4);
    if (width == 8) { /* the first body is for old readers */
        if ((size_t)(end - p) < HEADER + body)
            return -EBADMSG;
        p += HEADER + body;
        r = read_header(p, (size_t)(end - p), &header);
        if (r < 0)
            return r;
        body = body_size(&header, 8);
    }
    if ((size_t)(end - p) < HEADER + body)
        return -EBADMSG;
    r = read_body(p + HEADER, &header, width, zone);
    if (r < 0)
        return r;
    p += HEADER + body;
    if (width == 8) {
        const uint8_t *stop = end - p > 1 && *p == '\n' ? memchr(p + 1, '\n', (size_t)(end - p - 1)) : NULL;
        if (!stop)
            return -EBADMSG;
        _cleanup_free_ char *footer = xstrndup((const char *)p + 1, (size_t)(stop - p - 1));
        r = parse_footer(footer, zone);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(zone);
    return 0;
}

/* Read beneath the database, whatever the name says. */
static int read_zone(const char *name, char **ret, size_t *ret_n) {
    _cleanup_close_ int root = open(DATABASE, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    if (root < 0)
        return -errno;
    fd = fs_open_beneath(root, name, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    _cleanup_free_ char *data = xmalloc(TIME_ZONE_FILE_MAX);
    size_t n = 0;
    for (;;) {
        ssize_t k = read(fd, data + n, TIME_ZONE_FILE_MAX - n);
        if (k < 0)
            return -errno;
        if (k == 0)
            break;
        n += (size_t)k;
        if (n == TIME_ZONE_FILE_MAX)
            return -EFBIG;
    }
    *ret = TAKE_PTR(data);
    *ret_n = n;
    return 0;
}

int time_zone_load(const char *name, TimeZone **ret) {
    _cleanup_free_ char *data = NULL;
    size_t n = 0;
    if (!*name || streq(name, "UTC")) {
        *ret = NEW0(TimeZone);
        return 0;
    }
    int r = read_zone(name, &data, &n);
    if (r < 0)
        return r == -EFBIG ? -EBADMSG : -ENOENT;
    return time_zone_parse(data, n, ret);
}

int64_t time_zone_offset(const TimeZone *zone, int64_t unix_s) {
    if (!zone)
        return 0;
    if (zone->n == 0 || unix_s < zone->at[0])
        return zone->n == 0 && zone->has_rule ? offset_by_rule(zone, unix_s) : zone->first;
    if (unix_s >= zone->at[zone->n - 1])
        return zone->has_rule ? offset_by_rule(zone, unix_s) : zone->offsets[zone->n - 1];
    size_t low = 0, high = zone->n - 1; /* at[low] <= unix_s < at[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->at[middle] <= unix_s)
            low = middle;
        else
            high = middle;
    }
    return zone->offsets[low];
}

int64_t time_zone_to_unix(const TimeZone *zone, int64_t wall_s) {
    int64_t offset = time_zone_offset(zone, wall_s);
    if (offset != 0)
        offset = time_zone_offset(zone, wall_s - offset);
    return wall_s - offset;
}
