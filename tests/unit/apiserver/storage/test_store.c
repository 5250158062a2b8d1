/* The store over a driver in memory: writes and their refusals, lists and pages, watches, restarts, failing disks. */
#include "helpers.h"

typedef struct Fixture {
    MemoryDriver *driver;
    Store *store;
} Fixture;

static void reopen(Fixture *fixture) {
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(store_open(&fixture->driver->base, NULL, &fixture->store), 0);
}

static int set_up(void **state) {
    Fixture *fixture = NEW0(Fixture);
    fixture->driver = memory_driver_new();
    reopen(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    store_close(fixture->store);
    memory_driver_free(fixture->driver);
    free(fixture);
    return 0;
}

static uint64_t create(Store *store, Object *object) { /* takes it */
    _cleanup_object_ Object *mine = object, *stored = NULL;
    assert_int_equal(store_create(store, mine, &stored), 0);
    assert_true(object_revision(stored) > 0);
    return object_revision(stored);
}

static uint64_t update(Store *store, Object *object) { /* takes it */
    _cleanup_object_ Object *mine = object, *stored = NULL;
    assert_int_equal(store_update(store, mine, 0, &stored), 0);
    return object_revision(stored);
}

static uint64_t delete (Store *store, const Resource *resource, const char *ns, const char *name) {
    _cleanup_object_ Object *last = NULL;
    assert_int_equal(store_delete(store, resource, ns, name, 0, NULL, &last), 0);
    return object_revision(last);
}

static void writes_and_refuses(void **state) {
    Store *store = ((Fixture *)*state)->store;
    uint64_t first = store_revision(store);
    _cleanup_object_ Object *object = make_map("d", "a", "1"), *changed = make_map("d", "a", "2");
    _cleanup_object_ Object *absent = make_map("d", "b", "1"), *stored = NULL, *read = NULL, *last = NULL;
    assert_int_equal(store_create(store, object, &stored), 0);
    assert_int_equal(object_revision(stored), first + 1);
    assert_int_equal(store_create(store, object, NULL), -EEXIST);
    assert_int_equal(store_update(store, absent, 0, NULL), -ENOENT);
    assert_int_equal(store_update(store, changed, first + 7, NULL), -ESTALE);
    assert_int_equal(store_revision(store), first + 1); /* refusals take no revision */
    assert_int_equal(store_update(store, changed, first + 1, NULL), 0);
    assert_int_equal(store_get(store, &config_maps, "d", "a", &read), 0);
    assert_int_equal(object_revision(read), first + 2);
    size_t len;
    assert_non_null(strstr(object_json(read, &len), "\"v\":\"2\""));
    assert_int_equal(store_get(store, &config_maps, "d", "b", &last), -ENOENT);
    assert_int_equal(store_get(store, &config_maps, "", "a", &last), -ENOENT);
    assert_null(last);
    assert_int_equal(store_delete(store, &config_maps, "d", "a", first, NULL, NULL), -ESTALE);
    assert_int_equal(store_delete(store, &config_maps, "d", "a", first + 2, NULL, &last), 0);
    assert_int_equal(object_revision(last), first + 3);
    assert_int_equal(store_delete(store, &config_maps, "d", "a", 0, NULL, NULL), -ENOENT);
    assert_int_equal(store_count(store, &config_maps), 0);
}

static void writes_nothing_for_no_change(void **state) {
    Fixture *fixture = *state;
    uint64_t revision = create(fixture->store, make_map("d", "a", "1"));
    size_t commits = fixture->driver->commits;
    _cleanup_object_ Object *same = make_map("d", "a", "1"), *stored = NULL;
    assert_int_equal(store_update(fixture->store, same, revision, &stored), 0);
    assert_int_equal(object_revision(stored), revision);
    assert_int_equal(fixture->driver->commits, commits);
    assert_int_equal(store_update(fixture->store, same, revision - 1, NULL), -ESTALE);
}

static void refuses_what_is_too_big(void **state) {
    Store *store = ((Fixture *)*state)->store;
    char *value = xmalloc(STORE_OBJECT_MAX + 1);
    memset(value, 'x', STORE_OBJECT_MAX);
    value[STORE_OBJECT_MAX] = 0;
    _cleanup_object_ Object *object = make_map("d", "big", value);
    free(value);
    assert_int_equal(store_create(store, object, NULL), -EFBIG);
    assert_int_equal(store_count(store, &config_maps), 0);
}

static char *names_of(const ObjectList *list) {
    Buf names = BUF_INIT(BUF_NO_LIMIT);
    buf_puts(&names, "");
    for (size_t i = 0; i < list->n; i++)
        buf_printf(&names, "%s%s/%s", i ? " " : "", object_namespace(list->items[i]), object_name(list->items[i]));
    return buf_take(&names, NULL);
}

static void assert_list(Store *store, ListQuery query, const char *expected) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(store_list(store, &query, &list, &err), 0);
    _cleanup_free_ char *names = names_of(&list);
    assert_string_equal(names ? names : "", expected);
}

