/* What the quota controller counts, over an API server in memory. */
#include "../support/fake_cluster.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct Wait {
    Cluster *cluster;
    const char *name, *member, *expected; /* of status */
} Wait;

static bool says(void *u) {
    const Wait *w = u;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    _cleanup_buf_ Buf text = BUF_INIT(65536);
    if (client_get(w->cluster->client, fake_resource("", "resourcequotas"), "default", w->name, &object, NULL) < 0)
        return false;
    const Value *v = value_path(object_value(object, arena), "status", w->member, NULL);
    if (!v)
        return false;
    value_write_json(&text, v);
    return streq(text.data, w->expected);
}

static void expect(Cluster *cluster, const char *name, const char *used) {
    Wait w = {cluster, name, "used", used};
    assert_true(fake_eventually(says, &w, 10));
}

static void put(Cluster *cluster, const char *plural, const char *json) {
    object_unref(fake_put_json(cluster->client, "", plural, "default", json));
}

static void put_pod(Cluster *cluster, const char *name, const char *cpu, const char *phase) {
    char json[512];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"containers\":[{\"name\":"
        "\"c\",\"resources\":{\"requests\":{\"cpu\":\"%s\"}}}]},\"status\":{\"phase\":\"%s\"}}",
        name, cpu, phase);
    put(cluster, "pods", json);
}

static void put_quota(Cluster *cluster, const char *name, const char *spec) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"%s\"},\"spec\":%s}", name,
             spec);
    put(cluster, "resourcequotas", json);
}

static void test_counts(void **state) {
    Cluster *cluster = *state;
    put_pod(cluster, "a", "500m", "Running");
    put_pod(cluster, "b", "250m", "Pending");
    put_pod(cluster, "over", "5", "Succeeded");
    put(cluster, "secrets", "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"}}");
    put_quota(cluster, "q",
              "{\"hard\":{\"requests.cpu\":\"2\",\"pods\":\"5\",\"count/pods\":\"9\",\"secrets\":\"3\",\"count/"
              "jobs.batch\":\"1\"}}");
    cluster_start(cluster, "resourcequota-controller", NULL);
    expect(
        cluster, "q",
        "{\"count/jobs.batch\":\"0\",\"count/pods\":\"3\",\"pods\":\"2\",\"requests.cpu\":\"750m\",\"secrets\":\"1\"}");
    Wait hard = {
        cluster, "q", "hard",
        "{\"count/jobs.batch\":\"1\",\"count/pods\":\"9\",\"pods\":\"5\",\"requests.cpu\":\"2\",\"secrets\":\"3\"}"};
    assert_true(says(&hard));
}

static void test_gives_back(void **state) {
    Cluster *cluster = *state;
    put_pod(cluster, "a", "500m", "Running");
    put(cluster, "secrets", "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"}}");
    put_quota(cluster, "q", "{\"hard\":{\"pods\":\"5\",\"secrets\":\"3\"}}");
    cluster_start(cluster, "resourcequota-controller", NULL);
    expect(cluster, "q", "{\"pods\":\"1\",\"secrets\":\"1\"}");
    ClientDelete options = {.grace_seconds = 0};
    client_delete(cluster->client, fake_resource("", "pods"), "default", "a", &options, NULL);
    expect(cluster, "q", "{\"pods\":\"0\",\"secrets\":\"1\"}");
    client_delete(cluster->client, fake_resource("", "secrets"), "default", "s", &options, NULL);
    expect(cluster, "q", "{\"pods\":\"0\",\"secrets\":\"0\"}");
}

static void test_scopes(void **state) {
    Cluster *cluster = *state;
    put_pod(cluster, "a", "1", "Running");
    put_pod(cluster, "b", "0", "Running");
    put_quota(cluster, "best", "{\"hard\":{\"pods\":\"5\"},\"scopes\":[\"BestEffort\"]}");
    put_quota(cluster, "rest", "{\"hard\":{\"pods\":\"5\"},\"scopes\":[\"NotBestEffort\"]}");
    cluster_start(cluster, "resourcequota-controller", NULL);
    expect(cluster, "best", "{\"pods\":\"1\"}");
    expect(cluster, "rest", "{\"pods\":\"1\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_gives_back, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_scopes, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
