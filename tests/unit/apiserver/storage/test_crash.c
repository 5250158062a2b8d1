/* What a crash may take: nothing that was acknowledged. A child writes and tells through a pipe what was acknowledged;
 * it is killed at a random instant, and the parent opens the store and looks. Then the same with the disk full, and
 * with the file system shut down as by a power failure (where loop devices are to be had). */
#include "helpers.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"

#define WRITERS 8
#define ROUNDS 12
#define FIRST_ACK_MS 60000
#define NAMES 40 /* a writer: enough to be updated and deleted again and again */

/* One acknowledgement: this version of this name is durable; 0: its deletion is. */
typedef struct Ack {
    uint32_t writer, name, version;
    uint64_t at; /* now_monotonic_ns */
} Ack;

/* What a child acknowledged until the fault began: the last of each name counts. */
typedef struct Known {
    uint32_t version[WRITERS][NAMES];
    bool late[WRITERS][NAMES]; /* acknowledged after that: it may be there or not */
    size_t n;
} Known;

typedef struct Writer {
    Store *store;
    int pipe;
    uint32_t id;
    unsigned limit; /* writes; 0: for ever */
    int error;      /* what ended it */
} Writer;

static int write_one(Writer *w, uint32_t name, uint32_t version, bool exists) {
    char text[32], number[16];
    snprintf(text, sizeof text, "w%u-%u", w->id, name);
    snprintf(number, sizeof number, "%u", version);
    if (!version)
        return store_delete(w->store, &config_maps, "d", text, 0, NULL, NULL);
    _cleanup_object_ Object *object = make_map("d", text, number);
    return exists ? store_update(w->store, object, 0, NULL) : store_create(w->store, object, NULL);
}

static void *write_until_told(void *userdata) {
    Writer *w = userdata;
    uint32_t versions[NAMES] = {0}, next = 1;
    for (unsigned i = 0; !w->limit || i < w->limit; i++) {
        uint32_t name = (uint32_t)random_below(NAMES);
        bool exists = versions[name] != 0;
        uint32_t version = exists && random_below(4) == 0 ? 0 : next++;
        w->error = write_one(w, name, version, exists);
        if (w->error < 0)
            return NULL;
        versions[name] = version;
        Ack ack = {w->id, name, version, now_monotonic_ns()};
        if (w->pipe >= 0 && write(w->pipe, &ack, sizeof ack) != (ssize_t)sizeof ack)
            return NULL;
    }
    return NULL;
}

static Store *open_store(const char *path) {
    StoreDriver *driver = NULL;
    Store *store = NULL;
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &store), 0);
    return store;
}

static void run_child(const char *path, int fd, unsigned generation) {
    StoreDriver *driver = NULL;
    Store *store = NULL;
    pthread_t threads[WRITERS];
    Writer writers[WRITERS];
    if (sqlite_driver_open(path, &driver) < 0 || store_open(driver, NULL, &store) < 0)
        _exit(3);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (Writer){.store = store, .pipe = fd, .id = generation * WRITERS + i};
        pthread_create(&threads[i], NULL, write_until_told, &writers[i]);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    _exit(4);
}

/* Reads all acknowledgements; those of `until` and later do not bind the store. */
static void read_acks(int fd, unsigned first_writer, uint64_t until, Known *ret) {
    Ack ack;
    *ret = (Known){0};
    while (read(fd, &ack, sizeof ack) == (ssize_t)sizeof ack) {
        if (ack.at >= until) {
            ret->late[ack.writer - first_writer][ack.name] = true;
            continue;
        }
        ret->version[ack.writer - first_writer][ack.name] = ack.version;
        ret->n++;
    }
}

static uint32_t stored_version(Store *store, unsigned writer, unsigned name) {
    char text[32];
    size_t len;
    _cleanup_object_ Object *object = NULL;
    snprintf(text, sizeof text, "w%u-%u", writer, name);
    if (store_get(store, &config_maps, "d", text, &object) < 0)
        return 0;
    const char *v = strstr(object_json(object, &len), "\"v\":\"");
    return v ? (uint32_t)strtoul(v + 5, NULL, 10) : 0;
}

/* A write may be durable without its acknowledgement having been read: then the store is ahead by the writes that may
 * be there, and by one that was under way, never behind. */
static void check(Store *store, const Known *known, unsigned first_writer) {
    for (unsigned w = 0; w < WRITERS; w++) {
        uint32_t newest = 0; /* version that the writer acknowledged at all */
        unsigned differing = 0;
        for (unsigned n = 0; n < NAMES; n++)
            newest = MAX(newest, known->version[w][n]);
        for (unsigned n = 0; n < NAMES; n++) {
            uint32_t have = stored_version(store, first_writer + w, n);
            if (have == known->version[w][n])
                continue;
            if (!known->late[w][n])
                differing++;
            if (have != 0 && have <= newest)
                fail_msg("writer %u, name %u: version %u was acknowledged, the store has %u", w, n,
                         known->version[w][n], have);
        }
        if (differing > 1) /* one write was under way */
            fail_msg("writer %u: %u names differ from what was acknowledged", w, differing);
    }
}

