/* ReplicaSets and Deployments over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define TEMPLATE(image)                                                                                                \
    "{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"" image "\"}]" \
    "}}"

static void put_replicaset(Cluster *cluster, int replicas) {
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":\"rs\"},\"spec\":{\"replicas\":%d,"
        "\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":" TEMPLATE("one") "}}",
        replicas);
    object_unref(fake_put_json(cluster->client, "apps", "replicasets", "default", json));
}

static void put_deployment(Cluster *cluster, int replicas, const char *strategy) {
    char json[2048];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":%d,"
        "\"revisionHistoryLimit\":1,\"progressDeadlineSeconds\":600,\"strategy\":%s,"
        "\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":" TEMPLATE("one") "}}",
        replicas, strategy);
    object_unref(fake_put_json(cluster->client, "apps", "deployments", "default", json));
}

#define ROLLING(surge, unavailable)                                                                                    \
    "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":" surge ",\"maxUnavailable\":" unavailable "}}"

static size_t n_pods(Cluster *cluster) {
    return fake_count(cluster->client, "", "pods", "default");
}

static bool rs_ready_5(void *u) {
    fake_kubelet(u);
    return fake_number(u, "apps", "replicasets", "rs", "status", "readyReplicas") == 5 && n_pods(u) == 5;
}
static bool rs_ready_2(void *u) {
    fake_kubelet(u);
    return fake_number(u, "apps", "replicasets", "rs", "status", "replicas") == 2 && n_pods(u) == 2;
}

static void test_replicaset_up_and_down(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "replicaset-controller", NULL);
    put_replicaset(cluster, 5);
    assert_true(fake_eventually(rs_ready_5, cluster, 10));
    /* Not one pod more was ever made. */
    unsigned creates = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++)
        creates += streq(cluster->api->events[i].type, "ADDED") &&
                   streq(object_resource(cluster->api->events[i].object)->plural, "pods");
    assert_int_equal(creates, 5);
    fake_merge(cluster, "apps", "replicasets", "rs", "{\"spec\":{\"replicas\":2}}");
    assert_true(fake_eventually(rs_ready_2, cluster, 10));
}

static bool rs_sees_two_ready(void *u) {
    return fake_number(u, "apps", "replicasets", "rs", "status", "readyReplicas") == 2;
}

static void test_replicaset_deletes_unready_first(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "replicaset-controller", NULL);
    put_replicaset(cluster, 5);
    assert_true(fake_eventually(rs_ready_5, cluster, 10));
    _cleanup_client_list_ ClientList pods = {0};
    client_list(cluster->client, fake_resource("", "pods"), NULL, NULL, &pods, NULL);
    for (size_t i = 2; i < 5; i++)
        set_pod_status(cluster->client, "default", object_name(pods.items[i]), "Running", false);
    assert_true(fake_eventually(rs_sees_two_ready, cluster, 10));
    fake_merge(cluster, "apps", "replicasets", "rs", "{\"spec\":{\"replicas\":2}}");
    assert_true(fake_eventually(rs_ready_2, cluster, 10));
    for (size_t i = 0; i < 5; i++) {
        _cleanup_object_ Object *pod = NULL;
        int r =
            client_get(cluster->client, fake_resource("", "pods"), "default", object_name(pods.items[i]), &pod, NULL);
        assert_int_equal(r, i < 2 ? 0 : -ENOENT);
    }
}