static void lists_in_key_order(void **state) {
    Store *store = ((Fixture *)*state)->store;
    create(store, make_pod("a", "z", "n1", "web"));
    create(store, make_pod("a-b", "y", "n2", "web"));
    create(store, make_pod("b", "x", "n1", "db"));
    create(store, make_pod("a", "b", "", "db"));
    assert_list(store, (ListQuery){.resource = &pods}, "a-b/y a/b a/z b/x");
    assert_list(store, (ListQuery){.resource = &pods, .ns = "a"}, "a/b a/z");
    assert_list(store, (ListQuery){.resource = &pods, .ns = "none"}, "");
    assert_list(store, (ListQuery){.resource = &config_maps}, "");
    _cleanup_api_error_ ApiError err = {0};
    static const struct {
        const char *labels, *fields, *ns, *expected;
    } cases[] = {
        {"app=web", NULL, NULL, "a-b/y a/z"},
        {"app!=web", NULL, "a", "a/b"},
        {NULL, "spec.nodeName=n1", NULL, "a/z b/x"},
        {NULL, "spec.nodeName=n1", "b", "b/x"},
        {NULL, "spec.nodeName=", NULL, "a/b"},
        {NULL, "spec.nodeName=n9", NULL, ""},
        {NULL, "spec.nodeName!=n1", NULL, "a-b/y a/b"},
        {"app=db", "spec.nodeName=n1", NULL, "b/x"},
        {NULL, "metadata.name=z", "a", "a/z"},
        {NULL, "metadata.name=z", NULL, "a/z"},
        {NULL, "metadata.namespace=a", NULL, "a/b a/z"},
        {NULL, "metadata.namespace=b,metadata.name=x", NULL, "b/x"},
        {NULL, "metadata.namespace=b,metadata.name=z", NULL, ""},
        {NULL, "metadata.namespace=b", "a", ""},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        Selector *labels = NULL, *fields = NULL;
        assert_int_equal(label_selector_parse(cases[i].labels, &labels, &err), 0);
        assert_int_equal(field_selector_parse(cases[i].fields, &fields, &err), 0);
        assert_list(store, (ListQuery){.resource = &pods, .ns = cases[i].ns, .labels = labels, .fields = fields},
                    cases[i].expected);
        selector_free(labels);
        selector_free(fields);
    }
    update(store, make_pod("a", "b", "n1", "db")); /* the index follows */
    Selector *fields = NULL;
    assert_int_equal(field_selector_parse("spec.nodeName=n1", &fields, &err), 0);
    assert_list(store, (ListQuery){.resource = &pods, .fields = fields}, "a/b a/z b/x");
    delete (store, &pods, "a", "z");
    assert_list(store, (ListQuery){.resource = &pods, .fields = fields}, "a/b b/x");
    selector_free(fields);
}

/* Pages of `limit` put together, with a change of the store before each further page. */
static char *list_pages(Store *store, const char *ns, size_t limit, void (*between)(Store *, int)) {
    Buf names = BUF_INIT(BUF_NO_LIMIT);
    _cleanup_free_ char *token = NULL;
    uint64_t revision = 0;
    for (int page = 0;; page++) {
        _cleanup_object_list_ ObjectList list = {0};
        _cleanup_api_error_ ApiError err = {0};
        ListQuery query = {.resource = &config_maps, .ns = ns, .limit = limit, .continue_token = token};
        assert_int_equal(store_list(store, &query, &list, &err), 0);
        if (page == 0)
            revision = list.revision;
        assert_int_equal(list.revision, revision);
        for (size_t i = 0; i < list.n; i++) {
            size_t len;
            const char *value = strstr(object_json(list.items[i], &len), "\"v\":\"") + 5;
            buf_printf(&names, "%s=%c ", object_name(list.items[i]), *value);
        }
        buf_printf(&names, "(%d)", (int)list.remaining);
        if (!list.continue_token)
            return buf_take(&names, NULL);
        free(token);
        token = TAKE_PTR(list.continue_token);
        buf_puts(&names, " ");
        if (between)
            between(store, page);
    }
}

