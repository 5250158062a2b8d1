/* What the reference's decoder and encoder made of damaged objects, recorded by hack/update-api --golden. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/codec.h"
#include "api/json.h"
#include "base/fs.h"
#include "base/str.h"
#include "../../support/golden.h"

static const Schema *schema_of_api(const Value *object) {
    const char *api_version = value_get_str(object, "apiVersion"), *kind = value_get_str(object, "kind");
    const char *slash = strchr(api_version, '/');
    char group[128] = "";
    if (slash)
        snprintf(group, sizeof(group), "%.*s", (int)(slash - api_version), api_version);
    const Resource *resource = resource_find_kind(group, slash ? slash + 1 : api_version, kind);
    if (resource)
        return resource->schema;
    static const char *const others[][2] = {
        {"PodList", "io.k8s.api.core.v1.PodList"},
        {"SecretList", "io.k8s.api.core.v1.SecretList"},
        {"Status", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"},
        {"DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"},
        {"Scale", "io.k8s.api.autoscaling.v1.Scale"},
        {"Eviction", "io.k8s.api.policy.v1.Eviction"},
        {"TokenRequest", "io.k8s.api.authentication.v1.TokenRequest"},
    };
    for (size_t i = 0; i < ELEMENTSOF(others); i++)
        if (streq(others[i][0], kind))
            return schema_by_name(others[i][1]);
    fail_msg("no schema for %s %s", api_version, kind);
    return NULL;
}

static Value *parse(Arena *arena, const char *text, size_t n) {
    Value *v;
    char *message = NULL;
    if (json_parse(arena, text, n, &v, NULL, &message) < 0)
        fail_msg("%s", message);
    return v;
}

static Value *replace(Arena *arena, Value *v, const Value *path, size_t at, Value *with) {
    if (at == path->len)
        return with;
    const Value *key = path->items[at];
    if (key->type == VALUE_STRING && value_is(v, VALUE_OBJECT)) {
        Value *inner = value_get(v, key->string);
        value_set(arena, v, key->string, replace(arena, inner ? inner : value_null(arena), path, at + 1, with));
    } else if (key->type == VALUE_INT)
        v->items[key->integer] = replace(arena, v->items[key->integer], path, at + 1, with);
    return v;
}

static uint64_t fnv1a(const char *p, size_t n) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    return h;
}

static bool strict_as_recorded(const Value *strict, const UnknownFields *unknown) {
    if (value_len(strict) != unknown->n)
        return false;
    for (size_t i = 0; i < unknown->n; i++)
        if (!streq(unknown->messages[i], strict->items[i]->string))
            return false;
    return true;
}

/* Is the object, once damaged, treated as recorded? Prints what differs. */
typedef int (*Normalizer)(Arena *, const Schema *, Value *, UnknownFields *, ApiError *);

static bool check_case(const Value *c, const Value *recorded, Normalizer normalize) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n;
    char *text = golden_read(arena, arena_printf(arena, "protobuf/%s.json", value_get_str(c, "object")), &n);
    Value *object = parse(arena, text, n);
    const Schema *schema = schema_of_api(object);
    Value *with = value_copy(arena, value_get(c, "value"));
    object = replace(arena, object, value_get(c, "path"), 0, with);
    UnknownFields unknown = {0};
    _cleanup_api_error_ ApiError err = {0};
    int r = normalize(arena, schema, object, &unknown, &err);
    _cleanup_buf_ Buf out = BUF_INIT(1 << 20), path = BUF_INIT(4096);
    value_write_json(&path, value_get(c, "path"));
    value_write_json(&path, value_get(c, "value"));
    const char *error = value_get_str(recorded, "error");
    if (error || r < 0) {
        bool same = r < 0 && error && streq(error, err.message);
        if (!same)
            print_error("%s %s:\n  want %s\n  have %s\n", value_get_str(c, "object"), path.data,
                        error ? error : "no error", r < 0 ? err.message : "no error");
        return same;
    }
    value_write_json(&out, object);
    char hash[17];
    snprintf(hash, sizeof(hash), "%016lx", (unsigned long)fnv1a(out.data, out.len));
    bool same =
        streq(hash, value_get_str(recorded, "hash")) && strict_as_recorded(value_get(recorded, "strict"), &unknown);
    if (!same)
        print_error("%s %s: %s\n  %zu unknown %s\n  %s\n", value_get_str(c, "object"), path.data,
                    streq(hash, value_get_str(recorded, "hash")) ? "strictness" : "output", unknown.n,
                    unknown.n ? unknown.messages[0] : "", out.data);
    return same;
}

static void damaged_objects_are_treated_as_the_reference_does(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n, different = 0;
    char *text = golden_read(arena, "normalize.json", &n);
    const Value *cases = parse(arena, text, n), *c;
    assert_true(value_len(cases) > 1000);
    VALUE_FOREACH (c, cases)
        different += !check_case(c, c, schema_normalize);
    assert_int_equal(different, 0);
}

static void patched_objects_are_converted_as_the_reference_does(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n, different = 0;
    char *text = golden_read(arena, "normalize.json", &n);
    const Value *cases = parse(arena, text, n), *c;
    VALUE_FOREACH (c, cases)
        different += !check_case(c, value_get(c, "converted"), schema_from_unstructured);
    assert_int_equal(different, 0);
}

static void check_text(const char *name, const char *in, const char *want, const char *want_error) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = parse(arena, in, strlen(in));
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_buf_ Buf out = BUF_INIT(1 << 16);
    int r = schema_normalize(arena, schema_by_name(name), v, NULL, &err);
    if (want_error) {
        assert_int_equal(r, -EINVAL);
        assert_string_equal(err.message, want_error);
        assert_int_equal(err.code, 400);
        return;
    }
    if (r < 0)
        fail_msg("%s", err.message);
    value_write_json(&out, v);
    assert_string_equal(out.data, want);
}

