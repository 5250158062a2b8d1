/* What kube-apiserver v1.36.3 makes of a HorizontalPodAutoscaler of one version in the other, before defaults. */
#include "api/json.h"
#include "api/resource.h"
#include "apiserver/registry/convert.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ANNOTATION(name) "autoscaling.alpha.kubernetes.io/" name

/* `body` (spec, status, metadata) of `version` in the other version. */
static Value *converted(Arena *arena, const char *version, const char *body) {
    const char *other = streq(version, "v1") ? "v2" : "v1";
    const Resource *from = resource_find("autoscaling", version, "horizontalpodautoscalers"),
                   *to = resource_find("autoscaling", other, "horizontalpodautoscalers");
    char *text = arena_printf(arena, "{\"apiVersion\":\"autoscaling/%s\",\"kind\":\"HorizontalPodAutoscaler\",%s}",
                              version, body);
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    assert_int_equal(schema_normalize(arena, from->schema, v, NULL, NULL), 0);
    return convert_object(arena, from, to, v);
}

static void assert_json(const Value *v, const char *expected) {
    _cleanup_buf_ Buf json = BUF_INIT(BUF_NO_LIMIT);
    if (v)
        value_write_json(&json, v);
    assert_string_equal(v ? json.data : "nothing", expected);
}

static const struct {
    const char *v2, *v1;
} metrics[] = {
    {"{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{\"type\":\"AverageValue\",\"averageValue\":"
     "\"1500m\"}}}",
     "{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"targetAverageValue\":\"1500m\"}}"},
    {"{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{\"type\":\"Utilization\","
     "\"averageUtilization\":7}}}",
     "{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"targetAverageUtilization\":7}}"},
    {"{\"type\":\"ContainerResource\",\"containerResource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","
     "\"averageUtilization\":3},\"container\":\"c\"}}",
     "{\"type\":\"ContainerResource\",\"containerResource\":{\"name\":\"cpu\",\"targetAverageUtilization\":3,"
     "\"container\":"
     "\"c\"}}"},
    {"{\"type\":\"Pods\",\"pods\":{\"metric\":{\"name\":\"p\",\"selector\":{\"matchLabels\":{\"a\":\"2\"}}},\"target\":"
     "{\"type\":"
     "\"AverageValue\",\"averageValue\":\"1k\"}}}",
     "{\"type\":\"Pods\",\"pods\":{\"metricName\":\"p\",\"targetAverageValue\":\"1k\",\"selector\":{\"matchLabels\":{"
     "\"a\":"
     "\"2\"}}}}"},
    {"{\"type\":\"Object\",\"object\":{\"describedObject\":{\"kind\":\"Service\",\"name\":\"s\"},\"target\":{\"type\":"
     "\"Value\","
     "\"value\":\"2k\"},\"metric\":{\"name\":\"o\"}}}",
     "{\"type\":\"Object\",\"object\":{\"target\":{\"kind\":\"Service\",\"name\":\"s\"},\"metricName\":\"o\","
     "\"targetValue\":"
     "\"2k\"}}"},
    {"{\"type\":\"Object\",\"object\":{\"describedObject\":{\"kind\":\"Service\",\"name\":\"s\",\"apiVersion\":\"v1\"},"
     "\"target\":"
     "{\"type\":\"AverageValue\",\"averageValue\":\"10\"},\"metric\":{\"name\":\"o\"}}}",
     "{\"type\":\"Object\",\"object\":{\"target\":{\"kind\":\"Service\",\"name\":\"s\",\"apiVersion\":\"v1\"},"
     "\"metricName\":\"o\","
     "\"targetValue\":\"0\",\"averageValue\":\"10\"}}"},
    {"{\"type\":\"External\",\"external\":{\"metric\":{\"name\":\"e\",\"selector\":{}},\"target\":{\"type\":\"Value\","
     "\"value\":"
     "\"1e3\"}}}",
     "{\"type\":\"External\",\"external\":{\"metricName\":\"e\",\"metricSelector\":{},\"targetValue\":\"1e3\"}}"},
    {"{\"type\":\"External\",\"external\":{\"metric\":{\"name\":\"e\\u003c\"},\"target\":{\"type\":\"AverageValue\","
     "\"averageValue\":\"4\"}}}",
     "{\"type\":\"External\",\"external\":{\"metricName\":\"e\\u003c\",\"targetAverageValue\":\"4\"}}"},
};

static void test_metrics(void **state) {
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(metrics); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *v1 = converted(arena, "v2", arena_printf(arena, "\"spec\":{\"metrics\":[%s]}", metrics[i].v2));
        const char *kept = value_get_str(value_path(v1, "metadata", "annotations", NULL), ANNOTATION("metrics"));
        assert_string_equal(str_or(kept, ""), arena_printf(arena, "[%s]", metrics[i].v1));
        _cleanup_buf_ Buf quoted = BUF_INIT(BUF_NO_LIMIT);
        value_write_json(&quoted, value_string(arena, kept));
        Value *v2 = converted(
            arena, "v1",
            arena_printf(arena, "\"metadata\":{\"annotations\":{\"" ANNOTATION("metrics") "\":%s}},\"spec\":{}",
                         quoted.data));
        assert_json(value_path(v2, "spec", "metrics", NULL), arena_printf(arena, "[%s]", metrics[i].v2));
        assert_null(value_path(v2, "metadata", "annotations", NULL));
    }
}

#define CPU(share)                                                                                                     \
    "{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","                      \
    "\"averageUtilization\":" share "}}}"

