#include "api/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void to_json(void **state _unused_) {
    static const char *const pairs[][2] = {
        {"", "null"},
        {"a: 1\nb: yes\nc: 'yes'\nd: off\ne: ~\nf:\n",
         "{\"a\":1,\"b\":true,\"c\":\"yes\",\"d\":false,\"e\":null,\"f\":null}"},
        {"a: 0x10\nb: 010\nc: 0b11\nd: 1_000\ne: 08\nf: 1e3\ng: 2.50\n",
         "{\"a\":16,\"b\":8,\"c\":3,\"d\":1000,\"e\":8,\"f\":1000,\"g\":2.5}"},
        {"1: a\ny: b\n2.5: c\n", "{\"1\":\"a\",\"true\":\"b\",\"2.5\":\"c\"}"},
        {"a: !!str 1\nb: !!int '2'\nc: !!binary aGk=\n", "{\"a\":\"1\",\"b\":2,\"c\":\"hi\"}"},
        {"a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}"},
        {"a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":{\"b\":1,\"e\":2}}"},
        {"a: &x {k: 1}\nb: &y {k: 2, l: 3}\nc:\n  <<: [*x, *y]\n",
         "{\"a\":{\"k\":1},\"b\":{\"k\":2,\"l\":3},\"c\":{\"k\":1,\"l\":3}}"},
        {"a: 2020-01-02\nb: 2020-01-02T03:04:05Z\nc: 1:30\n",
         "{\"a\":\"2020-01-02T00:00:00Z\",\"b\":\"2020-01-02T03:04:05Z\",\"c\":\"1:30\"}"},
        {"{\"a\":[1,2.5,true,null,\"x\"]}", "{\"a\":[1,2.5,true,null,\"x\"]}"},
        {"a: 1\n---\nb: 2\n", "{\"a\":1}"},
        {"a: 12e03m\nb: 1Gi\nc: 1.2.3\nd: -\n", NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
        Value *v;
        char *message = NULL;
        int r = yaml_parse(arena, pairs[i][0], strlen(pairs[i][0]), &v, NULL, &message);
        if (!pairs[i][1]) {
            assert_int_equal(r, -EBADMSG);
            continue;
        }
        assert_int_equal(r, 0);
        value_write_json(&buf, v);
        assert_string_equal(buf.data, pairs[i][1]);
    }
}

static void errors(void **state _unused_) {
    static const char *const pairs[][2] = {
        {"{{{{", "yaml: line 1: did not find expected node content"},
        {"a: &a [*a]", "yaml: anchor 'a' value contains itself"},
        {"a: *b", "yaml: unknown anchor 'b' referenced"},
        {"a: {<<: 1}", "yaml: map merge requires map or sequence of maps as the value"},
        {"metadata:\n  name: x\n bad: 1\n", "yaml: line 2: did not find expected key"},
        {"a: .inf", "json: unsupported value: +Inf"},
    };
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *v;
        char *message = NULL;
        assert_int_equal(yaml_parse(arena, pairs[i][0], strlen(pairs[i][0]), &v, NULL, &message), -EBADMSG);
        assert_string_equal(message, pairs[i][1]);
    }
}

static void aliases_do_not_explode(void **state _unused_) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_puts(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++)
        buf_printf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v;
    char *message = NULL;
    assert_int_equal(yaml_parse(arena, text.data, text.len, &v, NULL, &message), -EBADMSG);
    assert_string_equal(message, "yaml: document contains excessive aliasing");
    assert_true(arena_used(arena) < 64u << 20);
}

static void duplicates(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char text[] = "a: 1\nb:\n- c: 1\n  c: 2\na: 2\n";
    DuplicateFields d;
    Value *v;
    assert_int_equal(yaml_parse(arena, text, strlen(text), &v, &d, NULL), 0);
    assert_int_equal(d.n, 2);
    assert_string_equal(d.messages[0], "line 4: key \"c\" already set in map");
    assert_string_equal(d.messages[1], "line 5: key \"a\" already set in map");
    assert_string_equal(d.yaml_message, "yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n"
                                        "  line 5: key \"a\" already set in map");
    assert_int_equal(value_get_int(v, "a", 0), 2);
}

static void streams(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char text[] = "---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n";
    Value *v;
    assert_int_equal(yaml_parse_all(arena, text, strlen(text), &v, NULL), 0);
    assert_int_equal(value_len(v), 2);
    assert_int_equal(value_get_int(value_at(v, 1), "b", 0), 2);
}

static const char sample[] = "apiVersion: v1\nkind: Pod\nmetadata: &m\n  name: a\n  labels: {x: y, n: 1.5}\n"
                             "spec:\n  containers:\n  - name: c\n    args: [a, b, c, d, e, f]\n  copy: *m\n";

static void every_allocation_may_fail(void **state _unused_) {
    bool ok = false;
    for (size_t limit = 8; !ok; limit += 8) {
        _cleanup_arena_ Arena *arena = arena_new(limit);
        Value *v = NULL;
        int r = yaml_parse(arena, sample, strlen(sample), &v, NULL, NULL);
        assert_true(r == 0 || r == -ENOMEM);
        assert_int_equal(v == NULL, r != 0);
        ok = r == 0;
        assert_true(limit < 1 << 16);
    }
}

/* After an error of meaning the rest is looked at for errors of syntax, but not however deep it is: libyaml's effort
 * for a token grows with the depth, and this took hours. */
static void what_follows_an_error_is_not_read_however_deep(void **state _unused_) {
    enum { DEPTH = 400000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    Value *v = NULL;
    char *message = NULL;
    buf_puts(&text, "a: *nothing\nb: ");
    for (int i = 0; i < DEPTH; i++)
        buf_putc(&text, '[');
    for (int i = 0; i < DEPTH; i++)
        buf_putc(&text, ']');
    assert_true(yaml_parse(arena, text.data, text.len, &v, NULL, &message) < 0);
    assert_true(yaml_parse(arena, text.data + 12, text.len - 12, &v, NULL, &message) < 0);
}

static void depth_is_limited(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char text[JSON_DEPTH_MAX + 50];
    memset(text, '[', sizeof(text));
    Value *v;
    assert_true(yaml_parse(arena, text, sizeof(text), &v, NULL, NULL) < 0);
}

static void writing(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    static const char text[] =
        "{\"b\":[{\"n\":1,\"a\":\"x\"},\"yes\",\"1\",\"\",\"a: b\",\"2020-01-01\"],\"a10\":null,\"a9\":{},"
        "\"l\":\"x\\ny\\n\",\"e\":[],\"t\":true,\"y\":\"12:30\",\"-\":1}";
    Value *v, *back;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    value_write_yaml(&buf, v);
    assert_string_equal(buf.data,
                        "'-': 1\na9: {}\na10: null\nb:\n- a: x\n  \"n\": 1\n- \"yes\"\n- \"1\"\n- \"\"\n- 'a: b'\n"
                        "- \"2020-01-01\"\ne: []\nl: |\n  x\n  y\nt: true\n\"y\": \"12:30\"\n");
    assert_int_equal(yaml_parse(arena, buf.data, buf.len, &back, NULL, NULL), 0);
    assert_true(value_equal(v, back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_json),
        cmocka_unit_test(errors),
        cmocka_unit_test(aliases_do_not_explode),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(streams),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(what_follows_an_error_is_not_read_however_deep),
        cmocka_unit_test(writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
