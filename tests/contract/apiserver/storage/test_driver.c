/* What every storage driver must do (driver.h), run over the list of drivers. */
#include "apiserver/storage/driver.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct DriverCase {
    const char *name;
    int (*open)(const char *path, StoreDriver **ret);
} DriverCase;

static const DriverCase drivers[] = {{"sqlite", sqlite_driver_open}};

typedef struct Fixture {
    const DriverCase *driver_case;
    char folder[40];
    char *path;
    StoreDriver *driver;
} Fixture;

#define ROWS_MAX 4096
typedef struct Rows {
    size_t n;
    struct Row {
        char *key, *value;
        size_t len;
        uint64_t revision, create_revision;
    } items[ROWS_MAX];
    int stop_with; /* what the callback answers */
} Rows;

static int keep_row(const char *key, const void *value, size_t len, uint64_t revision, uint64_t create_revision,
                    void *userdata) {
    Rows *rows = userdata;
    if (rows->stop_with)
        return rows->stop_with;
    assert_true(rows->n < ROWS_MAX);
    rows->items[rows->n++] = (struct Row){xstrdup(key), xmemdup(value, len), len, revision, create_revision};
    return 0;
}

static void rows_done(Rows *rows) {
    for (size_t i = 0; i < rows->n; i++) {
        free(rows->items[i].key);
        free(rows->items[i].value);
    }
    free(rows);
}

static void reopen(Fixture *fixture) {
    if (fixture->driver)
        fixture->driver->close(fixture->driver);
    fixture->driver = NULL;
    assert_int_equal(fixture->driver_case->open(fixture->path, &fixture->driver), 0);
}

static Rows *load(Fixture *fixture, uint64_t *ret_revision) {
    Rows *rows = NEW0(Rows);
    assert_int_equal(fixture->driver->load(fixture->driver, keep_row, rows, ret_revision), 0);
    return rows;
}

