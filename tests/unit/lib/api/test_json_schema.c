#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/codec.h"
#include "api/json.h"
#include "api/json_schema.h"
#include "base/clock.h"
#include "api/schema_format.h"
#include "api/structural.h"
#include "base/str.h"

static Value *parse(Arena *arena, const char *text) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    return v;
}

#define SPEC                                                                                                           \
    "{\"type\":\"object\",\"required\":[\"size\"],\"properties\":{"                                                    \
    "\"size\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10},"                                                    \
    "\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"maxLength\":5},"                                         \
    "\"most\":{\"type\":\"integer\",\"maximum\":4294967295},\"half\":{\"type\":\"number\",\"minimum\":0.5,"            \
    "\"multipleOf\":0.5},\"of\":{\"type\":\"integer\",\"enum\":[1,2]},\"level\":{\"type\":\"string\",\"enum\":[\"\","  \
    "\"A\"]},\"short\":{\"type\":\"integer\",\"format\":"                                                              \
    "\"int32\"},"                                                                                                      \
    "\"mode\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"],\"default\":\"a\"},"                                         \
    "\"list\":{\"type\":\"array\",\"maxItems\":2,\"x-kubernetes-list-type\":\"map\","                                  \
    "\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":\"object\",\"properties\":{"                           \
    "\"k\":{\"type\":\"string\"},\"v\":{\"type\":\"string\",\"default\":\"d\"}}}},"                                    \
    "\"when\":{\"type\":\"string\",\"format\":\"date-time\"},"                                                         \
    "\"either\":{\"x-kubernetes-int-or-string\":true},"                                                                \
    "\"nul\":{\"type\":\"string\",\"nullable\":true},"                                                                 \
    "\"one\":{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"type\":\"object\","                          \
    "\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}}},"                                       \
    "\"free\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}"
#define SCHEMA "{\"type\":\"object\",\"properties\":{\"spec\":" SPEC "}}"

static char *messages(Arena *arena, const char *object, const char *old) {
    JsonSchema *schema;
    const char *pattern;
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    char *out = arena_strdup(arena, "");
    assert_int_equal(json_schema_new(parse(arena, SCHEMA), &schema, &pattern), 0);
    json_schema_validate(schema, NULL, NULL, parse(arena, object), old ? parse(arena, old) : NULL, &errors);
    for (size_t i = 0; i < errors.n; i++)
        out = arena_printf(arena, "%s%s%s: %s", out, i ? "; " : "", errors.items[i].field, errors.items[i].message);
    json_schema_free(schema);
    return out;
}

