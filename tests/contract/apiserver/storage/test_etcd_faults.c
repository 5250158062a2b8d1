/* What the store keeps when etcd goes away and comes back, forgets old states, holds what nobody here wrote, or cannot
 * be reached for so long that changes are missed. */
#include "relay.h"
#include "store_fixture.h"

static const Backend etcd = {"etcd", true};

static int set_up_etcd(void **state) {
    *state = (void *)(uintptr_t)&etcd;
    return set_up(state);
}

/* Straight to the driver, past any store. */
static StoreDriver *open_driver(Fixture *f) {
    const char *const servers[] = {f->etcd.url, NULL};
    _cleanup_free_ char *why = NULL;
    StoreDriver *driver = NULL;
    assert_int_equal(etcd_driver_open(&(EtcdDriverConfig){.servers = servers, .start_wait_seconds = 20}, &driver, &why),
                     0);
    return driver;
}

static int write_raw(StoreDriver *driver, const char *key, const char *value, uint64_t expect, uint64_t *ret) {
    StoreWrite write = {.key = key,
                        .value = value,
                        .len = value ? strlen(value) : 0,
                        .expect = expect,
                        .deadline_ns = now_monotonic_ns() + 10 * NS_PER_SEC};
    int r = driver->write(driver, &write);
    if (ret)
        *ret = write.ret_revision;
    return r;
}

/* ---- etcd is killed while many write ---- */

typedef struct Load {
    pthread_t thread;
    Store *store;
    int id;
    atomic_bool *stop;
    int acknowledged[4096];
    int n, errors;
    uint64_t last;
    bool went_back;
} Load;

static void *write_until(void *userdata) {
    Load *load = userdata;
    for (int i = 0; !*load->stop && load->n < (int)ELEMENTSOF(load->acknowledged); i++) {
        char name[32];
        uint64_t revision = 0;
        snprintf(name, sizeof name, "w%d-%d", load->id, i);
        if (try_create(load->store, name, "1", &revision) < 0) {
            load->errors++;
            continue;
        }
        load->went_back = load->went_back || revision <= load->last;
        load->last = revision;
        load->acknowledged[load->n++] = i;
    }
    return NULL;
}

