/* URLs, and what references mean beside them (RFC 3986, 5.4). */
#include "http/url.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void parses(const char *text, int wanted, bool tls, const char *host, uint16_t port, const char *path) {
    _cleanup_http_url_ HttpUrl url = {0};
    assert_int_equal(http_url_parse(text, &url), wanted);
    if (wanted < 0)
        return;
    assert_int_equal(url.tls, tls);
    assert_string_equal(url.host, host);
    assert_int_equal(url.port, port);
    assert_string_equal(url.path, path);
}

static void test_parse(void **state) {
    (void)state;
    parses("http://a", 0, false, "a", 80, "");
    parses("https://a.b/c/d", 0, true, "a.b", 443, "/c/d");
    parses("https://[::1]:6443", 0, true, "::1", 6443, "");
    static const char *const bad[] = {"a",           "ftp://a",   "http://",    "http://a:0", "http://a:65536",
                                      "http://[::1", "http://[x", "http://a?b", "http://u@a", "http://a b",
                                      "http://a:1x"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        parses(bad[i], -EINVAL, false, NULL, 0, NULL);
}

/* As "host:port path"; the base is http://a:8080/b/c/d;p?q. */
static void means(const char *reference, const char *wanted) {
    const HttpUrl base = {.port = 8080, .host = (char *)"a", .path = (char *)"/b/c/d;p?q"};
    _cleanup_http_url_ HttpUrl url = {0};
    if (http_url_resolve(&base, reference, &url) < 0)
        fail_msg("%s", reference);
    _cleanup_free_ char *got = xasprintf("%s%s:%u %s", url.tls ? "tls " : "", url.host, url.port, url.path);
    assert_string_equal(got, wanted);
}

static void test_resolve(void **state) {
    (void)state;
    static const char *const normal[][2] = {
        {"g", "/b/c/g"},      {"./g", "/b/c/g"},         {"g/", "/b/c/g/"},
        {"/g", "/g"},         {"?y", "/b/c/d;p?y"},      {"g?y", "/b/c/g?y"},
        {"#s", "/b/c/d;p?q"}, {"g#s", "/b/c/g"},         {"g?y#s", "/b/c/g?y"},
        {";x", "/b/c/;x"},    {"g;x?y#s", "/b/c/g;x?y"}, {"", "/b/c/d;p?q"},
        {".", "/b/c/"},       {"./", "/b/c/"},           {"..", "/b/"},
        {"../", "/b/"},       {"../g", "/b/g"},          {"../..", "/"},
        {"../../g", "/g"},    {"../../../g", "/g"},      {"/./g", "/g"},
        {"/../g", "/g"},      {"g.", "/b/c/g."},         {"..g", "/b/c/..g"},
        {"./g/.", "/b/c/g/"}, {"g/../h", "/b/c/h"},      {"g?y/../x", "/b/c/g?y/../x"}};
    for (size_t i = 0; i < ELEMENTSOF(normal); i++) {
        _cleanup_free_ char *wanted = xasprintf("a:8080 %s", normal[i][1]);
        means(normal[i][0], wanted);
    }
    means("//g", "g:80 /");
    means("//g:1/x/../y?z", "g:1 /y?z");
    means("HTTPS://g/x", "tls g:443 /x");
    means("http://[::1]:9?q", "::1:9 /?q");
}

static void test_mistakes(void **state) {
    (void)state;
    const HttpUrl base = {.port = 80, .host = (char *)"a", .path = (char *)"/"};
    HttpUrl url;
    assert_int_equal(http_url_resolve(&base, "ftp://g/", &url), -EPROTONOSUPPORT);
    static const char *const bad[] = {"http:g", "//", "http://u@g/", "/a\x01", "http://g:x/", "http://a b/"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(http_url_resolve(&base, bad[i], &url), -EINVAL);
    assert_true(http_url_is_absolute("http://g"));
    assert_false(http_url_is_absolute("/x?u=http://g"));
    assert_false(http_url_is_absolute("//g"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
