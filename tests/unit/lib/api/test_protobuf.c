/* Byte for byte what the reference's codecs write (tests/golden/api/protobuf, recorded by hack/update-api --golden). */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/codec.h"
#include "api/json.h"
#include "api/protobuf.h"
#include "base/str.h"
#include "../../support/golden.h"

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/api/protobuf"

static const Schema *schema_of(Arena *arena, const char *api_version, const char *kind) {
    const char *slash = strchr(api_version, '/');
    const char *group = slash ? arena_strndup(arena, api_version, (size_t)(slash - api_version)) : "";
    const Resource *resource = resource_find_kind(group, slash ? slash + 1 : api_version, kind);
    static const char *const packages[] = {"api.core.v1", "apimachinery.pkg.apis.meta.v1", "api.autoscaling.v1",
                                           "api.policy.v1", "api.authentication.v1"};
    const Schema *schema = resource ? resource->schema : NULL;
    for (size_t i = 0; i < ELEMENTSOF(packages) && !schema; i++)
        schema = schema_by_name(arena_printf(arena, "io.k8s.%s.%s", packages[i], kind));
    assert_non_null(schema);
    return schema;
}

static void check_pair(const char *stem) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t json_len, pb_len, raw_len;
    char *json = golden_read(arena, arena_printf(arena, "protobuf/%s.json", stem), &json_len);
    char *pb = golden_read(arena, arena_printf(arena, "protobuf/%s.pb", stem), &pb_len);
    const char *api_version, *kind;
    const void *raw;
    Value *v, *decoded;
    assert_int_equal(json_parse(arena, json, json_len, &v, NULL, NULL), 0);
    assert_int_equal(protobuf_decode(arena, pb, pb_len, &api_version, &kind, &raw, &raw_len), 0);
    assert_string_equal(api_version, value_get_str(v, "apiVersion"));
    assert_string_equal(kind, value_get_str(v, "kind"));
    const Schema *schema = schema_of(arena, api_version, kind);

    if (protobuf_decode_message(arena, schema, raw, raw_len, &decoded) != 0)
        fail_msg("%s does not decode", stem);
    value_set_str(arena, decoded, "kind", kind);
    value_set_str(arena, decoded, "apiVersion", api_version);
    assert_int_equal(schema_normalize(arena, schema, decoded, NULL, NULL), 0);
    _cleanup_buf_ Buf text = BUF_INIT(1 << 20), bytes = BUF_INIT(1 << 20);
    value_write_json(&text, decoded);
    if (!streq(text.data, json))
        fail_msg("%s decodes to\n%s\nand not\n%s", stem, text.data, json);

    assert_int_equal(schema_normalize(arena, schema, v, NULL, NULL), 0);
    assert_int_equal(protobuf_encode(&bytes, schema, v, api_version, kind), 0);
    if (bytes.len != pb_len || memcmp(bytes.data, pb, pb_len) != 0) {
        size_t i = 0;
        while (i < bytes.len && i < pb_len && bytes.data[i] == pb[i])
            i++;
        fail_msg("%s: %zu bytes and not %zu, different from byte %zu on (...%.40s)", stem, bytes.len, pb_len, i,
                 pb + (i > 40 ? i - 40 : 0));
    }

    /* and straight from the text, without a tree, unless one struct embeds another that embeds a third */
    _cleanup_buf_ Buf direct = BUF_INIT(1 << 20);
    int r = protobuf_transcode_message(&direct, arena, schema, text.data, text.len);
    if (r == -EOPNOTSUPP && str_has_suffix(stem, ".admissionregistration.k8s.io"))
        return;
    if (r != 0)
        fail_msg("%s takes a tree", stem);
    if (direct.len != raw_len || memcmp(direct.data, raw, raw_len) != 0)
        fail_msg("%s is other bytes without a tree", stem);
}