static void disturb(Store *store, int page) {
    if (page > 0)
        return;
    update(store, make_map("d", "a", "9"));
    update(store, make_map("d", "c", "9"));
    update(store, make_map("d", "c", "8"));
    delete (store, &config_maps, "d", "d");
    create(store, make_map("d", "bb", "9"));
    create(store, make_map("d", "dd", "9"));
    delete (store, &config_maps, "d", "dd");
    delete (store, &config_maps, "d", "e");
    create(store, make_map("d", "e", "7"));
    create(store, make_map("e", "cc", "9"));
}

static void pages_are_consistent(void **state) {
    Store *store = ((Fixture *)*state)->store;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        create(store, make_map("d", names[i], "1"));
    _cleanup_free_ char *quiet = list_pages(store, "d", 2, NULL);
    assert_string_equal(quiet, "a=1 b=1 (3) c=1 d=1 (1) e=1 (0)");
    _cleanup_free_ char *exact = list_pages(store, "d", 5, NULL);
    assert_string_equal(exact, "a=1 b=1 c=1 d=1 e=1 (0)");
    _cleanup_free_ char *disturbed = list_pages(store, "d", 2, disturb);
    assert_string_equal(disturbed, quiet);
    _cleanup_free_ char *now = list_pages(store, NULL, 4, NULL);
    assert_string_equal(now, "a=9 b=1 bb=9 c=8 (2) e=7 cc=9 (0)");
}

static void lists_at_a_revision(void **state) {
    Store *store = ((Fixture *)*state)->store;
    uint64_t one = create(store, make_map("d", "a", "1"));
    uint64_t two = create(store, make_map("d", "b", "1"));
    uint64_t three = delete (store, &config_maps, "d", "a");
    create(store, make_pod("d", "p", "", "x")); /* another row */
    assert_list(store, (ListQuery){.resource = &config_maps, .at_revision = one}, "d/a");
    assert_list(store, (ListQuery){.resource = &config_maps, .at_revision = two}, "d/a d/b");
    assert_list(store, (ListQuery){.resource = &config_maps, .at_revision = three}, "d/b");
    assert_list(store, (ListQuery){.resource = &config_maps, .at_revision = store_revision(store)}, "d/b");
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    ListQuery future = {.resource = &config_maps, .at_revision = store_revision(store) + 5};
    assert_int_equal(store_list(store, &future, &list, &err), -ETIMEDOUT);
    assert_int_equal(err.code, 504);
    assert_int_equal(err.retry_after, 1);
    _cleanup_free_ char *text = xasprintf("Timeout: Too large resource version: %d, current: %d",
                                          (int)store_revision(store) + 5, (int)store_revision(store));
    assert_string_equal(err.message, text);
}

static void assert_bad_token(Store *store, const char *token, const char *message) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    ListQuery query = {.resource = &config_maps, .ns = "d", .limit = 2, .continue_token = token};
    assert_int_equal(store_list(store, &query, &list, &err), -EINVAL);
    assert_int_equal(err.code, 400);
    assert_string_equal(err.message, message);
}

