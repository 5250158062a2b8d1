/* What net/url.Parse makes of URLs, and says of others (Go 1.26). */
#include "apiserver/registry/go_url.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void takes_apart(void **state) {
    (void)state;
    static const struct {
        const char *text;
        GoUrl parts;
    } cases[] = {
        {"https://a.example/b/c?d=e?f#g", {"https", "a.example", "/b/c", "d=e?f", "g", NULL}},
        {"HTTPS://u:p@[::1]:443", {"https", "[::1]:443", "", "", "", "u:p"}},
        {"https://[fe80::1%25en0]/", {"https", "[fe80::1%25en0]", "/", "", "", NULL}},
        {"https://a:", {"https", "a:", "", "", "", NULL}},
        {"mongodb://a:1,b:2/x", {"mongodb", "a:1,b:2", "/x", "", "", NULL}},
        {"urn:a:b", {"urn", "", "", "", "", NULL}},
        {"plain", {"", "", "plain", "", "", NULL}},
        {"a/b:c", {"", "", "a/b:c", "", "", NULL}},
        {"///a:b", {"", "", "///a:b", "", "", NULL}},
        {"https://a%ff/%20?%zz", {"https", "a%ff", "/%20", "%zz", "", NULL}}, /* queries are not looked at */
        {"", {"", "", "", "", "", NULL}},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        const GoUrl *parts = &cases[i].parts;
        GoUrl url;
        assert_null(go_url_parse(arena, cases[i].text, &url));
        assert_string_equal(url.scheme, parts->scheme);
        assert_string_equal(url.host, parts->host);
        assert_string_equal(url.path, parts->path);
        assert_string_equal(url.query, parts->query);
        assert_string_equal(url.fragment, parts->fragment);
        assert_string_equal(str_or(url.user, "none"), str_or(parts->user, "none"));
    }
}

static void refuses_in_its_words(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {":x", "parse \":x\": missing protocol scheme"},
        {"1a:b", "parse \"1a:b\": first path segment in URL cannot contain colon"},
        {"https://a\tb", "parse \"https://a\\tb\": net/url: invalid control character in URL"},
        {"http://[::1", "parse \"http://[::1\": missing ']' in host"},
        {"http://a[::1]", "parse \"http://a[::1]\": invalid IP-literal"},
        {"https://a:b", "parse \"https://a:b\": invalid port \":b\" after host"},
        {"https://[::1]x", "parse \"https://[::1]x\": invalid port \"x\" after host"},
        {"https://a:1:2", "parse \"https://a:1:2\": invalid port \":1:2\" after host"},
        {"https://a%zz", "parse \"https://a%zz\": invalid URL escape \"%zz\""},
        {"https://a%20", "parse \"https://a%20\": invalid URL escape \"%20\""},
        {"https://a/%2", "parse \"https://a/%2\": invalid URL escape \"%2\""},
        {"https://a b", "parse \"https://a b\": invalid character \" \" in host name"},
        {"https://a\\b@c", "parse \"https://a\\\\b@c\": net/url: invalid userinfo"},
        {"https://a#%", "parse \"https://a#%\": invalid URL escape \"%\""},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        GoUrl url;
        assert_string_equal(go_url_parse(arena, cases[i][0], &url), cases[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes_apart), cmocka_unit_test(refuses_in_its_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
