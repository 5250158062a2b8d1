#include "api/json.h"
#include "api/selector.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void label_selectors(void **state _unused_) {
    static const char *const rows[][3] = {
        /* selector, canonical text or NULL, message */
        {"a=b,c in (e,d,d),!f", "a=b,c in (d,e),!f", NULL},
        {"c,a==b", "a==b,c", NULL},
        {"a!=", "a!=", NULL},
        {"x notin ()", "x notin ()", NULL},
        {"in in (in)", "in in (in)", NULL},
        {" a\t=\nb ", "a=b", NULL},
        {"a>5,b<3", "a>5,b<3", NULL},
        {"a b", NULL, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
        {"x in (a", NULL, "unable to parse requirement: found '', expected: ',' or ')'"},
        {"a=b=c", NULL, "found '=', expected: ',' or 'end of string'"},
        {"a in b", NULL, "unable to parse requirement: found 'b' expected: '('"},
        {"!", NULL, "unable to parse requirement: found '', expected: identifier"},
        {"=a", NULL, "found '=', expected: !, identifier, or 'end of string'"},
        {"a==b,", NULL, "found '', expected: identifier after ','"},
        {"b<x", NULL,
         "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an "
         "integer"},
        {"A_/x", NULL,
         "unable to parse requirement: <nil>: Invalid value: \"A_/x\": prefix part a lowercase RFC 1123 subdomain must "
         "consist of lower "
         "case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
         "'example.com', regex "
         "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_(selector_freep) Selector *selector = NULL;
        _cleanup_api_error_ ApiError err = {0};
        int r = label_selector_parse(rows[i][0], &selector, &err);
        if (rows[i][2]) {
            assert_true(r < 0);
            assert_int_equal(err.code, 400);
            assert_string_equal(err.message, rows[i][2]);
            continue;
        }
        _cleanup_buf_ Buf text = BUF_INIT(1000);
        assert_int_equal(r, 0);
        selector_write(&text, selector);
        assert_string_equal(text.data, rows[i][1]);
    }
}

static bool matches(Arena *arena, const char *text, const char *labels) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    Value *v;
    assert_int_equal(json_parse(arena, labels, strlen(labels), &v, NULL, NULL), 0);
    assert_int_equal(label_selector_parse(text, &selector, NULL), 0);
    return label_selector_matches_value(selector, v);
}

static void matching(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char labels[] = "{\"app\":\"web\",\"n\":\"5\",\"e\":\"\"}";
    assert_true(matches(arena, "", labels));
    assert_true(matches(arena, "app=web,n", labels));
    assert_true(matches(arena, "app in (db,web),!x,x!=y,x notin (z)", labels));
    assert_true(matches(arena, "e=,n>4,n<6", labels));
    assert_false(matches(arena, "n>5", labels));
    assert_false(matches(arena, "app!=web", labels));
    assert_false(matches(arena, "x in (a)", labels));
    assert_false(matches(arena, "app>1", labels));
}

static void selectors_in_objects(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char text[] = "[{\"a\":\"b\"},{\"matchLabels\":{\"z\":\"1\"},\"matchExpressions\":[{\"key\":\"a\","
                               "\"operator\":\"In\",\"values\":[\"y\",\"b\"]},"
                               "{\"key\":\"q\",\"operator\":\"DoesNotExist\"}]},{\"matchExpressions\":[{\"key\":\"a\","
                               "\"operator\":\"In\"}]},{}]";
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    _cleanup_(selector_freep) Selector *map = label_selector_from_map(value_at(v, 0)), *full = NULL, *none = NULL;
    Selector *all = map, *bad = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(1000);
    assert_int_equal(label_selector_from_value(value_at(v, 1), &full), 0);
    selector_write(&out, full);
    assert_string_equal(out.data, "a in (b,y),!q,z=1");
    assert_true(label_selector_from_value(value_at(v, 2), &bad) < 0);
    assert_int_equal(label_selector_from_value(value_at(v, 3), &all), 0);
    assert_null(all);
    assert_true(label_selector_matches_value(all, NULL));
    assert_int_equal(label_selector_from_value(NULL, &none), 0);
    assert_false(label_selector_matches_value(none, value_at(v, 0)));
    assert_true(label_selector_matches_value(map, value_at(v, 0)));
}

