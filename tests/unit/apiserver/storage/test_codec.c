/* Values as kube-apiserver writes them to etcd: byte for byte where the reference's own bytes are at hand
 * (tests/golden/api/protobuf), and what it stores in another version than it serves. */
#include "apiserver/storage/codec.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/api/protobuf/"

static const Resource *row_of(const char *group, const char *plural) {
    const Resource *row = resource_find(group, "v1", plural);
    assert_non_null(row);
    return row->storage;
}

static Object *decode(const Resource *row, const void *value, size_t n) {
    Object *object = NULL;
    assert_int_equal(stored_decode(STORE_KUBERNETES, row, NULL, value, n, 7, &object), 0);
    assert_int_equal(object_revision(object), 7);
    return object;
}

/* What the reference wrote becomes an object, and that becomes the same bytes but for the resourceVersion, which the
 * golden objects have and stored ones have not. */
static void reads_and_writes_the_references_bytes(void **state) {
    (void)state;
    static const struct {
        const char *group, *plural, *file;
    } cases[] = {
        {"", "pods", "Pod.v1..pb"},
        {"", "nodes", "Node.v1..pb"},
        {"", "secrets", "Secret.v1..pb"},
        {"", "events", "Event.v1..pb"},
        {"apps", "statefulsets", "StatefulSet.v1.apps.pb"},
        {"batch", "cronjobs", "CronJob.v1.batch.pb"},
        {"networking.k8s.io", "ingresses", "Ingress.v1.networking.k8s.io.pb"},
        {"coordination.k8s.io", "leases", "Lease.v1.coordination.k8s.io.pb"},
        {"rbac.authorization.k8s.io", "roles", "Role.v1.rbac.authorization.k8s.io.pb"},
        {"resource.k8s.io", "resourceclaims", "ResourceClaim.v1.resource.k8s.io.pb"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        const Resource *row = row_of(cases[i].group, cases[i].plural);
        _cleanup_free_ char *path = xasprintf(GOLDEN "%s", cases[i].file), *golden = NULL;
        _cleanup_buf_ Buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
        size_t n;
        assert_int_equal(fs_read_file(path, 1 << 20, &golden, &n), 0);
        _cleanup_object_ Object *object = decode(row, golden, n);
        assert_int_equal(stored_encode(STORE_KUBERNETES, object, &once), 0);
        assert_memory_equal(once.data, golden, 4);
        assert_in_range(n - once.len, 1, 8); /* the resourceVersion, and at most a byte of a length or two */
        _cleanup_object_ Object *again = decode(row, once.data, once.len);
        assert_string_equal(object_json(again, NULL), object_json(object, NULL));
        assert_int_equal(stored_encode(STORE_KUBERNETES, again, &twice), 0);
        assert_int_equal(twice.len, once.len);
        assert_memory_equal(twice.data, once.data, once.len);
    }
}

static void writes_the_references_version(void **state) {
    (void)state;
    static const struct {
        const char *group, *plural, *kind, *begins;
    } cases[] = {
        {"autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler",
         "k8s%\n)\n\x0e"
         "autoscaling/v2"},
        {"admissionregistration.k8s.io", "mutatingadmissionpolicies", "MutatingAdmissionPolicy",
         "k8s%\n?\n$admissionregistration.k8s.io/v1beta1"},
        {"apiregistration.k8s.io", "apiservices", "APIService", "{\"kind\":\"APIService\""},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        const Resource *row = row_of(cases[i].group, cases[i].plural);
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_free_ char *json = xasprintf("{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"name\":\"x\"}}",
                                              cases[i].kind, resource_api_version(arena, row));
        _cleanup_object_ Object *object = decode(row, json, strlen(json));
        _cleanup_buf_ Buf bytes = BUF_INIT(1 << 20);
        assert_int_equal(stored_encode(STORE_KUBERNETES, object, &bytes), 0);
        for (size_t j = 0; cases[i].begins[j]; j++) /* '%' stands for NUL */
            assert_int_equal(bytes.data[j], cases[i].begins[j] == '%' ? 0 : cases[i].begins[j]);
        _cleanup_object_ Object *again = decode(row, bytes.data, bytes.len);
        assert_string_equal(object_json(again, NULL), object_json(object, NULL));
    }
}

/* As kube-apiserver v1.36 stores definitions. */
static void reads_definitions_of_v1beta1(void **state) {
    (void)state;
    static const char old[] =
        "{\"kind\":\"CustomResourceDefinition\",\"apiVersion\":\"apiextensions.k8s.io/v1beta1\",\"metadata\":{\"name\":"
        "\"things.example.com\"},\"spec\":{\"group\":\"example.com\",\"version\":\"v1\",\"names\":{\"plural\":"
        "\"things\","
        "\"singular\":\"thing\",\"kind\":\"Thing\",\"listKind\":\"ThingList\"},\"scope\":\"Namespaced\",\"validation\":"
        "{"
        "\"openAPIV3Schema\":{\"type\":\"object\"}},\"subresources\":{\"status\":{}},\"versions\":[{\"name\":\"v1\","
        "\"served\":true,\"storage\":true},{\"name\":\"v2\",\"served\":false,\"storage\":false}],"
        "\"additionalPrinterColumns\":[{\"name\":\"Size\",\"type\":\"integer\",\"JSONPath\":\".spec.size\"}],"
        "\"conversion\":{\"strategy\":\"Webhook\",\"webhookClientConfig\":{\"url\":\"https://x\"},"
        "\"conversionReviewVersions\":[\"v1\"]},\"preserveUnknownFields\":false}}\n";
    _cleanup_object_ Object *object =
        decode(row_of("apiextensions.k8s.io", "customresourcedefinitions"), old, sizeof old - 1);
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *v = object_value(object, arena), *spec = value_get(v, "spec"), *version;
    assert_string_equal(value_get_str(v, "apiVersion"), "apiextensions.k8s.io/v1");
    assert_null(value_get(spec, "validation"));
    assert_null(value_get(spec, "version"));
    assert_int_equal(value_len(value_get(spec, "versions")), 2);
    VALUE_FOREACH (version, value_get(spec, "versions")) {
        assert_string_equal(value_get_str(value_path(version, "schema", "openAPIV3Schema", NULL), "type"), "object");
        assert_non_null(value_path(version, "subresources", "status", NULL));
        assert_string_equal(value_get_str(value_at(value_get(version, "additionalPrinterColumns"), 0), "jsonPath"),
                            ".spec.size");
    }
    assert_string_equal(value_get_str(value_path(spec, "conversion", "webhook", "clientConfig", NULL), "url"),
                        "https://x");
}

static void refuses_what_is_no_such_object(void **state) {
    (void)state;
    static const struct {
        const char *value;
        size_t n;
    } cases[] = {
        {"", 0},
        {"k8s", 4},
        {"k8s\0\x0a\x7f", 6},
        {"[]", 2},
        {"{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"}}", 58},
        {"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v2\",\"metadata\":{\"name\":\"x\"}}", 61},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        Object *object = NULL;
        assert_int_equal(
            stored_decode(STORE_KUBERNETES, row_of("", "configmaps"), NULL, cases[i].value, cases[i].n, 1, &object),
            -EBADMSG);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_references_bytes),
        cmocka_unit_test(writes_the_references_version),
        cmocka_unit_test(reads_definitions_of_v1beta1),
        cmocka_unit_test(refuses_what_is_no_such_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