/* The list's pieces are the list. */
static void a_list_in_parts_is_the_list(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0), *scratch = arena_new(0);
    const Schema *schema = schema_by_name("io.k8s.api.core.v1.ConfigMapList"),
                 *item = schema_by_name("io.k8s.api.core.v1.ConfigMap");
    static const char *const items[] = {"{\"metadata\":{\"name\":\"a\"},\"data\":{\"x\":\"<\"}}", "{\"metadata\":{}}"};
    const char *text = arena_printf(
        arena, "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"c\"},\"items\":[%s,%s]}", items[0], items[1]);
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    _cleanup_buf_ Buf whole = BUF_INIT(4096), parts = BUF_INIT(4096), one = BUF_INIT(4096);
    assert_int_equal(protobuf_encode(&whole, schema, v, "v1", "ConfigMapList"), 0);
    size_t len[2], total = 0;
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&one);
        assert_int_equal(protobuf_message_of_stored(&one, scratch, item, items[i], strlen(items[i])), 0);
        len[i] = one.len;
        total += protobuf_list_item_len(schema, len[i]);
    }
    value_remove(v, "items");
    assert_int_equal(protobuf_list_head(&parts, schema, v, total, "v1", "ConfigMapList"), 0);
    for (size_t i = 0; i < 2; i++) {
        protobuf_list_item(&parts, schema, len[i]);
        assert_int_equal(protobuf_message_of_stored(&parts, scratch, item, items[i], strlen(items[i])), 0);
    }
    protobuf_list_tail(&parts);
    assert_int_equal(parts.len, whole.len);
    assert_memory_equal(parts.data, whole.data, whole.len);
    assert_int_equal(protobuf_list_head(&parts, item, v, 0, "v1", "ConfigMap"), -EOPNOTSUPP);
}

typedef enum Change { REMOVE, MAKE_NULL, MAKE_ODD_TEXT, REVERSE, CHANGES } Change;

/* Changes the n-th object or member met; what is left of n is returned. */
static size_t change(Arena *arena, Value *v, size_t n, Change what) {
    if (value_is(v, VALUE_ARRAY))
        for (size_t i = 0; i < v->len && n; i++)
            n = change(arena, v->items[i], n, what);
    if (!value_is(v, VALUE_OBJECT))
        return n;
    if (what == REVERSE && --n == 0) {
        for (size_t i = 0, j = v->len; i + 1 < j; i++) {
            Member first = v->members[i];
            v->members[i] = v->members[--j];
            v->members[j] = first;
        }
        return 0;
    }
    for (size_t i = 0; i < v->len && n; i++) {
        Value *member = v->members[i].value;
        if (what != REVERSE && --n == 0) {
            if (what == REMOVE)
                value_remove(v, v->members[i].name);
            else if (what == MAKE_NULL)
                v->members[i].value = value_null(arena);
            else if (member->type == VALUE_STRING)
                v->members[i].value = value_string(arena, "<\"a\\b\n\xc3\xa9>");
            return 0;
        }
        n = change(arena, member, n, what);
    }
    return n;
}

/* Whatever becomes of a document, the text and the tree give the same bytes, or neither gives any. */
static void check_changed(Arena *keep, const char *stem) {
    size_t len;
    char *json = golden_read(keep, arena_printf(keep, "protobuf/%s.json", stem), &len);
    for (Change what = REMOVE; what < CHANGES; what++)
        for (size_t n = 1;; n++) {
            _cleanup_arena_ Arena *arena = arena_new(0);
            Value *v;
            assert_int_equal(json_parse(arena, json, len, &v, NULL, NULL), 0);
            const char *api_version = arena_strdup(arena, value_get_str(v, "apiVersion")),
                       *kind = arena_strdup(arena, value_get_str(v, "kind"));
            const Schema *schema = schema_of(arena, api_version, kind);
            if (change(arena, v, n, what) > 0)
                break;
            _cleanup_buf_ Buf text = BUF_INIT(1 << 20), tree = BUF_INIT(1 << 20), direct = BUF_INIT(1 << 20);
            value_write_json(&text, v);
            int r = protobuf_encode(&tree, schema, v, api_version, kind);
            assert_int_equal(protobuf_encode_stored(&direct, schema, text.data, text.len, api_version, kind, NULL), r);
            if (direct.len != tree.len || memcmp(str_or(direct.data, ""), str_or(tree.data, ""), tree.len) != 0)
                fail_msg("%s, changed in way %d at %zu, is other bytes without a tree", stem, what, n);
        }
}

static void text_and_tree_agree(void **state) {
    (void)state;
    static const char *const stems[] = {"Deployment.v1.apps", "Pod.v1.", "Node.v1.", "Secret.v1.",
                                        "CustomResourceDefinition.v1.apiextensions.k8s.io"};
    _cleanup_arena_ Arena *keep = arena_new(0);
    for (size_t i = 0; i < ELEMENTSOF(stems); i++)
        check_changed(keep, stems[i]);
}

