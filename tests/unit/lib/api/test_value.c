#include "api/member_index.h"
#include "api/value.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void reading_accepts_absence(void **state _unused_) {
    assert_null(value_get(NULL, "a"));
    assert_null(value_at(NULL, 0));
    assert_null(value_path(NULL, "a", "b", NULL));
    assert_int_equal(value_len(NULL), 0);
    assert_null(value_get_str(NULL, "a"));
    assert_int_equal(value_get_int(NULL, "a", 7), 7);
    assert_true(value_get_bool(NULL, "a", true));
    assert_true(value_is_empty(NULL));
    assert_true(value_equal(NULL, NULL));
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_false(value_equal(NULL, value_null(arena)));
    assert_null(value_copy(arena, NULL));
}

static void members_keep_their_order(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = value_object(arena);
    char name[] = "b";
    value_set_int(arena, v, name, 1);
    name[0] = 'x'; /* the name was copied */
    value_set_str(arena, v, "a", "t");
    value_set_int(arena, v, "b", 2);
    value_set_bool(arena, v, "c", true);
    assert_int_equal(v->len, 3);
    assert_string_equal(v->members[0].name, "b");
    assert_int_equal(v->members[0].value->integer, 2);
    value_set(arena, v, "a", NULL);
    assert_int_equal(v->len, 2);
    assert_string_equal(v->members[1].name, "c");
    assert_false(value_remove(v, "a"));
    value_append(arena, value_ensure_array(arena, value_ensure_object(arena, v, "o"), "l"), value_int(arena, 5));
    assert_int_equal(value_at(value_path(v, "o", "l", NULL), 0)->integer, 5);
}

static void arrays_change(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = value_array(arena), *item;
    for (int i = 0; i < 20; i++)
        value_append(arena, v, value_int(arena, i));
    value_insert_at(arena, v, 3, value_int(arena, 100));
    value_insert_at(arena, v, 99, value_int(arena, 101));
    value_remove_at(v, 0);
    value_remove_at(v, 500);
    assert_int_equal(v->len, 21);
    assert_int_equal(value_at(v, 2)->integer, 100);
    assert_int_equal(value_at(v, 20)->integer, 101);
    int64_t sum = 0;
    VALUE_FOREACH (item, v)
        sum += item->integer;
    assert_int_equal(sum, 190 + 201);
}

static void equality_is_deep(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *a = value_object(arena), *b = value_object(arena);
    value_set_str(arena, a, "x", "1");
    value_set(arena, a, "y", value_array(arena));
    value_set(arena, b, "y", value_array(arena));
    value_set_str(arena, b, "x", "1");
    assert_true(value_equal(a, b));
    Value *copy = value_copy(arena, a);
    assert_true(value_equal(a, copy));
    value_append(arena, value_get(copy, "y"), value_null(arena));
    assert_false(value_equal(a, copy));
    assert_int_equal(value_len(value_get(a, "y")), 0);
    value_set_int(arena, b, "x", 1);
    assert_false(value_equal(a, b));
}

/* What a client sent empty is equal to what it left out, and is no member in JSON; filled, it is like any other. */
static void unset_is_as_absent(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *a = value_object(arena), *b = value_object(arena), *list = value_array(arena);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    value_set_str(arena, a, "x", "1");
    value_set_str(arena, b, "x", "1");
    value_set(arena, a, "list", list);
    assert_false(value_equal(a, b));
    assert_false(value_has_unset(a));
    list->unset = true;
    assert_true(value_has_unset(a));
    assert_true(value_equal(a, b));
    assert_true(value_equal(b, a));
    assert_true(value_equal(list, NULL));
    assert_true(value_equal(value_copy(arena, a), b));
    value_write_json(&text, a);
    assert_string_equal(text.data, "{\"x\":\"1\"}");
    value_append(arena, list, value_int(arena, 1));
    assert_false(value_has_unset(a));
    assert_false(value_equal(a, b));
}

/* An index answers as value_get does, whatever the size, and of two members of one name gives the first. */
static void indexes_find_what_a_walk_finds(void **state _unused_) {
    static const int sizes[] = {0, 1, 32, 33, 64, 1000};
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t s = 0; s < ELEMENTSOF(sizes); s++) {
        Value *v = value_object(arena);
        for (int i = 0; i < sizes[s]; i++)
            value_add(arena, v, arena_printf(arena, "k%d", i % 900), value_int(arena, i));
        _cleanup_member_index_ MemberIndex index = member_index_new(v);
        for (int i = 0; i <= sizes[s]; i++) {
            char *name = arena_printf(arena, "k%d", i);
            assert_ptr_equal(member_index_get(&index, name), value_get(v, name));
        }
        value_add(arena, v, "new", value_null(arena)); /* moves the members */
        assert_null(member_index_get(&index, "new"));
        if (sizes[s])
            assert_ptr_equal(member_index_find(&index, "k0"), &v->members[0]);
    }
    _cleanup_member_index_ MemberIndex none = member_index_new(NULL), list = member_index_new(value_array(arena));
    assert_null(member_index_get(&none, "a"));
    assert_null(member_index_get(&list, "a"));
}

static void many_members_are_compared_in_no_time(void **state _unused_) {
    enum { COUNT = 60000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *a = value_object(arena), *b = value_object(arena);
    for (int i = 0; i < COUNT; i++) {
        value_add(arena, a, arena_printf(arena, "k%d", i), value_int(arena, i));
        value_add(arena, b, arena_printf(arena, "k%d", COUNT - 1 - i), value_int(arena, COUNT - 1 - i));
    }
    uint64_t start = now_monotonic_ns();
    assert_true(value_equal(a, b));
    b->members[0].value = value_int(arena, -1);
    assert_false(value_equal(a, b));
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_accepts_absence),
        cmocka_unit_test(members_keep_their_order),
        cmocka_unit_test(arrays_change),
        cmocka_unit_test(equality_is_deep),
        cmocka_unit_test(unset_is_as_absent),
        cmocka_unit_test(indexes_find_what_a_walk_finds),
        cmocka_unit_test(many_members_are_compared_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
