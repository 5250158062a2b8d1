#include "api/quantity.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void canonical_text(void **state _unused_) {
    static const struct {
        const char *in, *out;
        int64_t value, milli;
        bool kept;
    } rows[] = {
        {"0", "0", 0, 0, true},
        {"1024Mi", "1Gi", 1 << 30, 1073741824000, false},
        {"1000m", "1", 1, 1000, false},
        {"1.5", "1500m", 2, 1500, false},
        {"1.234", "1234m", 2, 1234, true},
        {"100m", "100m", 1, 100, true},
        {"0.5Gi", "512Mi", 536870912, 536870912000, false},
        {"1.5Gi", "1536Mi", 1610612736, 1610612736000, false},
        {"1025Ki", "1025Ki", 1049600, 1049600000, true},
        {"8192Ki", "8Mi", 8388608, 8388608000, false},
        {"100Ki", "100Ki", 102400, 102400000, true},
        {"1Ki", "1Ki", 1024, 1024000, true},
        {"1000k", "1M", 1000000, 1000000000, false},
        {"1e3", "1e3", 1000, 1000000, true},
        {"12e2", "1200", 1200, 1200000, false},
        {"129e6", "129e6", 129000000, 129000000000, true},
        {"0.0000000001", "1n", 1, 1, false},
        {"100.5m", "100500u", 1, 101, false},
        {"-1.5Ki", "-1536", -1536, -1536000, false},
        {"-5", "-5", -5, -5000, true},
        {"+5", "5", 5, 5000, true},
        {"1E", "1E", 1000000000000000000, INT64_MAX, true},
        {"9Ei", "9223372036854775807", INT64_MAX, INT64_MAX, false},
        {"123456789123456789123Ki", "9223372036854775807", INT64_MAX, INT64_MAX, false},
        {"e3", "0", 0, 0, false},
        {".5", "500m", 1, 500, false},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        Quantity q;
        char text[QUANTITY_TEXT_MAX];
        assert_int_equal(quantity_parse(rows[i].in, &q), 0);
        assert_string_equal(quantity_format(&q, text), rows[i].out);
        assert_int_equal(quantity_value(&q), rows[i].value);
        assert_int_equal(quantity_milli_value(&q), rows[i].milli);
        assert_int_equal(q.as_written, rows[i].kept);
        Quantity again;
        assert_int_equal(quantity_parse(text, &again), 0);
        assert_int_equal(quantity_compare(&q, &again), 0);
    }
}

static void refused(void **state _unused_) {
    static const char *const texts[] = {"",    "abc", "1.2.3", "1x",  "1 Gi", "1Gi ",
                                        "--1", "1e",  "1e+",   "1mm", "1KI",  "1ei"};
    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        Quantity q;
        assert_true(quantity_parse(texts[i], &q) < 0);
        assert_non_null(quantity_parse_message(texts[i]));
    }
    assert_string_equal(quantity_parse_message("1e"), "unable to parse quantity's suffix");
    assert_null(quantity_parse_message("1"));
}

static Quantity q(const char *text) {
    Quantity quantity;
    assert_int_equal(quantity_parse(text, &quantity), 0);
    return quantity;
}

static void arithmetic(void **state _unused_) {
    char text[QUANTITY_TEXT_MAX];
    Quantity a = q("100m"), b = q("1"), c = q("1Gi"), zero = {0}, big = q("1E");
    quantity_add(&a, &b);
    assert_string_equal(quantity_format(&a, text), "1100m");
    quantity_sub(&a, &b);
    quantity_sub(&a, &b);
    assert_string_equal(quantity_format(&a, text), "-900m");
    assert_int_equal(quantity_sign(&a), -1);
    quantity_add(&zero, &c);
    assert_string_equal(quantity_format(&zero, text), "1Gi");
    quantity_sub(&c, &c);
    assert_string_equal(quantity_format(&c, text), "0");
    for (int i = 0; i < 100; i++)
        quantity_add(&big, &big);
    assert_int_equal(quantity_value(&big), INT64_MAX);
    assert_true(quantity_compare(&big, &b) > 0);
    Quantity tiny = q("1n"), huge = q("1e1000");
    assert_true(quantity_compare(&tiny, &huge) < 0);
    Quantity same = q("1000m");
    assert_int_equal(quantity_compare(&b, &same), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_text),
        cmocka_unit_test(refused),
        cmocka_unit_test(arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
