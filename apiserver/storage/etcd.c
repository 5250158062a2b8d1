/* The etcd driver: keys and values as kube-apiserver lays them out, a transaction a write, and one watch over all keys
 * of the cluster as the feed. All keys, because each revision of the cluster then shows up in it: how far the feed has
 * come compares with any revision etcd answers, whoever wrote what.
 *
 * Threads: those of the callers, one that turns the connection of their calls (etcd/calls.h), one that follows the
 * watch on a connection of its own, one that compacts. */
#define LOG_COMPONENT "etcd"
#include "apiserver/storage/driver.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "etcd/watch.h"

#include <errno.h>
#include <pthread.h>

#define REGISTRY "/registry"
#define SYNC_NS (10 * NS_PER_SEC)       /* for one question after the revision, shared by all who wait */
#define LOAD_NS (300 * NS_PER_SEC)      /* for reading everything */
#define PAUSE_FIRST_NS (50 * NS_PER_MS) /* before the watch is opened again */
#define PAUSE_MAX_NS NS_PER_SEC
#define COMPACT_NS (30 * NS_PER_SEC)
/* One lease serves the writes of up to a minute or a thousand of them, as the reference's lease manager has it. */
#define LEASE_REUSE_SECONDS 60
#define LEASE_REUSE_PERCENT 5
#define LEASE_OBJECTS_MAX 1000

typedef struct Lease {
    uint32_t ttl_seconds;
    int64_t id;
    uint64_t expires_ns;
    size_t objects;
} Lease;

typedef struct EtcdDriver {
    StoreDriver base; /* first */
    EtcdEndpoints *endpoints;
    EtcdCalls *calls;
    char *prefix; /* without a slash at its end */
    uint32_t compaction_seconds, start_wait_seconds;

    pthread_mutex_t lock; /* of what the threads share until close */
    pthread_cond_t changed;
    bool closing;
    GrpcConnection *connection; /* the follower's, so that close can wake it */
    bool following, compacting; /* the threads there are */
    pthread_t follower, compactor;
    StoreFeed feed;
    void *userdata;
    uint64_t revision; /* told so far; the follower's own */

    pthread_mutex_t sync_lock; /* one question at a time after the revision; who comes while one runs shares the next */
    pthread_cond_t sync_done;
    bool sync_running;
    uint64_t sync_started, sync_finished;
    int sync_result;
    uint64_t sync_revision;

    pthread_mutex_t lease_lock;
    Lease lease;
} EtcdDriver;

/* ---- keys ---- */

/* The store's name of an etcd key, in `scratch` when it differs; NULL: not one of ours. */
static const char *store_name(const EtcdDriver *driver, const char *key, Buf *scratch) {
    size_t n = strlen(driver->prefix);
    if (strncmp(key, driver->prefix, n) != 0 || key[n] != '/')
        return NULL;
    if (streq(driver->prefix, REGISTRY))
        return key;
    buf_clear(scratch);
    buf_puts(scratch, REGISTRY);
    buf_puts(scratch, key + n);
    return scratch->data;
}

static char *etcd_name(const EtcdDriver *driver, const char *key) {
    return xasprintf("%s%s", driver->prefix, key + strlen(REGISTRY));
}

/* ---- reading everything ---- */

typedef struct Load {
    const EtcdDriver *driver;
    StoreRowFn row;
    void *userdata;
    Buf key;
} Load;

static int load_row(const EtcdRow *row, void *userdata) {
    Load *load = userdata;
    const char *key = store_name(load->driver, row->key, &load->key);
    return key ? load->row(key, row->value, row->n, (uint64_t)row->revision, (uint64_t)row->create_revision,
                           load->userdata)
               : 0;
}

static int load_over(EtcdDriver *driver, GrpcConnection *connection, StoreRowFn row, void *userdata,
                     uint64_t *ret_revision) {
    _cleanup_free_ char *prefix = xasprintf("%s/", driver->prefix);
    Load load = {.driver = driver, .row = row, .userdata = userdata, .key = BUF_INIT(BUF_NO_LIMIT)};
    int64_t revision;
    int r = etcd_range(connection, prefix, now_monotonic_ns() + LOAD_NS, load_row, &load, &revision);
    buf_done(&load.key);
    if (r == 0)
        *ret_revision = (uint64_t)revision;
    return r;
}

/* Waits for a while; true when the driver is being closed. */
static bool pause_for(EtcdDriver *driver, uint64_t ns) {
    uint64_t end = now_monotonic_ns() + ns;
    struct timespec until = {.tv_sec = (time_t)(end / NS_PER_SEC), .tv_nsec = (long)(end % NS_PER_SEC)};
    pthread_mutex_lock(&driver->lock);
    while (!driver->closing && pthread_cond_timedwait(&driver->changed, &driver->lock, &until) != ETIMEDOUT)
        ;
    bool closing = driver->closing;
    pthread_mutex_unlock(&driver->lock);
    return closing;
}

