/* Schedules, time zones and lists of indexes. The messages are those of the reference's parsers. */
#include "apiserver/registry/job_validate.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void schedules(void **state) {
    static const char *const GOOD[] = {"* * * * *",    "*/5 0-23 1,15 jan-mar MON", "? ? ? ? ?",    "@daily",
                                       "@every 1h30m", "TZ=UTC 0 0 1 1 0",          " 1  2 3 4 5 ", "1,,2 * * * *"};
    static const struct {
        const char *schedule, *wrong;
    } BAD[] = {
        {"", "empty spec string"},
        {"* * * *", "expected exactly 5 fields, found 4: [* * * *]"},
        {"60 * * * *", "end of range (60) above maximum (59): 60"},
        {"* * 0 * *", "beginning of range (0) below minimum (1): 0"},
        {"5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"},
        {"*/0 * * * *", "step of range should be a positive number: */0"},
        {"1-2-3 * * * *", "too many hyphens: 1-2-3"},
        {"1/2/3 * * * *", "too many slashes: 1/2/3"},
        {"x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"},
        {"@odd", "unrecognized descriptor: @odd"},
        {"@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""},
        {"TZ=Odd/X * * * * *", "provided bad location Odd/X: unknown time zone Odd/X"},
    };
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t i = 0; i < ELEMENTSOF(GOOD); i++)
        assert_null(cron_schedule_check(arena, GOOD[i]));
    for (size_t i = 0; i < ELEMENTSOF(BAD); i++)
        assert_string_equal(cron_schedule_check(arena, BAD[i].schedule), BAD[i].wrong);
}

static void zones(void **state) {
    (void)state;
    assert_true(time_zone_is_known("Europe/Berlin"));
    assert_true(time_zone_is_known("UTC"));
    assert_false(time_zone_is_known("Europe/Nowhere"));
    assert_false(time_zone_is_known("europe/berlin"));
}

static void indexes(void **state) {
    static const struct {
        const char *text, *wrong;
    } BAD[] = {
        {"x", "cannot convert string to integer for index: \"x\""},
        {"9", "too large index: \"9\""},
        {"3-2", "non-increasing order, previous: 3, current: 2"},
        {"2,1", "non-increasing order, previous: 2, current: 1"},
        {"1,,2", "cannot convert string to integer for index: \"\""},
        {"1-2-3", "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts "
                  "separated by '-'"},
    };
    int64_t total = -1;
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_null(job_indexes_check(arena, "0,2-4,7", 9, &total));
    assert_int_equal(total, 5);
    assert_null(job_indexes_check(arena, "", 9, &total));
    assert_int_equal(total, 0);
    for (size_t i = 0; i < ELEMENTSOF(BAD); i++)
        assert_string_equal(job_indexes_check(arena, BAD[i].text, 9, &total), BAD[i].wrong);
    assert_null(job_indexes_overlap(arena, "0-2,5", "3,4,6", 9));
    assert_string_equal(job_indexes_overlap(arena, "0-2,5", "3,4-6", 9),
                        "failedIndexes and completedIndexes overlap at index: 5");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedules), cmocka_unit_test(zones), cmocka_unit_test(indexes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
