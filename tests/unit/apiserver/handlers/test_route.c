#include "apiserver/handlers/options.h"
#include "apiserver/handlers/route.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct Row {
    const char *method, *path;
    bool watch;
    const char *plural, *ns, *name, *subresource; /* plural NULL: no resource */
    ApiVerb verb;
    bool known, allowed;
} Row;

static const Row rows[] = {
    {"GET", "/api/v1/pods", false, "pods", NULL, NULL, NULL, API_LIST, true, true},
    {"GET", "/api/v1/pods", true, "pods", NULL, NULL, NULL, API_WATCH, true, true},
    {"GET", "/api/v1/watch/namespaces/a/pods", false, "pods", "a", NULL, NULL, API_WATCH, true, true},
    {"GET", "/api/v1/namespaces/a/pods/b", false, "pods", "a", "b", NULL, API_GET, true, true},
    {"GET", "/api/v1/namespaces/a/pods/b/", false, "pods", "a", "b", NULL, API_GET, true, true},
    {"GET", "/api/v1/namespaces/a/pods/b%20c", false, "pods", "a", "b c", NULL, API_GET, true, true},
    {"GET", "/api/v1/namespaces/a/pods/b%2Fstatus", false, "pods", "a", "b", "status", API_GET, true, true},
    {"GET", "/api/v1/namespaces/a%2Fpods/b", false, "pods", "a", "b", NULL, API_GET, true, true},
    {"HEAD", "/api/v1/namespaces/a/pods/b", false, "pods", "a", "b", NULL, API_GET, true, false},
    {"HEAD", "/api/v1/namespaces/a/pods/b/proxy", false, "pods", "a", "b", "proxy", API_CONNECT, true, true},
    {"GET", "/api/v1/namespaces/a", false, "namespaces", NULL, "a", NULL, API_GET, true, true},
    {"PUT", "/api/v1/namespaces/a/finalize", false, "namespaces", NULL, "a", "finalize", API_UPDATE, true, true},
    {"GET", "/api/v1/namespaces/a/finalize", false, "namespaces", NULL, "a", "finalize", API_GET, true, false},
    {"GET", "/api/v1/namespaces/a/status", false, "namespaces", NULL, "a", "status", API_GET, true, true},
    {"POST", "/api/v1/namespaces/a/pods", false, "pods", "a", NULL, NULL, API_CREATE, true, true},
    {"POST", "/api/v1/pods", false, "pods", NULL, NULL, NULL, API_CREATE, true, false},
    {"POST", "/api/v1/namespaces/a/pods/b", false, "pods", "a", "b", NULL, API_CREATE, true, false},
    {"POST", "/api/v1/namespaces/a/pods/b/binding", false, "pods", "a", "b", "binding", API_CREATE, true, true},
    {"POST", "/api/v1/namespaces/a/pods/b/exec", false, "pods", "a", "b", "exec", API_CONNECT, true, true},
    {"DELETE", "/api/v1/namespaces/a/pods/b/exec", false, "pods", "a", "b", "exec", API_CONNECT, true, false},
    {"PUT", "/api/v1/namespaces/a/pods", false, "pods", "a", NULL, NULL, API_UPDATE, true, false},
    {"DELETE", "/api/v1/namespaces/a/pods", false, "pods", "a", NULL, NULL, API_DELETE_COLLECTION, true, true},
    {"DELETE", "/api/v1/namespaces", false, "namespaces", NULL, NULL, NULL, API_DELETE_COLLECTION, true, false},
    {"PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", false, "deployments", "a", "b", "scale", API_PATCH,
     true, true},
    {"GET", "/apis/apps/v1/namespaces/a/deployments/b/nope", false, "deployments", "a", "b", "nope", API_GET, false,
     false},
    {"GET", "/apis/apps/v2/deployments", false, "deployments", NULL, NULL, NULL, API_LIST, false, false},
    {"GET", "/api/v1/namespaces/a/bindings", false, "bindings", "a", NULL, NULL, API_LIST, true, false},
    {"GET", "/api/v1/namespaces/a/bindings/b", false, "bindings", "a", "b", NULL, API_GET, false, false},
    {"POST", "/api/v1/bindings", false, "bindings", NULL, NULL, NULL, API_CREATE, false, false},
    {"POST", "/api/v1/watch/pods", false, "pods", NULL, NULL, NULL, API_WATCH, true, false},
    {"POST", "/api/v1/watch/namespaces/a/bindings", false, "bindings", "a", NULL, NULL, API_WATCH, false, false},
    {"GET", "/api/v1/namespaces/a/nodes", false, "nodes", "a", NULL, NULL, API_LIST, false, false},
    {"GET", "/api/v1", false, NULL, NULL, NULL, NULL, API_GET, false, false},
    {"GET", "/apis/apps", false, NULL, NULL, NULL, NULL, API_GET, false, false},
    {"GET", "/metrics", false, NULL, NULL, NULL, NULL, API_GET, false, false},
    {"GET", "/", false, NULL, NULL, NULL, NULL, API_GET, false, false},
};

