#include "kubelet/volumes/atomic_writer.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool path_is_safe(const char *path) {
    size_t len = strlen(path);
    if (len == 0 || len >= PATH_MAX || *path == '/' || str_has_prefix(path, ".."))
        return false;
    for (const char *p = path; p; p = strchr(p, '/'), p = p ? p + 1 : NULL) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > NAME_MAX || (n == 2 && strncmp(p, "..", 2) == 0) || (n == 1 && *p == '.'))
            return false;
    }
    return true;
}

int payload_add(Payload *payload, const char *path, const void *data, size_t len, mode_t mode, int64_t uid) {
    if (!path_is_safe(path))
        return -EINVAL;
    if (payload->n >= PAYLOAD_FILES_MAX || len > PAYLOAD_BYTES_MAX - payload->bytes)
        return -EFBIG;
    PayloadFile *file = NULL;
    for (size_t i = 0; i < payload->n && !file; i++)
        if (streq(payload->files[i].path, path))
            file = &payload->files[i];
    if (!file) {
        if (payload->n == payload->cap) {
            size_t cap = payload->cap ? payload->cap * 2 : 16;
            PayloadFile *files = arena_alloc(payload->arena, cap * sizeof *files);
            if (payload->n)
                memcpy(files, payload->files, payload->n * sizeof *files);
            payload->files = files;
            payload->cap = cap;
        }
        file = &payload->files[payload->n++];
    }
    payload->bytes += len;
    char *copy = arena_alloc(payload->arena, len + 1);
    if (len)
        memcpy(copy, data, len);
    copy[len] = 0;
    *file = (PayloadFile){arena_strdup(payload->arena, path), copy, len, mode, uid};
    return 0;
}

/* Does the folder at `fd` hold exactly this file with this content? */
static bool file_is_same(int fd, const PayloadFile *file) {
    _cleanup_close_ int f = openat(fd, file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (f < 0 || fstat(f, &st) < 0 || (size_t)st.st_size != file->len)
        return false;
    char chunk[4096];
    size_t at = 0;
    ssize_t n;
    while ((n = read(f, chunk, sizeof chunk)) > 0) {
        if (at + (size_t)n > file->len || memcmp((const char *)file->data + at, chunk, (size_t)n) != 0)
            return false;
        at += (size_t)n;
    }
    return n == 0 && at == file->len;
}

static size_t count_files(int dir_fd, int depth) {
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 && depth < 64 ? fdopendir(copy) : NULL;
    if (!d) {
        closep(&copy);
        return 0;
    }
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (streq(e->d_name, ".") || streq(e->d_name, ".."))
            continue;
        _cleanup_close_ int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        n += sub >= 0 ? count_files(sub, depth + 1) : 1;
    }
    closedir(d);
    return n;
}

static bool content_is_same(const char *dir, const Payload *payload) {
    _cleanup_free_ char *data = xasprintf("%s/..data", dir);
    _cleanup_close_ int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || count_files(fd, 0) != payload->n)
        return false;
    for (size_t i = 0; i < payload->n; i++)
        if (!file_is_same(fd, &payload->files[i]))
            return false;
    return true;
}

static int write_file(const char *folder, const PayloadFile *file, int64_t gid) {
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, file->path);
    char *slash = strrchr(path, '/');
    *slash = 0;
    int r = fs_mkdir_p(path, 0755);
    if (r < 0)
        return r;
    *slash = '/';
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < file->len;) {
        ssize_t n = write(fd, (const char *)file->data + at, file->len - at);
        if (n < 0)
            return -errno;
        at += (size_t)n;
    }
    if (file->uid >= 0 || gid >= 0)
        if (fchown(fd, file->uid >= 0 ? (uid_t)file->uid : (uid_t)-1, gid >= 0 ? (gid_t)gid : (gid_t)-1) < 0)
            return -errno;
    mode_t mode = file->mode | (gid >= 0 ? 0440 : 0);
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int make_folder(const char *dir, char **ret_name) {
    int64_t now = now_realtime_ns();
    time_t seconds = now / (int64_t)NS_PER_SEC;
    struct tm tm;
    char stamp[48], suffix[11];
    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof stamp, "..%Y_%m_%d_%H_%M_%S", &tm);
    random_suffix(suffix, 10);
    _cleanup_free_ char *name = xasprintf("%s.%s", stamp, suffix), *path = xasprintf("%s/%s", dir, name);
    if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
        return -errno;
    *ret_name = TAKE_PTR(name);
    return 0;
}

static int swing_link(const char *dir, const char *folder) {
    _cleanup_free_ char *temporary = xasprintf("%s/..data_tmp", dir), *data = xasprintf("%s/..data", dir);
    unlink(temporary);
    if (symlink(folder, temporary) < 0)
        return -errno;
    return rename(temporary, data) < 0 ? -errno : 0;
}

static bool payload_has_top(const Payload *payload, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < payload->n; i++)
        if (strncmp(payload->files[i].path, name, n) == 0 &&
            (!payload->files[i].path[n] || payload->files[i].path[n] == '/'))
            return true;
    return false;
}

static int add_links(const char *dir, const Payload *payload) {
    for (size_t i = 0; i < payload->n; i++) {
        _cleanup_free_ char *top = xstrndup(payload->files[i].path, strcspn(payload->files[i].path, "/"));
        _cleanup_free_ char *link = xasprintf("%s/%s", dir, top), *target = xasprintf("..data/%s", top);
        if (symlink(target, link) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

/* Links to what is no more, and folders of earlier (or interrupted) writes. */
static void drop_stale(const char *dir, const Payload *payload, const char *current) {
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        const char *name = e->d_name;
        if (streq(name, ".") || streq(name, "..") || streq(name, "..data") || streq(name, current))
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
        if (str_has_prefix(name, ".."))
            fs_remove_tree(path);
        else if (!payload_has_top(payload, name))
            unlink(path);
    }
    closedir(d);
}

int atomic_write(const char *dir, const Payload *payload, int64_t gid) {
    if (content_is_same(dir, payload))
        return add_links(dir, payload);
    _cleanup_free_ char *folder = NULL;
    int r = make_folder(dir, &folder);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, folder);
    for (size_t i = 0; i < payload->n && r == 0; i++)
        r = write_file(path, &payload->files[i], gid);
    if (r == 0 && gid >= 0 && chown(path, (uid_t)-1, (gid_t)gid) < 0)
        r = -errno;
    if (r == 0)
        r = swing_link(dir, folder);
    if (r < 0) {
        fs_remove_tree(path);
        return r;
    }
    drop_stale(dir, payload, folder);
    r = add_links(dir, payload);
    return r < 0 ? r : 1;
}