static void test_messages(void **state) {
    static const struct {
        const char *spec, *want;
    } rows[] = {
        {"{\"size\":3,\"either\":\"5%\",\"nul\":null,\"free\":{\"x\":1}}", ""},
        {"{}", "spec.size: Required value"},
        {"{\"size\":20}", "spec.size: Invalid value: 20: spec.size in body should be less than or equal to 10"},
        {"{\"size\":\"3\"}",
         "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\""},
        {"{\"size\":1,\"name\":\"A\"}", "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"},
        {"{\"size\":1,\"name\":\"TOOLONG\"}", "spec.name: Too long: may not be more than 5 bytes"},
        {"{\"size\":1,\"mode\":\"z\"}", "spec.mode: Unsupported value: \"z\": supported values: \"a\", \"b\""},
        {"{\"size\":1,\"mode\":null}",
         "spec.mode: Invalid value: \"null\": spec.mode in body must be of type string: \"null\"; "
         "spec.mode: Unsupported value: null: supported values: \"a\", \"b\""},
        {"{\"size\":1,\"when\":\"yesterday\"}",
         "spec.when: Invalid value: \"yesterday\": spec.when in body must be of type date-time: \"yesterday\""},
        {"{\"size\":1,\"either\":true}", "spec.either: Invalid value: \"boolean\": spec.either in body must be of type "
                                         "integer,string: \"boolean\""},
        /* integers end at 2^53, and limits are what the number is */
        {"{\"size\":1,\"most\":9007199254740993.0}",
         "spec.most: Invalid value: \"number\": spec.most in body must be of type integer: \"number\"; spec.most: "
         "Invalid "
         "value: 9.007199254740992e+15: spec.most in body should be less than or equal to 4.294967295e+09"},
        {"{\"size\":1,\"most\":9007199254740993}",
         "spec.most: Invalid value: 9007199254740993: spec.most in body should be less than or equal to 4294967295"},
        {"{\"size\":1,\"half\":1.5}", ""},
        {"{\"size\":1,\"half\":0.75}", "spec.half: Invalid value: 0.75: spec.half in body should be a multiple of 0.5"},
        {"{\"size\":1,\"half\":-6}", "spec.half: Invalid value: 0: factor MultipleOf declared for spec.half must be "
                                     "positive: 0; spec.half: Invalid "
                                     "value: -6: spec.half in body should be greater than or equal to 0"},
        {"{\"size\":1,\"of\":1000000.0}", "spec.of: Unsupported value: 1e+06: supported values: \"1\", \"2\""},
        {"{\"size\":1,\"of\":2.0}", ""},
        {"{\"size\":1,\"level\":\"B\"}", "spec.level: Unsupported value: \"B\": supported values: \"\", \"A\""},
        {"{\"size\":1,\"short\":1e20}",
         "spec.short: Invalid value: \"float64\": spec.short in body must be of type int32: \"float64\"; <nil>: "
         "Invalid "
         "value: \"\": Checked value must be of type integer with format int32 in spec.short"},
        {"{\"size\":1,\"one\":{\"a\":\"x\",\"b\":\"y\"}}",
         "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid "
         "alternatives"},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        Arena *arena = arena_new(0);
        char *object = arena_printf(arena, "{\"spec\":%s}", rows[i].spec);
        assert_string_equal(messages(arena, object, NULL), rows[i].want);
        arena_free(arena);
    }
}

/* What was wrong before an update and did not change is not held against it. */
static void test_ratcheting(void **state) {
    (void)state;
    Arena *arena = arena_new(0);
    const char *old = "{\"spec\":{\"size\":20,\"name\":\"A\"}}";
    assert_string_equal(messages(arena, "{\"spec\":{\"size\":20,\"name\":\"a\"}}", old), "");
    assert_string_equal(messages(arena, "{\"spec\":{\"size\":30,\"name\":\"A\"}}", old),
                        "spec.size: Invalid value: 30: spec.size in body should be less than or equal to 10");
    /* items of a keyed list are those of the same key, wherever they stand */
    const char *list = "{\"spec\":{\"size\":1,\"list\":[{\"k\":\"a\",\"v\":1},{\"k\":\"b\",\"v\":\"x\"}]}}";
    assert_string_equal(
        messages(arena, "{\"spec\":{\"size\":1,\"list\":[{\"k\":\"b\",\"v\":\"y\"},{\"k\":\"a\",\"v\":1}]}}", list),
        "");
    assert_string_equal(messages(arena, "{\"spec\":{\"size\":1,\"list\":[{\"k\":\"c\",\"v\":1}]}}", list),
                        "spec.list[0].v: Invalid value: \"integer\": spec.list[0].v in body must be of type string: "
                        "\"integer\"");
    arena_free(arena);
}

static void test_structural(void **state) {
    (void)state;
    Arena *arena = arena_new(0);
    const Value *schema = parse(arena, SCHEMA);
    const Schema *table = structural_schema(arena, schema);
    Value *v = parse(arena, "{\"spec\":{\"size\":1,\"bogus\":2,\"mode\":null,\"nul\":null,\"free\":{\"any\":[1]},"
                            "\"list\":[{\"k\":\"a\",\"q\":1}]},\"kind\":\"W\",\"extra\":1}");
    UnknownFields unknown = {0};
    _cleanup_buf_ Buf text = BUF_INIT(4096);
    assert_int_equal(schema_normalize(arena, table, v, &unknown, NULL), 0);
    assert_int_equal(unknown.n, 3);
    structural_drop_nulls(schema, v);
    schema_default(arena, table, v);
    value_write_json(&text, v);
    assert_string_equal(text.data, "{\"kind\":\"W\",\"spec\":{\"free\":{\"any\":[1]},\"list\":[{\"k\":\"a\",\"v\":"
                                   "\"d\"}],\"mode\":\"a\",\"nul\":null,\"size\":1}}");
    arena_free(arena);
}