static void test_routes(void **state) {
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        const Row *row = &rows[i];
        Route route;
        route_parse(arena, row->method, row->path, row->watch, &route);
        if (!row->plural) {
            assert_int_equal(route.kind, ROUTE_PATH);
            assert_string_equal(route.path, row->path);
            continue;
        }
        assert_int_equal(route.kind, ROUTE_RESOURCE);
        assert_string_equal(route.plural, row->plural);
        assert_true(streq_null(route.ns, row->ns));
        assert_true(streq_null(route.name, row->name));
        assert_true(streq_null(route.subresource, row->subresource));
        assert_int_equal(route.resource != NULL, row->known);
        if (row->known) {
            assert_int_equal(route.verb, row->verb);
            assert_int_equal(route.method_ok, row->allowed);
        }
    }
}

/* Custom resources have one handler for all their paths; what it does not serve over all namespaces has none. */
static void test_custom_routes(void **state) {
    const Resource foos = {.group = "example.com",
                           .version = "v1",
                           .plural = "foos",
                           .namespaced = true,
                           .custom = state,
                           .verbs = VERB_GET | VERB_LIST | VERB_WATCH | VERB_CREATE | VERB_UPDATE | VERB_PATCH |
                                    VERB_DELETE | VERB_DELETE_COLLECTION};
    static const struct {
        const char *method, *below;
        bool known, allowed;
    } paths[] = {
        {"GET", "foos", true, true},
        {"POST", "foos", false, false},
        {"PUT", "foos", false, false},
        {"DELETE", "foos", false, false},
        {"GET", "foos/a", false, false},
        {"POST", "namespaces/x/foos", true, true},
        {"POST", "namespaces/x/foos/a", true, true},
        {"PUT", "namespaces/x/foos", true, false},
        {"POST", "namespaces/x/foos/a/none", true, false},
        {"POST", "namespaces/x/foos/a/none/b", true, false},
        {"OPTIONS", "namespaces/x/foos/a/proxy", true, false},
    };
    for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Route route;
        route_parse(arena, paths[i].method, arena_printf(arena, "/apis/example.com/v1/%s", paths[i].below), false,
                    &route);
        assert_null(route.resource);
        route_resolve(&route, paths[i].method, &foos);
        assert_int_equal(route.resource != NULL, paths[i].known);
        if (paths[i].known)
            assert_int_equal(route.method_ok, paths[i].allowed);
    }
}

static void test_query(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Query query;
    query_parse(arena, "a=1&b=x%20y+z&a=2&flag&bad=%zz&off=false", &query);
    assert_string_equal(query_get(&query, "a"), "1");
    assert_string_equal(query_get(&query, "b"), "x y z");
    assert_true(query_bool(&query, "flag"));
    assert_false(query_bool(&query, "off"));
    assert_false(query_bool(&query, "absent"));
    assert_null(query_get(&query, "bad"));
}

static void read_query(Arena *arena, const char *text, ApiVerb verb, int code, const char *message) {
    Query query;
    ApiOptions options;
    _cleanup_api_error_ ApiError err = {0};
    query_parse(arena, text, &query);
    int r = options_read(arena, &query, verb, &options, &err);
    assert_int_equal(err.code, code);
    assert_int_equal(r < 0, code != 0);
    if (message)
        assert_string_equal(err.message, message);
}

static void test_options(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    read_query(arena, "limit=5&labelSelector=a", API_LIST, 0, NULL);
    read_query(arena, "limit=abc", API_LIST, 400, "strconv.ParseInt: parsing \"abc\": invalid syntax");
    read_query(arena, "dryRun=All&fieldManager=m&fieldValidation=Strict", API_CREATE, 0, NULL);
    read_query(
        arena, "dryRun=Maybe", API_CREATE, 422,
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Maybe\"]: supported values: \"All\"");
    read_query(arena, "fieldValidation=Odd", API_UPDATE, 422,
               "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Odd\": supported "
               "values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
}

static void test_patch_options(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(
        options_check_patch(arena, &(ApiOptions){.patch_type = PATCH_APPLY, .field_manager = "m", .force_set = true},
                            &err),
        0);
    assert_true(options_check_patch(arena, &(ApiOptions){.patch_type = PATCH_APPLY}, &err) < 0);
    assert_string_equal(
        err.message,
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
    assert_true(options_check_patch(arena, &(ApiOptions){.patch_type = PATCH_MERGE, .force_set = true}, &err) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),  cmocka_unit_test(test_custom_routes), cmocka_unit_test(test_query),
        cmocka_unit_test(test_options), cmocka_unit_test(test_patch_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