static int etcd_load(StoreDriver *base, StoreRowFn row, void *userdata, uint64_t *ret_revision) {
    EtcdDriver *driver = (EtcdDriver *)base;
    _cleanup_(grpc_closep) GrpcConnection *connection = NULL;
    size_t server = 0;
    uint64_t deadline_ns = now_monotonic_ns() + driver->start_wait_seconds * NS_PER_SEC;
    int r = etcd_connect(driver->endpoints, &server, now_monotonic_ns() + ETCD_CONNECT_NS, &connection);
    for (bool told = false; r < 0 && now_monotonic_ns() < deadline_ns; told = true) {
        if (!told)
            log_info("waiting for etcd at %s: %s", etcd_endpoints_text(driver->endpoints), strerror(-r));
        pause_for(driver, PAUSE_MAX_NS / 5);
        r = etcd_connect(driver->endpoints, &server, now_monotonic_ns() + ETCD_CONNECT_NS, &connection);
    }
    if (r < 0) {
        log_error("no etcd server answers at %s: %s", etcd_endpoints_text(driver->endpoints), strerror(-r));
        return r;
    }
    return load_over(driver, connection, row, userdata, ret_revision);
}

/* ---- the feed ---- */

static void set_connection(EtcdDriver *driver, GrpcConnection *connection) {
    pthread_mutex_lock(&driver->lock);
    driver->connection = connection;
    if (driver->closing && connection)
        grpc_wake(connection);
    pthread_mutex_unlock(&driver->lock);
}

static void tell_compaction(EtcdDriver *driver, const EtcdRow *row) {
    char text[24];
    uint64_t revision;
    if (row->n >= sizeof text)
        return;
    memcpy(text, row->value, row->n);
    text[row->n] = 0;
    if (str_to_uint64(text, &revision) == 0 && revision)
        driver->feed.compacted(revision, driver->userdata);
}

/* Tells the store what is its own of a batch, and how far it has come by all of it. */
static void tell(EtcdDriver *driver, const EtcdBatch *batch) {
    _cleanup_free_ StorePut *puts = xreallocn(NULL, batch->n + 1, sizeof *puts);
    _cleanup_free_ char **names = NEWN0(char *, batch->n + 1);
    _cleanup_buf_ Buf scratch = BUF_INIT(BUF_NO_LIMIT);
    size_t n = 0, n_names = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const EtcdRow *row = &batch->rows[i];
        const char *key = strlen(row->key) == row->key_len ? store_name(driver, row->key, &scratch) : NULL;
        if (key == scratch.data && key)
            key = names[n_names++] = xstrdup(key);
        if (key)
            puts[n++] = (StorePut){key, row->value, row->n, (uint64_t)row->revision, (uint64_t)row->create_revision};
        else if (row->value && streq(row->key, ETCD_COMPACT_KEY))
            tell_compaction(driver, row);
    }
    driver->revision = (uint64_t)batch->revision;
    driver->feed.changes(puts, n, driver->revision, driver->userdata);
    for (size_t i = 0; i < n_names; i++)
        free(names[i]);
}

static int reload(EtcdDriver *driver, GrpcConnection *connection) {
    uint64_t revision = 0;
    driver->feed.reload_begin(driver->userdata);
    int r = load_over(driver, connection, driver->feed.reload_row, driver->userdata, &revision);
    driver->feed.reload_end(r, revision, driver->userdata);
    if (r == 0)
        driver->revision = revision;
    return r;
}

/* Follows over one connection until it breaks. -ERANGE: what was missed cannot be told any more. */
static int follow_over(EtcdDriver *driver, GrpcConnection *connection, bool read_again) {
    int r = read_again ? reload(driver, connection) : 0;
    if (r < 0)
        return r;
    _cleanup_(etcd_watch_closep) EtcdWatch *watch = etcd_watch_open(connection, (int64_t)driver->revision);
    EtcdBatch batch;
    while ((r = etcd_watch_next(watch, &batch)) >= 0)
        if (r > 0)
            tell(driver, &batch);
    return r;
}