static void members_are_ordered_dropped_and_added(void **state) {
    (void)state;
    check_text("io.k8s.api.core.v1.Pod",
               "{\"spec\":{\"containers\":[{\"image\":\"i\",\"name\":\"c\",\"args\":[],\"tty\":false,"
               "\"resources\":{\"limits\":{\"memory\":1073741824,\"cpu\":0.5}}}]},\"kind\":\"Pod\",\"bogus\":1}",
               "{\"kind\":\"Pod\",\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\","
               "\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"1073741824\"}}}]},\"status\":{}}",
               NULL);
    check_text(
        "io.k8s.api.apps.v1.Deployment", "{}",
        "{\"metadata\":{},\"spec\":{\"selector\":null,\"template\":{\"metadata\":{},\"spec\":{\"containers\":null}},"
        "\"strategy\":{}},\"status\":{}}",
        NULL);
    check_text("io.k8s.api.core.v1.ServicePort", "{\"port\":1,\"name\":null}", "{\"port\":1,\"targetPort\":0}", NULL);
    check_text("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
               "{\"creationTimestamp\":\"0001-01-01T00:00:00Z\",\"labels\":{\"b\":\"\",\"a\":null}}",
               "{\"labels\":{\"a\":\"\",\"b\":\"\"}}", NULL);
}

static void errors_name_the_place(void **state) {
    (void)state;
    check_text("io.k8s.api.core.v1.Pod", "[]", NULL, "json: cannot unmarshal array into Go value of type v1.Pod");
    check_text("io.k8s.api.core.v1.Pod", "{\"spec\":{\"volumes\":[{\"name\":\"x\",\"hostPath\":3}]}}", NULL,
               "json: cannot unmarshal number into Go struct field Volume.spec.volumes.VolumeSource.hostPath of type "
               "v1.HostPathVolumeSource");
    check_text("io.k8s.api.core.v1.Secret", "{\"data\":{\"a\":\"QUJ\"}}", NULL, "illegal base64 data at input byte 0");
    check_text("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "{\"creationTimestamp\":\"yesterday\"}", NULL,
               "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"");
    /* A quantity's own refusal ends decoding, and so wins over an earlier wrong type. */
    check_text("io.k8s.api.core.v1.ResourceQuota", "{\"metadata\":{\"name\":1},\"spec\":{\"hard\":{\"cpu\":\"x\"}}}",
               NULL, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

static void custom_schemas_prune_and_sort(void **state) {
    (void)state;
    static const Schema text = {.type = SCHEMA_STRING}, number = {.type = SCHEMA_INT64};
    static const SchemaField spec_fields[] = {{.name = "size", .schema = &number}, {.name = "name", .schema = &text}};
    static const uint16_t by_name[] = {1, 0};
    static const Schema spec = {.type = SCHEMA_STRUCT, .fields = spec_fields, .by_name = by_name, .n_fields = 2};
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *in = "{\"size\":\"wrong\",\"name\":null,\"other\":{}}";
    Value *v = parse(arena, in, strlen(in));
    UnknownFields unknown = {0};
    assert_int_equal(schema_normalize(arena, &spec, v, &unknown, NULL), 0);
    _cleanup_buf_ Buf out = BUF_INIT(4096);
    value_write_json(&out, v);
    assert_string_equal(out.data, "{\"name\":null,\"size\":\"wrong\"}");
    assert_int_equal(unknown.n, 1);
    assert_string_equal(unknown.messages[0], "unknown field \"other\"");
}

static void storage_makes_empty_lists_null(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *role = schema_by_name("io.k8s.api.rbac.v1.Role");
    Value *v = parse(arena, "{\"rules\":[]}", 12);
    assert_int_equal(schema_normalize(arena, role, v, NULL, NULL), 0);
    _cleanup_buf_ Buf before = BUF_INIT(4096), after = BUF_INIT(4096);
    value_write_json(&before, v);
    assert_string_equal(before.data, "{\"metadata\":{},\"rules\":[]}");
    schema_as_stored(role, v);
    value_write_json(&after, v);
    assert_string_equal(after.data, "{\"metadata\":{},\"rules\":null}");
}

static void markers_become_defaults(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *container = schema_by_name("io.k8s.api.core.v1.Container");
    const char *in =
        "{\"name\":\"c\",\"ports\":[{\"name\":\"p\",\"containerPort\":1,\"hostIP\":\"::\"},"
        "{\"containerPort\":2,\"protocol\":\"UDP\"}],\"livenessProbe\":{\"grpc\":{\"port\":1,\"service\":null}}}";
    Value *v = parse(arena, in, strlen(in));
    schema_default(arena, container, v);
    _cleanup_buf_ Buf out = BUF_INIT(4096);
    value_write_json(&out, v);
    assert_string_equal(
        out.data,
        "{\"name\":\"c\",\"ports\":[{\"name\":\"p\",\"containerPort\":1,\"protocol\":\"TCP\",\"hostIP\":\"::\"},"
        "{\"containerPort\":2,\"protocol\":\"UDP\"}],\"livenessProbe\":{\"grpc\":{\"port\":1,\"service\":\"\"}}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_ordered_dropped_and_added),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(custom_schemas_prune_and_sort),
        cmocka_unit_test(storage_makes_empty_lists_null),
        cmocka_unit_test(markers_become_defaults),
        cmocka_unit_test(damaged_objects_are_treated_as_the_reference_does),
        cmocka_unit_test(patched_objects_are_converted_as_the_reference_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
