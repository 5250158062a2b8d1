/* A store over each driver in turn, and what the tests do with it. */
#pragma once

#include "apiserver/storage/driver.h"
#include "apiserver/storage/store.h"
#include "etcd_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

typedef struct Backend {
    const char *name;
    bool shared;
} Backend;

typedef struct Fixture {
    const Backend *backend;
    char folder[48];
    EtcdServer etcd;
    uint32_t compaction_seconds;
    Store *store;
} Fixture;

static inline Store *open_etcd(const char *url, uint32_t compaction_seconds) {
    const char *const servers[] = {url, NULL};
    _cleanup_free_ char *why = NULL;
    StoreDriver *driver = NULL;
    Store *store = NULL;
    EtcdDriverConfig config = {.servers = servers, .compaction_seconds = compaction_seconds, .start_wait_seconds = 20};
    assert_int_equal(etcd_driver_open(&config, &driver, &why), 0);
    assert_int_equal(store_open(driver, NULL, &store), 0);
    return store;
}

static inline Store *open_store(Fixture *f) {
    if (f->backend->shared)
        return open_etcd(f->etcd.url, f->compaction_seconds);
    _cleanup_free_ char *path = xasprintf("%s/state.db", f->folder);
    StoreDriver *driver = NULL;
    Store *store = NULL;
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &store), 0);
    return store;
}

static inline void reopen(Fixture *f) {
    store_close(f->store);
    f->store = NULL;
    f->store = open_store(f);
}

static inline int set_up(void **state) {
    Fixture *f = NEW0(Fixture);
    f->backend = *state;
    strcpy(f->folder, "/tmp/lighter-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    if (f->backend->shared)
        assert_true(etcd_new(&f->etcd));
    f->store = open_store(f);
    *state = f;
    return 0;
}

static inline int tear_down(void **state) {
    Fixture *f = *state;
    store_close(f->store);
    if (f->backend->shared)
        etcd_done(&f->etcd);
    fs_remove_tree(f->folder);
    free(f);
    return 0;
}

static inline const Resource *config_maps(void) {
    return resource_find("", "v1", "configmaps");
}

static inline Object *make_map(const char *name, const char *value) {
    _cleanup_free_ char *json = xasprintf("{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
                                          "\"namespace\":\"d\"},\"data\":{\"v\":\"%s\"}}",
                                          name, value);
    Object *object = NULL;
    assert_int_equal(object_from_json(config_maps(), json, strlen(json), 0, &object), 0);
    return object;
}

static inline int try_create(Store *store, const char *name, const char *value, uint64_t *ret_revision) {
    _cleanup_object_ Object *object = make_map(name, value), *stored = NULL;
    int r = store_create(store, object, &stored);
    if (r == 0 && ret_revision)
        *ret_revision = object_revision(stored);
    return r;
}

static inline uint64_t create(Store *store, const char *name, const char *value) {
    uint64_t revision = 0;
    assert_int_equal(try_create(store, name, value, &revision), 0);
    return revision;
}

static inline uint64_t update(Store *store, const char *name, const char *value) {
    _cleanup_object_ Object *object = make_map(name, value), *stored = NULL;
    assert_int_equal(store_update(store, object, 0, &stored), 0);
    return object_revision(stored);
}

static inline uint64_t remove_map(Store *store, const char *name) {
    _cleanup_object_ Object *last = NULL;
    assert_int_equal(store_delete(store, config_maps(), "d", name, 0, NULL, &last), 0);
    return object_revision(last);
}

/* The value of a map, into out; "" when it is not there. */
static inline const char *value_of(Store *store, const char *name, char out[64]) {
    _cleanup_object_ Object *object = NULL;
    *out = 0;
    if (store_get(store, config_maps(), "d", name, &object) == 0) {
        const char *at = strstr(object_json(object, NULL), "\"v\":\"") + 5;
        snprintf(out, 64, "%.*s", (int)strcspn(at, "\""), at);
    }
    return out;
}

static inline Watch *watch_from(Store *store, uint64_t since) {
    Watch *watch = NULL;
    assert_int_equal(store_watch(store, &(WatchQuery){.resource = config_maps(), .since = since}, &watch), 0);
    return watch;
}

/* The next event within ten seconds; its object is the caller's. */
static inline int next_event(Watch *watch, WatchEvent *ret) {
    for (int i = 0; i < 10000; i++) {
        int r = watch_next(watch, ret);
        if (r != 0)
            return r;
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
    return 0;
}

static inline void expect_event(Watch *watch, WatchType type, const char *name, uint64_t revision) {
    WatchEvent event;
    assert_int_equal(next_event(watch, &event), 1);
    assert_int_equal(event.type, type);
    assert_string_equal(object_name(event.object), name);
    assert_int_equal(event.revision, revision);
    assert_int_equal(object_revision(event.object), revision);
    object_unref(event.object);
}

static inline int list_at(Store *store, uint64_t revision, ObjectList *ret) {
    _cleanup_api_error_ ApiError err = {0};
    return store_list(store, &(ListQuery){.resource = config_maps(), .at_revision = revision}, ret, &err);
}

static inline void in_sync(Store *store) {
    assert_int_equal(store_sync(store, now_monotonic_ns() + 10 * NS_PER_SEC), 0);
}