static void field_selectors(void **state _unused_) {
    const Resource *pods = resource_find("", "v1", "pods");
    static const char json[] = "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{"
                               "\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}";
    _cleanup_object_ Object *object = NULL;
    assert_int_equal(object_from_json(pods, json, strlen(json), 1, &object), 0);
    static const struct {
        const char *text;
        bool match;
    } rows[] = {{"spec.nodeName=n1,status.phase!=Failed", true},
                {"metadata.name=a,metadata.namespace==n", true},
                {"spec.nodeName=", false},
                {"status.podIP=", true},
                {"spec.nodeName!=n1", false},
                {",", true}};
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_(selector_freep) Selector *selector = NULL;
        assert_int_equal(field_selector_parse(rows[i].text, &selector, NULL), 0);
        assert_int_equal(field_selector_matches(selector, object), rows[i].match);
        assert_null(field_selector_unknown(selector, pods));
    }
    _cleanup_(selector_freep) Selector *selector = NULL, *escaped = NULL;
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(field_selector_parse("spec.nodeName=n1,spec.bogus=1", &selector, NULL), 0);
    assert_string_equal(field_selector_unknown(selector, pods), "spec.bogus");
    assert_string_equal(selector_exact(selector, "spec.nodeName"), "n1");
    assert_null(selector_exact(selector, "metadata.name"));
    assert_int_equal(field_selector_parse("a=x\\,y\\=z\\\\", &escaped, NULL), 0);
    assert_string_equal(selector_exact(escaped, "a"), "x,y=z\\");
    assert_true(field_selector_parse("abc", &escaped, &err) < 0);
    assert_string_equal(err.message, "invalid selector: 'abc'; can't understand 'abc'");
    assert_true(field_selector_parse("a=\\x", &escaped, &err) < 0);
    assert_string_equal(err.message, "invalid field selector: invalid escape sequence: \\x");
}

/* Events of events.k8s.io are stored in the words of core/v1. */
static void fields_have_other_names(void **state _unused_) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    assert_int_equal(field_selector_parse("regarding.name=p,regardingx=1,reason=r", &selector, NULL), 0);
    field_selector_rename(selector, "regarding", "involvedObject");
    assert_string_equal(selector_exact(selector, "involvedObject.name"), "p");
    assert_null(selector_exact(selector, "regarding.name"));
    assert_string_equal(selector_exact(selector, "regardingx"), "1");
    assert_string_equal(selector_exact(selector, "reason"), "r");
}

static void many_labels_are_matched_in_no_time(void **state _unused_) {
    enum { COUNT = 60000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *in_object = value_object(arena), *labels = value_object(arena);
    Value *match = value_ensure_object(arena, in_object, "matchLabels"), *expression = value_object(arena);
    value_append(arena, value_ensure_array(arena, in_object, "matchExpressions"), expression);
    value_set_str(arena, expression, "key", "k7");
    value_set_str(arena, expression, "operator", "In");
    Value *values = value_ensure_array(arena, expression, "values");
    for (int i = 0; i < COUNT; i++) {
        value_add(arena, match, arena_printf(arena, "k%d", i), value_printf(arena, "v%d", i));
        value_add(arena, labels, arena_printf(arena, "k%d", COUNT - 1 - i), value_printf(arena, "v%d", COUNT - 1 - i));
        value_append(arena, values, value_printf(arena, "v%d", COUNT - 1 - i / 2)); /* each twice */
    }
    value_append(arena, values, value_string(arena, "v7"));
    Selector *selector;
    uint64_t start = now_monotonic_ns();
    assert_int_equal(label_selector_from_value(in_object, &selector), 0);
    assert_true(label_selector_matches_value(selector, labels));
    labels->members[COUNT - 8].value = value_string(arena, "v8"); /* k7 */
    assert_false(label_selector_matches_value(selector, labels));
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    selector_free(selector);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_selectors),         cmocka_unit_test(matching),
        cmocka_unit_test(selectors_in_objects),    cmocka_unit_test(field_selectors),
        cmocka_unit_test(fields_have_other_names), cmocka_unit_test(many_labels_are_matched_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