static void refuses_bad_tokens(void **state) {
    Store *store = ((Fixture *)*state)->store;
    /* answers recorded from the reference */
    assert_bad_token(store, "zzz",
                     "invalid continue token: continue key is not valid: invalid character '\xc3\x8f' looking for "
                     "beginning of value");
    assert_bad_token(store, "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi94In0",
                     "invalid continue token: continue key is not valid: ../x");
    assert_bad_token(store, "ab*d",
                     "invalid continue token: continue key is not valid: illegal base64 data at input byte 2");
    /* {"v":"v2","rv":1,"start":"x"}, then rv 0, then no start */
    assert_bad_token(
        store, "eyJ2IjoidjIiLCJydiI6MSwic3RhcnQiOiJ4In0",
        "invalid continue token: continue key is not valid: server does not recognize this encoded version v2");
    assert_bad_token(
        store, "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJ4In0",
        "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version "
        "meta.k8s.io/v1)");
    assert_bad_token(
        store, "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0",
        "invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
}

/* One token kept while more is written than the ring holds. */
static void expires_old_pages(void **state) {
    Store *store = ((Fixture *)*state)->store;
    for (char c = 'a'; c <= 'e'; c++)
        create(store, make_map("d", (char[]){c, 0}, "1"));
    _cleanup_object_list_ ObjectList first = {0}, second = {0}, third = {0};
    _cleanup_api_error_ ApiError err = {0};
    ListQuery query = {.resource = &config_maps, .ns = "d", .limit = 2};
    assert_int_equal(store_list(store, &query, &first, &err), 0);
    uint64_t old = first.revision;
    query.continue_token = first.continue_token;
    char big[64 * 1024];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    for (size_t written = 0; written <= STORE_RING_BYTES; written += sizeof(big)) {
        big[0] = (char)('0' + written / sizeof(big) % 10);
        update(store, make_map("d", "a", big));
    }
    delete (store, &config_maps, "d", "c");
    assert_int_equal(store_list(store, &query, &second, &err), -EKEYEXPIRED);
    assert_int_equal(err.code, 410);
    assert_string_equal(err.reason, "Expired");
    assert_non_null(
        strstr(err.message, "The provided continue parameter is too old to display a consistent list result."));
    assert_non_null(err.continue_token);
    _cleanup_free_ char *rest = TAKE_PTR(err.continue_token);
    query.continue_token = rest;
    api_error_done(&err);
    assert_int_equal(store_list(store, &query, &third, &err), 0);
    _cleanup_free_ char *names = names_of(&third);
    assert_string_equal(names, "d/d d/e");
    _cleanup_object_list_ ObjectList exact = {0};
    ListQuery at = {.resource = &config_maps, .at_revision = old};
    assert_int_equal(store_list(store, &at, &exact, &err), -EKEYEXPIRED);
    assert_string_equal(err.message, "The resourceVersion for the provided list is too old.");
    Watch *watch = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps, .since = old}, &watch), -EKEYEXPIRED);
    assert_true(store_oldest_revision(store, &config_maps) > old);
}

static void assert_event(Watch *watch, WatchType type, const char *name, uint64_t revision) {
    WatchEvent event = {0};
    assert_int_equal(watch_next(watch, &event), 1);
    assert_int_equal(event.type, type);
    assert_string_equal(object_name(event.object), name);
    assert_int_equal(event.revision, revision);
    assert_int_equal(object_revision(event.object), revision);
    object_unref(event.object);
}

static void assert_quiet(Watch *watch) {
    WatchEvent event = {0};
    assert_int_equal(watch_next(watch, &event), 0);
    assert_null(event.object);
}

static void watches(void **state) {
    Store *store = ((Fixture *)*state)->store;
    uint64_t r1 = create(store, make_map("d", "a", "1"));
    Watch *now = NULL, *all = NULL, *other = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps}, &now), 0);
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps, .since = r1 - 1, .ns = "d"}, &all), 0);
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &pods}, &other), 0);
    uint64_t r2 = create(store, make_map("e", "b", "1"));
    uint64_t r3 = update(store, make_map("d", "a", "2"));
    uint64_t r4 = delete (store, &config_maps, "d", "a");
    assert_event(now, WATCH_ADDED, "b", r2);
    assert_event(now, WATCH_MODIFIED, "a", r3);
    assert_event(now, WATCH_DELETED, "a", r4);
    assert_quiet(now);
    assert_int_equal(watch_revision(now), r4);
    assert_event(all, WATCH_ADDED, "a", r1);
    assert_event(all, WATCH_MODIFIED, "a", r3);
    assert_event(all, WATCH_DELETED, "a", r4);
    assert_quiet(all);
    assert_quiet(other);
    assert_int_equal(watch_revision(other), r4); /* moves on though nothing of its own happened */
    Watch *future = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &pods, .since = r4 + 1}, &future), -ERANGE);
    watch_close(now);
    watch_close(all);
    watch_close(other);
}