/* The first share of the processors is a field of v1; others are lost, and annotations do not outlive it. */
static void test_shares(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v1 =
        converted(arena, "v2",
                  "\"metadata\":{\"annotations\":{\"" ANNOTATION(
                      "scale-up-tolerance") "\":\"1\",\"a\":\"b\"}},"
                                            "\"spec\":{\"metrics\":[" CPU("50") "," CPU(
                                                "60") "]},\"status\":{\"currentMetrics\":["
                                                      "{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\","
                                                      "\"current\":{\"averageUtilization\":12}}},"
                                                      "{\"type\":\"External\",\"external\":{\"metric\":{\"name\":\"e\"}"
                                                      ",\"current\":{\"averageValue\":\"1\"}}}]}");
    assert_int_equal(value_get_int(value_get(v1, "spec"), "targetCPUUtilizationPercentage", 0), 50);
    assert_int_equal(value_get_int(value_get(v1, "status"), "currentCPUUtilizationPercentage", 0), 12);
    assert_json(value_path(v1, "metadata", "annotations", NULL),
                "{\"a\":\"b\",\"" ANNOTATION(
                    "current-metrics") "\":\"[{\\\"type\\\":\\\"Resource\\\",\\\"resource\\\":{\\\"name"
                                       "\\\":\\\"cpu\\\",\\\"currentAverageUtilization\\\":12,"
                                       "\\\"currentAverageValue\\\":\\\"0\\\"}},{\\\"type\\\":\\\"External\\\","
                                       "\\\"external\\\":{\\\"metricName\\\":\\\"e\\\",\\\"currentValue\\\":\\\"0\\\","
                                       "\\\"currentAverageValue\\\":\\\"1\\\"}}]\"}");
    Value *v2 = converted(
        arena, "v1",
        "\"spec\":{\"targetCPUUtilizationPercentage\":30},\"status\":{\"currentCPUUtilizationPercentage\":9}");
    assert_json(value_path(v2, "spec", "metrics", NULL), "[" CPU("30") "]");
    assert_json(value_path(v2, "status", "currentMetrics", NULL),
                "[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"current\":{\"averageUtilization\":9}}}]");
}

/* Go's names, in any case when it reads; what is no behavior, or no list of metrics, is not there. */
static void test_annotations(void **state) {
    static const struct {
        const char *name, *text, *part, *member, *expected;
    } rows[] = {
        {"behavior",
         "{\\\"ScaleUp\\\":{\\\"Policies\\\":[{\\\"Type\\\":\\\"Pods\\\",\\\"Value\\\":2,\\\"PeriodSeconds\\\":10}]}}",
         "spec", "behavior",
         "{\"scaleUp\":{\"stabilizationWindowSeconds\":0,\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Pods\","
         "\"value\":2,"
         "\"periodSeconds\":10}]},\"scaleDown\":{\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Percent\","
         "\"value\":100,"
         "\"periodSeconds\":15}]}}"},
        {"behavior", "{\\\"scaleup\\\":{\\\"stabilizationwindowseconds\\\":3,\\\"x\\\":1}}", "spec", "behavior",
         "{\"scaleUp\":{\"stabilizationWindowSeconds\":3}}"}, /* for validation to refuse */
        {"behavior", "{\\\"ScaleUp\\\":null}", "spec", "behavior", "nothing"},
        {"behavior", "{\\\"ScaleUp\\\":{\\\"Policies\\\":\\\"x\\\"}}", "spec", "behavior", "nothing"},
        {"metrics",
         "[{\\\"Type\\\":\\\"Resource\\\",\\\"RESOURCE\\\":{\\\"Name\\\":\\\"memory\\\","
         "\\\"targetaverageutilization\\\":7}}]",
         "spec", "metrics",
         "[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{\"type\":\"Utilization\","
         "\"averageUtilization\":7}}}]"},
        {"metrics",
         "[{\\\"type\\\":\\\"Resource\\\",\\\"resource\\\":{\\\"name\\\":\\\"memory\\\","
         "\\\"targetAverageUtilization\\\":\\\"7\\\"}}]",
         "spec", "metrics", "[" CPU("80") "]"},
        {"metrics", "[] x", "spec", "metrics", "[" CPU("80") "]"},
        {"conditions", "[{\\\"type\\\":\\\"A\\\",\\\"status\\\":\\\"True\\\"}]", "status", "conditions",
         "[{\"type\":\"A\",\"status\":\"True\",\"lastTransitionTime\":null}]"},
        {"conditions", "[{\\\"type\\\":5}]", "status", "conditions", "nothing"},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *v2 = converted(
            arena, "v1",
            arena_printf(arena, "\"metadata\":{\"annotations\":{\"" ANNOTATION("%s") "\":\"%s\"}},\"spec\":{}",
                         rows[i].name, rows[i].text));
        assert_json(value_path(v2, rows[i].part, rows[i].member, NULL), rows[i].expected);
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v1 = converted(
        arena, "v2",
        "\"spec\":{\"behavior\":{\"scaleUp\":{\"tolerance\":\"0.05\",\"policies\":[{\"type\":\"Pods\",\"value\":4,"
        "\"periodSeconds\":15}]}}}");
    assert_string_equal(
        value_get_str(value_path(v1, "metadata", "annotations", NULL), ANNOTATION("behavior")),
        "{\"ScaleUp\":{\"StabilizationWindowSeconds\":null,\"SelectPolicy\":null,\"Policies\":[{\"Type\":\"Pods\","
        "\"Value\":4,\"PeriodSeconds\":15}],\"Tolerance\":\"50m\"},\"ScaleDown\":null}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_annotations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
