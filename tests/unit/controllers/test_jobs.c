/* Jobs over an API server in memory. */
#include "../support/fake_cluster.h"
#include "controllers/job_indexes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void put_job(Cluster *cluster, const char *spec) {
    char json[2048];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"j\"},\"spec\":{%s,"
             "\"selector\":{\"matchLabels\":{\"job\":\"j\"}},\"template\":{\"metadata\":{\"labels\":{\"job\":\"j\"}},"
             "\"spec\":{"
             "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
             spec);
    object_unref(fake_put_json(cluster->client, "batch", "jobs", "default", json));
}

static Value *job_status(Cluster *cluster, Arena *arena) {
    _cleanup_object_ Object *object = NULL;
    if (client_get(cluster->client, fake_resource("batch", "jobs"), "default", "j", &object, NULL) < 0)
        return NULL;
    return value_get(object_value(object, arena), "status");
}

static bool has_condition(Cluster *cluster, const char *type, const char *reason) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *condition;
    VALUE_FOREACH (condition, value_get(job_status(cluster, arena), "conditions"))
        if (streq(value_get_str(condition, "type"), type) && streq(value_get_str(condition, "status"), "True"))
            return !reason || streq(value_get_str(condition, "reason"), reason);
    return false;
}

/* Ends every running pod with this phase. */
static void end_pods(Cluster *cluster, const char *phase) {
    _cleanup_client_list_ ClientList pods = {0};
    client_list(cluster->client, fake_resource("", "pods"), "default", NULL, &pods, NULL);
    for (size_t i = 0; i < pods.n; i++) {
        const char *now = object_field(pods.items[i], "status.phase");
        if (!object_is_deleting(pods.items[i]) && (!now || !*now || streq(now, "Running")))
            set_pod_status(cluster->client, "default", object_name(pods.items[i]), phase, false);
    }
}

static bool complete_after_successes(void *u) {
    end_pods(u, "Succeeded");
    return has_condition(u, "Complete", NULL);
}
static bool failed_after_failures(void *u) {
    end_pods(u, "Failed");
    return has_condition(u, "Failed", NULL);
}

static unsigned pods_ever_made(Cluster *cluster) {
    unsigned n = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++)
        n += streq(cluster->api->events[i].type, "ADDED") &&
             streq(object_resource(cluster->api->events[i].object)->plural, "pods");
    return n;
}

static void test_completions(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster, "\"completions\":5,\"parallelism\":2,\"backoffLimit\":6");
    assert_true(fake_eventually(complete_after_successes, cluster, 20));
    assert_int_equal(fake_number(cluster, "batch", "jobs", "j", "status", "succeeded"), 5);
    assert_int_equal(pods_ever_made(cluster), 5);
    assert_true(has_condition(cluster, "SuccessCriteriaMet", "CompletionsReached"));
    /* No pod keeps the finalizer, nothing is left uncounted. */
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList pods = {0};
    client_list(cluster->client, fake_resource("", "pods"), "default", NULL, &pods, NULL);
    for (size_t i = 0; i < pods.n; i++)
        assert_false(object_has_finalizers(pods.items[i]));
    Value *status = job_status(cluster, arena);
    assert_int_equal(value_len(value_get(status, "uncountedTerminatedPods")), 0);
    assert_non_null(value_get(status, "completionTime"));
}

static void test_parallelism_is_kept(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster, "\"completions\":6,\"parallelism\":2,\"backoffLimit\":6");
    assert_true(fake_eventually(complete_after_successes, cluster, 20));
    /* Replay: never more than two unfinished pods. */
    struct {
        const char *uid;
        bool finished;
    } seen[16] = {0};
    size_t n = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++) {
        Object *object = cluster->api->events[i].object;
        if (!streq(object_resource(object)->plural, "pods"))
            continue;
        size_t k = 0, active = 0;
        while (k < n && !streq(seen[k].uid, object_uid(object)))
            k++;
        assert_true(k < 16);
        n = MAX(n, k + 1);
        seen[k].uid = object_uid(object);
        const char *phase = object_field(object, "status.phase");
        seen[k].finished = phase && streq(phase, "Succeeded");
        for (size_t j = 0; j < n; j++)
            active += !seen[j].finished;
        assert_true(active <= 2);
    }
}

static void test_backoff_limit(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster, "\"completions\":1,\"parallelism\":1,\"backoffLimit\":0");
    assert_true(fake_eventually(failed_after_failures, cluster, 20));
    assert_true(has_condition(cluster, "Failed", "BackoffLimitExceeded"));
    assert_true(has_condition(cluster, "FailureTarget", "BackoffLimitExceeded"));
    assert_int_equal(fake_number(cluster, "batch", "jobs", "j", "status", "failed"), 1);
    assert_int_equal(pods_ever_made(cluster), 1);
}