static void watches_what_a_selector_passes(void **state) {
    Store *store = ((Fixture *)*state)->store;
    _cleanup_api_error_ ApiError err = {0};
    Selector *web = NULL, *on_n1 = NULL;
    assert_int_equal(label_selector_parse("app=web", &web, &err), 0);
    assert_int_equal(field_selector_parse("spec.nodeName=n1", &on_n1, &err), 0);
    Watch *labels = NULL, *fields = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &pods, .labels = web}, &labels), 0);
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &pods, .fields = on_n1}, &fields), 0);
    create(store, make_pod("d", "p", "", "db"));
    uint64_t r2 = update(store, make_pod("d", "p", "", "web"));
    uint64_t r3 = update(store, make_pod("d", "p", "n1", "web"));
    uint64_t r4 = update(store, make_pod("d", "p", "n1", "db"));
    uint64_t r5 = delete (store, &pods, "d", "p");
    assert_event(labels, WATCH_ADDED, "p", r2);
    assert_event(labels, WATCH_MODIFIED, "p", r3);
    WatchEvent left = {0};
    assert_int_equal(watch_next(labels, &left), 1);
    assert_int_equal(left.type, WATCH_DELETED);
    assert_int_equal(object_revision(left.object), r4);
    assert_string_equal(object_label(left.object, "app"), "web"); /* its old state, at the new revision */
    object_unref(left.object);
    assert_quiet(labels);
    assert_event(fields, WATCH_ADDED, "p", r3);
    assert_event(fields, WATCH_MODIFIED, "p", r4);
    assert_event(fields, WATCH_DELETED, "p", r5);
    assert_quiet(fields);
    watch_close(labels);
    watch_close(fields);
    selector_free(web);
    selector_free(on_n1);
}

/* A watch of a quiet row outlives any number of events of others; one that misses its own does not. */
static void falls_behind_only_in_its_own_row(void **state) {
    Store *store = ((Fixture *)*state)->store;
    create(store, make_pod("d", "p", "", "x"));
    Watch *quiet = NULL, *slow = NULL;
    uint64_t since = store_revision(store);
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &pods, .since = since}, &quiet), 0);
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps, .since = since}, &slow), 0);
    create(store, make_map("d", "a", "1"));
    char big[64 * 1024];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    for (size_t written = 0; written <= STORE_RING_BYTES; written += sizeof(big)) {
        big[0] = (char)('0' + written / sizeof(big) % 10);
        update(store, make_map("d", "a", big));
    }
    WatchEvent event;
    assert_int_equal(watch_next(slow, &event), -EKEYEXPIRED);
    assert_quiet(quiet);
    uint64_t last = update(store, make_pod("d", "p", "n", "x"));
    assert_event(quiet, WATCH_MODIFIED, "p", last);
    watch_close(quiet);
    watch_close(slow);
}

static void deletes_with_a_last_state(void **state) {
    Store *store = ((Fixture *)*state)->store;
    create(store, make_map("d", "a", "1"));
    Watch *watch = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps}, &watch), 0);
    _cleanup_object_ Object *last = make_map("d", "a", "final"), *published = NULL;
    assert_int_equal(store_delete(store, &config_maps, "d", "a", 0, last, &published), 0);
    WatchEvent event;
    assert_int_equal(watch_next(watch, &event), 1);
    size_t len;
    assert_non_null(strstr(object_json(event.object, &len), "final"));
    assert_int_equal(object_revision(event.object), object_revision(published));
    object_unref(event.object);
    watch_close(watch);
}

static void survives_a_restart(void **state) {
    Fixture *fixture = *state;
    uint64_t r1 = create(fixture->store, make_map("d", "a", "1"));
    create(fixture->store, make_object(&nodes, "", "n1", "", ""));
    uint64_t r3 = update(fixture->store, make_map("d", "a", "2"));
    create(fixture->store, make_map("d", "b", "1"));
    uint64_t r5 = delete (fixture->store, &config_maps, "d", "b");
    reopen(fixture);
    Store *store = fixture->store;
    assert_int_equal(store_revision(store), r5);
    _cleanup_object_ Object *read = NULL;
    assert_int_equal(store_get(store, &config_maps, "d", "a", &read), 0);
    assert_int_equal(object_revision(read), r3);
    assert_list(store, (ListQuery){.resource = &nodes}, "/n1");
    assert_int_equal(store_count(store, &config_maps), 1);
    Watch *watch = NULL; /* what happened before is not known any more */
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps, .since = r3}, &watch), -EKEYEXPIRED);
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps, .since = r5}, &watch), 0);
    uint64_t r6 = update(store, make_map("d", "a", "3"));
    assert_int_equal(r6, r5 + 1);
    assert_event(watch, WATCH_MODIFIED, "a", r6);
    watch_close(watch);
    assert_int_equal(fixture->driver->rows[0].create_revision, r1);
}

static void keeps_rows_of_unknown_resources(void **state) {
    Fixture *fixture = *state;
    memory_put(fixture->driver, "/registry/things.example.com/things/x", "not even JSON", 13, 5, 5);
    memory_put(fixture->driver, "short", "v", 1, 5, 5);
    fixture->driver->revision = 5;
    reopen(fixture);
    create(fixture->store, make_map("d", "a", "1"));
    reopen(fixture);
    assert_int_equal(fixture->driver->n, 3);
    assert_list(fixture->store, (ListQuery){.resource = &config_maps}, "d/a");
}

