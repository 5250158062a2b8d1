#include "apiserver/handlers/frames.h"
#include "api/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const Media protobuf = {.form = MEDIA_PROTOBUF};
static const char added[] = "ADDED", deleted[] = "DELETED";

static const Resource *config_maps(void) {
    return resource_find("", "v1", "configmaps");
}

static Object *object_of(uint64_t revision, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_free_ char *text = xmalloc(size + 1);
    memset(text, 'x', size);
    text[size] = 0;
    Value *v = value_object(arena), *meta = value_ensure_object(arena, v, "metadata");
    value_set_str(arena, v, "kind", "ConfigMap");
    value_set_str(arena, v, "apiVersion", "v1");
    value_set_str(arena, meta, "name", "a");
    value_set_str(arena, value_ensure_object(arena, v, "data"), "text", text);
    Object *object = object_from_value(config_maps(), v), *at = object_with_revision(object, revision);
    object_unref(object);
    return at;
}

static HttpBytes encode(Frames *frames, const char *type, Object *object) {
    HttpBytes bytes;
    assert_int_equal(frames_encode(frames, &protobuf, config_maps(), type, object, &bytes), 0);
    return bytes;
}

static void release(HttpBytes bytes) {
    if (bytes.release)
        bytes.release(bytes.owner);
}

static void expect_fresh(HttpBytes bytes, const char *type, Object *object) {
    HttpBytes parts[3];
    size_t n;
    assert_int_equal(encode_event(NULL, &protobuf, config_maps(), type, object, false, parts, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(bytes.len, parts[0].len);
    assert_memory_equal(bytes.data, parts[0].data, bytes.len);
    release(parts[0]);
}

static void an_event_is_encoded_once(void **state) {
    (void)state;
    Frames frames = {0};
    _cleanup_object_ Object *object = object_of(7, 100);
    HttpBytes first = encode(&frames, added, object), second = encode(&frames, added, object),
              gone = encode(&frames, deleted, object), back = encode(&frames, added, object);
    assert_ptr_equal(first.data, second.data);
    assert_ptr_not_equal(first.data, gone.data); /* another type takes the place */
    assert_ptr_not_equal(back.data, gone.data);
    expect_fresh(first, added, object); /* which outlives its place */
    expect_fresh(gone, deleted, object);
    expect_fresh(back, added, object);
    frames_done(&frames);
    expect_fresh(second, added, object);
    release(first);
    release(second);
    release(gone);
    release(back);
}

static void places_are_taken_over_and_large_frames_not_kept(void **state) {
    (void)state;
    Frames frames = {0};
    for (uint64_t revision = 1; revision < 4 * FRAMES_MAX; revision++) {
        _cleanup_object_ Object *object = object_of(revision, revision % 3 ? 10 : FRAME_BYTES_MAX);
        HttpBytes first = encode(&frames, added, object), second = encode(&frames, added, object);
        assert_int_equal(first.data == second.data, revision % 3 != 0);
        expect_fresh(second, added, object);
        release(first);
        release(second);
    }
    frames_done(&frames);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_encoded_once),
        cmocka_unit_test(places_are_taken_over_and_large_frames_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
