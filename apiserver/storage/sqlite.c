/* The sqlite driver: one row a key in a WAL database with synchronous=FULL, so that a COMMIT returns once the log is on
 * the disk. The log goes back into the database on a thread with a connection of its own: the writer waits neither for
 * the copying nor for its fsync. The log is kept short, for the next start reads all of it.
 *
 * One process at a time: PATH.lock is held. Deletes leave no row, so the highest revision is a row of its own, written
 * in the same transaction. */
#define LOG_COMPONENT "sqlite"
#include "apiserver/storage/driver.h"
#include "apiserver/storage/checkpointer.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FORMAT_VERSION 1 /* PRAGMA user_version */
#define LOCK_TRIES 200   /* of LOCK_WAIT_US each */
#define LOCK_WAIT_US 10000
#define BUSY_TIMEOUT_MS 60000 /* longest wait for a checkpoint that truncates the log */

typedef enum Query {
    QUERY_BEGIN,
    QUERY_PUT,
    QUERY_DELETE,
    QUERY_REVISION,
    QUERY_COMMIT,
    QUERY_ROLLBACK,
    QUERIES
} Query;

static const char *const query_text[QUERIES] = {
    [QUERY_BEGIN] = "BEGIN IMMEDIATE",
    [QUERY_PUT] = ("INSERT INTO object(key, revision, create_revision, value) VALUES(?1, ?2, ?3, ?4) "
                   "ON CONFLICT(key) DO UPDATE SET revision = ?2, create_revision = ?3, value = ?4"),
    [QUERY_DELETE] = "DELETE FROM object WHERE key = ?1",
    [QUERY_REVISION] = "UPDATE meta SET value = ?1 WHERE name = 'revision'",
    [QUERY_COMMIT] = "COMMIT",
    [QUERY_ROLLBACK] = "ROLLBACK",
};

static const char schema_text[] =
    "CREATE TABLE IF NOT EXISTS object(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,"
    " create_revision INTEGER NOT NULL, value BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO meta(name, value) VALUES('revision', 0);"
    "PRAGMA user_version = 1;";

typedef struct SqliteDriver {
    StoreDriver base; /* first */
    char *path;
    dev_t device;
    ino_t inode;
    int lock_fd;
    sqlite3 *db;
    sqlite3_stmt *queries[QUERIES];
    Checkpointer *checkpointer;
} SqliteDriver;

/* What SQLite's answer means to the store. */
static int errno_of(sqlite3 *db, int code) {
    int system = sqlite3_system_errno(db);
    switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        if (system == EDQUOT)
            return -ENOSPC;
        return system == ENOSPC || system == EROFS || system == EACCES ? -system : -EIO;
    }
}

static int fail(SqliteDriver *driver, int code, const char *doing) {
    int r = errno_of(driver->db, code);
    log_error("%s: %s: %s%s", driver->path, doing, sqlite3_errmsg(driver->db),
              r == -EUCLEAN ? " (restore the file from a backup, or repair it with `sqlite3 FILE .recover`)" : "");
    return r;
}

static int run_text(SqliteDriver *driver, const char *text, const char *doing) {
    int code = sqlite3_exec(driver->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : fail(driver, code, doing);
}

/* Steps a statement that gives no rows and makes it ready for the next time. Returns SQLite's code, SQLITE_OK for done.
 */
static int run(SqliteDriver *driver, Query query) {
    sqlite3_stmt *statement = driver->queries[query];
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int run_put(SqliteDriver *driver, const StorePut *put) {
    sqlite3_stmt *statement = driver->queries[put->value ? QUERY_PUT : QUERY_DELETE];
    sqlite3_bind_text(statement, 1, put->key, -1, SQLITE_STATIC);
    if (put->value) {
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)put->revision);
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)put->create_revision);
        sqlite3_bind_blob64(statement, 4, put->value, put->len, SQLITE_STATIC);
    }
    return run(driver, put->value ? QUERY_PUT : QUERY_DELETE);
}

