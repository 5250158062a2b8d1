/* StatefulSets over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* As it is once the API server has set its defaults. */
static void put_set(Cluster *cluster, int replicas, const char *more) {
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"apps/"
        "v1\",\"kind\":\"StatefulSet\",\"metadata\":{\"name\":\"db\"},\"spec\":{\"replicas\":%d,%s"
        "\"serviceName\":\"db\",\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":0}},"
        "\"selector\":{\"matchLabels\":{\"app\":"
        "\"db\"}},\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"},\"spec\":{\"accessModes\":["
        "\"ReadWriteOnce\"]}}],\"template\":{\"metadata\":{\"labels\":{\"app\":\"db\"}},\"spec\":{\"containers\":[{"
        "\"name\":\"c\",\"image\":\"one\"}]}}}}",
        replicas, more);
    object_unref(fake_put_json(cluster->client, "apps", "statefulsets", "default", json));
}

static int64_t status_of(void *u, const char *field) {
    return fake_number(u, "apps", "statefulsets", "db", "status", field);
}
static bool ready_is(void *u, int64_t n) {
    fake_kubelet(u);
    return status_of(u, "readyReplicas") == n && status_of(u, "replicas") == n &&
           status_of(u, "observedGeneration") == fake_number(u, "apps", "statefulsets", "db", "metadata", "generation");
}
static bool three_ready(void *u) {
    return ready_is(u, 3);
}
static bool one_ready(void *u) {
    return ready_is(u, 1);
}
static bool all_updated(void *u) {
    return ready_is(u, 3) && status_of(u, "updatedReplicas") == 3 && status_of(u, "currentReplicas") == 3;
}

/* The names of pods in the order of these events, as one text. */
static void order_of(Cluster *cluster, size_t from, const char *type, char *out, size_t size) {
    *out = 0;
    for (size_t i = from; i < fake_event_count(cluster->api); i++) {
        const FakeEvent *event = &cluster->api->events[i];
        if (streq(object_resource(event->object)->plural, "pods") && streq(event->type, type) &&
            strlen(out) + 16 < size)
            strcat(strcat(out, object_name(event->object)), " ");
    }
}

static void test_in_order_up_and_down(void **state) {
    Cluster *cluster = *state;
    char order[256];
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3, "");
    assert_true(fake_eventually(three_ready, cluster, 20));
    order_of(cluster, 0, "ADDED", order, sizeof order);
    assert_string_equal(order, "db-0 db-1 db-2 ");
    assert_int_equal(fake_count(cluster->client, "", "persistentvolumeclaims", "default"), 3);
    fake_merge(cluster, "apps", "statefulsets", "db", "{\"spec\":{\"replicas\":1}}");
    assert_true(fake_eventually(one_ready, cluster, 20));
    order_of(cluster, 0, "DELETED", order, sizeof order);
    assert_string_equal(order, "db-2 db-1 ");
    assert_int_equal(fake_count(cluster->client, "", "persistentvolumeclaims", "default"), 3); /* data stays */
}

static bool first_exists(void *u) {
    return fake_count(((Cluster *)u)->client, "", "pods", "default") >= 1;
}

static void test_waits_for_the_one_before(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3, "");
    assert_true(fake_eventually(first_exists, cluster, 10));
    set_pod_status(cluster->client, "default", "db-0", "Running", false);
    /* The status says that the controller has seen it; it must not have gone on. */
    for (int i = 0; i < 1000 && status_of(cluster, "replicas") != 1; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_int_equal(fake_count(cluster->client, "", "pods", "default"), 1);
}

static void test_update_in_reverse(void **state) {
    Cluster *cluster = *state;
    char order[256];
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3, "");
    assert_true(fake_eventually(all_updated, cluster, 20));
    size_t before = fake_event_count(cluster->api);
    fake_merge(cluster, "apps", "statefulsets", "db",
               "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    assert_true(fake_eventually(all_updated, cluster, 20));
    order_of(cluster, before, "DELETED", order, sizeof order);
    assert_string_equal(order, "db-2 db-1 db-0 ");
    assert_int_equal(fake_count(cluster->client, "apps", "controllerrevisions", "default"), 2);
}

