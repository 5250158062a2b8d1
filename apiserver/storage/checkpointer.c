#define LOG_COMPONENT "sqlite"
#include "apiserver/storage/checkpointer.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

/* In pages of 4096 bytes. Copying begins when the first are not copied; past the second the log starts over, for which
 * writes wait, since under constant writing it never does so by itself. It keeps its length then: writing over blocks
 * that the file has is cheaper than giving them back and taking new ones. Reading 16 MiB of log at start takes some 20
 * ms. */
#define CHECKPOINT_PAGES 1000
#define RESTART_PAGES 4096
#define BUSY_TIMEOUT_MS 1000

struct Checkpointer {
    sqlite3 *db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int pages;  /* of the log, as last told; 0: nothing to do */
    int copied; /* of these, by the last checkpoint */
    bool truncate, stop;
    bool failing; /* the thread's own: said once */
};

static void report(Checkpointer *checkpointer, int code) {
    bool failed = code != SQLITE_OK && code != SQLITE_BUSY;
    if (failed && !checkpointer->failing)
        log_warn("the log cannot be copied back, it grows: %s", sqlite3_errmsg(checkpointer->db));
    checkpointer->failing = failed;
}

/* The pages of the log that are copied now. */
static int checkpoint(Checkpointer *checkpointer, bool truncate) {
    int in_log = 0, copied = 0;
    int code = sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    if (code == SQLITE_OK && (truncate || in_log >= RESTART_PAGES)) {
        int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART;
        code = sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, mode, NULL, NULL);
        copied = code == SQLITE_OK ? 0 : copied;
    }
    report(checkpointer, code);
    return copied;
}

static void *checkpointer_run(void *userdata) {
    Checkpointer *checkpointer = userdata;
    pthread_setname_np(pthread_self(), "store-checkpt");
    pthread_mutex_lock(&checkpointer->lock);
    while (!checkpointer->stop) {
        if (checkpointer->pages == 0 && !checkpointer->truncate) {
            pthread_cond_wait(&checkpointer->wake, &checkpointer->lock);
            continue;
        }
        bool truncate = checkpointer->truncate;
        checkpointer->pages = 0;
        checkpointer->truncate = false;
        pthread_mutex_unlock(&checkpointer->lock);
        int copied = checkpoint(checkpointer, truncate);
        pthread_mutex_lock(&checkpointer->lock);
        checkpointer->copied = copied;
    }
    pthread_mutex_unlock(&checkpointer->lock);
    return NULL;
}

int checkpointer_new(const char *path, Checkpointer **ret) {
    Checkpointer *checkpointer = NEW0(Checkpointer);
    pthread_mutex_init(&checkpointer->lock, NULL);
    pthread_cond_init(&checkpointer->wake, NULL);
    int r = 0;
    if (sqlite3_open_v2(path, &checkpointer->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = -EIO;
    if (r == 0) {
        sqlite3_busy_timeout(checkpointer->db, BUSY_TIMEOUT_MS);
        /* a connection that never read anything does not know that there is a log, and checkpoints nothing */
        if (sqlite3_exec(checkpointer->db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) != SQLITE_OK)
            r = -EIO;
    }
    if (r == 0)
        r = -pthread_create(&checkpointer->thread, NULL, checkpointer_run, checkpointer);
    if (r < 0) {
        sqlite3_close(checkpointer->db);
        pthread_mutex_destroy(&checkpointer->lock);
        pthread_cond_destroy(&checkpointer->wake);
        free(checkpointer);
        return r;
    }
    *ret = checkpointer;
    return 0;
}

void checkpointer_free(Checkpointer *checkpointer) {
    if (!checkpointer)
        return;
    pthread_mutex_lock(&checkpointer->lock);
    checkpointer->stop = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->lock);
    pthread_join(checkpointer->thread, NULL);
    sqlite3_close(checkpointer->db);
    pthread_mutex_destroy(&checkpointer->lock);
    pthread_cond_destroy(&checkpointer->wake);
    free(checkpointer);
}

void checkpointer_log_grew(Checkpointer *checkpointer, int pages) {
    if (pages < CHECKPOINT_PAGES)
        return;
    pthread_mutex_lock(&checkpointer->lock);
    int copied = pages < checkpointer->copied ? 0 : checkpointer->copied; /* else the log has started over */
    bool wanted = pages - copied >= CHECKPOINT_PAGES;
    if (wanted)
        checkpointer->pages = pages;
    pthread_mutex_unlock(&checkpointer->lock);
    if (wanted)
        pthread_cond_signal(&checkpointer->wake);
}

void checkpointer_truncate(Checkpointer *checkpointer) {
    pthread_mutex_lock(&checkpointer->lock);
    checkpointer->truncate = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->lock);
}