/* Strings and JSON within are looked through many bytes at a time: wherever quotes, escapes and brackets stand. */
static void text_of_any_length_is_the_tree(void **state) {
    (void)state;
    const Schema *schema = schema_by_name("io.k8s.api.apps.v1.ControllerRevision");
    for (int n = 0; n < 300; n++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        size_t message_len;
        Value *v;
        char *json = arena_printf(
            arena,
            "{\"metadata\":{\"name\":\"%1$.*2$s\",\"namespace\":\"%1$.*2$s\\\"\",\"creationTimestamp\":null},"
            "\"data\":{\"%1$.*2$s\\\"}]\\\\\":[{},\"\\\\\",\"{[\\\\\\\"%1$.*2$s\"],\"y\":\"\\\"%1$.*2$s}\"},"
            "\"revision\":7}",
            (char *)memset(arena_alloc(arena, 300), 'x', 300), n);
        assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
        _cleanup_buf_ Buf tree = BUF_INIT(1 << 20), direct = BUF_INIT(1 << 20);
        assert_int_equal(protobuf_encode(&tree, schema, v, "apps/v1", "ControllerRevision"), 0);
        assert_int_equal(
            protobuf_encode_stored(&direct, schema, json, strlen(json), "apps/v1", "ControllerRevision", &message_len),
            0);
        assert_int_equal(direct.len, tree.len);
        assert_memory_equal(direct.data, tree.data, tree.len);
        buf_clear(&direct);
        assert_int_equal(protobuf_transcode_message(&direct, arena, schema, json, strlen(json)), 0); /* without one */
        assert_int_equal(direct.len, message_len);
        for (size_t cut = 1; cut < strlen(json); cut += 7) { /* what ends early is refused */
            char *part = arena_strndup(arena, json, strlen(json) - cut);
            assert_int_equal(protobuf_transcode_message(&direct, arena, schema, part, strlen(part)), -EOPNOTSUPP);
        }
    }
}

static void text_has_limits(void **state) {
    (void)state;
    _cleanup_arena_ Arena *scratch = arena_new(0);
    const Schema *pod = schema_by_name("io.k8s.api.core.v1.Pod");
    static const char *const odd[] = {"",
                                      "{",
                                      "[]",
                                      "{}x",
                                      "{\"metadata\":{\"name\":\"a\"}",
                                      "{\"metadata\":{\"name\":\"a}}",
                                      "{\"metadata\":{\"name\":5}}",
                                      "{\"metadata\":{\"generation\":1.5}}",
                                      "{\"metadata\":{\"generation\":99999999999999999999}}",
                                      "{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}",
                                      "{\"spec\":{\"containers\":[{]}}",
                                      "{ \"metadata\":{}}"};
    for (size_t i = 0; i < ELEMENTSOF(odd); i++) {
        _cleanup_buf_ Buf out = BUF_INIT(4096);
        buf_puts(&out, "kept");
        assert_int_equal(protobuf_transcode_message(&out, scratch, pod, odd[i], strlen(odd[i])), -EOPNOTSUPP);
        assert_string_equal(out.data, "kept");
    }
    _cleanup_buf_ Buf small = BUF_INIT(16);
    const char *text = "{\"metadata\":{\"name\":\"abcdefghijklmnopq\"}}";
    assert_int_equal(protobuf_encode_stored(&small, pod, text, strlen(text), "v1", "Pod", NULL), -EFBIG);
}

static void every_kind_is_coded_as_the_reference_does(void **state) {
    (void)state;
    DIR *dir = opendir(GOLDEN);
    assert_non_null(dir);
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        if (str_has_suffix(e->d_name, ".pb")) {
            char stem[256];
            snprintf(stem, sizeof(stem), "%.*s", (int)strlen(e->d_name) - 3, e->d_name);
            check_pair(stem);
            n++;
        }
    closedir(dir);
    assert_true(n >= 70);
}

/* Any cut and any flipped byte gives a tree or an error, and never reads outside. */
static void damaged_bytes_are_refused_or_read(void **state) {
    (void)state;
    _cleanup_arena_ Arena *keep = arena_new(0), *arena = arena_new(8 << 20);
    size_t n, raw_len;
    const char *pb = golden_read(keep, "protobuf/Deployment.v1.apps.pb", &n);
    const Schema *schema = schema_by_name("io.k8s.api.apps.v1.Deployment");
    size_t decoded = 0;
    for (size_t i = 0; i < 2 * n; i++) {
        arena_reset(arena);
        size_t len = i < n ? i : n;
        _cleanup_free_ char *copy = xmemdup(pb, len);
        if (i >= n)
            copy[i - n] = (char)(copy[i - n] ^ (1 << (i % 8)));
        const char *api_version, *kind;
        const void *raw;
        Value *v;
        if (protobuf_decode(arena, copy, len, &api_version, &kind, &raw, &raw_len) == 0)
            decoded += protobuf_decode_message(arena, schema, raw, raw_len, &v) == 0;
    }
    assert_true(decoded > 0);
}

