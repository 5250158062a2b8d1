/* The sqlite driver's log: it goes back into the database while the store is open, so that it, and the time that the
 * next start takes to read it, stay short. */
#include "helpers.h"

#include <sys/stat.h>

#include "base/clock.h"

#define VALUE_BYTES ((size_t)64 * 1024)
#define VALUES 200 /* 12.5 MiB: three times the pages from which on the log is copied */
#define PATIENCE_NS (60 * NS_PER_SEC)

typedef struct Fixture {
    char *folder, *path, *log;
    StoreDriver *driver;
} Fixture;

static int set_up(void **state) {
    Fixture *fixture = NEW0(Fixture);
    fixture->folder = scratch_folder();
    fixture->path = xasprintf("%s/state.db", fixture->folder);
    fixture->log = xasprintf("%s-wal", fixture->path);
    *state = fixture;
    return sqlite_driver_open(fixture->path, &fixture->driver);
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    fixture->driver->close(fixture->driver);
    scratch_remove(fixture->folder);
    free(fixture->path);
    free(fixture->log);
    free(fixture);
    return 0;
}

static void write_values(Fixture *fixture) {
    _cleanup_free_ char *value = xmalloc(VALUE_BYTES);
    memset(value, 'x', VALUE_BYTES);
    for (unsigned i = 1; i <= VALUES; i++) {
        char key[64];
        snprintf(key, sizeof key, "/registry/a/%u", i);
        StorePut put = {.key = key, .value = value, .len = VALUE_BYTES, .revision = i, .create_revision = i};
        assert_int_equal(fixture->driver->commit(fixture->driver, &put, 1), 0);
    }
}

/* Waits until the file has at least, or at most, so many bytes. */
static void wait_for_size(const char *path, off_t least, off_t most) {
    uint64_t deadline = now_monotonic_ns() + PATIENCE_NS;
    struct stat st = {0};
    do {
        assert_int_equal(stat(path, &st), 0);
        if (st.st_size >= least && st.st_size <= most)
            return;
        usleep(2000);
    } while (now_monotonic_ns() < deadline);
    fail_msg("%s has %lld bytes", path, (long long)st.st_size);
}

static void copies_the_log_back(void **state) {
    Fixture *fixture = *state;
    write_values(fixture);
    wait_for_size(fixture->path, VALUES / 4 * (off_t)VALUE_BYTES, INT64_MAX);
}

static void empties_the_log_when_idle(void **state) {
    Fixture *fixture = *state;
    write_values(fixture);
    fixture->driver->idle(fixture->driver);
    wait_for_size(fixture->log, 0, 0);
    wait_for_size(fixture->path, VALUES * (off_t)VALUE_BYTES, INT64_MAX);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {CASE(copies_the_log_back), CASE(empties_the_log_when_idle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
