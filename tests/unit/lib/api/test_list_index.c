#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/list_index.h"
#include "base/str.h"

/* The first item of a text, in short lists and in long ones, of members and of texts. */
static void test_first(void **state) {
    static const size_t sizes[] = {0, 1, 31, 32, 33, 1000};
    (void)state;
    for (size_t s = 0; s < ELEMENTSOF(sizes); s++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        ListIndexes indexes = {.arena = arena};
        size_t n = sizes[s];
        Value *objects = value_array(arena), *texts = value_array(arena);
        for (size_t i = 0; i < n; i++) {
            Value *object = value_object(arena);
            char *text = arena_printf(arena, "t%zu", i / 2); /* each twice */
            value_set_str(arena, object, "name", text);
            value_append(arena, objects, i % 7 == 6 ? value_object(arena) : object);
            value_append(arena, texts, value_string(arena, text));
        }
        for (size_t i = 0; i < n; i++) {
            const char *text = arena_printf(arena, "t%zu", i / 2);
            assert_int_equal(list_index_find(&indexes, texts, NULL, text), i / 2 * 2);
            size_t first = i / 2 * 2 % 7 == 6 ? i / 2 * 2 + 1 : i / 2 * 2;
            if (first < n && i % 7 != 6)
                assert_int_equal(list_index_find(&indexes, objects, "name", text), first);
        }
        assert_true(list_index_find(&indexes, texts, NULL, "none") == LIST_INDEX_NONE);
        assert_true(list_index_find(&indexes, objects, "name", "") == (n > 6 ? 6 : LIST_INDEX_NONE));
        assert_true(list_index_find(&indexes, objects, "other", "t0") == LIST_INDEX_NONE);
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    ListIndexes indexes = {.arena = arena};
    assert_true(list_index_find(&indexes, NULL, "name", "x") == LIST_INDEX_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