static int decode(Arena *arena, const char *name, const char *bytes, size_t n, Value **ret) {
    return protobuf_decode_message(arena, schema_by_name(name), bytes, n, ret);
}

static void check_decode(const char *name, const char *bytes, size_t n, const char *want) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v;
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    int r = decode(arena, name, bytes, n, &v);
    if (!want) {
        assert_int_equal(r, -EBADMSG);
        return;
    }
    assert_int_equal(r, 0);
    value_write_json(&out, v);
    assert_string_equal(out.data, want);
}
#define CHECK_DECODE(name, bytes, want) check_decode(name, bytes, sizeof(bytes) - 1, want)

static void odd_but_lawful_encodings_are_read(void **state) {
    (void)state;
    const char *meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", *map = "io.k8s.api.core.v1.ConfigMap";
    CHECK_DECODE(meta, "", "{}");
    CHECK_DECODE(meta,
                 "\x0a\x01"
                 "a"
                 "\x0a\x01"
                 "b",
                 "{\"name\":\"b\"}"); /* the last wins */
    CHECK_DECODE(meta,
                 "\xa3\x06\x08\x01\xa4\x06\x0a\x01"
                 "a",
                 "{\"name\":\"a\"}"); /* an unknown group */
    CHECK_DECODE(meta,
                 "\xa2\x06\x01x\xa8\x06\x05\x0a\x01"
                 "a",
                 "{\"name\":\"a\"}"); /* unknown fields */
    CHECK_DECODE(map,
                 "\x12\x06\x0a\x01"
                 "b\x12\x01"
                 "1\x12\x06\x0a\x01"
                 "a\x12\x01"
                 "2\x12\x06\x0a\x01"
                 "b\x12\x01"
                 "3",
                 "{\"metadata\":{},\"data\":{\"a\":\"2\",\"b\":\"3\"}}");
    /* supplementalGroups of a PodSecurityContext, packed */
    CHECK_DECODE("io.k8s.api.core.v1.PodSecurityContext", "\x22\x03\x01\xac\x02", "{\"supplementalGroups\":[1,300]}");
    /* an embedded object that is itself in the envelope */
    CHECK_DECODE(
        "io.k8s.api.apps.v1.ControllerRevision",
        "\x12\x2c\x0a\x2a"
        "k8s\0\x0a\x0f\x0a\x02v1\x12\x09"
        "ConfigMap\x12\x11\x0a\x03\x0a\x01"
        "a\x12\x0a\x0a\x01x\x12\x05"
        "value\x1a\x00",
        "{\"metadata\":{},\"data\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"},"
        "\"data\":{\"x\":\"value\"}},\"revision\":0}");
}

