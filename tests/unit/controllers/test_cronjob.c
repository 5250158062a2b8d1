/* Cron schedules, and CronJobs over an API server in memory. */
#include "../support/fake_cluster.h"
#include "controllers/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void check_next_in(const char *name, const char *schedule, const char *after, const char *expected) {
    _cleanup_(time_zone_freep) TimeZone *zone = NULL;
    CronSchedule parsed;
    int64_t from;
    char text[RFC3339_MAX];
    assert_int_equal(time_zone_load(name, &zone), 0);
    assert_int_equal(cron_parse(schedule, &parsed), 0);
    assert_int_equal(rfc3339_parse(after, &from), 0);
    int64_t next = cron_next(&parsed, zone, from);
    assert_string_equal(next ? rfc3339_format_offset(next, time_zone_offset(zone, next / (int64_t)NS_PER_SEC), text)
                             : "never",
                        expected);
}

/* What robfig/cron v3 answers. */
static void test_next_times_in_zones(_unused_ void **state) {
    check_next_in("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T02:30:00+02:00");
    check_next_in("Europe/Berlin", "30 2 * * *", "2026-03-29T00:59:00Z", "2026-03-30T02:30:00+02:00");
    check_next_in("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00");
    check_next_in("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00+01:00");
    check_next_in("Europe/Berlin", "*/20 * * * *", "2026-10-25T00:45:00Z", "2026-10-25T02:00:00+01:00");
    check_next_in("America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00:00Z", "2018-11-05T00:00:00-02:00");
    check_next_in("America/Sao_Paulo", "0 0 4 11 *", "2018-11-01T12:00:00Z", "2019-11-04T00:00:00-03:00");
    check_next_in("America/Havana", "15 0 * * 0", "2026-03-01T12:00:00Z", "2026-03-15T00:15:00-04:00");
    check_next_in("Asia/Kathmandu", "0 6 1 * *", "2026-11-21T06:00:30Z", "2026-12-01T06:00:00+05:45");
    check_next_in("Australia/Lord_Howe", "0 2 * * *", "2026-04-04T10:00:00Z", "2026-04-06T02:00:00+10:30");
    check_next_in("America/New_York", "0 0 29 2 *", "2026-11-21T06:00:00Z", "2028-02-29T00:00:00-05:00");
    check_next_in("Africa/Casablanca", "0 3 * 2,3 *", "2026-02-14T00:00:00Z", "2026-02-14T03:00:00+01:00");
    check_next_in("America/St_Johns", "*/7 23 * * 5", "2026-11-21T06:00:10Z", "2026-11-27T23:00:00-03:30");
    /* A day that was left out; the library does not return here. */
    check_next_in("Pacific/Apia", "0 12 30 12 *", "2011-12-01T00:00:00Z", "2012-12-30T12:00:00+14:00");
}

static void check_most_recent(const char *schedule, const char *earliest, const char *now, const char *expected,
                              int missed) {
    CronSchedule parsed;
    int64_t from, until, at;
    char text[RFC3339_MAX];
    CronMissed got;
    assert_int_equal(cron_parse(schedule, &parsed), 0);
    assert_int_equal(rfc3339_parse(earliest, &from), 0);
    assert_int_equal(rfc3339_parse(now, &until), 0);
    assert_int_equal(cron_most_recent(&parsed, NULL, from, until, &at, &got), 0);
    assert_string_equal(at ? rfc3339_format(at, text) : "none", expected);
    assert_int_equal(got, missed);
}

static void test_most_recent(_unused_ void **state) {
    check_most_recent("0 * * * *", "2026-11-21T10:00:00Z", "2026-11-21T10:30:00Z", "none", CRON_NONE_MISSED);
    check_most_recent("0 * * * *", "2026-11-21T10:00:00Z", "2026-11-21T11:30:00Z", "2026-11-21T11:00:00Z",
                      CRON_NONE_MISSED);
    check_most_recent("0 * * * *", "2026-11-21T10:00:00Z", "2026-11-21T15:30:00Z", "2026-11-21T15:00:00Z",
                      CRON_FEW_MISSED);
    check_most_recent("* * * * *", "2026-11-21T10:00:00Z", "2026-11-21T15:30:30Z", "2026-11-21T15:30:00Z",
                      CRON_MANY_MISSED);
    check_most_recent("@every 90s", "2026-11-21T10:00:00Z", "2026-11-21T10:10:00Z", "2026-11-21T10:09:00Z",
                      CRON_FEW_MISSED);
    CronSchedule never;
    CronMissed missed;
    int64_t at;
    assert_int_equal(cron_parse("59 23 31 2 *", &never), 0);
    assert_int_equal(cron_most_recent(&never, NULL, 0, 1795212000ll * (int64_t)NS_PER_SEC, &at, &missed), -EINVAL);
}

static void check_next(const char *schedule, const char *after, const char *expected) {
    CronSchedule parsed;
    int64_t from;
    char text[RFC3339_MAX];
    assert_int_equal(cron_parse(schedule, &parsed), 0);
    assert_int_equal(rfc3339_parse(after, &from), 0);
    int64_t next = cron_next(&parsed, NULL, from);
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

static bool zone_refused(void *u) {
    Cluster *cluster = u;
    _cleanup_client_list_ ClientList events = {0};
    client_list(cluster->client, fake_resource("", "events"), NULL, NULL, &events, NULL);
    for (size_t i = 0; i < events.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        const char *message = value_get_str(object_value(events.items[i], arena), "message");
        if (message && streq(message, "invalid timeZone: \"Nowhere/Land\": unknown time zone Nowhere/Land"))
            return true;
    }
    return false;
}

/* The time that the job is for is shown by the clock of the zone. */
static void test_zone_in_annotation(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    cluster_start(cluster, "cronjob-controller", NULL);
    put_cronjob(cluster, "\"schedule\":\"@every 1s\",\"timeZone\":\"Asia/Kathmandu\",\"concurrencyPolicy\":\"Forbid\"");
    assert_true(fake_eventually(one_job, cluster, 10));
    _cleanup_client_list_ ClientList jobs = {0};
    client_list(cluster->client, fake_resource("batch", "jobs"), "default", NULL, &jobs, NULL);
    const char *at = value_get_str(value_path(object_value(jobs.items[0], arena), "metadata", "annotations", NULL),
                                   "batch.kubernetes.io/cronjob-scheduled-timestamp");
    assert_non_null(at);
    assert_string_equal(at + strlen("2026-11-21T06:00:00"), "+05:45");
}

static void test_unknown_zone_starts_nothing(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "cronjob-controller", NULL);
    put_cronjob(cluster, "\"schedule\":\"@every 1s\",\"timeZone\":\"Nowhere/Land\"");
    assert_true(fake_eventually(zone_refused, cluster, 10));
    assert_int_equal(n_jobs(cluster), 0);
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
        cmocka_unit_test(test_next_times_in_zones),
        cmocka_unit_test(test_most_recent),
        cmocka_unit_test_setup_teardown(test_a_missed_start_is_made_once, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_every_second_and_forbid, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_history_is_trimmed, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_zone_in_annotation, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_zone_starts_nothing, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
