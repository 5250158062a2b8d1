/* The event recorder's correlation and bounds, and leader election, over an API server in memory. */
#include "../../support/fake_api.h"
#include "client/events.h"
#include "client/leader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

typedef struct Fixture {
    FakeApi *api;
    Client *client;
    Object *pod;
    _Atomic int leading, lost;
} Fixture;

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    f->api = fake_api_new(&f->client);
    f->pod = fake_put_json(
        f->client, "", "pods", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[]}}");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    object_unref(f->pod);
    client_free(f->client);
    free(f);
    return 0;
}

static Value *only_event(Fixture *f, Arena *arena, size_t expected) {
    _cleanup_client_list_ ClientList list = {0};
    client_list(f->client, fake_resource("", "events"), "default", NULL, &list, NULL);
    assert_int_equal(list.n, expected);
    return object_value(list.items[0], arena);
}

static void test_the_same_event_counts(void **state) {
    Fixture *f = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    EventRecorder *recorder = event_recorder_new(f->client, "tester", "host1");
    for (int i = 0; i < 3; i++)
        event_record(recorder, f->pod, "spec.containers{c}", "Warning", "Odd", "number %d", 7);
    event_recorder_free(recorder);
    Value *event = only_event(f, arena, 1);
    assert_int_equal(value_get_int(event, "count", 0), 3);
    assert_string_equal(value_get_str(event, "message"), "number 7");
    assert_string_equal(value_get_str(value_get(event, "involvedObject"), "uid"), object_uid(f->pod));
    assert_string_equal(value_get_str(value_get(event, "involvedObject"), "fieldPath"), "spec.containers{c}");
    assert_string_equal(value_get_str(value_get(event, "source"), "host"), "host1");
    assert_string_equal(value_get_str(event, "reportingComponent"), "tester");
}

static void test_many_similar_become_one_and_spam_ends(void **state) {
    Fixture *f = *state;
    EventRecorder *recorder = event_recorder_new(f->client, "tester", NULL);
    for (int i = 0; i < 100; i++)
        event_record(recorder, f->pod, NULL, "Normal", "Busy", "message %d", i);
    event_recorder_free(recorder);
    _cleanup_client_list_ ClientList list = {0};
    client_list(f->client, fake_resource("", "events"), "default", NULL, &list, NULL);
    /* Nine of their own, one for the rest; and no more than 25 writes for one object. */
    assert_int_equal(list.n, 10);
    assert_true(f->api->calls[API_CREATE] + f->api->calls[API_PATCH] <= 25 + 1);
}

static void test_the_same_message_again_is_not_another_one(void **state) {
    Fixture *f = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    EventRecorder *recorder = event_recorder_new(f->client, "tester", NULL);
    for (int i = 0; i < 15; i++)
        event_record(recorder, f->pod, NULL, "Warning", "BackOff", "back-off");
    event_recorder_free(recorder);
    Value *event = only_event(f, arena, 1);
    assert_string_equal(value_get_str(event, "message"), "back-off");
    assert_int_equal(value_get_int(event, "count", 0), 15);
}

static void on_started(void *u) {
    ((Fixture *)u)->leading++;
}
static void on_stopped(void *u) {
    ((Fixture *)u)->lost++;
}
static bool first_leads(void *u) {
    return ((Fixture *)u)->leading == 1;
}
static bool second_leads(void *u) {
    return ((Fixture *)u)->leading == 2;
}

static void test_one_leader_at_a_time_and_handover(void **state) {
    Fixture *f = *state;
    LeaderConfig config = {.client = f->client,
                           .ns = "kube-system",
                           .name = "l",
                           .identity = "a",
                           .started = on_started,
                           .stopped = on_stopped,
                           .userdata = f};
    Leader *a = leader_new(&config);
    assert_true(fake_eventually(first_leads, f, 5));
    config.identity = "b";
    Leader *b = leader_new(&config);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_int_equal(f->leading, 1);
    /* It gives the lease up on its way out: the other need not wait for it to run out. */
    leader_free(a);
    assert_true(fake_eventually(second_leads, f, 8));
    assert_int_equal(f->lost, 0);
    leader_free(b);
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *lease = NULL;
    client_get(f->client, fake_resource("coordination.k8s.io", "leases"), "kube-system", "l", &lease, NULL);
    assert_int_equal(value_get_int(value_get(object_value(lease, arena), "spec"), "leaseTransitions", 0), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_event_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_similar_become_one_and_spam_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_same_message_again_is_not_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_leader_at_a_time_and_handover, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
