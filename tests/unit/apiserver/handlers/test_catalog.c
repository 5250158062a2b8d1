/* Groups and versions in the order of discovery, and OpenAPI documents of several servers in one. */
#include "api/json.h"
#include "apiserver/handlers/catalog.h"
#include "apiserver/handlers/openapi_merge.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static const Value *service(Arena *arena, const char *group, const char *version, int group_priority,
                            int version_priority, bool remote) {
    return parse(arena, arena_printf(arena,
                                     "{\"metadata\":{\"name\":\"%s.%s\"},\"spec\":{\"group\":\"%s\",\"version\":\"%s\","
                                     "\"groupPriorityMinimum\":%d,\"versionPriority\":%d%s}}",
                                     version, group, group, version, group_priority, version_priority,
                                     remote ? ",\"service\":{\"namespace\":\"n\",\"name\":\"s\"}" : ""));
}

static size_t place(const Catalog *catalog, const char *group, const char *version) {
    for (size_t i = 0; i < catalog->n; i++)
        if (streq(catalog->items[i].group, group) && streq(catalog->items[i].version, version))
            return i;
    return SIZE_MAX;
}

static void test_order(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *services[] = {
        service(arena, "b.example.com", "v1beta1", 2000, 10, true),
        service(arena, "b.example.com", "v1", 2000, 10, true),
        service(arena, "a.example.com", "v1", 2000, 10, true),
        service(arena, "first.example.com", "v1", 17850, 10, true),
        service(arena, "gone.example.com", "v1", 1000, 100, false),
        service(arena, "batch", "v1", 10, 15, false),
        service(arena, "b.example.com", "v2alpha1", 500, 20, true),
    };
    ApiDocuments *documents[ELEMENTSOF(services)] = {0};
    _cleanup_(api_service_list_unrefp) ApiServiceList *list =
        api_service_list_new(services, documents, ELEMENTSOF(services));
    const Catalog *catalog = catalog_make(arena, NULL, list);
    assert_int_equal(place(catalog, "apiregistration.k8s.io", "v1"), 0);
    assert_int_equal(place(catalog, "", "v1"), 1);
    assert_int_equal(place(catalog, "first.example.com", "v1"), 2);
    assert_int_equal(place(catalog, "apps", "v1"), 3);
    assert_true(place(catalog, "autoscaling", "v2") < place(catalog, "autoscaling", "v1"));
    assert_int_equal(place(catalog, "gone.example.com", "v1"), SIZE_MAX); /* local, and nothing serves it */
    /* Behind all built-in groups but the one that was moved: a before b, whose highest priority counts for the group.
     */
    size_t a = place(catalog, "a.example.com", "v1");
    assert_int_equal(place(catalog, "b.example.com", "v2alpha1"), a + 1);
    assert_int_equal(place(catalog, "b.example.com", "v1"), a + 2);
    assert_int_equal(place(catalog, "b.example.com", "v1beta1"), a + 3);
    assert_int_equal(place(catalog, "batch", "v1"), a + 4);
    assert_non_null(catalog->items[a].remote);
    assert_null(catalog->items[place(catalog, "batch", "v1")].remote);
    const ApiService *found = api_service_list_find(list, "a.example.com", "v1");
    assert_string_equal(found->server_name, "s.n.svc");
    assert_int_equal(found->port, 443);
}

static void test_filter(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *document = parse(arena, "{\"paths\":{\"/apis/g/v1/x\":{\"a\":[{\"$ref\":\"#/definitions/A\"}]},"
                                         "\"/apis/g/v10/x\":{\"$ref\":\"#/definitions/C\"}},"
                                         "\"definitions\":{\"A\":{\"p\":{\"$ref\":\"#/definitions/B\"}},"
                                         "\"B\":{\"self\":{\"$ref\":\"#/definitions/B\"}},\"C\":{}}}");
    Value *part = openapi_filter(arena, document, "/apis/g/v1/");
    assert_int_equal(value_len(value_get(part, "paths")), 1);
    assert_int_equal(value_len(value_get(part, "definitions")), 2);
    assert_non_null(value_path(part, "definitions", "B", NULL));
    assert_null(openapi_filter(arena, document, "/apis/none/"));
}

