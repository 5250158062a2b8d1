#include "api/codec.h"
#include "api/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static Value *parse(Arena *arena, const char *text) {
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    return v;
}

static void json_patches(void **state _unused_) {
    static const char *const rows[][3] = {
        /* original, patch, result (NULL: 422) */
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}"},
        {"{\"a\":[1,3]}",
         "[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":2},{\"op\":\"add\",\"path\":\"/a/-\",\"value\":4}]",
         "{\"a\":[1,2,3,4]}"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/0\"}]", "{\"a\":[2]}"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/-1\"}]", "{\"a\":[1]}"},
        {"{\"a/b\":{\"~\":1}}", "[{\"op\":\"replace\",\"path\":\"/a~1b/~0\",\"value\":2}]", "{\"a/b\":{\"~\":2}}"},
        {"{\"a\":{\"x\":1},\"b\":{}}", "[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"/b/y\"}]",
         "{\"a\":{},\"b\":{\"y\":1}}"},
        {"{\"a\":{\"x\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]",
         "{\"a\":{\"x\":1},\"b\":{\"x\":1}}"},
        {"{\"a\":1}",
         "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1},{\"op\":\"test\",\"path\":\"/z\",\"value\":null}]",
         "{\"a\":1}"},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":1}}]", "{\"b\":1}"},
        {"{\"a\":1}", "[]", "{\"a\":1}"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b/c\",\"value\":1}]", NULL},
        {"{\"a\":[]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]", NULL},
        {"{\"a\":[]}", "[{\"op\":\"add\",\"path\":\"/a/x\",\"value\":1}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"bogus\",\"path\":\"/a\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"value\":1}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":1}]", NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_api_error_ ApiError err = {0};
        Value *original = parse(arena, rows[i][0]), *before = value_copy(arena, original), *got = NULL;
        int r = json_patch_apply(arena, original, parse(arena, rows[i][1]), &got, &err);
        assert_true(value_equal(original, before));
        if (rows[i][2]) {
            assert_int_equal(r, 0);
            assert_true(value_equal(got, parse(arena, rows[i][2])));
            continue;
        }
        assert_int_equal(r, -EINVAL);
        assert_int_equal(err.code, 422);
        assert_null(got);
        assert_string_equal(err.message, "the server rejected our request due to an error in our request");
        assert_non_null(value_get(api_error_to_status(arena, &err), "details"));
    }
}

static void json_patch_limits(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *got, *patch = value_array(arena), *op = parse(arena, "{\"op\":\"test\",\"path\":\"/a\",\"value\":1}");
    for (int i = 0; i <= JSON_PATCH_OPERATIONS_MAX; i++)
        value_append(arena, patch, op);
    assert_int_equal(json_patch_apply(arena, parse(arena, "{\"a\":1}"), patch, &got, &err), -EFBIG);
    assert_string_equal(err.message,
                        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001");
    assert_true(json_patch_apply(arena, value_object(arena), parse(arena, "{}"), &got, &err) < 0);
    assert_int_equal(err.code, 400);
    assert_true(json_patch_apply(arena, value_object(arena), parse(arena, "[1]"), &got, &err) < 0);
    assert_int_equal(err.code, 400);
}

/* Copies that double a tree stop at a size and at a depth. */
static void copies_do_not_explode(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *got, *wide = value_array(arena), *deep = value_array(arena);
    for (int i = 0; i < 60; i++) {
        char path[64];
        Value *op = parse(arena, "{\"op\":\"copy\",\"from\":\"/a\"}");
        snprintf(path, sizeof(path), "/a/k%d", i);
        value_set_str(arena, op, "path", path);
        value_append(arena, wide, op);
    }
    for (int i = 0; i < JSON_DEPTH_MAX + 10; i++)
        value_append(arena, deep, parse(arena, "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/x\"}"));
    assert_true(json_patch_apply(arena, parse(arena, "{\"a\":{\"b\":\"text\"}}"), wide, &got, &err) < 0);
    assert_true(json_patch_apply(arena, parse(arena, "{\"a\":{\"b\":\"text\"}}"), deep, &got, &err) < 0);
    assert_true(arena_used(arena) < 256u << 20);
}

static void merge_patches(void **state _unused_) {
    static const char *const rows[][3] = {
        /* the examples of RFC 7396, appendix A */
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{}", "{\"a\":[null,{\"b\":null,\"c\":[{\"d\":null}]}]}", "{\"a\":[null,{\"c\":[{}]}]}"},
        {"{\"a\":[1]}", "{\"a\":[{\"b\":null}]}", "{\"a\":[{}]}"},
        {"{\"a\":{\"c\":1}}", "{\"a\":[{\"b\":null}]}", "{\"a\":[{\"b\":null}]}"},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *got;
        assert_int_equal(merge_patch_apply(arena, parse(arena, rows[i][0]), parse(arena, rows[i][1]), &got), 0);
        assert_true(value_equal(got, parse(arena, rows[i][2])));
    }
}

static void merging_many_members(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *original = value_object(arena), *patch = value_object(arena), *got;
    for (int i = 0; i < 1000; i++) {
        value_set_int(arena, original, arena_printf(arena, "k%d", i), i);
        value_set(arena, patch, arena_printf(arena, "k%d", i + 500), i % 2 ? value_null(arena) : value_int(arena, -i));
    }
    assert_int_equal(merge_patch_apply(arena, original, patch, &got), 0);
    assert_int_equal(value_len(got), 1000);
    assert_int_equal(value_get_int(got, "k499", 1), 499);
    assert_int_equal(value_get_int(got, "k502", 1), -2);
    assert_null(value_get(got, "k501"));
    assert_int_equal(value_get_int(got, "k1498", 1), -998);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_patches),          cmocka_unit_test(json_patch_limits),
        cmocka_unit_test(copies_do_not_explode), cmocka_unit_test(merge_patches),
        cmocka_unit_test(merging_many_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
