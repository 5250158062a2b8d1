/* Cron schedules, and CronJobs over an API server in memory. */
#include "../support/fake_cluster.h"
#include "controllers/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void check_next(const char *schedule, const char *after, const char *expected) {
    CronSchedule parsed;
    int64_t from;
    char text[RFC3339_MAX];
    assert_int_equal(cron_parse(schedule, &parsed), 0);
    assert_int_equal(rfc3339_parse(after, &from), 0);
    int64_t next = cron_next(&parsed, from);
    assert_string_equal(next ? rfc3339_format(next, text) : "never", expected);
}

static void test_next_times(_unused_ void **state) {
    check_next("*/15 * * * *", "2026-11-21T05:59:30Z", "2026-11-21T06:00:00Z");
    check_next("*/15 * * * *", "2026-11-21T06:00:00Z", "2026-11-21T06:15:00Z");
    check_next("0 0 1 * *", "2026-11-21T06:00:00Z", "2026-12-01T00:00:00Z");
    check_next("30 4 * * mon-fri", "2026-11-21T06:00:00Z", "2026-11-23T04:30:00Z");
    check_next("0 12 29 feb *", "2026-11-21T06:00:00Z", "2028-02-29T12:00:00Z");
    check_next("0 0 13 * 5", "2026-11-21T06:00:00Z", "2026-11-27T00:00:00Z"); /* the 13th or a Friday */
    check_next("5,10 3-5 * * *", "2026-11-21T05:10:00Z", "2026-11-22T03:05:00Z");
    check_next("@hourly", "2026-12-31T23:00:01Z", "2027-01-01T00:00:00Z");
    check_next("@every 90s", "2026-11-21T06:00:00Z", "2026-11-21T06:01:30Z");
    check_next("0 0 31 2 *", "2026-11-21T06:00:00Z", "never");
    check_next(", * * * *", "2026-11-21T06:00:00Z", "never");
    check_next("5,,+10 */1000\n*-3 * *", "2026-11-21T00:06:00Z", "2026-11-21T00:10:00Z");
    check_next("@every 5ms", "2026-11-21T06:00:00Z", "2026-11-21T06:00:01Z");
    check_next("@every 2222222h", "2026-11-21T06:00:00Z", "never"); /* past what nanoseconds can count */
}

static void test_bad_schedules(_unused_ void **state) {
    static const char *const bad[] = {
        "",           "* * * *",    "* * * * * *", "60 * * * *",   "* 24 * * *", "* * 0 * *",
        "* * * 13 *", "* * * * 7",  "5-1 * * * *", "*/0 * * * *",  "a * * * *",  "@often",
        "@every x",   "1- * * * *", "-1 * * * *",  "1/2/3 * * * *"};
    CronSchedule parsed;
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        if (cron_parse(bad[i], &parsed) == 0)
            fail_msg("accepted: %s", bad[i]);
}

static void put_cronjob(Cluster *cluster, const char *more) {
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\",\"metadata\":{\"name\":\"c\"},\"spec\":{%s,\"jobTemplate\":{"
        "\"metadata\":{\"labels\":{\"l\":\"v\"}},\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\","
        "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}}}",
        more);
    object_unref(fake_put_json(cluster->client, "batch", "cronjobs", "default", json));
}

static size_t n_jobs(void *u) {
    return fake_count(((Cluster *)u)->client, "batch", "jobs", "default");
}
static bool one_job(void *u) {
    return n_jobs(u) == 1;
}
static bool two_jobs(void *u) {
    return n_jobs(u) == 2;
}

static void test_a_missed_start_is_made_once(void **state) {
    Cluster *cluster = *state;
    cluster->api->clock_skew_ns =
        -(int64_t)(150 * NS_PER_SEC); /* created two and a half minutes ago: two starts missed */
    put_cronjob(cluster, "\"schedule\":\"* * * * *\"");
    cluster->api->clock_skew_ns = 0;
    cluster_start(cluster, "cronjob-controller", NULL);
    assert_true(fake_eventually(one_job, cluster, 10));
    _cleanup_client_list_ ClientList jobs = {0};
    client_list(cluster->client, fake_resource("batch", "jobs"), "default", NULL, &jobs, NULL);
    assert_string_equal(object_label(jobs.items[0], "l"), "v");
    assert_string_equal(object_controller(jobs.items[0])->name, "c");
}

static void test_every_second_and_forbid(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "cronjob-controller", NULL);
    put_cronjob(cluster, "\"schedule\":\"@every 1s\",\"concurrencyPolicy\":\"Forbid\"");
    assert_true(fake_eventually(one_job, cluster, 10));
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 500000000}, NULL); /* two more starts come and are forbidden */
    assert_int_equal(n_jobs(cluster), 1);
}

static void finish_job(Cluster *cluster, const char *name, const char *started) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"status\":{\"startTime\":\"%s\",\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}}",
             started);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *patch = NULL;
    json_parse(arena, json, strlen(json), &patch, NULL, NULL);
    client_patch(cluster->client, fake_resource("batch", "jobs"), "default", name, "status", PATCH_MERGE, patch, NULL,
                 NULL);
}

static void test_history_is_trimmed(void **state) {
    Cluster *cluster = *state;
    char json[512];
    put_cronjob(cluster, "\"schedule\":\"0 0 1 1 *\",\"successfulJobsHistoryLimit\":2");
    _cleanup_object_ Object *cron = NULL;
    client_get(cluster->client, fake_resource("batch", "cronjobs"), "default", "c", &cron, NULL);
    for (int i = 0; i < 4; i++) {
        char name[16], started[32];
        snprintf(name, sizeof name, "j%d", i);
        snprintf(started, sizeof started, "2026-01-01T00:0%d:00Z", i);
        snprintf(json, sizeof json,
                 "{\"apiVersion\":\"batch/"
                 "v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"%s\",\"ownerReferences\":[{\"apiVersion\":"
                 "\"batch/v1\",\"kind\":\"CronJob\",\"name\":\"c\",\"uid\":\"%s\",\"controller\":true}]},\"spec\":{}}",
                 name, object_uid(cron));
        object_unref(fake_put_json(cluster->client, "batch", "jobs", "default", json));
        finish_job(cluster, name, started);
    }
    cluster_start(cluster, "cronjob-controller", NULL);
    assert_true(fake_eventually(two_jobs, cluster, 10));
    _cleanup_object_ Object *kept = NULL;
    assert_int_equal(client_get(cluster->client, fake_resource("batch", "jobs"), "default", "j3", &kept, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_times),
        cmocka_unit_test(test_bad_schedules),
        cmocka_unit_test_setup_teardown(test_a_missed_start_is_made_once, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_every_second_and_forbid, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_history_is_trimmed, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