/* A body is a parameter that refers to a definition. */
static void test_filter_parameters(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *document = parse(arena, "{\"paths\":{\"/apis/g/v1/x\":{\"a\":[{\"$ref\":\"#/parameters/body-A\"}]}},"
                                         "\"definitions\":{\"A\":{},\"C\":{}},\"parameters\":{\"body-A\":{\"schema\":"
                                         "{\"$ref\":\"#/definitions/A\"}},\"limit\":{}}}");
    Value *part = openapi_filter(arena, document, "/apis/g/v1/");
    assert_int_equal(value_len(value_get(part, "parameters")), 1);
    assert_int_equal(value_len(value_get(part, "definitions")), 1);
    assert_non_null(value_path(part, "definitions", "A", NULL));
}

static void test_merge(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *document =
        parse(arena, "{\"info\":1,\"paths\":{\"/a\":{\"x\":1}},\"definitions\":{\"Same\":{\"type\":\"object\"},"
                     "\"Other\":{\"type\":\"string\"}}}");
    const char *more = "{\"paths\":{\"/a\":{\"x\":2},\"/b\":{\"$ref\":\"#/definitions/Other\"}},\"definitions\":{"
                       "\"Same\":{\"type\":\"object\",\"description\":\"more\"},\"Other\":{\"type\":\"integer\"},"
                       "\"New\":{\"items\":[{\"$ref\":\"#/definitions/Other\"},{\"$ref\":\"#/definitions/Same\"}]}}}";
    const Value *want =
        parse(arena, "{\"info\":1,\"paths\":{\"/a\":{\"x\":1},\"/b\":{\"$ref\":\"#/definitions/Other_v2\"}},"
                     "\"definitions\":{\"Same\":{\"type\":\"object\"},\"Other\":{\"type\":\"string\"},"
                     "\"Other_v2\":{\"type\":\"integer\"},\"New\":{\"items\":[{\"$ref\":"
                     "\"#/definitions/Other_v2\"},{\"$ref\":\"#/definitions/Same\"}]}}}");
    openapi_merge(arena, document, parse(arena, more));
    assert_true(value_equal(document, want));
    openapi_merge(arena, document, parse(arena, more)); /* the same again adds nothing */
    assert_true(value_equal(document, want));
}

static void test_merge_parameters(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *document = parse(arena, "{\"paths\":{},\"definitions\":{\"A\":{\"type\":\"string\"}},\"parameters\":{"
                                   "\"body-1\":{\"schema\":{\"$ref\":\"#/definitions/A\"}},\"limit-1\":{\"type\":"
                                   "\"integer\"}}}");
    openapi_merge(arena, document,
                  parse(arena,
                        "{\"paths\":{\"/b\":{\"x\":[{\"$ref\":\"#/parameters/body-1\"},{\"$ref\":"
                        "\"#/parameters/limit-1\"}]}},\"definitions\":{\"A\":{\"type\":\"object\"}},\"parameters\":{"
                        "\"body-1\":{\"schema\":{\"$ref\":\"#/definitions/A\"}},\"limit-1\":{\"type\":\"integer\","
                        "\"description\":\"more\"}}}"));
    assert_true(value_equal(value_get(document, "paths"),
                            parse(arena, "{\"/b\":{\"x\":[{\"$ref\":\"#/parameters/body-1_v2\"},{\"$ref\":"
                                         "\"#/parameters/limit-1\"}]}}")));
    assert_true(value_equal(value_path(document, "parameters", "body-1_v2", NULL),
                            parse(arena, "{\"schema\":{\"$ref\":\"#/definitions/A_v2\"}}")));
    assert_int_equal(value_len(value_get(document, "parameters")), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order), cmocka_unit_test(test_filter),           cmocka_unit_test(test_filter_parameters),
        cmocka_unit_test(test_merge), cmocka_unit_test(test_merge_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
