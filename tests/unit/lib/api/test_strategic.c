/* Strategic merge against what the reference's strategicpatch gave (tests/golden/api/strategic.json). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/codec.h"
#include "api/json.h"
#include "base/clock.h"
#include "base/str.h"

static Value *parse(Arena *arena, const char *text) {
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    return v;
}

static Value *read_cases(Arena *arena) {
    FILE *f = fopen(LIGHTER_SOURCE_DIR "/tests/golden/api/strategic.json", "rb");
    assert_non_null(f);
    size_t size = 1 << 20;
    char *data = arena_alloc(arena, size);
    size_t n = fread(data, 1, size - 1, f);
    data[n] = 0;
    fclose(f);
    return parse(arena, data);
}

static const Schema *schema_of(Arena *arena, const char *text) {
    size_t n;
    char **parts = str_split(arena, text, '/', &n);
    const Resource *r =
        n == 2 ? resource_find_kind("", parts[0], parts[1]) : resource_find_kind(parts[0], parts[1], parts[2]);
    assert_non_null(r);
    return r->schema;
}

static char *text_of(Arena *arena, const Value *v) {
    _cleanup_buf_ Buf out = BUF_INIT(1 << 20);
    value_write_json(&out, v);
    return arena_strdup(arena, out.data);
}

static bool check_case(Arena *arena, const Value *c) {
    const Value *original = value_get(c, "original"), *patch = value_get(c, "patch"), *want = value_get(c, "result");
    char *original_before = text_of(arena, original), *patch_before = text_of(arena, patch);
    const char *error = value_get_str(c, "error");
    _cleanup_api_error_ ApiError err = {0};
    Value *have = NULL;
    int r = strategic_merge_apply(arena, schema_of(arena, value_get_str(c, "kind")), original, patch, &have, &err);
    bool same = error ? r < 0 && err.code >= 400 && streq(err.message, error) : r == 0 && value_equal(have, want);
    if (!same)
        print_error("%s + %s:\n  want %s\n  have %s\n", original_before, patch_before,
                    error ? error : text_of(arena, want), r < 0 ? err.message : text_of(arena, have));
    assert_string_equal(text_of(arena, original), original_before);
    assert_string_equal(text_of(arena, patch), patch_before);
    return same;
}

static void patches_give_what_the_reference_gives(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *cases = read_cases(arena), *c;
    size_t different = 0;
    assert_true(value_len(cases) > 80);
    VALUE_FOREACH (c, cases)
        different += !check_case(arena, c);
    assert_int_equal(different, 0);
}

static void check_error(const char *schema, const char *patch, int code, const char *message) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *ret = NULL;
    const char *original = "{\"spec\":{\"containers\":[{\"name\":\"a\"}],\"volumes\":[{\"name\":\"v\"}]}}";
    assert_true(strategic_merge_apply(arena, schema_by_name(schema), parse(arena, original), parse(arena, patch), &ret,
                                      &err) < 0);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, message);
    assert_null(ret);
}

static void errors_have_the_codes_of_the_server(void **state) {
    (void)state;
    const char *pod = "io.k8s.api.core.v1.Pod";
    check_error(pod, "[]", 400, "json: cannot unmarshal array into Go value of type map[string]interface {}");
    check_error(pod, "{\"spec\":{\"$retainKeys\":5}}", 400, "invalid patch format of retainKeys");
    check_error(pod, "{\"spec\":{\"$setElementOrderX\":[]}}", 400, "invalid patch format of setElementOrder list");
    check_error(pod, "{\"spec\":{\"$deleteFromPrimitiveList\":[]}}", 400, "invalid patch format of primitive list");
    check_error(pod, "{\"spec\":{\"containers\":[[1]]}}", 500,
                "list element types are not identical: [[map[name:a]] [[1]]]");
    check_error(pod, "{\"spec\":{\"containers\":[{\"$patch\":\"odd\"}]}}", 500,
                "unknown patch type: odd in map: map[$patch:odd]");
    check_error("io.k8s.none", "{}", 400, "strategic merge patch format is not supported");
}

/* Lists and maps as long as a request may bring: minutes, were anything quadratic. */
static void long_lists_and_maps_take_no_time(void **state) {
    (void)state;
    enum { COUNT = 60000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *original = value_object(arena), *patch = value_object(arena), *result;
    Value *metadata[2] = {value_ensure_object(arena, original, "metadata"),
                          value_ensure_object(arena, patch, "metadata")};
    for (size_t k = 0; k < 2; k++) {
        Value *finalizers = value_ensure_array(arena, metadata[k], "finalizers");
        Value *owners = value_ensure_array(arena, metadata[k], "ownerReferences"), *labels = value_object(arena);
        labels->members = arena_alloc(arena, COUNT * sizeof(Member));
        labels->cap = COUNT;
        for (int i = COUNT; i-- > 0;) {
            value_append(arena, finalizers, value_printf(arena, "f%d", i + (int)k * COUNT / 2));
            Value *owner = value_object(arena);
            value_set_str(arena, owner, "uid", arena_printf(arena, "u%d", i + (int)k * COUNT / 2));
            value_append(arena, owners, owner);
            labels->members[labels->len++] =
                (Member){arena_printf(arena, "l%d", i), k && i % 2 ? value_null(arena) : value_string(arena, "x")};
        }
        value_set(arena, metadata[k], "labels", labels);
    }
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(
        strategic_merge_apply(arena, schema_by_name("io.k8s.api.core.v1.Pod"), original, patch, &result, &err), 0);
    assert_int_equal(value_len(value_path(result, "metadata", "finalizers", NULL)), COUNT + COUNT / 2);
    assert_int_equal(value_len(value_path(result, "metadata", "ownerReferences", NULL)), COUNT + COUNT / 2);
    assert_int_equal(value_len(value_path(result, "metadata", "labels", NULL)), COUNT / 2);
}

/* Each item that the patch deletes is looked up, not walked to. */
static void many_items_are_deleted_in_no_time(void **state) {
    (void)state;
    enum { COUNT = 40000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *original = value_object(arena), *patch = value_object(arena), *result;
    Value *owners = value_ensure_array(arena, value_ensure_object(arena, original, "metadata"), "ownerReferences");
    Value *changes = value_ensure_array(arena, value_ensure_object(arena, patch, "metadata"), "ownerReferences");
    for (int i = 0; i < COUNT; i++) {
        Value *owner = value_object(arena), *change = value_object(arena);
        value_set_str(arena, owner, "uid", arena_printf(arena, "u%d", i));
        value_append(arena, owners, owner);
        value_set_str(arena, change, "$patch", "delete");
        value_set_str(arena, change, "uid", arena_printf(arena, "u%d", COUNT - i)); /* all but u0 */
        value_append(arena, changes, change);
    }
    _cleanup_api_error_ ApiError err = {0};
    uint64_t start = now_monotonic_ns();
    assert_int_equal(
        strategic_merge_apply(arena, schema_by_name("io.k8s.api.core.v1.Pod"), original, patch, &result, &err), 0);
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    const Value *left = value_path(result, "metadata", "ownerReferences", NULL);
    assert_int_equal(value_len(left), 1);
    assert_string_equal(value_get_str(value_at(left, 0), "uid"), "u0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_give_what_the_reference_gives),
        cmocka_unit_test(errors_have_the_codes_of_the_server),
        cmocka_unit_test(long_lists_and_maps_take_no_time),
        cmocka_unit_test(many_items_are_deleted_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
