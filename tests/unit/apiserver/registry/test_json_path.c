/* JSONPath of printer columns. */
#include "apiserver/registry/json_path.h"

#include "api/json.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const char text[] =
    "{\"spec\":{\"n\":3,\"list\":[{\"k\":\"a\",\"v\":1},{\"k\":\"b\",\"v\":2,\"on\":true},{\"k\":\"c\",\"v\":3.5}],"
    "\"names\":[\"x\",\"y\",\"z\"],\"a.b\":\"dotted\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":"
    "\"True\"},{\"type\":\"Synced\",\"status\":\"False\"}],\"map\":{\"p\":1,\"q\":2}}}";

/* What is found, as JSON texts with blanks between. */
static char *found(Arena *arena, const char *path, int *ret) {
    _cleanup_buf_ Buf out = BUF_INIT(4096);
    JsonPathNodes nodes = {0};
    Value *root = NULL;
    assert_int_equal(json_parse(arena, text, strlen(text), &root, NULL, NULL), 0);
    *ret = json_path_find(arena, root, path, &nodes);
    for (size_t i = 0; *ret == 0 && i < nodes.n; i++) {
        if (i)
            buf_putc(&out, ' ');
        value_write_json(&out, nodes.items[i]);
    }
    return arena_strdup(arena, str_or(out.data, ""));
}

static void test_found(void **state) {
    static const struct {
        const char *path, *want;
    } rows[] = {
        {".spec.n", "3"},
        {".spec.none.deeper", ""},
        {".spec.list[0].k", "\"a\""},
        {".spec.list[-1].k", "\"c\""},
        {".spec.names[1:]", "\"y\" \"z\""},
        {".spec.names[:2]", "\"x\" \"y\""},
        {".spec.names[0:3:2]", "\"x\" \"z\""},
        {".spec.names[-2:-1]", "\"y\""},
        {".spec.names[*]", "\"x\" \"y\" \"z\""},
        {".spec.names[0,2]", "\"x\" \"z\""},
        {".spec.list[*].v", "1 2 3.5"},
        {".spec['a.b']", "\"dotted\""},
        {".spec.a\\.b", "\"dotted\""},
        {".status.conditions[?(@.type==\"Ready\")].status", "\"True\""},
        {".status.conditions[?(@.type=='Synced')].status", "\"False\""},
        {".status.conditions[?(@.type!=\"Ready\")].type", "\"Synced\""},
        {".status.conditions[?(@.type==\"Gone\")].status", ""},
        {".spec.list[?(@.on)].k", "\"b\""},
        {".spec.list[?(@.on==true)].k", "\"b\""},
        {".status.map.*", "1 2"},
        {"..type", "\"Ready\" \"Synced\""},
        {".spec..k", "\"a\" \"b\" \"c\""},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        int r;
        char *have = found(arena, rows[i].path, &r);
        if (r < 0)
            fail_msg("%s: %d", rows[i].path, r);
        if (!streq(have, rows[i].want))
            fail_msg("%s: %s", rows[i].path, have);
    }
}

static void test_refused(void **state) {
    static const struct {
        const char *path;
        int want;
    } rows[] = {
        {".spec.names[7]", -ENOENT},         {".spec.n[0]", -ENOENT},      {".spec.names[2:1]", -ENOENT},
        {".spec.list[?(@.v>1)].k", -ENOENT}, /* 3.5 is no integer */
        {".spec.names[x]", -EINVAL},         {".spec.names[0", -EINVAL},   {"spec", -EINVAL},
        {".spec.list[?(x==1)]", -EINVAL},    {".spec.n[?(@.x)]", -ENOENT},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        int r;
        found(arena, rows[i].path, &r);
        if (r != rows[i].want)
            fail_msg("%s: %d", rows[i].path, r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_found), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