static int run_transaction(SqliteDriver *driver, const StorePut *puts, size_t n) {
    int code = run(driver, QUERY_BEGIN);
    for (size_t i = 0; code == SQLITE_OK && i < n; i++)
        code = run_put(driver, &puts[i]);
    if (code == SQLITE_OK) {
        sqlite3_bind_int64(driver->queries[QUERY_REVISION], 1, (sqlite3_int64)puts[n - 1].revision);
        code = run(driver, QUERY_REVISION);
    }
    return code == SQLITE_OK ? run(driver, QUERY_COMMIT) : code;
}

static int commit_or_make_room(SqliteDriver *driver, const StorePut *puts, size_t n) {
    int r = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        int code = run_transaction(driver, puts, n);
        if (code == SQLITE_OK)
            return 0;
        r = errno_of(driver->db, code);
        log_debug("%s: commit: %s", driver->path, sqlite3_errmsg(driver->db));
        if (!sqlite3_get_autocommit(driver->db))
            run(driver, QUERY_ROLLBACK);
        /* a log that is copied back and truncated may be all the space that is missing */
        if (r != -ENOSPC ||
            sqlite3_wal_checkpoint_v2(driver->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
            break;
    }
    return r;
}

static int sqlite_commit(StoreDriver *base, const StorePut *puts, size_t n) {
    SqliteDriver *driver = (SqliteDriver *)base;
    if (n == 0)
        return 0;
    checkpointer_transaction_begins(driver->checkpointer);
    int r = commit_or_make_room(driver, puts, n);
    checkpointer_transaction_ended(driver->checkpointer);
    return r;
}

static int load_rows(SqliteDriver *driver, sqlite3_stmt *statement,
                     int (*row)(const char *key, const void *value, size_t len, uint64_t revision,
                                uint64_t create_revision, void *userdata),
                     void *userdata, uint64_t revision) {
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(statement, 0);
        const void *value = sqlite3_column_blob(statement, 3);
        uint64_t at = (uint64_t)sqlite3_column_int64(statement, 1);
        if (!key || !value || at == 0 || at > revision) {
            log_error("%s: the row %s is damaged: revision %llu of %llu", driver->path, key ? key : "without a key",
                      (unsigned long long)at, (unsigned long long)revision);
            return -EUCLEAN;
        }
        int r = row(key, value, (size_t)sqlite3_column_bytes(statement, 3), at,
                    (uint64_t)sqlite3_column_int64(statement, 2), userdata);
        if (r < 0)
            return r;
    }
    return code == SQLITE_DONE ? 0 : fail(driver, code, "reading objects");
}

static int sqlite_load(StoreDriver *base,
                       int (*row)(const char *key, const void *value, size_t len, uint64_t revision,
                                  uint64_t create_revision, void *userdata),
                       void *userdata, uint64_t *ret_revision) {
    SqliteDriver *driver = (SqliteDriver *)base;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(driver->db, "SELECT value FROM meta WHERE name = 'revision'", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    uint64_t revision = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    int r = code == SQLITE_ROW ? 0 : fail(driver, code == SQLITE_DONE ? SQLITE_CORRUPT : code, "reading the revision");
    sqlite3_finalize(statement);
    if (r < 0)
        return r;
    code = sqlite3_prepare_v2(driver->db, "SELECT key, revision, create_revision, value FROM object ORDER BY key", -1,
                              &statement, NULL);
    r = code == SQLITE_OK ? load_rows(driver, statement, row, userdata, revision)
                          : fail(driver, code, "reading objects");
    sqlite3_finalize(statement);
    if (r == 0)
        *ret_revision = revision;
    return r;
}

static void sqlite_idle(StoreDriver *base) {
    SqliteDriver *driver = (SqliteDriver *)base;
    checkpointer_truncate(driver->checkpointer);
    sqlite3_db_release_memory(driver->db);
}

static void sqlite_close(StoreDriver *base) {
    SqliteDriver *driver = (SqliteDriver *)base;
    checkpointer_free(driver->checkpointer);
    for (int i = 0; i < QUERIES; i++)
        sqlite3_finalize(driver->queries[i]);
    sqlite3_close(driver->db); /* the last connection copies the log back and removes it */
    closep(&driver->lock_fd);
    free(driver->path);
    free(driver);
}

static int after_commit(void *userdata, sqlite3 *db, const char *schema, int pages) {
    (void)db;
    (void)schema;
    checkpointer_log_grew(userdata, pages);
    return SQLITE_OK;
}

/* Holds PATH.lock, so that no second server opens the same database. A server that was just killed may hold it for an
 * instant longer: on a busy machine Linux lets go of its files after its end was told. */
static int take_lock(SqliteDriver *driver) {
    _cleanup_free_ char *lock = xasprintf("%s.lock", driver->path);
    driver->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (driver->lock_fd < 0)
        return -errno;
    for (int i = 0; flock(driver->lock_fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno == EWOULDBLOCK && i < LOCK_TRIES) {
            usleep(LOCK_WAIT_US);
            continue;
        }
        int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
        if (r == -EBUSY)
            log_error("%s is in use by another server", driver->path);
        return r;
    }
    return 0;
}

/* Makes the file 0600 before SQLite opens it (the log and its index get the same mode), and its name durable. */
static int make_file(const char *path) {
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    _cleanup_free_ char *copy = xstrdup(path);
    _cleanup_close_ int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(fd) < 0 || fsync(folder) < 0)
        return -errno;
    return 0;
}