static void test_replicaset_adopts_and_releases(void **state) {
    Cluster *cluster = *state;
    object_unref(fake_put_json(cluster->client, "", "pods", "default",
                               "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"stray\",\"labels\":{"
                               "\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"));
    cluster_start(cluster, "replicaset-controller", NULL);
    put_replicaset(cluster, 2);
    assert_true(fake_eventually(rs_ready_2, cluster, 10));
    _cleanup_object_ Object *stray = NULL, *later = NULL;
    assert_int_equal(client_get(cluster->client, fake_resource("", "pods"), "default", "stray", &stray, NULL), 0);
    assert_non_null(object_controller(stray));
    /* Its label goes: it is let go and another takes its place. */
    fake_merge(cluster, "", "pods", "stray", "{\"metadata\":{\"labels\":{\"app\":\"other\"}}}");
    for (int i = 0; i < 1000 && n_pods(cluster) != 3; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(n_pods(cluster), 3);
    for (int i = 0; i < 1000; i++) {
        later = object_unref(later);
        client_get(cluster->client, fake_resource("", "pods"), "default", "stray", &later, NULL);
        if (!object_controller(later))
            break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    assert_null(object_controller(later));
}

static bool rs_failure_told(void *u) {
    Cluster *cluster = u;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *rs = NULL;
    if (client_get(cluster->client, fake_resource("apps", "replicasets"), "default", "rs", &rs, NULL) < 0)
        return false;
    Value *condition = value_at(value_path(object_value(rs, arena), "status", "conditions", NULL), 0);
    const char *reason = value_get_str(condition, "reason");
    return reason && streq(reason, "FailedCreate");
}

static void test_replicaset_slow_start_and_failure_condition(void **state) {
    Cluster *cluster = *state;
    cluster->api->fail_plural = "pods";
    cluster->api->fail_verb = API_CREATE;
    cluster->api->fail_times = 7; /* with back-off, long enough to be seen */
    cluster->api->fail_code = 500;
    cluster_start(cluster, "replicaset-controller", NULL);
    put_replicaset(cluster, 5);
    assert_true(fake_eventually(rs_failure_told, cluster, 10));
    assert_true(fake_eventually(rs_ready_5, cluster, 10));
    assert_false(rs_failure_told(cluster));
}

/* ---- deployments ---- */

/* One look: between two the controller may have gone on. */
static bool deployment_done(void *u) {
    static const char *const counts[] = {"updatedReplicas", "availableReplicas", "replicas"};
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *web = NULL;
    fake_kubelet(u);
    if (client_get(((Cluster *)u)->client, fake_resource("apps", "deployments"), "default", "web", &web, NULL) < 0)
        return false;
    const Value *v = object_value(web, arena), *status = value_get(v, "status");
    for (size_t i = 0; i < ELEMENTSOF(counts); i++)
        if (value_get_int(status, counts[i], 0) != value_get_int(value_get(v, "spec"), "replicas", 1))
            return false;
    return value_get_int(status, "observedGeneration", 0) == value_get_int(value_get(v, "metadata"), "generation", 0);
}

static int64_t replay_most_pods(Cluster *cluster) {
    int64_t now = 0, most = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++) {
        const FakeEvent *event = &cluster->api->events[i];
        if (!streq(object_resource(event->object)->plural, "pods"))
            continue;
        now += streq(event->type, "ADDED") - streq(event->type, "DELETED");
        most = MAX(most, now);
    }
    return most;
}

/* The most that the ReplicaSets together were ever asked for: what a Deployment answers for. Pods may be more for a
 * moment, while one set still has to delete what another may already make. */
static int64_t replay_most_asked(Cluster *cluster) {
    struct {
        const char *uid;
        int64_t replicas;
    } sets[8] = {0};
    size_t n = 0;
    int64_t most = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++) {
        const Object *object = cluster->api->events[i].object;
        _cleanup_arena_ Arena *arena = arena_new(0);
        if (!streq(object_resource(object)->plural, "replicasets"))
            continue;
        size_t k = 0;
        while (k < n && !streq(sets[k].uid, object_uid(object)))
            k++;
        assert_true(k < 8);
        n = MAX(n, k + 1);
        sets[k].uid = object_uid(object);
        sets[k].replicas = value_get_int(value_get(object_value(object, arena), "spec"), "replicas", 0);
        int64_t sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += sets[j].replicas;
        most = MAX(most, sum);
    }
    return most;
}

static int64_t replay_least_pods_from(Cluster *cluster, size_t from, int64_t now) {
    int64_t least = now;
    for (size_t i = from; i < fake_event_count(cluster->api); i++) {
        const FakeEvent *event = &cluster->api->events[i];
        if (!streq(object_resource(event->object)->plural, "pods"))
            continue;
        now += streq(event->type, "ADDED") - streq(event->type, "DELETED");
        least = MIN(least, now);
    }
    return least;
}

static bool condition_is(Cluster *cluster, const char *type, const char *reason) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    Value *condition;
    client_get(cluster->client, fake_resource("apps", "deployments"), "default", "web", &object, NULL);
    VALUE_FOREACH (condition, value_path(object_value(object, arena), "status", "conditions", NULL))
        if (streq(value_get_str(condition, "type"), type))
            return streq(value_get_str(condition, "reason"), reason);
    return false;
}

static void test_deployment_rolls(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "deployment-controller,replicaset-controller", NULL);
    put_deployment(cluster, 4, ROLLING("\"25%\"", "\"25%\""));
    assert_true(fake_eventually(deployment_done, cluster, 20));
    assert_int_equal(n_pods(cluster), 4);
    size_t before = fake_event_count(cluster->api);
    fake_merge(cluster, "apps", "deployments", "web",
               "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    assert_true(fake_eventually(deployment_done, cluster, 20));
    assert_true(condition_is(cluster, "Progressing", "NewReplicaSetAvailable"));
    assert_true(condition_is(cluster, "Available", "MinimumReplicasAvailable"));
    /* Never more than 4 + 1 asked for, never fewer than 4 - 1 there. */
    assert_int_equal(replay_most_asked(cluster), 5);
    assert_true(replay_least_pods_from(cluster, before, 4) >= 3);
    assert_int_equal(fake_count(cluster->client, "apps", "replicasets", "default"), 2);
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *web = NULL;
    client_get(cluster->client, fake_resource("apps", "deployments"), "default", "web", &web, NULL);
    assert_string_equal(value_get_str(value_path(object_value(web, arena), "metadata", "annotations", NULL),
                                      "deployment.kubernetes.io/revision"),
                        "2");
}

/* The set that was made as the n-th, from 0; NULL: not yet. */
static const char *nth_set(Cluster *cluster, size_t n) {
    for (size_t i = 0; i < fake_event_count(cluster->api); i++) {
        const FakeEvent *event = &cluster->api->events[i];
        if (streq(event->type, "ADDED") && streq(object_resource(event->object)->plural, "replicasets") && n-- == 0)
            return object_name(event->object);
    }
    return NULL;
}