static void kill_at_random_instants(void **state _unused_) {
    char dir[] = "/tmp/lighter-crash.XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/store.db", dir);
    uint64_t revision = 0;
    size_t acknowledged = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        Known known;
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            run_child(path, fds[1], round);
        }
        close(fds[1]);
        nanosleep(&(struct timespec){.tv_nsec = 20000000 + (long)random_below(150000000)}, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        read_acks(fds[0], round * WRITERS, UINT64_MAX, &known);
        acknowledged += known.n;
        close(fds[0]);
        Store *store = open_store(path);
        assert_true(store_revision(store) >= revision); /* revisions never go back */
        revision = store_revision(store);
        check(store, &known, round * WRITERS);
        store_close(store);
    }
    assert_true(acknowledged > 0);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void a_full_disk_refuses_and_recovers(void **state _unused_) {
    char dir[] = "/tmp/lighter-full.XXXXXX";
    assert_non_null(mkdtemp(dir));
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1500k") < 0) {
        rmdir(dir);
        skip(); /* not root */
    }
    _cleanup_free_ char *path = xasprintf("%s/store.db", dir), *big = xcalloc(1, 8001);
    Store *store = open_store(path);
    memset(big, 'x', 8000);
    int r = 0;
    unsigned written = 0;
    for (; written < 1000 && r == 0; written++) {
        char name[32];
        snprintf(name, sizeof name, "full-%u", written);
        _cleanup_object_ Object *object = make_map("d", name, big);
        r = store_create(store, object, NULL);
    }
    written--;
    assert_int_equal(r, -ENOSPC);
    uint64_t revision = store_revision(store);
    assert_int_equal(store_count(store, &config_maps), written); /* what failed is not there */
    assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=32m"), 0);
    _cleanup_object_ Object *after = make_map("d", "after", "1");
    assert_int_equal(store_create(store, after, NULL), 0);
    assert_true(store_revision(store) > revision);
    store_close(store);
    store = open_store(path);
    assert_int_equal(store_count(store, &config_maps), written + 1);
    store_close(store);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
    rmdir(dir);
}

/* EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: what was not flushed is gone, as when the power fails. It is no
 * instant as that is: while it works (milliseconds on a busy machine), some fdatasync still succeed whose extents are
 * never marked written. What was acknowledged before it began is what must be there. */
#define SHUTDOWN_IOCTL _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_FLUSH 2u

/* A fixed command over a folder of mkdtemp's. */
__attribute__((format(printf, 1, 0))) static bool shell(const char *format, const char *dir) {
    char line[512];
    snprintf(line, sizeof line, format, dir, dir, dir);
    return system(line) == 0;
}

static void a_power_failure_loses_nothing_acknowledged(void **state _unused_) {
    char dir[] = "/tmp/lighter-power.XXXXXX";
    Known known;
    int fds[2];
    assert_non_null(mkdtemp(dir));
    if (!shell("truncate -s 64M %s/disk && mkfs.ext4 -q -F %s/disk 2>/dev/null", dir) ||
        !shell("mkdir %s/m && mount -o loop %s/disk %s/m 2>/dev/null", dir)) {
        (void)shell("rm -rf %s", dir);
        skip(); /* no loop devices, or no mkfs.ext4 */
    }
    _cleanup_free_ char *mounted = xasprintf("%s/m", dir), *path = xasprintf("%s/m/store.db", dir);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        run_child(path, fds[1], 0);
    }
    close(fds[1]);
    assert_int_equal(poll(&(struct pollfd){.fd = fds[0], .events = POLLIN}, 1, FIRST_ACK_MS), 1);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    int fd = open(mounted, O_RDONLY | O_DIRECTORY);
    uint32_t flags = SHUTDOWN_NO_FLUSH;
    uint64_t failing = now_monotonic_ns();
    assert_int_equal(ioctl(fd, SHUTDOWN_IOCTL, &flags), 0);
    close(fd);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    read_acks(fds[0], 0, failing, &known);
    close(fds[0]);
    assert_true(known.n > 0);
    assert_true(shell("umount %s/m && mount -o loop %s/disk %s/m", dir));
    Store *store = open_store(path);
    check(store, &known, 0);
    store_close(store);
    (void)shell("umount %s/m; rm -rf %s", dir);
}

/* The mounts below are this program's alone and end with it. Were they everybody's, a container that starts beside us
 * would copy them into its own namespace: then umount leaves the dead file system alive there, the next mount gets just
 * that one again, and all it answers is EIO. */
static int own_mounts(void **state _unused_) {
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    return 0; /* not root: the tests that mount skip themselves */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_at_random_instants),
        cmocka_unit_test(a_full_disk_refuses_and_recovers),
        cmocka_unit_test(a_power_failure_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, own_mounts, NULL);
}
