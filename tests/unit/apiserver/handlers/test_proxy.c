/* What the path of a proxy subresource names, and the path that is asked of the other side. */
#include "apiserver/handlers/forward.h"
#include "apiserver/handlers/proxy.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_ids(void **state) {
    (void)state;
    static const struct {
        const char *id, *scheme, *name, *port; /* scheme NULL: refused */
    } rows[] = {
        {"a", "", "a", ""},
        {"a:80", "", "a", "80"},
        {"a:", "", "a", ""},
        {"http:a:web", "http", "a", "web"},
        {"https:a:", "https", "a", ""},
        {":a:1", "", "a", "1"},
        {"", NULL, "", ""},
        {":80", NULL, "", ""},
        {"ftp:a:1", NULL, "", ""},
        {"HTTP:a:1", NULL, "", ""},
        {"a:b:c:d", NULL, "", ""},
    };
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        ProxyId id;
        bool ok = proxy_id_parse(arena, rows[i].id, &id);
        assert_int_equal(ok, rows[i].scheme != NULL);
        if (!ok)
            continue;
        assert_string_equal(id.scheme, rows[i].scheme);
        assert_string_equal(id.name, rows[i].name);
        assert_string_equal(id.port, rows[i].port);
    }
}

static void test_paths(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"a", "/a"},
        {"a/b/", "/a/b/"},
        {"a//b/./c", "/a/b/c"},
        {"a/../../b", "/b"},
        {"..", "/"},
        {"../", "/"},
        {"%2e%2e/x", "/x"},
        {"a%2Fb", "/a/b"},
        {"a%20b;c=d,e:f@g&h$i+j", "/a%20b;c=d,e:f@g&h$i+j"},
        {"%C3%A9(!)", "/%C3%A9%28%21%29"},
        {"a%3Fb%23c", "/a%3Fb%23c"},
    };
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        assert_string_equal(forward_clean_path(arena, rows[i][0]), rows[i][1]);
    assert_null(forward_clean_path(arena, "a%00b"));
    assert_null(forward_clean_path(arena, "a%zz"));
    assert_null(forward_clean_path(arena, "a%0d%0"));
    assert_string_equal(forward_clean_path(arena, "a%0d%0a"), "/a%0D%0A");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