static void test_indexed(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster, "\"completions\":4,\"parallelism\":4,\"completionMode\":\"Indexed\",\"backoffLimit\":6");
    assert_true(fake_eventually(complete_after_successes, cluster, 20));
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(value_get_str(job_status(cluster, arena), "completedIndexes"), "0-3");
    _cleanup_client_list_ ClientList pods = {0};
    client_list(cluster->client, fake_resource("", "pods"), "default", NULL, &pods, NULL);
    bool have[4] = {0};
    for (size_t i = 0; i < pods.n; i++) {
        const char *index = object_label(pods.items[i], "batch.kubernetes.io/job-completion-index");
        assert_non_null(index);
        have[index[0] - '0'] = true;
    }
    assert_int_equal(pods.n, 4);
    assert_true(have[0] && have[1] && have[2] && have[3]);
}

static bool suspended_without_pods(void *u) {
    Cluster *cluster = u;
    return has_condition(cluster, "Suspended", "JobSuspended") &&
           fake_number(cluster, "batch", "jobs", "j", "status", "active") == 0;
}
static bool two_active(void *u) {
    return fake_number(u, "batch", "jobs", "j", "status", "active") == 2;
}

static void test_suspend_and_resume(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster, "\"completions\":2,\"parallelism\":2,\"suspend\":true,\"backoffLimit\":6");
    assert_true(fake_eventually(suspended_without_pods, cluster, 10));
    assert_int_equal(pods_ever_made(cluster), 0);
    fake_merge(cluster, "batch", "jobs", "j", "{\"spec\":{\"suspend\":false}}");
    assert_true(fake_eventually(two_active, cluster, 10));
    fake_merge(cluster, "batch", "jobs", "j", "{\"spec\":{\"suspend\":true}}");
    assert_true(fake_eventually(suspended_without_pods, cluster, 10));
    fake_merge(cluster, "batch", "jobs", "j", "{\"spec\":{\"suspend\":false}}");
    assert_true(fake_eventually(complete_after_successes, cluster, 40));
}

static void test_active_deadline(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster, "\"completions\":1,\"parallelism\":1,\"activeDeadlineSeconds\":1,\"backoffLimit\":6");
    for (int i = 0; i < 2000 && !has_condition(cluster, "Failed", NULL); i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_true(has_condition(cluster, "Failed", "DeadlineExceeded"));
}

static void test_pod_failure_policy(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller", NULL);
    put_job(cluster,
            "\"completions\":1,\"parallelism\":1,\"backoffLimit\":6,\"podFailurePolicy\":{\"rules\":[{\"action\":"
            "\"FailJob\",\"onPodConditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}]}");
    assert_true(fake_eventually(failed_after_failures, cluster, 20));
    assert_true(has_condition(cluster, "Failed", "PodFailurePolicy"));
    assert_int_equal(pods_ever_made(cluster), 1);
}

static bool job_gone(void *u) {
    return fake_count(((Cluster *)u)->client, "batch", "jobs", "default") == 0;
}

static void test_ttl_after_finished(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "job-controller,ttl-after-finished-controller,garbage-collector-controller", NULL);
    put_job(cluster, "\"completions\":1,\"parallelism\":1,\"ttlSecondsAfterFinished\":1,\"backoffLimit\":6");
    assert_true(fake_eventually(complete_after_successes, cluster, 20));
    assert_true(fake_eventually(job_gone, cluster, 20));
    assert_int_equal(fake_count(cluster->client, "", "pods", "default"), 0);
}

static void test_index_sets(_unused_ void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    IndexSet set = index_set_parse(arena, "1,3-5,7,x,9-8,20", 10);
    assert_string_equal(index_set_text(&set), "1,3-5,7");
    assert_int_equal(index_set_total(&set), 5);
    index_set_add(&set, 6);
    assert_string_equal(index_set_text(&set), "1,3-7");
    index_set_add(&set, 2);
    assert_string_equal(index_set_text(&set), "1-7");
    index_set_add(&set, 2);
    index_set_add(&set, 9);
    index_set_add(&set, 0);
    assert_string_equal(index_set_text(&set), "0-7,9");
    assert_true(index_set_has(&set, 7));
    assert_false(index_set_has(&set, 8));
    IndexSet other = index_set_parse(arena, "6-9", 100);
    assert_int_equal(index_set_overlap(&set, &other), 3);
    IndexSet pair = index_set_parse(arena, "0,1", 100);
    assert_string_equal(index_set_text(&pair), "0,1");
    IndexSet cut = index_set_parse(arena, "5-50", 8);
    assert_string_equal(index_set_text(&cut), "5-7");
    IndexSet joined = index_set_parse(arena, "4,1-6,2", 100);
    assert_string_equal(index_set_text(&joined), "1-6");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_sets),
        cmocka_unit_test_setup_teardown(test_completions, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_parallelism_is_kept, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_backoff_limit, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_indexed, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_suspend_and_resume, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_active_deadline, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_pod_failure_policy, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_ttl_after_finished, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
