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
    pthread_mutex_t transaction; /* held while one is open, and while the log is made to start over */
    pthread_mutex_t lock;        /* of what follows; taken within the other */
    pthread_cond_t wake;
    int pages;  /* of the log, as last told */
    int copied; /* of these: when it is fewer, the log does have more */
    bool truncate, stop;
    bool failing; /* the thread's own: said once */
};

static void report(Checkpointer *checkpointer, int code) {
    bool failed = code != SQLITE_OK && code != SQLITE_BUSY;
    if (failed && !checkpointer->failing)
        log_warn("the log cannot be copied back, it grows: %s", sqlite3_errmsg(checkpointer->db));
    checkpointer->failing = failed;
}

/* Copies what the log has while others write on. Returns the pages of the log. */
static int copy(Checkpointer *checkpointer) {
    int pages = 0, copied = 0;
    int code = sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
    report(checkpointer, code);
    pthread_mutex_lock(&checkpointer->lock);
    if (code == SQLITE_OK) {
        checkpointer->copied = copied;
        checkpointer->pages = MAX(checkpointer->pages, copied); /* the commit that was copied may not have been told */
    } else
        checkpointer->copied = checkpointer->pages; /* the next try is when it has grown by as much again */
    pthread_mutex_unlock(&checkpointer->lock);
    return code == SQLITE_OK ? pages : 0;
}

/* Copies what is left and has the log start over. */
static void start_over(Checkpointer *checkpointer, int mode) {
    pthread_mutex_lock(&checkpointer->transaction);
    int code = sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, mode, NULL, NULL);
    report(checkpointer, code);
    if (code == SQLITE_OK) {
        pthread_mutex_lock(&checkpointer->lock);
        checkpointer->pages = checkpointer->copied = 0;
        pthread_mutex_unlock(&checkpointer->lock);
    }
    pthread_mutex_unlock(&checkpointer->transaction);
}

static void *checkpointer_run(void *userdata) {
    Checkpointer *checkpointer = userdata;
    pthread_setname_np(pthread_self(), "store-checkpt");
    pthread_mutex_lock(&checkpointer->lock);
    while (!checkpointer->stop) {
        bool truncate = checkpointer->truncate;
        int left = checkpointer->pages - checkpointer->copied;
        if (!truncate && left < CHECKPOINT_PAGES) {
            pthread_cond_wait(&checkpointer->wake, &checkpointer->lock);
            continue;
        }
        checkpointer->truncate = false;
        pthread_mutex_unlock(&checkpointer->lock);
        int pages = left > 0 ? copy(checkpointer) : 0;
        if (truncate || pages >= RESTART_PAGES)
            start_over(checkpointer, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART);
        pthread_mutex_lock(&checkpointer->lock);
    }
    pthread_mutex_unlock(&checkpointer->lock);
    return NULL;
}

static void checkpointer_destroy(Checkpointer *checkpointer) {
    sqlite3_close(checkpointer->db);
    pthread_mutex_destroy(&checkpointer->transaction);
    pthread_mutex_destroy(&checkpointer->lock);
    pthread_cond_destroy(&checkpointer->wake);
    free(checkpointer);
}

int checkpointer_new(const char *path, Checkpointer **ret) {
    Checkpointer *checkpointer = NEW0(Checkpointer);
    pthread_mutex_init(&checkpointer->transaction, NULL);
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
        checkpointer_destroy(checkpointer);
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
    checkpointer_destroy(checkpointer);
}

void checkpointer_transaction_begins(Checkpointer *checkpointer) {
    pthread_mutex_lock(&checkpointer->transaction);
}

void checkpointer_transaction_ended(Checkpointer *checkpointer) {
    pthread_mutex_unlock(&checkpointer->transaction);
}

void checkpointer_log_grew(Checkpointer *checkpointer, int pages) {
    pthread_mutex_lock(&checkpointer->lock);
    if (pages < checkpointer->copied) /* the log has started over */
        checkpointer->copied = 0;
    checkpointer->pages = pages;
    bool wanted = pages - checkpointer->copied >= CHECKPOINT_PAGES;
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
