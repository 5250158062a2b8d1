/* Rows of custom resources: replaced states go when nobody holds them, and what is stored is found by new fields. */
#include "apiserver/registry/custom_resources.h"

#include "api/json.h"
#include "api/object.h"
#include "api/selector.h"
#include "base/clock.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define LATER (CUSTOM_ROWS_GRACE_SECONDS * NS_PER_SEC)

static void serve(CustomResources *set, const char *selectable, uint64_t now_ns) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char json[2048];
    Value *crd = NULL;
    snprintf(
        json, sizeof json,
        "{\"metadata\":{\"name\":\"ws.x.io\",\"uid\":\"u\"},\"spec\":{\"group\":\"x.io\",\"scope\":\"Namespaced\","
        "\"names\":{\"plural\":\"ws\",\"singular\":\"w\",\"kind\":\"W\",\"listKind\":\"WList\"},\"versions\":[{"
        "\"name\":\"v1\",\"served\":true,\"storage\":true,\"selectableFields\":[%s],\"schema\":{\"openAPIV3Schema\":{"
        "\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}"
        "}}"
        "}}}]},\"status\":{\"conditions\":[{\"type\":\"Established\",\"status\":\"True\"}]}}",
        selectable);
    assert_int_equal(json_parse(arena, json, strlen(json), &crd, NULL, NULL), 0);
    const Value *list[] = {crd};
    custom_resources_serve(set, list, 1, now_ns);
}

static Object *make(CustomResources *set, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return object_from_value(custom_resources_find(set, "x.io", "v1", "ws"), v);
}

static void test_old_rows_go(void **state) {
    CustomResources *set = custom_resources_new(NULL);
    (void)state;
    serve(set, "", 1);
    Object *object = make(set, "{\"metadata\":{\"name\":\"o\"},\"spec\":{\"a\":\"x\"}}");
    serve(set, "{\"jsonPath\":\".spec.a\"}", 2);
    assert_int_equal(custom_resources_states(set), 2);
    serve(set, "{\"jsonPath\":\".spec.a\"}", 3 + LATER);
    assert_int_equal(custom_resources_states(set), 2); /* the object holds it */
    assert_string_equal(object_resource(object)->plural, "ws");
    object_unref(object);
    serve(set, "{\"jsonPath\":\".spec.a\"}", 4 + LATER);
    assert_int_equal(custom_resources_states(set), 1);
    custom_resources_serve(set, NULL, 0, 5 + LATER); /* the definition is gone: kept for requests that run */
    assert_null(custom_resources_find(set, "x.io", "v1", "ws"));
    assert_int_equal(custom_resources_states(set), 1);
    custom_resources_serve(set, NULL, 0, 6 + 2 * LATER);
    assert_int_equal(custom_resources_states(set), 0);
    custom_resources_free(set);
}

static void test_new_field_of_an_old_object(void **state) {
    CustomResources *set = custom_resources_new(NULL);
    Selector *selector = NULL, *other = NULL;
    (void)state;
    serve(set, "", 1);
    Object *object = make(set, "{\"metadata\":{\"name\":\"o\"},\"spec\":{\"a\":\"x\"}}");
    serve(set, "{\"jsonPath\":\".spec.a\"}", 2);
    assert_int_equal(field_selector_parse("spec.a=x", &selector, NULL), 0);
    assert_int_equal(field_selector_parse("spec.a=y", &other, NULL), 0);
    assert_true(field_selector_matches(selector, object));
    assert_false(field_selector_matches(other, object));
    selector_free(selector);
    selector_free(other);
    object_unref(object);
    custom_resources_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_old_rows_go),
                                       cmocka_unit_test(test_new_field_of_an_old_object)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
