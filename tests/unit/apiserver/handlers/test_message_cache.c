#include "apiserver/handlers/message_cache.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define HOUR_NS (3600 * NS_PER_SEC)
#define MANY 5000

static Object *object_new(void) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = value_object(arena);
    value_set_str(arena, v, "kind", "ConfigMap");
    value_set_str(arena, v, "apiVersion", "v1");
    value_set_str(arena, value_ensure_object(arena, v, "metadata"), "name", "a");
    return object_from_value(resource_find("", "v1", "configmaps"), v);
}

/* Is it there, behind what the buffer holds? */
static bool has(MessageCache *cache, const Object *object, const char *message) {
    _cleanup_buf_ Buf out = BUF_INIT(1024), expected = BUF_INIT(1024);
    buf_puts(&out, "before ");
    bool found = message_cache_get(cache, object, &out);
    buf_printf(&expected, "before %s", found ? message : "");
    assert_string_equal(out.data, expected.data);
    return found;
}

static void each_object_has_its_message(void **state) {
    (void)state;
    _cleanup_(message_cache_freep) MessageCache *cache = message_cache_new(1 << 20, HOUR_NS);
    static Object *objects[MANY];
    char message[32];
    for (size_t i = 0; i < MANY; i++)
        objects[i] = object_new();
    for (size_t i = 0; i < MANY; i += 2) {
        assert_false(has(cache, objects[i], ""));
        message_cache_put(cache, objects[i], message, (size_t)snprintf(message, sizeof message, "message %zu", i));
        message_cache_put(cache, objects[i], "again", 5); /* it has one */
    }
    for (size_t i = 0; i < MANY; i++) {
        snprintf(message, sizeof message, "message %zu", i);
        assert_int_equal(has(cache, objects[i], message), i % 2 == 0);
        object_unref(objects[i]);
    }
}

/* A new object may stand where the last one was freed: it has no message. */
static void another_object_has_none(void **state) {
    (void)state;
    _cleanup_(message_cache_freep) MessageCache *cache = message_cache_new(1 << 20, HOUR_NS);
    for (size_t i = 0; i < 100; i++) {
        _cleanup_object_ Object *object = object_new();
        assert_false(has(cache, object, ""));
        message_cache_put(cache, object, "m", 1);
    }
}

static void no_more_than_its_bytes(void **state) {
    (void)state;
    _cleanup_(message_cache_freep) MessageCache *cache = message_cache_new(10, HOUR_NS);
    _cleanup_object_ Object *large = object_new(), *six = object_new(), *five = object_new(), *four = object_new();
    message_cache_put(cache, large, "0123456789a", 11);
    message_cache_put(cache, six, "123456", 6);
    message_cache_put(cache, five, "12345", 5);
    message_cache_put(cache, four, "1234", 4);
    assert_false(has(cache, large, ""));
    assert_true(has(cache, six, "123456"));
    assert_false(has(cache, five, ""));
    assert_true(has(cache, four, "1234"));
}

static void it_empties_itself(void **state) {
    (void)state;
    _cleanup_(message_cache_freep) MessageCache *cache = message_cache_new(1, NS_PER_SEC / 50);
    _cleanup_object_ Object *first = object_new(), *second = object_new();
    uint64_t due = now_monotonic_ns() + 30 * NS_PER_SEC;
    message_cache_put(cache, first, "1", 1);
    while (has(cache, first, "1") && now_monotonic_ns() < due)
        usleep(1000);
    assert_false(has(cache, first, ""));
    message_cache_put(cache, second, "2", 1); /* there is room again, and it will go as well */
    while (has(cache, second, "2") && now_monotonic_ns() < due)
        usleep(1000);
    assert_false(has(cache, second, ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_object_has_its_message),
        cmocka_unit_test(another_object_has_none),
        cmocka_unit_test(no_more_than_its_bytes),
        cmocka_unit_test(it_empties_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