/* Revision data is compared by its bytes: members stand in the order of their names. */
static void test_revision_data_is_sorted(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList list = {0};
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 1, "");
    assert_true(fake_eventually(first_exists, cluster, 10));
    assert_int_equal(
        client_list(cluster->client, fake_resource("apps", "controllerrevisions"), "default", NULL, &list, NULL), 0);
    const Value *template = value_path(object_value(list.items[0], arena), "data", "spec", "template", NULL);
    assert_string_equal(template->members[0].name, "$patch");
    const Value *container = value_at(value_path(template, "spec", "containers", NULL), 0);
    for (size_t i = 1; i < container->len; i++)
        assert_true(strcmp(container->members[i - 1].name, container->members[i].name) < 0);
}

/* Of several that are not ready none goes but the first: scaling down halts. */
static void test_scaling_down_halts(void **state) {
    Cluster *cluster = *state;
    static const char *const names[] = {"db-0", "db-1", "db-2"};
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3, "");
    assert_true(fake_eventually(all_updated, cluster, 20));
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        set_pod_status(cluster->client, "default", names[i], "Running", false);
    for (int i = 0; i < 1000 && status_of(cluster, "readyReplicas") > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    fake_merge(cluster, "apps", "statefulsets", "db", "{\"spec\":{\"replicas\":0}}");
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_int_equal(fake_count(cluster->client, "", "pods", "default"), 3);
    set_pod_status(cluster->client, "default", "db-1", "Running", true);
    set_pod_status(cluster->client, "default", "db-2", "Running", true);
    for (int i = 0; i < 1000 && fake_count(cluster->client, "", "pods", "default") == 3; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_true(fake_count(cluster->client, "", "pods", "default") < 3);
}

static bool three_pods(void *u) {
    return fake_count(((Cluster *)u)->client, "", "pods", "default") == 3;
}

static void test_parallel_does_not_wait(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3, "\"podManagementPolicy\":\"Parallel\",");
    assert_true(fake_eventually(three_pods, cluster, 10)); /* none of them ever became ready */
}

/* ---- claims ---- */

/* Who owns the claim of this pod: "set", "pod", "" or "?". */
static const char *claim_owner(Cluster *cluster, const char *name) {
    _cleanup_object_ Object *claim = NULL;
    if (client_get(cluster->client, fake_resource("", "persistentvolumeclaims"), "default", name, &claim, NULL) < 0)
        return "?";
    size_t n;
    const OwnerRef *owners = object_owners(claim, &n);
    if (n == 0)
        return "";
    return n > 1 || !owners->controller ? "?" : streq(owners->kind, "StatefulSet") ? "set" : "pod";
}

static bool claims_follow_set(void *u) {
    return ready_is(u, 3) && streq(claim_owner(u, "data-db-0"), "set") && streq(claim_owner(u, "data-db-2"), "set");
}
static bool claims_are_nobodys(void *u) {
    return ready_is(u, 3) && streq(claim_owner(u, "data-db-0"), "") && streq(claim_owner(u, "data-db-2"), "");
}
static bool last_claim_follows_pod(void *u) { /* seen before the pod goes */
    return streq(claim_owner(u, "data-db-2"), "pod");
}

static void test_claims_are_owned_as_the_policy_says(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3,
            "\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"Delete\",\"whenScaled\":\"Retain\"},");
    assert_true(fake_eventually(claims_follow_set, cluster, 20));
    fake_merge(cluster, "apps", "statefulsets", "db",
               "{\"spec\":{\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"Retain\"}}}");
    assert_true(fake_eventually(claims_are_nobodys, cluster, 20));
    fake_merge(cluster, "apps", "statefulsets", "db",
               "{\"spec\":{\"replicas\":2,\"persistentVolumeClaimRetentionPolicy\":{\"whenScaled\":\"Delete\"}}}");
    assert_true(fake_eventually(last_claim_follows_pod, cluster, 20));
    assert_string_equal(claim_owner(cluster, "data-db-0"), "");
}

static void test_another_controllers_claim_stays_its_own(void **state) {
    Cluster *cluster = *state;
    object_unref(fake_put_json(
        cluster->client, "", "persistentvolumeclaims", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"data-db-0\","
        "\"ownerReferences\":[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Backup\",\"name\":\"b\",\"uid\":\"u\","
        "\"controller\":true}]},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"]}}"));
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 1,
            "\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"Delete\",\"whenScaled\":\"Delete\"},");
    assert_true(fake_eventually(one_ready, cluster, 20));
    fake_merge(cluster, "apps", "statefulsets", "db", "{\"spec\":{\"replicas\":2}}");
    for (int i = 0; i < 1000 && !ready_is(cluster, 2); i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    _cleanup_object_ Object *claim = NULL;
    assert_int_equal(
        client_get(cluster->client, fake_resource("", "persistentvolumeclaims"), "default", "data-db-0", &claim, NULL),
        0);
    assert_string_equal(object_controller(claim)->kind, "Backup");
    assert_string_equal(claim_owner(cluster, "data-db-1"), "set");
}

