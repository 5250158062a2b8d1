/* Time zones, against what libc makes of the same database. */
#include "base/time_zone.h"

#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void check_zone(const char *name, size_t *checked) {
    _cleanup_(time_zone_freep) TimeZone *zone = NULL;
    assert_int_equal(time_zone_load(name, &zone), 0);
    setenv("TZ", name, 1);
    tzset();
    for (int64_t t = -1500000000; t < 4000000000; t += 7777777) {
        time_t libc = (time_t)t;
        struct tm tm;
        localtime_r(&libc, &tm);
        if (time_zone_offset(zone, t) != tm.tm_gmtoff)
            fail_msg("%s at %lld: %lld, not %ld", name, (long long)t, (long long)time_zone_offset(zone, t),
                     tm.tm_gmtoff);
        (*checked)++;
    }
    /* To the second around changes of this year and of one that only the footer's rule knows. */
    static const int64_t years[] = {1767225600, 3912278400};
    for (size_t y = 0; y < ELEMENTSOF(years); y++)
        for (int64_t t = years[y]; t < years[y] + 366 * 86400ll; t += 900) {
            time_t libc = (time_t)t;
            struct tm tm;
            localtime_r(&libc, &tm);
            if (time_zone_offset(zone, t) != tm.tm_gmtoff)
                fail_msg("%s at %lld", name, (long long)t);
        }
}

static void test_as_libc(_unused_ void **state) {
    static const char *const names[] = {
        "Europe/Berlin",     "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe",
        "Africa/Casablanca", "Europe/Dublin",    "America/Nuuk",      "Pacific/Apia",   "Antarctica/Troll",
        "Asia/Gaza",         "America/Santiago", "Etc/GMT+5",         "EST5EDT",        "Pacific/Chatham"};
    size_t checked = 0;
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        check_zone(names[i], &checked);
    assert_true(checked > 5000);
}

static void test_names(_unused_ void **state) {
    static const char *const bad[] = {"Nowhere/Land", "../../../etc/passwd", "/etc/localtime", "Europe", "tzdata.zi"};
    TimeZone *zone = NULL;
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_true(time_zone_load(bad[i], &zone) < 0);
    assert_int_equal(time_zone_load("UTC", &zone), 0);
    assert_int_equal(time_zone_offset(zone, 1700000000), 0);
    time_zone_free(zone);
}

static int64_t utc(int year, int month, int day, int hour, int minute) {
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};
    return timegm(&tm);
}

/* What a clock on the wall shows once, never and twice, as Go's time.Date takes it. */
static void test_wall_clock(_unused_ void **state) {
    _cleanup_(time_zone_freep) TimeZone *berlin = NULL;
    assert_int_equal(time_zone_load("Europe/Berlin", &berlin), 0);
    assert_int_equal(time_zone_to_unix(berlin, utc(2026, 7, 1, 12, 0)), utc(2026, 7, 1, 10, 0));
    assert_int_equal(time_zone_to_unix(berlin, utc(2026, 3, 29, 2, 30)), utc(2026, 3, 29, 1, 30)); /* 3:30 */
    assert_int_equal(time_zone_to_unix(berlin, utc(2026, 10, 25, 2, 30)), utc(2026, 10, 25, 1, 30));
}

static void test_cut_files(_unused_ void **state) {
    static char data[65536];
    FILE *file = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    assert_non_null(file);
    size_t n = fread(data, 1, sizeof data, file);
    fclose(file);
    for (size_t cut = 0; cut < n; cut++) {
        TimeZone *zone = NULL;
        assert_int_equal(time_zone_parse(data, cut, &zone), -EBADMSG);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_libc), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_wall_clock), cmocka_unit_test(test_cut_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