static int set_up(void **state) {
    Fixture *fixture = NEW0(Fixture);
    fixture->driver_case = *state ? *state : &drivers[0];
    strcpy(fixture->folder, "/tmp/lighter-driver-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->path = xasprintf("%s/state.db", fixture->folder);
    reopen(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    if (fixture->driver)
        fixture->driver->close(fixture->driver);
    assert_int_equal(fs_remove_tree(fixture->folder), 0);
    free(fixture->path);
    free(fixture);
    return 0;
}

static void put(Fixture *fixture, const char *key, const char *value, uint64_t revision, uint64_t create_revision) {
    StorePut one = {key, value, value ? strlen(value) : 0, revision, create_revision};
    assert_int_equal(fixture->driver->commit(fixture->driver, &one, 1), 0);
}

static void is_empty_at_first(void **state) {
    uint64_t revision = 99;
    Rows *rows = load(*state, &revision);
    assert_int_equal(rows->n, 0);
    assert_int_equal(revision, 0);
    rows_done(rows);
}

static void keeps_what_is_put(void **state) {
    Fixture *fixture = *state;
    put(fixture, "/registry/pods/b/x", "{\"b\":1}", 1, 1);
    put(fixture, "/registry/pods/a/x", "{\"a\":1}", 2, 2);
    put(fixture, "/registry/pods/b/x", "{\"b\":2}", 3, 1);
    for (int round = 0; round < 2; round++, reopen(fixture)) {
        uint64_t revision = 0;
        Rows *rows = load(fixture, &revision);
        assert_int_equal(revision, 3);
        assert_int_equal(rows->n, 2);
        assert_string_equal(rows->items[0].key, "/registry/pods/a/x");
        assert_int_equal(rows->items[0].revision, 2);
        assert_int_equal(rows->items[1].revision, 3);
        assert_int_equal(rows->items[1].create_revision, 1);
        assert_int_equal(rows->items[1].len, 7);
        assert_memory_equal(rows->items[1].value, "{\"b\":2}", 7);
        rows_done(rows);
    }
}

static void deletes_and_remembers_the_revision(void **state) {
    Fixture *fixture = *state;
    put(fixture, "/registry/a/x", "1", 5, 5);
    put(fixture, "/registry/a/y", "2", 6, 6);
    put(fixture, "/registry/a/y", NULL, 7, 6);
    put(fixture, "/registry/a/x", NULL, 8, 5);
    put(fixture, "/registry/a/never", NULL, 9, 0);
    reopen(fixture);
    uint64_t revision = 0;
    Rows *rows = load(fixture, &revision);
    assert_int_equal(rows->n, 0);
    assert_int_equal(revision, 9);
    rows_done(rows);
}

static void commits_a_group_in_order(void **state) {
    Fixture *fixture = *state;
    StorePut group[] = {
        {"/registry/a/1", "one", 3, 1, 1},  {"/registry/a/2", "two", 3, 2, 2},   {"/registry/a/1", "uno", 3, 3, 1},
        {"/registry/a/2", NULL, 0, 4, 2},   {"/registry/a/3", "three", 5, 5, 5}, {"/registry/a/3", NULL, 0, 6, 5},
        {"/registry/a/3", "drei", 4, 7, 7},
    };
    assert_int_equal(fixture->driver->commit(fixture->driver, group, ELEMENTSOF(group)), 0);
    reopen(fixture);
    uint64_t revision = 0;
    Rows *rows = load(fixture, &revision);
    assert_int_equal(revision, 7);
    assert_int_equal(rows->n, 2);
    assert_memory_equal(rows->items[0].value, "uno", 3);
    assert_memory_equal(rows->items[1].value, "drei", 4);
    assert_int_equal(rows->items[1].create_revision, 7);
    rows_done(rows);
}

static void keeps_any_bytes(void **state) {
    Fixture *fixture = *state;
    enum { BIG = 1536 * 1024 };
    _cleanup_free_ char *big = xmalloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 + i / 251);
    StorePut group[] = {
        {"/registry/a/big", big, BIG, 1, 1},
        {"/registry/a/quote'\"%_", "a\0b", 3, 2, 2},
        {"/registry/clusterroles/system:\xc3\xa9", "x", 1, 3, 3},
    };
    assert_int_equal(fixture->driver->commit(fixture->driver, group, ELEMENTSOF(group)), 0);
    reopen(fixture);
    uint64_t revision = 0;
    Rows *rows = load(fixture, &revision);
    assert_int_equal(rows->n, 3);
    assert_int_equal(rows->items[0].len, BIG);
    assert_memory_equal(rows->items[0].value, big, BIG);
    assert_string_equal(rows->items[1].key, "/registry/a/quote'\"%_");
    assert_memory_equal(rows->items[1].value, "a\0b", 3);
    assert_string_equal(rows->items[2].key, "/registry/clusterroles/system:\xc3\xa9");
    rows_done(rows);
}

static void loads_in_key_order(void **state) {
    Fixture *fixture = *state;
    enum { N = 500 };
    static char keys[N][48];
    StorePut group[N];
    for (size_t i = 0; i < N; i++) {
        snprintf(keys[i], sizeof(keys[i]), "/registry/r/%s/%zu", i % 3 ? "a-b" : "a", (i * 7919) % N);
        group[i] = (StorePut){keys[i], "v", 1, i + 1, i + 1};
    }
    assert_int_equal(fixture->driver->commit(fixture->driver, group, N), 0);
    uint64_t revision = 0;
    Rows *rows = load(fixture, &revision);
    assert_int_equal(rows->n, N);
    for (size_t i = 1; i < rows->n; i++)
        assert_true(strcmp(rows->items[i - 1].key, rows->items[i].key) < 0);
    rows_done(rows);
}

static void stops_loading_when_told(void **state) {
    Fixture *fixture = *state;
    put(fixture, "/registry/a/x", "1", 1, 1);
    Rows *rows = NEW0(Rows);
    rows->stop_with = -EBADMSG;
    uint64_t revision = 77;
    assert_int_equal(fixture->driver->load(fixture->driver, keep_row, rows, &revision), -EBADMSG);
    assert_int_equal(revision, 77);
    rows_done(rows);
}

static void belongs_to_one_server(void **state) {
    Fixture *fixture = *state;
    StoreDriver *second = NULL;
    assert_int_equal(fixture->driver_case->open(fixture->path, &second), -EBUSY);
    assert_null(second);
    put(fixture, "/registry/a/x", "1", 1, 1); /* the first goes on */
    reopen(fixture);
}

static void idles_without_harm(void **state) {
    Fixture *fixture = *state;
    for (uint64_t i = 1; i <= 50; i++) {
        put(fixture, "/registry/a/x", "value", i, 1);
        if (fixture->driver->idle)
            fixture->driver->idle(fixture->driver);
    }
    reopen(fixture);
    uint64_t revision = 0;
    Rows *rows = load(fixture, &revision);
    assert_int_equal(revision, 50);
    assert_int_equal(rows->n, 1);
    rows_done(rows);
}

static void is_for_its_owner_alone(void **state) {
    Fixture *fixture = *state;
    put(fixture, "/registry/a/x", "1", 1, 1);
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    size_t seen = 0;
    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
        _cleanup_free_ char *path = xasprintf("%s%s", fixture->path, suffixes[i]);
        struct stat st;
        if (stat(path, &st) == 0) {
            assert_int_equal(st.st_mode & 0777, 0600);
            seen++;
        }
    }
    assert_true(seen >= 1);
}

#define CASE(test, driver)                                                                                             \
    { #test, test, set_up, tear_down, (void *)(driver) }

int main(void) {
    int failed = 0;
    for (size_t i = 0; i < ELEMENTSOF(drivers); i++) {
        const DriverCase *driver = &drivers[i];
        const struct CMUnitTest tests[] = {
            CASE(is_empty_at_first, driver),
            CASE(keeps_what_is_put, driver),
            CASE(deletes_and_remembers_the_revision, driver),
            CASE(commits_a_group_in_order, driver),
            CASE(keeps_any_bytes, driver),
            CASE(loads_in_key_order, driver),
            CASE(stops_loading_when_told, driver),
            CASE(belongs_to_one_server, driver),
            CASE(idles_without_harm, driver),
            CASE(is_for_its_owner_alone, driver),
        };
        failed += cmocka_run_group_tests_name(driver->name, tests, NULL, NULL);
    }
    return failed ? 1 : 0;
}