static void *run_follower(void *userdata) {
    EtcdDriver *driver = userdata;
    size_t server = 0;
    uint64_t pause = PAUSE_FIRST_NS;
    bool read_again = false;
    pthread_setname_np(pthread_self(), "etcd-feed");
    do {
        _cleanup_(grpc_closep) GrpcConnection *connection = NULL;
        uint64_t began = now_monotonic_ns();
        if (etcd_connect(driver->endpoints, &server, began + ETCD_CONNECT_NS, &connection) == 0) {
            set_connection(driver, connection);
            int r = follow_over(driver, connection, read_again);
            set_connection(driver, NULL);
            read_again = r == -ERANGE || (read_again && now_monotonic_ns() - began < NS_PER_SEC);
            server++; /* another one, when there is one */
        }
        pause = now_monotonic_ns() - began > NS_PER_SEC ? PAUSE_FIRST_NS : MIN(pause * 2, (uint64_t)PAUSE_MAX_NS);
    } while (!pause_for(driver, read_again ? 0 : pause));
    return NULL;
}

static void *run_compactor(void *userdata) {
    EtcdDriver *driver = userdata;
    int64_t version = 0, revision = 0;
    pthread_setname_np(pthread_self(), "etcd-compact");
    while (!pause_for(driver, driver->compaction_seconds * NS_PER_SEC)) {
        int r = etcd_compact_turn(driver->calls, &version, &revision, now_monotonic_ns() + COMPACT_NS);
        if (r < 0)
            log_warn("etcd was not compacted: %s", strerror(-r));
    }
    return NULL;
}

static int etcd_follow(StoreDriver *base, uint64_t revision, const StoreFeed *feed, void *userdata) {
    EtcdDriver *driver = (EtcdDriver *)base;
    driver->feed = *feed;
    driver->userdata = userdata;
    driver->revision = revision;
    int r = -pthread_create(&driver->follower, NULL, run_follower, driver);
    if (r < 0)
        return r;
    driver->following = true;
    if (driver->compaction_seconds)
        r = -pthread_create(&driver->compactor, NULL, run_compactor, driver);
    driver->compacting = r == 0 && driver->compaction_seconds;
    return r;
}

/* ---- writes ---- */

/* A lease that lasts at least `ttl_seconds` from now, shared by the writes of a while. */
static int lease_for(EtcdDriver *driver, uint32_t ttl_seconds, uint64_t deadline_ns, int64_t *ret) {
    if (!ttl_seconds) {
        *ret = 0;
        return 0;
    }
    uint64_t extra = MIN((uint64_t)ttl_seconds * LEASE_REUSE_PERCENT / 100, (uint64_t)LEASE_REUSE_SECONDS);
    int r = 0;
    pthread_mutex_lock(&driver->lease_lock);
    Lease *lease = &driver->lease;
    uint64_t now = now_monotonic_ns();
    if (!lease->id || lease->ttl_seconds != ttl_seconds || lease->objects >= LEASE_OBJECTS_MAX ||
        now + ttl_seconds * NS_PER_SEC >= lease->expires_ns) {
        r = etcd_grant(driver->calls, (int64_t)(ttl_seconds + extra), deadline_ns, &lease->id);
        lease->expires_ns = now + (ttl_seconds + extra) * NS_PER_SEC;
        lease->ttl_seconds = ttl_seconds;
        lease->objects = 0;
    }
    lease->objects++;
    *ret = lease->id;
    if (r < 0)
        *lease = (Lease){0};
    pthread_mutex_unlock(&driver->lease_lock);
    return r;
}

static void forget_lease(EtcdDriver *driver, int64_t id) {
    pthread_mutex_lock(&driver->lease_lock);
    if (driver->lease.id == id)
        driver->lease = (Lease){0};
    pthread_mutex_unlock(&driver->lease_lock);
}

/* What the store's callers have a word for; the log has told the rest. */
static int refusal(int r) {
    return r == -ETIMEDOUT || r == -EDQUOT || r == -EFBIG ? r : -EIO;
}

static int etcd_put(StoreDriver *base, StoreWrite *write) {
    EtcdDriver *driver = (EtcdDriver *)base;
    _cleanup_free_ char *key = etcd_name(driver, write->key);
    EtcdWrite one = {.key = key, .value = write->value, .n = write->len, .expect = (int64_t)write->expect};
    EtcdOutcome outcome;
    int r;
    for (int i = 0; i < 2; i++) {
        r = lease_for(driver, write->ttl_seconds, write->deadline_ns, &one.lease);
        r = r < 0 ? r : etcd_write(driver->calls, &one, write->deadline_ns, &outcome);
        if (r != -ENOKEY)
            break;
        forget_lease(driver, one.lease); /* it ran out, or the cluster was made anew */
    }
    if (r < 0)
        return refusal(r);
    write->ret_revision = (uint64_t)outcome.revision;
    return outcome.done ? 0 : -ESTALE;
}

