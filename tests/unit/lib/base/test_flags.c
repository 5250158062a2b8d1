/* Values of flags as they are shown again. */
#include "base/clock.h"
#include "base/flags.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_text(const Flag *flag, const char *text) {
    _cleanup_free_ char *have = flag_text(flag);
    assert_string_equal(have, text);
}

static void test_texts(void **state) {
    (void)state;
    const char *string = NULL, *given = "x y";
    bool yes = true;
    int64_t number = -7, duration = 300ll * (int64_t)NS_PER_SEC;
    FlagList list = {.items = {"a", "b,c"}, .n = 2}, none = {0};
    expect_text(&(Flag){"s", FLAG_STRING, &string, "S", ""}, "");
    expect_text(&(Flag){"s", FLAG_STRING, &given, "S", ""}, "x y");
    expect_text(&(Flag){"b", FLAG_BOOL, &yes, NULL, ""}, "true");
    expect_text(&(Flag){"i", FLAG_INT, &number, "N", ""}, "-7");
    expect_text(&(Flag){"d", FLAG_DURATION, &duration, "D", ""}, "5m0s");
    expect_text(&(Flag){"l", FLAG_LIST, &list, "L", ""}, "[a,b,c]");
    expect_text(&(Flag){"l", FLAG_LIST, &none, "L", ""}, "[]");
}

/* As time.Duration's String of Go, and duration_parse reads each of them back. */
static void test_durations(void **state) {
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ns"},
        {1500, "1.5µs"},
        {250 * (int64_t)NS_PER_MS, "250ms"},
        {1500 * (int64_t)NS_PER_MS, "1.5s"},
        {-2 * (int64_t)NS_PER_SEC, "-2s"},
        {60 * (int64_t)NS_PER_SEC, "1m0s"},
        {3600 * (int64_t)NS_PER_SEC, "1h0m0s"},
        {90061 * (int64_t)NS_PER_SEC + 30 * (int64_t)NS_PER_MS, "25h1m1.03s"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        char text[48];
        int64_t back;
        assert_string_equal(duration_format(cases[i].ns, text), cases[i].text);
        assert_int_equal(duration_parse(text, &back), 0);
        assert_int_equal(back, cases[i].ns);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_durations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
