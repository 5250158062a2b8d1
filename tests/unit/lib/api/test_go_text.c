/* Numbers as Go's fmt shows them (%v, %s, %#v of a float64), as `go run` printed them. */
#include "api/go_text.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_doubles(void **state) {
    static const struct {
        double number;
        const char *want;
    } rows[] = {
        {1e5, "100000"},
        {1e6, "1e+06"},
        {1e20, "1e+20"},
        {1e21, "1e+21"},
        {1.5, "1.5"},
        {-1e-7, "-1e-07"},
        {1e-4, "0.0001"},
        {1e-5, "1e-05"},
        {0.1, "0.1"},
        {1234567, "1.234567e+06"},
        {3, "3"},
        {123456789.5, "1.234567895e+08"},
        {9223372036854775808.0, "9.223372036854776e+18"},
        {0, "0"},
        {-0.5, "-0.5"},
        {123456.25, "123456.25"},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_buf_ Buf plain = BUF_INIT(64), string = BUF_INIT(64), syntax = BUF_INIT(64);
        Value *v = value_double(arena, rows[i].number);
        go_write(&plain, v, GO_PLAIN);
        go_write(&string, v, GO_STRING);
        go_write(&syntax, v, GO_SYNTAX);
        assert_string_equal(plain.data, rows[i].want);
        assert_string_equal(string.data, arena_printf(arena, "%%!s(float64=%s)", rows[i].want));
        assert_string_equal(syntax.data, rows[i].want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_doubles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