static int format_version(SqliteDriver *driver, int *ret) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(driver->db, "PRAGMA user_version", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int version = code == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    int r = code == SQLITE_ROW ? 0 : fail(driver, code, "opening");
    sqlite3_finalize(statement);
    if (r == 0)
        *ret = version;
    return r;
}

static int set_up(SqliteDriver *driver) {
    int version = 0;
    sqlite3_busy_timeout(driver->db, BUSY_TIMEOUT_MS);
    int r = format_version(driver, &version);
    if (r < 0)
        return r;
    if (version > FORMAT_VERSION) {
        log_error("%s was written by a newer version (format %d, this one knows %d)", driver->path, version,
                  FORMAT_VERSION);
        return -EPROTONOSUPPORT;
    }
    r = run_text(driver, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", "opening");
    if (r == 0 && version == 0)
        r = run_text(driver, "BEGIN IMMEDIATE;", "opening");
    if (r == 0 && version == 0)
        r = run_text(driver, schema_text, "creating tables");
    if (r == 0 && version == 0)
        r = run_text(driver, "COMMIT;", "creating tables");
    for (int i = 0; r == 0 && i < QUERIES; i++) {
        int code =
            sqlite3_prepare_v3(driver->db, query_text[i], -1, SQLITE_PREPARE_PERSISTENT, &driver->queries[i], NULL);
        if (code != SQLITE_OK)
            r = fail(driver, code, "preparing");
    }
    return r;
}

/* A database that somebody removed or replaced still takes writes, which nobody will find again. */
static int sqlite_check(StoreDriver *base) {
    const SqliteDriver *driver = (const SqliteDriver *)base;
    struct stat now;
    struct statvfs fs;
    if (stat(driver->path, &now) < 0 || statvfs(driver->path, &fs) < 0)
        return -errno;
    if (now.st_dev != driver->device || now.st_ino != driver->inode)
        return -ESTALE;
    return fs.f_flag & ST_RDONLY ? -EROFS : 0;
}

/* Which file it is that was opened. */
static int remember_file(SqliteDriver *driver) {
    struct stat st;
    if (stat(driver->path, &st) < 0)
        return -errno;
    driver->device = st.st_dev;
    driver->inode = st.st_ino;
    return 0;
}

int sqlite_driver_open(const char *path, StoreDriver **ret) {
    SqliteDriver *driver = NEW0(SqliteDriver);
    driver->base = (StoreDriver){.name = "sqlite",
                                 .load = sqlite_load,
                                 .commit = sqlite_commit,
                                 .idle = sqlite_idle,
                                 .check = sqlite_check,
                                 .close = sqlite_close};
    driver->path = xstrdup(path);
    driver->lock_fd = -1;
    int r = take_lock(driver);
    if (r == 0)
        r = make_file(path);
    if (r == 0) {
        int code = sqlite3_open_v2(path, &driver->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        r = code == SQLITE_OK ? set_up(driver) : fail(driver, code, "opening");
    }
    if (r == 0)
        r = remember_file(driver);
    if (r == 0)
        r = checkpointer_new(path, &driver->checkpointer);
    if (r < 0) {
        sqlite_close(&driver->base);
        return r;
    }
    sqlite3_wal_hook(driver->db, after_commit, driver->checkpointer);
    *ret = &driver->base;
    return 0;
}
