/* Claims, volumes and volume classes in use, over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CLAIMS "persistentvolumeclaim-protection-controller"
#define VOLUMES "persistentvolume-protection-controller"
#define CLASSES "volumeattributesclass-protection-controller"

typedef struct Wait {
    Cluster *cluster;
    const char *group, *plural, *ns, *name, *finalizer;
} Wait;

static void put(Cluster *cluster, const char *group, const char *plural, const char *ns, const char *json) {
    object_unref(fake_put_json(cluster->client, group, plural, ns, json));
}

static void drop(Cluster *cluster, const char *group, const char *plural, const char *ns, const char *name) {
    ClientDelete options = {.grace_seconds = 0};
    assert_int_equal(client_delete(cluster->client, fake_resource(group, plural), ns, name, &options, NULL), 0);
}

static Object *get(const Wait *w) {
    Object *object = NULL;
    client_get(w->cluster->client, fake_resource(w->group, w->plural), w->ns, w->name, &object, NULL);
    return object;
}

static bool is_gone(void *u) {
    _cleanup_object_ Object *object = get(u);
    return !object;
}

static bool is_protected(void *u) {
    const Wait *w = u;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = get(w);
    Value *item;
    if (object)
        VALUE_FOREACH (item, value_path(object_value(object, arena), "metadata", "finalizers", NULL))
            if (streq(value_str(item), w->finalizer))
                return true;
    return false;
}

static void put_claim(Cluster *cluster, const char *name) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"%s\",\"finalizers\":"
             "[\"kubernetes.io/pvc-protection\"]},\"spec\":{\"volumeAttributesClassName\":\"gold\"}}",
             name);
    put(cluster, "", "persistentvolumeclaims", "default", json);
}

static void put_pod(Cluster *cluster, const char *name, const char *node, const char *claim) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"nodeName\":\"%s\","
             "\"containers\":[{\"name\":\"c\"}],\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":"
             "\"%s\"}}]}}",
             name, node, claim);
    put(cluster, "", "pods", "default", json);
}

/* One worker takes keys in turn: when a claim that was deleted later has gone, the earlier one was looked at. */
static void test_claim_of_a_pod(void **state) {
    Cluster *cluster = *state;
    Wait used = {cluster, "", "persistentvolumeclaims", "default", "used", "kubernetes.io/pvc-protection"}, idle = used;
    idle.name = "idle";
    put_claim(cluster, "used");
    put_claim(cluster, "idle");
    put_pod(cluster, "p", "n1", "used");
    put_pod(cluster, "waiting", "", "idle"); /* on no node: it does not count */
    cluster_start(cluster, CLAIMS, NULL);
    drop(cluster, "", "persistentvolumeclaims", "default", "used");
    drop(cluster, "", "persistentvolumeclaims", "default", "idle");
    assert_true(fake_eventually(is_gone, &idle, 10));
    assert_true(is_protected(&used));
    drop(cluster, "", "pods", "default", "p");
    assert_true(fake_eventually(is_gone, &used, 10));
}

static void test_claim_made_without(void **state) {
    Cluster *cluster = *state;
    Wait w = {cluster, "", "persistentvolumeclaims", "default", "c", "kubernetes.io/pvc-protection"};
    put(cluster, "", "persistentvolumeclaims", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"c\"}}");
    cluster_start(cluster, CLAIMS, NULL);
    assert_true(fake_eventually(is_protected, &w, 10));
}

static void test_volumes(void **state) {
    static const char *const phases[] = {"Bound", "Released"};
    Cluster *cluster = *state;
    cluster_start(cluster, VOLUMES, NULL);
    for (size_t i = 0; i < ELEMENTSOF(phases); i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"metadata\":{\"name\":\"%s\",\"finalizers\":"
                 "[\"kubernetes.io/pv-protection\"]},\"status\":{\"phase\":\"%s\"}}",
                 i ? "free" : "bound", phases[i]);
        put(cluster, "", "persistentvolumes", NULL, json);
    }
    Wait bound = {cluster, "", "persistentvolumes", NULL, "bound", "kubernetes.io/pv-protection"}, spare = bound;
    spare.name = "free";
    drop(cluster, "", "persistentvolumes", NULL, "bound");
    drop(cluster, "", "persistentvolumes", NULL, "free");
    assert_true(fake_eventually(is_gone, &spare, 10));
    assert_true(is_protected(&bound));
}

static void test_classes(void **state) {
    static const char *const names[] = {"gold", "tin"};
    Cluster *cluster = *state;
    Wait gold = {cluster, "storage.k8s.io", "volumeattributesclasses", NULL, "gold", "kubernetes.io/vac-protection"},
         tin = gold;
    tin.name = "tin";
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        char json[512];
        snprintf(
            json, sizeof json,
            "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"VolumeAttributesClass\",\"metadata\":{\"name\":\"%s\","
            "\"finalizers\":[\"kubernetes.io/vac-protection\"]},\"driverName\":\"d\"}",
            names[i]);
        put(cluster, "storage.k8s.io", "volumeattributesclasses", NULL, json);
    }
    put(cluster, "", "persistentvolumeclaims", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"c\"},\"spec\":"
        "{\"volumeAttributesClassName\":\"gold\"}}");
    cluster_start(cluster, CLASSES, NULL);
    drop(cluster, "storage.k8s.io", "volumeattributesclasses", NULL, "gold");
    drop(cluster, "storage.k8s.io", "volumeattributesclasses", NULL, "tin");
    assert_true(fake_eventually(is_gone, &tin, 10));
    assert_true(is_protected(&gold));
    drop(cluster, "", "persistentvolumeclaims", "default", "c");
    assert_true(fake_eventually(is_gone, &gold, 10));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_claim_of_a_pod, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_claim_made_without, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_volumes, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_classes, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
