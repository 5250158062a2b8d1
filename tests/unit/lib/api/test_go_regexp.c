/* Patterns of Go's syntax: what matches, and what is refused in Go's words. */
#include "api/go_regexp.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_matches(void **state) {
    static const struct {
        const char *pattern, *text;
        bool want;
    } rows[] = {
        {"^\\d{2}$", "42", true},
        {"^\\d{2}$", "4x", false},
        {"^[\\w.-]+$", "a.b-c_d", true},
        {"^[\\w.-]+$", "a b", false},
        {"^(?:a|b)$", "b", true},
        {"(?i)^abc$", "ABC", true},
        {"^[^\\]]$", "]", false},
        {"^[\\^x]$", "^", true},
        {"^[]a]$", "]", true},
        {"^a+?$", "aaa", true},
        {"^\\p{L}+$", "aé", true},
        {"^\\p{Greek}$", "α", true},
        {"^\\PL$", "1", true},
        {"^\\s*\\S+$", "  x", true},
        {"^\\s$", "\v", false}, /* Perl's would */
        {"^[\\S]$", "\v", true},
        {"^v[0-9]+\\.[0-9]+$", "v1.2", true},
        {"^a$", "a\n", false}, /* nor does $ look past a line's end */
        {"(?m)^a$", "b\na\nc", true},
        {"^(?P<x>a)(?<y>b)$", "ab", true},
        {"^\\Qa.b\\E$", "a.b", true},
        {"^\\Qa.b\\E$", "axb", false},
        {"^\\x41\\x{1F600}\\101$",
         "A\xF0\x9F\x98\x80"
         "A",
         true},
        {"^a{,2}$", "a{,2}", true},
        {"^[[:alpha:][:^digit:]]$", "x", true},
        {"^*a", "a", true},
        {"", "anything", true},
        {"^#[a-f]$", "#a", true},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *error = NULL;
        GoRegexp *regexp = NULL;
        if (go_regexp_compile(rows[i].pattern, &regexp, &error) < 0)
            fail_msg("%s: %s", rows[i].pattern, error);
        if (go_regexp_matches(regexp, rows[i].text, strlen(rows[i].text)) != rows[i].want)
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
        go_regexp_free(regexp);
    }
}

static void test_refused(void **state) {
    static const struct {
        const char *pattern, *error;
    } rows[] = {
        {"a(b", "missing closing ): `a(b`"},
        {"a)b", "unexpected ): `a)b`"},
        {"*a", "missing argument to repetition operator: `*`"},
        {"(|+?)", "missing argument to repetition operator: `+?`"},
        {"a**", "invalid nested repetition operator: `**`"},
        {"a*+b", "invalid nested repetition operator: `*+`"},
        {"a{2}{3}", "invalid nested repetition operator: `{2}{3}`"},
        {"a{1001}", "invalid repeat count: `{1001}`"},
        {"a{2,1}", "invalid repeat count: `{2,1}`"},
        {"[z-a]", "invalid character class range: `z-a`"},
        {"x[ab", "missing closing ]: `[ab`"},
        {"[[:foo:]]", "invalid character class range: `[:foo:]`"},
        {"\\8", "invalid escape sequence: `\\8`"},
        {"\\1", "invalid escape sequence: `\\1`"},
        {"\\Z", "invalid escape sequence: `\\Z`"},
        {"\\", "trailing backslash at end of expression: ``"},
        {"\\pX", "invalid character class range: `\\pX`"},
        {"\\p{Nope}", "invalid character class range: `\\p{Nope}`"},
        {"(?=x)", "invalid or unsupported Perl syntax: `(?=`"},
        {"(?z)", "invalid or unsupported Perl syntax: `(?z`"},
        {"(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"},
        {"(?P<a", "invalid named capture: `(?P<a`"},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *error = NULL, *want = xasprintf("error parsing regexp: %s", rows[i].error);
        GoRegexp *regexp = NULL;
        assert_int_equal(go_regexp_compile(rows[i].pattern, &regexp, &error), -EINVAL);
        assert_string_equal(error, want);
    }
}

/* What takes a backtracking matcher for ever ends at a limit. */
static void test_limit(void **state) {
    static const char *const patterns[] = {"^(a+)+$", "^(a|aa)+$", "^(a*)*b$", "^([a-z]+)*[0-9]$"};
    char text[10001];
    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    text[sizeof text - 2] = '!';
    for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
        GoRegexp *regexp = NULL;
        uint64_t start = now_monotonic_ns();
        assert_int_equal(go_regexp_compile(patterns[i], &regexp, NULL), 0);
        assert_false(go_regexp_matches(regexp, text, strlen(text)));
        assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
        go_regexp_free(regexp);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matches), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