static int etcd_current(StoreDriver *base, uint64_t deadline_ns, uint64_t *ret_revision) {
    EtcdDriver *driver = (EtcdDriver *)base;
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_SEC), .tv_nsec = (long)(deadline_ns % NS_PER_SEC)};
    int r = 0;
    pthread_mutex_lock(&driver->sync_lock);
    uint64_t mine = driver->sync_started + 1; /* a question that is on its way may have been answered before we came */
    while (r == 0) {
        if (driver->sync_finished >= mine) {
            /* who asked may have had less time than we have */
            if (driver->sync_result != -ETIMEDOUT || now_monotonic_ns() >= deadline_ns)
                break;
            mine = driver->sync_started + 1;
        }
        if (driver->sync_running) {
            if (pthread_cond_timedwait(&driver->sync_done, &driver->sync_lock, &until) == ETIMEDOUT)
                r = -ETIMEDOUT;
            continue;
        }
        driver->sync_running = true;
        driver->sync_started++;
        pthread_mutex_unlock(&driver->sync_lock);
        int64_t revision = 0;
        int asked = etcd_current_revision(driver->calls, MIN(now_monotonic_ns() + SYNC_NS, deadline_ns), &revision);
        pthread_mutex_lock(&driver->sync_lock);
        driver->sync_running = false;
        driver->sync_finished = driver->sync_started;
        driver->sync_result = asked;
        driver->sync_revision = (uint64_t)revision;
        pthread_cond_broadcast(&driver->sync_done);
    }
    if (r == 0)
        r = driver->sync_result;
    if (r == 0)
        *ret_revision = driver->sync_revision;
    pthread_mutex_unlock(&driver->sync_lock);
    return r < 0 ? refusal(r) : 0;
}

/* ---- its life ---- */

static void etcd_close(StoreDriver *base) {
    EtcdDriver *driver = (EtcdDriver *)base;
    pthread_mutex_lock(&driver->lock);
    driver->closing = true;
    pthread_cond_broadcast(&driver->changed);
    if (driver->connection)
        grpc_wake(driver->connection);
    pthread_mutex_unlock(&driver->lock);
    if (driver->following)
        pthread_join(driver->follower, NULL);
    if (driver->compacting)
        pthread_join(driver->compactor, NULL);
    etcd_calls_stop(driver->calls);
    etcd_endpoints_free(driver->endpoints);
    pthread_mutex_destroy(&driver->lock);
    pthread_mutex_destroy(&driver->sync_lock);
    pthread_mutex_destroy(&driver->lease_lock);
    pthread_cond_destroy(&driver->changed);
    pthread_cond_destroy(&driver->sync_done);
    free(driver->prefix);
    free(driver);
}

/* "registry", "/registry" and "/registry/" are one prefix, as for the reference. */
static char *clean_prefix(const char *text) {
    size_t n = strlen(text);
    while (n && text[n - 1] == '/')
        n--;
    return xasprintf("%s%.*s", *text == '/' ? "" : "/", (int)n, text);
}

int etcd_driver_open(const EtcdDriverConfig *config, StoreDriver **ret, char **ret_error) {
    EtcdEndpoints *endpoints;
    EtcdConfig etcd = {.servers = config->servers,
                       .ca_file = config->ca_file,
                       .cert_file = config->cert_file,
                       .key_file = config->key_file};
    int r = etcd_endpoints_new(&etcd, &endpoints, ret_error);
    if (r < 0)
        return r;
    EtcdDriver *driver = NEW0(EtcdDriver);
    driver->base = (StoreDriver){.name = "etcd",
                                 .encoding = STORE_KUBERNETES,
                                 .load = etcd_load,
                                 .follow = etcd_follow,
                                 .write = etcd_put,
                                 .current = etcd_current,
                                 .close = etcd_close};
    driver->endpoints = endpoints;
    driver->prefix = clean_prefix(str_or(config->prefix, REGISTRY));
    driver->compaction_seconds = config->compaction_seconds;
    driver->start_wait_seconds = config->start_wait_seconds;
    pthread_mutex_init(&driver->lock, NULL);
    pthread_mutex_init(&driver->sync_lock, NULL);
    pthread_mutex_init(&driver->lease_lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&driver->changed, &attr);
    pthread_cond_init(&driver->sync_done, &attr);
    pthread_condattr_destroy(&attr);
    r = etcd_calls_start(endpoints, &driver->calls);
    if (r < 0) {
        *ret_error = xasprintf("no thread for etcd: %s", strerror(-r));
        etcd_close(&driver->base);
        return r;
    }
    *ret = &driver->base;
    return 0;
}
