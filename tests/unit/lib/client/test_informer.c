/* The informer: list and watch, handlers, indexes, resuming, listing again after 410 and after errors. */
#include "../../support/fake_api.h"
#include "client/informer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

typedef struct Seen {
    _Atomic unsigned added, updated, deleted;
} Seen;

static void on_added(_unused_ Object *o, void *u) {
    ((Seen *)u)->added++;
}
static void on_updated(_unused_ Object *old, _unused_ Object *o, void *u) {
    ((Seen *)u)->updated++;
}
static void on_deleted(_unused_ Object *o, void *u) {
    ((Seen *)u)->deleted++;
}

typedef struct Fixture {
    FakeApi *api;
    Client *client;
    InformerSet *set;
    Informer *pods;
    Seen seen;
} Fixture;

static void put_pod(Client *client, const char *name, const char *node, const char *owner_uid) {
    char json[1024], owners[256] = "";
    if (owner_uid)
        snprintf(
            owners, sizeof owners,
            ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\",\"uid\":\"%s\","
            "\"controller\":true}]",
            owner_uid);
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"a\"}%s},"
             "\"spec\":{\"nodeName\":\"%s\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
             name, owners, node);
    object_unref(fake_put_json(client, "", "pods", "default", json));
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    f->api = fake_api_new(&f->client);
    f->set = informer_set_new(f->client);
    f->pods = informer_get(f->set, fake_resource("", "pods"), NULL, NULL);
    informer_index_field(f->pods, "spec.nodeName");
    informer_add_handler(f->pods, &(InformerHandler){on_added, on_updated, on_deleted}, &f->seen);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    informer_set_free(f->set);
    client_free(f->client);
    free(f);
    return 0;
}

static void start(Fixture *f) {
    informer_set_start(f->set);
    assert_true(informer_set_wait_synced(f->set, 5 * NS_PER_SEC));
}

static bool three_added(void *u) {
    return ((Fixture *)u)->seen.added == 3;
}
static bool one_deleted(void *u) {
    return ((Fixture *)u)->seen.deleted == 1;
}
static bool one_updated(void *u) {
    return ((Fixture *)u)->seen.updated == 1;
}

static void test_list_watch_and_lookup(void **state) {
    Fixture *f = *state;
    put_pod(f->client, "one", "n1", NULL);
    put_pod(f->client, "two", "n2", NULL);
    start(f);
    assert_int_equal(f->seen.added, 2);
    put_pod(f->client, "three", "n1", NULL);
    assert_true(fake_eventually(three_added, f, 5));
    _cleanup_object_ Object *one = informer_lookup(f->pods, "default", "one");
    assert_non_null(one);
    _cleanup_object_ Object *by_uid = informer_lookup_uid(f->pods, object_uid(one));
    assert_ptr_equal(one, by_uid);
    assert_null(informer_lookup(f->pods, "other", "one"));
    assert_null(informer_lookup(f->pods, "default", "four"));
    assert_int_equal(client_delete(f->client, fake_resource("", "pods"), "default", "one",
                                   &(ClientDelete){.grace_seconds = 0}, NULL),
                     0);
    assert_true(fake_eventually(one_deleted, f, 5));
    assert_null(informer_lookup(f->pods, "default", "one"));
}

static void test_indexes_follow_changes(void **state) {
    Fixture *f = *state;
    put_pod(f->client, "one", "n1", "uid-1");
    put_pod(f->client, "two", "n1", "uid-1");
    put_pod(f->client, "three", "n1", NULL);
    start(f);
    ClientList list;
    informer_list_by_field(f->pods, "spec.nodeName", "n1", &list);
    assert_int_equal(list.n, 3);
    client_list_done(&list);
    informer_list_controlled(f->pods, "uid-1", &list);
    assert_int_equal(list.n, 2);
    client_list_done(&list);
    informer_list_orphans(f->pods, "default", &list);
    assert_int_equal(list.n, 1);
    assert_string_equal(object_name(list.items[0]), "three");
    client_list_done(&list);
    /* One moves to another node. */
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *two = informer_lookup(f->pods, "default", "two");
    Value *v = object_value(two, arena);
    value_set_str(arena, value_get(v, "spec"), "nodeName", "n2");
    value_remove(value_get(v, "metadata"), "ownerReferences");
    assert_int_equal(client_update(f->client, fake_resource("", "pods"), "default", "two", NULL, v, NULL, NULL), 0);
    assert_true(fake_eventually(one_updated, f, 5));
    informer_list_by_field(f->pods, "spec.nodeName", "n1", &list);
    assert_int_equal(list.n, 2);
    client_list_done(&list);
    informer_list_by_field(f->pods, "spec.nodeName", "n2", &list);
    assert_int_equal(list.n, 1);
    client_list_done(&list);
    informer_list_controlled(f->pods, "uid-1", &list);
    assert_int_equal(list.n, 1);
    client_list_done(&list);
}

static void test_expired_watch_lists_again(void **state) {
    Fixture *f = *state;
    put_pod(f->client, "one", "n1", NULL);
    put_pod(f->client, "two", "n1", NULL);
    start(f);
    /* The watch loses its place while one object goes and another comes: both must still be told. */
    pthread_mutex_lock(&f->api->lock);
    fake_remove(f->api, fake_find(f->api, fake_resource("", "pods"), "default", "one"));
    f->api->first_event = f->api->n_events + 1;
    pthread_cond_broadcast(&f->api->changed);
    pthread_mutex_unlock(&f->api->lock);
    assert_true(fake_eventually(one_deleted, f, 5));
    pthread_mutex_lock(&f->api->lock);
    f->api->first_event = f->api->n_events;
    pthread_mutex_unlock(&f->api->lock);
    put_pod(f->client, "three", "n1", NULL);
    assert_true(fake_eventually(three_added, f, 5));
    assert_int_equal(f->seen.updated, 0);
}

static void test_list_errors_are_retried(void **state) {
    Fixture *f = *state;
    put_pod(f->client, "one", "n1", NULL);
    f->api->fail_plural = "pods";
    f->api->fail_verb = API_LIST;
    f->api->fail_times = 2;
    f->api->fail_code = 500;
    start(f);
    assert_int_equal(f->seen.added, 1);
    assert_true(f->api->calls[API_LIST] >= 3);
}

static void test_many_objects(void **state) {
    Fixture *f = *state;
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "p%d", i);
        put_pod(f->client, name, i % 2 ? "odd" : "even", "uid-1");
    }
    start(f);
    for (int i = 0; i < 1000; i += 3) {
        snprintf(name, sizeof name, "p%d", i);
        client_delete(f->client, fake_resource("", "pods"), "default", name, NULL, NULL);
    }
    for (int i = 0; i < 1000 && f->seen.deleted < 334; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(f->seen.deleted, 334);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "p%d", i);
        _cleanup_object_ Object *pod = informer_lookup(f->pods, "default", name);
        assert_int_equal(pod != NULL, i % 3 != 0);
    }
    ClientList list;
    informer_list_controlled(f->pods, "uid-1", &list);
    assert_int_equal(list.n, 666);
    client_list_done(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list_watch_and_lookup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_indexes_follow_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_watch_lists_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_errors_are_retried, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_objects, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
