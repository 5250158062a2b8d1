/* Byte for byte what gnostic makes of the same document (tests/golden/api/openapi_v2.*, hack/update-api --golden), but
 * for the order of members, which both keep. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/json.h"
#include "api/openapi_v2.h"
#include "base/fs.h"

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/api/openapi_v2"
#define GOLDEN_MAX (1 << 20)

static void a_document_is_coded_as_gnostic_does(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf out = BUF_INIT(GOLDEN_MAX);
    _cleanup_free_ char *json = NULL, *pb = NULL;
    size_t n_json, n_pb, i = 0;
    Value *document;
    assert_int_equal(fs_read_file(GOLDEN ".json", GOLDEN_MAX, &json, &n_json), 0);
    assert_int_equal(fs_read_file(GOLDEN ".pb", GOLDEN_MAX, &pb, &n_pb), 0);
    assert_int_equal(json_parse(arena, json, n_json, &document, NULL, NULL), 0);
    assert_int_equal(openapi_v2_encode(&out, document), 0);
    while (i < out.len && i < n_pb && out.data[i] == pb[i])
        i++;
    if (i < n_pb || i < out.len)
        fail_msg("%zu bytes and not %zu, different from byte %zu on (...%.40s)", out.len, n_pb, i,
                 pb + (i > 40 ? i - 40 : 0));
}

static void depth_and_size_are_bounded(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf out = BUF_INIT(GOLDEN_MAX), small = BUF_INIT(16);
    Value *schema = value_object(arena), *document = value_object(arena), *definitions = value_object(arena);
    value_set_str(arena, document, "swagger", "a text of more than sixteen bytes");
    assert_int_equal(openapi_v2_encode(&small, document), -EFBIG);
    for (int i = 0; i < 1000; i++) {
        Value *outer = value_object(arena);
        value_set(arena, outer, "items", schema);
        schema = outer;
    }
    value_set(arena, definitions, "A", schema);
    value_set(arena, document, "definitions", definitions);
    assert_int_equal(openapi_v2_encode(&out, document), -ELOOP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_coded_as_gnostic_does),
        cmocka_unit_test(depth_and_size_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
