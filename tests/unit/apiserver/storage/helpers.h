/* What the tests of the store share: rows of their own (so that they do not depend on generated tables), objects, a
 * driver that keeps rows in memory and fails on command, and scratch folders. */
#pragma once

#include "apiserver/storage/driver.h"
#include "apiserver/storage/store.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const pod_fields[] = {"spec.nodeName", "status.phase", NULL};
static const Resource pods = {.group = "",
                              .version = "v1",
                              .plural = "pods",
                              .singular = "pod",
                              .kind = "Pod",
                              .list_kind = "PodList",
                              .namespaced = true,
                              .storage = &pods,
                              .storage_prefix = "pods",
                              .selectable_fields = pod_fields};
static const Resource config_maps = {.group = "",
                                     .version = "v1",
                                     .plural = "configmaps",
                                     .singular = "configmap",
                                     .kind = "ConfigMap",
                                     .list_kind = "ConfigMapList",
                                     .namespaced = true,
                                     .storage = &config_maps,
                                     .storage_prefix = "configmaps"};
static const Resource nodes = {.group = "",
                               .version = "v1",
                               .plural = "nodes",
                               .singular = "node",
                               .kind = "Node",
                               .list_kind = "NodeList",
                               .storage = &nodes,
                               .storage_prefix = "minions"};

/* `metadata`: more members of metadata, beginning with a comma; `rest`: more members of the object, likewise. */
static inline Object *make_object(const Resource *resource, const char *ns, const char *name, const char *metadata,
                                  const char *rest) {
    _cleanup_free_ char *in_ns = *ns ? xasprintf("\"namespace\":\"%s\",", ns) : xstrdup("");
    _cleanup_free_ char *json =
        xasprintf("{\"kind\":\"%s\",\"apiVersion\":\"v1\",\"metadata\":{%s\"name\":\"%s\"%s}%s}", resource->kind, in_ns,
                  name, metadata, rest);
    Object *object = NULL;
    assert_int_equal(object_from_json(resource, json, strlen(json), 0, &object), 0);
    return object;
}

static inline Object *make_pod(const char *ns, const char *name, const char *node, const char *app) {
    _cleanup_free_ char *labels = xasprintf(",\"labels\":{\"app\":\"%s\"}", app);
    _cleanup_free_ char *spec = xasprintf(",\"spec\":{\"nodeName\":\"%s\"}", node);
    return make_object(&pods, ns, name, labels, spec);
}

static inline Object *make_map(const char *ns, const char *name, const char *value) {
    _cleanup_free_ char *data = xasprintf(",\"data\":{\"v\":\"%s\"}", value);
    return make_object(&config_maps, ns, name, "", data);
}

/* A driver in memory. `fail`: what the next commits answer. */
typedef struct MemoryRow {
    char *key, *value;
    size_t len;
    uint64_t revision, create_revision;
} MemoryRow;
typedef struct MemoryDriver {
    StoreDriver base; /* first */
    MemoryRow *rows;
    size_t n;
    uint64_t revision;
    atomic_int fail;
    atomic_size_t commits, idles;
} MemoryDriver;

static inline int memory_load(StoreDriver *base,
                              int (*row)(const char *key, const void *value, size_t len, uint64_t revision,
                                         uint64_t create_revision, void *userdata),
                              void *userdata, uint64_t *ret_revision) {
    MemoryDriver *driver = (MemoryDriver *)base;
    for (size_t i = 0; i < driver->n; i++) {
        MemoryRow *it = &driver->rows[i];
        int r = row(it->key, it->value, it->len, it->revision, it->create_revision, userdata);
        if (r < 0)
            return r;
    }
    *ret_revision = driver->revision;
    return 0;
}

static inline void memory_put(MemoryDriver *driver, const char *key, const void *value, size_t len, uint64_t revision,
                              uint64_t create_revision) {
    size_t i = 0;
    while (i < driver->n && strcmp(driver->rows[i].key, key) < 0)
        i++;
    bool there = i < driver->n && streq(driver->rows[i].key, key);
    if (there) {
        free(driver->rows[i].key);
        free(driver->rows[i].value);
        if (!value) {
            memmove(&driver->rows[i], &driver->rows[i + 1], (driver->n - i - 1) * sizeof(MemoryRow));
            driver->n--;
            return;
        }
    } else if (!value) {
        return;
    } else {
        driver->rows = xreallocn(driver->rows, driver->n + 1, sizeof(MemoryRow));
        memmove(&driver->rows[i + 1], &driver->rows[i], (driver->n - i) * sizeof(MemoryRow));
        driver->n++;
    }
    driver->rows[i] = (MemoryRow){xstrdup(key), xmemdup(value, len), len, revision, create_revision};
}

static inline int memory_commit(StoreDriver *base, const StorePut *puts, size_t n) {
    MemoryDriver *driver = (MemoryDriver *)base;
    driver->commits++;
    if (driver->fail)
        return driver->fail;
    for (size_t i = 0; i < n; i++)
        memory_put(driver, puts[i].key, puts[i].value, puts[i].len, puts[i].revision, puts[i].create_revision);
    driver->revision = puts[n - 1].revision;
    return 0;
}

static inline void memory_idle(StoreDriver *base) {
    ((MemoryDriver *)base)->idles++;
}

/* Closing keeps the rows: the same driver can be opened again, as after a restart. memory_driver_free ends it. */
static inline void memory_close(StoreDriver *base) {
    (void)base;
}

static inline MemoryDriver *memory_driver_new(void) {
    MemoryDriver *driver = NEW0(MemoryDriver);
    driver->base = (StoreDriver){
        .name = "memory", .load = memory_load, .commit = memory_commit, .idle = memory_idle, .close = memory_close};
    return driver;
}

static inline void memory_driver_free(MemoryDriver *driver) {
    for (size_t i = 0; i < driver->n; i++) {
        free(driver->rows[i].key);
        free(driver->rows[i].value);
    }
    free(driver->rows);
    free(driver);
}

static inline char *scratch_folder(void) {
    char *folder = xstrdup("/tmp/lighter-store-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static inline void scratch_remove(char *folder) {
    assert_int_equal(fs_remove_tree(folder), 0);
    free(folder);
}

static inline Store *open_sqlite(const char *folder) {
    _cleanup_free_ char *path = xasprintf("%s/state.db", folder);
    StoreDriver *driver = NULL;
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    Store *store = NULL;
    assert_int_equal(store_open(driver, NULL, &store), 0);
    return store;
}