static void unlawful_encodings_are_refused(void **state) {
    (void)state;
    const char *meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    CHECK_DECODE(meta,
                 "\x0a\x05"
                 "a",
                 NULL);                                                               /* longer than what is there */
    CHECK_DECODE(meta, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", NULL);         /* a length of 2^64 - 1 */
    CHECK_DECODE(meta, "\x08\x01", NULL);                                             /* a number where text belongs */
    CHECK_DECODE(meta, "\x0f\x01", NULL);                                             /* wire type 7 */
    CHECK_DECODE(meta, "\x02\x00", NULL);                                             /* field 0 */
    CHECK_DECODE(meta, "\x0c", NULL);                                                 /* the end of no group */
    CHECK_DECODE(meta, "\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10", NULL); /* a time past the year 9999 */
    CHECK_DECODE("io.k8s.api.core.v1.ResourceQuotaSpec",
                 "\x0a\x08\x0a\x01"
                 "c\x12\x03\x0a\x01"
                 "x",
                 NULL);                                                               /* no quantity */
    CHECK_DECODE("io.k8s.api.apps.v1.ControllerRevision", "\x12\x03\x0a\x01{", NULL); /* no JSON */
}

static void memory_and_depth_are_bounded(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(64 << 10);
    _cleanup_buf_ Buf many = BUF_INIT(1 << 20);
    for (int i = 0; i < 50000; i++)
        buf_append(&many, "\x72\x00", 2); /* finalizers: 50,000 empty texts, at some 50 bytes a value */
    Value *v;
    assert_int_equal(decode(arena, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", many.data, many.len, &v),
                     -ENOMEM);

    /* JSONSchemaProps.not (number 28) within itself */
    _cleanup_buf_ Buf deep = BUF_INIT(1 << 20);
    for (int i = 0; i < 300; i++) {
        _cleanup_buf_ Buf outer = BUF_INIT(1 << 20);
        buf_append(&outer, "\xe2\x01", 2);
        size_t n = deep.len;
        for (; n > 0x7f; n >>= 7)
            buf_putc(&outer, (char)((n & 0x7f) | 0x80));
        buf_putc(&outer, (char)n);
        buf_append(&outer, deep.data, deep.len);
        buf_clear(&deep);
        buf_append(&deep, outer.data, outer.len);
    }
    arena_reset(arena);
    assert_int_equal(decode(arena, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
                            deep.data, deep.len, &v),
                     -EBADMSG);
}

static void what_does_not_fit_is_an_error(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *pod = schema_by_name("io.k8s.api.core.v1.Pod");
    Value *v;
    const char *text = "{\"metadata\":{\"name\":\"abcdefgh\"}}";
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    _cleanup_buf_ Buf small = BUF_INIT(16), out = BUF_INIT(4096);
    assert_int_equal(protobuf_encode(&small, pod, v, "v1", "Pod"), -EFBIG);
    value_set_int(arena, value_get(v, "metadata"), "name", 5);
    buf_puts(&out, "kept");
    assert_int_equal(protobuf_encode(&out, pod, v, "v1", "Pod"), -EINVAL);
    assert_string_equal(out.data, "kept");
}

static const Value *next_of(void *userdata) {
    const Value *const **at = userdata;
    return **at ? *(*at)++ : NULL;
}

static const char *next_json_of(void *userdata, size_t *ret_len) {
    static char text[4096];
    const Value *v = next_of(userdata);
    _cleanup_buf_ Buf json = BUF_INIT(sizeof text - 1);
    if (!v)
        return NULL;
    value_write_json(&json, v);
    *ret_len = json.len;
    return memcpy(text, json.data, json.len + 1);
}

/* A list written item by item is the list written whole, empty ones and items with items of their own too. */
static void a_list_is_the_same_item_by_item(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *schema = schema_by_name("io.k8s.api.core.v1.ConfigMapList");
    const char *text = "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"metadata\":{\"name\":\"a\"},\"data\":"
                       "{\"items\":\"1\"}},{\"metadata\":{\"name\":\"b\"}}]}";
    for (size_t n = 0; n <= 2; n++) {
        Value *v, *items;
        assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
        items = value_get(v, "items");
        items->len = (uint32_t)n;
        const Value *list[3] = {n > 0 ? items->items[0] : NULL, n > 1 ? items->items[1] : NULL, NULL};
        const Value *const *at = list;
        _cleanup_buf_ Buf whole = BUF_INIT(4096), parts = BUF_INIT(4096);
        assert_int_equal(protobuf_encode(&whole, schema, v, "v1", "ConfigMapList"), 0);
        value_remove(v, "items");
        assert_int_equal(protobuf_encode_list(&parts, schema, v, &(ProtobufItems){.next = next_of, .userdata = &at},
                                              "v1", "ConfigMapList"),
                         0);
        assert_int_equal(parts.len, whole.len);
        assert_memory_equal(parts.data, whole.data, whole.len);
        buf_clear(&parts);
        at = list;
        assert_int_equal(protobuf_encode_list(&parts, schema, v,
                                              &(ProtobufItems){.next_json = next_json_of, .userdata = &at}, "v1",
                                              "ConfigMapList"),
                         0);
        assert_int_equal(parts.len, whole.len);
        assert_memory_equal(parts.data, whole.data, whole.len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_coded_as_the_reference_does),
        cmocka_unit_test(damaged_bytes_are_refused_or_read),
        cmocka_unit_test(odd_but_lawful_encodings_are_read),
        cmocka_unit_test(unlawful_encodings_are_refused),
        cmocka_unit_test(memory_and_depth_are_bounded),
        cmocka_unit_test(what_does_not_fit_is_an_error),
        cmocka_unit_test(a_list_is_the_same_item_by_item),
        cmocka_unit_test(a_list_in_parts_is_the_list),
        cmocka_unit_test(text_and_tree_agree),
        cmocka_unit_test(text_of_any_length_is_the_tree),
        cmocka_unit_test(text_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