static void test_formats(void **state) {
    static const struct {
        const char *format, *good, *bad;
    } rows[] = {
        {"date", "2024-02-29", "2024-2-9"},
        {"date-time", "2024-01-01T00:00:00Z", "today"},
        {"ipv4", "1.2.3.4", "1.2.3"},
        {"ipv6", "::1", "1.2.3.4"},
        {"cidr", "10.0.0.0/8", "10.0.0.0/33"},
        {"uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"},
        {"mac", "00:11:22:33:44:55", "00:11"},
        {"duration", "1h30m", "1x"},
        {"byte", "aGVsbG8=", "a"},
        {"email", "a@b.c", "ab"},
        {"hostname", "a.example.com", "a_b"},
        {"uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"},
        {"isbn", "978-0-306-40615-7", "978-0-306-40615-8"},
        {"isbn10", "0-306-40615-2", "0-306-40615-3"},
        {"isbn10", "080442957X", "0804429570"},
        {"creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"},
        {"ssn", "123-45-6789", "123-456-789"},
        {"hexcolor", "#FfF", "#ffff"},
        {"rgbcolor", "rgb(0, 12,255)", "rgb(0,12,256)"},
        {"bsonobjectid", "507f1f77bcf86cd799439011", "507f1f77bcf86cd79943901"},
        {"duration", "3 days", "3 dogs"},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        assert_true(schema_format_fits(rows[i].format, rows[i].good));
        assert_false(schema_format_fits(rows[i].format, rows[i].bad));
    }
    assert_false(schema_format_known("made-up"));
    assert_true(schema_format_fits("made-up", "anything"));
}

/* Items of keyed lists are found among the old ones wherever they stand, and members in large schemas and objects:
 * what was wrong before may stay, what becomes wrong is told. */
static void test_many_items_and_members(void **state) {
    (void)state;
    enum { COUNT = 30000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *root = parse(arena, "{\"type\":\"object\",\"required\":[],\"properties\":{\"list\":{\"type\":\"array\","
                               "\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":\"object\",\"properties\":"
                               "{\"v\":{\"type\":\"integer\",\"maximum\":1}}}}}}");
    Value *object = value_object(arena), *old = value_object(arena), *properties = value_get(root, "properties");
    Value *list = value_ensure_array(arena, object, "list"), *was = value_ensure_array(arena, old, "list");
    for (int i = 0; i < COUNT; i++) {
        Value *name = value_printf(arena, "p%d", i);
        value_add(arena, properties, name->string, parse(arena, "{\"type\":\"string\"}"));
        value_append(arena, value_get(root, "required"), name);
        value_add(arena, object, arena_printf(arena, "p%d", COUNT - 1 - i), value_string(arena, "x"));
        value_append(arena, was, parse(arena, arena_printf(arena, "{\"k\":%d,\"v\":%d}", i, 5)));
        value_append(arena, list,
                     parse(arena, arena_printf(arena, "{\"k\":%d.0,\"v\":%d,\"n\":1}", COUNT - 1 - i, i == 7 ? 9 : 5)));
    }
    JsonSchema *schema;
    const char *pattern;
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    assert_int_equal(json_schema_new(root, &schema, &pattern), 0);
    uint64_t start = now_monotonic_ns();
    json_schema_validate(schema, NULL, NULL, object, old, &errors);
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    assert_int_equal(errors.n, 1);
    assert_string_equal(errors.items[0].field, "list[7].v");
    json_schema_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_ratcheting),
        cmocka_unit_test(test_structural),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_many_items_and_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
