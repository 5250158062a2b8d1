/* What the store promises, over each of its drivers. */
#include "store_fixture.h"

static const Backend backends[] = {{"sqlite", false}, {"etcd", true}};

static void writes_and_refuses(void **state) {
    Store *store = ((Fixture *)*state)->store;
    char value[64];
    uint64_t first = create(store, "a", "1");
    assert_int_equal(try_create(store, "a", "2", NULL), -EEXIST);
    _cleanup_object_ Object *absent = make_map("b", "1"), *changed = make_map("a", "2"), *same = make_map("a", "2"),
                            *stored = NULL, *last = NULL;
    assert_int_equal(store_update(store, absent, 0, NULL), -ENOENT);
    assert_int_equal(store_update(store, changed, first + 1000, NULL), -ESTALE);
    assert_int_equal(store_update(store, changed, first, NULL), 0);
    uint64_t second = store_revision(store);
    assert_true(second > first);
    assert_string_equal(value_of(store, "a", value), "2");
    assert_int_equal(store_update(store, same, second, &stored), 0); /* no byte changes: no revision */
    assert_int_equal(object_revision(stored), second);
    assert_int_equal(store_delete(store, config_maps(), "d", "a", first, NULL, NULL), -ESTALE);
    assert_int_equal(store_delete(store, config_maps(), "d", "a", second, NULL, &last), 0);
    assert_true(object_revision(last) > second);
    assert_int_equal(store_delete(store, config_maps(), "d", "a", 0, NULL, NULL), -ENOENT);
    assert_string_equal(value_of(store, "a", value), "");
    assert_true(create(store, "a", "3") > object_revision(last));
}

static void reads_its_own_writes_after_a_restart(void **state) {
    Fixture *f = *state;
    char value[64];
    uint64_t a = create(f->store, "a", "1"), b = create(f->store, "b", "1");
    uint64_t again = update(f->store, "a", "2"), gone = remove_map(f->store, "b");
    assert_true(a < b && b < again && again < gone);
    reopen(f);
    assert_true(store_revision(f->store) >= gone);
    assert_string_equal(value_of(f->store, "a", value), "2");
    assert_string_equal(value_of(f->store, "b", value), "");
    _cleanup_object_ Object *object = NULL;
    assert_int_equal(store_get(f->store, config_maps(), "d", "a", &object), 0);
    assert_int_equal(object_revision(object), again);
    assert_true(create(f->store, "c", "1") > gone);
}

static void keeps_large_objects_and_any_text(void **state) {
    Fixture *f = *state;
    enum { BIG = 1000 * 1000 };
    _cleanup_free_ char *big = xmalloc(BIG + 1);
    memset(big, 'x', BIG);
    big[BIG] = 0;
    create(f->store, "big", big);
    create(f->store, "text", "\xc3\xa9 \\\" \\n \\u0001");
    _cleanup_object_ Object *before = NULL, *after = NULL;
    assert_int_equal(store_get(f->store, config_maps(), "d", "text", &before), 0);
    reopen(f);
    assert_int_equal(store_get(f->store, config_maps(), "d", "text", &after), 0);
    assert_string_equal(object_json(before, NULL), object_json(after, NULL));
    object_unref(after);
    assert_int_equal(store_get(f->store, config_maps(), "d", "big", &after), 0);
    assert_non_null(strstr(object_json(after, NULL), big));
}

static void watches_in_order(void **state) {
    Store *store = ((Fixture *)*state)->store;
    uint64_t before = create(store, "x", "0");
    Watch *now = watch_from(store, 0), *then = watch_from(store, before);
    uint64_t a = create(store, "a", "1"), b = update(store, "a", "2"), c = remove_map(store, "a");
    Watch *const watches[] = {now, then};
    for (size_t i = 0; i < 2; i++) {
        WatchEvent event;
        expect_event(watches[i], WATCH_ADDED, "a", a);
        expect_event(watches[i], WATCH_MODIFIED, "a", b);
        expect_event(watches[i], WATCH_DELETED, "a", c);
        assert_int_equal(watch_next(watches[i], &event), 0);
        assert_true(watch_revision(watches[i]) >= c);
        watch_close(watches[i]);
    }
}

static void lists_what_was(void **state) {
    Store *store = ((Fixture *)*state)->store;
    create(store, "a", "1");
    uint64_t then = create(store, "b", "1");
    remove_map(store, "a");
    update(store, "b", "2");
    create(store, "c", "1");
    _cleanup_object_list_ ObjectList old = {0}, now = {0};
    assert_int_equal(list_at(store, then, &old), 0);
    assert_int_equal(old.n, 2);
    assert_string_equal(object_name(old.items[0]), "a");
    assert_non_null(strstr(object_json(old.items[1], NULL), "\"v\":\"1\""));
    assert_int_equal(old.revision, then);
    assert_int_equal(list_at(store, 0, &now), 0);
    assert_int_equal(now.n, 2);
    assert_string_equal(object_name(now.items[1]), "c");
}

/* ---- many writers ---- */

typedef struct Writer {
    pthread_t thread;
    Store *store;
    int id, count;
    atomic_int *failures;
} Writer;

static void *create_many(void *userdata) {
    Writer *w = userdata;
    for (int i = 0; i < w->count; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d-%d", w->id, i);
        if (try_create(w->store, name, "1", NULL) < 0)
            (*w->failures)++;
    }
    return NULL;
}

