#include "api/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char *again(Arena *arena, const char *text) {
    Value *v;
    if (json_parse(arena, text, strlen(text), &v, NULL, NULL) < 0)
        return arena_strdup(arena, "error");
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, v);
    return arena_strndup(arena, buf.data, buf.len);
}

static void round_trips(void **state _unused_) {
    static const char *const pairs[][2] = {
        {"{}", "{}"},
        {" [ 1 , -2 , 3.5 , true , false , null ] ", "[1,-2,3.5,true,false,null]"},
        {"{\"a\":{\"b\":[{}]},\"c\":\"\"}", "{\"a\":{\"b\":[{}]},\"c\":\"\"}"},
        {"\"<a>&\\u2028\\u2029\"", "\"\\u003ca\\u003e\\u0026\\u2028\\u2029\""},
        {"\"\\b\\f\\n\\r\\t\\u0001\\u007f\"", "\"\\b\\f\\n\\r\\t\\u0001\x7f\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"\\ud83d\"", "\"\xef\xbf\xbd\""},
        {"\"a\xff"
         "b\"",
         "\"a\xef\xbf\xbd"
         "b\""},
        {"\"\\/\\\"\\\\\"", "\"/\\\"\\\\\""},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9223372036854776000"},
        {"1e21", "1e+21"},
        {"1e20", "100000000000000000000"},
        {"0.000001", "0.000001"},
        {"0.0000001", "1e-7"},
        {"5e-324", "5e-324"},
        {"-2.50", "-2.5"},
        {"0.1", "0.1"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
    };
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        assert_string_equal(again(arena, pairs[i][0]), pairs[i][1]);
    }
}

static void says_what_go_says(void **state _unused_) {
    static const char *const pairs[][2] = {
        {"", "unexpected end of JSON input"},
        {"{", "unexpected end of JSON input"},
        {"{{", "invalid character '{' looking for beginning of object key string"},
        {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
        {"{'a':1}", "invalid character '\\'' looking for beginning of object key string"},
        {"{\"a\" 1}", "invalid character '1' after object key"},
        {"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"},
        {"[1 2]", "invalid character '2' after array element"},
        {"[1,]", "invalid character ']' looking for beginning of value"},
        {"tRue", "invalid character 'R' in literal true (expecting 'r')"},
        {"01", "invalid character '1' after top-level value"},
        {"-a", "invalid character 'a' in numeric literal"},
        {"1.a", "invalid character 'a' after decimal point in numeric literal"},
        {"1ea", "invalid character 'a' in exponent of numeric literal"},
        {"\"a\nb\"", "invalid character '\\n' in string literal"},
        {"\"\\x\"", "invalid character 'x' in string escape code"},
        {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
        {"1e999", "json: cannot unmarshal number 1e999 into Go value of type float64"},
    };
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *v = NULL;
        char *message = NULL;
        assert_int_equal(json_parse(arena, pairs[i][0], strlen(pairs[i][0]), &v, NULL, &message), -EBADMSG);
        assert_string_equal(message, pairs[i][1]);
        assert_null(v);
    }
}

static void depth_is_limited(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char text[2 * JSON_DEPTH_MAX + 8];
    Value *v;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_parse(arena, text, 2 * JSON_DEPTH_MAX, &v, NULL, NULL), 0);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_parse(arena, text, JSON_DEPTH_MAX + 1, &v, NULL, NULL), -ELOOP);
}

static void duplicates_have_paths(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char text[] = "{\"spec\":{\"c\":[{\"n\":1},{\"n\":1,\"n\":2}],\"r\":1,\"r\":2,\"r\":3}}";
    DuplicateFields d;
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, &d, NULL), 0);
    assert_int_equal(d.n, 2);
    assert_string_equal(d.messages[0], "duplicate field \"spec.c[1].n\"");
    assert_string_equal(d.messages[1], "duplicate field \"spec.r\"");
    assert_int_equal(d.at[0], strstr(text, "\"n\":2") - text);
    assert_int_equal(value_get(value_get(v, "spec"), "c")->at, strstr(text, "\"c\"") - text);
    assert_int_equal(value_get_int(value_get(v, "spec"), "r", 0), 3);
}

static void large_objects_find_duplicates_too(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_putc(&text, '{');
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "%s\"k%d\":%d", i ? "," : "", i % 2500, i);
    buf_putc(&text, '}');
    DuplicateFields d;
    Value *v;
    assert_int_equal(json_parse(arena, text.data, text.len, &v, &d, NULL), 0);
    assert_int_equal(value_len(v), 2500);
    assert_int_equal(d.n, 100);
    assert_int_equal(value_get_int(v, "k7", 0), 2507);
}

static const char sample[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\\u00e9\",\"labels\":{\"x\":\"y\"}},"
    "\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[1,2.5,123456789012345678901]}],\"ok\":true}}";

/* An allocation that fails at any place gives -ENOMEM, and enough memory gives the tree. */
static void every_allocation_may_fail(void **state _unused_) {
    bool ok = false;
    for (size_t limit = 8; !ok; limit += 8) {
        _cleanup_arena_ Arena *arena = arena_new(limit);
        Value *v = NULL;
        int r = json_parse(arena, sample, strlen(sample), &v, NULL, NULL);
        assert_true(r == 0 || r == -ENOMEM);
        assert_int_equal(v == NULL, r != 0);
        ok = r == 0;
        assert_true(limit < 1 << 16);
    }
}

static void every_cut_is_an_error(void **state _unused_) {
    for (size_t n = 0; n < strlen(sample); n++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_free_ char *cut = xmemdup(sample, n + 1); /* exact size, so that a read past the end is seen */
        Value *v;
        char *message = NULL;
        assert_int_equal(json_parse(arena, cut, n, &v, NULL, &message), -EBADMSG);
        assert_string_equal(message, "unexpected end of JSON input");
    }
}

static void pretty(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    Value *v;
    static const char text[] = "{\"a\":[1,{}],\"b\":{\"c\":[]}}";
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    value_write_json_pretty(&buf, v, "  ");
    assert_string_equal(buf.data, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}");
}

static void quoting(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(go_quoted(arena, "a\"b\\\a\n\x7f\xff\xc3\xa9"), "\"a\\\"b\\\\\\a\\n\\x7f\\xff\xc3\xa9\"");
    assert_string_equal(value_to_text(arena, value_string(arena, "<x>")), "\"<x>\"");
    assert_string_equal(value_to_text(arena, NULL), "null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(says_what_go_says),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(duplicates_have_paths),
        cmocka_unit_test(large_objects_find_duplicates_too),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_cut_is_an_error),
        cmocka_unit_test(pretty),
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