/* ---- revisions ---- */

static const char *revision_owner(Cluster *cluster, Arena *arena, const char *name) {
    _cleanup_object_ Object *revision = NULL;
    if (client_get(cluster->client, fake_resource("apps", "controllerrevisions"), "default", name, &revision, NULL) < 0)
        return "";
    const OwnerRef *owner = object_controller(revision);
    return owner ? arena_strdup(arena, owner->name) : "";
}

/* As after a deletion with --cascade=orphan: the next set of the name takes them over and makes none anew. */
static void test_orphaned_revisions_are_adopted(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList list = {0};
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 1, "");
    assert_true(fake_eventually(one_ready, cluster, 20));
    client_list(cluster->client, fake_resource("apps", "controllerrevisions"), "default", NULL, &list, NULL);
    assert_int_equal(list.n, 1);
    const char *name = object_name(list.items[0]);
    assert_string_equal(revision_owner(cluster, arena, name), "db");
    fake_merge(cluster, "apps", "controllerrevisions", name, "{\"metadata\":{\"ownerReferences\":null}}");
    for (int i = 0; i < 1000 && !streq(revision_owner(cluster, arena, name), "db"); i++) {
        char look[64]; /* again and again: the controller may hear of the set before it hears of the revision */
        snprintf(look, sizeof look, "{\"metadata\":{\"annotations\":{\"look\":\"%d\"}}}", i);
        fake_merge(cluster, "apps", "statefulsets", "db", look);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    assert_string_equal(revision_owner(cluster, arena, name), "db");
    assert_int_equal(fake_count(cluster->client, "apps", "controllerrevisions", "default"), 1);
}

/* ---- what a pod is made from ---- */

static const char *image_of(Cluster *cluster, Arena *arena, const char *name) {
    _cleanup_object_ Object *pod = NULL;
    if (client_get(cluster->client, fake_resource("", "pods"), "default", name, &pod, NULL) < 0)
        return "";
    return value_get_str(value_at(value_path(object_value(pod, arena), "spec", "containers", NULL), 0), "image");
}

static bool second_is_new(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return ready_is(u, 2) && streq(image_of(u, arena, "db-1"), "two");
}
static bool two_ready(void *u) {
    return ready_is(u, 2);
}

#define IMAGE_TWO "\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}"

static void test_on_delete_makes_the_new_revision(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 2, "");
    assert_true(fake_eventually(two_ready, cluster, 20));
    fake_merge(cluster, "apps", "statefulsets", "db",
               "{\"spec\":{\"updateStrategy\":{\"type\":\"OnDelete\",\"rollingUpdate\":null}," IMAGE_TWO "}}");
    assert_true(fake_eventually(two_ready, cluster, 20));
    assert_string_equal(image_of(cluster, arena, "db-1"), "one");
    client_delete(cluster->client, fake_resource("", "pods"), "default", "db-1", NULL, NULL);
    assert_true(fake_eventually(second_is_new, cluster, 20));
    assert_string_equal(image_of(cluster, arena, "db-0"), "one");
}

static bool three_from_five(void *u) {
    Cluster *cluster = u;
    _cleanup_arena_ Arena *arena = arena_new(0);
    return ready_is(u, 3) && *image_of(cluster, arena, "db-5") && *image_of(cluster, arena, "db-7");
}
static bool one_is_new(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return ready_is(u, 3) && streq(image_of(u, arena, "db-7"), "two");
}

static void test_ordinals_start_and_partition(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    cluster_start(cluster, "statefulset-controller", NULL);
    put_set(cluster, 3, "\"ordinals\":{\"start\":5},");
    assert_true(fake_eventually(three_from_five, cluster, 20));
    fake_merge(cluster, "apps", "statefulsets", "db",
               "{\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"partition\":2}}," IMAGE_TWO "}}");
    assert_true(fake_eventually(one_is_new, cluster, 20)); /* the partition counts replicas, not ordinals */
    assert_string_equal(image_of(cluster, arena, "db-6"), "one");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order_up_and_down, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_one_before, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_update_in_reverse, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_revision_data_is_sorted, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_scaling_down_halts, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_parallel_does_not_wait, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_claims_are_owned_as_the_policy_says, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_another_controllers_claim_stays_its_own, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_on_delete_makes_the_new_revision, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_ordinals_start_and_partition, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_orphaned_revisions_are_adopted, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