/* Adds one to a number that all of them add to, on the condition that nobody was faster. */
static void *increment(void *userdata) {
    Writer *w = userdata;
    for (int i = 0; i < w->count;) {
        _cleanup_object_ Object *object = NULL;
        char text[32];
        if (store_get(w->store, config_maps(), "d", "n", &object) < 0)
            break;
        snprintf(text, sizeof text, "%d", atoi(strstr(object_json(object, NULL), "\"v\":\"") + 5) + 1);
        _cleanup_object_ Object *next = make_map("n", text);
        int r = store_update(w->store, next, object_revision(object), NULL);
        if (r == 0)
            i++;
        else if (r != -ESTALE) {
            (*w->failures)++;
            break;
        }
    }
    return NULL;
}

#define WRITERS 8
#define EACH 50

/* `stores`: one, or two that share. */
static void run_writers(Store *const *stores, size_t n_stores, void *(*fn)(void *)) {
    Writer writers[WRITERS];
    atomic_int failures = 0;
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (Writer){.store = stores[(size_t)i % n_stores], .id = i, .count = EACH, .failures = &failures};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, fn, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    assert_int_equal(failures, 0);
}

static void expect_each_once(Watch *watch, size_t n) {
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++) {
        WatchEvent event;
        assert_int_equal(next_event(watch, &event), 1);
        assert_int_equal(event.type, WATCH_ADDED);
        assert_true(event.revision > last);
        last = event.revision;
        object_unref(event.object);
    }
    WatchEvent more;
    assert_int_equal(watch_next(watch, &more), 0);
}

static void takes_many_writers(void **state) {
    Store *store = ((Fixture *)*state)->store;
    Watch *watch = watch_from(store, 0);
    run_writers(&store, 1, create_many);
    assert_int_equal(store_count(store, config_maps()), WRITERS * EACH);
    expect_each_once(watch, WRITERS * EACH);
    watch_close(watch);
}

static void loses_no_increment(void **state) {
    Store *store = ((Fixture *)*state)->store;
    char value[64];
    create(store, "n", "0");
    run_writers(&store, 1, increment);
    assert_int_equal(atoi(value_of(store, "n", value)), WRITERS * EACH);
}

/* ---- several stores on one etcd ---- */

static void sees_what_the_other_wrote(void **state) {
    Fixture *f = *state;
    char value[64];
    Store *other = open_store(f);
    Watch *watch = watch_from(other, 0);
    uint64_t a = create(f->store, "a", "1");
    in_sync(other);
    assert_string_equal(value_of(other, "a", value), "1");
    uint64_t b = update(other, "a", "2"), c = remove_map(f->store, "a");
    expect_event(watch, WATCH_ADDED, "a", a);
    expect_event(watch, WATCH_MODIFIED, "a", b);
    expect_event(watch, WATCH_DELETED, "a", c);
    watch_close(watch);
    /* refused on what was true a moment ago: the truth is asked for */
    remove_map(f->store, (create(f->store, "x", "1"), "x"));
    assert_int_equal(try_create(other, "x", "2", NULL), 0);
    assert_int_equal(try_create(f->store, "x", "3", NULL), -EEXIST);
    _cleanup_object_ Object *changed = make_map("y", "2");
    create(f->store, "y", "1");
    assert_int_equal(store_update(other, changed, 0, NULL), 0);
    store_close(other);
}

static void two_lose_no_increment(void **state) {
    Fixture *f = *state;
    char value[64];
    Store *stores[] = {f->store, open_store(f)};
    create(f->store, "n", "0");
    in_sync(stores[1]);
    run_writers(stores, 2, increment);
    in_sync(f->store);
    assert_int_equal(atoi(value_of(f->store, "n", value)), WRITERS * EACH);
    store_close(stores[1]);
}

static void two_tell_each_write_once(void **state) {
    Fixture *f = *state;
    Store *stores[] = {f->store, open_store(f)};
    Watch *watches[] = {watch_from(stores[0], 0), watch_from(stores[1], 0)};
    run_writers(stores, 2, create_many);
    for (size_t i = 0; i < 2; i++) {
        expect_each_once(watches[i], WRITERS * EACH);
        watch_close(watches[i]);
    }
    store_close(stores[1]);
}

#define CASE(test, backend)                                                                                            \
    { #test, test, set_up, tear_down, (void *)(uintptr_t)(backend) }

int main(void) {
    int failed = 0;
    for (size_t i = 0; i < ELEMENTSOF(backends); i++) {
        const Backend *b = &backends[i];
        const struct CMUnitTest tests[] = {
            CASE(writes_and_refuses, b),
            CASE(reads_its_own_writes_after_a_restart, b),
            CASE(keeps_large_objects_and_any_text, b),
            CASE(watches_in_order, b),
            CASE(lists_what_was, b),
            CASE(takes_many_writers, b),
            CASE(loses_no_increment, b),
        };
        failed += cmocka_run_group_tests_name(b->name, tests, NULL, NULL);
    }
    const Backend *etcd = &backends[1];
    const struct CMUnitTest shared[] = {
        CASE(sees_what_the_other_wrote, etcd),
        CASE(two_lose_no_increment, etcd),
        CASE(two_tell_each_write_once, etcd),
    };
    failed += cmocka_run_group_tests_name("several stores on one etcd", shared, NULL, NULL);
    return failed ? 1 : 0;
}