static void says_what_is_damaged(void **state) {
    Fixture *fixture = *state;
    create(fixture->store, make_map("d", "a", "1"));
    memory_put(fixture->driver, "/registry/configmaps/d/bad", "{\"kind\":", 8, 2, 2);
    static const char other[] =
        "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"q\",\"namespace\":\"d\"}}";
    memory_put(fixture->driver, "/registry/configmaps/d/moved", other, strlen(other), 2, 2);
    reopen(fixture);
    _cleanup_object_ Object *good = NULL, *bad = NULL, *new = make_map("d", "bad", "1");
    assert_int_equal(store_get(fixture->store, &config_maps, "d", "a", &good), 0);
    assert_int_equal(store_get(fixture->store, &config_maps, "d", "bad", &bad), -EBADMSG);
    assert_int_equal(store_get(fixture->store, &config_maps, "d", "moved", &bad), -EBADMSG);
    assert_int_equal(store_create(fixture->store, new, NULL), -EBADMSG);
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    assert_true(store_list(fixture->store, &(ListQuery){.resource = &config_maps}, &list, &err) < 0);
    assert_int_equal(err.code, 500);
    assert_list(fixture->store, (ListQuery){.resource = &pods}, "");
}

static void changes_nothing_when_the_disk_refuses(void **state) {
    Fixture *fixture = *state;
    Store *store = fixture->store;
    uint64_t revision = create(store, make_map("d", "a", "1"));
    Watch *watch = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = &config_maps}, &watch), 0);
    static const int failures[] = {-ENOSPC, -EROFS, -EIO};
    for (size_t i = 0; i < ELEMENTSOF(failures); i++) {
        fixture->driver->fail = failures[i];
        _cleanup_object_ Object *changed = make_map("d", "a", "2"), *new = make_map("d", "b", "1"), *read = NULL;
        assert_int_equal(store_create(store, new, NULL), failures[i]);
        assert_int_equal(store_update(store, changed, revision, NULL), failures[i]);
        assert_int_equal(store_delete(store, &config_maps, "d", "a", 0, NULL, NULL), failures[i]);
        assert_int_equal(store_revision(store), revision);
        assert_list(store, (ListQuery){.resource = &config_maps}, "d/a");
        assert_quiet(watch);
        assert_int_equal(store_get(store, &config_maps, "d", "a", &read), 0);
        assert_int_equal(object_revision(read), revision);
    }
    fixture->driver->fail = 0;
    assert_int_equal(create(store, make_map("d", "b", "1")), revision + 1);
    assert_event(watch, WATCH_ADDED, "b", revision + 1);
    watch_close(watch);
}

typedef struct Heard {
    atomic_uint_fast64_t rows, revision;
    atomic_int calls;
} Heard;

static void hear(uint64_t rows, uint64_t revision, void *userdata) {
    Heard *heard = userdata;
    heard->rows |= rows;
    heard->revision = revision;
    heard->calls++;
}

static void tells_listeners(void **state) {
    Store *store = ((Fixture *)*state)->store;
    Heard heard = {0};
    StoreListener *listener = store_listen(store, hear, &heard);
    uint64_t revision = create(store, make_map("d", "a", "1"));
    assert_int_equal(heard.revision, revision);
    assert_int_equal(heard.rows, store_row_bit(&config_maps));
    assert_int_equal(heard.calls, 1);
    store_unlisten(store, listener);
    create(store, make_map("d", "b", "1"));
    assert_int_equal(heard.calls, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(writes_and_refuses),
        CASE(writes_nothing_for_no_change),
        CASE(refuses_what_is_too_big),
        CASE(lists_in_key_order),
        CASE(pages_are_consistent),
        CASE(lists_at_a_revision),
        CASE(refuses_bad_tokens),
        CASE(expires_old_pages),
        CASE(watches),
        CASE(watches_what_a_selector_passes),
        CASE(falls_behind_only_in_its_own_row),
        CASE(deletes_with_a_last_state),
        CASE(survives_a_restart),
        CASE(keeps_rows_of_unknown_resources),
        CASE(says_what_is_damaged),
        CASE(changes_nothing_when_the_disk_refuses),
        CASE(tells_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