static bool set_has(Cluster *cluster, size_t n, int64_t replicas) {
    const char *name = nth_set(cluster, n);
    return name && fake_number(cluster, "apps", "replicasets", name, "spec", "replicas") == replicas;
}
static bool first_has_4(void *u) {
    return set_has(u, 0, 4);
}
static bool second_has_2(void *u) {
    return set_has(u, 1, 2);
}
static bool second_has_4(void *u) {
    return set_has(u, 1, 4);
}

static void set_reports(Cluster *cluster, size_t n, int available) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char json[128];
    Value *patch = NULL;
    snprintf(json, sizeof json, "{\"status\":{\"replicas\":%d,\"readyReplicas\":%d,\"availableReplicas\":%d}}",
             available, available, available);
    assert_int_equal(json_parse(arena, json, strlen(json), &patch, NULL, NULL), 0);
    assert_int_equal(client_patch(cluster->client, fake_resource("apps", "replicasets"), "default", nth_set(cluster, n),
                                  "status", PATCH_MERGE, patch, NULL, NULL),
                     0);
}

/* No controller of ReplicaSets runs: the first set goes on reporting four available pods, whatever is asked of it. */
static void test_deployment_does_not_take_twice(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "deployment-controller", NULL);
    put_deployment(cluster, 4, ROLLING("\"25%\"", "\"25%\""));
    assert_true(fake_eventually(first_has_4, cluster, 10));
    set_reports(cluster, 0, 4);
    /* Started anew it knows of the set: a controller that has yet to hear of it makes the second whole (so does the
     * reference). */
    controllers_stop(cluster->controllers);
    cluster_start(cluster, "deployment-controller", NULL);
    fake_merge(cluster, "apps", "deployments", "web",
               "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    assert_true(fake_eventually(second_has_2, cluster, 10));
    assert_true(set_has(cluster, 0, 3));
    set_reports(cluster, 1, 2);
    assert_true(fake_eventually(second_has_4, cluster, 10));
    assert_true(set_has(cluster, 0, 1)); /* with the two of the second: what must stay available */
}

static bool history_is_two(void *u) {
    return deployment_done(u) && fake_count(((Cluster *)u)->client, "apps", "replicasets", "default") == 2;
}

static void test_deployment_keeps_history_limit(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "deployment-controller,replicaset-controller", NULL);
    put_deployment(cluster, 1, ROLLING("1", "0"));
    assert_true(fake_eventually(deployment_done, cluster, 20));
    static const char *const images[] = {"two", "three", "four"};
    for (size_t i = 0; i < 3; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"%s\"}]}}}}",
                 images[i]);
        fake_merge(cluster, "apps", "deployments", "web", json);
        assert_true(fake_eventually(deployment_done, cluster, 20));
    }
    assert_true(fake_eventually(history_is_two, cluster, 10));
}

static void test_deployment_recreates(void **state) {
    Cluster *cluster = *state;
    cluster->api->graceful_pods = true;
    cluster_start(cluster, "deployment-controller,replicaset-controller", NULL);
    put_deployment(cluster, 3, "{\"type\":\"Recreate\"}");
    assert_true(fake_eventually(deployment_done, cluster, 20));
    size_t before = fake_event_count(cluster->api);
    fake_merge(cluster, "apps", "deployments", "web",
               "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    assert_true(fake_eventually(deployment_done, cluster, 20));
    assert_int_equal(replay_most_pods(cluster), 3);
    assert_int_equal(replay_least_pods_from(cluster, before, 3), 0);
}

static void test_paused_deployment_waits(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "deployment-controller,replicaset-controller", NULL);
    put_deployment(cluster, 2, ROLLING("1", "0"));
    assert_true(fake_eventually(deployment_done, cluster, 20));
    fake_merge(cluster, "apps", "deployments", "web",
               "{\"spec\":{\"paused\":true,\"replicas\":3,"
               "\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"two\"}]}}}}");
    /* It scales, and does not roll. */
    for (int i = 0; i < 2000 && (n_pods(cluster) != 3 || !condition_is(cluster, "Progressing", "DeploymentPaused"));
         i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(n_pods(cluster), 3);
    assert_int_equal(fake_count(cluster->client, "apps", "replicasets", "default"), 1);
    assert_true(condition_is(cluster, "Progressing", "DeploymentPaused"));
    fake_merge(cluster, "apps", "deployments", "web", "{\"spec\":{\"paused\":false}}");
    assert_true(fake_eventually(deployment_done, cluster, 20));
    assert_int_equal(fake_count(cluster->client, "apps", "replicasets", "default"), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replicaset_up_and_down, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_replicaset_deletes_unready_first, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_replicaset_adopts_and_releases, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_replicaset_slow_start_and_failure_condition, cluster_setup,
                                        cluster_teardown),
        cmocka_unit_test_setup_teardown(test_deployment_rolls, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_deployment_does_not_take_twice, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_deployment_keeps_history_limit, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_deployment_recreates, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_paused_deployment_waits, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