static void loses_nothing_when_etcd_is_killed(void **state) {
    Fixture *f = *state;
    enum { LOADS = 4 };
    Load *loads = NEWN0(Load, LOADS);
    atomic_bool stop = false;
    Watch *watch = watch_from(f->store, 0);
    for (int i = 0; i < LOADS; i++) {
        loads[i] = (Load){.store = f->store, .id = i, .stop = &stop};
        assert_int_equal(pthread_create(&loads[i].thread, NULL, write_until, &loads[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 300 * NS_PER_MS}, NULL);
        etcd_signal(&f->etcd, SIGKILL);
        assert_true(etcd_start(&f->etcd));
    }
    nanosleep(&(struct timespec){.tv_nsec = 300 * NS_PER_MS}, NULL);
    stop = true;
    size_t total = 0;
    for (int i = 0; i < LOADS; i++)
        pthread_join(loads[i].thread, NULL);
    for (int i = 0; i < LOADS; i++) {
        assert_int_equal(loads[i].errors, 0); /* they waited: the time was long enough */
        assert_false(loads[i].went_back);
        assert_true(loads[i].n > 0);
        total += (size_t)loads[i].n;
    }
    WatchEvent event;
    uint64_t last = 0;
    for (size_t i = 0; i < total; i++) { /* each told once, in order */
        assert_int_equal(next_event(watch, &event), 1);
        assert_true(event.revision > last);
        last = event.revision;
        object_unref(event.object);
    }
    assert_int_equal(watch_next(watch, &event), 0);
    watch_close(watch);
    reopen(f);
    assert_true(store_revision(f->store) >= last);
    assert_int_equal(store_count(f->store, config_maps()), total);
    for (int i = 0; i < LOADS; i++)
        for (int j = 0; j < loads[i].n; j++) {
            char name[32], value[64];
            snprintf(name, sizeof name, "w%d-%d", i, loads[i].acknowledged[j]);
            assert_string_equal(value_of(f->store, name, value), "1");
        }
    free(loads);
}

/* ---- compaction ---- */

static void says_gone_after_compaction(void **state) {
    Fixture *f = *state;
    store_close(f->store);
    f->compaction_seconds = 1;
    f->store = open_store(f);
    uint64_t old = create(f->store, "a", "1");
    update(f->store, "a", "2");
    _cleanup_object_list_ ObjectList list = {0}, gone = {0};
    assert_int_equal(list_at(f->store, old, &list), 0);
    /* a turn remembers where it is; the next one compacts to there */
    Watch *watch = NULL;
    WatchQuery query = {.resource = config_maps(), .since = old};
    int r = 0;
    for (int i = 0; i < 1000 && r == 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
        r = store_watch(f->store, &query, &watch);
        watch_close(TAKE_PTR(watch));
    }
    assert_int_equal(r, -EKEYEXPIRED);
    assert_int_equal(list_at(f->store, old, &gone), -EKEYEXPIRED);
    char value[64];
    assert_string_equal(value_of(f->store, "a", value), "2");
}

static void reads_again_when_changes_are_missed(void **state) {
    Fixture *f = *state;
    Relay relay;
    char url[40], value[64];
    assert_true(relay_start(&relay, f->etcd.port));
    snprintf(url, sizeof url, "http://127.0.0.1:%u", relay.port);
    create(f->store, "stays", "1");
    create(f->store, "changes", "1");
    create(f->store, "goes", "1");
    Store *far = open_etcd(url, 0);
    assert_string_equal(value_of(far, "goes", value), "1"); /* also: its table is built */
    Watch *watch = watch_from(far, 0);
    relay.cut = true;
    nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_MS}, NULL);
    remove_map(f->store, "goes");
    update(f->store, "changes", "2");
    create(f->store, "comes", "1");
    store_close(f->store); /* compacts what the far one has not heard of */
    f->compaction_seconds = 1;
    f->store = open_store(f);
    uint64_t old = store_revision(f->store);
    for (int i = 0; i < 4; i++) {
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        update(f->store, "stays", i % 2 ? "2" : "3");
    }
    relay.cut = false;
    WatchEvent event;
    assert_int_equal(next_event(watch, &event), -EKEYEXPIRED);
    in_sync(far);
    assert_true(store_revision(far) > old);
    assert_string_equal(value_of(far, "goes", value), "");
    assert_string_equal(value_of(far, "changes", value), "2");
    assert_string_equal(value_of(far, "comes", value), "1");
    assert_int_equal(store_count(far, config_maps()), 3);
    assert_int_equal(try_create(far, "goes", "2", NULL), 0); /* and it goes on */
    watch_close(watch);
    store_close(far);
    relay_stop(&relay);
}

/* ---- what others put there ---- */

static const Resource things = {.group = "example.com",
                                .version = "v1",
                                .plural = "things",
                                .singular = "thing",
                                .kind = "Thing",
                                .list_kind = "ThingList",
                                .storage = &things,
                                .storage_prefix = "example.com/things"};

static void keeps_rows_of_unknown_resources(void **state) {
    Fixture *f = *state;
    StoreDriver *raw = open_driver(f);
    static const char json[] = "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"%s\"}}";
    for (int i = 2; i >= 0; i--) { /* not in key order; one of them is gone again */
        char key[64], value[160], name[8];
        uint64_t revision;
        snprintf(name, sizeof name, "t%d", i);
        snprintf(key, sizeof key, "/registry/example.com/things/%s", name);
        snprintf(value, sizeof value, json, name);
        assert_int_equal(write_raw(raw, key, value, 0, &revision), 0);
        assert_int_equal(write_raw(raw, key, value, 0, NULL), -ESTALE);
        if (i == 1)
            assert_int_equal(write_raw(raw, key, NULL, revision, NULL), 0);
    }
    in_sync(f->store);
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(store_list(f->store, &(ListQuery){.resource = &things}, &list, &err), 0);
    assert_int_equal(list.n, 2);
    assert_string_equal(object_name(list.items[0]), "t0");
    assert_string_equal(object_name(list.items[1]), "t2");
    raw->close(raw);
}

