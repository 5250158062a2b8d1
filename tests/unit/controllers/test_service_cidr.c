/* ServiceCIDRs over an API server in memory: held while an address needs them, ready meanwhile. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NAME "service-cidr-controller"
#define GROUP "networking.k8s.io"
#define FINALIZER "networking.k8s.io/service-cidr-finalizer"

typedef struct Wait {
    Cluster *cluster;
    const char *name, *status, *reason;
} Wait;

static void put_cidr(Cluster *cluster, const char *name, const char *cidrs) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"networking.k8s.io/"
             "v1\",\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":\"%s\",\"finalizers\":"
             "[\"" FINALIZER "\"]},\"spec\":{\"cidrs\":[%s]}}",
             name, cidrs);
    object_unref(fake_put_json(cluster->client, GROUP, "servicecidrs", NULL, json));
}

static void put_address(Cluster *cluster, const char *name) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"IPAddress\",\"metadata\":{\"name\":\"%s\",\"labels\":"
             "{\"ipaddress.kubernetes.io/managed-by\":\"ipallocator.k8s.io\"}},\"spec\":{\"parentRef\":{\"resource\":"
             "\"services\",\"namespace\":\"d\",\"name\":\"s\"}}}",
             name);
    object_unref(fake_put_json(cluster->client, GROUP, "ipaddresses", NULL, json));
}

static void drop(Cluster *cluster, const char *plural, const char *name) {
    ClientDelete options = {.grace_seconds = 0};
    assert_int_equal(client_delete(cluster->client, fake_resource(GROUP, plural), NULL, name, &options, NULL), 0);
}

static Object *get(const Wait *w) {
    Object *object = NULL;
    client_get(w->cluster->client, fake_resource(GROUP, "servicecidrs"), NULL, w->name, &object, NULL);
    return object;
}

static bool is_gone(void *u) {
    _cleanup_object_ Object *object = get(u);
    return !object;
}

static bool says(void *u) {
    const Wait *w = u;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = get(w);
    const Value *condition;
    if (object)
        VALUE_FOREACH (condition, value_path(object_value(object, arena), "status", "conditions", NULL))
            if (streq_null(value_get_str(condition, "type"), "Ready"))
                return streq_null(value_get_str(condition, "status"), w->status) &&
                       streq_null(value_get_str(condition, "reason"), w->reason);
    return false;
}

static bool is_held(Wait *w) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = get(w);
    const Value *item;
    if (object)
        VALUE_FOREACH (item, value_path(object_value(object, arena), "metadata", "finalizers", NULL))
            if (streq_null(value_str(item), FINALIZER))
                return true;
    return false;
}

static void test_ready(void **state) {
    Cluster *cluster = *state;
    Wait w = {cluster, "a", "True", ""};
    cluster_start(cluster, NAME, NULL);
    object_unref(
        fake_put_json(cluster->client, GROUP, "servicecidrs", NULL,
                      "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":"
                      "\"a\"},\"spec\":{\"cidrs\":[\"10.0.0.0/24\"]}}"));
    assert_true(fake_eventually(says, &w, 10));
    assert_true(is_held(&w));
}

/* Which ServiceCIDRs of these an address keeps: the ones that no other one stands in for. */
static void test_deletion(void **state) {
    Cluster *cluster = *state;
    Wait used = {cluster, "used", "False", "Terminating"}, six = {cluster, "six", "False", "Terminating"},
         empty = {cluster, "empty", NULL, NULL}, inner = {cluster, "inner", NULL, NULL};
    put_cidr(cluster, "used", "\"10.0.0.0/25\"");
    put_cidr(cluster, "inner", "\"10.0.0.0/28\"");
    put_cidr(cluster, "empty", "\"10.0.0.128/25\"");
    put_cidr(cluster, "six", "\"fd00::/64\"");
    put_address(cluster, "10.0.0.5");
    put_address(cluster, "fd00::5");
    put_address(cluster, "10.0.1.5"); /* in none */
    cluster_start(cluster, NAME, NULL);
    drop(cluster, "servicecidrs", "used");
    assert_false(is_gone(&used));
    drop(cluster, "servicecidrs", "six");
    assert_true(fake_eventually(says, &six, 10));
    drop(cluster, "ipaddresses", "fd00::5");
    drop(cluster, "servicecidrs", "empty");
    /* all that may go wait for API servers to hear of it */
    assert_true(fake_eventually(is_gone, &six, 20));
    assert_true(fake_eventually(is_gone, &empty, 20));
    assert_true(fake_eventually(is_gone, &used, 20)); /* `inner` holds its only address */
    drop(cluster, "servicecidrs", "inner");
    inner.status = "False";
    inner.reason = "Terminating";
    assert_true(fake_eventually(says, &inner, 10));
    assert_true(is_held(&inner));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_deletion, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
