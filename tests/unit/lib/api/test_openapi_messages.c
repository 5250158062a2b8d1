/* Byte for byte what gnostic makes of the same documents (tests/golden/api/openapi_v*, hack/update-api --golden), but
 * for the order of members, which both keep. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/json.h"
#include "api/openapi_v2.h"
#include "api/openapi_v3.h"
#include "base/fs.h"

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/api/openapi_"
#define GOLDEN_MAX (1 << 20)

typedef int (*Encode)(Buf *out, const Value *document);

static void check_golden(const char *json_path, const char *pb_path, Encode encode) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf out = BUF_INIT(GOLDEN_MAX);
    _cleanup_free_ char *json = NULL, *pb = NULL;
    size_t n_json, n_pb, i = 0;
    Value *document;
    assert_int_equal(fs_read_file(json_path, GOLDEN_MAX, &json, &n_json), 0);
    assert_int_equal(fs_read_file(pb_path, GOLDEN_MAX, &pb, &n_pb), 0);
    assert_int_equal(json_parse(arena, json, n_json, &document, NULL, NULL), 0);
    assert_int_equal(encode(&out, document), 0);
    while (i < out.len && i < n_pb && out.data[i] == pb[i])
        i++;
    if (i < n_pb || i < out.len)
        fail_msg("%zu bytes and not %zu, different from byte %zu on (...%.40s)", out.len, n_pb, i,
                 pb + (i > 40 ? i - 40 : 0));
}

static void documents_are_coded_as_gnostic_does(void **state) {
    (void)state;
    check_golden(GOLDEN "v2.json", GOLDEN "v2.pb", openapi_v2_encode);
    check_golden(GOLDEN "v3.json", GOLDEN "v3.pb", openapi_v3_encode);
}

/* A schema `depth` lists deep, as member `name` of `parent`. */
static void set_deep_schema(Arena *arena, Value *parent, const char *name, int depth) {
    Value *schema = value_object(arena);
    for (int i = 0; i < depth; i++) {
        Value *outer = value_object(arena);
        value_set(arena, outer, "items", schema);
        schema = outer;
    }
    Value *schemas = value_object(arena);
    value_set(arena, schemas, "A", schema);
    value_set(arena, parent, name, schemas);
}

/* As deep as JSON may be, however many messages a schema is wrapped in, and no deeper. */
static void depth_is_bounded(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf out = BUF_INIT(GOLDEN_MAX);
    Value *v2 = value_object(arena), *v3 = value_object(arena), *components = value_object(arena);
    value_set(arena, v3, "components", components);
    set_deep_schema(arena, v2, "definitions", 190);
    set_deep_schema(arena, components, "schemas", 190);
    assert_int_equal(openapi_v2_encode(&out, v2), 0);
    assert_int_equal(openapi_v3_encode(&out, v3), 0);
    set_deep_schema(arena, v2, "definitions", 1000);
    set_deep_schema(arena, components, "schemas", 1000);
    assert_int_equal(openapi_v2_encode(&out, v2), -ELOOP);
    assert_int_equal(openapi_v3_encode(&out, v3), -ELOOP);
}

static void size_is_bounded(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf small = BUF_INIT(16), other = BUF_INIT(16);
    Value *document = value_object(arena);
    value_set_str(arena, document, "swagger", "a text of more than sixteen bytes");
    value_set_str(arena, document, "openapi", "a text of more than sixteen bytes");
    assert_int_equal(openapi_v2_encode(&small, document), -EFBIG);
    assert_int_equal(openapi_v3_encode(&other, document), -EFBIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_coded_as_gnostic_does),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(size_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