static void says_what_is_damaged(void **state) {
    Fixture *f = *state;
    StoreDriver *raw = open_driver(f);
    uint64_t a = create(f->store, "a", "1"), damaged;
    Watch *watch = watch_from(f->store, 0);
    assert_int_equal(write_raw(raw, "/registry/configmaps/d/a", "no object", a, &damaged), 0);
    in_sync(f->store);
    expect_event(watch, WATCH_DELETED, "a", damaged);
    _cleanup_object_ Object *object = NULL;
    _cleanup_object_list_ ObjectList list = {0};
    assert_int_equal(store_get(f->store, config_maps(), "d", "a", &object), -EBADMSG);
    assert_true(list_at(f->store, 0, &list) < 0);
    assert_int_equal(write_raw(raw, "/registry/configmaps/d/a", NULL, damaged, NULL), 0);
    in_sync(f->store);
    assert_int_equal(list_at(f->store, 0, &list), 0);
    assert_int_equal(list.n, 0);
    create(f->store, "a", "2");
    watch_close(watch);
    raw->close(raw);
}

static void lets_go_what_has_a_time(void **state) {
    Fixture *f = *state;
    assert_int_equal(store_set_ttl(f->store, config_maps(), 1), 0);
    Watch *watch = watch_from(f->store, 0);
    uint64_t a = create(f->store, "a", "1");
    expect_event(watch, WATCH_ADDED, "a", a);
    WatchEvent event;
    assert_int_equal(next_event(watch, &event), 1);
    assert_int_equal(event.type, WATCH_DELETED);
    assert_string_equal(object_name(event.object), "a");
    object_unref(event.object);
    watch_close(watch);
}

static void has_keys_below_a_prefix(void **state) {
    Fixture *f = *state;
    const char *const servers[] = {f->etcd.url, NULL};
    _cleanup_free_ char *why = NULL;
    StoreDriver *driver = NULL;
    Store *apart = NULL;
    char value[64];
    EtcdDriverConfig config = {.servers = servers, .prefix = "apart/", .start_wait_seconds = 20};
    assert_int_equal(etcd_driver_open(&config, &driver, &why), 0);
    assert_int_equal(store_open(driver, NULL, &apart), 0);
    create(f->store, "a", "1");
    create(apart, "a", "2");
    in_sync(f->store);
    assert_string_equal(value_of(f->store, "a", value), "1");
    assert_string_equal(value_of(apart, "a", value), "2");
    store_close(apart);
}

static void refuses_what_is_no_server(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "nowhere", "http://", "http://host", "ftp://h:1/x", "http://h:1/path"};
    for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
        const char *const servers[] = {wrong[i], NULL};
        _cleanup_free_ char *why = NULL;
        StoreDriver *driver = NULL;
        assert_int_equal(etcd_driver_open(&(EtcdDriverConfig){.servers = servers}, &driver, &why), -EINVAL);
        assert_non_null(why);
    }
}

/* ---- an end before the beginning ---- */

static void *close_driver(void *userdata) {
    StoreDriver *driver = userdata;
    driver->close(driver);
    return NULL;
}

/* The server says that it is there only once the driver is being closed: nobody comes to wake who waits for calls. */
static void closes_while_it_connects(void **state) {
    (void)state;
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0}; /* an empty SETTINGS frame */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    char url[40];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    const char *const servers[] = {url, NULL};
    _cleanup_free_ char *why = NULL;
    StoreDriver *driver = NULL;
    assert_int_equal(etcd_driver_open(&(EtcdDriverConfig){.servers = servers}, &driver, &why), 0);
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(peer >= 0);
    pthread_t closer;
    assert_int_equal(pthread_create(&closer, NULL, close_driver, driver), 0);
    nanosleep(&(struct timespec){.tv_nsec = 200 * NS_PER_MS}, NULL); /* if it is not closing by then, less is tested */
    assert_int_equal(send(peer, settings, sizeof settings, MSG_NOSIGNAL), sizeof settings);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    assert_int_equal(pthread_timedjoin_np(closer, NULL, &until), 0);
    close(peer);
    close(listener);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up_etcd, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(loses_nothing_when_etcd_is_killed),
        CASE(says_gone_after_compaction),
        CASE(reads_again_when_changes_are_missed),
        CASE(keeps_rows_of_unknown_resources),
        CASE(says_what_is_damaged),
        CASE(lets_go_what_has_a_time),
        CASE(has_keys_below_a_prefix),
        cmocka_unit_test(refuses_what_is_no_server),
        cmocka_unit_test(closes_while_it_connects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
