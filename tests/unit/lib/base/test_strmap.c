/* Maps from texts, and the hash that they go by. */
#include "base/str.h"
#include "base/strmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MANY 1000

static const char *name(unsigned i, char out[16]) {
    snprintf(out, 16, "n%u", i);
    return out;
}

static void test_put_get_take(void **state) {
    (void)state;
    _cleanup_(strmap_freep) StrMap *map = strmap_new(NULL);
    char text[16];
    int values[MANY];
    assert_null(strmap_get(map, "n0"));
    assert_null(strmap_take(map, "n0"));
    strmap_remove(map, "n0");
    for (unsigned i = 0; i < MANY; i++)
        assert_true(strmap_put(map, name(i, text), &values[i]));
    assert_int_equal(strmap_size(map), MANY);
    assert_false(strmap_put(map, "n7", &values[8]));
    assert_ptr_equal(strmap_get(map, "n7"), &values[8]);
    for (unsigned i = 0; i < MANY; i += 2)
        assert_ptr_equal(strmap_take(map, name(i, text)), &values[i]);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(strmap_get(map, name(i, text)) != NULL, i % 2 == 1);
    assert_int_equal(strmap_size(map), MANY / 2);
    strmap_clear(map);
    assert_int_equal(strmap_size(map), 0);
    assert_null(strmap_get(map, "n1"));
    assert_true(strmap_put(map, "", &values[0]));
    assert_ptr_equal(strmap_get(map, ""), &values[0]);
}

static void test_each_is_seen_once(void **state) {
    (void)state;
    _cleanup_(strmap_freep) StrMap *map = strmap_new(NULL);
    unsigned seen[MANY] = {0};
    char text[16];
    const char *key;
    unsigned *value;
    STRMAP_FOREACH (map, key, value)
        fail();
    for (unsigned i = 0; i < MANY; i++)
        strmap_put(map, name(i, text), &seen[i]);
    STRMAP_FOREACH (map, key, value) {
        assert_string_equal(key, name((unsigned)(value - seen), text));
        (*value)++;
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(seen[i], 1);
}

static void test_what_is_replaced_is_freed(void **state) {
    (void)state; /* the address sanitizer tells of what is not, or twice */
    _cleanup_(strmap_freep) StrMap *map = strmap_new(free);
    char *kept = xstrdup("kept");
    strmap_put(map, "a", xstrdup("1"));
    strmap_put(map, "a", xstrdup("2"));
    assert_string_equal(strmap_get(map, "a"), "2");
    strmap_put(map, "b", kept);
    strmap_put(map, "b", kept);
    char *taken = strmap_take(map, "b");
    assert_ptr_equal(taken, kept);
    free(taken);
    strmap_remove(map, "a");
    assert_int_equal(strmap_size(map), 0);
    strmap_put(map, "left", xstrdup("to the end"));
}

static void test_sets(void **state) {
    (void)state;
    _cleanup_(strmap_freep) StrMap *set = strmap_new(NULL);
    assert_true(strmap_add(set, "a"));
    assert_false(strmap_add(set, "a"));
    assert_non_null(strmap_get(set, "a"));
    assert_null(strmap_get(set, "b"));
}

/* Texts made to collide in a hash of fixed factor: what flips in one word does so again, and is cancelled, in the next.
 */
static void test_nobody_chooses_collisions(void **state) {
    enum { PAIRS = 10, TEXTS = 1 << PAIRS };
    (void)state;
    static uint64_t hashes[TEXTS];
    for (unsigned i = 0; i < TEXTS; i++) {
        uint8_t text[PAIRS * 16];
        memset(text, 'a', sizeof text);
        for (unsigned pair = 0; pair < PAIRS; pair++)
            if (i >> pair & 1)
                for (unsigned at = 7; at < 16; at += 4)
                    text[pair * 16 + at] ^= 0x80;
        hashes[i] = hash_bytes(text, sizeof text);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(hashes[i], hashes[j]);
    }
}

static void test_length_and_every_byte_count(void **state) {
    (void)state;
    static const char zeros[40];
    char text[40] = {0};
    for (size_t n = 0; n < sizeof zeros; n++) {
        assert_int_equal(hash_bytes(zeros, n), hash_bytes(text, n));
        assert_int_not_equal(hash_bytes(zeros, n), hash_bytes(zeros, n + 1));
        text[n] = 1;
        assert_int_not_equal(hash_bytes(zeros, n + 1), hash_bytes(text, n + 1));
        text[n] = 0;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_take),
        cmocka_unit_test(test_each_is_seen_once),
        cmocka_unit_test(test_what_is_replaced_is_freed),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_nobody_chooses_collisions),
        cmocka_unit_test(test_length_and_every_byte_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
