/* Times and base64 as Go reads and writes them; texts and messages are those of Go 1.26. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/scalar.h"

static void check_time(const char *in, bool micro, const char *want, const char *want_error) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    TimePoint t;
    char *message = NULL, out[TIME_POINT_TEXT_MAX];
    int r = time_point_parse(arena, in, strlen(in), micro, &t, &message);
    if (want_error) {
        assert_int_equal(r, -EINVAL);
        assert_string_equal(message, want_error);
        return;
    }
    if (r < 0)
        fail_msg("%s", message);
    time_point_format(t, micro, out);
    assert_string_equal(out, want);
    assert_true(time_text_is_canonical(in, strlen(in), micro) <= (strcmp(in, want) == 0));
}

static void times_are_read_and_written_as_go_does(void **state) {
    (void)state;
    check_time("2024-01-31T10:00:00Z", false, "2024-01-31T10:00:00Z", NULL);
    check_time("2024-01-01T00:30:00+02:00", false, "2023-12-31T22:30:00Z", NULL);
    check_time("2024-02-29T23:59:59.999Z", false, "2024-02-29T23:59:59Z", NULL);
    check_time("0001-01-01T00:00:00Z", false, "0001-01-01T00:00:00Z", NULL);
    check_time("9999-12-31T23:59:59Z", false, "9999-12-31T23:59:59Z", NULL);
    check_time("1969-12-31T23:59:59Z", false, "1969-12-31T23:59:59Z", NULL);
    check_time("2024-01-31T1:00:00Z", false, "2024-01-31T01:00:00Z", NULL);
    check_time("2024-01-31T10:00:00.123456Z", true, "2024-01-31T10:00:00.123456Z", NULL);
    check_time("2023-02-29T00:00:00Z", false, NULL, "parsing time \"2023-02-29T00:00:00Z\": day out of range");
    check_time("2024-13-01T00:00:00Z", false, NULL, "parsing time \"2024-13-01T00:00:00Z\": month out of range");
    check_time("2024-01-01T24:00:00Z", false, NULL, "parsing time \"2024-01-01T24:00:00Z\": hour out of range");
    check_time("", false, NULL, "parsing time \"\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"2006\"");
    check_time("2024-01-01", false, NULL,
               "parsing time \"2024-01-01\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\"");
    check_time(
        "2024-01-01T00:00:00", false, NULL,
        "parsing time \"2024-01-01T00:00:00\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\"");
    check_time("2024-01-01T00:00:00Zx", false, NULL, "parsing time \"2024-01-01T00:00:00Zx\": extra text: \"x\"");
    check_time("2024-01-01T00:00:00Z", true, NULL,
               "parsing time \"2024-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as "
               "\".000000\"");
}

static void every_day_comes_back(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (int64_t day = TIME_ZERO_SECONDS / 86400; day < 2932896; day += 13) {
        TimePoint t = {day * 86400 + 3723, 0}, back;
        char text[TIME_POINT_TEXT_MAX], *message;
        time_point_format(t, false, text);
        arena_reset(arena);
        assert_int_equal(time_point_parse(arena, text, strlen(text), false, &back, &message), 0);
        assert_int_equal(back.seconds, t.seconds);
    }
}

static void check_base64(const char *in, const char *want, bool want_canonical, int want_at) {
    uint8_t out[64] = {0};
    size_t n = 0, at = 0;
    bool canonical;
    int r = base64_go_decode(in, strlen(in), out, &n, &canonical, &at);
    if (!want) {
        assert_int_equal(r, -EINVAL);
        assert_int_equal(at, want_at);
        return;
    }
    assert_int_equal(r, 0);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(out, want, n);
    assert_int_equal(canonical, want_canonical);
}

static void base64_is_read_as_go_does(void **state) {
    (void)state;
    check_base64("", "", true, 0);
    check_base64("aGk=", "hi", true, 0);
    check_base64("aGkh", "hi!", true, 0);
    check_base64("aG\nk=\r\n", "hi", false, 0);
    check_base64("aGl=", "hi", false, 0); /* bits that no byte holds */
    check_base64("aGk", NULL, false, 0);
    check_base64("aGkhaG", NULL, false, 4);
    check_base64("a?==", NULL, false, 1);
    check_base64("a===", NULL, false, 1);
    check_base64("aG=k", NULL, false, 3);
    check_base64("aG=", NULL, false, 3);
    check_base64("aGk=aGk=", NULL, false, 4);
    check_base64("aG-_", NULL, false, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_and_written_as_go_does),
        cmocka_unit_test(every_day_comes_back),
        cmocka_unit_test(base64_is_read_as_go_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
