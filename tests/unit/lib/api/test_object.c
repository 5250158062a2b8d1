#include "api/json.h"
#include "api/object.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char pod[] = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"generateName\":\"a-"
                          "\",\"namespace\":\"n\",\"uid\":\"u\","
                          "\"creationTimestamp\":\"2020-01-02T03:04:05Z\",\"deletionTimestamp\":\"2020-01-02T03:04:"
                          "05Z\",\"labels\":{\"x\":\"y\",\"z\":\"\"},"
                          "\"ownerReferences\":[{\"apiVersion\":\"apps/"
                          "v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\",\"uid\":\"ru\",\"controller\":true}],"
                          "\"finalizers\":[\"f\"]},\"spec\":{\"nodeName\":\"n1\"}}";

static void metadata(void **state _unused_) {
    _cleanup_object_ Object *object = NULL;
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n;
    assert_int_equal(object_from_json(resource_find("", "v1", "pods"), pod, strlen(pod), 42, &object), 0);
    assert_string_equal(object_name(object), "a");
    assert_string_equal(object_namespace(object), "n");
    assert_string_equal(object_uid(object), "u");
    assert_string_equal(object_label(object, "x"), "y");
    assert_string_equal(object_label(object, "z"), "");
    assert_null(object_label(object, "q"));
    assert_non_null(object_labels(object, &n));
    assert_int_equal(n, 2);
    assert_string_equal(object_controller(object)->name, "r");
    assert_non_null(object_owners(object, &n));
    assert_int_equal(n, 1);
    assert_true(object_is_deleting(object));
    assert_true(object_has_finalizers(object));
    assert_int_equal(object_created_ns(object), 1577934245000000000);
    assert_string_equal(object_field(object, "spec.nodeName"), "n1");
    assert_string_equal(object_field(object, "status.phase"), "");
    assert_string_equal(object_field(object, "spec.hostNetwork"), "false");
    assert_null(object_field(object, "spec.bogus"));
    assert_string_equal(object_key(arena, object), "n/a");
    assert_int_equal(object_revision(object), 42);
}

static void the_revision_has_its_place(void **state _unused_) {
    _cleanup_object_ Object *object = NULL, *later = NULL, *none = NULL;
    const Resource *pods = resource_find("", "v1", "pods");
    assert_int_equal(object_from_json(pods, pod, strlen(pod), 42, &object), 0);
    assert_non_null(
        strstr(object_json(object, NULL), "\"uid\":\"u\",\"resourceVersion\":\"42\",\"creationTimestamp\""));
    later = object_with_revision(object, 43);
    object = object_unref(object);
    size_t len;
    assert_non_null(strstr(object_json(later, &len), "\"resourceVersion\":\"43\""));
    assert_null(strstr(object_json(later, NULL), "\"42\""));
    assert_int_equal(len, strlen(object_json(later, NULL)));
    assert_string_equal(object_name(later), "a");
    _cleanup_buf_ Buf stored = BUF_INIT(BUF_NO_LIMIT);
    object_stored_json(later, &stored);
    assert_string_equal(stored.data, pod);
    none = object_with_revision(later, 0);
    assert_string_equal(object_json(none, NULL), pod);
}

static void odd_shapes(void **state _unused_) {
    const Resource *nodes = resource_find("", "v1", "nodes");
    static const char *const rows[][2] = {
        {"{\"metadata\":{}}", "{\"metadata\":{\"resourceVersion\":\"7\"}}"},
        {"{\"metadata\":{\"labels\":{}}}", "{\"metadata\":{\"resourceVersion\":\"7\",\"labels\":{}}}"},
        {"{\"metadata\":{\"name\":\"x\"}}", "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}"},
        {"{}", "{}"},
        {"{\"metadata\":null}", "{\"metadata\":null}"},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_object_ Object *object = NULL;
        assert_int_equal(object_from_json(nodes, rows[i][0], strlen(rows[i][0]), 7, &object), 0);
        assert_string_equal(object_json(object, NULL), rows[i][1]);
    }
    Object *bad = NULL;
    assert_int_equal(object_from_json(nodes, "{", 1, 7, &bad), -EBADMSG);
    assert_int_equal(object_from_json(nodes, "[]", 2, 7, &bad), -EBADMSG);
}

static void from_values(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v;
    assert_int_equal(json_parse(arena, pod, strlen(pod), &v, NULL, NULL), 0);
    value_set_str(arena, value_get(v, "metadata"), "resourceVersion", "5"); /* ignored */
    _cleanup_object_ Object *object = object_from_value(resource_find("", "v1", "pods"), v);
    assert_string_equal(object_json(object, NULL), pod);
    assert_int_equal(object_revision(object), 0);
    Value *back = object_value(object, arena);
    value_remove(value_get(v, "metadata"), "resourceVersion");
    assert_true(value_equal(v, back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata),
        cmocka_unit_test(the_revision_has_its_place),
        cmocka_unit_test(odd_shapes),
        cmocka_unit_test(from_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
