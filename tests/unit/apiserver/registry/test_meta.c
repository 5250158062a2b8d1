#include "api/json.h"
#include "apiserver/registry/registry.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const Strategy plain = {.group = "", .plural = ""};

static char *errors_of(Arena *arena, const FieldErrors *errors) {
    char *out = arena_strdup(arena, "");
    for (size_t i = 0; i < errors->n; i++)
        out = arena_printf(arena, "%s%s: %s\n", out, errors->items[i].field, errors->items[i].message);
    return out;
}

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static void check(const char *plural, const char *meta, bool strict, const char *want) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    Value *v = parse(arena, arena_printf(arena, "{\"metadata\":%s}", meta));
    meta_validate(&plain, resource_find("", "v1", plural), v, strict, &errors);
    assert_string_equal(errors_of(arena, &errors), want);
}

static void test_names(void **state) {
    (void)state;
    check("configmaps", "{\"name\":\"a\",\"namespace\":\"n\"}", true, "");
    check("configmaps", "{\"namespace\":\"n\"}", true,
          "metadata.name: Required value: name or generateName is required\n");
    check("configmaps", "{\"name\":\"a\"}", true, "metadata.namespace: Required value\n");
    check("nodes", "{\"name\":\"a\",\"namespace\":\"n\"}", true,
          "metadata.namespace: Forbidden: not allowed on this type\n");
    check("nodes", "{\"name\":\"a\",\"generateName\":\"a-\"}", true, "");
    check("nodes", "{\"name\":\"A\"}", false, "");
    check("nodes", "{\"name\":\"a/b\"}", false, "metadata.name: Invalid value: \"a/b\": may not contain '/'\n");
}

static void test_owners(void **state) {
    (void)state;
    check("nodes",
          "{\"name\":\"a\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"K\",\"name\":\"n\",\"uid\":\"\"}]}",
          true, "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty\n");
    check("nodes", "{\"name\":\"a\",\"finalizers\":[\"orphan\",\"foregroundDeletion\"]}", true,
          "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and "
          "foregroundDeletion cannot be both set\n");
}

static void update(const char *now, const char *old, const char *want) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    meta_validate_update(parse(arena, arena_printf(arena, "{\"metadata\":%s}", now)),
                         parse(arena, arena_printf(arena, "{\"metadata\":%s}", old)), &errors);
    assert_string_equal(errors_of(arena, &errors), want);
}

static void test_update(void **state) {
    (void)state;
    update("{\"name\":\"a\"}", "{\"name\":\"a\"}", "");
    update("{\"name\":\"b\"}", "{\"name\":\"a\"}", "metadata.name: Invalid value: \"b\": field is immutable\n");
    update("{\"generation\":1}", "{\"generation\":2}",
           "metadata.generation: Invalid value: 1: must not be decremented\n");
    update("{\"deletionTimestamp\":\"2020-01-01T00:00:00Z\",\"finalizers\":[\"a.b/c\"]}",
           "{\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"}",
           "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
           "finalizers []string{\"a.b/c\"}\n");
    update("{\"finalizers\":[]}", "{\"deletionTimestamp\":\"2020-01-01T00:00:00Z\",\"finalizers\":[\"a.b/c\"]}",
           "metadata.deletionTimestamp: Invalid value: \"\": field is immutable\n");
}

static void options(const char *json, int code, const char *message) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    DeleteOptions read;
    int r = delete_options_read(parse(arena, json), &read, arena, &err);
    assert_int_equal(r < 0, code != 0);
    assert_int_equal(err.code, code);
    if (message)
        assert_string_equal(err.message, message);
}

static void test_delete_options(void **state) {
    (void)state;
    options("{}", 0, NULL);
    options("{\"gracePeriodSeconds\":5,\"propagationPolicy\":\"Foreground\",\"dryRun\":[\"All\"]}", 0, NULL);
    options("{\"propagationPolicy\":\"Sideways\"}", 422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported "
            "values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"");
    options("{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}", 422, NULL);
    options(
        "{\"dryRun\":[\"Maybe\"]}", 422,
        "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Maybe\"]: supported values: \"All\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_delete_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
